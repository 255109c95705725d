"""One way of doing one job, as a process of its own to be measured."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

EXPERTS = ("first", "second")


def make_input(folder: Path, n_items: int, n_classes: int, *, single: bool = True) -> None:
    """Write two experts' logits and labels: overconfident, right four times in five.

    One label in twenty is wrong, which both experts may see.
    """
    rng = np.random.default_rng(0)
    truth = rng.integers(0, n_classes, n_items)
    wrong = rng.random(n_items) < 0.05
    np.save(folder / "labels.npy", np.where(wrong, rng.integers(0, n_classes, n_items), truth))
    kinds = (np.float16, np.float32) if single else (np.float16,)
    np.save(folder / "half_a.npy", halves_of(n_items))
    for name in EXPERTS:
        files = [
            np.lib.format.open_memmap(
                input_file(folder, name, np.dtype(kind).name), "w+", kind, (n_items, n_classes)
            )
            for kind in kinds
        ]
        for start in range(0, n_items, 5000):
            rows = slice(start, min(start + 5000, n_items))
            classes = truth[rows]
            block = rng.standard_normal((len(classes), n_classes), dtype=np.float32) * 1.5
            block[np.arange(len(classes)), classes] += rng.normal(9, 5, len(classes))
            for file in files:
                file[rows] = (block * 1.6).astype(np.float16)


def input_file(folder: Path, name: str, kind: str = "float16") -> Path:
    return folder / f"{name}_{kind}.npy"


def load(folder: Path, name: str, kind: str = "float16") -> np.ndarray:
    return np.load(input_file(folder, name, kind), mmap_mode="r")


def halves_of(n_items: int) -> np.ndarray:
    from scoring.splits import in_half_a

    return in_half_a([str(number) for number in range(n_items)], seed=0)


def run_ours(folder: Path, kind: str) -> dict[str, object]:
    """Calibrate by cross-fitting, cut bins, flag by the paper's method and Confident Learning."""
    from scoring.cleaning import calibrated_ensemble
    from scoring.confident_learning import confident_learning_queues
    from scoring.expert_calibration import calibrate_expert

    labels, half_a = np.load(folder / "labels.npy"), np.load(folder / "half_a.npy")
    logits = [load(folder, name, kind) for name in EXPERTS]
    started = time.process_time()
    fitted = [calibrate_expert(each, labels, half_a) for each in logits]
    scored = [each.scored for each in fitted]
    queue = calibrated_ensemble(
        [each.top1 for each in scored], [each.confidence for each in scored], labels
    )
    learned = confident_learning_queues(logits, scored, labels)
    seconds = time.process_time() - started
    np.save(folder / "ours_disputed.npy", np.sort(queue.positions))
    np.save(folder / "ours_learned.npy", np.sort(learned["cleanlab"].positions))
    return {
        "core": seconds,
        "temperatures": [each.calibrator_a.temperature for each in fitted if each.calibrator_a],
    }


def run_peer(folder: Path) -> dict[str, object]:
    """Do the same with what people assemble today: scikit-learn's fit, numpy, cleanlab."""
    from cleanlab.filter import find_label_issues
    from scipy.special import softmax
    from sklearn.calibration import _TemperatureScaling

    labels, half_a = np.load(folder / "labels.npy"), np.load(folder / "half_a.npy")
    started = time.process_time()
    probabilities, confidences, tops, temperatures = [], [], [], []
    for name in EXPERTS:
        logits = np.array(load(folder, name)).astype(np.float32)
        calibrated = np.empty_like(logits)
        for fitted_on in (half_a, ~half_a):
            scaler = _TemperatureScaling().fit(logits[fitted_on], labels[fitted_on])
            calibrated[~fitted_on] = softmax(logits[~fitted_on] * scaler.beta_, axis=1)
            if fitted_on is half_a:
                temperatures.append(1 / float(scaler.beta_))
        probabilities.append(calibrated)
        tops.append(calibrated.argmax(axis=1))
        confidences.append(calibrated.max(axis=1))
    disputed = np.flatnonzero(np.all([top != labels for top in tops], axis=0))
    for confidence in confidences:
        np.array_split(np.argsort(confidence[disputed], kind="stable"), 15)
    issues = find_label_issues(
        labels, np.mean(probabilities, axis=0), filter_by="confident_learning", n_jobs=1
    )
    seconds = time.process_time() - started
    np.save(folder / "peer_disputed.npy", disputed)
    np.save(folder / "peer_learned.npy", np.flatnonzero(issues))
    return {"core": seconds, "temperatures": temperatures}


def make_probabilities(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    from scipy.special import softmax

    return softmax(np.array(load(folder, "first")).astype(np.float32), axis=1), np.load(
        folder / "labels.npy"
    )


def run_learning(folder: Path) -> dict[str, object]:
    """Confident Learning alone, on probabilities in memory."""
    from scoring.confident_learning import confident_learning

    probabilities, labels = make_probabilities(folder)
    started = time.process_time()
    flagged = confident_learning(probabilities, labels, "cleanlab")
    return {"core": time.process_time() - started, "flagged": int(flagged.sum())}


def run_learning_peer(folder: Path) -> dict[str, object]:
    """Run cleanlab's leanest Confident Learning: in batches, in one process."""
    from cleanlab.experimental.label_issues_batched import find_label_issues_batched

    probabilities, labels = make_probabilities(folder)
    started = time.process_time()
    flagged = find_label_issues_batched(
        labels=labels, pred_probs=probabilities, n_jobs=1, verbose=False
    )
    return {"core": time.process_time() - started, "flagged": len(flagged)}


def run_temperature(folder: Path) -> dict[str, object]:
    from scoring.calibration import TemperatureScaler

    logits, labels = fit_input(folder)
    started = time.process_time()
    temperature = TemperatureScaler.fit(logits, labels).temperature
    return {"core": time.process_time() - started, "temperatures": [temperature]}


def run_temperature_peer(folder: Path) -> dict[str, object]:
    from sklearn.calibration import _TemperatureScaling

    logits, labels = fit_input(folder)
    started = time.process_time()
    _TemperatureScaling().fit(logits, labels)
    seconds = time.process_time() - started
    # In float32 it stops early, by as much as 2e-4; float64 is what to be compared with.
    exact = _TemperatureScaling().fit(logits.astype(np.float64), labels.astype(np.float64))
    return {"core": seconds, "temperatures": [1 / float(exact.beta_)]}


def fit_input(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return half of the items as float32 in memory."""
    labels = np.load(folder / "labels.npy")
    n_items = len(labels) // 2
    return np.array(load(folder, "first")[:n_items]).astype(np.float32), labels[:n_items]


def run_half_stage(folder: Path, name: str) -> dict[str, object]:
    """Calibrate one of two experts, for whoever puts the two together."""
    import pickle

    from scoring.expert_calibration import calibrate_expert

    labels, half_a = np.load(folder / "labels.npy"), np.load(folder / "half_a.npy")
    started = time.perf_counter()
    scored = calibrate_expert(load(folder, name), labels, half_a).scored
    scored = replace(scored, raw_confidence=np.empty(0))  # flagging does not need it
    with (folder / f"{name}.scored").open("wb") as file:
        pickle.dump(scored, file, protocol=5)
    return {"core": time.perf_counter() - started}


def run_join(folder: Path) -> dict[str, object]:
    """Flag by both experts' scores: the second part of the stage in two processes."""
    import pickle

    from scoring.cleaning import calibrated_ensemble
    from scoring.confident_learning import confident_learning_queues

    started = time.perf_counter()
    labels = np.load(folder / "labels.npy")
    scored = []
    for name in EXPERTS:
        with (folder / f"{name}.scored").open("rb") as file:
            scored.append(pickle.load(file))  # noqa: S301 - written by ourselves a moment ago
    queue = calibrated_ensemble(
        [each.top1 for each in scored], [each.confidence for each in scored], labels
    )
    logits = [load(folder, name) for name in EXPERTS]
    learned = confident_learning_queues(logits, scored, labels, collisions=("candidates",))
    return {
        "core": time.perf_counter() - started,
        "flagged": len(queue) + len(learned["candidates"]),
    }


WAYS: dict[str, Callable[[Path], dict[str, object]]] = {
    "ours": lambda folder: run_ours(folder, "float16"),
    "ours_float32": lambda folder: run_ours(folder, "float32"),
    "peer": run_peer,
    "learning": run_learning,
    "learning_peer": run_learning_peer,
    "temperature": run_temperature,
    "temperature_peer": run_temperature_peer,
    "first": lambda folder: run_half_stage(folder, "first"),
    "second": lambda folder: run_half_stage(folder, "second"),
    "join": run_join,
}


def peak_memory() -> float:
    """Return this process's largest resident memory in MB.

    Linux hands ru_maxrss on from the parent that started the process; VmHWM is our own.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lines = status.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main() -> None:
    """Run one way and print what it cost."""
    way, folder = sys.argv[1], Path(sys.argv[2])
    started = time.perf_counter()
    result = WAYS[way](folder)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "wall": time.perf_counter() - started,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak_mb": peak_memory(),
    }
    print(json.dumps({**result, **figures}))  # noqa: T201 - the result, read by the parent


if __name__ == "__main__":
    main()
