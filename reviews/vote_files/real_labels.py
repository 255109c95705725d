"""ReaL: reassessed labels of the ImageNet validation set (Beyer et al. 2020).

The public file, which timm brings along, is a JSON list of 50,000 lists of class indices: the
n-th belongs to picture n. An empty list means that no label found enough raters; the authors
leave such pictures out, so here they are unsure.
"""

from __future__ import annotations

import json
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from reviews.models import Verdict
from reviews.vote_files.base import (
    LoadedVote,
    LoadedVotes,
    VoteImportError,
    VoteTarget,
    check_same_labels,
    describe_left_out,
    hash_of,
    read_bytes,
)
from reviews.vote_files.imagenet_numbers import N_CLASSES, N_PICTURES, number_items

ANNOTATOR = "ReaL"
PACKAGED = Path("data", "_info", "imagenet_real_labels.json")


def read_real_labels(path: Path | None, target: VoteTarget) -> LoadedVotes:
    """Return one vote per item: the labels that hold, or "unsure" where the file has none.

    Items are found by the picture's number in their key (``imagenet_numbers``). Without ``path``
    timm's own file is read; timm itself is not loaded.
    """
    if target.n_classes != N_CLASSES:
        raise VoteImportError(
            f"{target.dataset} has {target.n_classes} classes, ImageNet {N_CLASSES}", code="classes"
        )
    content = read_bytes(packaged_file() if path is None else path)
    lists = _parse(content)
    places = number_items(target)
    if not places:
        raise VoteImportError(
            "no key holds the number of a validation picture (ILSVRC2012_val_00000293, or 293)",
            code="key",
        )
    votes, n_same, n_sure = [], 0, 0
    for number, place in sorted(places.items(), key=lambda pair: pair[1]):
        labels = tuple(sorted(lists[number - 1]))
        pk = target.pks[place]
        n_sure += bool(labels)
        n_same += target.given_labels[place] in labels
        votes.append(
            LoadedVote(pk, ANNOTATOR, labels)
            if labels
            else LoadedVote(pk, ANNOTATOR, verdict=Verdict.UNSURE)
        )
    check_same_labels(n_same, n_sure, "the given label is among ReaL's")
    left_out = Counter(
        {
            "items whose key holds no picture's number of their own": len(target.pks) - len(places),
            "pictures that are not in the data set": N_PICTURES - len(places),
        }
    )
    notices = (f"the given label is among ReaL's for {n_same:,} of {n_sure:,} items",)
    n_unsure = len(votes) - n_sure
    normalised = {"[]": (str(Verdict.UNSURE), n_unsure)} if n_unsure else {}
    return LoadedVotes(votes, hash_of(content), notices, normalised, describe_left_out(left_out))


def packaged_file() -> Path:
    """Return timm's copy of the labels, found without importing timm."""
    found = find_spec("timm")
    for folder in (found.submodule_search_locations or []) if found else []:
        if (path := Path(folder, PACKAGED)).is_file():
            return path
    raise VoteImportError("timm has no ReaL labels here; give the path of real.json", code="file")


def _parse(content: bytes) -> list[list[int]]:
    try:
        lists: Any = json.loads(content)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise VoteImportError(f"not JSON: {error}", code="json") from error
    if not isinstance(lists, list) or len(lists) != N_PICTURES:
        raise VoteImportError(f"not a JSON list of {N_PICTURES:,} lists of classes", code="format")
    for number, labels in enumerate(lists, start=1):
        if not isinstance(labels, list) or not all(map(_is_class, labels)):
            raise VoteImportError(
                f"picture {number}: {str(labels)[:40]} is no list of classes 0 to {N_CLASSES - 1}",
                code="label",
            )
    return lists


def _is_class(label: Any) -> bool:
    return type(label) is int and 0 <= label < N_CLASSES
