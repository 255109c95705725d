"""The second pass: each expert by given and cleaned labels, traceable, on the very same items."""

import json
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from audit.models import Measurement, Role, ScoreSet
from audit.services.scores import store_scores
from reviews.services.measuring import measure
from scoring.binning import expected_calibration_error
from scoring.calibration import TemperatureScaler
from scoring.paired import paired_difference
from scoring.splits import in_half_a
from tests.factories import make_member, make_sample
from tests.reviews.situations import judge, revise
from tests.reviews.test_cascade_command import (
    N_ITEMS,
    logits_of,
    make_audit_of,
    make_relabelled,
    make_scored_dataset,
    with_third_and_fourth,
)

pytestmark = pytest.mark.django_db
GIVEN = np.arange(N_ITEMS) % 3


def run_json(audit, *arguments):
    out = StringIO()
    call_command("second_pass", str(audit.pk), "--json", *arguments, stdout=out, stderr=StringIO())
    return json.loads(out.getvalue())


def expert_of(document, name):
    return next(each for each in document["experts"] if each["name"] == name)


def make_excluding_audit():
    """60 items get the next class, 5 lose theirs."""
    dataset = with_third_and_fourth(make_scored_dataset())
    audit = make_audit_of(dataset, "third", "fourth")
    verdicts = {place: ("wrong_label", (place + 1) % 3) for place in range(60)}
    verdicts |= dict.fromkeys(range(60, 65), "wrong_label")
    judgments = judge(make_sample(audit, 65), verdicts)
    return audit, judgments


def test_accuracies_changes_and_both_fits_are_those_of_the_same_items_by_hand():
    audit, _ = make_excluding_audit()
    document = run_json(audit)
    known = (np.arange(N_ITEMS) < 60) | (np.arange(N_ITEMS) >= 65)
    cleaned = np.where(np.arange(N_ITEMS) < 60, (GIVEN + 1) % 3, GIVEN)
    assert document["items"] == {
        "all": N_ITEMS, "measured": N_ITEMS - 5, "left_out": 5, "without_one_class": 0,
    }  # fmt: skip
    keys = list(audit.dataset.items.order_by("position").values_list("key", flat=True))
    half_a = in_half_a(keys, 0)
    for name in ("small", "large"):
        found, logits = expert_of(document, name), logits_of(audit.dataset, name)
        right = [logits.argmax(axis=1) == labels for labels in (cleaned, GIVEN)]
        change = paired_difference(*(each[known] for each in right))
        assert found["accuracy"]["cleaned"]["estimate"] == pytest.approx(right[0][known].mean())
        assert found["accuracy"]["given"]["estimate"] == pytest.approx(right[1][known].mean())
        assert (found["change"]["low"], found["change"]["high"]) == (change.low, change.high)
        for kind, labels in (("given", GIVEN), ("cleaned", cleaned)):
            fit = TemperatureScaler.fit(logits[half_a & known], labels[half_a & known])
            assert found["parameters"][kind]["temperature"] == pytest.approx(fit.temperature)
        held = ~half_a & known
        confidence = fit.apply(logits[held]).max(axis=1)
        expected = expected_calibration_error(confidence, right[0][held], 15)
        assert found["ece"]["cleaned_on_cleaned"]["estimate"] == pytest.approx(expected, abs=1e-3)


def test_noise_put_back_right_raises_the_accuracy_for_sure_and_none_changes_nothing():
    dataset = with_third_and_fourth(make_scored_dataset())
    audit = make_audit_of(dataset, "third", "fourth")
    answers = logits_of(dataset, "large").argmax(axis=1)
    wrong = np.flatnonzero(answers[:200] != GIVEN[:200])
    agreed = {int(place): ("wrong_label", int(answers[place])) for place in wrong}
    sample = make_sample(audit, 200)
    before = run_json(audit)
    assert all(each["change"]["estimate"] == 0 for each in before["experts"])
    judge(sample, agreed)
    change = expert_of(run_json(audit), "large")["change"]
    assert change["estimate"] == pytest.approx(wrong.size / N_ITEMS)
    assert change["low"] > 0


def test_a_release_is_named_with_its_policy_and_moment_and_does_not_move():
    dataset = with_third_and_fourth(make_scored_dataset())
    audit, sample, release = make_relabelled(dataset)
    name = f"release:{audit.pk}/{release.number}"
    before = run_json(audit, "--labels", name)
    assert before["settings"]["policy"] == "lenient"
    assert before["settings"]["judgments_up_to"] == release.last_judgment
    revise(sample.slots.get(sampled_item__item__position=0).judgment, "label_correct")
    assert run_json(audit, "--labels", name) == before
    assert run_json(audit) != before
    flagged = {each["name"]: each["flagged"] for each in before["experts"]}
    assert flagged == {"small": False, "large": False, "third": True, "fourth": True}
    assert [warning.split(" ")[0] for warning in before["warnings"]] == ["fourth", "third"]


def test_an_expert_that_cannot_be_calibrated_keeps_its_accuracies_with_the_reason():
    audit, _ = make_excluding_audit()
    perfect = [np.eye(3, dtype=np.float32)[GIVEN] * 9]
    store_scores(audit.dataset, "perfect", perfect, source=ScoreSet.Source.IMPORTED)
    found = expert_of(run_json(audit), "perfect")
    assert found["accuracy"]["given"]["estimate"] == 1.0
    assert "separable" in found["refusals"]["given"]
    assert found["ece"] == {}
    text = StringIO()
    call_command("second_pass", str(audit.pk), stdout=text, stderr=StringIO())
    assert "perfect: accuracy 1.0000 -> 0.8481" in text.getvalue()
    assert "not calibrated by given labels: separable" in text.getvalue()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--labels", "given"), "needs other labels"),
        (("--labels", "release:1/9"), "has no release"),
        (("--policy", "magic"), "magic"),
        (("--bins", "0"), "at least 1"),
        (("--seed", "-1"), "0 or more"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments, said):
    audit, _ = make_excluding_audit()
    with pytest.raises(CommandError, match=said):
        run_json(audit, *arguments)


def page_of(client, audit, name="second_pass"):
    return client.get(reverse(f"reviews:{name}", args=[audit.pk]))


def test_the_page_shows_what_the_command_prints(client):
    audit, judgments = make_excluding_audit()
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    address = reverse("reviews:second_pass", args=[audit.pk])
    labels = f"cleaned:{audit.pk}"
    said = {"labels": labels, "policy": "lenient", "calibrator": "temperature", "n_bins": "15"}
    assert page_of(client, audit, "second_pass_data").status_code == 404
    assert client.post(address, said | {"labels": "given"}).status_code == 422
    assert client.post(address, said)["Location"] == address
    expected = run_json(audit)
    revise(judgments[0], "label_correct")  # after the order: it doesn't count
    assert b"waiting for a worker" in page_of(client, audit, "second_pass_progress").content
    assert measure(Measurement.objects.get().pk)
    assert page_of(client, audit, "second_pass_progress")["HX-Refresh"] == "true"
    document = page_of(client, audit, "second_pass_data").json()
    assert document == expected
    text = page_of(client, audit).content.decode()
    change = expert_of(document, "small")["change"]["estimate"]
    assert f"{change:.4f}".replace("0.", ".", 1) in text
    assert "395 of 400 items, 5 left out of both" in " ".join(text.split())
    assert "flagged items" in text


def test_without_judgments_or_votes_there_is_nothing_to_measure_by(client):
    audit = make_audit_of(make_scored_dataset(), "small", "large")
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    assert "There are no other labels yet" in page_of(client, audit).content.decode()
