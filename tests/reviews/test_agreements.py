"""Agreement of votes: by hand, and against the coefficients of the full matrix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviews.agreements import N_COMPARED, Votes, describe_agreement
from scoring.agreement import gwet_ac1, krippendorff_alpha, raw_agreement


def test_votes_become_a_matrix_without_the_unsure_ones():
    votes = Votes.of([(7, "bob", True), (3, "ann", False), (7, "ann", False), (3, "bob", None)])
    assert votes.annotators == ("ann", "bob")
    assert votes.by_item().tolist() == [[0, -1], [1, 0]]
    assert votes.by_annotator(np.array([0, 1])).tolist() == [[0, -1], [0, 1]]


def test_two_annotators_by_hand():
    # They agree on 3 of 4 items; chance: (2/4)(1/4) + (2/4)(3/4) = 1/2; kappa 1/2.
    said = [(p, "ann", p < 2) for p in range(4)] + [(p, "bob", p < 1) for p in range(4)]
    described = describe_agreement(Votes.of(said))
    assert described["raw"] == 0.75
    assert described["pairwise_kappas"] == [
        {"a": "ann", "b": "bob", "items": 4, "kappa": pytest.approx(0.5)}
    ]


@pytest.mark.parametrize("said", [[], [(0, "ann", True)], [(0, "ann", None), (0, "bob", True)]])
def test_what_nobody_can_compare_is_none(said):
    described = describe_agreement(Votes.of(said))
    names = ("raw", "krippendorff_alpha", "gwet_ac1", "pairwise_kappas")
    assert [described[name] for name in names] == [None, None, None, []]


def test_of_many_annotators_those_with_most_votes_are_compared():
    said = [(p, f"rater {a:02}", True) for a in range(20) for p in range(a + 1)]
    pairs = describe_agreement(Votes.of(said))["pairwise_kappas"]
    assert len(pairs) == N_COMPARED * (N_COMPARED - 1) // 2
    assert min(pair["a"] for pair in pairs) == "rater 08"


def test_dawid_and_skene_tell_a_careless_annotator_from_careful_ones():
    rng = np.random.default_rng(0)
    truth = rng.random(400) < 0.3
    said = []
    for name, accuracy in (("ann", 0.95), ("bob", 0.95), ("cy", 0.95), ("dora", 0.55)):
        right = rng.random(400) < accuracy
        votes = np.where(right, truth, ~truth)
        said += [(item, name, bool(vote)) for item, vote in enumerate(votes)]
    model = describe_agreement(Votes.of(said))["dawid_skene"]
    assert model["errors"] == pytest.approx(0.3, abs=0.04)
    by_name = {each["name"]: each for each in model["annotators"]}
    assert by_name["dora"]["sensitivity"] < 0.7
    assert min(by_name[name]["specificity"] for name in ("ann", "bob", "cy")) > 0.9
    assert 0 < model["decided_otherwise"] < 60


def test_dawid_and_skene_say_nothing_of_two_annotators_or_of_unknown_ones():
    said = [(item, name, item < 3) for item in range(9) for name in "abc"]
    assert describe_agreement(Votes.of(said))["dawid_skene"] is not None
    assert describe_agreement(Votes.of(said[:2]))["dawid_skene"] is None
    unknown = Votes.of(said, knows_annotators=False)
    assert describe_agreement(unknown)["dawid_skene"] is None


@given(st.integers(0, 2**32))
def test_the_coefficients_are_those_of_the_whole_matrix(seed):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-1, 2, (8, 4))
    said = [
        (item, str(annotator), bool(vote)) for (item, annotator), vote in np.ndenumerate(matrix)
        if vote >= 0
    ]  # fmt: skip
    described = describe_agreement(Votes.of(said))
    assert described["raw"] == pytest.approx(raw_agreement(matrix))
    assert described["krippendorff_alpha"] == pytest.approx(krippendorff_alpha(matrix))
    assert described["gwet_ac1"] == pytest.approx(gwet_ac1(matrix, 2))
