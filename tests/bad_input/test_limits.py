"""Limits that the code has and no setting changes: what lies just within is taken, just beyond not.

None of them can be set wrong, so nothing has to be looked at when the product starts; what counts
is that each is where it is said to be.
"""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from django.conf import settings
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse
from PIL import Image

from audit.config.web_worker import MOST_BODY, MOST_HEAD, Arriving, Refusal
from audit.derivatives import THUMB_SIDE
from audit.images import LOSSLESS_BELOW, derivative, media_type
from audit.models import Audit, Claimable, Role
from audit.services import claims
from audit.services.audits import AuditRefusedError, start_audit
from audit.views.queue import PER_PAGE
from scoring.calibration import Degenerate, TemperatureScaler
from scoring.temperature import MAX_TEMPERATURE, MIN_TEMPERATURE
from tests.factories import make_dataset, make_member, make_ready_audit, make_sample


@pytest.mark.django_db
@pytest.mark.parametrize("beyond", [0, 1])
def test_b164_a_body_may_be_a_megabyte_and_no_byte_more(beyond):
    audit = make_ready_audit()
    make_sample(audit, 4)
    client = Client()
    client.force_login(make_member(audit.dataset.project))
    body = json.dumps({"slots": []}).ljust(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + beyond)
    address = reverse("reviews:hand_back", args=[audit.pk])
    answer = client.post(address, body, content_type="application/json")
    assert answer.status_code == (413 if beyond else 200)


def test_b164_what_is_refused_by_a_page_reaches_it_and_what_is_larger_does_not():
    assert settings.DATA_UPLOAD_MAX_MEMORY_SIZE < MOST_BODY
    head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n"
    assert not Arriving(head % MOST_BODY).is_whole()
    assert Arriving(head % MOST_BODY + b"x" * MOST_BODY).is_whole()
    with pytest.raises(Refusal, match="413"):
        Arriving(head % (MOST_BODY + 1)).is_whole()
    line = b"GET / HTTP/1.1\r\nX: "
    fits = line + b"x" * (MOST_HEAD - len(line))
    assert Arriving(fits + b"\r\n\r\n").is_whole()
    assert not Arriving(fits).is_whole()
    with pytest.raises(Refusal, match="431"):
        Arriving(fits + b"x").is_whole()


@pytest.mark.django_db
@pytest.mark.parametrize("n_flags", [PER_PAGE - 1, PER_PAGE, PER_PAGE + 1])
def test_b166_a_page_is_full_before_another_begins(n_flags):
    audit = make_ready_audit(make_dataset(n_items=PER_PAGE + 1), n_flags=n_flags)
    client = Client()
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    for number, expected in ((1, min(n_flags, PER_PAGE)), (2, max(n_flags - PER_PAGE, 0))):
        answer = client.get(reverse("audit:queue", args=[audit.pk]), {"page": number})
        has_page = number <= answer.context["page"].paginator.num_pages
        assert len(answer.context["shown"]) == (expected if has_page else n_flags)


@pytest.mark.parametrize(
    ("temperature", "fits"),
    [
        (MIN_TEMPERATURE * 0.999, False),
        (MIN_TEMPERATURE * 1.001, True),
        (MAX_TEMPERATURE * 0.999, True),
        (MAX_TEMPERATURE * 1.001, False),
    ],
)
def test_b168_a_temperature_lies_between_its_bounds_or_is_none(temperature, fits):
    # A margin of log 3 at the temperature's scale, and the upper class right in 3 of 4.
    margin = temperature * np.log(3)
    logits = np.tile([[0.0, margin], [margin, 0.0]], (20, 1))
    labels = np.tile([1, 0, 1, 0, 1, 0, 0, 1], 5)
    if fits:
        assert TemperatureScaler.fit(logits, labels).temperature == pytest.approx(temperature)
        return
    with pytest.raises(Degenerate) as refusal:
        TemperatureScaler.fit(logits, labels)
    assert refusal.value.reason == "at_bound"


@pytest.mark.django_db
@pytest.mark.parametrize(("n_bins", "fits"), [(0, False), (1, True), (1000, True), (1001, False)])
def test_b169_an_audit_has_one_to_a_thousand_bins_also_in_the_database(n_bins, fits):
    dataset, experts = make_dataset(), ["stub:3-1", "stub:3-2"]
    if fits:
        assert start_audit(dataset, experts, n_bins=n_bins).n_bins == n_bins
        return
    with pytest.raises(AuditRefusedError, match=r"must lie in 1\.\.1000"):
        start_audit(dataset, experts, n_bins=n_bins)
    with pytest.raises(IntegrityError):
        Audit.objects.create(dataset=dataset, n_bins=n_bins)


@pytest.mark.django_db
def test_b170_work_is_tried_as_often_as_is_said_and_then_given_up():
    audit = Audit.objects.create(dataset=make_dataset(), state=Audit.State.CALIBRATING)
    for attempt in range(1, claims.MAX_ATTEMPTS + 1):
        Audit.objects.update(not_before=None)
        audit.refresh_from_db()
        assert claims.claim(audit) is not None
        audit.refresh_from_db()
        assert audit.attempts == attempt
        gave_up = claims.retry_or_fail(audit, "broken")
        assert gave_up == (attempt == claims.MAX_ATTEMPTS)
    audit.refresh_from_db()
    assert (audit.work, audit.error) == (Claimable.Work.FAILED, "broken")


@pytest.mark.parametrize(
    ("side", "shown", "kind"),
    [
        (LOSSLESS_BELOW - 1, LOSSLESS_BELOW - 1, "image/png"),
        (LOSSLESS_BELOW, LOSSLESS_BELOW, "image/webp"),
        (THUMB_SIDE - 1, THUMB_SIDE - 1, "image/webp"),
        (THUMB_SIDE, THUMB_SIDE, "image/webp"),
        (THUMB_SIDE + 1, THUMB_SIDE, "image/webp"),
    ],
)
def test_b171_a_thumbnail_is_no_larger_than_it_may_be_and_no_smaller_than_it_can(side, shown, kind):
    content = derivative(Image.new("RGB", (side, side // 2)), THUMB_SIDE)
    assert max(Image.open(io.BytesIO(content)).size) == shown
    assert media_type(content) == kind
