"""Scores and votes by the API: by a worker, from open folders, all or nothing, stopped, resumed."""

from __future__ import annotations

import numpy as np
import pytest
from django.conf import settings

from audit import score_store, tasks
from audit.loaders.generations import VERIFIERS
from audit.loaders.registry import FORMATS
from audit.models import Act, Dataset, Import, LogEntry, Role, ScoreSet
from audit.services import imports, score_imports
from audit.services.score_imports import SCORE_KINDS
from reviews.api import imports as api
from reviews.models import VoteSource
from reviews.services import votes
from reviews.tasks import announce_votes, bring_votes
from reviews.vote_files.registry import PRESETS
from tests.api.callers import caller, send
from tests.factories import make_dataset, make_member, make_project, make_ready_audit

pytestmark = pytest.mark.django_db


@pytest.fixture
def roots(tmp_path, settings):
    """An open folder, and one beside it that is not."""
    for name in ("open", "secret"):
        (tmp_path / name).mkdir()
    settings.IMPORT_ROOTS = [str(tmp_path / "open")]
    return tmp_path


@pytest.fixture
def dataset():
    return make_dataset(n_items=40)


@pytest.fixture
def calls(dataset):
    return caller(make_member(dataset.project, Role.MAINTAINER))


def save_scores(path, dataset, scale=5.0):
    labels = dataset.items.order_by("position").values_list("given_label", flat=True)
    np.save(path, scale * np.eye(3, dtype=np.float32)[list(labels)])


def write_votes(path, dataset):
    keys = dataset.items.order_by("position").values_list("key", flat=True)
    path.write_text("\n".join(["key,annotator,labels", *(f"{key},ann,1" for key in keys), ""]))


def order_scores(calls, dataset, **changes):
    body = {"expert": "saved", "path": "scores.npy"} | changes
    return send(calls, "POST", f"/datasets/{dataset.pk}/scores/imports", body)


def order_votes(calls, dataset, **changes):
    body = {"source": "crowd", "path": "votes.csv"} | changes
    return send(calls, "POST", f"/datasets/{dataset.pk}/votes/imports", body)


def read(calls, number):
    return send(calls, "GET", f"/imports/{number}").json()


def test_saved_scores_are_brought_in_once_and_audited(calls, dataset, roots):
    for name, scale in (("a", 5.0), ("b", 3.0)):
        save_scores(roots / "open" / f"{name}.npy", dataset, scale)
        ordered = order_scores(calls, dataset, expert=name, path=f"{name}.npy")
        assert (ordered.status_code, ordered.json()["work"]) == (201, "pending")
        number = ordered.json()["id"]
        tasks.bring_in(number)
        tasks.bring_in(number)
        found = read(calls, number)
        assert (found["work"], found["kind"], found["name"]) == ("done", "scores", name)
        assert found["found"]["sha256"] == ScoreSet.objects.get(expert=name).sha256
        scores = send(calls, "GET", f"/scores/{found['scores']}").json()
        assert (scores["source"], scores["state"]) == ("imported", "ready")
    entry = LogEntry.objects.filter(act=Act.SCORES_IMPORTED).first()
    assert entry.person.startswith("maintainer")
    body = {"experts": ["a", "b"]}
    started = send(calls, "POST", f"/datasets/{dataset.pk}/audits", body)
    assert (started.status_code, started.json()["state"]) == (201, "calibrating")
    again = order_scores(calls, dataset, expert="a", path="a.npy")
    assert (again.status_code, again.json()["code"]) == (409, "refused")


def test_votes_are_brought_in_once_and_are_a_truth(roots):
    audit = make_ready_audit()
    calls = caller(make_member(audit.dataset.project, Role.MAINTAINER))
    write_votes(roots / "open" / "votes.csv", audit.dataset)
    number = order_votes(calls, audit.dataset).json()["id"]
    tasks.bring_in(number)  # others' work
    assert read(calls, number)["work"] == "pending"
    bring_votes(number)
    found = read(calls, number)
    assert (found["work"], found["found"]["votes"]) == ("done", 12)
    (source,) = send(calls, "GET", f"/datasets/{audit.dataset_id}/votes").json()["items"]
    assert (source["name"], source["kind"], source["votes"]) == ("crowd", "imported", 12)
    report = send(calls, "GET", f"/audits/{audit.pk}/report?truth=votes:crowd")
    assert report.json()["judged"] == 12
    assert LogEntry.objects.get(act=Act.VOTES_IMPORTED).person.startswith("maintainer")
    assert order_votes(calls, audit.dataset).status_code == 409


def test_votes_are_announced_to_those_who_bring_votes_in(calls, dataset, roots, monkeypatch):
    write_votes(roots / "open" / "votes.csv", dataset)
    number = order_votes(calls, dataset).json()["id"]
    sent = []
    monkeypatch.setattr(tasks.bring_in, "delay", lambda _: pytest.fail("not of data"))
    monkeypatch.setattr(bring_votes, "delay", sent.append)
    tasks.announce_work()
    assert (announce_votes(), announce_votes(), sent) == (1, 0, [number])
    assert "reviews.tasks.announce_votes" in settings.LABEL_AUDIT_ANNOUNCERS


def test_what_is_wrong_is_told_with_its_row_and_done_after_all_once_it_is_mended(
    calls, dataset, roots
):
    path = roots / "open" / "votes.csv"
    path.write_text("key,annotator,labels\nnobody,ann,1\n")
    number = order_votes(calls, dataset).json()["id"]
    assert not votes.run_votes_import(number)
    refused = read(calls, number)
    assert (refused["work"], refused["refusal"]["row"]) == ("failed", 2)
    write_votes(path, dataset)
    changed = send(calls, "POST", f"/imports/{number}/resume").json()
    assert changed == {"changed": True, "work": "pending"}
    assert votes.run_votes_import(number)
    mended = read(calls, number)
    assert (mended["work"], mended["refusal"], mended["error"]) == ("done", None, "")
    assert send(calls, "POST", f"/imports/{number}/resume").json()["changed"] is False


def test_where_the_folders_lie_is_not_told(calls, dataset, roots):
    (roots / "open" / "votes.csv").mkdir()
    number = order_votes(calls, dataset).json()["id"]
    assert not votes.run_votes_import(number)
    found = read(calls, number)
    assert found["error"].startswith("votes.csv can't be read")
    assert str(roots) not in str(found)


@pytest.mark.row("B040")
def test_a_link_inside_a_folder_leads_nowhere_that_is_closed(calls, dataset, roots):
    logs = roots / "open" / "logs"
    logs.mkdir()
    (roots / "secret" / "samples_x.jsonl").write_text("{}\n")
    (logs / "samples_x_2026-01-01T00-00-00.000000.jsonl").symlink_to(
        roots / "secret" / "samples_x.jsonl"
    )
    number = order_scores(calls, dataset, path="logs").json()["id"]
    assert not imports.run_import(number)
    assert "leads out of the folders" in read(calls, number)["error"]
    assert not ScoreSet.objects.exists()


def cancel_then(calls, number, act):
    """What `act` does, after somebody has cancelled the import."""

    def late(*args, **options):
        assert send(calls, "POST", f"/imports/{number[0]}/cancel").json()["changed"] is True
        return act(*args, **options)

    return late


@pytest.mark.parametrize("kind", ["dataset", "scores", "votes"])
def test_what_is_cancelled_under_way_stores_nothing_and_can_be_taken_up(
    calls, dataset, roots, monkeypatch, kind
):
    save_scores(roots / "open" / "scores.npy", dataset)
    write_votes(roots / "open" / "votes.csv", dataset)
    (roots / "open" / "labels.csv").write_text("key,label\na,0\nb,1\n")
    if kind == "dataset":
        body = {"slug": "new", "format": "manifest", "path": "labels.csv"}
        path = f"/projects/{dataset.project_id}/imports"
        ordered, place, name = send(calls, "POST", path, body), imports, "load_dataset"
    elif kind == "scores":
        ordered, place, name = order_scores(calls, dataset), score_imports, "read_scores"
    else:
        ordered, place, name = order_votes(calls, dataset), votes, "read_votes"
    number = [ordered.json()["id"]]
    run = votes.run_votes_import if kind == "votes" else imports.run_import
    with monkeypatch.context() as patch:
        patch.setattr(place, name, cancel_then(calls, number, getattr(place, name)))
        assert not run(number[0])
    assert read(calls, number[0])["work"] == "cancelled"
    assert Dataset.objects.count() == 1
    assert not ScoreSet.objects.exists()
    assert not VoteSource.objects.exists()
    assert not LogEntry.objects.filter(act__endswith="_imported").exists()
    assert send(calls, "POST", f"/imports/{number[0]}/cancel").json()["changed"] is False
    assert send(calls, "POST", f"/imports/{number[0]}/resume").json()["changed"] is True
    assert run(number[0])
    assert read(calls, number[0])["work"] == "done"


def test_scores_that_a_dead_worker_has_in_hand_are_waited_for(calls, dataset, roots):
    save_scores(roots / "open" / "scores.npy", dataset)
    number = order_scores(calls, dataset).json()["id"]
    left = ScoreSet.objects.create(dataset=dataset, expert="saved", source="imported")
    ScoreSet.objects.filter(pk=left.pk).update(
        work="running", owner="elsewhere:1", epoch=1, claimed_at="2999-01-01T00:00:00Z"
    )
    assert not imports.run_import(number)
    row = Import.objects.get(pk=number)
    assert (row.work, row.attempts, row.not_before is None) == ("pending", 0, False)
    assert not Import.objects.pending().exists()
    ScoreSet.objects.update(claimed_at="2020-01-01T00:00:00Z")
    assert imports.run_import(number)
    assert score_store.open_scores(ScoreSet.objects.get().pk).shape == (40, 3)


@pytest.mark.parametrize(
    "changes",
    [{"expert": ""}, {"expert": "x" * 256}, {"format": "magic"}, {"path": ""}, {"path": "a\0b"},
     {"verifier": "guess"}, {"references": "right.csv"}, {"url": "https://example.org"}],
)  # fmt: skip
def test_an_order_of_scores_that_cannot_be_is_refused(calls, dataset, roots, changes):
    assert order_scores(calls, dataset, **changes).status_code == 422
    assert not Import.objects.exists()


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"source": "a b"}, 422), ({"path": ""}, 422), ({"format": "magic"}, 422),
     ({"source": "judge-x"}, 409), ({"path": "../secret"}, 409), ({"path": "/etc/passwd"}, 409)],
)  # fmt: skip
def test_an_order_of_votes_that_cannot_be_is_refused(calls, dataset, roots, changes, status):
    write_votes(roots / "open" / "votes.csv", dataset)
    assert order_votes(calls, dataset, **changes).status_code == status
    assert not Import.objects.exists()


def test_somebody_elses_imports_are_not_there(calls, dataset, roots):
    save_scores(roots / "open" / "scores.npy", dataset)
    number = order_scores(calls, dataset).json()["id"]
    stranger = caller(make_member(make_project("Elsewhere"), Role.ADMIN))
    annotator = caller(make_member(dataset.project, Role.ANNOTATOR))
    for client in (stranger, annotator):
        assert send(client, "GET", f"/imports/{number}").status_code == 404
        assert send(client, "POST", f"/imports/{number}/cancel").status_code == 404
        assert order_scores(client, dataset).status_code == 404
    assert Import.objects.get().work == "pending"


def test_the_api_knows_every_format_that_the_commands_know():
    assert set(api.Format) == set(FORMATS)
    assert set(api.ScoreKind) == set(SCORE_KINDS)
    assert set(api.Verifier) == set(VERIFIERS)
    assert set(api.VoteFormat) == {votes.TABLE, *PRESETS}
