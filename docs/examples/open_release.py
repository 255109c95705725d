"""Opens a release with the libraries that people use it with, and prints what each made of it.

    python docs/examples/open_release.py RELEASE_FOLDER [--root PICTURES] [--only NAME ...]

Needs nothing of label audit: run it where the library is, such as a throw-away environment with
FiftyOne. A library that isn't installed, or whose file isn't in the release, is left out and named.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path


def open_with_datasets(folder: Path, _root: Path | None) -> str:
    """Load the saved data set and name its first label."""
    from datasets import load_from_disk

    opened = load_from_disk(str(folder / "hf"))
    label = opened.features["label"]
    first = label.int2str(opened[0]["label"])
    return f"{opened.num_rows} rows, {label.num_classes} classes, first {first!r}"


def open_pictures_with_datasets(folder: Path, _root: Path | None) -> str:
    """Load the saved data set and decode its first picture."""
    from datasets import load_from_disk

    opened = load_from_disk(str(folder / "hf-images"))
    first = opened[0]
    size, labels = first["image"].size, first["labels"]
    return f"{opened.num_rows} rows, first a picture of {size}, labels {labels}"


def open_with_cleanlab(folder: Path, _root: Path | None) -> str:
    """Fit a learner that leaves the issues out."""
    import numpy as np
    import pandas as pd
    from cleanlab.classification import CleanLearning
    from sklearn.linear_model import LogisticRegression

    issues = pd.read_csv(folder / "cleanlab_issues.csv")
    features = np.random.default_rng(0).normal(size=(len(issues), 2))
    learner = CleanLearning(LogisticRegression())
    learner.fit(features, issues["given_label"].to_numpy(), label_issues=issues)
    return f"fitted without the {int(learner.label_issues_mask.sum())} issues of {len(issues)} rows"


def open_with_timm(folder: Path, _root: Path | None) -> str:
    """Count every list's first label as an answer."""
    import torch
    from timm.data import RealLabelsImagenet

    keys = [row["key"] for row in csv.DictReader((folder / "labels.csv").open(encoding="utf-8"))]
    lists = json.loads((folder / "real.json").read_text(encoding="utf-8"))
    numbered = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, len(lists) + 1)]
    real = RealLabelsImagenet(numbered, str(folder / "real.json"), topk=(1,))
    output = torch.zeros(len(lists), 1000)
    for place, labels in enumerate(lists):
        output[place, labels[0] if labels else 0] = 1
    real.add_result(output)
    return f"{len(keys)} items, {real.get_accuracy(1):.1f} % where every first label is answered"


def open_with_fiftyone(folder: Path, root: Path | None) -> str:
    """Import the pictures with their labels."""
    from fiftyone.utils.data import FiftyOneImageClassificationDatasetImporter

    # What `Dataset.from_dir` reads by; it needs no database.
    importer = FiftyOneImageClassificationDatasetImporter(
        data_path=str(root), labels_path=str(folder / "fiftyone.json")
    )
    with importer:
        samples = [(path, label) for path, _, label in importer if label is not None]
    path, label = samples[0]
    return f"{len(samples)} labelled samples, first {label.label!r} of {Path(path).name}"


def open_with_labelstudio(folder: Path, _root: Path | None) -> str:
    """Hold every task and annotation against the labelling set-up."""
    from label_studio_sdk.label_interface import LabelInterface

    config = LabelInterface((folder / "labelstudio_config.xml").read_text(encoding="utf-8"))
    config.validate()
    tasks = json.loads((folder / "labelstudio.json").read_text(encoding="utf-8"))
    annotations = [each for task in tasks for each in task["annotations"]]
    fit = [config.validate_task({"data": task["data"]}) for task in tasks]
    fit += [config.validate_annotation(each) for each in annotations]
    if not all(fit):
        raise ValueError(f"{fit.count(False)} tasks or annotations don't fit the set-up")
    return f"{len(tasks)} tasks and {len(annotations)} annotations fit the labelling set-up"


Open = Callable[[Path, Path | None], str]
CONSUMERS: dict[str, tuple[str, str, Open]] = {  # package, its file, what opens it
    "datasets": ("datasets", "hf", open_with_datasets),
    "datasets-pictures": ("datasets", "hf-images", open_pictures_with_datasets),
    "cleanlab": ("cleanlab", "cleanlab_issues.csv", open_with_cleanlab),
    "timm": ("timm", "real.json", open_with_timm),
    "fiftyone": ("fiftyone", "fiftyone.json", open_with_fiftyone),
    "label-studio-sdk": ("label_studio_sdk", "labelstudio.json", open_with_labelstudio),
}


def main() -> None:
    """Open the release with every library asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--root", type=Path, help="Where the pictures lie, for FiftyOne.")
    parser.add_argument("--only", nargs="+", choices=CONSUMERS, default=list(CONSUMERS))
    options = parser.parse_args()
    for name in options.only:
        package, file, opens = CONSUMERS[name]
        if find_spec(package) is None:
            said = "left out: not installed here"
        elif not (options.folder / file).exists():
            said = f"left out: the release has no {file}"
        else:
            said = opens(options.folder, options.root)
        sys.stdout.write(f"{name}: {said}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
