"""Outcomes of generative tasks: joined by key, refused by row, kept out of audits."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from audit.forms import NewAuditForm
from audit.loaders import ImportRefused, load_dataset
from audit.loaders.correctness import read_correctness
from audit.models import Dataset, Role, ScoreSet
from audit.score_store import open_scores
from audit.services.audits import AuditRefusedError, start_audit
from audit.services.scores import ScoresRefusedError, combine_folds
from scoring.splits import in_half_a
from tests.factories import make_dataset, make_member

KEYS = ["k0", "k1", "k2"]
ROWS = np.array([[-1.5, 1], [0.25, 0], [2.0, 1]], dtype=np.float32)


def write_csv(folder: Path, *lines: str) -> Path:
    path = folder / "outcomes.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def write_npz(folder: Path, **arrays) -> Path:
    path = folder / "outcomes.npz"
    np.savez(path, **arrays)
    return path


def problems_of(path: Path) -> list[tuple[int | None, str, str]]:
    with pytest.raises(ImportRefused) as refusal:
        read_correctness(path, 3, KEYS)
    return [(problem.row, problem.column, problem.code) for problem in refusal.value.problems]


def test_tables_are_joined_by_key_and_columns_by_name(tmp_path):
    path = write_csv(tmp_path, "key,correct,score", "k2,1,2.0", "k0,1,-1.5", "k1,0,.25")
    np.testing.assert_array_equal(read_correctness(path, 3, KEYS).rows, ROWS)


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float32])
def test_arrays_come_in_item_order_or_with_keys(tmp_path, dtype):
    score, correct = ROWS[:, 0], ROWS[:, 1].astype(dtype)
    path = write_npz(tmp_path, score=score, correct=correct)
    np.testing.assert_array_equal(read_correctness(path, 3, KEYS).rows, ROWS)
    path = write_npz(tmp_path, score=score[::-1], correct=correct[::-1], keys=KEYS[::-1])
    np.testing.assert_array_equal(read_correctness(path, 3, KEYS).rows, ROWS)


def test_outcomes_that_are_none_are_refused_with_their_row(tmp_path):
    path = write_csv(tmp_path, "key,score,correct", "k0,nan,1", "k1,1,0.5", "k2,1,1")
    assert problems_of(path) == [(0, "score", "nonfinite"), (1, "correct", "nonfinite")]
    missing = write_csv(tmp_path, "key,score", "k0,1", "k1,1", "k2,1")
    assert problems_of(missing) == [(None, "", "missing_column")]
    short = write_npz(tmp_path, score=ROWS[:2, 0], correct=ROWS[:2, 1])
    assert problems_of(short) == [(None, "", "count_mismatch")]
    flat = write_npz(tmp_path, score=ROWS, correct=ROWS)
    assert problems_of(flat) == [(None, "", "shape")]
    np.save(tmp_path / "outcomes.npy", ROWS)
    assert problems_of(tmp_path / "outcomes.npy") == [(None, "", "format")]


def import_outcomes(dataset, folder: Path, name: str, score, correct) -> dict:
    out, path = StringIO(), write_npz(folder, score=score, correct=correct)
    arguments = ["import_scores", dataset.slug, name, path, "--kind", "correctness", "--json"]
    call_command(*arguments, stdout=out)
    return json.loads(out.getvalue())


@pytest.mark.django_db
def test_stored_outcomes_are_two_columns_that_no_audit_takes_for_logits(tmp_path):
    dataset = make_dataset(n_items=3, n_classes=2)
    document = import_outcomes(dataset, tmp_path, "generator", ROWS[:, 0], ROWS[:, 1])
    assert document["classes"] is None
    score_set = ScoreSet.objects.get()
    assert score_set.has_outcomes_only
    np.testing.assert_array_equal(open_scores(score_set.pk)[0:3], ROWS)
    import_outcomes(dataset, tmp_path, "other", ROWS[:, 0], ROWS[:, 1])
    with pytest.raises(AuditRefusedError, match="cascades only"):
        start_audit(dataset, ["generator", "other"])
    with pytest.raises(ScoresRefusedError, match="cascades only"):
        combine_folds(dataset, "both", ["generator", "other"], {})


def write_tasks(folder: Path, n_tasks: int) -> Path:
    path = folder / "tasks.jsonl"
    rows = ({"key": f"t{n}", "question": f"{n} apples and 2 pears?"} for n in range(n_tasks))
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def import_tasks(folder: Path, n_tasks: int, slug: str = "maths") -> Dataset:
    call_command("import_dataset", slug, write_tasks(folder, n_tasks), "--format", "tasks")
    return Dataset.objects.get(slug=slug)


@pytest.mark.django_db
def test_tasks_come_without_labels_and_a_cascade_needs_none(tmp_path, capsys):
    dataset = import_tasks(tmp_path, 400)
    assert capsys.readouterr().out.startswith("maths: 400 items\n")
    assert (dataset.n_classes, dataset.has_classes, dataset.has_pictures) == (0, False, False)
    assert set(dataset.items.values_list("given_label", flat=True)) == {None}
    assert dataset.items.get(position=3).question == "3 apples and 2 pears?"
    rng = np.random.default_rng(1)
    for name, share in (("small", 0.5), ("large", 0.95)):
        right = rng.random(400) < share
        import_outcomes(dataset, tmp_path, name, right + rng.normal(size=400), right)
    document = cascade(dataset)
    assert document["settings"]["calibrator"] == "platt"
    half_b = ~in_half_a([f"t{n}" for n in range(400)], seed=0)
    assert document["models"]["large"] == pytest.approx(right[half_b].mean())
    assert document["apgr"]["CC"]["low"] > 0.5


@pytest.mark.django_db
def test_what_needs_classes_is_refused_for_tasks(tmp_path):
    dataset = import_tasks(tmp_path, 40)
    logits = tmp_path / "logits.npy"
    np.save(logits, np.zeros((40, 2), dtype=np.float32))
    with pytest.raises(CommandError, match="tasks without classes"):
        call_command("import_scores", dataset.slug, "small", logits)
    with pytest.raises(AuditRefusedError, match="tasks without classes"):
        start_audit(dataset, ["timm:resnet18", "timm:resnet34"])
    votes = tmp_path / "votes.csv"
    votes.write_text("key,annotator,verdict\nt0,ann,wrong_label\n")
    with pytest.raises(CommandError, match="no labels to vote on"):
        call_command("import_votes", dataset.slug, votes, "--source", "ann")
    admin = make_member(dataset.project, Role.ADMIN)
    assert list(NewAuditForm(user=admin).fields["dataset"].queryset) == []


@pytest.mark.parametrize(
    ("content", "options", "code"),
    [
        ("key,label\nt0,1\n", {}, "unknown_column"),
        ("question\nwhy?\n", {}, "missing_column"),
        ("key\nt0\nt0\n", {}, "dup_id"),
        ('{"key": "t0", "question": 7}\n', {}, "text"),
        ("key\nt0\n", {"root": Path("/")}, "classes"),
    ],
)
def test_tasks_that_are_none_are_refused(tmp_path, content, options, code):
    path = tmp_path / "tasks.csv"
    path.write_text(content)
    with pytest.raises(ImportRefused) as refusal:
        load_dataset("tasks", path, **options)
    assert [problem.code for problem in refusal.value.problems] == [code]


def cascade(dataset, *arguments) -> dict:
    out = StringIO()
    experts = ["--small", "small", "--large", "large"]
    call_command("cascade", dataset.slug, *experts, "--json", *arguments, stdout=out)
    return json.loads(out.getvalue())


@pytest.mark.django_db
def test_outcomes_make_a_cascade_calibrated_by_platts_line(tmp_path):
    dataset = make_dataset(n_items=600)
    rng = np.random.default_rng(0)
    score = rng.normal(size=600)
    small = rng.random(600) < 1 / (1 + np.exp(-2 * score))
    large = rng.random(600) < 0.9
    import_outcomes(dataset, tmp_path, "small", score, small)
    import_outcomes(dataset, tmp_path, "large", rng.normal(size=600), large)
    document = cascade(dataset, "--calibrator", "platt")
    assert document["cascade"]["calibrators"]["small"]["slope"] == pytest.approx(2, abs=0.7)
    assert document["models"]["small"] == pytest.approx(0.5, abs=0.08)
    assert document["apgr"]["CC"]["estimate"] > 0.65
    assert document["apgr"]["MF"]["estimate"] > 0.65
    elsewhere = cascade(dataset, "--test-dataset", dataset.slug)
    assert elsewhere["apgr"]["CC"] == document["apgr"]["CC"]
    swept = cascade(dataset, "--sweep")
    assert swept["settings"]["calibrator"] == "platt"
    assert {row["calibrator"] for row in swept["sweep"]} == {"platt", "none"}
    for arguments, reason in (
        (["--calibrator", "temperature"], "--calibrator platt or none, not temperature"),
        (["--calibrator", "platt", "--labels", "votes:real"], "graded where they come from"),
    ):
        with pytest.raises(CommandError, match=reason):
            cascade(dataset, *arguments)
