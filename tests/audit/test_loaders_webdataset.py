"""WebDataset shards: samples become items read where they lie; unsafe archives are refused."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command
from PIL import Image

from audit.derivatives import load_derivative
from audit.image_files import read_file
from audit.images import UnusableImage, inspect, open_rgb
from audit.loaders import ImportRefused, LoadedDataset, load_dataset
from audit.models import Dataset, ScoreSet
from audit.score_store import open_scores
from scoring.experts import load_expert


def jpeg(colour: int, size: tuple[int, int] = (80, 64)) -> bytes:
    output = io.BytesIO()
    Image.new("RGB", size, (colour, 255 - colour, 40)).save(output, "JPEG")
    return output.getvalue()


def member(name: str, content: bytes = b"", **fields) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def write_shard(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return path


def sample(stem: str, label: int | str, colour: int = 7) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [member(f"{stem}.cls", str(label).encode()), member(f"{stem}.jpg", jpeg(colour))]


def load(path: Path, classes: str | None = None) -> LoadedDataset:
    classes_file = None
    if classes is not None:
        classes_file = path.parent / "classes.txt"
        classes_file.write_text(classes)
    return load_dataset("webdataset", path, classes_file=classes_file)


def codes_of(path: Path, classes: str | None = None) -> list[str]:
    with pytest.raises(ImportRefused) as refusal:
        load(path, classes)
    return [problem.code for problem in refusal.value.problems]


def test_samples_of_all_shards_become_items_in_natural_order(tmp_path):
    for shard in (10, 2):
        samples = [sample(f"{shard}/a{each}", each, colour=shard * each) for each in range(3)]
        write_shard(tmp_path / f"train-{shard}.tar", *chain.from_iterable(samples))
    loaded = load(tmp_path)
    assert [item.key for item in loaded.items] == [
        "2/a0", "2/a1", "2/a2", "10/a0", "10/a1", "10/a2"
    ]  # fmt: skip
    assert [item.label for item in loaded.items] == [0, 1, 2, 0, 1, 2]
    assert [each.name for each in loaded.classes] == ["0", "1", "2"]
    for item, colour in zip(loaded.items, [0, 2, 4, 0, 10, 20], strict=True):
        assert read_file(loaded.root, item.image) == jpeg(colour)
        assert inspect(loaded.root, item.image).notices == ()


def test_labels_come_from_json_too_and_may_be_names(tmp_path):
    path = write_shard(
        tmp_path / "a.tar",
        member("x.jpg", jpeg(1)),
        member("x.json", json.dumps({"label": "dog", "width": 80}).encode()),
        member("./y.png", jpeg(2)),
        member("./y.cls", b"0\n"),
        member("y.txt", b"a caption"),
        member(".hidden.jpg", jpeg(3)),
        member("folder", type=tarfile.DIRTYPE),
    )
    loaded = load(path, "cat\ndog\n")
    assert [(item.key, item.label) for item in loaded.items] == [("x", 1), ("y", 0)]
    assert loaded.skipped == {"members of other kinds": 2}


@pytest.mark.django_db
def test_items_in_shards_are_scored_shown_and_checked_like_files(tmp_path, settings, capsys):
    settings.CHUNK_ITEMS = 2
    shards = tmp_path / "shards"
    shards.mkdir()
    write_shard(shards / "a.tar", *sample("x", 0, 10), *sample("y", 1, 200), *sample("z", 1, 90))
    call_command("import_dataset", "shards", shards, "--format", "webdataset")
    call_command("run_expert", "shards", "stub:2-5", "--wait")
    dataset = Dataset.objects.get()
    score_set = ScoreSet.objects.get()
    items = list(dataset.items.all())
    pictures = [Image.open(io.BytesIO(jpeg(colour))).convert("RGB") for colour in (10, 200, 90)]
    expected = load_expert("stub:2-5").predict(pictures)
    np.testing.assert_array_equal(open_scores(score_set.pk)[0:3], expected)
    assert items[1].content_sha256 == hashlib.sha256(jpeg(200)).hexdigest()
    shown = Image.open(io.BytesIO(load_derivative(items[1], 160)))
    assert shown.size == (80, 64)
    # A shard that was written anew has other bytes where the picture lay.
    write_shard(shards / "a.tar", *sample("w", 0, 11), *sample("y", 1, 200), *sample("z", 1, 91))
    with pytest.raises(UnusableImage, match="hash_mismatch"):
        open_rgb(dataset.folder, items[0].image, sha256=items[0].content_sha256)


@pytest.mark.parametrize("name", ["../a.jpg", "/a.jpg", "x/../../a.jpg", "C:a.jpg", "..\\a.jpg"])
def test_b050_member_names_that_lead_out_are_refused(tmp_path, name):
    path = write_shard(tmp_path / "a.tar", *sample("x", 0), member(name, jpeg(1)))
    assert codes_of(path) == ["unsafe_path"]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
def test_b050_links_and_devices_are_refused(tmp_path, kind):
    evil = member("b.jpg", type=kind, linkname="/etc/passwd")
    assert codes_of(write_shard(tmp_path / "a.tar", *sample("x", 0), evil)) == ["unsafe_path"]


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_b053_packed_archives_are_refused_by_content(tmp_path, mode):
    path = tmp_path / "a.tar"
    with tarfile.open(path, mode) as archive:
        archive.addfile(*[member("x.jpg")[0], io.BytesIO()])
    assert codes_of(path) == ["format"]


@pytest.mark.parametrize("content", [b"", b"not a tar at all" * 100])
def test_b053_what_is_no_tar_is_refused(tmp_path, content):
    (tmp_path / "a.tar").write_bytes(content)
    assert codes_of(tmp_path / "a.tar") in (["format"], ["empty"])


def test_b051_a_shard_that_is_cut_or_damaged_is_refused_wherever_it_breaks_off(tmp_path):
    path = write_shard(tmp_path / "a.tar", *sample("x", 0), *sample("y", 1))
    content = path.read_bytes()
    with tarfile.open(path) as archive:
        starts = [(info.offset, info.offset_data, info.size) for info in archive]
    for header, data, size in starts[1:]:
        for end in (header, header + 100, data, data + size - 1):
            path.write_bytes(content[:end])
            assert codes_of(path) == ["format"], end
        damaged = bytearray(content)
        damaged[header + 5] ^= 255
        path.write_bytes(damaged)
        assert codes_of(path) == ["format"]


def test_b052_b062_a_stem_that_comes_again_is_refused(tmp_path):
    write_shard(tmp_path / "a.tar", *sample("x", 0), *sample("y", 0))
    write_shard(tmp_path / "b.tar", *sample("x", 1))
    assert codes_of(tmp_path) == ["dup_id"]


def test_b061_pictures_without_labels_and_labels_without_pictures_are_refused(tmp_path):
    path = write_shard(
        tmp_path / "a.tar",
        member("x.jpg", jpeg(1)),
        member("y.cls", b"0"),
        member("z.jpg", jpeg(1)),
        member("z.png", jpeg(1)),
        member("z.cls", b"0"),
        member("w.jpg", jpeg(1)),
        member("w.json", b"{}"),
    )
    assert codes_of(path) == ["missing_label", "missing_image", "several_images", "missing_label"]


@pytest.mark.parametrize(
    ("label", "code"), [("-1", "label_range"), ("9", "label_range"), (" 1", "label"), ("", "label")]
)
def test_b054_b059_labels_are_read_strictly(tmp_path, label, code):
    path = write_shard(tmp_path / "a.tar", *sample("x", label))
    assert codes_of(path, "cat\ndog\n") == [code]


def test_b076_a_label_of_megabytes_is_refused(tmp_path):
    path = write_shard(tmp_path / "a.tar", member("x.cls", b"1" * 33_000), member("x.jpg", b""))
    assert codes_of(path) == ["field_too_long"]


def test_b001_an_empty_member_and_a_shard_that_shrank_have_their_codes(tmp_path):
    path = write_shard(tmp_path / "a.tar", member("x.cls", b"0"), member("x.jpg", b""))
    loaded = load(path)
    with pytest.raises(UnusableImage, match="empty"):
        inspect(loaded.root, loaded.items[0].image)
    with pytest.raises(UnusableImage, match="truncated"):
        inspect(loaded.root, "a.tar#0+99999")
    with pytest.raises(UnusableImage, match="too_large"):
        inspect(loaded.root, "a.tar#0+999999999999")


def test_b040_a_piece_of_a_file_outside_the_root_is_refused(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    write_shard(tmp_path / "a.tar", *sample("x", 0))
    (root / "link.tar").symlink_to(tmp_path / "a.tar")
    for address in ("../a.tar#512+100", "link.tar#512+100"):
        with pytest.raises(UnusableImage, match="outside_root"):
            inspect(root, address)


def test_an_ordinary_file_may_be_called_like_a_piece(tmp_path):
    (tmp_path / "a#1+2.jpg").write_bytes(jpeg(5))
    assert inspect(tmp_path, "a#1+2.jpg").notices == ()
