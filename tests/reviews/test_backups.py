"""Backups: taken while people judge, proved when they come back, on either database."""

from __future__ import annotations

import json
import os
import shutil
import threading
import uuid

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from audit import score_store
from audit.backups.database import BackupRefusedError
from audit.backups.folders import check_backup, make_backup, restore_backup
from audit.hashed_folders import verify_folder
from audit.models import Item, Project, Role, ScoreSet
from reviews.decisions import Snapshot
from reviews.models import Judgment
from reviews.proofs import prove_installation
from reviews.release_files import export_release, release_folder
from reviews.services.judgments import Answer, record_judgment
from reviews.services.leases import claim_slots
from reviews.services.releases import build_release, order_release
from tests.factories import make_dataset, make_member, make_ready_audit, make_sample
from tests.reviews.test_release_formats import all_formats
from tests.reviews.test_releases import make_judged_audit
from tests.servers import in_threads, make_database, run_manage

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("further_databases"),
]
N_PEOPLE, N_ITEMS = 4, 60
POSTGRESQL = os.environ.get("LABEL_AUDIT_DATABASE", "")


def write_scores(audit):
    """Give the audit's experts the scores that they are said to have."""
    for score_set in ScoreSet.objects.filter(audits=audit):
        rows = np.arange(audit.dataset.n_items * 3, dtype=np.float32).reshape(-1, 3)
        shard = score_store.write_shard(score_set.pk, 0, [rows], rows.shape)
        score_store.write_manifest(score_set.pk, [shard], {})


def make_whole_audit():
    """A judged audit with scores on disk and one release built."""
    audit = make_judged_audit()
    write_scores(audit)
    assert build_release(order_release(audit, "lenient", formats=["csv", "jsonl"]).pk)
    return audit


def faults():
    return [proof for proof in prove_installation() if proof.fault]


@pytest.mark.service
def test_e12_a_backup_while_people_judge_comes_back_whole_on_either_database(tmp_path, request):
    audit = make_ready_audit(make_dataset(n_items=N_ITEMS))
    write_scores(audit)
    sample = make_sample(audit, N_ITEMS, votes_per_item=N_PEOPLE)
    people = [make_member(audit.dataset.project, Role.ANNOTATOR) for _ in range(N_PEOPLE)]
    enough, seen = threading.Semaphore(0), []

    def work(number):
        if number == N_PEOPLE:
            for _ in range(N_PEOPLE * 5):
                enough.acquire()
            before = Judgment.objects.count()
            make_backup(tmp_path / "backup")
            seen.extend([before, Judgment.objects.count()])
            return
        for slot in claim_slots(sample, people[number], N_ITEMS):
            answer = Answer("wrong_label", number % 3)
            record_judgment(people[number], slot.pk, slot.epoch, uuid.uuid4(), answer)
            enough.release()

    in_threads(work, range(N_PEOPLE + 1), n_threads=N_PEOPLE + 1)
    before, after = seen
    assert before < after < N_PEOPLE * N_ITEMS + 1, "nobody judged while the backup was made"
    server = POSTGRESQL or request.getfixturevalue("postgresql_url")
    database = make_database(server, f"restored-{uuid.uuid4()}")
    written = []
    for name, address in (("sqlite", ""), ("postgresql", database)):
        home = tmp_path / name
        done = run_manage(home, address, "restore", tmp_path / "backup", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["checked"] == {"verdicts": 1, "log": 1, "scores": 2}
        said = run_manage(home, address, "verify_judgments", "--json")
        (chain,) = json.loads(said.stdout)["audits"]
        assert before <= chain["rows"] <= after
        out = tmp_path / f"out-{name}"
        done = run_manage(
            home, address, "export_labels", audit.pk, "--out", out, "--format", "csv", "hf"
        )
        assert done.returncode == 0, done.stderr
        manifest = json.loads((out / "manifest.json").read_text())
        # The same verdicts of the running site give the same bytes.
        export_release(
            audit,
            "lenient",
            Snapshot(manifest["last_judgment"]),
            tmp_path / f"here-{name}",
            ["csv", "hf"],
        )
        assert (tmp_path / f"here-{name}" / "manifest.json").read_bytes() == (
            out / "manifest.json"
        ).read_bytes()
        written.append(manifest["sha256"])
    assert written[0] == written[1]


def test_e12_what_is_added_after_the_backup_is_gone_and_work_goes_on(tmp_path, fresh_home):
    audit = make_whole_audit()
    manifest = make_backup(tmp_path / "backup")
    assert f"home/releases/{audit.pk}/1/labels.csv" in manifest["files"]
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o700
    Project.objects.create(slug="later", name="Later")
    shutil.rmtree(release_folder(audit.pk, 1))
    assert [proof.kind for proof in faults()] == ["release"]
    restore_backup(tmp_path / "backup", force=True)
    assert faults() == []
    assert not Project.objects.filter(slug="later").exists()
    assert sorted(path.name for path in fresh_home.glob(".*")) == []
    # Numbers go on after the restored ones.
    Project.objects.create(slug="next", name="Next")
    with pytest.raises(Exception, match="append-only"):
        Judgment.objects.update(verdict="unsure")


def test_e13_a_damaged_backup_is_refused_before_anything_is_touched(tmp_path, fresh_home):
    make_whole_audit()
    backup = tmp_path / "backup"
    manifest = make_backup(backup)
    project = Project.objects.create(slug="stays", name="Stays")
    for name in [*sorted(manifest["files"])[::2], "database.sqlite3", "manifest.json"]:
        path = backup / name
        whole = path.read_bytes()
        for part in (whole[: len(whole) // 2], whole[:-1] + bytes([whole[-1] ^ 1])):
            path.write_bytes(part)
            with pytest.raises(BackupRefusedError, match=r"is damaged|can't be read"):
                restore_backup(backup, force=True)
        path.unlink()
        with pytest.raises(BackupRefusedError):
            restore_backup(backup, force=True)
        path.write_bytes(whole)
    assert Project.objects.filter(pk=project.pk).exists()
    assert faults() == []
    assert check_backup(backup) == manifest
    with pytest.raises(CommandError, match="is not a folder"):
        call_command("restore", str(tmp_path / "none"))


def test_e13_a_folder_that_is_whole_but_no_backup_is_refused(tmp_path):
    audit = make_whole_audit()
    folder = release_folder(audit.pk, 1)
    assert verify_folder(folder) == []
    with pytest.raises(BackupRefusedError, match="is no backup"):
        restore_backup(folder, force=True)


def test_e13_a_backup_of_newer_code_is_refused(tmp_path, monkeypatch):
    make_whole_audit()
    make_backup(tmp_path / "backup")
    from django.db.migrations.loader import MigrationLoader

    load = MigrationLoader.load_disk

    def forget(loader):
        load(loader)
        del loader.disk_migrations["reviews", "0002_append_only"]

    monkeypatch.setattr(MigrationLoader, "load_disk", forget)
    with pytest.raises(BackupRefusedError, match=r"a newer version made it: reviews.0002"):
        check_backup(tmp_path / "backup")


def test_e14_an_installation_with_something_in_it_is_replaced_by_force_alone(tmp_path, capsys):
    audit = make_whole_audit()
    call_command("backup", str(tmp_path / "backup"))
    assert "files" in capsys.readouterr().out
    with pytest.raises(CommandError, match="--force"):
        call_command("restore", str(tmp_path / "backup"))
    Item.objects.filter(dataset=audit.dataset, position=0).update(key="changed")
    call_command("restore", str(tmp_path / "backup"), "--force")
    assert (
        "intact: 1 chains of verdicts, 1 log, 2 sets of scores, 1 releases"
        in capsys.readouterr().out
    )
    assert not Item.objects.filter(key="changed").exists()
    call_command("restore", str(tmp_path / "backup"), "--check")
    assert "is intact, made" in capsys.readouterr().out
    with pytest.raises(CommandError, match="exists; a backup is made in a new folder"):
        call_command("backup", str(tmp_path / "backup"))


def test_a_restored_installation_that_lacks_something_says_what(tmp_path):
    audit = make_whole_audit()
    (release_folder(audit.pk, 1) / "labels.csv").write_text("not what was released")
    make_backup(tmp_path / "backup")
    with pytest.raises(CommandError, match=r"labels\.csv is changed"):
        call_command("restore", str(tmp_path / "backup"), "--force")
    with pytest.raises(CommandError, match=r"labels\.csv is changed"):
        call_command("verify_installation")


def test_a_backup_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    make_whole_audit()
    monkeypatch.setattr(
        "audit.backups.folders.write_whole", lambda *_, **__: (_ for _ in ()).throw(OSError(28, ""))
    )
    with pytest.raises(OSError, match="28"):
        make_backup(tmp_path / "backup")
    assert list(tmp_path.glob("*backup*")) == []


def test_every_format_of_a_restored_audit_has_the_same_bytes(tmp_path):
    audit = make_whole_audit()
    formats = all_formats(audit)
    one = export_release(audit, "lenient", Snapshot.now(audit), tmp_path / "one", formats)
    make_backup(tmp_path / "backup")
    restore_backup(tmp_path / "backup", force=True)
    two = export_release(audit, "lenient", Snapshot.now(audit), tmp_path / "two", formats)
    assert one == two
    assert connection.vendor in {"sqlite", "postgresql"}
