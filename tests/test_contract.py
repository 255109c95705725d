"""The names that scripts rely on: every command's JSON, its flags and exit codes, as promised."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from audit.models import Dataset, ScoreSet
from audit.services.scores import store_scores
from tests.factories import make_dataset

ROOT = Path(__file__).resolve().parents[1]
N_ITEMS, N_CLASSES = 240, 4
METHODS = {
    "ensemble", "calibrated_ensemble", "confident_learning", "confident_learning_cleanlab",
    "calibrated_margin", "self_confidence",
}  # fmt: skip
MOMENTS = {"a_before", "a_after", "b_before", "b_after"}


def make_scored_dataset() -> Dataset:
    """Two experts of different skill, each now and then at odds with the given label."""
    dataset = make_dataset(n_items=N_ITEMS, n_classes=N_CLASSES)
    rng, given = np.random.default_rng(0), np.arange(N_ITEMS) % N_CLASSES
    for expert, skill in (("small", 2.0), ("large", 4.0)):
        logits = rng.normal(size=(N_ITEMS, N_CLASSES)).astype(np.float32)
        logits[np.arange(N_ITEMS), np.where(rng.random(N_ITEMS) < 0.1, 0, given)] += skill
        store_scores(dataset, expert, [logits], source=ScoreSet.Source.IMPORTED)
    return dataset


@pytest.fixture
def run(db, capsys):
    """A command with --json: its document, from stdout that holds nothing else."""

    def run_command(*arguments):
        call_command(*(str(argument) for argument in arguments), "--json")
        return json.loads(capsys.readouterr().out)

    return run_command


@pytest.fixture
def audited(run):
    dataset = make_scored_dataset()
    document = run("audit", dataset.slug, "--experts", "small", "large", "--bins", 5, "--wait")
    return dataset, document


def is_interval(found, *more):
    return {"estimate", "low", "high", *more} <= found.keys()


def test_the_audit_document(audited):
    dataset, document = audited
    assert {
        "audit", "items", "quarantined", "disputed", "experts", "queues", "seconds",
    } <= document.keys()  # fmt: skip
    assert (document["items"], document["quarantined"]) == (N_ITEMS, 0)
    assert [expert["name"] for expert in document["experts"]] == ["small", "large"]
    for expert in document["experts"]:
        assert expert["calibrator"] == "temperature"
        assert expert["parameters"].keys() == {"a", "b"}
        assert expert["parameters"]["a"].keys() == {"temperature"}
        assert expert["degenerate"] is None
        assert 0 < expert["accuracy"] < 1
        assert expert["ece"].keys() == expert["nll"].keys() == MOMENTS
        for moment, limits in expert["ece_interval"].items():
            assert limits["low"] <= expert["ece"][moment] <= limits["high"]
    queues = document["queues"]
    assert METHODS | {"basic:small", "basic:large"} <= queues.keys()
    assert len(queues["calibrated_ensemble"]) == 5
    assert queues["calibrated_ensemble"][-1] == queues["ensemble"] == document["disputed"]
    assert all(isinstance(n, int) for name, n in queues.items() if name != "calibrated_ensemble")
    assert dataset.audits.get().pk == document["audit"]


FLAGS = ("--bins", 3, "--bins-over", "all", "--require-agreement", "--seed", 7, "--wait")


@pytest.mark.parametrize("calibrator", ["temperature", "platt", "histogram", "isotonic", "none"])
def test_every_flag_of_audit_is_taken_and_people_can_read_the_result(db, capsys, calibrator):
    dataset = make_scored_dataset()
    arguments = ["audit", dataset.slug, "--experts", "small", "large", *FLAGS]
    call_command(*(str(each) for each in arguments), "--calibrator", calibrator)
    assert "small: accuracy 0." in capsys.readouterr().out
    audit = dataset.audits.get()
    assert (audit.n_bins, audit.bins_over, audit.seed) == (3, "all", 7)
    assert (audit.calibrator, audit.require_agreement) == (calibrator, True)


@pytest.fixture
def voted(audited, run, tmp_path):
    """The audit's data set with outside votes on every second item."""
    dataset, document = audited
    keys = list(dataset.items.order_by("position").values_list("key", flat=True))
    lines = [f"{key},ann,{place % 7 % N_CLASSES}" for place, key in enumerate(keys) if place % 2]
    path = tmp_path / "votes.csv"
    path.write_text("\n".join(["key,annotator,labels", *lines, ""]))
    votes = run("import_votes", dataset.slug, path, "--source", "ann")
    assert {"dataset", "source", "votes", "items", "sha256"} <= votes.keys()
    assert (votes["source"], votes["votes"], votes["items"]) == ("ann", N_ITEMS / 2, N_ITEMS / 2)
    return dataset, document["audit"]


def test_the_report_document(voted, run):
    _, audit = voted
    report = run("report", audit, "--truth", "votes:ann", "--policy", "strict")
    assert {"truth", "policy", "methods", "overlap", "agreement"} <= report.keys()
    assert (report["truth"], report["policy"]) == ("votes:ann", "strict")
    assert report["methods"].keys() >= METHODS
    for name, method in report["methods"].items():
        points = method["points"]
        depth = "k" if name == "calibrated_ensemble" else "n"
        n_points = 5 if depth == "k" else min(20, points[-1]["flagged"])
        assert len(points) >= n_points
        for point in points:
            assert {depth, "flagged", "judged", "errors"} <= point.keys()
            assert is_interval(point["precision"])
            assert is_interval(point["detection_rate"], "kind")
            assert point["detection_rate"]["kind"] in {"absolute", "relative"}
    assert len(report["overlap"]) == len(report["methods"]) - 1
    for pair in report["overlap"]:
        assert {"a", "b", "cells", "difference"} <= pair.keys()
        assert pair["cells"].keys() == {"a_only", "both", "b_only"}
        for cell in pair["cells"].values():
            assert {"flagged", "judged", "errors"} <= cell.keys()
            assert is_interval(cell["precision"])
        assert is_interval(pair["difference"])
        assert all(is_interval(row["difference"]) for row in pair["at_detection_rate"])
    at = report["methods"]["self_confidence"]["at_detection_rate"]
    assert [row["rate"] for row in at] == sorted(row["rate"] for row in at)
    assert all(is_interval(row["precision"]) and row["flagged"] > 0 for row in at)
    chosen = run("report", audit, "--methods", "ensemble", "confident_learning")
    assert list(chosen["methods"]) == ["ensemble", "confident_learning"]
    assert (chosen["truth"], chosen["policy"]) == ("judgments", "lenient")


def test_the_cascade_document(voted, run):
    dataset, audit = voted
    pair = ["cascade", dataset.slug, "--small", "small", "--large", "large"]
    for labels in ("given", f"cleaned:{audit}", "votes:ann"):
        document = run(*pair, "--labels", labels, "--bins", 5, "--calibrator", "platt")
        assert {"curves", "apgr", "models", "best"} <= document.keys()
        assert document["curves"].keys() == document["apgr"].keys()
        assert document["apgr"].keys() == {"CC", "UC", "RC", "MF", "oracle"}
        assert len(document["curves"]["CC"]) == 6
        for points in document["curves"].values():
            assert all({"small_ratio", "accuracy"} <= point.keys() for point in points)
        for apgr in document["apgr"].values():
            assert {"estimate", "low", "high"} <= apgr.keys() or "undefined" in apgr
        assert {"small", "large"} <= document["models"].keys()
        assert {"small_ratio", "accuracy", "p_value"} <= document["best"].keys()


KINDS = {
    "logits": lambda logits: {"logits": logits},
    "probabilities": lambda logits: {"probabilities": _softmax(logits)},
    "log-probabilities": lambda logits: {"log_probabilities": np.log(_softmax(logits))},
    "top-k": lambda logits: {
        "classes": np.argsort(-logits, axis=1)[:, :2],
        "probabilities": -np.sort(-_softmax(logits), axis=1)[:, :2],
    },
    "correctness": lambda logits: {"score": logits[:, 0], "correct": logits[:, 0] > 0},
}


def _softmax(logits):
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_scores_of_every_kind_are_imported(run, tmp_path, kind):
    dataset = make_dataset(n_items=20, n_classes=3)
    logits = np.random.default_rng(0).normal(size=(20, 3))
    path = tmp_path / "scores.npz"
    np.savez(path, **KINDS[kind](logits))
    document = run("import_scores", dataset.slug, "expert", path, "--kind", kind)
    assert document.keys() == {
        "dataset", "expert", "items", "classes", "notices", "sha256", "seconds",
    }  # fmt: skip
    assert (document["items"], document["expert"]) == (20, "expert")
    assert document["classes"] == (None if kind == "correctness" else 3)


def test_exit_codes_and_streams_of_real_processes(tmp_path):
    """0 done, 1 refused with a reason and no traceback, 2 wrong usage; stdout is the document."""
    environment = {**os.environ, "LABEL_AUDIT_HOME": str(tmp_path / "home")}

    def start(*arguments):
        return subprocess.run(
            [sys.executable, "manage.py", *map(str, arguments)],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    rng = np.random.default_rng(0)
    manifest, logits = tmp_path / "labels.csv", rng.normal(size=(60, 3)).astype(np.float32)
    manifest.write_text("key,label\n" + "".join(f"i{n},{n % 3}\n" for n in range(60)))
    logits[np.arange(60), np.arange(60) % 3] += 1.5
    np.save(tmp_path / "first.npy", logits)
    assert start("migrate", "--verbosity", 0).returncode == 0
    brought = start("import_dataset", "plain", manifest, "--format", "manifest", "--json")
    assert (brought.returncode, json.loads(brought.stdout)["items"]) == (0, 60)
    scored = start("import_scores", "plain", "first", tmp_path / "first.npy", "--json")
    assert (scored.returncode, json.loads(scored.stdout)["classes"]) == (0, 3)
    refused = start("audit", "plain", "--experts", "first")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "two or more experts" in refused.stderr
    assert "Traceback" not in refused.stderr
    misused = start("import_votes", "plain", "votes.csv")
    assert misused.returncode == 2
    assert misused.stderr.startswith("usage:")


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "7"),
        ("cascade", "nothing", "--small", "a", "--large", "b"),
        ("import_scores", "nothing", "a", "a.npy"),
        ("import_votes", "nothing", "a.csv", "--source", "a"),
    ],
)
def test_refusals_are_command_errors_with_exit_code_one(db, arguments):
    with pytest.raises(CommandError) as refusal:
        call_command(*arguments)
    assert refusal.value.returncode == 1
    assert "there are: none yet" in str(refusal.value)
