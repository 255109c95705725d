"""What workers do for the API's callers is stopped and taken up again: releases, measurements."""

from __future__ import annotations

import pytest

from audit.models import Measurement, Role
from audit.services import claims
from audit.services.measurements import order_measurement
from reviews.models import Release
from reviews.services.measuring import measure
from reviews.services.releases import build_release, order_release
from tests.api.callers import caller, send
from tests.factories import make_member, make_ready_audit, make_sample
from tests.reviews.situations import judge

pytestmark = pytest.mark.django_db


@pytest.fixture
def audit():
    audit = make_ready_audit()
    judge(make_sample(audit, 4), {0: ("wrong_label", 1)})
    return audit


@pytest.fixture
def calls(audit):
    return caller(make_member(audit.dataset.project, Role.MAINTAINER))


def test_a_release_is_stopped_and_built_after_all_of_what_was_decided_then(calls, audit):
    release = order_release(audit, "lenient", formats=["csv"])
    path = f"/releases/{release.pk}"
    stopped = send(calls, "POST", f"{path}/cancel").json()
    assert stopped == {"changed": True, "work": "cancelled"}
    assert send(calls, "POST", f"{path}/cancel").json() == {"changed": False, "work": "cancelled"}
    assert not build_release(release.pk)
    judge(audit.sample, {1: ("wrong_label", 1)})
    assert send(calls, "POST", f"{path}/resume").json() == {"changed": True, "work": "pending"}
    assert build_release(release.pk)
    found = send(calls, "GET", path).json()
    assert (found["work"], found["last_judgment"]) == ("done", release.last_judgment)
    for act in ("cancel", "resume"):
        unchanged = send(calls, "POST", f"{path}/{act}").json()
        assert unchanged == {"changed": False, "work": "done"}


def test_a_worker_whose_release_is_stopped_writes_nothing(calls, audit):
    release = order_release(audit, "lenient", formats=["csv"])
    epoch = claims.claim(Release.objects.get())
    send(calls, "POST", f"/releases/{release.pk}/cancel")
    assert not claims.commit(release, epoch)
    assert Release.objects.get().work == "cancelled"


def test_a_measurement_is_stopped_and_made_after_all(calls, audit):
    row = order_measurement(audit, Measurement.Kind.CALIBRATORS, {})
    path = f"/measurements/{row.pk}"
    assert send(calls, "POST", f"{path}/cancel").json() == {"changed": True, "work": "cancelled"}
    assert not measure(row.pk)
    assert send(calls, "POST", f"{path}/resume").json() == {"changed": True, "work": "pending"}
    measure(row.pk)
    assert send(calls, "GET", path).json()["work"] in {"done", "failed"}
    assert send(calls, "POST", f"{path}/cancel").json()["changed"] is False
