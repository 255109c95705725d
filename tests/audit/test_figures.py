"""Numbers on pages are written one way everywhere."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from audit.methods import name_method, order_methods
from audit.templatetags import figures
from audit.templatetags.figures import NOTHING


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.0713, "7.1 %"), (1, "100.0 %"), (None, NOTHING), (math.nan, NOTHING), ("x", NOTHING)],
)
def test_a_percentage_has_one_decimal(value, written):
    assert figures.percent(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.2617, ".262"),
        (-0.25, "-.250"),
        (1, "1.000"),
        (0, ".000"),
        (10.5, "10.500"),
        (None, NOTHING),
    ],
)
def test_a_fraction_is_written_as_in_the_paper(value, written):
    assert figures.fraction(value) == written


@pytest.mark.parametrize(
    "estimate", [{"low": 0.914, "high": 0.951}, SimpleNamespace(low=0.914, high=0.951)]
)
def test_an_interval_shows_both_ends(estimate):
    assert figures.interval(estimate) == f".91 {NOTHING} .95"


def test_an_interval_below_zero_is_written_out_and_a_census_has_none():
    assert figures.interval({"low": -0.35, "high": 0.75}) == "-.35 to .75"
    assert figures.interval({"low": 0.5, "high": 0.5, "census": True}) == "all judged"


def test_a_missing_interval_is_a_dash():
    assert figures.interval({"low": None, "high": 0.5}) == NOTHING
    assert figures.interval(None) == NOTHING


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.3, "under a second"),
        (45, "45 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
        (86_399.9, "1 d"),
        (None, NOTHING),
    ],
)
def test_a_duration_is_written_in_its_two_largest_units(seconds, written):
    assert figures.duration(seconds) == written


@pytest.mark.parametrize(
    ("size", "written"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (200_000_000, "200 MB"), (None, NOTHING)],
)
def test_sizes_are_decimal(size, written):
    assert figures.write_bytes(size) == written


def test_thousands_are_set_apart():
    assert figures.thousands(50_000) == "50,000"
    assert figures.thousands(None) == NOTHING


def test_lookup_reads_mappings_and_lists_and_forgives_a_missing_key():
    assert figures.lookup({"a": 1}, "a") == 1
    assert figures.lookup([5, 6], 1) == 6
    assert figures.lookup([5, 6], 9) is None
    assert figures.lookup(None, "a") is None


def test_methods_have_names_in_words_and_the_papers_comes_first():
    assert name_method("basic:timm:resnet18") == "timm:resnet18 disputes"
    assert name_method("calibrated_ensemble") == "two experts, top-k bins"
    assert order_methods(["basic:b", "confident_learning", "basic:a", "calibrated_ensemble"]) == [
        "calibrated_ensemble",
        "confident_learning",
        "basic:a",
        "basic:b",
    ]


@pytest.mark.parametrize(
    ("place", "text"), [(0, "Rome"), (1, "None"), (2, ""), (-1, ""), (None, "")]
)
def test_an_option_is_named_by_its_place(place, text):
    assert figures.option(["Rome", "None"], place) == text
