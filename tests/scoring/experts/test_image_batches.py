"""Pictures through a model: the order given, batches that shrink to the memory, bounded reading."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from scoring.experts.base import ExpertRefused, UnscorableInputsError
from scoring.experts.image_batches import BATCHES_AHEAD, ImageBatches

torch = pytest.importorskip("torch")


def pictures(n: int) -> list[Image.Image]:
    """Picture i is a single pixel of colour i."""
    return [Image.new("L", (1, 1), place) for place in range(n)]


def read(picture: Image.Image):
    return torch.tensor([[[picture.convert("L").getpixel((0, 0))]]], dtype=torch.uint8)


class Memory:
    """A model whose device holds so many pictures at a time; picture 13 is too large by itself."""

    def __init__(self, room: int = 1000, heavy: int = 13) -> None:
        self.room = room
        self.heavy = heavy
        self.sizes: list[int] = []

    def __call__(self, pixels):
        self.sizes.append(len(pixels))
        values = pixels.flatten(1).float()
        if len(pixels) > self.room or (self.room < 1000 and (values == self.heavy).any()):
            raise torch.OutOfMemoryError
        return torch.cat([values, -values], dim=1)


def batches(forward, size: int | None = 8) -> ImageBatches:
    return ImageBatches(read, forward, device=torch.device("cpu"), batch_size=size, n_classes=2)


def expected(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.float32)[:, None] * [1, -1]


@pytest.mark.parametrize("n", [0, 1, 8, 9, 50])
def test_rows_come_in_the_order_of_the_pictures(n):
    np.testing.assert_array_equal(batches(Memory()).predict(pictures(n)), expected(n))


@pytest.mark.parametrize("n", [1, 8, 9, 50])
def test_reading_ahead_for_a_gpu_keeps_the_order_too(n):
    runner = batches(Memory())
    np.testing.assert_array_equal(torch.cat(runner._run_ahead(pictures(n), [])), expected(n))


def test_F44_a_batch_that_does_not_fit_is_halved_until_it_does():
    memory = Memory(room=2, heavy=-1)
    runner = batches(memory)
    np.testing.assert_array_equal(runner.predict(pictures(13)), expected(13))
    assert runner.batch_size == 2
    memory.sizes.clear()
    runner.predict(pictures(4))
    assert memory.sizes == [2, 2]  # the next chunk does not try the large batch again


def test_F44_a_picture_that_does_not_fit_alone_is_unscorable_and_the_rest_is_scored():
    with pytest.raises(UnscorableInputsError) as refusal:
        batches(Memory(room=999)).predict(pictures(20))
    assert {place: each.code for place, each in refusal.value.problems.items()} == {
        13: "out_of_memory"
    }
    logits = refusal.value.logits
    assert np.isnan(logits[13]).all()
    others = np.delete(np.arange(20), 13)
    np.testing.assert_array_equal(logits[others], expected(20)[others])


def test_F44_an_expert_that_fits_nowhere_is_refused():
    with pytest.raises(ExpertRefused) as refusal:
        batches(Memory(room=0)).predict(pictures(3))
    assert refusal.value.reason_code == "out_of_memory"


def test_F44_the_processor_running_out_of_memory_counts_too():
    def forward(pixels):
        if len(pixels) > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")
        return pixels.flatten(1).float().repeat(1, 2)

    assert batches(forward).predict(pictures(3))[:, 0].tolist() == [0, 1, 2]


def test_another_error_of_the_model_is_not_taken_for_lack_of_memory():
    def forward(pixels):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        batches(forward).predict(pictures(3))


class Opened(Sequence):
    """Opens pictures when asked, and knows how many were asked for before each was computed."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.count = 0
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, place: int) -> Image.Image:
        with self.lock:
            self.count += 1
        return Image.new("L", (1, 1), place)


@pytest.mark.parametrize("way", ["_run_lanes", "_run_ahead"])
def test_pictures_are_opened_once_and_not_far_ahead_of_the_model(way):
    opened = Opened(100)
    farthest = []

    def forward(pixels):
        time.sleep(0.002)
        farthest.append(opened.count - int(pixels.max()))
        return pixels.flatten(1).float().repeat(1, 2)

    runner = batches(forward, size=4)
    n_lanes = torch.get_num_threads()
    getattr(runner, way)(opened, [])
    assert opened.count == 100
    assert max(farthest) <= 4 * max(BATCHES_AHEAD + 1, 2 * n_lanes)


def test_the_number_of_threads_is_left_as_it_was():
    before = torch.get_num_threads()
    seen = []

    def forward(pixels):
        seen.append(torch.get_num_threads())
        return pixels.flatten(1).float().repeat(1, 2)

    batches(forward).predict(pictures(20))
    assert torch.get_num_threads() == before
    assert set(seen) == {max(1, before // 8)}
