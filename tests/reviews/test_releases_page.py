"""The release page: preview, ordering, polling, downloads, and who may do any of it."""

import io
import re
import shutil
import tarfile

import pytest

from audit.models import Role
from reviews import release_previews, tasks
from reviews.models import Judgment, Release, StoredPolicy
from reviews.policies import find_policy
from reviews.release_files import release_folder
from reviews.services import releases
from reviews.services.releases import build_release, order_release
from tests.factories import make_member, make_project, make_ready_audit
from tests.reviews.situations import revise
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
    response = maintainer.post(address(audit), {"policy": "strict", "formats": ["csv", "hf"]})
    assert response["Location"] == address(audit, "?policy=strict")
    release = Release.objects.get()
    assert (release.policy, release.formats, sent) == ("strict", ["csv", "hf"], [])
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
    said = {"policy": "magic", "formats": ["csv"]}
    assert maintainer.post(address(audit), said).status_code == 422
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
    client.post(address(audit), {"policy": "lenient", "formats": ["csv"]})
    assert b"nothing is judged yet" in client.get(address(audit)).content
    assert not Release.objects.exists()


def test_the_page_asks_the_database_a_fixed_number_of_times(
    audit, maintainer, django_assert_max_num_queries
):
    for _ in range(3):
        order_release(audit, "lenient")
    with django_assert_max_num_queries(28):
        maintainer.get(address(audit))
    with django_assert_max_num_queries(20):
        maintainer.get(address(audit))


def test_every_item_is_decided_once_until_somebody_says_more(audit, maintainer, monkeypatch):
    decided = []
    honest = release_previews.decide_all

    def decide_all(*arguments):
        decided.append(len(arguments) == 4)  # all items, not those of a page alone
        return honest(*arguments)

    monkeypatch.setattr(release_previews, "decide_all", decide_all)
    pages = [maintainer.get(address(audit)).content for _ in range(2)]
    assert (decided.count(True), decided.count(False)) == (1, 2)
    maintainer.get(address(audit), {"policy": "strict"})
    assert decided.count(True) == 2
    change = Judgment.objects.filter(verdict="wrong_label").first()
    revise(change, "label_correct")
    after = maintainer.get(address(audit))
    assert decided.count(True) == 3
    assert pages[0].count(b'class="change-row"') == pages[1].count(b'class="change-row"') == 3
    assert after.content.count(b'class="change-row"') == 2
    counts = dict(after.context["preview"].counts)
    assert sum(counts.values()) == audit.dataset.n_items


def act(client, release, what):
    return client.post(f"/releases/{release.pk}/{what}/", follow=True).content.decode()


def test_a_build_is_cancelled_while_it_is_written_and_built_anew_when_resumed(
    audit, maintainer, monkeypatch
):
    release = order_release(audit, "lenient")
    honest = releases.publish_release

    def cancel_on_the_way(*arguments):
        assert "Release 1 is cancelled." in act(maintainer, release, "cancel")
        arguments[-1](7)  # what is written so far
        raise AssertionError("it goes on")

    monkeypatch.setattr(releases, "publish_release", cancel_on_the_way)
    monkeypatch.setattr(releases, "PROGRESS_SECONDS", 0)
    assert not build_release(release.pk)
    release.refresh_from_db()
    assert (release.work, release.manifest) == ("cancelled", {})
    assert not release_folder(audit.pk, 1).exists()
    assert "nothing to cancel" in act(maintainer, release, "cancel")
    assert tasks.announce_releases() == 0
    monkeypatch.setattr(releases, "publish_release", honest)
    assert "Release 1 is built again" in act(maintainer, release, "resume")
    assert build_release(release.pk)
    assert "nothing to resume" in act(maintainer, release, "resume")


def order(audit, *formats):
    release = order_release(audit, "lenient", formats=formats or ["csv"])
    build_release(release.pk)
    return release


def test_formats_that_the_data_set_cant_be_written_in_say_why_and_are_refused(audit, maintainer):
    text = maintainer.get(address(audit)).content.decode()
    assert "class 0&#x27; has none" in text
    assert text.count('name="formats"') == 14
    assert text.count("disabled") == 3
    said = {"policy": "lenient", "formats": ["csv", "mmlu-csv"]}
    page = maintainer.post(address(audit), said, follow=True).content.decode()
    assert "mmlu-csv holds questions" in page
    none = maintainer.post(address(audit), {"policy": "lenient"})
    assert (none.status_code, b"Choose a format at least" in none.content) == (422, True)
    assert not Release.objects.exists()


def policy_data(**changes):
    return {
        "base": "lenient", "name": "ours", "rule": "majority", "undecided": "mark",
        "without_class": "exclude", "wrong_label": "relabel", "multi_object": "keep",
        "similar_class": "exclude", "sub_class": "keep", "super_class": "keep", **changes,
    }  # fmt: skip


def test_a_policy_stored_on_the_page_previews_at_once(audit, maintainer):
    response = maintainer.post(address(audit, "policy/"), policy_data(), follow=True)
    text = response.content.decode()
    assert "Policy ours is stored as version 1" in text
    assert "Build with the ours policy" in text
    assert text.count('class="change-row"') == 2
    assert "keeps its label and is listed apart" in text
    policy = find_policy("ours", audit.dataset.project_id)
    assert policy.errors >= {"wrong_label", "similar_class"}
    assert not policy.adjudicated_first
    assert policy.deeds["no_correct"] == "exclude"  # what the form didn't ask stays
    again = policy_data(rule="count", needed="2", asked="3", adjudicated_first="on")
    maintainer.post(address(audit, "policy/"), again)
    policy = find_policy("ours", audit.dataset.project_id)
    assert (policy.version, policy.needed, policy.adjudicated_first) == (2, 2, True)
    curves = maintainer.get(f"/audits/{audit.pk}/curves/", {"policy": "ours"}).content.decode()
    assert 'aria-current="true">ours' in curves


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "strict"}, "built in"),
        ({"name": ""}, "This field is required"),
        ({"rule": "count"}, "give both numbers"),
        ({"rule": "count", "needed": 3, "asked": 2}, "3 of 2 votes"),
        ({"wrong_label": "burn"}, "not one of the available choices"),
    ],
)
def test_a_policy_that_cant_be_one_is_refused_on_the_page(audit, maintainer, changes, reason):
    response = maintainer.post(address(audit, "policy/"), policy_data(**changes))
    assert response.status_code == 422
    assert reason in response.content.decode()
    assert not StoredPolicy.objects.exists()


def test_a_download_goes_on_where_it_broke_off(audit, maintainer):
    release = order(audit)
    url = f"/releases/{release.pk}/labels.csv"
    whole = maintainer.get(url)
    content, etag = b"".join(whole), whole["ETag"]
    assert (whole.status_code, whole["Accept-Ranges"]) == (200, "bytes")
    assert whole["Content-Length"] == str(len(content))
    rest = maintainer.get(url, headers={"Range": "bytes=20-", "If-Range": etag})
    assert (rest.status_code, b"".join(rest)) == (206, content[20:])
    assert rest["Content-Range"] == f"bytes 20-{len(content) - 1}/{len(content)}"
    assert rest["Content-Length"] == str(len(content) - 20)
    for asked, part in (
        ("bytes=0-0", content[:1]),
        ("bytes=5-9", content[5:10]),
        ("bytes=-7", content[-7:]),
        ("bytes=3-99999999", content[3:]),
    ):
        answer = maintainer.get(url, headers={"Range": asked})
        assert (answer.status_code, b"".join(answer)) == (206, part)
    beyond = maintainer.get(url, headers={"Range": f"bytes={len(content)}-"})
    assert (beyond.status_code, beyond["Content-Range"]) == (416, f"bytes */{len(content)}")
    for headers in (
        {"Range": "bytes=9-5"},
        {"Range": "bytes=0-1,4-5"},
        {"Range": "items=0-1"},
        {"Range": "bytes=-"},
        {"Range": "bytes=4-", "If-Range": '"another"'},
    ):
        answer = maintainer.get(url, headers=headers)
        assert (answer.status_code, b"".join(answer)) == (200, content)
    assert maintainer.get(url, headers={"If-None-Match": etag}).status_code == 304
    head = maintainer.head(url)
    assert (head["Content-Length"], b"".join(head)) == (str(len(content)), b"")


def test_all_files_come_as_one_archive_that_can_be_taken_up_where_it_broke_off(audit, maintainer):
    release = order(audit, "csv", "hf")
    url = f"/releases/{release.pk}.tar"
    answer = maintainer.get(url)
    whole = b"".join(answer)
    assert answer["Content-Length"] == str(len(whole))
    assert answer["Content-Type"] == "application/x-tar"
    assert b"".join(maintainer.get(url)) == whole
    folder = release_folder(audit.pk, release.number)
    name = f"{audit.dataset.slug}-release-1"
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        members = archive.getmembers()
        assert {(each.mtime, each.uid, each.mode) for each in members} == {(0, 0, 0o644)}
        found = {each.name: archive.extractfile(each).read() for each in members}
    on_disk = (path for path in folder.rglob("*") if path.is_file())
    assert found == {
        f"{name}/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in on_disk
    }
    release.refresh_from_db()
    assert len(found) == release.n_files == 8
    for start in (1, 511, 512, len(whole) // 2, len(whole) - 1):
        headers = {"Range": f"bytes={start}-", "If-Range": answer["ETag"]}
        rest = maintainer.get(url, headers=headers)
        assert (rest.status_code, b"".join(rest)) == (206, whole[start:])
    middle = maintainer.get(url, headers={"Range": "bytes=700-5000"})
    assert b"".join(middle) == whole[700:5001]
    assert maintainer.get(url, headers={"If-None-Match": answer["ETag"]}).status_code == 304
    page = maintainer.get(address(audit, "list/")).content.decode()
    assert f'href="{url}"' in page


def test_an_archive_of_an_unfinished_or_lost_release_is_none(audit, maintainer):
    release = order_release(audit, "lenient")
    assert maintainer.get(f"/releases/{release.pk}.tar").status_code == 404
    build_release(release.pk)
    folder = release_folder(audit.pk, release.number)
    (folder / "votes.csv").write_bytes(b"cut")
    with pytest.raises(OSError, match="shorter than its manifest says"):
        b"".join(maintainer.get(f"/releases/{release.pk}.tar"))
    shutil.rmtree(folder)
    assert maintainer.get(f"/releases/{release.pk}.tar").status_code == 404


def test_files_in_folders_of_a_release_come_too_and_nothing_beside_them(audit, maintainer):
    release = order(audit, "hf")
    answer = maintainer.get(f"/releases/{release.pk}/hf/state.json")
    assert b"_fingerprint" in b"".join(answer)
    assert answer["Content-Disposition"].endswith('-hf-state.json"')
    for name in ("hf/", "hf", "hf/../manifest.json", "hf/none", "labels.csv"):
        assert maintainer.get(f"/releases/{release.pk}/{name}").status_code == 404


def test_what_differs_between_two_releases_is_shown(audit, maintainer):
    order(audit)
    first = audit.sample.slots.get(sampled_item__item__position=1, number=1).judgment
    revise(first, "wrong_label", 2)
    order(audit)
    page = maintainer.get(address(audit)).content.decode()
    assert "What differs" in page
    url = address(audit, "diff/")
    text = maintainer.get(url, {"before": 1, "after": 2}).content.decode()
    assert "1 item differs" in text
    assert "00001.png" in text
    assert (
        "Every item leaves both" in maintainer.get(url, {"before": 2, "after": 2}).content.decode()
    )
    for before in ("9", "x", "", "1e3", "9" * 30):
        assert maintainer.get(url, {"before": before, "after": 2}).status_code == 404


def test_a_build_under_way_says_how_far_it_is(audit, maintainer):
    order_release(audit, "lenient")
    Release.objects.update(work="running", n_written=3)
    text = maintainer.get(address(audit, "list/")).content.decode()
    assert "3 of 8 items written" in text
    assert 'max="8"' in text


def test_the_files_of_the_newest_release_are_unfolded_and_older_ones_folded(audit, maintainer):
    older, newer = order(audit), order(audit)
    order_release(audit, "lenient")  # under way: it has no files yet
    text = maintainer.get(address(audit, "list/")).content.decode()
    tags = {
        release.pk: re.search(rf'<details id="files-{release.pk}"[^>]*>', text)[0]
        for release in (older, newer)
    }
    assert "open" in tags[newer.pk]
    assert "open" not in tags[older.pk]
    # What a person has unfolded stays so while the page polls.
    assert all("hx-preserve" in tag for tag in tags.values())
