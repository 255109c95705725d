"""Items as experts take them: pictures opened, questions put together; runs in workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from audit.images import UnusableImage, open_rgb
from audit.models import Dataset, Item
from scoring.experts.base import InputProblem, Question


@dataclass(slots=True)
class Inputs:
    """What an expert is given, and by place among the items: which they are, and what failed."""

    values: list[Any] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    problems: dict[int, InputProblem] = field(default_factory=dict)


def prepare_inputs(dataset: Dataset, items: Sequence[Item]) -> Inputs:
    """Return the inputs for all items that aren't quarantined, in order."""
    inputs = Inputs()
    for place, item in enumerate(items):
        if item.is_quarantined:
            continue
        try:
            value = _open_item(dataset, item)
        except UnusableImage as problem:
            inputs.problems[place] = InputProblem(problem.code, problem.detail)
            continue
        inputs.values.append(value)
        inputs.places.append(place)
    return inputs


def _open_item(dataset: Dataset, item: Item) -> Any:
    if dataset.kind == Dataset.Kind.IMAGE:
        return open_rgb(dataset.folder, item.image, sha256=item.content_sha256 or None)
    return Question(item.question, tuple(item.choices), item.subject, item.key)
