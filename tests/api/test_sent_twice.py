"""A request with a key makes one thing, however often it arrives, also twice at once."""

from __future__ import annotations

from collections import Counter
from uuid import uuid4

import pytest

from audit.models import Audit, Import, LogEntry, Role, SentRequest
from reviews.models import Release
from tests.api.callers import caller, send
from tests.factories import make_member, make_ready_audit, make_sample
from tests.reviews.situations import judge
from tests.servers import in_threads

EXPERTS = {"experts": ["stub:3-0", "stub:3-7"], "urgent": True}


@pytest.fixture
def audit(tmp_path, settings):
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "labels.csv").write_text("key,label\na,0\n")
    settings.IMPORT_ROOTS = [str(tmp_path / "open")]
    audit = make_ready_audit()
    judge(make_sample(audit, 4), {0: ("wrong_label", 1)})
    return audit


@pytest.fixture
def person(audit):
    return make_member(audit.dataset.project, Role.MAINTAINER)


def orders(audit):
    """What takes a key: where it is sent, a body, what it makes."""
    dataset = audit.dataset
    new = {"slug": "new", "format": "manifest", "path": "labels.csv"}
    saved = {"expert": "saved", "path": "labels.csv"}
    crowd = {"source": "crowd", "path": "labels.csv"}
    return {
        "audit": (f"/datasets/{dataset.pk}/audits", EXPERTS, Audit),
        "release": (f"/audits/{audit.pk}/releases", {"formats": ["csv"]}, Release),
        "data set": (f"/projects/{dataset.project_id}/imports", new, Import),
        "scores": (f"/datasets/{dataset.pk}/scores/imports", saved, Import),
        "votes": (f"/datasets/{dataset.pk}/votes/imports", crowd, Import),
    }


@pytest.mark.django_db
@pytest.mark.parametrize("what", ["audit", "release", "data set", "scores", "votes"])
def test_the_same_request_is_answered_again_and_done_once(audit, person, what):
    path, body, made = orders(audit)[what]
    calls, other, key = caller(person), caller(person), {"Idempotency-Key": str(uuid4())}
    n_before = made.objects.count()
    first = send(calls, "POST", path, body, **key)
    assert (first.status_code, "Idempotency-Replayed" in first.headers) == (201, False)
    n_logged = LogEntry.objects.count()
    # With another token of the same person, fields in another order.
    again = send(other, "POST", path, dict(reversed(body.items())), **key)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")
    assert again.json() == first.json()
    assert made.objects.count() == n_before + 1
    assert LogEntry.objects.count() == n_logged


@pytest.mark.django_db
def test_a_key_is_good_for_one_request_of_one_person(audit, person):
    path, body, _ = orders(audit)["release"]
    calls, key = caller(person), {"Idempotency-Key": str(uuid4())}
    assert send(calls, "POST", path, body, **key).status_code == 201
    for other_path, other_body in ((path, {"formats": ["jsonl"]}), orders(audit)["audit"][:2]):
        other = send(calls, "POST", other_path, other_body, **key)
        assert (other.status_code, other.json()["code"]) == (422, "key_reuse")
        assert other.json()["col"] == "Idempotency-Key"
    assert Release.objects.count() == Audit.objects.count() == 1
    colleague = caller(make_member(audit.dataset.project, Role.MAINTAINER))
    assert send(colleague, "POST", path, body, **key).status_code == 201
    # Without a key, each is one of its own.
    assert send(calls, "POST", path, body).status_code == 201
    assert Release.objects.count() == 3
    wrong = send(calls, "POST", path, body, **{"Idempotency-Key": "again"})
    assert (wrong.status_code, wrong.json()["col"]) == (422, "Idempotency-Key")


@pytest.mark.django_db
def test_what_was_refused_has_used_no_key(audit, person):
    path, _, _ = orders(audit)["audit"]
    calls, key = caller(person), {"Idempotency-Key": str(uuid4())}
    refused = send(calls, "POST", path, {"experts": ["stub:3-0"]}, **key)
    assert refused.status_code == 409
    assert not SentRequest.objects.exists()
    assert send(calls, "POST", path, EXPERTS, **key).status_code == 201


@pytest.mark.django_db
def test_who_may_no_longer_see_it_is_not_told_by_the_key(audit, person):
    path, body, _ = orders(audit)["release"]
    calls, key = caller(person), {"Idempotency-Key": str(uuid4())}
    assert send(calls, "POST", path, body, **key).status_code == 201
    audit.dataset.project.memberships.filter(user=person).delete()
    assert send(calls, "POST", path, body, **key).status_code == 404


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["audit", "release", "data set"])
def test_sent_many_times_at_once_it_is_done_once(audit, person, what):
    path, body, made = orders(audit)[what]
    key = {"Idempotency-Key": str(uuid4())}
    callers = [caller(person) for _ in range(6)]
    n_before = made.objects.count()
    answers = in_threads(lambda calls: send(calls, "POST", path, body, **key), callers, 6)
    assert Counter(each.status_code for each in answers) == {201: 6}
    assert sum("Idempotency-Replayed" in each.headers for each in answers) == 5
    assert len({each.json().get("id", each.json().get("audit")) for each in answers}) == 1
    assert made.objects.count() == n_before + 1
    assert SentRequest.objects.count() == 1
