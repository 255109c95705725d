"""Sample logs of lm-evaluation-harness: the log likelihood of every choice, one document a line.

The harness writes them with `--log_samples`; they are read here without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.loaders.base import ProblemList, refuse
from audit.loaders.rows import parse_json_object
from audit.loaders.text_files import check_text_file
from scoring.experts.base import ABSENT


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
