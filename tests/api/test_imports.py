"""Imports by the API: from the folders that are open for it, by a worker, all or nothing."""

from __future__ import annotations

import os

import pytest

from audit import tasks
from audit.input_files import find_input
from audit.models import Act, Dataset, Import, LogEntry, Role
from audit.services import claims
from audit.services.imports import (
    MOST_WAITING,
    ImportNotAllowedError,
    order_import,
    reconcile_imports,
    run_import,
)
from tests.api.callers import caller, send
from tests.factories import make_member, make_project
from tests.servers import in_threads

pytestmark = pytest.mark.django_db
ORDER = {"slug": "flowers", "format": "manifest", "path": "flowers/labels.csv"}


@pytest.fixture
def roots(tmp_path, settings):
    """Two open folders, and one beside them that is not."""
    for name in ("open", "also-open", "secret"):
        (tmp_path / name).mkdir()
    (tmp_path / "secret" / "labels.csv").write_text("key,label\na,0\n")
    (tmp_path / "open" / "flowers").mkdir()
    write_labels(tmp_path / "open" / "flowers" / "labels.csv")
    settings.IMPORT_ROOTS = [str(tmp_path / "open"), str(tmp_path / "also-open")]
    return tmp_path


def write_labels(path, n_items=6):
    rows = [f"item-{number},{number % 3}" for number in range(n_items)]
    path.write_text("\n".join(["key,label", *rows, ""]))


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def calls(project):
    return caller(make_member(project, Role.MAINTAINER))


def order(calls, project, **changes):
    return send(calls, "POST", f"/projects/{project.pk}/imports", ORDER | changes)


def test_a_worker_brings_in_what_was_ordered_once(calls, project, roots):
    ordered = order(calls, project, notice="Made up.")
    assert (ordered.status_code, ordered.json()["work"]) == (201, "pending")
    assert str(roots) not in ordered.content.decode()
    number = ordered.json()["id"]
    tasks.bring_in(number)
    tasks.bring_in(number)
    found = send(calls, "GET", f"/imports/{number}").json()
    assert (found["work"], found["error"], found["refusal"]) == ("done", "", None)
    dataset = send(calls, "GET", f"/datasets/{found['dataset']}").json()
    assert (dataset["items"], dataset["slug"], dataset["notice"]) == (6, "flowers", "Made up.")
    assert dataset["project"] == project.pk
    assert LogEntry.objects.get(act=Act.DATASET_IMPORTED).person.startswith("maintainer")
    assert send(calls, "GET", f"/projects/{project.pk}/imports").json()["items"] == [found]
    again = order(calls, project)
    assert (again.status_code, again.json()["code"]) == (409, "refused")


def test_every_pending_import_is_announced(calls, project, roots, monkeypatch):
    number = order(calls, project).json()["id"]
    sent = []
    monkeypatch.setattr(tasks.bring_in, "delay", sent.append)
    tasks.announce_work()
    tasks.announce_work()
    assert sent == [number]


@pytest.mark.parametrize(
    "path",
    ["../secret/labels.csv", "{}/secret/labels.csv", "/etc/passwd", "link/labels.csv", "none.csv",
     "https://example.org/labels.csv", "file:///etc/passwd", "flowers/../../secret/x", "~"],
)  # fmt: skip
def test_nothing_outside_the_open_folders_is_read(calls, project, roots, path):
    (roots / "open" / "link").symlink_to(roots / "secret")
    for name in ("path", "classes", "root"):
        refused = order(calls, project, **{name: path.format(roots)})
        assert (refused.status_code, refused.json()["code"]) == (409, "refused"), name
        assert "below the folders" in refused.json()["message"]
    assert not Import.objects.exists()


@pytest.mark.parametrize("path", ["n" * 300, "round", "pipe"])
def test_what_no_file_can_be_called_or_is_none_is_refused_like_what_is_not_there(
    calls, project, roots, path
):
    (roots / "open" / "round").symlink_to("round")
    os.mkfifo(roots / "open" / "pipe")
    refused = order(calls, project, path=path)
    assert (refused.status_code, refused.json()["code"]) == (409, "refused")
    assert not Import.objects.exists()


@pytest.mark.row("A18", "B040")
@pytest.mark.parametrize("trick", ["link", "link to a folder with a link", "pipe", "circle"])
def test_what_a_loader_would_open_by_its_name_is_a_file_that_is_open(calls, project, roots, trick):
    """Whoever may write into an open folder reads nothing by the worker's rights, nor stops it."""
    exam, other = roots / "open" / "exam", roots / "open" / "other"
    (exam / "test").mkdir(parents=True)
    (exam / "test" / "sums_test.csv").write_text("1+1,1,2,3,4,B\n")
    (roots / "secret" / "art_test.csv").write_text("hidden,1,2,3,4,B\n")
    other.mkdir()
    match trick:
        case "link":
            (exam / "test" / "art_test.csv").symlink_to(roots / "secret" / "art_test.csv")
        case "link to a folder with a link":
            (other / "art_test.csv").symlink_to(roots / "secret" / "art_test.csv")
            (exam / "dev").symlink_to(other)
        case "pipe":
            os.mkfifo(exam / "test" / "art_test.csv")
        case "circle":
            (exam / "dev").symlink_to("dev")
    number = order(calls, project, format="mmlu", path="exam").json()["id"]
    assert not run_import(number)
    found = send(calls, "GET", f"/imports/{number}").json()
    assert (found["work"], found["refusal"]) == ("failed", None)
    assert str(roots) not in found["error"]
    assert not Dataset.objects.exists()


def test_links_among_the_open_folders_are_followed_and_a_round_of_them_ends(calls, project, roots):
    (roots / "open" / "exam").mkdir()
    (roots / "also-open" / "test").mkdir()
    (roots / "also-open" / "test" / "sums_test.csv").write_text("1+1,1,2,3,4,B\n")
    (roots / "open" / "exam" / "test").symlink_to(roots / "also-open" / "test")
    (roots / "open" / "exam" / "again").symlink_to(roots / "open" / "exam")
    assert run_import(order(calls, project, format="mmlu", path="exam").json()["id"])


def test_a_link_that_leads_elsewhere_by_the_time_it_is_read_is_refused(calls, project, roots):
    number = order(calls, project).json()["id"]
    labels = roots / "open" / "flowers" / "labels.csv"
    labels.unlink()
    labels.symlink_to(roots / "secret" / "labels.csv")
    assert not run_import(number)
    found = send(calls, "GET", f"/imports/{number}").json()
    assert found["work"] == "failed"
    assert "below the folders" in found["error"]
    assert not Dataset.objects.exists()


def test_without_an_open_folder_nothing_is_imported(calls, project, settings):
    settings.IMPORT_ROOTS = []
    refused = order(calls, project)
    assert refused.status_code == 409
    assert "LABEL_AUDIT_IMPORT_ROOTS" in refused.json()["message"]


def test_what_is_wrong_with_a_file_is_told_with_its_row(calls, project, roots):
    path = roots / "open" / "flowers" / "labels.csv"
    path.write_text("key,label\na,0\nb,x\n")
    number = order(calls, project).json()["id"]
    assert not run_import(number)
    found = send(calls, "GET", f"/imports/{number}").json()
    assert (found["work"], found["dataset"]) == ("failed", None)
    assert (found["refusal"]["row"], found["refusal"]["col"]) == (3, "label")
    assert not Dataset.objects.exists()


def test_a_worker_that_dies_leaves_nothing_and_another_one_does_it_once(
    calls, project, roots, monkeypatch
):
    number = order(calls, project).json()["id"]
    rows = Import.objects.filter(pk=number)

    def die(*_args, **_fields):
        raise SystemExit

    with monkeypatch.context() as patch:
        # At the last moment: everything is written, nothing is committed.
        patch.setattr(claims, "commit", die)
        with pytest.raises(SystemExit):
            run_import(number)
    assert not Dataset.objects.exists()
    rows.update(owner="elsewhere:1", heartbeat_at=None, claimed_at="2020-01-01T00:00:00Z")
    assert reconcile_imports() == 1
    assert run_import(number)
    assert rows.get().dataset == Dataset.objects.get()
    assert find_input(Dataset.objects.get()).name == "labels.csv"


@pytest.mark.parametrize(
    "changes",
    [{"slug": "a b"}, {"slug": ""}, {"slug": "x" * 51}, {"format": "magic"}, {"path": ""},
     {"path": "a\0b"}, {"url": "https://example.org"}, {"notice": "x" * 2001}],
)  # fmt: skip
def test_an_order_that_cannot_be_is_refused(calls, project, roots, changes):
    assert order(calls, project, **changes).status_code == 422
    assert not Import.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.row("A44", "A49")
def test_of_fifty_imports_at_one_moment_as_many_wait_as_may_and_one_more_when_one_is_done(
    project, roots
):
    said = {name: value for name, value in ORDER.items() if name != "slug"}

    def ask(number: int) -> bool:
        try:
            order_import(project, f"flowers-{number}", said)
        except ImportNotAllowedError:
            return False
        return True

    assert sum(in_threads(ask, range(50))) == MOST_WAITING
    assert Import.objects.count() == MOST_WAITING
    assert not ask(50)
    assert run_import(Import.objects.first().pk)
    assert ask(50)
