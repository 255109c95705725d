"""The category of a label error, derived from the classes that a person ticks: the one place.

The desk proposes by the same rule: it is sent, per item, what each class would make of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from audit.models import DatasetClass
from reviews.models import Verdict

NearClasses = dict[int, dict[int, str]]
ALONE = frozenset({Verdict.LABEL_CORRECT, Verdict.UNSURE})
SAME_THING = frozenset({Verdict.SIMILAR_CLASS, Verdict.SUB_CLASS, Verdict.SUPER_CLASS})


def find_near_classes(
    classes: Sequence[DatasetClass], confusable: Iterable[tuple[int, int]]
) -> NearClasses:
    """Return per class which others are near it, and the category of an item of those.

    A WordNet descendant of the given class makes a sub-class, an ancestor a super-class; a class
    with the same nearest parent, or one that the experts confuse with it, a similar class.
    """
    near: NearClasses = defaultdict(dict)
    for one, other in (*_siblings(classes), *confusable):
        near[one][other] = near[other][one] = Verdict.SIMILAR_CLASS
    by_id = {each.wordnet_id: each.index for each in classes if each.wordnet_id}
    above = {each.wordnet_id: each.parents for each in classes if each.wordnet_id}
    for each in classes:
        for ancestor in _ancestors(each.parents, above) & by_id.keys():
            broader = by_id[ancestor]
            if broader != each.index:
                near[broader][each.index] = Verdict.SUB_CLASS
                near[each.index][broader] = Verdict.SUPER_CLASS
    return dict(near)


def _siblings(classes: Sequence[DatasetClass]) -> Iterable[tuple[int, int]]:
    """Yield the pairs that share a nearest parent: the first that a class names."""
    families: defaultdict[str, list[int]] = defaultdict(list)
    for each in classes:
        if each.parents:
            families[each.parents[0]].append(each.index)
    for family in families.values():
        for place, one in enumerate(family):
            yield from ((one, other) for other in family[place + 1 :])


def _ancestors(parents: Sequence[str], above: Mapping[str, Sequence[str]]) -> set[str]:
    """Return every id above a class, as far as the data set's classes tell."""
    found: set[str] = set()
    waiting = list(parents)
    while waiting:
        parent = waiting.pop()
        if parent not in found:
            found.add(parent)
            waiting.extend(above.get(parent, ()))
    return found


def propose_verdict(
    given_label: int, labels: Sequence[int] | None, near: Mapping[int, str]
) -> Verdict | None:
    """Return the category of what was ticked; `near` is the given label's.

    `labels` are the classes that hold, the main one first; empty when none does, None before
    anything is chosen.
    """
    if labels is None:
        return None
    if given_label in labels:
        return Verdict.LABEL_CORRECT if len(labels) == 1 else Verdict.MULTI_OBJECT
    return Verdict(near.get(labels[0], Verdict.WRONG_LABEL)) if labels else Verdict.WRONG_LABEL


def allowed_verdicts(given_label: int, labels: Sequence[int] | None) -> frozenset[Verdict]:
    """Return the verdicts that don't contradict the ticks: what a person may override with."""
    if labels is None:
        return frozenset({Verdict.UNSURE})
    if given_label not in labels:
        return SAME_THING | {Verdict.WRONG_LABEL, Verdict.UNSURE}
    return ALONE if len(labels) == 1 else ALONE | SAME_THING | {Verdict.MULTI_OBJECT}


def corrected_label(verdict: Verdict, given_label: int, labels: Sequence[int]) -> int | None:
    """Return the class that the item gets or gains: the first ticked one but the given."""
    if verdict in ALONE:
        return None
    return next((label for label in labels if label != given_label), None)
