"""The curves page: figures, switches, downloads, drawing a sample, and who may see it."""

import csv
import io
import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.models import Audit, Role
from reviews.services.sampling import freeze_sample
from reviews.services.votes import import_votes
from tests.factories import make_member, make_project, make_ready_audit
from tests.reviews.situations import judge

pytestmark = pytest.mark.django_db


@pytest.fixture
def audit():
    return make_ready_audit()


@pytest.fixture
def maintainer(audit, client):
    user = make_member(audit.dataset.project, Role.MAINTAINER)
    client.force_login(user)
    return client


def address(audit, end="curves/"):
    return f"/audits/{audit.pk}/{end}"


@pytest.mark.parametrize("end", ["curves/", "curves.json", "curves.csv"])
def test_annotators_strangers_and_visitors_dont_see_the_curves(audit, client, end):
    assert client.get(address(audit, end)).status_code == 302
    for user in (
        make_member(audit.dataset.project, Role.ANNOTATOR),
        make_member(make_project(), Role.ADMIN),
    ):
        client.force_login(user)
        assert client.get(address(audit, end)).status_code == 404
    client.force_login(make_member(audit.dataset.project, Role.ADMIN))
    assert client.get(address(audit, end)).status_code == 200


def test_without_a_sample_the_page_leads_to_drawing_one(audit, maintainer):
    page = maintainer.get(address(audit))
    assert b"First draw a sample" in page.content
    assert address(audit, "sample/").encode() in page.content
    freeze_sample(audit, size=4, unflagged=2)
    assert b"no verdict counts yet" in maintainer.get(address(audit)).content


def test_a_judged_sample_shows_counts_intervals_and_what_the_rate_is_relative_to(audit, maintainer):
    sample = freeze_sample(audit, size=6, unflagged=0)
    judge(sample, {0: "wrong_label", 1: "wrong_label", 2: "label_correct"})
    text = maintainer.get(address(audit)).content.decode()
    assert "3 of 12 items" in text
    assert "Detection rate is relative" in text
    assert "two experts, top-k bins" in text


def test_one_more_judgment_changes_the_page_on_reload(audit, maintainer):
    sample = freeze_sample(audit, size=6, unflagged=6)
    judge(sample, {0: "wrong_label", 1: "wrong_label", 6: "label_correct", 7: "label_correct"})
    before = json.loads(maintainer.get(address(audit, "curves.json")).content)
    judge(sample, {2: "label_correct"})
    after = json.loads(maintainer.get(address(audit, "curves.json")).content)
    assert after["judged"] == before["judged"] + 1
    assert after["methods"] != before["methods"]


def test_the_policy_switch_changes_what_counts(audit, maintainer):
    judge(freeze_sample(audit, size=6, unflagged=0), {0: "wrong_label", 1: "sub_class"})
    for policy, errors in (("lenient", 2), ("strict", 1), ("nonsense", 2)):
        report = maintainer.get(address(audit, "curves.json"), {"policy": policy}).json()
        assert report["errors"] == errors


def test_the_truth_switch_draws_against_outside_votes(audit, maintainer, tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text("key,annotator,labels\n00000.png,a,1\n00001.png,a,1\n")
    import_votes(audit.dataset, path, "real")
    page = maintainer.get(address(audit), {"truth": "votes:real"}).content.decode()
    assert "These votes were not drawn by us" in page
    assert 'href="?truth=votes%3Areal&amp;policy=strict"' in page
    assert maintainer.get(address(audit), {"truth": "votes:gone"}).status_code == 404


def test_the_csv_has_every_point(audit, maintainer):
    judge(freeze_sample(audit, size=6, unflagged=0), {0: "wrong_label", 1: "label_correct"})
    response = maintainer.get(address(audit, "curves.csv"))
    assert response["Content-Disposition"].startswith("attachment")
    header, *rows = csv.reader(io.StringIO(response.content.decode()))
    assert header[:3] == ["method", "set", "flagged"]
    assert [row[1] for row in rows if row[0] == "calibrated_ensemble"] == ["k=1", "k=2", "k=3"]
    assert all(len(row) == len(header) for row in rows)


def test_an_audit_under_way_has_no_curves_yet(audit, maintainer):
    Audit.objects.update(state=Audit.State.SCORING)
    page = maintainer.get(address(audit))
    assert page.status_code == 200
    assert b"No curves yet" in page.content
    assert maintainer.get(address(audit, "curves.json")).status_code == 404


def test_the_notice_of_the_data_set_is_on_the_page(audit, maintainer):
    audit.dataset.notice = "Some labels are wrong on purpose."
    audit.dataset.save()
    assert b"Some labels are wrong on purpose." in maintainer.get(address(audit)).content


def count_queries(maintainer, audit):
    with CaptureQueriesContext(connection) as captured:
        assert maintainer.get(address(audit)).status_code == 200
    return len(captured)


def test_the_page_asks_the_database_a_fixed_number_of_times(audit, maintainer):
    sample = freeze_sample(audit, size=6, unflagged=6)
    judge(sample, {0: "wrong_label", 1: "label_correct"})
    anew = count_queries(maintainer, audit)
    kept = count_queries(maintainer, audit)
    judge(sample, {2: "label_correct", 3: "wrong_label", 4: "label_correct"})
    assert count_queries(maintainer, audit) == anew
    # A query for each of the audit's three methods is among them.
    assert anew <= 22
    assert kept <= 14
