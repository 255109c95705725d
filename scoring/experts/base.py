"""What every expert is: a named, fingerprinted function from inputs to logits."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float32]

Kind = Literal["image", "multiple_choice"]
"""What an item is, and so what an expert takes: a ``PIL.Image.Image`` or a ``Question``."""

ABSENT = math.log(1e-12)
"""How far below a question's least likely choice those lie that it doesn't have."""


class UnknownExpertError(ValueError):
    """The name does not say which expert is meant; the message says what is allowed."""


class ExpertRefused(Exception):  # noqa: N818 - the word used for it in reports and pages
    """The expert exists in principle but cannot be used, for a reason with a stable code."""

    def __init__(self, reason_code: str, message: str) -> None:
        super().__init__(message)
        self.reason_code = reason_code
        self.message = message

    def __reduce__(self) -> tuple[type[ExpertRefused], tuple[str, str]]:
        # Without this the exception cannot cross a process border: two arguments, one in args.
        return type(self), (self.reason_code, self.message)


class ExpertUnavailable(Exception):  # noqa: N818 - named like the refusal
    """The expert can't be reached for now; it is no input's fault."""


@dataclass(frozen=True, slots=True)
class InputProblem:
    """Why one input can't be scored: a stable ``code`` and a ``detail`` for people."""

    code: str
    detail: str


class UnscorableInputsError(Exception):
    """Some inputs can't be scored; the others were, so that nothing is computed twice.

    ``problems`` says why, by place among the inputs; ``logits`` has a row for every input, NaN
    where there is a problem.
    """

    def __init__(self, problems: Mapping[int, InputProblem], logits: Logits) -> None:
        first = next(iter(problems.values()))
        super().__init__(f"{len(problems)} of {len(logits)} inputs, such as {first.detail}")
        self.problems = dict(problems)
        self.logits = logits

    def __reduce__(
        self,
    ) -> tuple[type[UnscorableInputsError], tuple[Mapping[int, InputProblem], Logits]]:
        return type(self), (self.problems, self.logits)


@dataclass(frozen=True, slots=True)
class SolvedQuestion:
    """A question with its answer (a place among the choices), to be shown before others."""

    question: str
    choices: tuple[str, ...]
    answer: int


@dataclass(frozen=True, slots=True)
class Question:
    """A multiple-choice question as an expert sees it: without its given label.

    ``examples`` are what the data set keeps for few-shot prompts of this ``subject``, in order; an
    expert shows as many of the first as its name says.
    """

    question: str
    choices: tuple[str, ...]
    subject: str = ""
    key: str = ""
    examples: tuple[SolvedQuestion, ...] = ()


@dataclass(frozen=True, slots=True)
class ExpertCard:
    """Everything that decides an expert's logits, as it is stored beside them.

    ``n_classes`` is None where every question brings its own choices. ``transform`` is the
    JSON-able identity of what happens to an input before the model sees it, ``weights_sha256`` the
    hash of the weights file, ``libraries`` the versions that ran.
    """

    name: str
    n_classes: int | None
    weights_sha256: str
    transform: Mapping[str, Any]
    device: str
    libraries: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the card as a JSON document."""
        return {
            "name": self.name,
            "n_classes": self.n_classes,
            "weights_sha256": self.weights_sha256,
            "transform": dict(self.transform),
            "device": self.device,
            "libraries": dict(self.libraries),
            "fingerprint": self.fingerprint,
        }

    @property
    def fingerprint(self) -> str:
        """Sha256 of weights, transform and number of classes.

        Name, device and library versions are left out: two names for the same weights are the
        same expert, and a device or version moves logits by rounding only.
        """
        identity = [self.weights_sha256, dict(self.transform), self.n_classes]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


class Expert(Protocol):
    """A model that answers: a classifier of images, or one that chooses among a question's choices.

    ``takes`` says which of the two (a stub takes both).
    """

    @property
    def takes(self) -> frozenset[Kind]: ...

    @property
    def card(self) -> ExpertCard: ...

    def predict(self, inputs: Sequence[Any]) -> Logits:
        """Return float32 logits of shape (n_inputs, n_classes), rows in the order of ``inputs``.

        For questions there are as many columns as the longest list of choices among ``inputs``
        needs, NaN where a question has fewer. Raises ``UnscorableInputsError`` when single inputs
        have no logits.
        """
        ...


@dataclass(frozen=True, slots=True)
class BoundedPrediction:
    """Logits of an expert that isn't told everything, (n_inputs, n_choices).

    ``is_bounded`` (n_inputs,): which inputs have a choice whose logit is only an upper bound;
    ``problems``: why an input has no logits, by place.
    """

    logits: Logits
    is_bounded: NDArray[np.bool_]
    problems: Mapping[int, InputProblem]


@runtime_checkable
class BoundedExpert(Protocol):
    """An expert that sees no more of its model than the likeliest tokens."""

    def predict_bounded(self, inputs: Sequence[Any]) -> BoundedPrediction: ...


class Batches(Protocol):
    """How many inputs an expert computes at a time: it moves the last bits of logits."""

    def find_size(self) -> int:
        """Return the size to use on this device, searched for where that pays."""
        ...

    def use_size(self, batch_size: int) -> None:
        """Take batches of this size from now on, or smaller ones where memory is short."""
        ...


@runtime_checkable
class BatchedExpert(Protocol):
    """An expert whose batch size is settled once for all who compute the same scores."""

    @property
    def batches(self) -> Batches: ...


def fill_absent_choices(
    logits: Logits, n_classes: int, n_choices: Sequence[int] | NDArray[np.int_]
) -> Logits:
    """Return ``logits`` (n_items, n_columns) widened to ``n_classes``.

    ``n_choices`` (n_items,): how many choices each item has, which are its first columns. The
    others lie ``ABSENT`` below its least likely choice. NaN among the choices is no choice that is
    absent but an answer that went wrong: it stays, and the row has no number that means anything.
    """
    filled = np.full((len(logits), n_classes), np.nan, dtype=np.float32)
    filled[:, : logits.shape[1]] = logits
    is_absent = np.arange(n_classes) >= np.asarray(n_choices)[:, None]
    least = np.min(filled, axis=1, where=~is_absent, initial=np.inf)
    return np.where(is_absent, least[:, None] + np.float32(ABSENT), filled)
