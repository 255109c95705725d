"""Bringing a data set in: every image checked once, all of it stored or nothing."""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from audit.images import InspectedImage, UnusableImage, inspect
from audit.loaders import LoadedDataset, LoadedExample, LoadedItem
from audit.models import Act, Dataset, DatasetClass, FewShotExample, Item, Project
from audit.questions import UnusableQuestion, inspect_question
from audit.services.bulk_rows import insert_rows
from audit.services.log import write_log

BATCH = 500
Progress = Callable[[int, int], None]


class DatasetRefusedError(ValueError):
    """The data set can't be stored as asked; nothing was written."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A loaded item with what its file turned out to be."""

    loaded: LoadedItem
    image: InspectedImage | None = None
    problem: UnusableImage | UnusableQuestion | None = None


def store_dataset(
    project: Project,
    slug: str,
    source_format: str,
    loaded: LoadedDataset,
    *,
    notice: str = "",
    person: User | None = None,
    on_progress: Progress = lambda _done, _total: None,
    complete: Callable[[Dataset], None] = lambda _dataset: None,
) -> Dataset:
    """Check every image and store the data set with its items, in file order.

    An image that can't be used becomes a quarantined item with a reason; its label stays.
    ``complete`` is called in the transaction that stores it all; what it raises undoes that.
    """
    if Dataset.objects.filter(slug=slug).exists():
        raise DatasetRefusedError(f"a data set named {slug!r} exists already")
    items = [_new_item(each) for each in check_items(loaded, on_progress)]
    note_duplicates(items)
    dataset = Dataset(
        project=project,
        slug=slug,
        kind=loaded.kind,
        source_format=source_format,
        root=str(loaded.root) if loaded.root else "",
        n_items=len(items),
        n_classes=len(loaded.classes),
        n_quarantined=sum(item.problem is not None for item in items),
        sha256=hash_items(items, loaded.examples),
        notice=notice,
    )
    try:
        with transaction.atomic():
            dataset.save()
            DatasetClass.objects.bulk_create(
                [
                    DatasetClass(
                        dataset=dataset,
                        index=index,
                        name=each.name,
                        wordnet_id=each.wordnet_id,
                        gloss=each.gloss,
                        synonyms=list(each.synonyms),
                        parents=list(each.parents),
                    )
                    for index, each in enumerate(loaded.classes)
                ],
                batch_size=BATCH,
            )
            rows = (item.values(dataset.pk, place) for place, item in enumerate(items))
            insert_rows(Item, NewItem.COLUMNS, rows)
            FewShotExample.objects.bulk_create(
                [
                    FewShotExample(
                        dataset=dataset,
                        position=position,
                        subject=each.subject,
                        question=each.question,
                        choices=list(each.choices),
                        answer=each.answer,
                    )
                    for position, each in enumerate(loaded.examples)
                ],
                batch_size=BATCH,
            )
            complete(dataset)
            write_log(
                Act.DATASET_IMPORTED,
                f"data set {slug}",
                person=person,
                project=project,
                items=dataset.n_items,
                sha256=dataset.sha256,
            )
    except IntegrityError as error:
        raise DatasetRefusedError(f"a data set named {slug!r} was stored meanwhile") from error
    return dataset


def check_items(loaded: LoadedDataset, on_progress: Progress) -> Iterable[Checked]:
    """Yield the items in order, each image opened and decoded once."""
    if loaded.kind == "multiple_choice":
        yield from (_check_question(item) for item in loaded.items)
        return
    if loaded.kind != "image" or loaded.root is None:
        yield from (Checked(item) for item in loaded.items)
        return
    # Decoding releases the interpreter lock, so threads use every core.
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        results = pool.map(partial(_check_item, loaded.root), loaded.items, chunksize=32)
        for done, checked in enumerate(results, start=1):
            yield checked
            on_progress(done, len(loaded.items))


def _check_question(item: LoadedItem) -> Checked:
    try:
        inspect_question(item.question, item.choices)
    except UnusableQuestion as problem:
        return Checked(item, problem=problem)
    return Checked(item)


def _check_item(root: Path, item: LoadedItem) -> Checked:
    if not item.image:
        return Checked(item)
    try:
        return Checked(item, image=inspect(root, item.image))
    except UnusableImage as problem:
        return Checked(item, problem=problem)


@dataclass(slots=True)
class NewItem:
    """An item about to be stored. A model instance each would take ten times as long."""

    COLUMNS: ClassVar = (
        "dataset_id", "position", "key", "given_label", "image", "question", "choices", "subject",
        "content_sha256", "width", "height", "notices", "quarantine_code", "quarantine_detail",
    )  # fmt: skip

    loaded: LoadedItem
    content_sha256: str
    image: InspectedImage | None
    problem: UnusableImage | UnusableQuestion | None
    notices: tuple[str, ...]

    def values(self, dataset_id: int, position: int) -> tuple[Any, ...]:
        """Return what is stored, in the order of COLUMNS."""
        loaded, image, problem = self.loaded, self.image, self.problem
        return (
            dataset_id, position, loaded.key, loaded.label, loaded.image, loaded.question,
            _as_json(loaded.choices), loaded.subject, self.content_sha256,
            image.width if image else 0, image.height if image else 0, _as_json(self.notices),
            problem.code if problem else "", problem.detail if problem else "",
        )  # fmt: skip


def _as_json(texts: Sequence[str]) -> str:
    return json.dumps(texts) if texts else "[]"


def _new_item(checked: Checked) -> NewItem:
    image = checked.image
    return NewItem(
        checked.loaded,
        image.sha256 if image else _text_hash(checked.loaded),
        image,
        checked.problem,
        tuple(image.notices) if image else (),
    )


def note_duplicates(items: Iterable[NewItem]) -> None:
    """Note on every item that has the same content as others that it does; all keep their labels.

    ``duplicate_other_label`` where the labels differ: then at least one of them is wrong. Questions
    are the same with their choices in any order, and their labels are what the choices say.
    """
    firsts: dict[object, NewItem] = {}
    groups: defaultdict[object, list[NewItem]] = defaultdict(list)
    for item in items:
        if item.content_sha256:
            same = _content(item)
            if firsts.setdefault(same, item) is not item:
                groups[same].append(item)
    for same, others in groups.items():
        group = [firsts[same], *others]
        labels = {_meaning(item.loaded) for item in group}
        notice = "duplicate" if len(labels) == 1 else "duplicate_other_label"
        for item in group:
            item.notices = (*item.notices, notice)


def _content(item: NewItem) -> object:
    loaded = item.loaded
    return (loaded.question, *sorted(loaded.choices)) if loaded.question else item.content_sha256


def _meaning(item: LoadedItem) -> object:
    if item.choices and item.label is not None:
        return item.choices[item.label]
    return item.label


def _text_hash(loaded: LoadedItem) -> str:
    if not loaded.question:
        return ""
    return hashlib.sha256(repr((loaded.question, tuple(loaded.choices))).encode()).hexdigest()


def hash_items(items: Iterable[NewItem], examples: Iterable[LoadedExample] = ()) -> str:
    """Return the hash of a data set: keys, given labels and contents in item order, examples."""
    digest = hashlib.sha256()
    for item in items:
        loaded = item.loaded
        digest.update(f"{loaded.key}\0{loaded.label}\0{item.content_sha256}\n".encode())
    for example in examples:
        digest.update(repr((example.subject, example.question, example.choices)).encode())
        digest.update(f"\0{example.answer}\n".encode())
    return digest.hexdigest()
