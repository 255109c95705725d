"""The batch size a device is fastest with, found by trying."""

from __future__ import annotations

import time

import pytest

from scoring.experts.batch_search import SIZES, find_fastest
from tests.scoring.experts.test_image_batches import Memory, batches, torch


def per_batch(overhead: float, per_picture: float, room: int = 10_000):
    def time_batch(size: int) -> float | None:
        return overhead + per_picture * size if size <= room else None

    return time_batch


@pytest.mark.parametrize(
    ("overhead", "per_picture", "room", "expected"),
    [
        (0.0, 1.0, 10_000, 8),  # nothing gained by larger ones
        (1e9, 1.0, 10_000, 128),  # every batch costs the same
        (40.0, 1.0, 10_000, 128),
        (4.0, 1.0, 10_000, 64),  # 128 would gain 3 %
        (1e9, 1.0, 40, 32),  # as much as fits
        (1e9, 1.0, 0, 8),
    ],
)
def test_a_larger_batch_has_to_be_worth_its_memory(overhead, per_picture, room, expected):
    assert find_fastest(per_batch(overhead, per_picture, room)) == expected


def slow_to_start(pixels):
    """A device on which a batch takes the same time whatever its size."""
    time.sleep(0.02)
    return pixels.flatten(1)[:, :1].float().repeat(1, 2)


def test_a_device_that_takes_any_batch_in_the_same_time_gets_the_largest():
    assert batches(slow_to_start).search() == SIZES[-1]


def test_F44_the_search_stays_within_the_memory():
    assert batches(Memory(room=0)).search() == SIZES[0]

    def forward(pixels):
        if len(pixels) > 40:
            raise torch.OutOfMemoryError
        return slow_to_start(pixels)

    assert batches(forward).search() == 32


def test_a_cpu_and_a_size_that_was_asked_for_are_not_searched():
    for runner in (batches(slow_to_start, size=5), batches(slow_to_start, size=None)):
        assert runner.find_size() == runner.batch_size
    assert batches(slow_to_start, size=None).batch_size == SIZES[0]


def test_F44_a_size_that_turned_out_too_large_stays_halved_for_the_next_chunk():
    runner = batches(Memory(room=2, heavy=-1))
    runner.predict([picture_of(3)] * 8)
    runner.use_size(8)
    assert runner.batch_size == 2


def picture_of(colour: int):
    from PIL import Image

    return Image.new("L", (1, 1), colour)
