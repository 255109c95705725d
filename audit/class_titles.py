"""Names of classes where people choose between them: of two that share one, which is which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from audit.models import DatasetClass


def tell_apart(classes: Iterable[DatasetClass]) -> list[str]:
    """Return one name per class, no two the same: of a name twice, the id or index says which."""
    known = list(classes)
    counts = Counter(each.name for each in known)
    return [
        each.name if counts[each.name] == 1 else f"{each.name} ({each.wordnet_id or each.index})"
        for each in known
    ]


def name_classes(classes: dict[int, DatasetClass]) -> dict[int, str]:
    """Return the name of each class by its index."""
    return dict(zip(classes, tell_apart(classes.values()), strict=True))
