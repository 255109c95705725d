"""Confident Learning's suggestions from the classes that experts find likely, without the rest.

A mean over experts that reaches a threshold is reached by one of them, and a class that an expert
has not listed is less probable than ``LIKELY`` to it. So where all thresholds are at least that,
few pairs of item and class need a look, and still fewer a look into the logits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scoring.arrays import Chunk, Floats, Ints, Mask, Rows, chunk_rows, working_type
from scoring.confidence import ScoredItems
from scoring.mapped_pages import PagesRead
from scoring.readings import BLOCK, LIKELY
from scoring.suggestions import LARGEST_SLACK, Collision, Suggestions, likeliest, relaxed


def likely_suggestions(
    readers: Sequence[Rows],
    scored: Sequence[ScoredItems],
    valid: Mask,
    on_given: Floats,
    thresholds: Floats,
    collisions: Sequence[Collision],
) -> Iterator[tuple[Collision, Suggestions]]:
    """Yield the suggestions for the ``valid`` items (n_items,), block by block.

    ``on_given`` (n_items,): the mean probability of the given label; ``thresholds`` (n_classes,):
    each at least ``LIKELY`` plus the slack that the rules grant. Items whose given label leaves no
    other class enough are left out.
    """
    kind = np.result_type(*(working_type(rows) for rows in readers))
    least = thresholds - 2 * LARGEST_SLACK
    for start in range(0, valid.size, BLOCK):
        block = slice(start, start + BLOCK)
        is_open = valid[block] & (1.0 - on_given[block] >= least.min())
        experts = [
            _Expert.of(rows, items, block, is_open, kind)
            for rows, items in zip(readers, scored, strict=True)
        ]
        pairs = _merge([each.pairs[each.chances >= least[each.classes]] for each in experts])
        pairs, chances = _means(experts, pairs, least[pairs % thresholds.size])
        items, classes = np.divmod(pairs, thresholds.size)
        for collision in collisions:
            passing = chances >= relaxed(thresholds, collision, kind)[classes]
            found = likeliest(items[passing], classes[passing], chances[passing])
            if collision == "cleanlab":
                found = _likeliest_of_all(experts, items[passing], found)
            yield collision, found


def _likeliest_of_all(
    experts: Sequence[_Expert], passing_items: Ints, found: Suggestions
) -> Suggestions:
    """Return what is found, but the likeliest of all classes for items with several passing."""
    several = found.items[
        np.diff(np.searchsorted(passing_items, found.items), append=passing_items.size) > 1
    ]
    n_classes = experts[0].n_classes
    pairs = _merge([each.pairs[np.isin(each.pairs // n_classes, several)] for each in experts])
    least = found.chances[np.searchsorted(found.items, pairs // n_classes)]
    pairs, chances = _means(experts, pairs, least)
    items, classes = np.divmod(pairs, n_classes)
    kept = ~np.isin(found.items, several)
    best = Suggestions.join([found.take(kept), likeliest(items, classes, chances)])
    return best.take(np.argsort(best.items))


def _merge(pairs: Sequence[Ints]) -> Ints:
    """Return each pair once, in rising order; numpy.unique hashes, which takes longer."""
    merged = np.sort(np.concatenate(pairs))
    return merged[np.diff(merged, prepend=-1) > 0]


def _means(experts: Sequence[_Expert], pairs: Ints, least: Chunk) -> tuple[Ints, Chunk]:
    """Return those rising pairs whose mean probability may reach ``least``, and that mean."""
    known = np.stack([each.known_chances(pairs) for each in experts])
    possible = _mean(np.where(np.isnan(known), known.dtype.type(LIKELY), known)) >= least
    pairs, known = pairs[possible], known[:, possible]
    for row, each in zip(known, experts, strict=True):
        gaps = np.flatnonzero(np.isnan(row))
        row[gaps] = each.look_up(pairs[gaps])
    return pairs, _mean(known)


def _mean(known: Chunk) -> Chunk:
    mean: Chunk = known.sum(axis=0) / known.dtype.type(len(known))
    return mean


@dataclass(frozen=True, slots=True)
class _Expert:
    """What an expert finds likely in a block of items.

    ``pairs`` of the open items, item * n_classes + class, and their probabilities ``chances``; the
    top classes come first, then the listed ones. ``listed`` are the pairs of all items in the
    block, rising, which begin at ``begin`` of the expert's whole list.
    """

    rows: Rows
    scored: ScoredItems
    kind: np.dtype[Any]
    pairs: Ints
    chances: Chunk
    listed: Ints
    begin: int
    n_classes: int

    @classmethod
    def of(
        cls, rows: Rows, scored: ScoredItems, block: slice, is_open: Mask, kind: np.dtype[Any]
    ) -> _Expert:
        if scored.likely is None:
            raise ValueError("the likely classes of these items have not been listed")
        n_classes = rows.shape[1]
        listed = scored.likely.items
        begin, end = np.searchsorted(listed, [block.start, block.start + is_open.size])
        items = listed[begin:end].astype(np.int64)
        pairs = items * n_classes + scored.likely.classes[begin:end]
        top = np.flatnonzero(is_open) + block.start
        some = np.flatnonzero(is_open[items - block.start])
        chances = _chances(scored, items[some], scored.likely.distances[begin:end][some])
        return cls(
            rows,
            scored,
            kind,
            np.concatenate([top * n_classes + scored.top1[top], pairs[some]]),
            np.concatenate([scored.confidence[top].astype(kind), chances], dtype=kind),
            pairs,
            int(begin),
            n_classes,
        )

    @property
    def classes(self) -> Ints:
        return self.pairs % self.n_classes

    def known_chances(self, pairs: Ints) -> Chunk:
        """Return the probabilities of rising pairs of the block, NaN where not listed."""
        chances = np.full(pairs.size, np.nan, dtype=self.kind)
        items, classes = np.divmod(pairs, self.n_classes)
        on_top = classes == self.scored.top1[items]
        chances[on_top] = self.scored.confidence[items[on_top]]
        places = np.searchsorted(self.listed, pairs)
        found = np.flatnonzero(np.append(self.listed, -1)[places] == pairs)
        if self.scored.likely is not None:
            distances = self.scored.likely.distances[self.begin + places[found]]
            chances[found] = _chances(self.scored, items[found], distances)
        return chances

    def look_up(self, pairs: Ints) -> Chunk:
        """Return the probabilities of rising pairs that are not listed, from the logits."""
        items, classes = np.divmod(pairs, self.n_classes)
        logits = np.empty((2, items.size), dtype=working_type(self.rows))
        size = chunk_rows(self.n_classes)
        pages = PagesRead()
        for chunk in np.unique(items // size):
            here = slice(*np.searchsorted(items, [chunk * size, (chunk + 1) * size]))
            stored = self.rows[chunk * size : (chunk + 1) * size]
            inside = items[here] - chunk * size
            logits[0, here] = stored[inside, classes[here]]
            logits[1, here] = stored[inside, self.scored.top1[items[here]]]
            pages.add(stored)
        pages.release()
        return _chances(self.scored, items, logits[0] - logits[1])


def _chances(scored: ScoredItems, items: Ints, distances: Chunk) -> Chunk:
    """Return the probability of classes so far from the top one's logit, (n_pairs,)."""
    inverse = (1.0 / scored.temperature[items]).astype(distances.dtype)
    chances: Chunk = np.exp(distances * inverse)
    chances *= scored.others_scale[items].astype(distances.dtype)
    return chances
