"""One way of calibrating and flagging two experts, as a process of its own to be measured."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np


def make_input(folder: Path, n_items: int, n_classes: int) -> None:
    """Write two experts' float16 logits and labels: overconfident, right four times in five."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, n_classes, n_items)
    np.save(folder / "labels.npy", labels)
    for name in ("first", "second"):
        logits = np.lib.format.open_memmap(
            folder / f"{name}.npy", mode="w+", dtype=np.float16, shape=(n_items, n_classes)
        )
        for start in range(0, n_items, 5000):
            stop = min(start + 5000, n_items)
            block = rng.normal(scale=1.5, size=(stop - start, n_classes))
            block[np.arange(stop - start), labels[start:stop]] += rng.normal(9, 5, stop - start)
            logits[start:stop] = block
        logits.flush()


def run_ours(folder: Path) -> int:
    """Calibrate by cross-fitting, cut bins, flag by the paper's method and Confident Learning."""
    from scoring.cleaning import calibrated_ensemble
    from scoring.confident_learning import confident_learning_queues
    from scoring.expert_calibration import calibrate_expert
    from scoring.splits import in_half_a

    labels = np.load(folder / "labels.npy")
    half_a = in_half_a([str(number) for number in range(len(labels))], seed=0)
    logits = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("first", "second")]
    fitted = [calibrate_expert(each, labels, half_a) for each in logits]
    scored = [each.scored for each in fitted]
    queue = calibrated_ensemble(
        [each.top1 for each in scored], [each.confidence for each in scored], labels
    )
    learned = confident_learning_queues(logits, scored, labels, collisions=("candidates",))
    return len(queue) + len(learned["candidates"])


def run_peer(folder: Path) -> int:
    """Do the same with what people assemble today: scikit-learn's fit, numpy, cleanlab."""
    from cleanlab.filter import find_label_issues
    from scipy.special import softmax
    from sklearn.calibration import _TemperatureScaling

    labels = np.load(folder / "labels.npy")
    half_a = np.random.default_rng(0).random(len(labels)) < 0.5
    probabilities, confidences, tops = [], [], []
    for name in ("first", "second"):
        logits = np.load(folder / f"{name}.npy").astype(np.float32)
        calibrated = np.empty_like(logits)
        for fitted_on in (half_a, ~half_a):
            scaler = _TemperatureScaling().fit(logits[fitted_on], labels[fitted_on])
            calibrated[~fitted_on] = softmax(logits[~fitted_on] * scaler.beta_, axis=1)
        probabilities.append(calibrated)
        tops.append(calibrated.argmax(axis=1))
        confidences.append(calibrated.max(axis=1))
    disputed = np.flatnonzero(np.all([top != labels for top in tops], axis=0))
    for confidence in confidences:
        np.array_split(np.argsort(confidence[disputed], kind="stable"), 15)
    issues = find_label_issues(
        labels, np.mean(probabilities, axis=0), filter_by="confident_learning", n_jobs=1
    )
    return len(disputed) + int(issues.sum())


def main() -> None:
    """Run one way and print what it cost."""
    way, folder = sys.argv[1], Path(sys.argv[2])
    started = time.perf_counter()
    flagged = {"ours": run_ours, "peer": run_peer}[way](folder)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(  # noqa: T201 - the result, read by the parent
        json.dumps(
            {
                "flagged": flagged,
                "wall": time.perf_counter() - started,
                "cpu": usage.ru_utime + usage.ru_stime,
                "peak_mb": usage.ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
