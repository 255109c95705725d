"""Imported scores: read as a stream, joined by key, refused before anything wrong is stored."""

from __future__ import annotations

import io
import pickle
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from audit.loaders import ImportRefused
from audit.loaders.scores import LoadedScores, read_scores

N_ITEMS, N_CLASSES = 40, 6
KEYS = [f"k{number}" for number in range(N_ITEMS)]


def some_logits(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=3, size=(N_ITEMS, N_CLASSES))


def store_npy(tmp_path: Path, values: np.ndarray, **options) -> Path:
    path = tmp_path / "scores.npy"
    np.save(path, values, **options)
    return path


def store_npz(tmp_path: Path, **arrays: np.ndarray) -> Path:
    path = tmp_path / "scores.npz"
    np.savez_compressed(path, **arrays)
    return path


def read(path: Path, kind: str = "logits") -> LoadedScores:
    return read_scores(path, kind, N_ITEMS, N_CLASSES, KEYS)


def rows_of(scores: LoadedScores, chunk: int = 7) -> np.ndarray:
    return np.concatenate(list(scores.iter_rows(chunk)))


def refusal_of(path: Path, kind: str = "logits") -> ImportRefused:
    with pytest.raises(ImportRefused) as refusal:
        read(path, kind)
    return refusal.value


def code_of(path: Path, kind: str = "logits") -> str:
    return refusal_of(path, kind).problems[0].code


def test_logits_come_back_as_they_are_in_chunks_of_any_size(tmp_path):
    logits = some_logits().astype(np.float32)
    scores = read(store_npy(tmp_path, logits))
    assert (scores.n_items, scores.n_classes, scores.dtype) == (N_ITEMS, N_CLASSES, "float32")
    assert [len(block) for block in scores.iter_rows(16)] == [16, 16, 8]
    for chunk in (1, 7, 1000):
        np.testing.assert_array_equal(rows_of(scores, chunk), logits)


def test_probabilities_become_their_logarithms(tmp_path):
    probabilities = softmax(some_logits(), axis=1)
    scores = read(store_npy(tmp_path, probabilities), "probabilities")
    np.testing.assert_allclose(softmax(rows_of(scores), axis=1), probabilities, atol=1e-6)
    np.testing.assert_allclose(rows_of(scores), np.log(probabilities), rtol=1e-6)


def test_probabilities_of_zero_are_raised_to_the_smallest_with_a_notice(tmp_path):
    probabilities = np.eye(N_CLASSES)[np.arange(N_ITEMS) % N_CLASSES]
    scores = read(store_npy(tmp_path, probabilities), "probabilities")
    assert rows_of(scores).min() == np.float32(np.log(1e-12))
    assert scores.notices == (f"{N_ITEMS * 5} probabilities below 1e-12 were raised to it",)


def test_b102_minus_infinity_is_a_log_probability_of_zero(tmp_path):
    with np.errstate(divide="ignore"):
        values = np.log(np.eye(N_CLASSES)[np.arange(N_ITEMS) % N_CLASSES])
    path = store_npy(tmp_path, values)
    assert np.isfinite(rows_of(read(path, "log-probabilities"))).all()
    assert code_of(path) == "nonfinite"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_b101_b102_values_that_are_not_finite_are_refused_with_their_row(tmp_path, value):
    logits = some_logits()
    logits[17, 2] = value
    [problem] = refusal_of(store_npy(tmp_path, logits)).problems
    assert (problem.row, problem.code) == (17, "nonfinite")
    assert "row 17" in str(problem)


def test_b102_a_row_of_minus_infinity_is_no_distribution(tmp_path):
    values = log_softmax(some_logits(), axis=1)
    values[3] = -np.inf
    values[5, 0] = np.nan
    problems = refusal_of(store_npy(tmp_path, values), "log-probabilities").problems
    assert {(problem.row, problem.code) for problem in problems} == {
        (3, "probability_sum"),
        (5, "probability_range"),
    }


def test_b106_another_number_of_items_or_classes_is_refused_with_both(tmp_path):
    assert code_of(store_npy(tmp_path, some_logits()[:-1])) == "count_mismatch"
    refusal = refusal_of(store_npy(tmp_path, some_logits()[:, :-1]))
    assert refusal.problems[0].code == "class_count"
    assert "(40, 5)" in str(refusal)
    assert "(40, 6)" in str(refusal)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_b106_rows_join_by_key_whatever_their_order(tmp_path_factory, seed):
    order = np.random.default_rng(seed).permutation(N_ITEMS)
    logits = some_logits().astype(np.float32)
    folder = tmp_path_factory.mktemp("npz")
    path = store_npz(folder, logits=logits[order], keys=np.array(KEYS)[order])
    np.testing.assert_array_equal(rows_of(read(path)), logits)


def test_b106_keys_as_bytes_are_read_too(tmp_path):
    keys = np.array([key.encode() for key in KEYS])[::-1]
    path = store_npz(tmp_path, logits=some_logits()[::-1], keys=keys)
    np.testing.assert_allclose(rows_of(read(path)), some_logits(), rtol=1e-6)


def test_b106_missing_unknown_and_repeated_keys_are_refused(tmp_path):
    keys = np.array(KEYS)
    keys[3] = "k4"
    keys[5] = "new"
    problems = refusal_of(store_npz(tmp_path, logits=some_logits(), keys=keys)).problems
    assert [(problem.row, problem.code) for problem in problems] == [
        (4, "dup_id"),
        (5, "unknown_key"),
        (None, "missing_key"),
        (None, "missing_key"),
    ]


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        (np.arange(N_ITEMS), "dtype"),
        (np.array(KEYS[:-1]), "count_mismatch"),
        (np.array(KEYS, dtype=object), "dtype"),
        (np.array([b"\xff"] * N_ITEMS), "encoding"),
    ],
)
def test_b106_keys_are_one_text_per_row(tmp_path, keys, code):
    assert code_of(store_npz(tmp_path, logits=some_logits(), keys=keys)) == code


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("packed", [False, True])
def test_b107_floats_of_every_width_and_byte_order_are_read(tmp_path, dtype, order, packed):
    logits = np.asarray(some_logits().astype(dtype), order=order)
    path = store_npz(tmp_path, logits=logits) if packed else store_npy(tmp_path, logits)
    scores = read(path)
    np.testing.assert_array_equal(rows_of(scores), logits.astype(np.float32))
    assert scores.dtype == ("float16" if dtype.endswith("f2") else "float32")


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((N_ITEMS, N_CLASSES), np.int8),
        np.zeros((N_ITEMS, N_CLASSES), np.int64),
        np.zeros((N_ITEMS, N_CLASSES), bool),
        np.zeros((N_ITEMS, N_CLASSES), complex),
        np.zeros((N_ITEMS, N_CLASSES), [("a", "f4")]),
        np.zeros((N_ITEMS, N_CLASSES), "V2"),
    ],
    ids=["int8", "int64", "bool", "complex", "structured", "bfloat16"],
)
def test_b107_other_types_are_refused(tmp_path, values):
    assert code_of(store_npy(tmp_path, values)) == "dtype"


def test_b107_half_precision_that_overflowed_is_refused(tmp_path):
    with np.errstate(over="ignore"):
        logits = (some_logits() + 70_000).astype(np.float16)
    assert code_of(store_npy(tmp_path, logits)) == "nonfinite"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("make", "kind"), [(softmax, "probabilities"), (log_softmax, "log-probabilities")]
)
def test_b108_undeclared_probabilities_are_noticed_and_declared_ones_read(
    tmp_path, dtype, make, kind
):
    path = store_npy(tmp_path, make(some_logits(), axis=1).astype(dtype))
    assert code_of(path) == "kind"
    assert f"--kind {kind}" in str(refusal_of(path))
    read(path, kind)


@settings(max_examples=50, deadline=None)
@given(shift=st.floats(-50, 50).filter(lambda value: abs(value) > 0.1), scale=st.floats(0.5, 20))
def test_b108_real_logits_are_never_taken_for_probabilities(tmp_path_factory, shift, scale):
    folder = tmp_path_factory.mktemp("logits")
    read(store_npy(folder, log_softmax(some_logits() * scale, axis=1) + shift))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ((0, -0.2), "probability_range"),
        ((0, 1.5), "probability_range"),
        ((0, 0.9), "probability_sum"),
    ],
)
def test_b108_declared_probabilities_must_be_such(tmp_path, change, code):
    probabilities = np.full((N_ITEMS, N_CLASSES), 1 / N_CLASSES)
    probabilities[9, change[0]] = change[1]
    problem = refusal_of(store_npy(tmp_path, probabilities), "probabilities").problems[0]
    assert (problem.row, problem.code) == (9, code)


def test_b108_logits_declared_as_probabilities_are_refused(tmp_path):
    path = store_npy(tmp_path, some_logits())
    assert code_of(path, "probabilities") == "probability_range"
    assert code_of(path, "log-probabilities") == "probability_range"


@pytest.mark.parametrize("values", [np.float64(1), np.zeros(N_ITEMS), np.zeros((N_ITEMS, 2, 3))])
def test_b109_other_dimensions_are_refused(tmp_path, values):
    assert code_of(store_npy(tmp_path, values)) == "shape"


def test_b109_a_transposed_array_gets_a_hint(tmp_path):
    assert "transposed" in str(refusal_of(store_npy(tmp_path, some_logits().T)))


class Canary:
    """Unpickling this would create a folder."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return Path.mkdir, (Path(self.path),)


@pytest.mark.parametrize("packed", [False, True])
def test_b109_object_arrays_are_refused_without_unpickling(tmp_path, packed):
    values = np.full((N_ITEMS, N_CLASSES), Canary(tmp_path / "canary"), dtype=object)
    path = store_npz(tmp_path, logits=values) if packed else store_npy(tmp_path, values)
    assert code_of(path) == "dtype"
    path.write_bytes(pickle.dumps(Canary(tmp_path / "canary")))
    assert code_of(path) == "format"
    assert not (tmp_path / "canary").exists()


def npy_bytes(shape: tuple[int, ...], body: bytes, dtype: str = "<f4") -> bytes:
    output = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(output, header)
    return output.getvalue() + body


@pytest.mark.parametrize("missing", [1, 100, 960])
def test_b110_a_truncated_file_is_refused(tmp_path, missing):
    path = store_npy(tmp_path, some_logits().astype(np.float32))
    path.write_bytes(path.read_bytes()[:-missing])
    assert code_of(path) == "damaged"


def test_b110_trailing_bytes_are_refused(tmp_path):
    path = store_npy(tmp_path, some_logits())
    path.write_bytes(path.read_bytes() + b"\0")
    assert code_of(path) == "damaged"


@pytest.mark.parametrize("shape", [(200_000_000_000, 1), (2**62, 2**62), (-1, 6), (40, 6)])
def test_b110_a_header_that_promises_more_than_the_file_holds_is_refused(tmp_path, shape):
    path = tmp_path / "scores.npy"
    path.write_bytes(npy_bytes(shape, b"\0" * 64))
    assert code_of(path) in {"damaged", "count_mismatch"}


def test_b110_a_header_as_large_as_the_whole_data_set_is_refused_before_allocation(tmp_path):
    path = tmp_path / "scores.npy"
    path.write_bytes(npy_bytes((200_000_000_000, 1000), b""))
    with pytest.raises(ImportRefused, match="800000000000000 bytes"):
        read_scores(path, "logits", 200_000_000_000, 1000, [])


@pytest.mark.parametrize(
    "content",
    [
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"\x93NUMPY\x01\x00\x10\x00" + b"(" * 16,
        b"\x93NUMPY\x03\x00" + b"\0" * 60,
        b"\x93NUMPY\x02\x00" + struct.pack("<I", 50_000) + b" " * 50_000,
        b"PK\x03\x04" + b"\0" * 60,
        b"key,a,b\nx,1,2\n",
        b"",
    ],
)
def test_b110_garbage_is_refused(tmp_path, content):
    path = tmp_path / "scores.npy"
    path.write_bytes(content)
    assert code_of(path) in {"damaged", "format"}


def test_b110_a_zip_bomb_is_refused_by_its_declared_size(tmp_path):
    path = tmp_path / "scores.npz"
    body = npy_bytes((N_ITEMS, N_CLASSES), b"\0" * 300_000_000)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("logits.npy", body)
    assert path.stat().st_size < 400_000
    assert code_of(path) == "damaged"


def test_b052_damaged_and_ambiguous_archives_are_refused(tmp_path):
    path = store_npz(tmp_path, logits=some_logits())
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(flipped) // 2] ^= 0xFF
    for content in (whole[: len(whole) // 2], bytes(flipped)):
        path.write_bytes(content)
        assert code_of(path) == "damaged"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("logits.npy", npy_bytes((N_ITEMS, N_CLASSES), b"\0" * 960))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("logits.npy", npy_bytes((N_ITEMS, N_CLASSES), b"\0" * 960))
    assert code_of(path) == "damaged"


@settings(max_examples=300, deadline=None)
@given(data=st.data(), packed=st.booleans())
def test_b110_damage_anywhere_is_either_harmless_or_refused(tmp_path_factory, data, packed):
    folder = tmp_path_factory.mktemp("fuzz")
    logits = some_logits().astype(np.float16)
    path = store_npz(folder, logits=logits, keys=np.array(KEYS)) if packed else None
    path = path or store_npy(folder, logits)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        scores = read(path)
    except ImportRefused:
        return
    assert rows_of(scores).shape == (N_ITEMS, N_CLASSES)


def test_b111_huge_logits_stay_finite(tmp_path):
    logits = some_logits() * 1e30
    np.testing.assert_allclose(rows_of(read(store_npy(tmp_path, logits))), logits, rtol=1e-6)


def test_an_npz_without_the_declared_array_is_refused_with_what_it_has(tmp_path):
    path = store_npz(tmp_path, probs=some_logits())
    assert "it has: probs" in str(refusal_of(path))
    assert code_of(store_npz(tmp_path, logits=some_logits()), "probabilities") == "format"


def test_arrays_beside_the_scores_are_named_in_a_notice(tmp_path):
    scores = read(store_npz(tmp_path, logits=some_logits(), label=np.arange(3)))
    assert scores.notices == ("other arrays in the file were ignored: label",)


def test_unknown_kinds_and_missing_files_are_refused(tmp_path):
    path = store_npy(tmp_path, some_logits())
    assert "log-probabilities" in str(refusal_of(path, "odds"))
    assert code_of(tmp_path / "none.npy") == "missing"


@pytest.mark.parametrize("packed", [False, True])
def test_large_files_are_streamed(tmp_path, packed):
    """20,000 x 1,000 float16 (40 MB): read in a fresh process whose memory hardly grows."""
    values = np.zeros((20_000, 1_000), np.float16)
    values[:, 0] = 3
    path = store_npz(tmp_path, logits=values) if packed else store_npy(tmp_path, values)
    script = f"""
import resource
from pathlib import Path
from audit.loaders.scores import read_scores
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
scores = read_scores(Path({str(path)!r}), "logits", 20_000, 1_000, [])
n_rows = sum(len(block) for block in scores.iter_rows())
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(n_rows, (after - before) // 1024)
"""
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    n_rows, grown = run.stdout.split()
    assert n_rows == "20000"
    assert int(grown) < 150


def test_no_temporary_file_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    scores = read(store_npz(tmp_path, logits=some_logits()))
    assert list((tmp_path / "temporary").iterdir()) == []
    assert rows_of(scores).shape == (N_ITEMS, N_CLASSES)
