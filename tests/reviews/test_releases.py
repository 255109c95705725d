"""Releases: decisions by strict majority, the same bytes twice, builds that survive crashes."""

import csv
import json
import shutil
from datetime import UTC, datetime

import pytest

from audit.hashed_folders import verify_folder
from audit.models import Claimable, Role
from reviews.decisions import Action, Snapshot, StandingVote, decide, decide_all, load_votes
from reviews.models import Release
from reviews.policies import BUILT_IN
from reviews.release_files import ReleaseFolderError, export_release, release_folder
from reviews.reports import last_judgment
from reviews.services.releases import (
    MOST_WAITING,
    ReleaseRefusedError,
    build_release,
    order_release,
    reconcile_releases,
)
from tests.factories import make_dataset, make_member, make_ready_audit, make_sample
from tests.reviews.situations import judge, revise
from tests.servers import in_threads

pytestmark = pytest.mark.django_db
LENIENT = BUILT_IN["lenient"]


def votes(*said):
    return [
        StandingVote(number, number, *(one if isinstance(one, tuple) else (one, None)), None)
        for number, one in enumerate(said)
    ]


@pytest.mark.parametrize(
    ("said", "policy", "action", "cleaned", "also"),
    [
        ([("wrong_label", 2)], "lenient", Action.RELABELLED, 2, ()),
        ([("sub_class", 2)], "lenient", Action.RELABELLED, 2, ()),
        ([("sub_class", 2)], "strict", Action.KEPT, 0, ()),
        ([("multi_object", 2)], "lenient", Action.LABEL_ADDED, 0, (2,)),
        ([("multi_object", 2)], "strict", Action.KEPT, 0, ()),
        (["multi_object"], "lenient", Action.KEPT, 0, ()),
        (["wrong_label"], "lenient", Action.EXCLUDED, None, ()),
        ([("wrong_label", 0)], "lenient", Action.EXCLUDED, None, ()),
        ([("wrong_label", 1), ("wrong_label", 2)], "lenient", Action.EXCLUDED, None, ()),
        ([("wrong_label", 1)] * 2 + [("wrong_label", 2)], "lenient", Action.RELABELLED, 1, ()),
        ([("wrong_label", 1)] * 2 + ["label_correct"], "lenient", Action.RELABELLED, 1, ()),
        (["label_correct"], "lenient", Action.KEPT, 0, ()),
        (["unsure"], "lenient", Action.UNDECIDED, 0, ()),
        ([("wrong_label", 1), "label_correct"], "lenient", Action.UNDECIDED, 0, ()),
        ([("wrong_label", 1), "unsure"], "lenient", Action.RELABELLED, 1, ()),
        ([("wrong_label", 1), "label_correct", "label_correct"], "lenient", Action.KEPT, 0, ()),
    ],
)
def test_votes_become_one_decision(said, policy, action, cleaned, also):
    decision = decide(0, votes(*said), BUILT_IN[policy])
    assert (decision.action, decision.cleaned_label, decision.also_labels) == (
        action,
        cleaned,
        also,
    )
    assert decision.n_votes == len(said)


def test_an_item_gains_every_class_that_most_of_its_votes_tick():
    when = datetime(2026, 1, 1, tzinfo=UTC)
    ticked = [(0, 4, 2), (4, 0), (2, 0, 7)]
    said = [
        StandingVote(number, number, "multi_object", 4, when, labels)
        for number, labels in enumerate(ticked)
    ]
    decision = decide(0, said, LENIENT)
    assert (decision.action, decision.also_labels) == (Action.LABEL_ADDED, (2, 4))


def test_undecided_says_why():
    assert decide(0, votes("wrong_label", "label_correct"), LENIENT).reason == "tie"
    assert decide(0, votes("unsure"), LENIENT).reason == "unsure"


def make_judged_audit():
    """Items 0-4: relabelled, kept, excluded, label added, undecided.

    5 is quarantined; 6 and 7 are not judged.
    """
    audit = make_ready_audit(make_dataset(n_items=8))
    sample = make_sample(audit, 5, votes_per_item=2)
    judge(
        sample,
        {
            0: ("wrong_label", 2),
            1: "label_correct",
            2: "wrong_label",
            3: ("multi_object", 1),
            4: "unsure",
        },
        make_member(audit.dataset.project, Role.ANNOTATOR, "zoe@example.org"),
    )
    judge(
        sample,
        {0: ("wrong_label", 2)},
        make_member(audit.dataset.project, Role.ANNOTATOR, "abe@example.org"),
    )
    audit.dataset.items.filter(position=5).update(quarantine_code="truncated")
    return audit


def read(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def export(audit, folder, policy="lenient"):
    return export_release(audit, policy, Snapshot.now(audit), folder)


@pytest.mark.row("A26", "E03")
def test_every_item_is_in_the_labels_once_in_order_with_what_happened(tmp_path):
    other = make_ready_audit()  # whose items and verdicts are in no file of this one
    judge(make_sample(other, 4), {0: ("wrong_label", 1)})
    audit = make_judged_audit()
    manifest = export(audit, tmp_path / "out")
    rows = read(tmp_path / "out" / "labels.csv")
    assert [row["key"] for row in rows] == [item.key for item in audit.dataset.items.all()]
    assert [
        (r["given_label"], r["cleaned_label"], r["also_labels"], r["action"]) for r in rows
    ] == [
        ("0", "2", "", "relabelled"),
        ("1", "1", "", "kept"),
        ("2", "", "", "excluded"),
        ("0", "0", "1", "label_added"),
        ("1", "1", "", "undecided"),
        ("2", "2", "", "kept"),
        ("0", "0", "", "kept"),
        ("1", "1", "", "kept"),
    ]
    assert rows[0]["cleaned_name"] == "class 2"
    assert [row["n_votes"] for row in rows] == ["2", "1", "1", "1", "1", "0", "0", "0"]
    assert rows[5]["reason"] == "quarantined: truncated"
    assert manifest["counts"] == {
        "kept": 4,
        "relabelled": 1,
        "label_added": 1,
        "excluded": 1,
        "undecided": 1,
    }


def test_every_change_is_traceable_to_judgments_and_nobody_is_named(tmp_path):
    audit = make_judged_audit()
    export(audit, tmp_path / "out")
    by_judgment = {row["judgment"]: row for row in read(tmp_path / "out" / "votes.csv")}
    patch = read(tmp_path / "out" / "patch.csv")
    assert [row["action"] for row in patch] == ["relabelled", "excluded", "label_added"]
    for row in patch:
        for judgment in row["judgments"].split(";"):
            assert by_judgment[judgment]["key"] == row["key"]
    assert {row["annotator"] for row in by_judgment.values()} == {"annotator-1", "annotator-2"}
    for path in (tmp_path / "out").iterdir():
        assert "example.org" not in path.read_text()


def test_e01_the_same_judgments_give_the_same_bytes(tmp_path):
    audit = make_judged_audit()
    export(audit, tmp_path / "one")
    export(audit, tmp_path / "two")
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == [
        *("changes.csv", "evidence.jsonl", "labels.csv"),
        *("manifest.json", "patch.csv", "votes.csv"),
    ]
    for name in names:
        content = (tmp_path / "one" / name).read_bytes()
        assert content == (tmp_path / "two" / name).read_bytes()
        assert b"\r" not in content


def test_a_release_shows_the_judgments_as_they_stood(tmp_path):
    audit = make_judged_audit()
    before = Snapshot.now(audit)
    export(audit, tmp_path / "before")
    sample = audit.sample
    first = sample.slots.get(sampled_item__item__position=2, number=1).judgment
    revise(first, "label_correct")
    revise(sample.slots.get(sampled_item__item__position=3, number=1).judgment, "withdrawn")
    export_release(audit, "lenient", before, tmp_path / "again")
    labels = (tmp_path / "before" / "labels.csv").read_bytes()
    assert (tmp_path / "again" / "labels.csv").read_bytes() == labels
    export(audit, tmp_path / "after")
    rows = read(tmp_path / "after" / "labels.csv")
    assert [rows[2]["action"], rows[3]["action"], rows[3]["n_votes"]] == ["kept", "kept", "0"]


def test_the_preview_decides_as_the_files_do(tmp_path):
    audit = make_judged_audit()
    decided = decide_all(audit, "lenient", load_votes(audit, last_judgment(audit)), {})
    export(audit, tmp_path / "out")
    rows = read(tmp_path / "out" / "labels.csv")
    assert {position: rows[position]["action"] for position in decided} == {
        position: decision.action.value for position, decision in decided.items()
    }


def test_the_manifest_says_where_it_all_comes_from(tmp_path):
    audit = make_judged_audit()
    export(audit, tmp_path / "out", policy="strict")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["dataset"]["slug"] == audit.dataset.slug
    assert [expert["name"] for expert in manifest["experts"]] == ["stub:3-0", "stub:3-1"]
    errors = ["wrong_ground_truth", "wrong_label"]  # the first is said of questions
    assert manifest["policy"] == {
        "name": "strict",
        "version": 1,
        "errors": errors,
        "definition": BUILT_IN["strict"].describe(),
    }
    assert manifest["last_judgment"] == last_judgment(audit)
    assert manifest["sample"]["strata"][0]["drawn"] == 5
    labels = tmp_path / "out" / "labels.csv"
    assert manifest["files"]["labels.csv"]["bytes"] == labels.stat().st_size


def test_e04_verification_finds_any_flipped_byte_missing_and_extra_files(tmp_path):
    whole = tmp_path / "whole"
    export(make_judged_audit(), whole)
    assert verify_folder(whole) == []
    for name in ("labels.csv", "votes.csv", "patch.csv", "manifest.json"):
        content = (whole / name).read_bytes()
        for place in range(0, len(content), max(1, len(content) // 40)):
            broken = tmp_path / "broken"
            shutil.copytree(whole, broken)
            flipped = bytearray(content)
            flipped[place] ^= 1
            (broken / name).write_bytes(flipped)
            assert verify_folder(broken), f"{name}, byte {place}"
            shutil.rmtree(broken)
    (whole / "extra.txt").write_text("x")
    (whole / "votes.csv").unlink()
    assert verify_folder(whole) == ["votes.csv is missing", "extra.txt is not part of it"]
    (whole / "manifest.json").unlink()
    assert "can't be read" in verify_folder(whole)[0]


def test_an_export_writes_into_a_new_or_empty_folder_only(tmp_path):
    audit = make_judged_audit()
    (tmp_path / "empty").mkdir()
    export(audit, tmp_path / "empty")
    for taken in (tmp_path / "empty", tmp_path / "file"):
        (tmp_path / "file").write_text("mine")
        with pytest.raises(ReleaseFolderError, match="not an empty folder"):
            export(audit, taken)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_worker_builds_an_ordered_release_once():
    audit = make_judged_audit()
    release = order_release(audit, "lenient")
    assert build_release(release.pk) is True
    assert build_release(release.pk) is False
    release.refresh_from_db()
    assert (release.work, release.number) == (Claimable.Work.DONE, 1)
    assert verify_folder(release_folder(audit.pk, 1)) == []
    assert release.manifest["counts"]["relabelled"] == 1
    assert order_release(audit, "strict").number == 2


def test_a_build_that_died_is_taken_up_again_and_the_late_one_writes_nothing():
    audit = make_judged_audit()
    release = order_release(audit, "lenient")
    folder = release_folder(audit.pk, release.number)
    folder.mkdir(parents=True)
    (folder / "half").write_text("a dead worker's")
    Release.objects.filter(pk=release.pk).update(
        work=Claimable.Work.RUNNING,
        epoch=1,
        attempts=1,
        owner="elsewhere:1",
        claimed_at="2020-01-01T00:00Z",
    )
    assert reconcile_releases() == 1
    assert build_release(release.pk) is True
    assert verify_folder(folder) == []
    assert reconcile_releases() == 0


def test_three_dead_workers_are_enough():
    release = order_release(make_judged_audit(), "lenient")
    Release.objects.update(
        work=Claimable.Work.RUNNING,
        epoch=3,
        attempts=3,
        owner="gone:1",
        claimed_at="2020-01-01T00:00Z",
    )
    assert reconcile_releases() == 1
    release.refresh_from_db()
    assert release.work == Claimable.Work.FAILED
    assert "died or fell silent" in release.error


def test_a_build_that_cant_write_fails_with_the_reason(fresh_home):
    release = order_release(make_judged_audit(), "lenient")
    (fresh_home / "releases").write_text("a file where the folder should be")
    assert build_release(release.pk) is False
    release.refresh_from_db()
    assert release.work == Claimable.Work.FAILED
    assert "Error" in release.error


def test_nothing_judged_is_nothing_to_release():
    with pytest.raises(ReleaseRefusedError, match="nothing is judged"):
        order_release(make_ready_audit(), "lenient")


@pytest.mark.django_db(transaction=True)
@pytest.mark.row("A44", "A49")
def test_of_fifty_orders_at_one_moment_as_many_wait_as_may_and_one_more_when_one_is_done():
    audit = make_judged_audit()

    def order(_: int) -> bool:
        try:
            order_release(audit, "lenient")
        except ReleaseRefusedError:
            return False
        return True

    assert sum(in_threads(order, range(50))) == MOST_WAITING
    numbers = list(Release.objects.order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, MOST_WAITING + 1))
    assert not order(50)
    assert build_release(Release.objects.earliest("number").pk)
    assert order(50)
