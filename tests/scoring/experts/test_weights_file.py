"""Weights files: only well-formed safetensors pass, judged by content, unopened by a library."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.experts.base import ExpertRefused
from scoring.experts.weights_file import read_header, write_weights


def header_file(path: Path, document: object, body: bytes = b"") -> Path:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def tensor(begin: int, end: int, shape: list[int] | None = None, dtype: str = "U8") -> dict:
    return {"dtype": dtype, "shape": shape or [end - begin], "data_offsets": [begin, end]}


def refusal_code(path: Path) -> str:
    with pytest.raises(ExpertRefused) as refusal:
        read_header(path)
    return refusal.value.reason_code


def test_a_written_file_reads_back_and_the_library_agrees(tmp_path):
    path = tmp_path / "weights.safetensors"
    tensors = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "n": np.array(7, dtype=np.int64),
    }
    write_weights(path, tensors, {"architecture": "tiny"})
    header = read_header(path)
    assert header.metadata == {"architecture": "tiny"}
    assert header.tensors["a"].shape == (2, 3)
    assert header.tensors["n"].shape == ()

    library = pytest.importorskip("safetensors.numpy")
    for key, values in library.load_file(path).items():
        np.testing.assert_array_equal(values, tensors[key])


def test_equal_weights_give_equal_bytes_and_no_temporary_file_stays(tmp_path):
    paths = [tmp_path / name for name in ("a.safetensors", "b.safetensors")]
    for path in paths:
        write_weights(path, {"a": np.ones(3, np.float32)}, {"y": "1", "x": "2"})
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert list(tmp_path.glob(".*")) == []


class Canary:
    """Unpickling this would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.row("A20")
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".txt"])
def test_b130_b131_a_pickle_is_refused_by_content_under_any_name_and_never_run(tmp_path, suffix):
    canary = tmp_path / "canary"
    path = tmp_path / f"evil{suffix}"
    path.write_bytes(pickle.dumps(Canary(canary)))
    assert refusal_code(path) == "weights_format"
    assert not canary.exists()


def test_b132_archives_and_other_frameworks_are_refused_by_content(tmp_path):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("model/data.pkl", b"x")
    contents = [archive.getvalue(), b"\x89HDF\r\n\x1a\n" + b"0" * 64, b"\x08\x07\x12\x07pytorch"]
    for number, content in enumerate([*contents, b"GGUF" + b"0" * 64, b""]):
        path = tmp_path / f"{number}.safetensors"
        path.write_bytes(content)
        assert refusal_code(path) == "weights_format"


def test_b133_a_header_over_one_megabyte_is_refused_without_reading_it(tmp_path):
    path = header_file(tmp_path / "a", b"{" + b" " * 1_000_000 + b"}")
    start = time.thread_time()
    with pytest.raises(ExpertRefused, match="1000002 bytes, at most 1000000"):
        read_header(path)
    assert time.thread_time() - start < 0.05


def test_b133_more_than_twenty_thousand_tensors_are_refused_quickly(tmp_path):
    names = {f"{number:x}": [] for number in range(20_001)}
    text = json.dumps(names, separators=(",", ":"))
    path = header_file(tmp_path / "a", text.encode())
    start = time.thread_time()  # this thread's own: others keep the machine busy
    with pytest.raises(ExpertRefused, match="20001 tensors"):
        read_header(path)
    assert time.thread_time() - start < 0.05


@pytest.mark.parametrize(
    "document",
    [
        b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{}}',
        b'{"a":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}}',
        {"a": tensor(0, 3), "b": tensor(2, 4)},
        {"a": tensor(0, 1), "b": tensor(3, 4)},
        {"a": tensor(0, 3)},
        {"a": tensor(0, 5)},
        {"a": tensor(0, 4, [2**62, 4])},
        {"a": tensor(0, 4, [-4])},
        {"a": tensor(0, 4, [4.0])},
        {"a": tensor(0, 4, [True, 4])},
        {"a": tensor(0, 4, dtype="F32")},
        {"a": tensor(0, 4, dtype="OBJECT")},
        {"a": {"dtype": "U8", "shape": 4, "data_offsets": [0, 4]}},
        {"a": [0, 4]},
        {"__metadata__": {"x": 1}, "a": tensor(0, 4)},
        b"{",
        b'{"a":' + b"[" * 100_000,
        b'{"a":' + b"9" * 5_000 + b"}",
        b"{\xff}",
    ],
    ids=[
        "repeated tensor", "repeated field", "overlap", "gap", "trailing bytes", "beyond the end",
        "overflow", "negative", "float", "boolean", "size mismatch", "unknown type",
        "shape no list", "no object", "metadata no text", "cut JSON", "deep", "huge", "encoding",
    ],
)  # fmt: skip
def test_b133_a_malformed_header_is_refused(tmp_path, document):
    assert refusal_code(header_file(tmp_path / "a", document, b"1234")) == "weights_header"


def test_b133_a_file_cut_inside_its_header_is_refused(tmp_path):
    path = header_file(tmp_path / "a", {"a": tensor(0, 4)}, b"1234")
    path.write_bytes(path.read_bytes()[:20])
    assert refusal_code(path) == "weights_header"


def test_b139_a_git_lfs_pointer_is_named(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 130\n")
    assert refusal_code(path) == "lfs_pointer"


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_b133_damage_anywhere_is_either_harmless_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "a"
    header_file(path, {"a": tensor(0, 8, [2], "F32"), "b": tensor(8, 12)}, b"x" * 12)
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content)[: data.draw(st.integers(0, len(content)))])
    try:
        header = read_header(path)
    except ExpertRefused:
        return
    assert sum(entry.end - entry.begin for entry in header.tensors.values()) == 12
