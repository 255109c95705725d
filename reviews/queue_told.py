"""What people's verdicts say beside the queue: the depth's figures, an item's votes, examples."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from audit.methods import CALIBRATED_ENSEMBLE
from audit.models import Audit, Item
from reviews.decisions import WORDS
from reviews.models import Judgment, Policy, SampledClass
from reviews.report_cache import find_report
from reviews.services.class_cards import ClassCard, find_class_cards
from reviews.truths import JUDGMENTS, VOTES, list_truths
from scoring.pace import describe_pace

N_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of one item: classes with clean examples, and votes in words."""

    cards: list[ClassCard]
    verdicts: list[str]


def describe_depth(audit: Audit) -> dict[str, Any]:
    """Return precision and detection rate of the top 1, 2, .. bins, and a verdict's seconds.

    By people's judgments; while there are none, by the first outside source.
    """
    report = find_report(audit, JUDGMENTS, Policy.LENIENT)
    outside = [truth for truth in list_truths(audit.dataset) if truth != JUDGMENTS]
    if not report["judged"] and outside:
        report = find_report(audit, outside[0], Policy.LENIENT)
    described = report["methods"].get(CALIBRATED_ENSEMBLE)
    truth = report["truth"]
    return {
        "truth": "people's judgments" if truth == JUDGMENTS else truth.removeprefix(VOTES),
        "policy": report["policy"],
        "judged": report["judged"],
        "kind": report["kind"],
        "seconds": seconds_per_verdict(audit),
        "points": [
            {name: point[name] for name in ("k", "flagged", "precision", "detection_rate")}
            for point in (described["points"] if described else [])
        ],
    }


def seconds_per_verdict(audit: Audit) -> float | None:
    """Return the time at work that a verdict of this audit took on average, None without any."""
    decided: defaultdict[int, list[float]] = defaultdict(list)
    looked: defaultdict[int, list[float]] = defaultdict(list)
    rows = Judgment.objects.for_estimates().filter(slot__sample__audit=audit).order_by()
    for person, when, milliseconds in rows.values_list("annotator", "decided_at", "milliseconds"):
        decided[person].append(when.timestamp())
        looked[person].append(milliseconds / 1000)
    paces = [describe_pace(decided[person], looked[person]) for person in decided]
    n_verdicts = sum(pace.n for pace in paces)
    return sum(pace.active for pace in paces) / n_verdicts if n_verdicts else None


def tell_item(audit: Audit, item: Item) -> Told:
    """Return the given and the proposed classes with clean examples, and what people said."""
    proposed = audit.flags.filter(item=item).order_by("method")
    indices = list(
        dict.fromkeys([item.given_label, *proposed.values_list("proposed_label", flat=True)])
    )
    known = SampledClass.objects.filter(sample__audit=audit, index__in=indices)
    exemplars = {
        row.index: [pk for pk in row.exemplars if pk != item.pk][:N_EXAMPLES] for row in known
    }
    cards = find_class_cards(audit.dataset, indices, exemplars)
    rows = Judgment.objects.for_estimates().standing()
    said = rows.filter(slot__sample__audit=audit, slot__sampled_item__item=item).order_by("pk")
    return Told(
        cards=[cards[index] for index in indices],
        verdicts=[WORDS[verdict] for verdict in said.values_list("verdict", flat=True)],
    )
