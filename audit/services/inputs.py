"""Items as experts take them: pictures opened, questions put together; runs in workers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db.models import TextField
from django.db.models.functions import Cast
from PIL import Image

from audit.images import UnusableImage, open_rgb
from audit.models import Dataset
from scoring.experts.base import InputProblem, Question, SolvedQuestion


class ItemRow(NamedTuple):
    """What an expert is given of an item. A model instance each would take ten times as long."""

    pk: int
    position: int
    key: str
    image: str
    content_sha256: str
    quarantine_code: str
    question: str = ""
    choices: Sequence[str] = ()
    subject: str = ""


PICTURE_COLUMNS = ItemRow._fields[:-3]
AS_TEXT = Cast("choices", TextField())


def read_items(dataset: Dataset, start: int, stop: int) -> list[ItemRow]:
    """Return the items of a chunk, in order."""
    items = dataset.items.in_range(start, stop)
    if dataset.kind == Dataset.Kind.IMAGE:
        return [ItemRow(*row) for row in items.values_list(*PICTURE_COLUMNS)]
    rows = list(items.values_list(*PICTURE_COLUMNS, "question", AS_TEXT, "subject"))
    # One call of the JSON reader in place of one per question.
    choices = json.loads(f"[{','.join(row[-2] for row in rows)}]")
    return [
        ItemRow._make((*row[:-2], each, row[-1])) for row, each in zip(rows, choices, strict=True)
    ]


@dataclass(slots=True)
class Inputs:
    """What an expert is given, and by place among the items: which they are, and what failed.

    Pictures are opened when the expert asks for them, so ``problems`` is complete only then.
    """

    values: Sequence[Any]
    places: list[int]
    problems: dict[int, InputProblem] = field(default_factory=dict)


class Pictures(Sequence[Any]):
    """The pictures of items, each opened when it is asked for, from any thread.

    A chunk's pictures never lie in memory together, and are decoded while others are computed.
    """

    def __init__(self, dataset: Dataset, items: Sequence[ItemRow], places: Sequence[int]) -> None:
        self.problems: dict[int, InputProblem] = {}
        self._dataset = dataset
        self._items = items
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        place = self._places[index]
        item = self._items[place]
        try:
            return open_rgb(self._dataset.folder, item.image, sha256=item.content_sha256 or None)
        except UnusableImage as problem:
            self.problems[place] = InputProblem(problem.code, problem.detail)
            # Scored like any other and blanked afterwards: batches stay as they would have been,
            # and so do the other rows, to the last bit.
            return Image.new("RGB", (1, 1))


def prepare_inputs(dataset: Dataset, items: Sequence[ItemRow]) -> Inputs:
    """Return the inputs for all items that aren't quarantined, in order."""
    places = [place for place, item in enumerate(items) if not item.quarantine_code]
    if dataset.kind == Dataset.Kind.IMAGE:
        pictures = Pictures(dataset, items, places)
        return Inputs(pictures, places, pictures.problems)
    chosen = [items[place] for place in places]
    examples = _read_examples(dataset, {item.subject for item in chosen})
    questions = [
        Question(
            item.question,
            tuple(item.choices),
            item.subject,
            item.key,
            tuple(examples.get(item.subject, ())),
        )
        for item in chosen
    ]
    return Inputs(questions, places)


def _read_examples(dataset: Dataset, subjects: set[str]) -> dict[str, list[SolvedQuestion]]:
    found: dict[str, list[SolvedQuestion]] = {}
    for each in dataset.examples.filter(subject__in=subjects).order_by("position"):
        solved = SolvedQuestion(each.question, tuple(each.choices), each.answer)
        found.setdefault(each.subject, []).append(solved)
    return found
