"""Reports: rows become the right arrays, and the document keeps the contract."""

import json

import numpy as np
import pytest

from reviews.reports import UnknownMethodError, curves
from reviews.services.sampling import freeze_sample
from reviews.services.votes import import_votes
from scoring.intervals import modified_wilson
from tests.factories import make_ready_audit, make_sample
from tests.reviews.situations import judge, make_mixed_audit, revise

pytestmark = pytest.mark.django_db


def test_a_census_of_a_small_audit_by_hand():
    # Items 0-5 are flagged, bins {0, 1}, {2, 3}, {4, 5}; 6-11 are not. Errors: 0, 1, 2, 4, 7.
    audit = make_ready_audit()
    sample = freeze_sample(audit, size=6, unflagged=6)
    errors = {0, 1, 2, 4, 7}
    judge(sample, {p: "wrong_label" if p in errors else "label_correct" for p in range(12)})
    report = curves(audit, "judgments", "lenient")
    points = report["methods"]["calibrated_ensemble"]["points"]
    assert [(p["k"], p["flagged"], p["judged"], p["errors"]) for p in points] == [
        (1, 2, 2, 2),
        (2, 4, 4, 3),
        (3, 6, 6, 4),
    ]
    assert [p["precision"]["estimate"] for p in points] == pytest.approx([1, 3 / 4, 4 / 6])
    assert [p["detection_rate"]["estimate"] for p in points] == pytest.approx([2 / 5, 3 / 5, 4 / 5])
    assert all(p["precision"]["census"] for p in points)
    assert (report["kind"], report["census"], report["judged"]) == ("absolute", True, 12)


def test_a_sample_of_one_stratum_has_the_textbook_interval():
    audit = make_ready_audit(n_flags=6, n_bins=1)
    sample = freeze_sample(audit, size=4, unflagged=0)
    drawn = sorted(sample.items.values_list("item__position", flat=True))
    judge(sample, dict(zip(drawn, ["wrong_label"] * 3 + ["label_correct"], strict=True)))
    point = curves(audit, "judgments", "lenient")["methods"]["calibrated_ensemble"]["points"][0]
    expected = modified_wilson(0.75, 0.75 * 0.25 / ((1 - 4 / 6) * 0.75 * 0.25 / 3))
    assert point["precision"]["low"] == pytest.approx(expected.low)
    assert point["precision"]["high"] == pytest.approx(expected.high)
    assert point["detection_rate"] == {
        "estimate": 1.0,
        "low": 1.0,
        "high": 1.0,
        "census": False,
        "kind": "relative",
    }


def test_policies_count_different_verdicts():
    audit = make_ready_audit()
    sample = freeze_sample(audit, size=6, unflagged=0)
    judge(sample, {0: "wrong_label", 1: "multi_object", 2: "sub_class", 3: "label_correct"})
    assert curves(audit, "judgments", "lenient")["errors"] == 3
    assert curves(audit, "judgments", "strict")["errors"] == 1


def test_only_standing_verdicts_count():
    audit = make_ready_audit()
    sample = freeze_sample(audit, size=6, unflagged=0)
    first, second = judge(sample, {0: "wrong_label", 1: "wrong_label"})
    revise(first, "label_correct")
    revise(second, "withdrawn")
    report = curves(audit, "judgments", "lenient")
    assert (report["judged"], report["errors"]) == (1, 0)


def test_one_more_judgment_changes_the_figures():
    audit = make_ready_audit()
    sample = freeze_sample(audit, size=6, unflagged=6)
    judge(sample, {0: "wrong_label", 1: "wrong_label", 6: "label_correct", 7: "label_correct"})
    before = curves(audit, "judgments", "lenient")
    judge(sample, {2: "label_correct"})
    after = curves(audit, "judgments", "lenient")
    assert after["last_judgment"] > before["last_judgment"]
    assert after["methods"]["ensemble"]["points"] != before["methods"]["ensemble"]["points"]


@pytest.mark.parametrize("verdicts", [{}, dict.fromkeys(range(12), "unsure")])
def test_b127_nothing_judged_and_nobody_sure_are_no_numbers(verdicts):
    audit = make_ready_audit()
    judge(freeze_sample(audit, size=6, unflagged=6), verdicts)
    report = curves(audit, "judgments", "lenient")
    assert (report["judged"], report["unsure"]) == (0, len(verdicts))
    for described in report["methods"].values():
        for point in described["points"]:
            assert point["precision"]["estimate"] is None
            assert (point["precision"]["low"], point["precision"]["high"]) == (0, 1)
            assert point["detection_rate"]["estimate"] is None


@pytest.mark.parametrize(("verdict", "share"), [("wrong_label", 1.0), ("label_correct", 0.0)])
def test_b127_all_alike_stay_between_zero_and_one(verdict, share):
    audit = make_mixed_audit()
    sample = freeze_sample(audit, size=30, unflagged=10)
    positions = sample.items.values_list("item__position", flat=True)
    judge(sample, dict.fromkeys(positions, verdict))
    for described in curves(audit, "judgments", "lenient")["methods"].values():
        for point in described["points"]:
            rate = point["precision"]
            if rate["estimate"] is not None:
                assert rate["estimate"] == share
                assert 0 <= rate["low"] <= share <= rate["high"] <= 1


def test_b128_a_curve_that_rises_again_is_left_as_it_is():
    audit = make_ready_audit()
    sample = freeze_sample(audit, size=6, unflagged=0)
    said = ["wrong_label", "label_correct", "label_correct", "label_correct"] + ["wrong_label"] * 2
    judge(sample, dict(enumerate(said)))
    points = curves(audit, "judgments", "lenient")["methods"]["calibrated_ensemble"]["points"]
    assert [p["precision"]["estimate"] for p in points] == pytest.approx([0.5, 0.25, 0.5])


def test_unsure_items_are_reported_with_the_worst_they_could_mean():
    audit = make_ready_audit(n_bins=1)
    sample = freeze_sample(audit, size=6, unflagged=0)
    judge(sample, {0: "wrong_label", 1: "wrong_label", 2: "label_correct", 3: "unsure"})
    point = curves(audit, "judgments", "lenient")["methods"]["calibrated_ensemble"]["points"][0]
    assert (point["judged"], point["unsure"]) == (3, 1)
    assert point["precision"]["estimate"] == pytest.approx(2 / 3)
    assert point["precision"]["if_unsure_are"] == {
        "correct": pytest.approx(0.5),
        "errors": pytest.approx(0.75),
    }


def test_a_tie_between_two_people_is_unsure():
    audit = make_ready_audit()
    sample = make_sample(audit, 6, votes_per_item=2)
    judge(sample, {0: "wrong_label", 1: "wrong_label"})
    judge(sample, {0: "label_correct", 1: "sub_class"})
    report = curves(audit, "judgments", "lenient")
    assert (report["judged"], report["errors"], report["unsure"]) == (1, 1, 1)
    # Votes 11 and 01: half the pairs agree. Coincidences: errors meet twice, error and correct
    # twice; alpha = 1 - 2 / ((16 - 9 - 1) / 3) = 0. AC1: pi = 3/4, chance 3/8, (1/2 - 3/8) / (5/8).
    agreement = report["agreement"]
    names = [agreement["pairwise_kappas"][0].pop(side) for side in "ab"]
    assert names == sorted(names)
    assert agreement == {
        "items_with_several_votes": 2,
        "unanimous": 1,
        "annotators": 2,
        "raw": 0.5,
        "krippendorff_alpha": pytest.approx(0.0),
        "gwet_ac1": pytest.approx(0.2),
        "pairwise_kappas": [{"items": 2, "kappa": pytest.approx(0.0)}],
        "dawid_skene": None,
    }


def test_the_detection_rate_too_has_the_worst_that_unsure_items_could_mean():
    # Flagged 0-5: errors 0, 1, one unsure. Unflagged 6-11: error 6, one unsure. All are judged:
    # the rate lies between 2 / (3 + 1) and 3 / (3 + 1), wherever the unsure ones belong.
    audit = make_ready_audit(n_bins=1)
    sample = freeze_sample(audit, size=6, unflagged=6)
    said = dict.fromkeys(range(12), "label_correct")
    judge(sample, said | {0: "wrong_label", 1: "wrong_label", 6: "wrong_label"}
          | {2: "unsure", 7: "unsure"})  # fmt: skip
    point = curves(audit, "judgments", "lenient")["methods"]["calibrated_ensemble"]["points"][0]
    assert point["detection_rate"]["if_unsure_are"] == {
        "errors_outside": pytest.approx(2 / 4),
        "errors_inside": pytest.approx(3 / 4),
    }


def test_each_point_has_a_band_around_its_interval_and_conservative_ones_are_wider():
    audit = make_mixed_audit()
    sample = freeze_sample(audit, size=30, unflagged=10)
    positions = sample.items.values_list("item__position", flat=True)
    judge(sample, {p: "wrong_label" if p % 3 else "label_correct" for p in positions})
    first, again, wide = (
        curves(audit, "judgments", "lenient", intervals=name)
        for name in ("wilson", "wilson", "korn_graubard")
    )
    assert first == again
    assert wide["intervals"] == "korn_graubard"
    for method, described in first["methods"].items():
        for point, wider in zip(
            described["points"], wide["methods"][method]["points"], strict=True
        ):
            rate, band = point["precision"], point["band"]
            assert band["low"] <= rate["low"] <= rate["high"] <= band["high"]
            width = rate["high"] - rate["low"]
            assert wider["precision"]["high"] - wider["precision"]["low"] >= width


def test_the_overlap_has_every_cell_and_the_difference():
    audit = make_mixed_audit()
    sample = freeze_sample(audit, size=50, unflagged=10)
    positions = list(sample.items.values_list("item__position", flat=True))
    judge(
        sample,
        {p: "wrong_label" if p < 35 or p == 40 else "label_correct" for p in positions},
    )
    report = curves(audit, "judgments", "lenient", ["calibrated_ensemble", "confident_learning"])
    (pair,) = report["overlap"]
    cells = {name: (c["flagged"], c["judged"], c["errors"]) for name, c in pair["cells"].items()}
    assert cells == {"a_only": (10, 10, 5), "both": (30, 30, 30), "b_only": (10, 10, 1)}
    assert pair["difference"]["estimate"] == pytest.approx(35 / 40 - 31 / 40)
    assert pair["difference"]["detection_rate"]["estimate"] == pytest.approx(35 / 36 - 31 / 36)


def test_ranked_methods_have_twenty_depths_and_end_at_all_flags():
    audit = make_ready_audit(n_flags=12)
    report = curves(audit, "judgments", "lenient")
    assert [p["n"] for p in report["methods"]["ensemble"]["points"]] == list(range(1, 13))
    audit = make_mixed_audit()
    depths = [
        p["n"]
        for p in curves(audit, "judgments", "lenient")["methods"]["confident_learning"]["points"]
    ]
    assert len(depths) == 20
    assert depths[-1] == 40


def test_a_truth_for_every_item_is_a_census(tmp_path):
    audit = make_mixed_audit()
    rows = [
        f"{item.key},truth,{(item.given_label + (item.position < 35)) % 3}"
        for item in audit.dataset.items.all()
    ]
    path = tmp_path / "truth.csv"
    path.write_text("\n".join(["key,annotator,labels", *rows]))
    import_votes(audit.dataset, path, "planted")
    report = curves(audit, "votes:planted", "lenient")
    assert (report["census"], report["errors"]) == (True, 35)
    last = report["methods"]["calibrated_ensemble"]["points"][-1]
    assert last["precision"]["estimate"] == pytest.approx(35 / 40)
    assert last["detection_rate"]["low"] == pytest.approx(1.0)


def test_an_unknown_method_is_refused_with_the_known_ones():
    with pytest.raises(UnknownMethodError, match="calibrated_ensemble, ensemble"):
        curves(make_ready_audit(), "judgments", "lenient", ["magic"])


def test_the_document_is_plain_json():
    audit = make_mixed_audit()
    sample = freeze_sample(audit, size=30, unflagged=10)
    positions = sample.items.values_list("item__position", flat=True)
    rng = np.random.default_rng(0)
    judge(sample, {p: rng.choice(["wrong_label", "label_correct"]) for p in positions})
    report = curves(audit, "judgments", "lenient")
    assert json.loads(json.dumps(report, allow_nan=False)) == report
