"""label-errors: five paid annotators' votes on suspected test set errors (Northcutt et al. 2021).

The public files, ``mturk/*_mturk.json``, are JSON lists of objects: ``id``, ``url``,
``given_original_label``, ``our_guessed_label`` and ``mturk``, the number of annotators per answer.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
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
from reviews.vote_files.imagenet_numbers import file_number, number_items

ANSWERS = ("given", "guessed", "both", "neither", "off-topic", "neutral")
MAX_VOTES = 100
IN_IMAGENET = "ILSVRC2012_val_"
_FILE_NUMBER = re.compile(r"(?:.*/)?([0-9]{1,9})(?:\.[A-Za-z0-9]+)?")

Record = dict[str, Any]


def read_label_errors(path: Path | None, target: VoteTarget) -> LoadedVotes:
    """Return five votes per record: which of the given and the guessed class hold.

    "both" is the verdict "multi object", "neither" and "off-topic" name no class, "neutral" is
    unsure. Who voted isn't known, so votes are numbered per item and can't be compared by person.
    ImageNet's records are found by the number in their picture's name, others by ``id``: the
    number that is the item's file name, or the item's place from 0 on. Records whose given label
    is not the item's are left out; were that most of them, the file would be refused.
    """
    if path is None:
        raise VoteImportError("which file? mturk/imagenet_mturk.json, for instance", code="file")
    content = read_bytes(path)
    records = _parse(content)
    find = _finder(records, target)
    counts: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    votes: list[LoadedVote] = []
    n_same = n_found = n_doubled = 0
    seen: set[int] = set()
    for row, record in enumerate(records, start=1):
        place = find(record)
        if place is None:
            left_out["records of items that are not in the data set"] += 1
            continue
        if place in seen:
            raise VoteImportError(f"item {target.keys[place]!r} a second time", row, "duplicate")
        seen.add(place)
        n_found += 1
        if record["given_original_label"] != target.given_labels[place]:
            left_out["records whose given label is not the item's"] += 1
            continue
        n_same += 1
        if record["our_guessed_label"] >= target.n_classes:
            message = f"class {record['our_guessed_label']} of {target.n_classes} classes"
            raise VoteImportError(message, row, "label")
        said, is_doubled = _answers_of(record, row)
        n_doubled += is_doubled
        counts.update(said)
        votes += _votes_of(record, said, target.pks[place])
    check_same_labels(n_same, n_found, "the record's given label is the item's")
    if not votes:
        raise VoteImportError("no record is about an item of the data set", code="empty")
    notices = ["votes are counts: annotators can't be told apart from item to item"]
    if n_doubled:
        notices.append(f"{n_doubled:,} records guess the given label: their votes count once")
    normalised = {
        answer: (_VERDICTS[answer].value, counts[answer]) for answer in ANSWERS if counts[answer]
    }
    return LoadedVotes(
        votes,
        hash_of(content),
        tuple(notices),
        normalised,
        describe_left_out(left_out),
        knows_annotators=False,
    )


_VERDICTS = {
    "given": Verdict.LABEL_CORRECT,
    "guessed": Verdict.WRONG_LABEL,
    "both": Verdict.MULTI_OBJECT,
    "neither": Verdict.WRONG_LABEL,
    "off-topic": Verdict.WRONG_LABEL,
    "neutral": Verdict.UNSURE,
}


def _finder(records: list[Record], target: VoteTarget) -> Callable[[Record], int | None]:
    """Return the rule by which a record finds its item's place."""
    if IN_IMAGENET in str(records[0].get("url")):
        pictures = number_items(target)
        return lambda record: pictures.get(file_number(str(record.get("url", ""))) or 0)
    numbers = [_FILE_NUMBER.fullmatch(key) for key in target.keys]
    if all(numbers):
        places = {int(found.group(1)): n for n, found in enumerate(numbers) if found}
        if len(places) == len(numbers):
            return lambda record: places.get(record["id"])
    n_items = len(target.pks)
    return lambda record: record["id"] if 0 <= record["id"] < n_items else None


def _answers_of(record: Record, row: int) -> tuple[list[str], bool]:
    """Return one answer per vote, and whether given and guessed were one and the same label."""
    counts = dict(record["mturk"])
    is_doubled = record["our_guessed_label"] == record["given_original_label"]
    if is_doubled:
        # The same button twice: the file counts each click under both names.
        counts["guessed"] = 0
    answers = [answer for answer in ANSWERS for _ in range(counts.get(answer, 0))]
    if not answers:
        raise VoteImportError("a record without a vote", row, "votes")
    return answers, is_doubled


def _votes_of(record: Record, answers: list[str], pk: int) -> list[LoadedVote]:
    given, guessed = record["given_original_label"], record["our_guessed_label"]
    labels: dict[str, tuple[int, ...] | None] = {
        "given": (given,),
        "guessed": (guessed,),
        "both": tuple(sorted({given, guessed})),
        "neither": (),
        "off-topic": (),
        "neutral": None,
    }
    return [
        LoadedVote(pk, f"vote {number}", labels[answer], _VERDICTS[answer].value)
        for number, answer in enumerate(answers, start=1)
    ]


def _parse(content: bytes) -> list[Record]:
    try:
        records: Any = json.loads(content)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise VoteImportError(f"not JSON: {error}", code="json") from error
    if not isinstance(records, list) or not records:
        raise VoteImportError("not a JSON list of records", code="format")
    for row, record in enumerate(records, start=1):
        if reason := _fault_of(record):
            raise VoteImportError(reason, row, "format")
    return records


def _fault_of(record: Any) -> str:
    if not isinstance(record, dict):
        return "not a JSON object"
    for name in ("id", "given_original_label", "our_guessed_label"):
        if type(record.get(name)) is not int or record[name] < 0:
            return f"{name} is {str(record.get(name))[:40]}, not a whole number"
    counts = record.get("mturk")
    if not isinstance(counts, dict) or not all(
        type(count) is int and 0 <= count <= MAX_VOTES for count in counts.values()
    ):
        return f"mturk is {str(counts)[:40]}, not a number of votes per answer"
    if unknown := sorted(set(counts) - set(ANSWERS)):
        return f"unknown answers: {', '.join(unknown)[:80]}; known: {', '.join(ANSWERS)}"
    return ""
