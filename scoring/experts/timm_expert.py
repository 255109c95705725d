"""Any timm image classifier as an expert, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scoring.experts.base import ExpertCard, Kind, Logits
from scoring.experts.batch_norms import fold_batch_norms
from scoring.experts.devices import choose_device, choose_dtype, describe_device
from scoring.experts.image_batches import ImageBatches
from scoring.experts.names import ExpertName
from scoring.experts.timm_transform import Transform
from scoring.experts.timm_weights import load_model, locate_pretrained

if TYPE_CHECKING:
    import torch
    from PIL import Image


class TimmExpert:
    """``timm:NAME[@FILE.safetensors][,precision=...][,resize=...][,batch=N]``, in evaluation mode.

    The model brings its own transform. The same inputs in the same call give the same logits.
    """

    takes: frozenset[Kind] = frozenset({"image"})

    def __init__(
        self,
        name: ExpertName,
        *,
        weights_root: Path | None = None,
        device: str = "auto",
        batch_size: int | None = None,
    ) -> None:
        # Before the imports: missing weights are refused at once, not after seconds.
        path = name.weights or locate_pretrained(name.model, weights_root)

        import timm
        import torch
        import torchvision

        where = choose_device(device)
        self._dtype = choose_dtype(name.image.precision, where)
        loaded = load_model(name, path)
        self._transform = Transform(loaded.transform, resize=name.image.resize)
        model = fold_batch_norms(loaded.model, loaded.transform.input_size)
        self._model = model.to(where, self._dtype).to(memory_format=torch.channels_last)
        self.batches = ImageBatches(
            self._transform.pixels,
            self._compute,
            device=where,
            batch_size=batch_size or name.image.batch,
            n_classes=loaded.n_classes,
        )
        self.card = ExpertCard(
            name=name.text,
            n_classes=loaded.n_classes,
            weights_sha256=loaded.weights_sha256,
            transform=self._transform.to_json() | {"precision": name.image.precision},
            device=describe_device(where),
            libraries={
                "torch": str(torch.__version__),
                "torchvision": str(torchvision.__version__),
                "timm": str(timm.__version__),
            },
        )

    def predict(self, inputs: Sequence[Image.Image]) -> Logits:
        """Return float32 logits of shape (n_images, n_classes), rows in the order of ``inputs``."""
        return self.batches.predict(inputs)

    def _compute(self, pixels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._model(self._transform.normalise(pixels).to(self._dtype))
        return logits
