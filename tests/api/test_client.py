"""The client of the API: what it is sent, what it makes of it, and that it stands alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from django.core.wsgi import get_wsgi_application

import label_audit_client
from audit.models import Audit, Role
from audit.services import claims
from label_audit_client import ApiError, LabelAudit, StoppedError, connection
from reviews.models import Judgment, Release
from reviews.release_files import release_folder
from reviews.services.releases import build_release
from tests.api.callers import secret_of
from tests.api.names import METHODS
from tests.api.operations import registered
from tests.factories import make_member, make_ready_audit, make_sample

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("kept_connection")]


@pytest.fixture
def audit():
    audit = make_ready_audit()
    make_sample(audit, 4)
    return audit


@pytest.fixture
def site(audit):
    return connect(audit)


def connect(audit, transport=None, role=Role.ADMIN):
    secret = secret_of(make_member(audit.dataset.project, role))
    served = transport or httpx2.WSGITransport(app=get_wsgi_application())
    return LabelAudit("http://localhost", secret, transport=served)


def test_the_client_stands_alone():
    code = (
        "import sys, label_audit_client; "
        "print(sorted({'django', 'audit', 'reviews', 'scoring', 'numpy', 'ninja', 'pydantic'} "
        "& set(sys.modules)))"
    )
    root = Path(label_audit_client.__file__).parents[1]
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_whole_audit_is_read_judged_and_released(site, audit, tmp_path):
    assert site.me()["token"]["scopes"] == ["read", "judge", "manage", "release"]
    (project,) = site.projects()
    assert site.project(project["id"])["role"] == "admin"
    assert len(list(site.members(project["id"]))) == 1
    (dataset,) = site.datasets()
    assert [each["position"] for each in site.items(dataset["id"])] == list(range(12))
    assert len(list(site.classes(dataset["id"]))) == 3
    (found,) = site.audits()
    number = found["id"]
    assert site.wait_for_audit(number)["disputed"] == 6
    assert [flag["rank"] for flag in site.queue(number, k=1)] == [1, 2]
    claimed = site.claim(number)["items"]
    assert site.image(claimed[0]["item"]).startswith(b"\x89PNG")
    keys = [
        site.judge(number, each["ticket"], labels=[1], milliseconds=1500) for each in claimed[:3]
    ]
    assert site.judgment(number, keys[0])["verdict"] == "wrong_label"
    newer = site.revise(number, keys[0], labels=[0], milliseconds=900)
    assert site.judgment(number, newer)["verdict"] == "label_correct"
    again = site.undo(number, keys[2])
    site.judge(number, again["ticket"], labels=[2], milliseconds=1500)
    assert len(list(site.judgments(number))) == 3
    assert site.hand_back(number, site.keep(number)["held"]) == 1
    assert site.report(number, policy="strict")["judged"] == 3
    assert site.comparison(number)["headline"]["sentence"]
    assert site.verify_judgments(number)["intact"] is True
    release = site.order_release(number, formats=["csv"])
    assert build_release(release["id"])
    assert site.wait_for_release(release["id"])["files"].keys() >= {"labels.csv"}
    target = tmp_path / "labels.csv"
    site.download_file(release["id"], "labels.csv", target)
    assert target.read_bytes() == (release_folder(number, 1) / "labels.csv").read_bytes()
    assert site.verify_release(release["id"])["intact"] is True


def test_a_download_goes_on_where_it_broke_off(site, audit, tmp_path, monkeypatch):
    item = site.claim(audit.pk)["items"][0]
    site.judge(audit.pk, item["ticket"], labels=[1], milliseconds=1500)
    release = site.order_release(audit.pk)["id"]
    assert build_release(release)
    target, whole = tmp_path / "part.tar", tmp_path / "whole.tar"
    site.download_release(release, whole)
    read = connection.Connection.read
    asked = []

    def break_off(self, path, start=0, tag=""):
        asked.append(start)
        blocks = read(self, path, start, tag)
        if start:
            yield from blocks
        else:
            yield next(blocks)[:100]
            raise httpx2.ReadError("gone")

    monkeypatch.setattr(connection.Connection, "read", break_off)
    with pytest.raises(httpx2.ReadError):
        site.download_release(release, target)
    assert not target.exists()
    site.download_release(release, target)
    assert asked == [0, 100]
    assert target.read_bytes() == whole.read_bytes()
    assert sorted(each.name for each in tmp_path.glob("*.tar*")) == ["part.tar", "whole.tar"]


def test_refusals_are_one_exception_with_the_reason(site, audit):
    with pytest.raises(ApiError, match="nothing for you") as missing:
        site.audit(audit.pk + 1)
    assert (missing.value.status, missing.value.code) == (404, "not_found")
    with pytest.raises(ApiError) as wrong:
        site.report(audit.pk, policy="magic")
    assert (wrong.value.code, wrong.value.col) == ("invalid", "policy")
    Audit.objects.update(state="failed", error="out of disk")
    with pytest.raises(StoppedError, match="out of disk"):
        site.wait_for_audit(audit.pk)


def test_a_release_that_was_cancelled_is_no_longer_waited_for(site, audit):
    item = site.claim(audit.pk)["items"][0]
    site.judge(audit.pk, item["ticket"], labels=[1], milliseconds=1500)
    release = site.order_release(audit.pk)["id"]
    assert claims.cancel(Release.objects.get())
    assert [each["work"] for each in site.releases(audit.pk)] == ["cancelled"]
    with pytest.raises(StoppedError, match="is cancelled"):
        site.wait_for_release(release)


class Stumbling(httpx2.BaseTransport):
    """A way to the site on which the first answers get lost, after the site has done its part."""

    def __init__(self, n_lost: int):
        self.served = httpx2.WSGITransport(app=get_wsgi_application())
        self.n_lost, self.seen = n_lost, []

    def handle_request(self, request):
        self.seen.append(request)
        answer = self.served.handle_request(request)
        if len(self.seen) <= self.n_lost:
            answer.close()
            raise httpx2.ReadError("lost")
        return answer


def test_a_verdict_whose_answer_is_lost_is_sent_again_and_kept_once(audit, site, monkeypatch):
    monkeypatch.setattr(connection, "FIRST_PAUSE", 0)
    stumbling = Stumbling(0)
    site = connect(audit, stumbling)
    ticket = site.claim(audit.pk)["items"][0]["ticket"]
    stumbling.n_lost = len(stumbling.seen) + 2
    site.judge(audit.pk, ticket, labels=[0], milliseconds=1200)
    assert Judgment.objects.count() == 1
    assert len({each.headers["Idempotency-Key"] for each in stumbling.seen[1:]}) == 1
    assert len(stumbling.seen) == 4
    # What has no key is never sent twice: it might happen twice.
    stumbling.n_lost = len(stumbling.seen) + 1
    with pytest.raises(httpx2.ReadError):
        site.cancel_audit(audit.pk)


@pytest.mark.row("A34")
def test_the_token_is_in_the_header_alone_and_goes_nowhere_else(audit):
    stumbling = Stumbling(0)
    site = connect(audit, stumbling)
    site.me()
    (request,) = stumbling.seen
    secret = request.headers["Authorization"].removeprefix("Bearer ")
    assert secret.startswith("laudit_")
    assert secret not in str(request.url)
    assert "cookie" not in request.headers
    elsewhere = httpx2.MockTransport(
        lambda _: httpx2.Response(302, headers={"Location": "http://elsewhere.example/"})
    )
    site = LabelAudit("http://localhost", secret, transport=elsewhere)
    with pytest.raises(ApiError) as refused:
        site.me()
    assert refused.value.status == 302


def test_every_operation_has_its_method():
    """Named where they differ from the API's own names; a new operation is not forgotten here."""
    for name, *_ in registered():
        assert callable(getattr(LabelAudit, METHODS.get(name, name))), name
