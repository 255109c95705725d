"""Scores a data set by an expert as a Ray Data batch job, on one machine or a cluster.

python docs/examples/ray_scores.py labels.csv PICTURES timm:resnet18@resnet18.safetensors OUT
manage.py import_scores DATASET EXPERT OUT --kind shards

labels.csv is what `import_dataset --format manifest` was given: columns key, label, image. OUT must
be a folder that all machines see. A job that is started again begins anew: clear OUT first.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import ray
from PIL import Image

from scoring.experts import load_expert


class ScoreShard:
    """One process with the expert in memory; every batch becomes one shard and its keys."""

    def __init__(self, expert: str, pictures: Path, weights: Path | None, out: Path) -> None:
        self.expert = load_expert(expert, weights_root=weights)
        self.pictures, self.out = pictures, out

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        keys = [str(key) for key in batch["key"]]
        absent: dict[int, str] = {}
        pictures = []
        for row, name in enumerate(batch["image"]):
            try:
                with Image.open(self.pictures / str(name)) as picture:
                    pictures.append(picture.convert("RGB"))
            except (OSError, ValueError, Image.DecompressionBombError) as error:
                absent[row] = str(error)
                pictures.append(Image.new("RGB", (1, 1)))
        logits = np.asarray(self.expert.predict(pictures), dtype=np.float32)
        logits[list(absent)] = np.nan
        name = uuid.uuid4().hex
        np.save(self.out / f"{name}.npy", logits)
        (self.out / f"{name}.json").write_text(json.dumps(keys), encoding="utf-8")
        shard = {
            "file": f"{name}.npy",
            "sha256": sha256(self.out / f"{name}.npy"),
            "keys": f"{name}.json",
            "keys_sha256": sha256(self.out / f"{name}.json"),
            "absent": absent,
        }
        facts = {"n_classes": logits.shape[1], "expert": self.expert.card.to_json()}
        return {"shard": [json.dumps(shard)], "facts": [json.dumps(facts)]}


def sha256(path: Path) -> str:
    """Return the sha256 of what really lies on the disk."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(out: Path, n_items: int, rows: list[dict[str, str]]) -> None:
    """Write what the job consists of; last, so that a broken-off job has none."""
    experts = {json.dumps(json.loads(row["facts"]), sort_keys=True) for row in rows}
    if len(experts) != 1:
        raise SystemExit(f"the machines don't have the same expert: {sorted(experts)}")
    document = {
        "format": "label-audit scores",
        "version": 1,
        "kind": "logits",
        "n_items": n_items,
        **json.loads(experts.pop()),
        "shards": [json.loads(row["shard"]) for row in rows],
    }
    (out / "manifest.json").write_text(json.dumps(document, indent=1), encoding="utf-8")


def main() -> None:
    """Score, and write the manifest last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("labels", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("expert")
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path, help="Where weights files named after @ lie.")
    parser.add_argument("--shard-items", type=int, default=1024)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--gpus", type=float, default=0, help="GPUs for each of them.")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if any(options.out.iterdir()):
        raise SystemExit(f"{options.out} isn't empty")
    # Keys are texts, whatever they look like: a reader that guesses would turn 007 into 7.
    with options.labels.open(encoding="utf-8-sig", newline="") as file:
        items = [{"key": row["key"], "image": row["image"]} for row in csv.DictReader(file)]
    scored = ray.data.from_items(items).map_batches(
        ScoreShard,
        fn_constructor_args=(
            options.expert,
            options.pictures.resolve(),
            options.weights and options.weights.resolve(),
            options.out.resolve(),
        ),
        batch_size=options.shard_items,
        compute=ray.data.ActorPoolStrategy(size=options.processes),
        num_gpus=options.gpus,
    )
    rows = scored.take_all()
    write_manifest(options.out, len(items), rows)
    sys.stdout.write(f"{options.out}: {len(items)} items in {len(rows)} shards\n")


if __name__ == "__main__":
    main()
