"""Whether what people judged is still what the data set holds: items and names as hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from audit.models import DatasetClass, Item
from reviews.models import Sample


def hash_item(item: Item, given: DatasetClass | None) -> str:
    """Return the hash of what there is to see of an item and of the class it is labelled with."""
    seen = [item.content_sha256, item.question, item.choices, item.given_label]
    if given is not None:
        seen += [given.name, given.wordnet_id, given.gloss]
    return hashlib.sha256(json.dumps(seen, ensure_ascii=False).encode()).hexdigest()


def hash_items(items: Sequence[Item]) -> dict[int, str]:
    """Return the hashes of items of one data set, by id."""
    if not items:
        return {}
    classes = {row.index: row for row in items[0].dataset.classes.all()}
    return {item.pk: hash_item(item, classes.get(item.given_label)) for item in items}


def find_changed_items(sample: Sample) -> list[Item]:
    """Return the sampled items that are no longer what they were when they were drawn."""
    drawn = list(sample.items.exclude(revision="").select_related("item__dataset"))
    now = hash_items([row.item for row in drawn])
    return [row.item for row in drawn if now[row.item_id] != row.revision]
