"""The array boundary: what it refuses, and that streaming loses nothing."""

import numpy as np
import pytest

from scoring.arrays import (
    as_labels,
    as_rows,
    finite_rows,
    key_ranks,
    rising_order,
    row_chunks,
    row_sums,
    widen_half,
)


def test_every_float16_widens_to_the_same_bits_as_numpys_cast():
    half = np.arange(65536, dtype=np.uint16).view(np.float16)
    np.testing.assert_array_equal(
        widen_half(half).view(np.uint32),
        half.astype(np.float32).view(np.uint32),
    )


def test_finite_float16_rows_widen_like_rows_with_infinity():
    finite = np.array([[65504, -65504, 6e-8, -0.0]], dtype=np.float16)
    np.testing.assert_array_equal(widen_half(finite), finite.astype(np.float32))


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "f8", "i1", "i8"])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_b107_chunks_join_to_the_whole_whatever_the_stored_type(dtype, size):
    rows = np.arange(-14, 14).reshape(7, 4).astype(dtype)
    where = np.array([True, False, True, True, False, False, True])
    joined = np.concatenate([chunk.copy() for _, chunk in row_chunks(rows, size)])
    chosen = [(index, chunk.copy()) for index, chunk in row_chunks(rows, size, where)]
    np.testing.assert_array_equal(joined, rows)
    np.testing.assert_array_equal(np.concatenate([chunk for _, chunk in chosen]), rows[where])
    positions = np.concatenate([np.arange(7)[index] for index, _ in chosen])
    np.testing.assert_array_equal(positions, np.flatnonzero(where))


def test_a_memory_map_of_float16_is_streamed(tmp_path):
    stored = np.linspace(-4, 4, 60, dtype=np.float16).reshape(20, 3)
    np.save(tmp_path / "logits.npy", stored)
    rows = as_rows(np.load(tmp_path / "logits.npy", mmap_mode="r"))
    joined = np.concatenate([chunk.copy() for _, chunk in row_chunks(rows, 7)])
    np.testing.assert_array_equal(joined, stored.astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_b101_b102_rows_with_nan_or_infinity_are_found(dtype):
    rows = np.zeros((5, 3), dtype=dtype)
    rows[1, 2], rows[2, 0], rows[4, 1] = np.nan, np.inf, -np.inf
    assert finite_rows(rows).tolist() == [True, False, False, True, False]


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(4),
        np.zeros((4, 1)),
        np.zeros((2, 2, 2)),
        np.array([["a", "b"]]),
        np.array([[1.0, None]], dtype=object),
        np.zeros((2, 2), dtype=[("logit", "f4")]),
        np.zeros((2, 2), dtype=complex),
        3.0,
    ],
)
def test_b109_anything_but_a_matrix_of_real_numbers_is_refused(values):
    with pytest.raises(ValueError, match="logits must be"):
        as_rows(values)


def test_labels_outside_the_classes_are_refused_only_where_they_count():
    labels = np.array([0, 3, -1])
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\)"):
        as_labels(labels, 3, 3)
    assert as_labels(labels, 3, 3, np.array([True, False, False])).tolist() == [0, 3, -1]
    with pytest.raises(ValueError, match="integer class indices"):
        as_labels(np.array([0.0, 1.0]), 2, 3)


def test_keys_rank_by_their_own_order():
    assert key_ranks(["b", "a", "c"], 3).tolist() == [1, 0, 2]
    assert key_ranks(np.array([30, 10, 20]), 3).tolist() == [30, 10, 20]
    assert key_ranks(None, 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f8", "i4"])
def test_b107_columns_in_fortran_order_and_strided_rows_read_the_same(dtype):
    rows = np.arange(600).reshape(60, 10).astype(dtype)
    for layout in (np.asfortranarray(rows), np.repeat(rows, 2, axis=0)[::2], rows[:, ::-1]):
        joined = np.concatenate([chunk.copy() for _, chunk in row_chunks(layout, 7)])
        np.testing.assert_array_equal(joined, np.asarray(layout, dtype=np.float64))
        assert finite_rows(layout).all()


def test_b107_a_number_too_large_for_float16_is_infinite_and_so_not_scored():
    with np.errstate(over="ignore"):
        rows = np.array([[1.0, 7e4], [1.0, 6e4]]).astype(np.float16)
    assert finite_rows(rows).tolist() == [False, True]


def test_only_copies_may_be_overwritten():
    rows = np.zeros((50, 4), dtype=np.float32)
    assert not any(chunk.flags.writeable for _, chunk in row_chunks(rows, 7))
    chosen = np.arange(50) % 3 == 0
    for _, chunk in row_chunks(rows, 7, chosen):
        if chunk.flags.writeable:
            chunk[...] = 9
    for _, chunk in row_chunks(rows.astype(np.float16), 7):
        chunk[...] = 9
    assert (rows == 0).all()
    assert rows.flags.writeable


def test_the_sum_of_a_row_does_not_depend_on_its_place():
    rows = np.random.default_rng(0).random((300, 1000)).astype(np.float32)
    order = np.random.default_rng(1).permutation(300)
    np.testing.assert_array_equal(row_sums(rows[order]), row_sums(rows)[order])
    np.testing.assert_array_equal(row_sums(rows[:7]), row_sums(rows)[:7])
    np.testing.assert_allclose(row_sums(rows), rows.sum(axis=1, dtype=np.float64), rtol=1e-6)


@pytest.mark.parametrize("n_values", [1, 3, 1000])
def test_rising_order_breaks_ties_as_lexsort_does(n_values):
    rng = np.random.default_rng(0)
    ties = rng.permutation(500)
    values = rng.integers(0, n_values, 500) / 7
    np.testing.assert_array_equal(rising_order(values, ties), np.lexsort((ties, values)))
    assert rising_order(np.empty(0), np.empty(0, int)).size == 0
