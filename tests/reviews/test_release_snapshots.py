"""Releases while people judge and machines die: one snapshot, whole or absent, any database."""

import fcntl
import os
import signal
import time
import uuid

import pytest
from django.db import connections

from audit.hashed_folders import verify_folder
from audit.models import Role
from reviews.decisions import Snapshot, load_votes
from reviews.models import Release
from reviews.release_files import export_release, release_folder
from reviews.reports import last_judgment
from reviews.services.judgments import Answer, record_judgment
from reviews.services.leases import claim_slots
from reviews.services.releases import build_release, order_release
from tests.factories import make_dataset, make_member, make_ready_audit, make_sample
from tests.reviews.test_releases import make_judged_audit
from tests.servers import in_threads

FORMATS = ("csv", "jsonl", "patch", "hf", "real-json")
N_PEOPLE, N_ITEMS, N_KILLS = 8, 6, 20


def read_folder(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.django_db(transaction=True)
def test_e09_a_release_while_eight_people_judge_is_one_snapshot(tmp_path):
    audit = make_ready_audit(make_dataset(n_items=N_ITEMS))
    sample = make_sample(audit, N_ITEMS, votes_per_item=N_PEOPLE)
    people = [make_member(audit.dataset.project, Role.ANNOTATOR) for _ in range(N_PEOPLE)]

    def work(number):
        if number == N_PEOPLE:
            return [export_at_this_moment(attempt) for attempt in range(4)]
        for slot in claim_slots(sample, people[number], N_ITEMS):
            answer = Answer("wrong_label", number % 3)
            record_judgment(people[number], slot.pk, slot.epoch, uuid.uuid4(), answer)
        return []

    def export_at_this_moment(attempt):
        newest = Snapshot.now(audit)
        folder = tmp_path / f"during-{attempt}"
        export_release(audit, "lenient", newest, folder, FORMATS)
        return newest, folder

    *_, exports = in_threads(work, range(N_PEOPLE + 1), n_threads=N_PEOPLE + 1)
    assert sum(map(len, load_votes(audit, last_judgment(audit)).values())) == N_PEOPLE * N_ITEMS
    for newest, folder in exports:
        afterwards = tmp_path / f"after-{folder.name}"
        export_release(audit, "lenient", newest, afterwards, FORMATS)
        assert read_folder(folder) == read_folder(afterwards)


def run_and_kill(work, after):
    """Do `work` in a process of its own and kill it after so many seconds."""
    connections.close_all()
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.django_db(transaction=True)
def test_e05_f30_a_killed_export_leaves_a_whole_folder_or_none(tmp_path):
    audit = make_judged_audit()
    newest = Snapshot.now(audit)
    export_release(audit, "lenient", newest, tmp_path / "first", FORMATS)
    # Timed once what an export imports is loaded, as it is in every process forked from here.
    started = time.monotonic()
    export_release(audit, "lenient", newest, tmp_path / "timed", FORMATS)
    seconds = time.monotonic() - started
    n_whole = 0
    for attempt in range(N_KILLS):
        target = tmp_path / f"out-{attempt}"
        run_and_kill(
            lambda target=target: export_release(audit, "lenient", newest, target, FORMATS),
            1.5 * seconds * attempt / N_KILLS,
        )
        if target.exists():
            assert verify_folder(target) == []
            assert read_folder(target) == read_folder(tmp_path / "first")
            n_whole += 1
    assert n_whole < N_KILLS, "no kill came in time to break anything"
    # What the last one killed may have left, the next export into the folder takes away.
    export_release(audit, "lenient", newest, tmp_path / "last", FORMATS)
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.django_db(transaction=True)
def test_e05_what_a_killed_export_left_goes_and_what_another_writes_stays(tmp_path):
    audit = make_judged_audit()
    newest = Snapshot.now(audit)
    killed, busy = tmp_path / ".gone.7.release.tmp", tmp_path / ".other.8.release.tmp"
    for folder in (killed, busy):
        folder.mkdir()
        (folder / "labels.csv").write_text("half a f")
    (tmp_path / ".mine.tmp").mkdir()
    handle = os.open(busy, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    export_release(audit, "lenient", newest, tmp_path / "one", FORMATS)
    assert sorted(path.name for path in tmp_path.glob(".*")) == [".mine.tmp", busy.name]
    os.close(handle)
    export_release(audit, "lenient", newest, tmp_path / "two", FORMATS)
    assert [path.name for path in tmp_path.glob(".*")] == [".mine.tmp"]


@pytest.mark.django_db(transaction=True)
def test_a_build_taken_up_again_clears_what_the_dead_one_had_written():
    release = order_release(make_judged_audit(), "lenient", formats=FORMATS)
    folder = release_folder(release.audit_id, release.number)
    left = folder.parent / f".{folder.name}.7.tmp"
    left.mkdir(parents=True)
    (left / "labels.csv").write_text("half a f")
    other = folder.parent / f".{folder.name}1.7.tmp"
    other.mkdir()
    assert build_release(release.pk)
    assert sorted(path.name for path in folder.parent.iterdir()) == [other.name, folder.name]
    assert set(Release.objects.get().manifest["formats"]) == set(FORMATS)
