"""Run a model over pictures, batch by batch: read beside computing, in as much memory as there is.

On a CPU each core gets a lane of its own: it reads a batch of pictures and computes it with one
thread. Measured on two cores, that takes two thirds of the processor time of two threads that
share every operation, and far less where other work runs beside. On other devices all cores read
pictures ahead while the device computes.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from scoring.experts.base import ExpertRefused, InputProblem, Logits, UnscorableInputsError
from scoring.experts.batch_search import find_fastest
from scoring.experts.devices import (
    describe_device,
    is_out_of_memory,
    release_memory,
    repeatable_numerics,
    wait_for,
)
from scoring.experts.options import MAX_BATCH_SIZE

if TYPE_CHECKING:
    import torch
    from PIL import Image

CPU_BATCH = 8  # measured: larger ones leave the cache, smaller ones gain nothing
GPU_BATCH = 64  # until it is searched for
TIMED_BATCHES = 3
SEARCH_PICTURE = (500, 375)
# Beyond it, Python's own part of every lane begins to queue for the interpreter lock.
MAX_LANES = 8
BATCHES_AHEAD = 2


class ImageBatches:
    """Logits of pictures, batch after batch, in the order given.

    ``read`` makes uint8 pixels (channels, height, width) of a picture; ``forward`` makes logits
    (n_images, n_classes) of a stack of them on ``device``. The same inputs in the same call give
    the same logits. A batch that does not fit the memory is halved and tried again, down to one
    picture; one that does not fit alone is unscorable as ``out_of_memory``.
    """

    def __init__(
        self,
        read: Callable[[Image.Image], torch.Tensor],
        forward: Callable[[torch.Tensor], torch.Tensor],
        *,
        device: torch.device,
        batch_size: int | None,
        n_classes: int,
    ) -> None:
        self.batch_size = batch_size or (CPU_BATCH if device.type == "cpu" else GPU_BATCH)
        self._is_searched = batch_size is None and device.type != "cpu"
        self._largest = MAX_BATCH_SIZE
        self._read = read
        self._forward = forward
        self._device = device
        self._n_classes = n_classes

    def find_size(self) -> int:
        """Return the batch size that this device is fastest with.

        It is searched for, within seconds, on GPUs only, and where none was asked for: on a CPU
        every batch stays within a core's cache, and larger ones gain nothing.
        """
        return self.search() if self._is_searched else self.batch_size

    def use_size(self, batch_size: int) -> None:
        """Take batches of this size from now on, or of what is known to fit the memory."""
        self.batch_size = min(batch_size, self._largest)

    def search(self) -> int:
        """Return the fastest batch size by computing batches of grey pictures."""
        with repeatable_numerics(self._device):
            found = find_fastest(self._time_batch)
        release_memory(self._device)
        return found

    def _time_batch(self, size: int) -> float | None:
        """Return the seconds a batch takes, once it has run; None where it does not fit."""
        from PIL import Image

        picture = self._read(Image.new("RGB", SEARCH_PICTURE, "grey"))
        batch = _stack([picture] * size)
        if self._try(batch) is None:
            return None
        wait_for(self._device)
        started = time.perf_counter()
        for _ in range(TIMED_BATCHES):
            if self._try(batch) is None:
                return None
        wait_for(self._device)
        return (time.perf_counter() - started) / TIMED_BATCHES

    def predict(self, inputs: Sequence[Image.Image]) -> Logits:
        """Return float32 logits of shape (n_images, n_classes).

        ``inputs`` may open its pictures when they are asked for: each is asked for once, from
        any thread.
        """
        import torch

        if not inputs:
            return np.empty((0, self._n_classes), dtype=np.float32)
        too_large: list[int] = []
        run = self._run_lanes if self._device.type == "cpu" else self._run_ahead
        with repeatable_numerics(self._device):
            parts = run(inputs, too_large)
            # One copy at the end: copying batch by batch would wait for the device each time.
            logits: Logits = torch.cat(parts).cpu().numpy()
        if len(too_large) == len(inputs):
            message = f"not one picture fits into the memory of {describe_device(self._device)}"
            raise ExpertRefused("out_of_memory", message)
        if too_large:
            problem = InputProblem("out_of_memory", "does not fit into the device's memory alone")
            raise UnscorableInputsError(dict.fromkeys(too_large, problem), logits)
        return logits

    def _run_lanes(self, inputs: Sequence[Image.Image], too_large: list[int]) -> list[torch.Tensor]:
        """Give every core a batch at a time, to read and to compute."""
        import torch

        n_threads = torch.get_num_threads()
        n_lanes = min(n_threads, MAX_LANES)

        def run(places: range) -> torch.Tensor:
            batch = _stack([self._read(inputs[place]) for place in places])
            return self._score(batch, places.start, too_large)

        per_lane = n_threads // n_lanes
        try:
            with ThreadPoolExecutor(n_lanes, "lane", torch.set_num_threads, (per_lane,)) as lanes:
                return list(lanes.map(run, _cut(len(inputs), self.batch_size)))
        finally:
            torch.set_num_threads(n_threads)

    def _run_ahead(self, inputs: Sequence[Image.Image], too_large: list[int]) -> list[torch.Tensor]:
        """Let all cores read the next batches while the device computes."""
        scored = []
        ahead: deque[tuple[int, list[Future[torch.Tensor]]]] = deque()
        with ThreadPoolExecutor(os.cpu_count(), "reader") as readers:
            for places in [*_cut(len(inputs), self.batch_size), *[range(0)] * BATCHES_AHEAD]:
                read = [readers.submit(lambda i: self._read(inputs[i]), place) for place in places]
                ahead.append((places.start, read))
                if len(ahead) > BATCHES_AHEAD:
                    start, ready = ahead.popleft()
                    batch = _stack([each.result() for each in ready])
                    if self._device.type == "cuda":
                        batch = batch.pin_memory()
                    scored.append(self._score(batch, start, too_large))
        return scored

    def _score(self, pixels: torch.Tensor, first: int, too_large: list[int]) -> torch.Tensor:
        """Return the logits of one batch, of which ``first`` is the first picture's place."""
        import torch

        parts: list[torch.Tensor] = []
        start = 0
        while start < len(pixels):
            batch = pixels[start : start + self.batch_size]
            logits = self._try(batch)
            if logits is None and len(batch) > 1:
                self._largest = min(self._largest, len(batch) // 2)
                self.use_size(self.batch_size)
                release_memory(self._device)
                continue
            if logits is None:
                too_large.append(first + start)
                logits = torch.full((1, self._n_classes), np.nan, device=self._device)
            parts.append(logits)
            start += len(batch)
        return torch.cat(parts)

    def _try(self, pixels: torch.Tensor) -> torch.Tensor | None:
        """Return the logits, or None when there is too little memory.

        A function of its own: an error keeps alive what was computed until its handler is left.
        """
        import torch

        try:
            with torch.inference_mode():
                return self._forward(pixels.to(self._device, non_blocking=True)).float()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        return None


def _stack(pictures: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return one batch (n, channels, height, width) that lies in memory channels last."""
    import torch

    return torch.stack([each.permute(1, 2, 0) for each in pictures]).permute(0, 3, 1, 2)


def _cut(n_inputs: int, size: int) -> list[range]:
    return [range(start, min(start + size, n_inputs)) for start in range(0, n_inputs, size)]
