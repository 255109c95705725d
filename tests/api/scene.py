"""One project with everything in it that the API has an address for."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User

from audit.models import Audit, Import, Measurement, Role
from audit.services.measurements import order_measurement
from reviews.services.releases import build_release, order_release
from tests.factories import make_member, make_ready_audit, make_sample
from tests.reviews.situations import judge


@dataclass(frozen=True)
class Scene:
    """An audit with what there is around it, and the numbers by which addresses name it."""

    audit: Audit
    numbers: dict[str, object]

    def member(self, role: Role) -> User:
        return make_member(self.audit.dataset.project, role)


def make_scene() -> Scene:
    """A finished audit, a sample of it, and one verdict of somebody's."""
    audit = make_ready_audit()
    sample = make_sample(audit, 4)
    (judgment,) = judge(sample, {0: ("wrong_label", 1)})
    brought = Import.objects.create(
        project=audit.dataset.project, name="brought", order={"format": "manifest"}
    )
    measurement = order_measurement(audit, Measurement.Kind.CALIBRATORS, {})
    release = order_release(audit, "lenient", formats=["csv"])
    assert build_release(release.pk)
    return Scene(
        audit,
        {
            "project": audit.dataset.project_id,
            "dataset": audit.dataset_id,
            "item": audit.dataset.items.first().pk,
            "scores": audit.score_sets.first().pk,
            "audit": audit.pk,
            "key": judgment.idempotency_key,
            "measurement": measurement.pk,
            "release": release.pk,
            "name": "manifest.json",
            "policy": "strict",
            "number": brought.pk,
        },
    )
