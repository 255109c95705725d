"""Sample logs of lm-evaluation-harness: the log likelihood of every choice, one document a line.

The harness writes them with `--log_samples`, one file a task; they are read here without it. A
group of tasks such as MMLU is a folder of them, one per subject.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.loaders.base import ImportRefused, Problem, ProblemList, refuse
from audit.loaders.rows import parse_json_object
from audit.loaders.text_files import check_text_file
from scoring.experts.base import ABSENT

_LOG_NAME = re.compile(r"samples_(.+)_\d{4}-\d\d-\d\dT[0-9.-]+\.jsonl")


@dataclass(frozen=True, slots=True)
class SampleLog:
    """Log likelihoods (n_items, n_classes) by document number, and the harness's own answers.

    ``targets`` (n_items,) are class indices; None where the log names them otherwise.
    """

    values: NDArray[np.float64]
    targets: NDArray[np.int64] | None
    notices: tuple[str, ...]


def read_sample_log(path: Path, n_items: int, n_classes: int) -> SampleLog:
    """Return the choices' log likelihoods; documents 0 to n_items - 1 must each be there once.

    The likelihoods are sums over a choice's tokens (the harness's ``acc``), not normalised by its
    length. With several filters the first one's lines count, which for choices are all alike.
    """
    check_text_file(path)
    problems = ProblemList()
    values = np.full((n_items, n_classes), np.nan)
    targets: list[str] = [""] * n_items
    seen: dict[int, int] = {}
    n_short = n_doubled = 0
    for number, sample in first_filter(path):
        document = sample.get("doc_id")
        if not isinstance(document, int) or not 0 <= document < n_items:
            message = f"document {str(document)[:30]}, the data set has items 0 to {n_items - 1}"
            problems.add(number, "doc_id", "unknown_key", message)
            continue
        if document in seen:
            message = f"document {document} is also in row {seen[document]}"
            problems.add(number, "doc_id", "dup_id", message)
            continue
        seen[document] = number
        found = _read_choices(sample, number)
        if len(found) == 2 * n_classes:
            # For acc_mutual_info the choices follow again, without their question.
            n_doubled += 1
            found = found[:n_classes]
        if not 2 <= len(found) <= n_classes:
            message = f"{len(found)} choices, the data set has {n_classes} classes"
            problems.add(number, "filtered_resps", "class_count", message)
            continue
        n_short += len(found) < n_classes
        values[document] = min(found) + ABSENT
        values[document, : len(found)] = found
        targets[document] = str(sample.get("target"))
    for document in sorted(set(range(n_items)) - set(seen)):
        problems.add(None, "doc_id", "missing_key", f"no document {document}; was there a limit?")
    problems.raise_if_any()
    notices = []
    if n_short:
        notices.append(f"{n_short} documents have fewer than {n_classes} choices")
    if n_doubled:
        notices.append(f"choices without their question were left out of {n_doubled} documents")
    named = all(target.isdecimal() and int(target) < n_classes for target in targets)
    return SampleLog(
        values,
        np.array([int(target) for target in targets], dtype=np.int64) if named else None,
        tuple(notices),
    )


def read_sample_logs(folder: Path, subjects: Sequence[str], n_classes: int) -> SampleLog:
    """Return the log likelihoods of items by their ``subjects`` (n_items,), one log each.

    A log belongs to the subject that its task's name is or ends with (``mmlu_anatomy``), and its
    documents are the subject's items, in order.
    """
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, subject in enumerate(subjects):
        places[subject].append(place)
    values = np.full((len(subjects), n_classes), np.nan)
    targets = np.full(len(subjects), -1, dtype=np.int64)
    notices, is_named = [], True
    for subject, path in _logs_of(folder, sorted(places)).items():
        try:
            log = read_sample_log(path, len(places[subject]), n_classes)
        except ImportRefused as refusal:
            raise ImportRefused([_in_file(path, each) for each in refusal.problems]) from refusal
        values[places[subject]] = log.values
        notices += [f"{path.name}: {notice}" for notice in log.notices]
        is_named = is_named and log.targets is not None
        targets[places[subject]] = -1 if log.targets is None else log.targets
    return SampleLog(values, targets if is_named else None, tuple(notices))


def _logs_of(folder: Path, subjects: Sequence[str]) -> dict[str, Path]:
    """Return each subject's log; refuses subjects without one, or with several."""
    tasks = {
        _simple(name.group(1)): path
        for path in sorted(folder.rglob("*.jsonl"))
        if (name := _LOG_NAME.fullmatch(path.name))
    }
    problems = ProblemList()
    logs: dict[str, Path] = {}
    for subject in subjects:
        wanted = _simple(subject)
        found = [task for task in tasks if task == wanted or task.endswith(f"_{wanted}")]
        # "biology" also ends "college_biology": the shortest task that fits is the subject's own.
        shortest = [task for task in found if len(task) == min(map(len, found))]
        if len(shortest) != 1:
            told = ", ".join(tasks[task].name for task in shortest) or "none"
            problems.add(None, "subject", "missing_log", f"logs of {subject!r}: {told[:200]}")
            continue
        logs[subject] = tasks[shortest[0]]
    problems.raise_if_any()
    return logs


def _simple(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _in_file(path: Path, problem: Problem) -> Problem:
    return Problem(problem.row, problem.column, problem.code, f"{path.name}: {problem.message}")


def first_filter(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the lines, numbered from 1, that belong to the filter of the first one."""
    wanted: Any = None
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            sample = parse_json_object(line, number)
            name = sample.get("filter", "none")
            wanted = name if wanted is None else wanted
            if name == wanted:
                yield number, sample


def _read_choices(sample: dict[str, Any], number: int) -> list[float]:
    """Return each choice's log likelihood: the first of [log likelihood, is greedy]."""
    pairs = sample.get("filtered_resps")
    if not isinstance(pairs, list):
        repeats = sample.get("resps")
        pairs = [each[0] if isinstance(each, list) and each else each for each in repeats or []]
    found = [_number_in(pair) for pair in pairs]
    if not found or any(isnan(value) for value in found):
        message = "no [log likelihood, is greedy] per choice; only multiple choice can be read"
        raise refuse("format", message, row=number, column="filtered_resps")
    return found


def _number_in(pair: Any) -> float:
    try:
        return float(pair[0]) if isinstance(pair, list) and len(pair) == 2 else nan
    except (TypeError, ValueError):
        return nan
