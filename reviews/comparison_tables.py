"""The tables of the page that compares methods, as rows of a CSV file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reviews.reports import Document

LIMITS = ("estimate", "low", "high")
COUNTS = ("flagged", "judged", "errors", "unsure")
POINTS = (
    *("method", "set", *COUNTS),
    *("precision", "precision_low", "precision_high"),
    *("detection_rate", "detection_rate_low", "detection_rate_high", "kind"),
    *("precision_judge_only", "precision_people_only"),
    *("detection_rate_judge_only", "detection_rate_people_only"),
)
OVERLAP = ("a", "b", "cell", *COUNTS, "value", "low", "high")
DIFFERENCES = ("a", "b", "detection_rate", *LIMITS, "low_of_all", "high_of_all")


def write_points(report: Document) -> Iterator[list[Any]]:
    """Yield every point of every method, below its header."""
    yield list(POINTS)
    for method, described in report["methods"].items():
        for point in described["points"]:
            precision, rate = point["precision"], point["detection_rate"]
            yield [
                method,
                f"k={point['k']}" if "k" in point else f"n={point['n']}",
                *(point[column] for column in COUNTS),
                *_limits(precision),
                *_limits(rate),
                rate["kind"],
                *_alone(precision),
                *_alone(rate),
            ]


def write_overlap(report: Document) -> Iterator[list[Any]]:
    """Yield the cells of each pair with their precision, then the pair's differences."""
    yield list(OVERLAP)
    for pair in report["overlap"]:
        names = [pair["a"], pair["b"]]
        for cell, row in pair["cells"].items():
            yield [*names, cell, *(row[column] for column in COUNTS), *_limits(row["precision"])]
        difference = pair["difference"]
        nothing = [""] * len(COUNTS)
        yield [*names, "precision of a - b", *nothing, *_limits(difference)]
        rate = difference["detection_rate"]
        yield [*names, "detection rate of a - b", *nothing, *_limits(rate)]


def write_differences(report: Document) -> Iterator[list[Any]]:
    """Yield every difference in precision where two methods find the same share of errors."""
    yield list(DIFFERENCES)
    for row in report["equal_detection"]:
        together = row["together"]
        yield [
            *(row["a"], row["b"], row["rate"], *_limits(row["difference"])),
            *(together["low"], together["high"]),
        ]


TABLES = {"curves": write_points, "overlap": write_overlap, "differences": write_differences}
"""The tables by the start of their file's name."""


def _limits(rate: Document) -> list[Any]:
    return [rate[part] for part in LIMITS]


def _alone(rate: Document) -> tuple[float | None, float | None]:
    """Return what a judge and what people say alone, where a judge has a part in the rate."""
    people = rate.get("people_only") or {}
    return rate.get("judge_only"), people.get("estimate")
