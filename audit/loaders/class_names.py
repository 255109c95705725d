"""Class lists and labels: an index or an unambiguous name, read strictly."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audit.loaders.base import LoadedClass, Problem, ProblemList, refuse
from audit.loaders.text_files import check_text_file
from audit.wordnet import find_synsets, list_imagenet_classes

MAX_NAME_CHARACTERS = 255
MAX_UNNAMED_CLASSES = 50_000  # more than ImageNet-21k; beyond it a label is a mistake
IMAGENET = "imagenet"

# int() would also take "+7", " 7 ", "1_000" and digits of other scripts.
STRICT_INDEX = re.compile(r"0|[1-9][0-9]{0,6}")
_SEVERAL_LABELS = re.compile(r"\[.*\]|[^;|]+([;|][^;|]+)+", re.DOTALL)
WORDNET_ID = re.compile(r"n[0-9]{8}")


def read_classes(path: Path) -> tuple[LoadedClass, ...]:
    """Return the classes named in ``path``, one per line, in index order.

    A name may occur twice (ImageNet has two cranes); labels must then use the index. Instead of a
    file, ``imagenet`` stands for ImageNet's 1,000 classes.
    """
    if str(path) == IMAGENET and not path.exists():
        return list_imagenet()
    check_text_file(path)
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    problems = ProblemList()
    for row, line in enumerate(lines, start=1):
        if not line.strip():
            problems.add(row, "", "class_name", "an empty line where a class name should be")
        elif reason := find_name_fault(line, MAX_NAME_CHARACTERS):
            problems.add(row, "", "class_name", f"{line[:60]!a} {reason}")
    problems.raise_if_any()
    return name_classes([line.strip() for line in lines])


def name_classes(names: Sequence[str]) -> tuple[LoadedClass, ...]:
    """Return classes of these names; of one that is a WordNet id, what WordNet says of it."""
    wordnet_ids = {name for name in names if WORDNET_ID.fullmatch(name)}
    synsets = find_synsets(wordnet_ids)
    return tuple(
        LoadedClass(name, name, synsets[name].gloss, synsets[name].words, synsets[name].ancestors)
        if name in synsets
        else LoadedClass(name, wordnet_id=name if name in wordnet_ids else "")
        for name in names
    )


def list_imagenet() -> tuple[LoadedClass, ...]:
    """Return ImageNet's 1,000 classes, each by the commonest of its words."""
    wordnet_ids = list_imagenet_classes()
    synsets = find_synsets(wordnet_ids)
    return tuple(
        LoadedClass(each.words[0], each.wordnet_id, each.gloss, each.words[1:], each.ancestors)
        for each in (synsets[wordnet_id] for wordnet_id in wordnet_ids)
    )


def find_name_fault(name: str, max_characters: int) -> str:
    """Return what is wrong with a key or name as text for people, or nothing."""
    if not name:
        return "is empty"
    if len(name) > max_characters:
        return f"is longer than {max_characters} characters"
    is_plain = name.isascii() and name.isprintable()
    if not is_plain and any(unicodedata.category(sign) in {"Cc", "Cs"} for sign in name):
        return "contains control characters"
    return ""


class LabelReader:
    """Turns label text into class indices and remembers what it saw, to give useful hints."""

    def __init__(self, classes: Sequence[LoadedClass] | None) -> None:
        self.classes = classes
        self.smallest: int | None = None
        self.largest = -1
        counts = Counter(each.name for each in classes or ())
        self._ambiguous = {name for name, count in counts.items() if count > 1}
        self._index_of = {each.name: index for index, each in enumerate(classes or ())}
        # With classes called 1, 2, 3 a label "1" could mean two things.
        self._ambiguous |= {
            name
            for name, index in self._index_of.items()
            if STRICT_INDEX.fullmatch(name) and int(name) != index
        }

    def read(self, row: int, text: str, problems: ProblemList) -> int | None:
        """Return the class index, or note the problem and return None."""
        if text in self._ambiguous:
            message = f"the class name {text[:60]!r} is ambiguous; use the class index"
            problems.add(row, "label", "ambiguous_name", message)
            return None
        if STRICT_INDEX.fullmatch(text):
            return self._check_range(row, int(text), problems)
        if text in self._index_of:
            return self._check_range(row, self._index_of[text], problems)
        code, message = self._explain(text)
        problems.add(row, "label", code, message)
        return None

    def read_value(self, row: int, value: Any, problems: ProblemList) -> int | None:
        """Return the class index that a value of any type, as JSON may give it, stands for."""
        if isinstance(value, list):
            message = "several labels; one is allowed"
            problems.add(row, "label", "multilabel_unsupported", message)
            return None
        if isinstance(value, bool | float) or value is None or isinstance(value, dict):
            message = f"{ascii(value)[:60]} is not a class index"
            problems.add(row, "label", "label", message)
            return None
        label = self.read(row, str(value), problems)
        if label is not None and self.classes is None and label >= MAX_UNNAMED_CLASSES:
            message = f"label {label} needs a class list (--classes)"
            problems.add(row, "label", "label_range", message)
            return None
        return label

    def list_classes(self) -> tuple[LoadedClass, ...]:
        """Return the given classes, or as many as the largest label needs, called by index."""
        if self.classes is not None:
            return tuple(self.classes)
        return name_classes([str(index) for index in range(self.largest + 1)])

    def notices(self) -> tuple[str, ...]:
        """Return what looks odd about all labels together."""
        if self.smallest == 1:
            return ("no item has label 0: are the labels counted from 1?",)
        return ()

    def refine(self, problems: Sequence[Problem]) -> Sequence[Problem]:
        """Return one clear reason instead of many where all labels are counted from one."""
        n_classes = len(self.classes or ())
        is_range_only = all(problem.code == "label_range" for problem in problems)
        if problems and is_range_only and self.smallest == 1 and self.largest == n_classes:
            message = f"labels run from 1 to {n_classes}; class indices start at 0"
            return [Problem(problems[0].row, "label", "label_base", message)]
        return problems

    def _check_range(self, row: int, index: int, problems: ProblemList) -> int | None:
        self.smallest = index if self.smallest is None else min(self.smallest, index)
        self.largest = max(self.largest, index)
        if self.classes is not None and index >= len(self.classes):
            message = f"label {index}, but class indices run from 0 to {len(self.classes) - 1}"
            problems.add(row, "label", "label_range", message)
            return None
        return index

    def _explain(self, text: str) -> tuple[str, str]:
        shown = ascii(text[:60])
        if re.fullmatch(r"-?[1-9][0-9]{0,400}", text):
            return "label_range", f"label {shown} is out of range"
        if _SEVERAL_LABELS.fullmatch(text):
            return "multilabel_unsupported", f"{shown} holds several labels; one is allowed"
        allowed = "a class index (0, 1, 2, ...)"
        if self.classes is not None:
            allowed += " or a class name"
        return "label", f"{shown} is not {allowed}"


def check_classes_are_distinct(classes: Sequence[LoadedClass]) -> None:
    """Refuse a class list with a repeated name, where folders must be told apart by name."""
    counts = Counter(each.name for each in classes)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        names = ", ".join(ascii(name[:60]) for name in repeated[:5])
        raise refuse("ambiguous_name", f"class names given twice: {names}")
