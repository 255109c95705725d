"""The release page: preview, ordering, polling, downloads, and who may do any of it."""

import pytest

from audit.models import Role
from reviews import tasks
from reviews.models import Release
from reviews.services.releases import build_release, order_release
from tests.factories import make_member, make_project, make_ready_audit
from tests.reviews.test_releases import make_judged_audit

pytestmark = pytest.mark.django_db


@pytest.fixture
def audit():
    return make_judged_audit()


@pytest.fixture
def maintainer(audit, client):
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    return client


@pytest.fixture
def sent(monkeypatch):
    """The wake-ups that would go to the broker."""
    wake_ups = []
    monkeypatch.setattr(tasks.build_release, "delay", wake_ups.append)
    return wake_ups


def address(audit, end=""):
    return f"/audits/{audit.pk}/releases/{end}"


def test_annotators_strangers_and_visitors_see_no_releases(audit, client):
    release = order_release(audit, "lenient")
    build_release(release.pk)
    pages = [address(audit), address(audit, "list/"), f"/releases/{release.pk}/labels.csv"]
    for page in pages:
        assert client.get(page).status_code == 302
    for user in (
        make_member(audit.dataset.project, Role.ANNOTATOR),
        make_member(make_project(), Role.ADMIN),
    ):
        client.force_login(user)
        assert [client.get(page).status_code for page in pages] == [404, 404, 404]
        assert client.post(address(audit), {"policy": "lenient"}).status_code == 404
    assert Release.objects.count() == 1


def test_the_preview_shows_what_changes_and_the_votes_behind_it(audit, maintainer):
    text = maintainer.get(address(audit)).content.decode()
    assert "annotator-1" in text
    assert "example.org" not in text
    assert text.count('class="change-row"') == 3
    strict = maintainer.get(address(audit), {"policy": "strict"}).content.decode()
    assert strict.count('class="change-row"') == 2
    assert "Build with the strict policy" in strict


def test_ordering_a_release_writes_a_row_and_leaves_the_wake_up_to_the_workers(
    audit, maintainer, sent
):
    response = maintainer.post(address(audit), {"policy": "strict"})
    assert response["Location"] == address(audit)
    release = Release.objects.get()
    assert (release.policy, sent) == ("strict", [])
    assert b"hx-trigger" in maintainer.get(address(audit, "list/")).content
    build_release(release.pk)
    page = maintainer.get(address(audit, "list/")).content
    assert b"hx-trigger" not in page
    assert b"labels.csv" in page


def test_a_wake_up_is_sent_once_until_it_must_have_got_lost(audit, sent):
    release = order_release(audit, "lenient")
    assert tasks.announce_releases() == 1
    assert tasks.announce_releases() == 0
    Release.objects.update(announced_at="2020-01-01T00:00Z")
    assert tasks.announce_releases() == 1
    assert sent == [release.pk] * 2


def test_an_unknown_policy_is_refused(audit, maintainer, sent):
    assert maintainer.post(address(audit), {"policy": "magic"}).status_code == 422
    assert not Release.objects.exists()


def test_files_come_as_downloads_and_nothing_else(audit, maintainer):
    release = order_release(audit, "lenient")
    assert maintainer.get(f"/releases/{release.pk}/labels.csv").status_code == 404
    build_release(release.pk)
    for name in ("labels.csv", "votes.csv", "patch.csv", "manifest.json"):
        response = maintainer.get(f"/releases/{release.pk}/{name}")
        assert response["Content-Disposition"].startswith("attachment")
        assert response["X-Content-Type-Options"] == "nosniff"
        assert b"".join(response)
    for name in ("secret_key", "..%2Fsecret_key", "nothing.csv"):
        assert maintainer.get(f"/releases/{release.pk}/{name}").status_code == 404


def test_without_judgments_the_page_leads_to_the_desk(client):
    audit = make_ready_audit()
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    assert b"Nothing to release yet" in client.get(address(audit)).content
    client.post(address(audit), {"policy": "lenient"})
    assert b"nothing is judged yet" in client.get(address(audit)).content
    assert not Release.objects.exists()


def test_the_page_asks_the_database_a_fixed_number_of_times(
    audit, maintainer, django_assert_max_num_queries
):
    for _ in range(3):
        order_release(audit, "lenient")
    with django_assert_max_num_queries(16):
        maintainer.get(address(audit))
