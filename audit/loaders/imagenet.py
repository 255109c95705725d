"""ImageNet's validation set as it is published: devkit, Kaggle's solution file, or class folders.

The devkit numbers classes by ILSVRC2012_ID, in another order than models do; its `meta.mat` says
which synset a number means. A class index here is the place among the sorted WordNet ids, as in
every model's output.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from audit.loaders.base import LoadedDataset, LoadedItem, ProblemList, refuse
from audit.loaders.class_names import WORDNET_ID, list_imagenet
from audit.loaders.imagefolder import list_class_folders, list_items
from audit.loaders.item_fields import KeyReader
from audit.loaders.rows import read_rows
from audit.loaders.text_files import check_text_file
from audit.wordnet import list_imagenet_classes

GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
META = "meta.mat"
SOLUTION = "LOC_val_solution.csv"
MAX_META_BYTES = 5_000_000
MAX_LISTED = 5

# Where the archives put things when they are unpacked into one folder.
_PICTURE_FOLDERS = ("", "val", "ILSVRC2012_img_val", "Data/CLS-LOC/val", "ILSVRC/Data/CLS-LOC/val")
_LABEL_FOLDERS = ("", "data", "ILSVRC2012_devkit_t12/data", "ILSVRC2012_devkit_t12")
_PICTURE = re.compile(r"ILSVRC2012_val_(?P<number>[0-9]{8})\.jpe?g", re.IGNORECASE)
_DEVKIT_ID = re.compile(r"[1-9][0-9]{0,3}")
_BOX_FIELDS = 5  # synset and four corners
_META_ERRORS = (
    MatReadError, OSError, ValueError, TypeError, KeyError, IndexError, AttributeError,
    NotImplementedError, MemoryError, OverflowError, zlib.error,
)  # fmt: skip


def load_imagenet(
    path: Path, *, classes_file: Path | None = None, root: Path | None = None
) -> LoadedDataset:
    """Read ImageNet's validation set from the folder ``path``; pictures may lie in ``root``.

    Labels come from the pictures' folders if those are called by WordNet ids, else from
    ``LOC_val_solution.csv``, else from the devkit's ground truth and ``meta.mat``. Any part of
    the set is accepted as long as labels and pictures belong together.
    """
    if classes_file is not None:
        raise refuse("classes", "ImageNet has its own classes; leave --classes out")
    if not path.is_dir():
        raise refuse("missing", f"there is no folder {path}")
    if root is not None and not root.is_dir():
        raise refuse("missing", f"there is no folder {root}")
    bases = [path] if root is None else [root, path]
    folders = [base / name for base in bases for name in _PICTURE_FOLDERS]
    for folder in folders:
        if _holds_class_folders(folder):
            return _load_class_folders(folder)
    pictures = next((folder for folder in folders if _list_pictures(folder)), None)
    if pictures is None:
        raise refuse("empty", f"no ILSVRC2012_val_*.JPEG and no folders of synsets in {path}")
    solution = _find_file(path, SOLUTION)
    if solution is not None:
        return _load_solution(pictures, solution)
    ground_truth = _find_file(path, GROUND_TRUTH)
    if ground_truth is not None:
        return _load_devkit(pictures, ground_truth)
    raise refuse(
        "missing", f"no labels in {path}: neither {SOLUTION} nor the devkit's ground truth"
    )


def _find_file(path: Path, name: str) -> Path | None:
    places = [path / folder / name for folder in (*_LABEL_FOLDERS, "ILSVRC")]
    return next((place for place in places if place.is_file()), None)


def _holds_class_folders(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    return any(WORDNET_ID.fullmatch(each.name) and each.is_dir() for each in folder.iterdir())


def _load_class_folders(folder: Path) -> LoadedDataset:
    skipped: Counter[str] = Counter()
    folders = list_class_folders(folder, skipped)
    items, notices = list_items(folder, folders, list_imagenet_classes(), skipped)
    return LoadedDataset("image", list_imagenet(), items, folder.resolve(), dict(skipped), notices)


def _list_pictures(folder: Path) -> dict[int, str]:
    """Return the validation pictures of a folder by their number."""
    if not folder.is_dir():
        return {}
    matches = (_PICTURE.fullmatch(each.name) for each in folder.iterdir())
    names = sorted(match[0] for match in matches if match is not None)
    found: dict[int, str] = {}
    for name in names:
        number = int(name[15:23])
        if number in found:
            raise refuse("dup_id", f"{found[number]} and {name} have the same number")
        found[number] = name
    return found


def _load_solution(pictures: Path, solution: Path) -> LoadedDataset:
    names = {name.rpartition(".")[0]: name for name in _list_pictures(pictures).values()}
    index_of = _index_by_synset()
    problems = ProblemList()
    keys = KeyReader()
    items = []
    columns = ("ImageId", "PredictionString")
    for row in read_rows(solution, columns, columns, problems):
        key, prediction = (str(row.fields[column]) for column in columns)
        label = _read_prediction(row.number, prediction, index_of, problems)
        if keys.check(row.number, key, problems) and label is not None:
            # A picture that isn't there is set aside when it is opened.
            name = names.pop(key, f"{key}.JPEG")
            items.append(LoadedItem(key=name, label=label, image=name))
    for name in sorted(names.values()):
        problems.add(None, "", "missing_label", f"{name} is not in {solution.name}")
    problems.raise_if_any()
    return _dataset(pictures, items)


def _read_prediction(
    row: int, text: str, index_of: Mapping[str, int], problems: ProblemList
) -> int | None:
    """Return the class of Kaggle's ``SYNSET x y x y SYNSET x y x y ...``: one per picture."""
    fields = text.split()
    synsets = set(fields[::_BOX_FIELDS])
    if not fields or len(fields) % _BOX_FIELDS:
        message = f"{text[:60]!a} is not a synset and four numbers, once or several times"
        problems.add(row, "PredictionString", "label", message)
        return None
    if len(synsets) > 1:
        message = "boxes of several classes; one is allowed"
        problems.add(row, "PredictionString", "multilabel_unsupported", message)
        return None
    [synset] = synsets
    if synset not in index_of:
        message = f"{synset[:20]!a} is not one of ImageNet's 1,000 classes"
        problems.add(row, "PredictionString", "unknown_class", message)
        return None
    return index_of[synset]


def _load_devkit(pictures: Path, ground_truth: Path) -> LoadedDataset:
    meta = ground_truth.with_name(META)
    if not meta.is_file():
        message = f"{GROUND_TRUTH} counts classes in the devkit's own order: {META} must lie beside"
        raise refuse("missing", message)
    labels = _read_ground_truth(ground_truth, _read_meta(meta))
    names = _list_pictures(pictures)
    absent = [number for number in range(1, len(labels) + 1) if number not in names]
    beyond = [number for number in names if not 1 <= number <= len(labels)]
    if absent or beyond:
        message = f"{len(labels)} labels, {len(names)} pictures"
        if absent:
            message += f"; no picture {', '.join(map(str, absent[:MAX_LISTED]))}"
        if beyond:
            message += f"; no label for {', '.join(names[each] for each in beyond[:MAX_LISTED])}"
        raise refuse("count_mismatch", message)
    items = [
        LoadedItem(key=names[number], label=label, image=names[number])
        for number, label in enumerate(labels, start=1)
    ]
    return _dataset(pictures, items)


def _read_ground_truth(path: Path, index_of_id: Sequence[int]) -> list[int]:
    check_text_file(path)
    problems = ProblemList()
    labels = []
    for row, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        text = line.strip()
        if not _DEVKIT_ID.fullmatch(text) or int(text) > len(index_of_id):
            code = "label_base" if text == "0" else "label_range"
            message = f"{text[:20]!a} is not an ILSVRC2012_ID from 1 to {len(index_of_id)}"
            problems.add(row, "", code, message)
            continue
        labels.append(index_of_id[int(text) - 1])
    problems.raise_if_any()
    return labels


def _read_meta(path: Path) -> list[int]:
    """Return the class index of ILSVRC2012_ID 1, 2, ... 1000.

    Above 1000 ``meta.mat`` lists the synsets that have children, of which no picture is labelled.
    """
    if path.stat().st_size > MAX_META_BYTES:
        raise refuse("format", f"{path.name} has over {MAX_META_BYTES} bytes")
    try:
        synsets = loadmat(path, squeeze_me=True, variable_names=["synsets"])["synsets"]
        pairs = [_read_synset(entry) for entry in synsets if int(entry["num_children"]) == 0]
    except _META_ERRORS as error:
        raise refuse("format", f"{path.name} is not the devkit's: {error}") from error
    index_of = _index_by_synset()
    ordered = [wordnet_id for _, wordnet_id in sorted(pairs)]
    numbers = sorted(number for number, _ in pairs)
    if sorted(ordered) != list(index_of) or numbers != list(range(1, len(index_of) + 1)):
        message = f"{path.name} does not number ImageNet's 1,000 classes from 1 to 1000"
        raise refuse("unknown_class", message)
    return [index_of[wordnet_id] for wordnet_id in ordered]


def _read_synset(entry: Any) -> tuple[int, str]:
    return int(entry["ILSVRC2012_ID"]), str(entry["WNID"])


def _index_by_synset() -> dict[str, int]:
    return {synset: index for index, synset in enumerate(list_imagenet_classes())}


def _dataset(pictures: Path, items: Sequence[LoadedItem]) -> LoadedDataset:
    n_other = sum(1 for _ in pictures.iterdir()) - len(_list_pictures(pictures))
    skipped = {"files of other names": n_other} if n_other else {}
    return LoadedDataset("image", list_imagenet(), tuple(items), pictures.resolve(), skipped)
