"""How fast timm experts read and compute real JPEG files: against the parts alone, and timm itself.

Every round runs all ways over the same files, one after another, so that a busy machine slows all
of them alike; rates are medians over rounds. Processor time an image is told beside, which other
work disturbs less.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from audit.images import open_rgb
from scoring.experts.registry import load_expert
from scoring.experts.weights_file import write_weights
from tests.imagenet import LITE, list_pictures, package_folder, write_lite

MODELS = ("resnet18", "vit_tiny_patch16_224", "efficientnet_b0", "tf_efficientnet_lite0")
SIZE = (500, 375)  # ImageNet's usual
TIMM_BATCH = 32
TIMM_READERS = 2
# Where vision transformers spend their time, both sides run the same code.
FASTER_THAN_TIMM = {"vit_tiny_patch16_224": 1.2}


class Files(Sequence[Any]):
    """Pictures opened when they are asked for, their hashes checked: as a worker opens them."""

    def __init__(self, root: Path, hashes: dict[str, str]) -> None:
        self.root = root
        self.names = sorted(hashes)
        self.hashes = hashes

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, place: Any) -> Any:
        name = self.names[place]
        return open_rgb(self.root, name, sha256=self.hashes[name])


def write_jpegs(folder: Path, n_files: int) -> Files:
    """Write parts of real photographs as JPEG files of ImageNet's usual size, none the same."""
    rng = np.random.default_rng(0)
    photographs = [path for path, _ in list_pictures()]
    photographs += sorted((package_folder("sklearn") / "datasets" / "images").glob("*.jpg"))
    opened = [Image.open(path).convert("RGB") for path in photographs]
    hashes = {}
    for number in range(n_files):
        photograph = opened[number % len(opened)]
        width = rng.uniform(0.6, 1.0) * min(photograph.width, photograph.height * 4 / 3)
        height = width * SIZE[1] / SIZE[0]
        left = rng.uniform(0, photograph.width - width)
        top = rng.uniform(0, photograph.height - height)
        part = photograph.resize(
            SIZE, Image.Resampling.LANCZOS, box=(left, top, left + width, top + height)
        )
        path = folder / f"{number:05d}.jpg"
        part.save(path, quality=95)
        hashes[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return Files(folder, hashes)


def write_model(architecture: str, folder: Path) -> Path:
    """Write a model's weights: the published ones where a package has them, else random ones."""
    import timm
    import torch

    path = folder / f"{architecture}.safetensors"
    if architecture in LITE:
        return write_lite(architecture, path)
    torch.manual_seed(0)
    state = timm.create_model(architecture, pretrained=False).state_dict()
    write_weights(path, {name: value.numpy() for name, value in state.items()}, {"format": "pt"})
    return path


class TimmLoop:
    """The loop of timm's own inference script: its loader with readers beside, then the model."""

    def __init__(self, architecture: str, weights: Path) -> None:
        import timm

        self.model = timm.create_model(architecture, checkpoint_path=str(weights)).eval()
        self.config = timm.data.resolve_model_data_config(self.model)

    def warm_up(self) -> None:
        import torch

        with torch.inference_mode():
            self.model(torch.zeros((TIMM_BATCH, *self.config["input_size"])))

    def __call__(self, folder: Path) -> np.ndarray:
        import timm
        import torch

        loader = timm.data.create_loader(
            timm.data.ImageDataset(str(folder)),
            input_size=self.config["input_size"],
            interpolation=self.config["interpolation"],
            mean=self.config["mean"],
            std=self.config["std"],
            crop_pct=self.config["crop_pct"],
            batch_size=TIMM_BATCH,
            num_workers=TIMM_READERS,
            use_prefetcher=False,
            device=torch.device("cpu"),
        )
        with torch.inference_mode():
            return torch.cat([self.model(pictures) for pictures, _ in loader]).numpy()


def in_lanes(work: Callable[[int], object], n_places: int, size: int) -> None:
    """Run ``work`` for every ``size``-th place in as many lanes as an expert has."""
    import torch

    n_threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(n_threads, "lane", torch.set_num_threads, (1,)) as lanes:
            list(lanes.map(work, range(0, n_places, size)))
    finally:
        torch.set_num_threads(n_threads)


def forward_only(expert: Any) -> Callable[[int], object]:
    """Return the model's bare forward pass over one batch that is ready, in its precision."""
    import torch

    size = expert.batches.batch_size
    shape = (size, *expert.card.transform["input_size"])
    batch = torch.randn(shape).to(expert._dtype).contiguous(memory_format=torch.channels_last)

    def forward(_start: int) -> None:
        with torch.inference_mode():
            expert._model(batch)

    return forward


@dataclass(frozen=True, slots=True)
class Timed:
    """What one way took in one round."""

    way: str
    images_per_second: float
    cpu_ms: float


def processor_seconds() -> float:
    """Return what this process and the readers it has waited for have used."""
    return sum(os.times()[:4])


def time_round(ways: dict[str, Callable[[], object]], n_images: int) -> Iterator[Timed]:
    for way, run in ways.items():
        wall, cpu = time.perf_counter(), processor_seconds()
        run()
        wall, cpu = time.perf_counter() - wall, processor_seconds() - cpu
        yield Timed(way, n_images / wall, cpu / n_images * 1000)


def measure(architecture: str, weights: Path, files: Files, n_rounds: int) -> dict[str, Any]:
    """Return rates (images/s) and processor time of every way, and how far logits lie apart."""
    name = f"timm:{architecture}@{weights}"
    expert, half, exact = (
        load_expert(f"{name}{options}", device="cpu")
        for options in ("", ",precision=bfloat16", ",resize=exact")
    )
    timm_loop = TimmLoop(architecture, weights)
    size = expert.batches.batch_size
    n_images = len(files)

    def read(start: int) -> None:
        for place in range(start, min(start + size, n_images)):
            expert._transform.pixels(files[place])

    logits: dict[str, Any] = {}
    ways = {
        "end to end": lambda: logits.update(ours=expert.predict(files)),
        "timm loop": lambda: logits.update(timm=timm_loop(files.root)),
        "read": lambda: in_lanes(read, n_images, size),
        "forward": lambda: in_lanes(forward_only(expert), n_images, size),
        "end to end bf16": lambda: logits.update(half=half.predict(files)),
        "forward bf16": lambda: in_lanes(forward_only(half), n_images, size),
    }
    for each in (expert, half):  # kernels and caches settle
        each.predict([files[place % n_images] for place in range(4 * size)])
    timm_loop.warm_up()
    timed = [each for _ in range(n_rounds) for each in time_round(ways, n_images)]
    logits["exact"] = exact.predict(files)
    rates = {
        way: statistics.median(each.images_per_second for each in timed if each.way == way)
        for way in ways
    }
    cpu = {way: statistics.median(each.cpu_ms for each in timed if each.way == way) for way in ways}
    reference = logits.pop("timm")
    return {
        "model": architecture,
        "files": n_images,
        "rounds": n_rounds,
        "rates": rates,
        "cpu_ms": cpu,
        "of_bound": rates["end to end"] * (1 / rates["read"] + 1 / rates["forward"]),
        "of_bound_cpu": (cpu["read"] + cpu["forward"]) / cpu["end to end"],
        "against_timm": rates["end to end"] / rates["timm loop"],
        "against_timm_cpu": cpu["timm loop"] / cpu["end to end"],
        "bf16_gain": rates["end to end bf16"] / rates["end to end"],
        "bf16_gain_cpu": cpu["end to end"] / cpu["end to end bf16"],
        "largest_difference": {
            way: float(np.abs(each - reference).max()) for way, each in logits.items()
        },
        "largest_logit": float(np.abs(reference).max()),
        "same_top1": {
            way: float((each.argmax(axis=1) == reference.argmax(axis=1)).mean())
            for way, each in logits.items()
        },
    }


def describe(result: dict[str, Any]) -> str:
    rates, model = result["rates"], result["model"]
    lines = [f"{model}: images/s, median of {result['rounds']} rounds of {result['files']} files"]
    lines += [
        f"  {way:18}{rate:8.1f}   {result['cpu_ms'][way]:6.1f} ms of processor time an image"
        for way, rate in rates.items()
    ]
    timm_goal = FASTER_THAN_TIMM.get(model, 2.0)
    goals = [
        ("of 1 / (1/read + 1/forward), fp32", "of_bound", 0.95),
        ("times timm's loop, fp32", "against_timm", timm_goal),
        ("times fp32 end to end in bf16", "bf16_gain", 1.7),
    ]
    lines += [
        f"  {result[key]:.2f} {what} (goal {goal}: {'met' if result[key] >= goal else 'MISSED'}; "
        f"by processor time {result[f'{key}_cpu']:.2f})"
        for what, key, goal in goals
    ]
    lines += [
        f"  {way:6} against timm: logits within {difference:.2g} of {result['largest_logit']:.2g}, "
        f"same top-1 {result['same_top1'][way]:.4f}"
        for way, difference in result["largest_difference"].items()
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.vision")
    parser.add_argument("--files", type=int, default=200, help="JPEG files a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        pictures = Path(name) / "pictures"
        pictures.mkdir()
        files = write_jpegs(pictures, options.files)
        for architecture in options.models:
            weights = write_model(architecture, Path(name))
            result = measure(architecture, weights, files, options.rounds)
            sys.stdout.write((json.dumps(result) if options.json else describe(result)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
