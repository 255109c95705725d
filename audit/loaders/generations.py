"""Answers that a model wrote, one JSON object a line: a score each, and whether it is right.

Lines are our own (`key`, `answer`) or lm-evaluation-harness's sample logs (`doc_id`, `resps`), with
the value of every produced token beside: `token_logits`, `token_logprobs`, or a server's own
`logprobs`. Answers are compared with their reference as numbers or options; programs are never
run: whether one is right is read from the line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from audit.loaders.base import ProblemList, refuse
from audit.loaders.lm_eval_logs import first_filter
from audit.loaders.rows import read_rows
from audit.loaders.text_files import check_text_file
from scoring.sequence_scores import sequence_scores
from scoring.verifiers import verify_number, verify_option

GENERATIONS = "generations"
Verifier = Literal["imported", "number", "option"]
VERIFIERS: tuple[Verifier, ...] = get_args(Verifier)
SCORES = {"token_logits": "mean_logit", "token_logprobs": "mean_log_probability"}
_ANSWERS = ("answer", "generation", "text")
_REFERENCES = ("reference", "target")
REFERENCE_COLUMNS = ("key", "reference")
_VERDICTS = ("correct", "exact_match", "pass@1", "pass_at_1", "acc")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the data set knows of one item: its key, its choices if any, and the given label."""

    key: str
    choices: tuple[str, ...] = ()
    given_label: int | None = None


@dataclass(frozen=True, slots=True)
class LoadedGenerations:
    """``rows`` (n_items, 2), item order: the score, and 1 where the answer is right, else 0.

    ``score`` names what the scores are. Both are NaN for the items at ``unanswered``, whose model
    produced no token.
    """

    rows: NDArray[np.float32]
    score: str
    unanswered: tuple[int, ...]
    notices: tuple[str, ...]


@dataclass(slots=True)
class _Reading:
    verifier: Verifier
    references: Mapping[str, str]
    items: dict[str, Asked]
    by_position: Sequence[str]
    problems: ProblemList = field(default_factory=ProblemList)
    rows_of_keys: dict[str, int] = field(default_factory=dict)
    values: dict[str, list[float]] = field(default_factory=dict)
    is_right: dict[str, bool] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    n_contradicted: int = 0


def read_references(path: Path) -> dict[str, str]:
    """Return the right answers in a CSV or JSONL file, ``key`` and ``reference``, by key."""
    problems = ProblemList()
    references: dict[str, str] = {}
    for row in read_rows(path, REFERENCE_COLUMNS, REFERENCE_COLUMNS, problems):
        key, reference = str(row.fields["key"]), str(row.fields["reference"])
        if key in references:
            problems.add(row.number, "key", "dup_id", f"{key[:60]!a} is there twice")
        references[key] = reference
    problems.raise_if_any()
    return references


def read_generations(
    path: Path,
    items: Sequence[Asked],
    verifier: str,
    references: Mapping[str, str] = MappingProxyType({}),
) -> LoadedGenerations:
    """Return every item's score and outcome; each item must have one line.

    ``verifier``: ``number`` compares the number that the answer ends up with with the reference's,
    ``option`` the choice that it names with the given label, ``imported`` takes the line's verdict.
    ``references`` are right answers by key, for lines that bring none. Raises ``ImportRefused``;
    rows count from 1.
    """
    check_text_file(path)
    known = next((each for each in VERIFIERS if each == verifier), None)
    if known is None:
        raise refuse("verifier", f"{verifier!r} is not one of: {', '.join(VERIFIERS)}")
    if known == "option" and not all(item.choices for item in items):
        raise refuse("verifier", "--verifier option needs a data set of multiple-choice questions")
    reading = _Reading(
        known, references, {item.key: item for item in items}, [item.key for item in items]
    )
    for number, line in first_filter(path):
        _add_line(reading, number, line)
    for key in reading.by_position:
        if key not in reading.rows_of_keys:
            reading.problems.add(None, "key", "missing_key", f"no answer to item {key[:60]!a}")
    reading.problems.raise_if_any()
    if len(reading.kinds) > 1:
        raise refuse("mixed", f"some lines have {' and others '.join(sorted(reading.kinds))}")
    scores = sequence_scores([reading.values[key] for key in reading.by_position])
    right = np.array([reading.is_right[key] for key in reading.by_position], dtype=np.float64)
    unanswered = np.flatnonzero(np.isnan(scores))
    right[unanswered] = np.nan
    return LoadedGenerations(
        rows=np.column_stack([scores, right]).astype(np.float32),
        score=SCORES[next(iter(reading.kinds))],
        unanswered=tuple(unanswered.tolist()),
        notices=tuple(_notices(reading, len(unanswered))),
    )


def _notices(reading: _Reading, n_unanswered: int) -> Iterator[str]:
    if n_unanswered:
        yield f"{n_unanswered} answers have no token and so no score"
    if reading.n_contradicted:
        yield (
            f"the verifier {reading.verifier} contradicts the file's own verdict on "
            f"{reading.n_contradicted} of {len(reading.values)} answers"
        )


def _add_line(reading: _Reading, number: int, line: dict[str, Any]) -> None:
    key = _read_key(reading, line)
    if key not in reading.items:
        message = f"the data set has no item {str(key)[:60]!a}"
        reading.problems.add(number, "key", "unknown_key", message)
        return
    if reading.rows_of_keys.setdefault(key, number) != number:
        message = f"{key[:60]!a} is also in row {reading.rows_of_keys[key]}"
        reading.problems.add(number, "key", "dup_id", message)
        return
    values = _read_values(reading, number, line)
    is_right = _verify(reading, number, line, reading.items[key])
    if values is not None and is_right is not None:
        reading.values[key] = values
        reading.is_right[key] = is_right


def _read_key(reading: _Reading, line: dict[str, Any]) -> Any:
    if "key" in line:
        return line["key"] if isinstance(line["key"], str) else None
    document = line.get("doc_id")
    if isinstance(document, int) and 0 <= document < len(reading.by_position):
        return reading.by_position[document]
    return document


def _read_values(reading: _Reading, number: int, line: dict[str, Any]) -> list[float] | None:
    """Return the produced tokens' values, whichever shape they have."""
    name = "token_logits" if "token_logits" in line else "token_logprobs"
    values = line.get(name)
    told = line.get("logprobs")
    if values is None and isinstance(told, dict):
        content = told.get("content")
        values = (
            [each.get("logprob") if isinstance(each, dict) else None for each in content]
            if isinstance(content, list)
            else told.get("token_logprobs")
        )
    if not isinstance(values, list) or not all(_is_number(value) for value in values):
        message = "no list of numbers: token_logits, token_logprobs or a server's logprobs"
        reading.problems.add(number, name, "token_values", message)
        return None
    reading.kinds[name] += 1
    return [float(value) for value in values]


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def _verify(reading: _Reading, number: int, line: dict[str, Any], item: Asked) -> bool | None:
    """Return whether the answer is right, or None after a problem was noted."""
    stated = next((line[name] for name in _VERDICTS if name in line), None)
    if stated is not None and (not isinstance(stated, bool | int | float) or stated not in {0, 1}):
        message = f"{str(stated)[:20]} is neither 0 nor 1"
        reading.problems.add(number, "correct", "verdict", message)
        return None
    if reading.verifier == "imported":
        if stated is None:
            message = (
                f"no verdict ({', '.join(_VERDICTS)}); or compare by --verifier number, option"
            )
            reading.problems.add(number, "correct", "verdict", message)
            return None
        return bool(stated)
    answer = _read_answer(line)
    if answer is None:
        message = f"no answer ({', '.join(_ANSWERS)} or resps)"
        reading.problems.add(number, "answer", "missing_answer", message)
        return None
    try:
        is_right = _compare(reading, answer, line, item)
    except ValueError as error:
        reading.problems.add(number, "reference", "reference", str(error))
        return None
    reading.n_contradicted += stated is not None and bool(stated) != is_right
    return is_right


def _compare(reading: _Reading, answer: str, line: dict[str, Any], item: Asked) -> bool:
    if reading.verifier == "option":
        if item.given_label is None:
            raise ValueError("the item has no given label to compare with")
        return verify_option(answer, item.choices, item.given_label)
    reference = next((line[name] for name in _REFERENCES if name in line), None)
    if reference is None:
        reference = reading.references.get(item.key, "")
    return verify_number(answer, str(reference))


def _read_answer(line: dict[str, Any]) -> str | None:
    """Return the text as produced: a harness's own extract of it would be its verifier's."""
    for name in _ANSWERS:
        if isinstance(line.get(name), str):
            return str(line[name])
    answers: Any = line.get("resps")
    while isinstance(answers, list) and answers:
        answers = answers[0]
    return answers if isinstance(answers, str) else None
