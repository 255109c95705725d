"""Scores of batch jobs: the format by hand, and everything that is refused, by file."""

from __future__ import annotations

import hashlib
import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from audit.loaders.base import ImportRefused
from audit.loaders.score_shards import LoadedShards, read_shards
from audit.models import ScoreSet
from audit.score_store import open_scores
from tests.factories import make_dataset

N_ITEMS, N_CLASSES = 10, 3
KEYS = [f"k{number}" for number in range(N_ITEMS)]
LOGITS = np.random.default_rng(5).normal(scale=3, size=(N_ITEMS, N_CLASSES)).astype(np.float32)
EXPERT = {"weights_sha256": "a" * 64, "transform": {"size": 224}}


def add_shard(folder: Path, values: np.ndarray, name: str, **facts) -> dict:
    path = folder / name
    np.save(path, values)
    return {"file": name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), **facts}


def add_keys(folder: Path, name: str, keys: list[str]) -> dict:
    content = json.dumps(keys).encode()
    (folder / name).write_bytes(content)
    return {"keys": name, "keys_sha256": hashlib.sha256(content).hexdigest()}


def write_manifest(folder: Path, shards: list[dict], **facts) -> None:
    document = {
        "format": "label-audit scores",
        "version": 1,
        "kind": "logits",
        "n_items": N_ITEMS,
        "n_classes": N_CLASSES,
        "expert": EXPERT,
        "shards": shards,
        **facts,
    }
    (folder / "manifest.json").write_text(json.dumps(document))


def write_ranges(folder: Path, edges=((0, 4), (4, 7), (7, 10)), values=LOGITS, **facts) -> None:
    shards = [
        add_shard(folder, values[start:stop], f"{start}.npy", start=start, stop=stop)
        for start, stop in edges
    ]
    write_manifest(folder, facts.pop("shards", shards[::-1]), **facts)


def change(folder: Path, place: int, **facts) -> None:
    """Change the manifest's entry of one shard; None takes a field away."""
    document = json.loads((folder / "manifest.json").read_text())
    shard = document["shards"][place]
    document["shards"][place] = {k: v for k, v in (shard | facts).items() if v is not None}
    (folder / "manifest.json").write_text(json.dumps(document))


def read(folder: Path, dataset_sha256: str = "") -> LoadedShards:
    return read_shards(folder, N_ITEMS, N_CLASSES, lambda: KEYS, dataset_sha256)


def rows_of(loaded: LoadedShards) -> np.ndarray:
    return np.concatenate(list(loaded.scores.iter_rows(3)))


def problems_of(folder: Path) -> list[tuple[str, str]]:
    with pytest.raises(ImportRefused) as refusal:
        read(folder)
    return [(problem.column, problem.code) for problem in refusal.value.problems]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_ranges_in_any_order_are_the_items_in_theirs(tmp_path, dtype):
    write_ranges(tmp_path, values=LOGITS.astype(dtype))
    loaded = read(tmp_path)
    np.testing.assert_array_equal(rows_of(loaded), LOGITS.astype(dtype))
    assert (loaded.scores.dtype, loaded.card, loaded.absent) == (dtype, EXPERT, {})


def write_keyed(folder: Path, orders=([7, 2, 9], [0, 1, 3, 4, 5, 6, 8])) -> None:
    shards = []
    for number, order in enumerate(orders):
        named = add_keys(folder, f"{number}.json", [KEYS[place] for place in order])
        shards.append(add_shard(folder, LOGITS[order], f"{number}.npy", **named))
    write_manifest(folder, shards)


def test_keys_say_whose_row_it_is(tmp_path):
    write_keyed(tmp_path)
    np.testing.assert_array_equal(rows_of(read(tmp_path)), LOGITS)


def test_items_without_scores_are_told_by_row_and_come_by_position(tmp_path):
    values = LOGITS.copy()
    values[[7, 3]] = np.nan
    shards = []
    for number, order in enumerate(([7, 2, 9], [0, 1, 3, 4, 5, 6, 8])):
        named = add_keys(tmp_path, f"{number}.json", [KEYS[place] for place in order])
        absent = {"0": "unreadable"} if number == 0 else {"2": "too large"}
        shards.append(add_shard(tmp_path, values[order], f"{number}.npy", **named, absent=absent))
    write_manifest(tmp_path, shards)
    loaded = read(tmp_path)
    np.testing.assert_array_equal(rows_of(loaded), values)
    assert loaded.absent == {7: "unreadable", 3: "too large"}


def test_a_row_of_nan_that_nobody_spoke_of_is_refused_and_so_is_one_that_has_scores(tmp_path):
    values = LOGITS.copy()
    values[5] = np.nan
    write_ranges(tmp_path, values=values)
    assert problems_of(tmp_path) == [("", "nonfinite")]
    change(tmp_path, 1, absent={"1": "unreadable"})
    assert read(tmp_path).absent == {5: "unreadable"}
    change(tmp_path, 1, absent={"0": "unreadable", "1": "unreadable"})
    assert problems_of(tmp_path) == [("absent", "absent")]


def test_missing_rows_and_overlaps_are_named(tmp_path):
    write_ranges(tmp_path, edges=((0, 4), (5, 7), (6, 9)))
    assert problems_of(tmp_path) == [
        ("5.npy", "missing_rows"),
        ("6.npy", "overlap"),
        ("the end", "missing_rows"),
    ]


def test_a_shard_given_twice_or_gone_or_changed_is_named(tmp_path):
    write_ranges(tmp_path)
    (tmp_path / "4.npy").unlink()
    content = bytearray((tmp_path / "7.npy").read_bytes())
    content[-1] ^= 1
    (tmp_path / "7.npy").write_bytes(content)
    assert problems_of(tmp_path) == [("7.npy", "damaged"), ("4.npy", "missing_shard")]
    write_ranges(tmp_path, edges=((0, 4), (4, 10), (4, 10)))
    assert problems_of(tmp_path) == [("4.npy", "dup_shard")]


def test_keys_that_are_doubled_unknown_or_changed_are_refused(tmp_path):
    write_keyed(tmp_path, orders=([7, 2, 9], [0, 1, 3, 4, 5, 6, 7]))
    assert [code for _, code in problems_of(tmp_path)] == ["dup_id", "missing_key"]
    write_keyed(tmp_path)
    (tmp_path / "1.json").write_text("[]")
    assert ("1.json", "damaged") in problems_of(tmp_path)


def test_the_facts_must_be_those_of_the_data_set(tmp_path):
    write_ranges(tmp_path, n_items=11, n_classes=4, dataset_sha256="b" * 64)
    assert problems_of(tmp_path) == [
        ("n_items", "count_mismatch"),
        ("n_classes", "class_count"),
        ("dataset_sha256", "dataset"),
    ]
    write_ranges(tmp_path, dataset_sha256="b" * 64)
    assert len(rows_of(read(tmp_path, "b" * 64))) == N_ITEMS


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"version": 2}, "format"),
        ({"format": "npy"}, "format"),
        ({"kind": "top-k"}, "kind"),
        ({"kind": "probabilities"}, "probability_range"),
        ({"expert": {"transform": "x"}}, "expert"),
        ({"expert": {"weights_sha256": "a" * 64}}, "expert"),
        ({"shards": []}, "empty"),
        ({"colour": "red"}, "unknown_field"),
    ],
)
def test_manifests_that_say_too_little_or_too_much_are_refused(tmp_path, facts, code):
    write_ranges(tmp_path, **facts)
    assert problems_of(tmp_path)[0][1] == code


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"file": "../7.npy"}, "path"),
        ({"file": "/etc/passwd"}, "path"),
        ({"sha256": None}, "missing_field"),
        ({"start": None}, "range"),
        ({"start": 9, "stop": 7}, "range"),
        ({"stop": 9}, "count_mismatch"),
        ({"keys": "7.json"}, "keys"),
        ({"absent": {"3": "beyond"}}, "absent"),
        ({"absents": {}}, "unknown_field"),
    ],
)
def test_entries_that_make_no_sense_are_refused(tmp_path, facts, code):
    write_ranges(tmp_path)
    change(tmp_path, 1, **facts)  # the one of items 4 to 6
    assert code in [code for _, code in problems_of(tmp_path)]


def test_no_manifest_or_no_json_is_refused(tmp_path):
    assert problems_of(tmp_path)[0][1] == "missing"
    (tmp_path / "manifest.json").write_text("{")
    assert problems_of(tmp_path)[0][1] == "json"


def test_a_pickle_is_never_loaded(tmp_path):
    np.save(tmp_path / "0.npy", np.array([[object()] * N_CLASSES] * N_ITEMS), allow_pickle=True)
    digest = hashlib.sha256((tmp_path / "0.npy").read_bytes()).hexdigest()
    write_manifest(tmp_path, [{"file": "0.npy", "sha256": digest, "start": 0, "stop": N_ITEMS}])
    assert problems_of(tmp_path) == [("0.npy", "dtype")]


@pytest.mark.django_db
def test_the_command_stores_them_with_the_expert_and_the_reasons(tmp_path):
    dataset = make_dataset(n_items=N_ITEMS, n_classes=N_CLASSES)
    values = LOGITS.copy()
    values[5] = np.nan
    write_ranges(tmp_path, values=values, dataset_sha256=dataset.sha256)
    change(tmp_path, 1, absent={"1": "unreadable"})
    out = StringIO()
    arguments = ["import_scores", dataset.slug, "job", str(tmp_path), "--kind", "shards"]
    call_command(*arguments, "--json", stdout=out)
    score_set = ScoreSet.objects.get()
    assert json.loads(out.getvalue())["sha256"] == score_set.sha256
    np.testing.assert_array_equal(open_scores(score_set.pk)[0:N_ITEMS], values)
    assert score_set.card == EXPERT
    reasons = score_set.unscorable.values_list("item__position", "detail")
    assert list(reasons) == [(5, "unreadable")]


@pytest.mark.django_db
def test_the_command_leaves_nothing_behind_of_what_it_refuses(tmp_path):
    dataset = make_dataset(n_items=N_ITEMS, n_classes=N_CLASSES)
    write_ranges(tmp_path, edges=((0, 4), (5, 10)))
    with pytest.raises(CommandError, match="items 4 to 4 are in no shard"):
        call_command("import_scores", dataset.slug, "job", str(tmp_path), "--kind", "shards")
    assert not ScoreSet.objects.exists()
