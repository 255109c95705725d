"""What isn't ready is told apart from what isn't there."""

from __future__ import annotations

import pytest

from audit.models import Role
from reviews.services.releases import order_release
from tests.api.callers import caller, send
from tests.factories import make_member
from tests.reviews.test_releases import make_judged_audit

pytestmark = pytest.mark.django_db


def test_what_is_not_ready_is_told_apart_from_what_is_not_there():
    audit = make_judged_audit()
    release = order_release(audit, "lenient")
    calls = caller(make_member(audit.dataset.project, Role.MAINTAINER))
    refused = send(calls, "GET", f"/releases/{release.pk}/archive")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_ready")
    type(audit).objects.filter(pk=audit.pk).update(state="scoring")
    refused = send(calls, "GET", f"/audits/{audit.pk}/queue")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_ready")
    assert send(calls, "GET", f"/audits/{audit.pk + 1}/queue").status_code == 404
