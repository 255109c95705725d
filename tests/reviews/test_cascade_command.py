"""The cascade command: the contract's JSON, other labels, other inputs, and its refusals."""

import itertools
import json
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from audit.models import Audit, AuditExpert, ScoreSet
from audit.services.scores import store_scores
from reviews.evaluation_labels import (
    UnknownLabelsError,
    freeze_labels,
    list_labels,
    load_labels,
)
from reviews.models import Judgment
from reviews.services.releases import order_release
from reviews.services.votes import import_votes
from scoring.cascade import Cascade
from scoring.expert_answers import ANSWER_CALIBRATORS, answer_items, fit_answers
from scoring.paired import paired_difference
from scoring.splits import in_half_a
from tests.factories import make_dataset, make_sample
from tests.reviews.situations import judge, revise

pytestmark = pytest.mark.django_db

N_ITEMS = 400


def make_scored_dataset(seed=0, shift=0.0):
    """A data set with the scores of two experts: "large" is right more often than "small"."""
    dataset = make_dataset(n_items=N_ITEMS)
    rng = np.random.default_rng(seed)
    given = np.arange(N_ITEMS) % 3
    for expert, skill in (("small", 1.5 - shift), ("large", 4.0 - shift)):
        logits = rng.normal(size=(N_ITEMS, 3))
        logits[np.arange(N_ITEMS), given] += skill * rng.random(N_ITEMS)
        source = ScoreSet.Source.IMPORTED
        store_scores(dataset, expert, [logits.astype(np.float32)], source=source)
    return dataset


def logits_of(dataset, expert):
    from audit.score_store import open_scores

    return np.array(open_scores(dataset.score_sets.get(expert=expert).pk)[0:N_ITEMS])


def run(dataset, *arguments, small="small", large="large"):
    out = StringIO()
    call_command(
        "cascade", dataset.slug, "--small", small, "--large", large, *arguments, stdout=out
    )
    return out.getvalue()


def run_json(dataset, *arguments, **experts):
    return json.loads(run(dataset, "--json", *arguments, **experts))


def refusal_of(dataset, *arguments, **experts):
    with pytest.raises(CommandError) as refusal:
        run(dataset, *arguments, **experts)
    return str(refusal.value)


def test_the_document_keeps_the_contract():
    document = run_json(make_scored_dataset())
    routers = {"CC", "UC", "RC", "MF", "oracle"}
    assert set(document["curves"]) == set(document["apgr"]) == routers
    assert set(document["models"]) == {"small", "large"}
    assert set(document["best"]) >= {"small_ratio", "accuracy", "p_value"}
    assert document["original"] is None
    for name, points in document["curves"].items():
        limits = set() if name in {"RC", "oracle"} else {"low", "high"}
        assert all(set(point) == {"small_ratio", "accuracy", *limits} for point in points)
        assert (points[0]["small_ratio"], points[-1]["small_ratio"]) == (0, 1)
        assert points[0]["accuracy"] == pytest.approx(document["models"]["large"])
        assert points[-1]["accuracy"] == pytest.approx(document["models"]["small"])
    assert all(set(apgr) == {"estimate", "low", "high"} for apgr in document["apgr"].values())
    assert len(document["curves"]["CC"]) == 16
    assert document["items"]["validation"] + document["items"]["test"] == N_ITEMS
    assert document["warnings"] == document["notes"] == []


def test_figures_come_from_half_b_and_the_table_from_half_a():
    dataset = make_scored_dataset()
    document = run_json(dataset, "--bins", "4", "--seed", "3")
    keys = list(dataset.items.order_by("position").values_list("key", flat=True))
    half_a, given = in_half_a(keys, 3), np.arange(N_ITEMS) % 3
    small, large = (
        fit_answers(logits_of(dataset, name), given, half_a) for name in ("small", "large")
    )
    correct = [answers.top1 == given for answers in (small, large)]
    assert document["models"]["small"] == pytest.approx(correct[0][~half_a].mean())
    cascade = Cascade.from_json(document["cascade"])
    expected = Cascade.fit(
        small.confidence[half_a],
        large.confidence[half_a],
        n_bins=4,
        k=cascade.k,
        small_calibrator=small.calibrator,
        large_calibrator=large.calibrator,
    )
    assert cascade == expected
    use_small = cascade.route(small.confidence[~half_a])
    accuracy = np.where(use_small, correct[0][~half_a], correct[1][~half_a]).mean()
    assert document["best"]["accuracy"] == pytest.approx(accuracy)
    assert document["best"]["small_ratio"] == pytest.approx(use_small.mean())


def test_the_same_seed_prints_the_same_bytes():
    dataset = make_scored_dataset()
    assert run(dataset, "--json") == run(dataset, "--json")


def accuracies(document, router):
    return [(each["small_ratio"], each["accuracy"]) for each in document["curves"][router]]


@pytest.mark.parametrize("calibrator", ANSWER_CALIBRATORS)
def test_every_calibrator_gives_a_routing_table_of_its_own(calibrator):
    document = run_json(make_scored_dataset(), "--calibrator", calibrator)
    stored = document["cascade"]["calibrators"]["small"]
    assert (stored and stored["kind"]) == (None if calibrator == "none" else calibrator)
    if calibrator == "none":
        assert accuracies(document, "CC") == accuracies(document, "UC")
        assert document["ahead"]["UC"] == {"estimate": 0.0, "low": 0.0, "high": 0.0}


def test_people_read_models_routers_and_every_k():
    text = run(make_scored_dataset(), "--bins", "5")
    assert "average performance gap recovered" in text
    assert "calibrated advantage" in text
    assert text.splitlines()[-1].startswith("   5  100.0%")


def test_two_models_alike_have_no_gap_but_a_curve():
    dataset = make_scored_dataset()
    source = ScoreSet.Source.IMPORTED
    store_scores(dataset, "twin", [logits_of(dataset, "small") * 2], source=source)
    document = run_json(dataset, large="twin")
    assert "within noise" in document["apgr"]["CC"]["undefined"]
    assert "no_signal" in document["apgr"]["MF"]["undefined"]
    assert document["curves"]["MF"] == []
    assert "undefined: within noise" in run(dataset, large="twin")


def test_votes_say_which_answers_are_right_and_the_rest_is_left_out(tmp_path):
    dataset = make_scored_dataset()
    keys = list(dataset.items.order_by("position").values_list("key", flat=True))
    lines = ["key,annotator,labels"]
    for place, key in enumerate(keys[:300]):
        lines += [f"{key},ann,{(place + 1) % 3}", f"{key},bob,{(place + 1) % 3};{place % 3}"]
    lines.append(f"{keys[300]},ann,")
    path = tmp_path / "votes.csv"
    path.write_text("\n".join(lines) + "\n")
    import_votes(dataset, path, "moved")
    document = run_json(dataset, "--labels", "votes:moved")
    half_b = ~in_half_a(keys, 0)[:300]
    answers = answer_items(logits_of(dataset, "small"), None).top1[:300]
    expected = (answers == (np.arange(300) + 1) % 3)[half_b].mean()
    assert document["models"]["small"] == pytest.approx(expected)
    assert document["items"]["test"] == half_b.sum()
    assert document["notes"] == ["300 of 400 items have a class that most annotators name"]


def test_verdict_votes_name_the_given_label_or_nothing(tmp_path):
    dataset = make_dataset(n_items=4)
    path = tmp_path / "votes.csv"
    path.write_text(
        "key,annotator,verdict\n"
        "00000.png,ann,label_correct\n"
        "00001.png,ann,wrong_label\n"
        "00002.png,ann,unsure\n"
    )
    import_votes(dataset, path, "verdicts")
    labels = load_labels(dataset, np.arange(4) % 3, "votes:verdicts", "lenient")
    assert labels.holding == [frozenset({0}), frozenset(), frozenset(), frozenset()]
    assert labels.is_known.tolist() == [True, False, False, False]


def make_audit_of(dataset, *experts):
    audit = Audit.objects.create(dataset=dataset, state=Audit.State.READY)
    for order, expert in enumerate(experts):
        score_set = dataset.score_sets.get(expert=expert)
        AuditExpert.objects.create(audit=audit, score_set=score_set, order=order)
    return audit


def test_cleaned_labels_follow_the_judgments_and_warn_of_an_experts_own_flags():
    dataset = make_scored_dataset()
    store_scores(dataset, "third", [logits_of(dataset, "small")], source=ScoreSet.Source.IMPORTED)
    audit = make_audit_of(dataset, "large", "third")
    judge(make_sample(audit, 3), {0: "wrong_label", 1: "label_correct", 2: "wrong_label"})
    labels = load_labels(dataset, np.arange(N_ITEMS) % 3, f"cleaned:{audit.pk}", "lenient")
    # No class was named for the two wrong labels, so their items are left out.
    assert labels.is_known.sum() == N_ITEMS - 2
    assert labels.holding[1] == frozenset({1})
    document = run_json(dataset, "--labels", f"cleaned:{audit.pk}")
    [warning] = document["warnings"]
    assert warning.startswith("large flagged items for these cleaned labels")
    assert document["notes"] == [
        "3 items judged, 2 labels changed, by the lenient policy",
        "2 excluded items have no class that holds and are left out",
    ]
    assert run(dataset, "--labels", f"cleaned:{audit.pk}").startswith("warning: large flagged")


def make_relabelled(dataset, n_changed=60):
    """An audit whose people give the first items another class, and a release of that."""
    audit = make_audit_of(dataset, "third", "fourth")
    sample = make_sample(audit, n_changed)
    judge(sample, {place: ("wrong_label", (place + 1) % 3) for place in range(n_changed)})
    release = order_release(audit, "lenient")
    return audit, sample, release


def with_third_and_fourth(dataset):
    for name in ("third", "fourth"):
        store_scores(dataset, name, [logits_of(dataset, "small")], source=ScoreSet.Source.IMPORTED)
    return dataset


def test_cleaned_and_original_labels_are_measured_on_the_same_items_and_paired():
    dataset = with_third_and_fourth(make_scored_dataset())
    audit, _, _ = make_relabelled(dataset)
    document = run_json(dataset, "--labels", f"cleaned:{audit.pk}")
    original = document["original"]
    assert document["warnings"] == []
    assert original["models"] == run_json(dataset)["models"]
    keys = list(dataset.items.order_by("position").values_list("key", flat=True))
    half_b, given = ~in_half_a(keys, 0), np.arange(N_ITEMS) % 3
    cleaned = np.where(np.arange(N_ITEMS) < 60, (given + 1) % 3, given)
    for name in ("small", "large"):
        answers = answer_items(logits_of(dataset, name), None).top1[half_b]
        pairs = answers == cleaned[half_b], answers == given[half_b]
        assert document["models"][name] == pytest.approx(pairs[0].mean())
        change = paired_difference(*pairs)
        assert original["change"][name] == pytest.approx(
            {"estimate": change.estimate, "low": change.low, "high": change.high}
        )
    text = run(dataset, "--labels", f"cleaned:{audit.pk}")
    assert f"accuracy of the same items by given labels and by cleaned:{audit.pk}" in text


def test_a_releases_labels_stay_while_people_go_on():
    dataset = with_third_and_fourth(make_scored_dataset())
    audit, sample, release = make_relabelled(dataset)
    name = f"release:{audit.pk}/{release.number}"
    before = run_json(dataset, "--labels", name)
    cleaned_before = run_json(dataset, "--labels", f"cleaned:{audit.pk}")
    assert before["models"] == cleaned_before["models"]
    ruled = sample.slots.get(sampled_item__item__position=0).judgment
    for judgment in [ruled, *Judgment.objects.exclude(pk=ruled.pk)[:30]]:
        revise(judgment, "label_correct")
    after = run_json(dataset, "--labels", name)
    assert after == before
    assert after["notes"] == [
        f"60 items judged, 60 labels changed, as in release 1 of audit {audit.pk} (lenient)"
    ]
    changed = run_json(dataset, "--labels", f"cleaned:{audit.pk}")
    assert changed["models"] != before["models"]
    assert "there are: " + name in refusal_of(dataset, "--labels", f"release:{audit.pk}/9")


def test_labels_frozen_at_a_moment_ignore_later_judgments():
    dataset = with_third_and_fourth(make_scored_dataset())
    audit, sample, _ = make_relabelled(dataset)
    name, given = f"cleaned:{audit.pk}", np.arange(N_ITEMS) % 3
    moment = freeze_labels(dataset, name)
    revise(sample.slots.get(sampled_item__item__position=0).judgment, "label_correct")
    assert load_labels(dataset, given, name, "lenient", moment).holding[0] == {1}
    assert load_labels(dataset, given, name, "lenient").holding[0] == {0}
    assert list_labels(dataset) == ["given", name, f"release:{audit.pk}/1"]


def make_harder_dataset():
    """The same scores for other items, of other keys, with smaller margins."""
    harder = make_scored_dataset(seed=1, shift=1.0)
    for item in harder.items.all():
        harder.items.filter(pk=item.pk).update(key=f"harder-{item.key}")
    return harder


def test_b120_items_that_were_fitted_on_are_not_measured_on():
    dataset = make_scored_dataset()
    here, there = run_json(dataset), run_json(dataset, "--test-dataset", dataset.slug)
    assert there["items"] == here["items"]
    assert there["models"] == here["models"]
    assert there["notes"] == [
        f"{here['items']['validation']} items of {dataset} were fitted on and are left out"
    ]


def test_other_inputs_are_measured_with_the_first_sets_calibrators_and_bins():
    dataset, harder = make_scored_dataset(), make_harder_dataset()
    here, there = run_json(dataset), run_json(dataset, "--test-dataset", harder.slug)
    assert there["cascade"] == here["cascade"]
    assert there["items"] == {"validation": here["items"]["validation"], "test": N_ITEMS}
    assert there["models"]["large"] < here["models"]["large"]
    answers = answer_items(logits_of(harder, "small"), None)
    assert there["models"]["small"] == pytest.approx((answers.top1 == np.arange(400) % 3).mean())


def test_other_inputs_are_routed_by_confidences_of_the_first_sets_calibrator():
    dataset, harder = make_scored_dataset(), make_harder_dataset()
    document = run_json(dataset, "--test-dataset", harder.slug)
    cascade = Cascade.from_json(document["cascade"])
    answers = answer_items(logits_of(harder, "small"), cascade.small_calibrator)
    assert cascade.small_calibrator.temperature != pytest.approx(1.0, abs=0.05)
    levels = cascade.level(answers.confidence)
    ratios = [point["small_ratio"] for point in document["curves"]["CC"]]
    expected = [(levels < k).mean() for k in range(cascade.n_bins + 1)]
    np.testing.assert_allclose(ratios, expected)


def test_a_sweep_repeats_the_measurement_for_calibrators_and_bins():
    dataset = make_scored_dataset()
    document = run_json(dataset, "--sweep")
    rows = [(row["calibrator"], row["bins"]) for row in document["sweep"]]
    assert rows == list(itertools.product(ANSWER_CALIBRATORS, (5, 15, 50, 100)))
    found = {(row["calibrator"], row["bins"]): row["apgr"] for row in document["sweep"]}
    assert found["temperature", 15] == document["apgr"]["CC"]
    for calibrator, bins in (("none", 15), ("platt", 50)):
        alone = run_json(dataset, "--calibrator", calibrator, "--bins", str(bins))
        assert found[calibrator, bins] == alone["apgr"]["CC"]
    assert "  temperature  100  0." in run(dataset, "--sweep")


def rename_classes(dataset, *names, ids=("", "", "")):
    for index, (name, wordnet_id) in enumerate(zip(names, ids, strict=True)):
        dataset.classes.filter(index=index).update(name=name, wordnet_id=wordnet_id)


@pytest.mark.parametrize(
    ("names", "ids", "reason"),
    [
        (("class 1", "class 0", "class 2"), ("", "", ""), "0: 'class 0' and 'class 1'; 1: "),
        (("a", "b", "c"), ("n2", "n1", "n3"), "0: 'class 0' and 'a'; 1: 'class 1' and 'b'"),
    ],
)
def test_a_data_set_that_numbers_its_classes_otherwise_is_refused(names, ids, reason):
    dataset, other = make_scored_dataset(), make_harder_dataset()
    rename_classes(dataset, "class 0", "class 1", "class 2", ids=("n1", "n2", "n3"))
    rename_classes(other, *names, ids=ids)
    refusal = refusal_of(dataset, "--test-dataset", other.slug)
    assert f"{other} numbers its classes otherwise than {dataset}: {reason}" in refusal


def test_classes_that_are_called_otherwise_are_named_in_a_warning():
    dataset, other = make_scored_dataset(), make_harder_dataset()
    rename_classes(other, "CLASS 0", "one", "two")
    [warning] = run_json(dataset, "--test-dataset", other.slug)["warnings"]
    assert warning == (
        f"classes have other names in {other}: 1: 'class 1' and 'one'; 2: 'class 2' and 'two'"
    )
    rename_classes(dataset, "class 0", "class 1", "class 2", ids=("n1", "n2", "n3"))
    rename_classes(other, "zero", "one", "two", ids=("n1", "n2", "n3"))
    assert run_json(dataset, "--test-dataset", other.slug)["warnings"] == []


def test_a_data_set_of_other_classes_is_refused():
    dataset, other = make_scored_dataset(), make_dataset(n_items=N_ITEMS, n_classes=4)
    for name in ("small", "large"):
        logits = [np.pad(logits_of(dataset, name), ((0, 0), (0, 1)))]
        store_scores(other, name, logits, source=ScoreSet.Source.IMPORTED)
    assert "calibrators fit no other classes" in refusal_of(dataset, "--test-dataset", other.slug)


def test_items_an_expert_could_not_score_take_no_part():
    dataset = make_scored_dataset()
    logits = logits_of(dataset, "large")
    logits[:10] = np.nan
    store_scores(dataset, "partly", [logits], source=ScoreSet.Source.IMPORTED)
    items = run_json(dataset, large="partly")["items"]
    assert items["validation"] + items["test"] == N_ITEMS - 10


def test_what_cannot_be_measured_is_refused_with_what_there_is():
    dataset = make_scored_dataset()
    assert "must differ" in refusal_of(dataset, large="small")
    assert "there are: large, small" in refusal_of(dataset, large="huge")
    assert "at least 1" in refusal_of(dataset, "--bins", "0")
    assert "must be 0 or more" in refusal_of(dataset, "--seed", "-1")
    assert "labels must be given, cleaned:AUDIT, release:AUDIT/NUMBER" in refusal_of(
        dataset, "--labels", "best"
    )
    assert "there are: none" in refusal_of(dataset, "--labels", "votes:real")
    assert "no audit 'x'" in refusal_of(dataset, "--labels", "cleaned:x")
    other = make_audit_of(make_scored_dataset(seed=2), "small", "large")
    with pytest.raises(UnknownLabelsError, match="no audit"):
        load_labels(dataset, np.zeros(1, dtype=np.int64), f"cleaned:{other.pk}", "lenient")


def test_an_expert_that_cannot_be_calibrated_is_refused_and_can_be_compared_raw():
    dataset = make_scored_dataset()
    perfect = np.eye(3, dtype=np.float32)[np.arange(N_ITEMS) % 3] * 9
    store_scores(dataset, "perfect", [perfect], source=ScoreSet.Source.IMPORTED)
    assert "perfect can't be calibrated by temperature (separable" in refusal_of(
        dataset, large="perfect"
    )
    assert run_json(dataset, "--calibrator", "none", large="perfect")["models"]["large"] == 1.0
