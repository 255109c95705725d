"""One folder per class: the layout of ImageNet's own archives and of torchvision's ImageFolder."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from audit.loaders.base import LoadedClass, LoadedDataset, LoadedItem, ProblemList, refuse
from audit.loaders.class_names import (
    MAX_NAME_CHARACTERS,
    check_classes_are_distinct,
    find_name_fault,
    name_classes,
    read_classes,
)

MAX_KEY_CHARACTERS = 512
MAX_EMPTY_NAMED = 20

_SYSTEM_FILES = {".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX"}
_DIGITS = re.compile(r"(\d+)")


def load_imagefolder(
    path: Path, *, classes_file: Path | None = None, root: Path | None = None
) -> LoadedDataset:
    """Read ``path``: every folder in it is a class, every file below a folder an item of it.

    Classes are sorted by name unless ``classes_file`` gives their order; then a folder that it
    does not name is refused. Items come class by class in natural order (2 before 10); their key
    is the path from ``path``. Files are judged when they are opened, not by their names.
    """
    if root is not None and root.resolve() != path.resolve():
        raise refuse("root", "an image folder is its own root; leave --root out")
    if path.is_file():
        raise refuse("format", f"{path.name} is a file; unpack it and give the folder")
    if not path.is_dir():
        raise refuse("missing", f"there is no folder {path}")
    skipped: Counter[str] = Counter()
    folders = list_class_folders(path, skipped)
    classes = _order_classes(folders, classes_file)
    items, notices = list_items(path, folders, [each.name for each in classes], skipped)
    return LoadedDataset("image", classes, items, path.resolve(), dict(skipped), notices)


def list_items(
    path: Path, folders: set[str], class_folders: Sequence[str], skipped: Counter[str]
) -> tuple[tuple[LoadedItem, ...], tuple[str, ...]]:
    """Return the items of all classes, class by class, and notices of classes without any.

    ``class_folders`` names every class's folder in index order; a folder of another name, or two
    files that are one on other systems, are refused.
    """
    problems = ProblemList()
    for folder in sorted(folders - set(class_folders)):
        problems.add(None, "", "unknown_class", f"folder {folder[:60]!a} is no class's")
    items: list[LoadedItem] = []
    empty: list[str] = []
    for index, folder in enumerate(class_folders):
        before = len(items)
        if folder in folders:
            files = sorted(_list_files(path, folder, skipped), key=natural_order)
            items += [LoadedItem(key=name, label=index, image=name) for name in files]
        if len(items) == before:
            empty.append(folder)
    _check_keys(items, problems)
    problems.raise_if_any()
    if not items:
        raise refuse("empty", f"no images in the folders of {path}")
    if len(empty) > MAX_EMPTY_NAMED:
        return tuple(items), (f"{len(empty)} of {len(class_folders)} classes have no images",)
    return tuple(items), tuple(f"class {folder!r} has no images" for folder in empty)


def natural_order(name: str) -> tuple[list[str | int], str]:
    """Return a sort key that puts 2 before 10; equal numbers fall back to the text itself."""
    parts: list[str | int] = [
        int(part) if place % 2 else part for place, part in enumerate(_DIGITS.split(name))
    ]
    return parts, name


def list_class_folders(path: Path, skipped: Counter[str]) -> set[str]:
    """Return the names of the folders in ``path``; whatever else lies there is counted."""
    folders = set()
    with os.scandir(path) as entries:
        for entry in entries:
            if _is_system_file(entry.name):
                skipped["system files"] += 1
            elif entry.is_dir(follow_symlinks=False):
                folders.add(entry.name)
            elif entry.is_symlink() and entry.is_dir():
                skipped["linked folders"] += 1
            else:
                skipped["files outside class folders"] += 1
    if not folders:
        raise refuse("empty", f"{path} has no folders; one per class is expected")
    return folders


def _order_classes(folders: set[str], classes_file: Path | None) -> tuple[LoadedClass, ...]:
    problems = ProblemList()
    for folder in sorted(folders):
        if reason := find_name_fault(folder, MAX_NAME_CHARACTERS):
            problems.add(None, "", "bad_name", f"folder {folder[:60]!a} {reason}")
    problems.raise_if_any()
    if classes_file is None:
        return name_classes(sorted(folders))
    classes = read_classes(classes_file)
    check_classes_are_distinct(classes)
    return classes


def _list_files(root: Path, folder: str, skipped: Counter[str]) -> Iterator[str]:
    """Yield paths below ``folder``, however deep, without following links to folders."""
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        with os.scandir(root / current) as entries:
            for entry in entries:
                inside = f"{current}/{entry.name}"
                if _is_system_file(entry.name):
                    skipped["system files"] += 1
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(inside)
                elif entry.is_symlink() and entry.is_dir():
                    skipped["linked folders"] += 1
                else:
                    yield _make_storable(inside)


def _is_system_file(name: str) -> bool:
    return name in _SYSTEM_FILES or name.startswith("._")


def _make_storable(name: str) -> str:
    """Return a name that can be stored; bytes that are not UTF-8 become U+FFFD and their number.

    No picture opens under such a name, so the item is set aside as bad_name.
    """
    return "".join(
        f"\ufffd{ord(sign) - 0xDC00:02x}" if "\udc80" <= sign <= "\udcff" else sign for sign in name
    )


def _check_keys(items: list[LoadedItem], problems: ProblemList) -> None:
    seen: dict[str, str] = {}
    for item in items:
        if len(item.key) > MAX_KEY_CHARACTERS:
            message = f"{item.key[:60]!a}... is longer than {MAX_KEY_CHARACTERS} characters"
            problems.add(None, "", "bad_name", message)
        # Two names that differ only so become one file on other systems.
        same = unicodedata.normalize("NFC", item.key).casefold()
        if same in seen:
            message = f"{seen[same]!a} and {item.key!a} are the same name elsewhere"
            problems.add(None, "", "dup_id", message)
        seen[same] = item.key
