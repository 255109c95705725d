"""Bad input meets one clear message with row and reason, and leaves nothing half-written."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from audit.models import Audit, Dataset, Item, ScoreSet

pytestmark = pytest.mark.django_db


def refuse(*arguments: object, **options: object) -> str:
    """Return what a command says when it refuses."""
    with pytest.raises(CommandError) as refusal:
        call_command(*arguments, stdout=io.StringIO(), stderr=io.StringIO(), **options)
    return str(refusal.value)


def run(*arguments: str) -> dict:
    out = io.StringIO()
    call_command(*arguments, "--json", stdout=out, stderr=io.StringIO())
    document: dict = json.loads(out.getvalue())
    return document


def write_manifest(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


def import_plain(folder: Path, n_items: int = 4) -> None:
    rows = "".join(f"item-{number},{number % 2}\n" for number in range(n_items))
    run(
        "import_dataset",
        "plain",
        str(write_manifest(folder, f"key,label\n{rows}")),
        "--format",
        "manifest",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty"),
        ("name,class\na,0\n", "column"),
        ("key,label\na,0\na,1\n", "row 3"),
        ("key,label\na,0\nb,-1\n", "row 3"),
        ("key,label\na,0\nb,1.0\n", "row 3"),
        ("key,label\na,0\nb\n", "row 3"),
        ("key,label\na,cat\n", "row 2"),
    ],
)
def test_a_bad_manifest_is_refused_with_its_row(tmp_path, text, expected):
    message = refuse(
        "import_dataset", "bad", write_manifest(tmp_path, text), "--format", "manifest"
    )
    assert expected in message
    assert not Dataset.objects.exists()
    assert not Item.objects.exists()


def test_a_label_that_no_class_has_is_refused(tmp_path):
    classes = tmp_path / "classes.txt"
    classes.write_text("cat\ndog\n")
    manifest = write_manifest(tmp_path, "key,label\na,cat\nb,2\nc,bird\n")
    message = refuse(
        "import_dataset", "bad", manifest, "--format", "manifest", "--classes", classes
    )
    assert "row 3" in message
    assert "row 4" in message
    assert not Dataset.objects.exists()


def test_a_path_that_is_not_there_is_named(tmp_path):
    for form in ("manifest", "imagefolder"):
        message = refuse("import_dataset", "bad", tmp_path / "gone", "--format", form)
        assert "gone" in message


def test_a_name_is_taken_once(tmp_path):
    import_plain(tmp_path)
    message = refuse("import_dataset", "plain", tmp_path / "labels.csv", "--format", "manifest")
    assert "exists already" in message
    assert Item.objects.count() == 4


def test_images_that_can_not_be_used_are_quarantined_and_counted(tmp_path):
    (tmp_path / "cat").mkdir()
    Image.new("RGB", (40, 40), "red").save(tmp_path / "cat/good.jpg")
    whole = (tmp_path / "cat/good.jpg").read_bytes()
    (tmp_path / "cat/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cat/page.jpg").write_text("<html><body>no picture</body></html>")
    (tmp_path / "cat/empty.jpg").write_bytes(b"")
    giant = Image.new("1", (9000, 9000))
    giant.save(tmp_path / "cat/giant.png")
    document = run("import_dataset", "pets", str(tmp_path), "--format", "imagefolder")
    assert document["items"] == 5
    assert document["quarantined"] == 4
    assert document["reasons"] == {"truncated": 1, "not_image": 1, "empty": 1, "too_large": 1}
    kept = Item.objects.get(key="cat/cut.jpg")
    assert (kept.given_label, kept.quarantine_code) == (0, "truncated")


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        (np.zeros((3, 2), np.float32), "3"),
        (np.zeros((4, 3), np.float32), "3"),
        (np.zeros((2, 2, 2), np.float32), "(2, 2, 2)"),
        (np.array([[1, 2], [3, np.nan], [1, 2], [1, 2]], np.float32), "row 1"),
        (np.array([["a", "b"]] * 4), "U"),
    ],
)
def test_bad_scores_are_refused_with_the_reason(tmp_path, scores, expected):
    import_plain(tmp_path)
    path = tmp_path / "scores.npy"
    np.save(path, scores)
    assert expected in refuse("import_scores", "plain", "expert", path)
    assert not ScoreSet.objects.exists()
    assert not list(tmp_path.glob("home/scores/*/*"))


def test_scores_that_are_not_probabilities_are_refused_as_such(tmp_path):
    import_plain(tmp_path)
    path = tmp_path / "scores.npy"
    np.save(path, np.full((4, 2), 0.9, np.float32))
    assert "row 0" in refuse("import_scores", "plain", "expert", path, "--kind", "probabilities")


def test_scores_come_once_and_join_by_key(tmp_path):
    import_plain(tmp_path)
    path = tmp_path / "scores.npz"
    keys = [f"item-{number}" for number in (3, 1, 0, 2)]
    rows = np.array([[3, 0], [1, 0], [0, 5], [2, 0]], np.float32)
    np.savez(path, logits=rows, keys=np.array(keys))
    run("import_scores", "plain", "expert", str(path))
    from audit.score_store import open_scores

    stored = open_scores(ScoreSet.objects.get().pk)[0:4]
    np.testing.assert_array_equal(stored, rows[[2, 1, 3, 0]])
    assert "already" in refuse("import_scores", "plain", "expert", path)


def test_unknown_names_are_answered_with_the_known_ones(tmp_path):
    import_plain(tmp_path)
    assert "plain" in refuse("run_expert", "plane", "stub:2")
    assert "stub" in refuse("audit", "plain", "--experts", "timn:resnet18", "stub:2")
    assert "no pictures" in refuse("run_expert", "plain", "stub:2")
    assert not Audit.objects.exists()
