"""One project with everything in it that the API has an address for."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User

from audit.models import Audit, Role
from tests.factories import make_member, make_ready_audit


@dataclass(frozen=True)
class Scene:
    """An audit with what there is around it, and the numbers by which addresses name it."""

    audit: Audit
    numbers: dict[str, object]

    def member(self, role: Role) -> User:
        return make_member(self.audit.dataset.project, role)


def make_scene() -> Scene:
    audit = make_ready_audit()
    return Scene(audit, {"project": audit.dataset.project_id})
