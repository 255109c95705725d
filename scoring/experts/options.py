"""Options in an expert's name: ``MODEL,key=value,...``, part of the name scores are stored by."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from scoring.experts.base import ExpertRefused, Question, UnknownExpertError
from scoring.experts.prompts import DEFAULTS, SCORINGS, PromptTemplate, Scoring, find_prompt

MAX_SHOTS = 100
MAX_BATCH_SIZE = 4096
PRECISIONS = ("float32", "bfloat16", "float16")
RESIZES = ("fast", "exact")

_OPTION = re.compile(r",(?P<key>[a-z_]+)=(?P<value>[A-Za-z0-9@._-]*)\Z")
_SHOTS = re.compile(r"0|[1-9][0-9]{0,2}")
_BATCH = re.compile(r"[1-9][0-9]{0,3}")


@dataclass(frozen=True, slots=True)
class QuestionOptions:
    """How a language model is asked: by which prompt, with how many examples, scored by what."""

    scoring: Scoring
    prompt: PromptTemplate
    shots: int
    precision: str = "float32"

    def check_examples(self, question: Question) -> None:
        """Refuse the expert where a subject has fewer examples than are to be shown."""
        if len(question.examples) < self.shots:
            message = (
                f"shots={self.shots}, but the data set keeps {len(question.examples)} "
                f"examples of {question.subject or 'questions without a subject'!r}"
            )
            raise ExpertRefused("examples", message)


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """How a classifier of images computes: precision, how pictures are resized, how many at a time.

    ``fast`` resizes as torch does, ``exact`` as Pillow does and timm's own evaluation with it; a
    colour differs by two steps of 255 at most. ``batch`` None leaves the number to the device.
    """

    precision: str = "float32"
    resize: str = "fast"
    batch: int | None = None


def split_options(text: str, allowed: Collection[str]) -> tuple[str, dict[str, str]]:
    """Return the model's name and the options behind it; an unknown or repeated one is refused.

    Options are read from the end, so that a comma or ``=`` in a path stays part of the path.
    """
    model, options = text, {}
    while (match := _OPTION.search(model)) is not None:
        key, value = match["key"], match["value"]
        if key not in allowed:
            known = ", ".join(sorted(allowed))
            raise UnknownExpertError(f"unknown option {key}= in {text!r}; known: {known}")
        if key in options:
            raise UnknownExpertError(f"option {key}= is given twice in {text!r}")
        options[key] = value
        model = model[: match.start()]
    return model, options


def read_question_options(options: Mapping[str, str]) -> QuestionOptions:
    """Read ``scoring``, ``prompt``, ``shots`` and ``precision``.

    A prompt alone brings its own way of scoring, a way of scoring alone its usual prompt.

    Without any: the letter's first token, by the prompt of the MMLU paper, without examples.
    """
    scoring = options.get("scoring")
    if scoring is None:
        prompt = find_prompt(options.get("prompt", DEFAULTS["letters"]))
        scoring = prompt.scoring
    elif scoring in SCORINGS:
        prompt = find_prompt(options.get("prompt", DEFAULTS[scoring]))
    else:
        raise UnknownExpertError(f"scoring={scoring} is not one of {', '.join(SCORINGS)}")
    if scoring == "letters" and not prompt.lists_choices:
        message = f"prompt {prompt.name} doesn't list the choices, so letters mean nothing in it"
        raise UnknownExpertError(message)
    shots = options.get("shots", "0")
    if not _SHOTS.fullmatch(shots) or int(shots) > MAX_SHOTS:
        raise UnknownExpertError(f"shots={shots} is not a number from 0 to {MAX_SHOTS}")
    return QuestionOptions(scoring, prompt, int(shots), _read_precision(options))


def read_image_options(options: Mapping[str, str]) -> ImageOptions:
    """Read ``precision``, ``resize`` and ``batch``."""
    resize = options.get("resize", RESIZES[0])
    if resize not in RESIZES:
        raise UnknownExpertError(f"resize={resize} is not one of {', '.join(RESIZES)}")
    batch = options.get("batch")
    if batch is not None and not (_BATCH.fullmatch(batch) and int(batch) <= MAX_BATCH_SIZE):
        raise UnknownExpertError(f"batch={batch} is not a number from 1 to {MAX_BATCH_SIZE}")
    return ImageOptions(_read_precision(options), resize, int(batch) if batch else None)


def _read_precision(options: Mapping[str, str]) -> str:
    precision = options.get("precision", PRECISIONS[0])
    if precision not in PRECISIONS:
        allowed = ", ".join(PRECISIONS)
        raise UnknownExpertError(f"precision={precision} is not one of {allowed}")
    return precision
