"""A transformers image classifier as an expert, its own image processor as its transform."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scoring.experts.base import ExpertCard, ExpertRefused, Kind, Logits
from scoring.experts.batch_norms import fold_batch_norms
from scoring.experts.devices import choose_device, choose_dtype, describe_device
from scoring.experts.image_batches import ImageBatches
from scoring.experts.model_folder import check_model_folder
from scoring.experts.names import ExpertName
from scoring.experts.timm_transform import MAX_ASPECT, MAX_SIDE, cut_long_strip
from scoring.experts.transformers_weights import (
    LOAD_ERRORS,
    hash_weights,
    load_whole,
    refuse_load,
    stay_offline,
)

if TYPE_CHECKING:
    import torch
    from PIL import Image

_BACKENDS = {"fast": "torchvision", "exact": "pil"}


class TransformersImageExpert:
    """``transformers:MODEL[,precision=...][,resize=...][,batch=N]``, a classifier of images.

    ``resize=exact`` runs the processor as it was written for Pillow, ``fast`` on torchvision.
    """

    takes: frozenset[Kind] = frozenset({"image"})

    def __init__(
        self,
        name: ExpertName,
        *,
        weights_root: Path | None = None,  # noqa: ARG002 - the name was located when it was parsed
        device: str = "auto",
        batch_size: int | None = None,
    ) -> None:
        if name.weights is None:
            raise ExpertRefused("weights_missing", f"{name.text} names no model")
        folder = check_model_folder(name.weights)
        stay_offline()

        import torch
        import torchvision
        import transformers

        where = choose_device(device)
        self._dtype = choose_dtype(name.image.precision, where)
        sha256 = hash_weights(folder.path, folder.weights)
        self._processor = _load_processor(folder.path, _BACKENDS[name.image.resize])
        loaded = load_whole(
            transformers.AutoModelForImageClassification,
            folder.path,
            dtype=torch.float32,
            use_safetensors=True,
        )
        n_classes = int(loaded.config.num_labels)
        self._keeps_aspect = "shortest_edge" in str(self._processor.size)
        model = fold_batch_norms(_only_logits(loaded), self._try_processor(folder.path))
        self._model = model.to(where, self._dtype).to(memory_format=torch.channels_last)
        self.batches = ImageBatches(
            self._pixels,
            self._compute,
            device=where,
            batch_size=batch_size or name.image.batch,
            n_classes=n_classes,
        )
        self.card = ExpertCard(
            name=name.text,
            n_classes=n_classes,
            weights_sha256=sha256,
            transform={
                "processor": json.loads(self._processor.to_json_string()),
                "resize": _BACKENDS[name.image.resize],
                "max_aspect": MAX_ASPECT,
                "precision": name.image.precision,
            },
            device=describe_device(where),
            libraries={
                "torch": str(torch.__version__),
                "torchvision": str(torchvision.__version__),
                "transformers": str(transformers.__version__),
            },
        )

    def predict(self, inputs: Sequence[Image.Image]) -> Logits:
        """Return float32 logits of shape (n_images, n_classes), rows in the order of ``inputs``."""
        return self.batches.predict(inputs)

    def _pixels(self, image: Image.Image) -> torch.Tensor:
        """Return what the processor makes of a picture, float32 (channels, height, width)."""
        picture = image.convert("RGB")
        if self._keeps_aspect:
            picture = cut_long_strip(picture)
        pixels: torch.Tensor = self._processor(picture, return_tensors="pt")["pixel_values"][0]
        return pixels

    def _compute(self, pixels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._model(pixels.to(self._dtype))
        return logits

    def _try_processor(self, folder: Path) -> tuple[int, int, int]:
        """Return the shape of what the processor makes, or refuse it; all pictures share it."""
        from PIL import Image

        shapes = set()
        for size in ((40, 30), (30, 40)):
            try:
                shapes.add(tuple(self._pixels(Image.new("RGB", size)).shape))
            except LOAD_ERRORS as error:
                raise refuse_load("transform", folder, error) from error
        channels, height, width = next(iter(shapes))
        if len(shapes) > 1 or channels != 3:
            message = f"{folder}: its processor makes pictures of several sizes, {sorted(shapes)}"
            raise ExpertRefused("transform", message)
        return channels, height, width


def _load_processor(folder: Path, backend: str) -> Any:
    from transformers import AutoImageProcessor

    try:
        processor = AutoImageProcessor.from_pretrained(  # nosec B615 - of a folder, not fetched
            folder, backend=backend, local_files_only=True, trust_remote_code=False
        )
        sides = [*_numbers(processor.size), *_numbers(getattr(processor, "crop_size", None))]
    except LOAD_ERRORS as error:
        raise refuse_load("transform", folder, error) from error
    if not sides or not all(1 <= side <= MAX_SIDE for side in sides):
        message = f"{folder}: its processor wants sides of {sides}, 1 to {MAX_SIDE} are accepted"
        raise ExpertRefused("transform", message)
    return processor


def _numbers(size: Any) -> list[int]:
    """Return the sides that a processor's size speaks of."""
    values = [] if size is None else dict(size).values()
    return [int(value) for value in values if value is not None]


def _only_logits(model: Any) -> torch.nn.Module:
    """Return a module from pixels to logits: what runs in batches, and what folding compares."""
    import torch

    class OnlyLogits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.model(pixel_values=pixels).logits
            return logits

    return OnlyLogits()
