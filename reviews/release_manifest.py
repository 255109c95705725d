"""What a release says of itself: where its labels come from, and the hash of every file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from audit.models import Audit
from reviews.decisions import Action, Snapshot
from reviews.models import Adjudication, Judgment, QuestionVerdict, Sample, Verdict
from reviews.models.judgments import TAXONOMY_VERSION
from reviews.policies import ReleasePolicy

FORMAT = "label-audit release 2"


@dataclass(slots=True)
class Tally:
    """What the files hold, counted while they are written."""

    actions: Counter[str] = field(default_factory=Counter)
    n_judged: int = 0


def describe_release(
    audit: Audit, policy: ReleasePolicy, snapshot: Snapshot, formats: Sequence[str], tally: Tally
) -> dict[str, Any]:
    """Return where the labels come from: data, experts, sample, policy. No time, no person."""
    dataset = audit.dataset
    verdicts = QuestionVerdict if dataset.has_questions else Verdict
    return {
        "format": FORMAT,
        "code_version": settings.LABEL_AUDIT_VERSION,
        "formats": list(formats),
        "dataset": {
            "slug": dataset.slug,
            "sha256": dataset.sha256,
            "items": dataset.n_items,
            "classes": dataset.n_classes,
            "quarantined": dataset.n_quarantined,
            "notice": dataset.notice,
        },
        "audit": {
            "id": audit.pk,
            "sha256": audit.sha256,
            "bins": audit.n_bins,
            "bins_over": audit.bins_over,
            "calibrator": audit.calibrator,
            "require_agreement": audit.require_agreement,
            "seed": audit.seed,
        },
        "experts": [
            {
                "name": expert.name,
                "scores_sha256": expert.score_set.sha256,
                "card": expert.score_set.card,
                "calibration": expert.calibration,
            }
            for expert in audit.experts.select_related("score_set")
        ],
        "policy": {
            "name": policy.name,
            "version": policy.version,
            "definition": policy.describe(),
            "errors": sorted(policy.errors),
        },
        "taxonomy": {"version": TAXONOMY_VERSION, "verdicts": dict(verdicts.choices)},
        "sample": _describe_sample(audit),
        "last_judgment": snapshot.judgment,
        "last_judgment_sha256": find_hash(Judgment, snapshot.judgment),
        "last_adjudication": snapshot.adjudication,
        "last_adjudication_sha256": find_hash(Adjudication, snapshot.adjudication),
        "judged": tally.n_judged,
        "counts": {action.value: tally.actions[action] for action in Action},
    }


def find_hash(table: type[Judgment] | type[Adjudication], number: int) -> str | None:
    """Return the newest row's hash, which covers all that was decided in the audit before it."""
    return table.objects.filter(pk=number).values_list("hash", flat=True).first()


def _describe_sample(audit: Audit) -> dict[str, Any] | None:
    sample = Sample.objects.filter(audit=audit).first()
    if sample is None:
        return None
    return {
        "seed": sample.seed,
        "votes_per_item": sample.votes_per_item,
        "items": sample.n_items,
        "strata": [
            {"name": row.name, "population": row.n_population, "drawn": row.n_drawn}
            for row in sample.strata.all()
        ],
    }
