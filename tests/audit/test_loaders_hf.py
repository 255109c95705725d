"""Hugging Face data sets on disk: pictures are read from their place in the Arrow files."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from django.core.management import call_command
from PIL import Image

from audit.image_files import read_file
from audit.images import UnusableImage, inspect
from audit.loaders import ImportRefused, LoadedDataset, load_dataset
from audit.models import Dataset, ScoreSet
from audit.score_store import open_scores
from scoring.experts import load_expert


def jpeg(colour: int) -> bytes:
    output = io.BytesIO()
    Image.new("RGB", (80, 64), (colour, 255 - colour, 40)).save(output, "JPEG")
    return output.getvalue()


NAMES = {"_type": "ClassLabel", "names": ["cat", "dog", "owl"]}
FEATURES = {"image": {"_type": "Image"}, "label": NAMES}


def rows(*labels: object, start: int = 0) -> list[dict]:
    return [
        {"image": {"bytes": jpeg(start + place), "path": None}, "label": label}
        for place, label in enumerate(labels)
    ]


def save(folder: Path, *shards: list[dict], features: dict | None = None) -> Path:
    """Write what ``Dataset.save_to_disk`` writes; a test below compares with the library."""
    features = features or FEATURES
    folder.mkdir(parents=True, exist_ok=True)
    kinds = {
        "Image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        "ClassLabel": pa.int64(),
    }
    schema = pa.schema(
        [
            (name, kinds.get(feature["_type"]) or pa.type_for_alias(feature["dtype"]))
            for name, feature in features.items()
        ]
    )
    files = []
    for number, shard in enumerate(shards):
        files.append({"filename": f"data-{number:05d}-of-{len(shards):05d}.arrow"})
        table = pa.Table.from_pylist(shard, schema)
        with pa.ipc.new_stream(folder / files[-1]["filename"], schema) as writer:
            writer.write_table(table, max_chunksize=2)
    (folder / "state.json").write_text(json.dumps({"_data_files": files}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    return folder


def load(path: Path, **options) -> LoadedDataset:
    return load_dataset("hf", path, **options)


def codes_of(path: Path, **options) -> list[str]:
    with pytest.raises(ImportRefused) as refusal:
        load(path, **options)
    return [problem.code for problem in refusal.value.problems]


def test_rows_of_all_files_become_items_read_where_they_lie(tmp_path):
    loaded = load(save(tmp_path, rows(0, 1, 2), rows(1, 1, start=3)))
    assert [(item.key, item.label) for item in loaded.items] == [
        ("0", 0), ("1", 1), ("2", 2), ("3", 1), ("4", 1)
    ]  # fmt: skip
    assert [each.name for each in loaded.classes] == ["cat", "dog", "owl"]
    assert [read_file(loaded.root, item.image) for item in loaded.items] == [
        jpeg(colour) for colour in range(5)
    ]
    assert inspect(loaded.root, loaded.items[0].image).notices == ()


def test_what_the_library_saves_is_read_alike(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    saved = datasets.Dataset.from_dict(
        {"image": [each["image"] for each in rows(0, 1, 2, 0)], "label": [0, 1, 2, 0]},
        features=datasets.Features(
            image=datasets.Image(), label=datasets.ClassLabel(names=NAMES["names"])
        ),
    )
    saved.select([3, 1, 0]).save_to_disk(tmp_path / "library", num_shards=2)
    loaded = load(tmp_path / "library")
    assert [item.label for item in loaded.items] == [0, 1, 0]
    assert [read_file(loaded.root, item.image) for item in loaded.items] == [
        jpeg(3), jpeg(1), jpeg(0)
    ]  # fmt: skip
    datasets.DatasetDict(train=saved, test=saved.select([1])).save_to_disk(tmp_path / "splits")
    assert [item.label for item in load(tmp_path / "splits").items] == [1]
    assert len(load(tmp_path / "splits", split="train").items) == 4


@pytest.mark.django_db
def test_items_in_arrow_files_are_scored_like_files(tmp_path, settings, capsys):
    settings.CHUNK_ITEMS = 2
    call_command("import_dataset", "saved", save(tmp_path / "s", rows(0, 1, 2)), "--format", "hf")
    call_command("run_expert", "saved", "stub:3-5", "--wait")
    assert Dataset.objects.get().n_quarantined == 0
    pictures = [Image.open(io.BytesIO(jpeg(colour))).convert("RGB") for colour in range(3)]
    expected = load_expert("stub:3-5").predict(pictures)
    np.testing.assert_array_equal(open_scores(ScoreSet.objects.get().pk)[0:3], expected)


def test_keys_are_a_column_else_file_names_of_their_own(tmp_path):
    shard = rows(0, 1)
    for number, row in enumerate(shard):
        row["image"]["path"] = f"/home/somebody/{number}.jpg"
    assert [item.key for item in load(save(tmp_path / "a", shard)).items] == ["0.jpg", "1.jpg"]
    shard[1]["image"]["path"] = shard[0]["image"]["path"]
    assert [item.key for item in load(save(tmp_path / "b", shard)).items] == ["0", "1"]
    features = FEATURES | {"id": {"_type": "Value", "dtype": "int64"}}
    keyed = [row | {"id": 70 + number} for number, row in enumerate(shard)]
    loaded = load(save(tmp_path / "c", keyed, features=features))
    assert [item.key for item in loaded.items] == ["70", "71"]


def test_labels_without_names_are_indices_and_may_be_named_by_a_file(tmp_path):
    features = FEATURES | {"label": {"_type": "Value", "dtype": "int64"}}
    folder = save(tmp_path / "a", rows(0, 2), features=features)
    assert [each.name for each in load(folder).classes] == ["0", "1", "2"]
    assert load(folder, classes_file=Path("imagenet")).classes[2].name == "great white shark"


def test_b054_labels_out_of_range_or_absent_are_refused_with_their_row(tmp_path):
    with pytest.raises(ImportRefused) as refusal:
        load(save(tmp_path, rows(0, -1, 3, None)))
    problems = [(problem.row, problem.code) for problem in refusal.value.problems]
    assert problems == [(2, "label_range"), (3, "label_range"), (4, "label")]


def test_b040_b061_pictures_outside_are_not_read_and_absent_ones_refused(tmp_path):
    shard = rows(0, 1)
    shard[0]["image"] = {"bytes": None, "path": "/etc/passwd"}
    item = load(save(tmp_path / "a", shard)).items[0]
    with pytest.raises(UnusableImage, match="outside_root"):
        inspect(tmp_path / "a", item.image)
    shard[0]["image"] = None
    assert codes_of(save(tmp_path / "b", shard)) == ["missing_image"]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("data-00000-of-00001.arrow", b"not arrow", "format"),
        ("state.json", b"{", "json"),
        ("state.json", b"[]", "json"),
        ("state.json", b"{}", "format"),
        ("state.json", b'{"_data_files": [{"filename": "../x.arrow"}]}', "unsafe_path"),
        ("state.json", b'{"_data_files": [{"filename": "gone.arrow"}]}', "missing"),
        ("dataset_info.json", b'{"features": []}', "format"),
        ("dataset_info.json", b'{"features": {"text": {"_type": "Value"}}}', "missing_column"),
        ("dataset_info.json", b'{"features": {"image": {"_type": "Image"}}}', "missing_column"),
    ],
)
def test_a_folder_that_is_not_what_the_library_saves_is_refused(tmp_path, name, content, code):
    folder = save(tmp_path, rows(0))
    (folder / name).write_bytes(content)
    assert codes_of(folder) == [code]


def test_b051_a_cut_arrow_file_is_refused(tmp_path):
    folder = save(tmp_path, rows(0, 1, 2))
    path = folder / "data-00000-of-00001.arrow"
    content = path.read_bytes()
    for end in (100, len(content) // 2, len(content) - 200):
        path.write_bytes(content[:end])
        assert codes_of(folder) == ["format"], end


def test_b051_a_length_that_lies_is_refused_before_it_ends_the_process(tmp_path):
    """Arrow itself calls abort() at some of these; found by changing bytes at random."""
    folder = save(tmp_path, rows(0, 1, 2, 0))
    path = folder / "data-00000-of-00001.arrow"
    content = path.read_bytes()
    for place in range(0, 2000, 7):
        path.write_bytes(content[:place] + b"\x9a" + content[place + 1 :])
        with contextlib.suppress(ImportRefused):
            load(folder)


def test_compressed_arrow_files_are_refused(tmp_path):
    folder = save(tmp_path, rows(0, 1))
    path = folder / "data-00000-of-00001.arrow"
    with pa.ipc.open_stream(path) as reader:
        table = reader.read_all()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(path, table.schema, options=options) as writer:
        writer.write_table(table)
    assert codes_of(folder) == ["format"]


def test_folders_that_hold_no_saved_data_set_are_refused(tmp_path):
    assert codes_of(tmp_path) == ["format"]
    assert codes_of(tmp_path / "none") == ["missing"]
    assert codes_of(save(tmp_path, rows(0)), root=tmp_path) == ["root"]
