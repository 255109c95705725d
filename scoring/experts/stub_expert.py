"""An expert without a model, for tests of the engine: logits drawn from a hash of the input."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scoring.experts.base import ExpertCard, Logits
from scoring.experts.names import ExpertName

if TYPE_CHECKING:
    from PIL import Image


class StubExpert:
    """``stub:CLASSES[-SEED[-DELAY_MS]]``: same pixels and seed, same logits, on any machine.

    The delay is slept once per input, so that a chunk's time does not depend on how it was cut.
    """

    def __init__(
        self,
        name: ExpertName,
        *,
        weights_root: Path | None = None,  # noqa: ARG002 - one signature for all backends
        device: str = "auto",  # noqa: ARG002
        batch_size: int | None = None,  # noqa: ARG002
        precision: str = "float32",  # noqa: ARG002
    ) -> None:
        classes, seed, delay = (*(int(part) for part in name.model.split("-")), 0, 0)[:3]
        self._seed = seed
        self._delay_seconds = delay / 1000
        identity = hashlib.sha256(f"stub:{classes}-{seed}".encode()).hexdigest()
        self.card = ExpertCard(
            name=name.text,
            n_classes=classes,
            weights_sha256=identity,
            transform={"pixels": "sha256"},
            device="cpu",
            libraries={"numpy": np.__version__},
        )

    def predict(self, inputs: Sequence[Image.Image]) -> Logits:
        """Return logits of shape (n_inputs, n_classes), normal with standard deviation 2."""
        logits = np.empty((len(inputs), self.card.n_classes), dtype=np.float32)
        for row, image in zip(logits, inputs, strict=True):
            if self._delay_seconds:
                time.sleep(self._delay_seconds)
            digest = hashlib.sha256(f"{self._seed} {image.mode} {image.size} ".encode())
            digest.update(image.tobytes())
            rng = np.random.default_rng(int.from_bytes(digest.digest()))
            row[:] = rng.normal(scale=2.0, size=len(row))
        return logits
