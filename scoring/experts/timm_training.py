"""Train a small timm model from scratch on one fold and write it as a file a TimmExpert can load.

Out-of-sample scores need models that never saw the items they judge: train on one fold, predict
the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from scoring.experts.base import UnknownExpertError
from scoring.experts.timm_names import is_architecture, suggest_architectures
from scoring.experts.timm_transform import Transform, TransformConfig
from scoring.experts.weights_file import write_weights

if TYPE_CHECKING:
    import torch

BATCH_SIZE = 128
PEAK_LEARNING_RATE = 4e-3
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.1  # planted errors pull less, and confidence stays informative

EpochListener = Callable[[int, float], None]


def train_fold(  # noqa: PLR0913 - what a reader must know to repeat the training
    architecture: str,
    images: NDArray[np.uint8] | Sequence[Image.Image],
    labels: ArrayLike,
    *,
    n_classes: int,
    epochs: int,
    seed: int,
    image_size: int,
    destination: Path,
    on_epoch: EpochListener | None = None,
) -> None:
    """Train ``architecture`` on ``images`` and write its weights to ``destination``.

    ``images``: uint8 of shape (n_items, height, width) for grey or (n_items, height, width, 3) for
    colour, or Pillow images (all grey ones give a one-channel model). ``labels``: (n_items,) class
    indices below ``n_classes``. ``on_epoch(epoch, mean_loss)`` is called after each epoch, from 1.

    AdamW with a one-cycle learning rate and label smoothing, no augmentation, in memory, on one
    thread: so the same arguments give the same file whatever else the machine does and however
    many cores it has, and several trainings side by side don't wait for each other's threads.
    """
    if not is_architecture(architecture):
        close = ", ".join(suggest_architectures(architecture))
        raise UnknownExpertError(f"timm knows no architecture {architecture!r}; close: {close}")
    pictures = _as_pictures(images)
    targets = _check_labels(labels, len(pictures), n_classes)
    channels = 1 if all(picture.mode in {"1", "L"} for picture in pictures) else 3
    transform = Transform(_describe_transform(channels, image_size))

    import torch

    # The caller's random numbers and threads are none of our business.
    with torch.random.fork_rng(), _one_thread():
        torch.manual_seed(seed)
        model, arguments = _create_model(architecture, n_classes, channels, image_size)
        pixels = torch.stack([transform.pixels(picture) for picture in pictures])
        _fit(model, transform, pixels, targets, epochs, on_epoch)
    record = {"epochs": epochs, "seed": seed, "n_items": len(pictures)}
    metadata = {
        "format": "pt",
        "architecture": architecture,
        "model_args": json.dumps(arguments, sort_keys=True),
        "transform": json.dumps(transform.config.to_json(), sort_keys=True),
        "training": json.dumps(record, sort_keys=True),
    }
    tensors = {
        key: np.ascontiguousarray(value.detach().numpy()).reshape(value.shape)
        for key, value in model.state_dict().items()
    }
    write_weights(destination, tensors, metadata)


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _as_pictures(images: NDArray[np.uint8] | Sequence[Image.Image]) -> list[Image.Image]:
    if isinstance(images, np.ndarray):
        if images.dtype != np.uint8 or images.ndim not in {3, 4}:
            message = f"images must be uint8 (n, h, w) or (n, h, w, 3), got {images.dtype}"
            raise ValueError(f"{message} {images.shape}")
        return [Image.fromarray(array) for array in images]
    return list(images)


def _check_labels(labels: ArrayLike, n_items: int, n_classes: int) -> NDArray[np.int64]:
    targets = np.asarray(labels, dtype=np.int64)
    if targets.shape != (n_items,) or n_items < 2:
        raise ValueError(f"{n_items} images need as many labels (and two at least)")
    if targets.min() < 0 or targets.max() >= n_classes:
        raise ValueError(f"labels must lie between 0 and {n_classes - 1}")
    return targets


def _describe_transform(channels: int, image_size: int) -> TransformConfig:
    return TransformConfig(
        input_size=(channels, image_size, image_size),
        mean=(0.5,) * channels,
        std=(0.5,) * channels,
        interpolation="bicubic",
        crop_pct=1.0,
    )


def _create_model(
    architecture: str, n_classes: int, channels: int, image_size: int
) -> tuple[torch.nn.Module, dict[str, Any]]:
    import timm

    arguments = {"num_classes": n_classes, "in_chans": channels}
    config = timm.get_pretrained_cfg(architecture)
    if config is not None and config.fixed_input_size:
        arguments["img_size"] = image_size
    return timm.create_model(architecture, pretrained=False, **arguments), arguments


def _fit(
    model: torch.nn.Module,
    transform: Transform,
    pixels: torch.Tensor,
    labels: NDArray[np.int64],
    epochs: int,
    on_epoch: EpochListener | None,
) -> None:
    import torch

    targets = torch.from_numpy(labels)
    # Equal batches: a last batch of one image would have no variance to normalise by.
    n_batches = max(1, round(len(pixels) / BATCH_SIZE))
    model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=PEAK_LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_LEARNING_RATE, total_steps=n_batches * epochs
    )
    measure = torch.nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING)
    for epoch in range(1, epochs + 1):
        total = 0.0
        for rows in torch.randperm(len(pixels)).tensor_split(n_batches):
            loss = measure(model(transform.normalise(pixels[rows])), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(rows)
        if on_epoch is not None:
            on_epoch(epoch, total / len(pixels))
