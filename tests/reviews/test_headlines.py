"""The sentence about which method to trust: by hand, from limits alone."""

import pytest

from reviews.headlines import tell_headline, tell_trend

METHODS = ("calibrated_ensemble", "confident_learning", "balanced_odds")
PAPERS, LEARNING, ODDS = METHODS


def report_of(rows, methods=METHODS, **changes):
    """A report with rows of (a, b, rate, low, high), limits for all at once."""
    return {
        "methods": {method: {} for method in methods},
        "policy": "lenient",
        "truth": "judgments",
        "kind": "absolute",
        "census": False,
        "judge": None,
        "equal_detection": [
            {"a": a, "b": b, "rate": rate, "together": {"low": low, "high": high}}
            for a, b, rate, low, high in rows
        ],
        **changes,
    }


def test_limits_that_hold_zero_everywhere_tell_no_method_from_another():
    told = tell_headline(report_of([(PAPERS, LEARNING, 0.1, -0.01, 0.2)]))
    assert (told.kind, told.ahead) == ("not distinguishable", ())
    assert "not distinguishable" in told.sentence


def test_a_method_is_ahead_that_wins_somewhere_and_loses_nowhere():
    rows = [
        (PAPERS, LEARNING, 0.1, -0.01, 0.2),
        (PAPERS, LEARNING, 0.2, 0.01, 0.2),
        (PAPERS, ODDS, 0.1, -0.1, 0.1),
    ]
    told = tell_headline(report_of(rows))
    assert (told.kind, told.ahead) == ("ahead", (PAPERS,))
    assert told.sentence.startswith(
        "Trust “two experts, top-k bins”, but not more than “balanced odds”: these are not"
    )
    assert "Up to 20% of all errors" in told.sentence
    assert "somewhere more precise than “Confident Learning”." in told.sentence
    assert "for all 3 comparisons at once" in told.scope


def test_the_second_of_a_pair_can_be_the_one_ahead():
    rows = [(PAPERS, LEARNING, 0.1, -0.2, -0.01), (LEARNING, ODDS, 0.1, 0.01, 0.2)]
    told = tell_headline(report_of(rows))
    assert told.ahead == (LEARNING,)
    assert told.sentence.startswith("Trust “Confident Learning” most.")
    assert "somewhere more precise than every other method." in told.sentence


def test_who_wins_here_and_loses_there_is_not_ahead():
    rows = [(PAPERS, LEARNING, 0.1, -0.2, -0.01), (PAPERS, LEARNING, 0.5, 0.01, 0.2)]
    told = tell_headline(report_of(rows, METHODS[:2]))
    assert (told.kind, told.ahead) == ("mixed", ())
    assert "No method is best at every depth" in told.sentence
    assert "at 50% of all errors" in told.sentence
    assert "at 10% of all errors" in told.sentence


def test_without_anything_to_compare_nothing_is_claimed():
    assert tell_headline(report_of([], METHODS[:1])).kind == "one method"
    told = tell_headline(report_of([]))
    assert told.kind == "unknown"
    assert "can't be said yet" in told.sentence


def test_the_scope_says_what_the_votes_and_the_rates_are():
    rows = [(PAPERS, LEARNING, 0.1, 0.01, 0.2)]
    outside = tell_headline(report_of(rows, truth="votes:real", kind="relative")).scope
    assert "not drawn at random" in outside
    assert "relative detection rates" in outside
    assert "not drawn at random" not in tell_headline(report_of(rows)).scope


def slope(estimate, low, high, *, census=False):
    return {"estimate": estimate, "low": low, "high": high, "census": census}


@pytest.mark.parametrize(
    ("trend", "words"),
    [
        ({"slope": slope(-0.025, -0.03, -0.02), "p_value": 1e-9}, "falls from the most confident"),
        ({"slope": slope(-0.025, -0.03, -0.02), "p_value": 1e-9}, "-.025 a bin (-.030 to -.020"),
        ({"slope": slope(-0.005, -0.03, 0.02), "p_value": 0.35}, "It is not shown"),
        ({"slope": slope(-0.005, -0.03, 0.02), "p_value": 0.35}, "p = .350"),
        ({"slope": slope(None, -1.0, 1.0), "p_value": None}, "Fewer than three bins"),
        ({"slope": slope(0.0, 0.0, 0.0, census=True), "p_value": 1.0}, "does not fall"),
    ],
)
def test_the_trend_test_in_words(trend, words):
    assert words in tell_trend(trend)
