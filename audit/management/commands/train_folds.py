"""Trains small experts by cross-fitting, for a data set that no ready model knows."""

from __future__ import annotations

import csv
import io
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import CommandError, CommandParser
from django.utils.text import slugify

from audit.durable_files import write_durably
from audit.images import UnusableImage, open_rgb
from audit.management.base import AuditCommand, find_dataset
from audit.models import Dataset, Item
from audit.services.scores import models_folder
from scoring.experts.base import UnknownExpertError


class Command(AuditCommand):
    help = (
        "Train one small timm model per fold, each without the items of its fold, so that "
        "confidences are out of sample. Prints the experts to run and the CSV for combine_folds."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dataset")
        parser.add_argument("architecture", help="A timm architecture, such as test_resnet.")
        parser.add_argument("--folds", type=int, default=2)
        parser.add_argument("--epochs", type=int, default=10)
        parser.add_argument("--image-size", type=int, default=32)
        parser.add_argument("--seed", type=int, default=0)

    def handle(self, **options: Any) -> None:
        dataset = find_dataset(options["dataset"])
        n_folds, architecture = options["folds"], options["architecture"]
        if n_folds < 2:
            raise CommandError(f"cross-fitting needs two or more folds, got {n_folds}")
        if not dataset.has_pictures:
            raise CommandError(f"{dataset} has no pictures to train on")
        items = list(dataset.items.usable().order_by("position"))
        images = read_images(dataset, items)
        folds = np.array([fold_of(item.key, n_folds, options["seed"]) for item in items])
        labels = np.array([item.given_label for item in items])
        stem = slugify(f"{dataset.slug}-{architecture}")
        experts = []
        for fold in range(n_folds):
            kept = np.flatnonzero(folds != fold)
            path = models_folder() / f"{stem}-{fold}.safetensors"
            self._train(
                path,
                [images[index] for index in kept],
                labels[kept],
                dataset.n_classes,
                {**options, "seed": options["seed"] + fold, "fold": fold},
            )
            experts.append(f"timm:{architecture}@{path.name}")
        held_out = models_folder() / f"{stem}-folds.csv"
        write_durably(held_out, [write_folds(dataset, n_folds, options["seed"])])
        document = {"experts": experts, "held_out": str(held_out)}
        self.emit(options, document, "\n".join([*experts, f"held out: {held_out}"]))

    def _train(
        self, path: Path, images: list[Any], labels: Any, n_classes: int, options: dict[str, Any]
    ) -> None:
        # Here, not at the top: naming this command must not load torch into a web process.
        from scoring.experts.timm_training import train_fold

        def on_epoch(epoch: int, loss: float) -> None:
            last = epoch == options["epochs"]
            self.progress(
                f"{options['architecture']} without fold {options['fold']}: "
                f"epoch {epoch} of {options['epochs']}, loss {loss:.3f}",
                last=last,
            )

        try:
            train_fold(
                options["architecture"],
                images,
                labels,
                n_classes=n_classes,
                epochs=options["epochs"],
                seed=options["seed"],
                image_size=options["image_size"],
                destination=path,
                on_epoch=on_epoch,
            )
        except UnknownExpertError as error:
            raise CommandError(str(error)) from error


def fold_of(key: str, n_folds: int, seed: int) -> int:
    """Return the fold an item belongs to: by its key, independent of the calibration halves."""
    digest = blake2b(f"fold:{seed}:{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") % n_folds


def read_images(dataset: Dataset, items: list[Item]) -> list[Any]:
    """Return every item's pixels; grey where all of them are, which trains faster."""
    try:
        images = [
            open_rgb(dataset.folder, item.image, sha256=item.content_sha256) for item in items
        ]
    except UnusableImage as problem:
        raise CommandError(f"an image changed since the import: {problem}") from problem
    if all(_is_grey(image) for image in images):
        return [image.convert("L") for image in images]
    return images


def _is_grey(image: Any) -> bool:
    red, green, blue = (channel.tobytes() for channel in image.split())
    return bool(red == green == blue)


def write_folds(dataset: Dataset, n_folds: int, seed: int) -> bytes:
    """Return the CSV key,fold of all items, quarantined ones included."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["key", "fold"])
    for key in dataset.items.order_by("position").values_list("key", flat=True):
        writer.writerow([key, fold_of(key, n_folds, seed)])
    return text.getvalue().encode()
