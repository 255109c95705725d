"""An expert without a model, for tests of the engine: logits drawn from a hash of the input."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scoring.experts.base import ExpertCard, Logits, Question
from scoring.experts.names import ExpertName

if TYPE_CHECKING:
    from PIL import Image


class StubExpert:
    """``stub:CLASSES[-SEED[-DELAY_MS]]``: same pixels or text and seed, same logits, anywhere.

    The delay is slept once per input, so that a chunk's time does not depend on how it was cut.
    """

    def __init__(
        self,
        name: ExpertName,
        *,
        weights_root: Path | None = None,  # noqa: ARG002 - one signature for all backends
        device: str = "auto",  # noqa: ARG002
        batch_size: int | None = None,  # noqa: ARG002
    ) -> None:
        classes, seed, delay = (*(int(part) for part in name.model.split("-")), 0, 0)[:3]
        self._seed = seed
        self.takes = name.takes
        self._n_classes = classes
        self._delay_seconds = delay / 1000
        identity = hashlib.sha256(f"stub:{classes}-{seed}".encode()).hexdigest()
        self.card = ExpertCard(
            name=name.text,
            n_classes=classes,
            weights_sha256=identity,
            transform={"pixels": "sha256", "text": "sha256"},
            device="cpu",
            libraries={"numpy": np.__version__},
        )

    def predict(self, inputs: Sequence[Image.Image | Question]) -> Logits:
        """Return logits of shape (n_inputs, n_classes), normal with standard deviation 2.

        NaN where a question has fewer choices than the stub has classes.
        """
        logits = np.empty((len(inputs), self._n_classes), dtype=np.float32)
        for row, each in zip(logits, inputs, strict=True):
            if self._delay_seconds:
                time.sleep(self._delay_seconds)
            digest = hashlib.sha256(f"{self._seed} ".encode())
            digest.update(_describe(each))
            rng = np.random.default_rng(int.from_bytes(digest.digest()))
            row[:] = rng.normal(scale=2.0, size=len(row))
            if isinstance(each, Question):
                row[len(each.choices) :] = np.nan
        return logits


def _describe(each: Image.Image | Question) -> bytes:
    if isinstance(each, Question):
        return repr((each.question, each.choices)).encode("utf-8", "surrogatepass")
    return f"{each.mode} {each.size} ".encode() + each.tobytes()
