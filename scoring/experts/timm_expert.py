"""Any timm image classifier as an expert, on a CPU or a CUDA device."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scoring.experts.base import ExpertCard, ExpertRefused, Logits
from scoring.experts.names import ExpertName
from scoring.experts.timm_transform import MAX_ASPECT, Transform
from scoring.experts.timm_weights import load_model, locate_pretrained

if TYPE_CHECKING:
    import torch
    from PIL import Image

CPU_BATCH = 8  # measured: about twice the throughput of 32 for convolutions laid out channels last
CUDA_BATCH = 256


class TimmExpert:
    """``timm:NAME[@FILE.safetensors]``: a model with its own transform, in evaluation mode.

    The same inputs in the same call give the same logits. A batch that does not fit the device's
    memory is halved and tried again, down to one image.
    """

    def __init__(
        self,
        name: ExpertName,
        *,
        weights_root: Path | None = None,
        device: str = "auto",
        batch_size: int | None = None,
        precision: str = "float32",
    ) -> None:
        # Before the imports: missing weights are refused at once, not after seconds.
        path = name.weights or locate_pretrained(name.model, weights_root)

        import timm
        import torch
        import torchvision

        self.takes = name.takes
        self._device = _choose_device(device)
        loaded = load_model(name, path)
        self._transform = Transform(loaded.transform)
        self._n_classes = loaded.n_classes
        self._dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self._model = loaded.model.to(self._device, self._dtype).to(
            memory_format=torch.channels_last
        )
        on_cuda = self._device.type == "cuda"
        self.batch_size = batch_size or (CUDA_BATCH if on_cuda else CPU_BATCH)
        self.card = ExpertCard(
            name=name.text,
            n_classes=self._n_classes,
            weights_sha256=loaded.weights_sha256,
            transform=loaded.transform.to_json()
            | {"resize": "pillow", "max_aspect": MAX_ASPECT, "precision": precision},
            device=torch.cuda.get_device_name(self._device) if on_cuda else "cpu",
            libraries={
                "torch": str(torch.__version__),
                "torchvision": str(torchvision.__version__),
                "timm": str(timm.__version__),
            },
        )

    def predict(self, inputs: Sequence[Image.Image]) -> Logits:
        """Return float32 logits of shape (n_images, n_classes), rows in the order of ``inputs``."""
        logits = np.empty((len(inputs), self._n_classes), dtype=np.float32)
        start = 0
        with self._numerics():
            for pixels in self._read_batches(inputs):
                end = start + len(pixels)
                logits[start:end] = self._score(pixels)
                start = end
        return logits

    def _read_batches(self, inputs: Sequence[Image.Image]) -> Iterator[torch.Tensor]:
        import torch

        size = self.batch_size
        if self._device.type == "cpu":
            # One thread per core already computes; more threads for resizing only get in its way.
            for start in range(0, len(inputs), size):
                batch = inputs[start : start + size]
                yield torch.stack([self._transform.pixels(image) for image in batch])
            return
        # Pillow resizes without the interpreter lock, so the device never waits for one core.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            resized = pool.map(self._transform.pixels, inputs)
            for start in range(0, len(inputs), size):
                n_batch = min(size, len(inputs) - start)
                yield torch.stack([next(resized) for _ in range(n_batch)])

    def _score(self, pixels: torch.Tensor) -> Logits:
        import torch

        parts: list[Logits] = []
        start = 0
        while start < len(pixels):
            batch = pixels[start : start + self.batch_size]
            try:
                parts.append(self._forward(batch))
            except torch.OutOfMemoryError as error:
                if self.batch_size == 1:
                    message = f"{self.card.name}: one image does not fit into {self.card.device}"
                    raise ExpertRefused("out_of_memory", message) from error
                self.batch_size = max(1, min(self.batch_size, len(batch)) // 2)
                torch.cuda.empty_cache()
                continue
            start += len(batch)
        return np.concatenate(parts)

    def _forward(self, pixels: torch.Tensor) -> Logits:
        import torch

        with torch.inference_mode():
            values = self._transform.normalise(pixels.to(self._device))
            logits: Logits = self._model(values.to(self._dtype)).float().cpu().numpy()
        return logits

    def _numerics(self) -> AbstractContextManager[None]:
        import torch

        if self._device.type == "cpu":
            return nullcontext()
        # The defaults round to ten mantissa bits and choose kernels by race: neither repeats.
        return torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        )


def _choose_device(device: str) -> torch.device:
    import torch

    n_devices = torch.cuda.device_count() if device != "cpu" else 0
    if device == "auto":
        return torch.device("cuda:0" if n_devices else "cpu")
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= n_devices:
        message = f"device {device!r} is not there: this machine has {n_devices} CUDA devices"
        raise ExpertRefused("device", message)
    return chosen
