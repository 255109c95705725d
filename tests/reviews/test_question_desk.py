"""The addresses of the desk for questions: what is hidden, what is recorded, what is refused."""

from __future__ import annotations

import csv
import json
from uuid import uuid4

import numpy as np
import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from audit.evidence import load_evidence
from audit.hashed_folders import verify_folder
from audit.models import Audit, Role
from audit.score_store import write_manifest, write_shard
from reviews.decisions import Snapshot
from reviews.models import (
    Adjudication,
    DeskPreference,
    Judgment,
    KnownItem,
    Sample,
    Vote,
    VoteSource,
)
from reviews.release_files import export_release
from reviews.reports import curves
from reviews.services.known_items import mark_from_votes
from tests.factories import make_member, make_questions, make_ready_audit, make_sample
from tests.reviews.test_desk_views import annotator_of, lease, log_in, post

pytestmark = pytest.mark.django_db


def make_question_audit(n_items: int = 8) -> Audit:
    audit = make_ready_audit(make_questions(n_items=n_items), n_flags=6)
    make_sample(audit, n_items)
    return audit


def said_of(item: dict, verdict: str, labels: list[int] | None, **changes) -> dict:
    return {
        "key": str(uuid4()),
        "ticket": item["ticket"],
        "mode": item["mode"],
        "verdict": verdict,
        "labels": labels,
        "blind_labels": labels if item["mode"] == "full" else None,
        "milliseconds": 4000,
        "has_derivation": True,
        **changes,
    }


def start(mode: str = "full") -> tuple:
    audit = make_question_audit()
    client = log_in(annotator_of(audit))
    return audit, client, lease(client, audit, mode)


def test_a_blind_question_comes_in_file_order_and_without_a_word_of_the_experts():
    audit, client, items = start()
    first = audit.dataset.items.first()
    assert (items[0]["question"], items[0]["choices"]) == (first.question, first.choices)
    assert (items[0]["subject"], items[0]["key_label"]) == ("sums", first.given_label)
    text = post(client, "lease", audit, {"mode": "full", "recall": True}).content.decode()
    for word in ["confidence", "stub:", "bin", "rank"]:
        assert word not in text
    assert all(item["experts"] == [] and item["chosen"] is None for item in items)


def test_the_quick_desk_says_what_the_experts_answer():
    _, _, items = start("quick")
    assert (items[0]["experts"], items[0]["n_experts"], items[0]["chosen"]) == ([0, 2, 0, 0], 2, 1)
    assert (items[7]["experts"], items[7]["chosen"]) == ([0, 0, 0, 2], None)  # they agree with it


@pytest.mark.parametrize(
    ("verdict", "labels", "corrected"),
    [
        ("label_correct", [0], None),
        ("wrong_ground_truth", [3], 3),
        ("multiple_correct", [0, 1], 1),
        ("multiple_correct", [2, 3], 2),
        ("no_correct", [], None),
        ("bad_question_clarity", None, None),
        ("bad_options_clarity", [1], None),
        ("unsure", None, None),
    ],
)
def test_a_verdict_is_stored_with_its_answers(verdict, labels, corrected):
    audit, client, items = start()
    assert post(client, "judge", audit, said_of(items[0], verdict, labels)).status_code == 200
    judgment = Judgment.objects.get()
    assert (judgment.verdict, judgment.labels, judgment.blind_labels) == (verdict, labels, labels)
    assert (judgment.corrected_label, judgment.stage) == (corrected, "blind")


def test_an_answer_taken_back_once_the_key_is_shown_is_kept_beside_the_verdict():
    audit, client, items = start()
    body = said_of(items[0], "label_correct", [0], blind_labels=[2])
    assert post(client, "judge", audit, body).status_code == 200
    judgment = Judgment.objects.get()
    assert (judgment.labels, judgment.blind_labels) == ([0], [2])


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": "label_correct", "labels": [1]},
        {"verdict": "wrong_ground_truth", "labels": [0]},
        {"verdict": "wrong_ground_truth", "labels": [1, 2]},
        {"verdict": "multiple_correct", "labels": [1]},
        {"verdict": "no_correct", "labels": [1]},
        {"verdict": "no_correct", "labels": None},
        {"verdict": "wrong_ground_truth", "labels": [4]},  # there are four options
        {"verdict": "wrong_ground_truth", "labels": [1, 1]},
        {"verdict": "wrong_label", "labels": [1]},  # a picture's
        {"blind_labels": [9]},
        {"has_derivation": False},
        {"has_derivation": False, "source": "   "},
        {"has_derivation": False, "source": "x" * 501},
    ],
)
def test_what_contradicts_the_answers_or_rests_on_nothing_is_refused(changes):
    audit, client, items = start()
    body = said_of(items[0], "wrong_ground_truth", [1])
    assert post(client, "judge", audit, {**body, **changes}).status_code == 422
    assert not Judgment.objects.exists()


def test_a_source_does_in_place_of_a_derivation_and_only_a_changed_key_has_one():
    audit, client, items = start()
    book = {"has_derivation": False, "source": " <b>Rudin</b>, p. 12 "}
    post(client, "judge", audit, said_of(items[0], "wrong_ground_truth", [1], **book))
    post(client, "judge", audit, said_of(items[1], "label_correct", [1], **book))
    assert list(Judgment.objects.values_list("source", "has_derivation")) == [
        ("<b>Rudin</b>, p. 12", False),
        ("", False),
    ]


def test_the_database_itself_refuses_a_changed_key_without_a_source():
    audit, client, items = start()
    post(client, "judge", audit, said_of(items[0], "no_correct", []))
    stored = Judgment.objects.get()
    stored.pk, stored.number, stored.hash = None, 2, "0" * 64
    stored.idempotency_key, stored.has_derivation = uuid4(), False
    with pytest.raises(IntegrityError, match="a_changed_key_has_a_source"), transaction.atomic():
        stored.save()


@pytest.mark.parametrize("labels", [None, [1]])
def test_a_quick_verdict_needs_no_answer_but_a_source(labels):
    audit, client, items = start("quick")
    # Whatever a page claims: at the quick desk nobody answers blindly.
    body = said_of(items[0], "wrong_ground_truth", labels, blind_labels=[2])
    assert post(client, "judge", audit, {**body, "has_derivation": False}).status_code == 422
    assert post(client, "judge", audit, body).status_code == 200
    judgment = Judgment.objects.get()
    assert (judgment.corrected_label, judgment.blind_labels) == (labels and labels[0], None)
    assert judgment.stage == "revealed"


def test_earlier_verdicts_come_back_with_answers_and_sources():
    audit, client, items = start()
    post(client, "judge", audit, said_of(items[0], "multiple_correct", [0, 1], source="a book"))
    told = post(client, "lease", audit, {"mode": "full", "recall": True}).json()["history"][0]
    assert (told["labels"], told["blind_labels"]) == ([0, 1], [0, 1])
    assert (told["source"], told["has_derivation"]) == ("a book", True)
    assert told["item"]["question"] == items[0]["question"]


def test_keys_mean_one_thing_at_each_desk_and_the_other_desk_keeps_its_own():
    audit, client, _ = start()
    user = audit.dataset.project.memberships.get().user
    DeskPreference.objects.update_or_create(user=user, defaults={"keys": {"severity": "y"}})
    answer = post(client, "preferences", audit, {"keys": {"derivation": "e"}})
    assert answer.json()["keys"]["derivation"] == "e"
    assert "severity" not in answer.json()["keys"]  # pictures have it, questions don't
    assert DeskPreference.objects.get().keys == {"severity": "y", "derivation": "e"}
    # N says "no correct answer" of questions, so a comment can't be written with it.
    refused = post(client, "preferences", audit, {"keys": {"note": "n"}})
    assert refused.status_code == 422
    assert "desk for questions" in refused.json()["error"]
    page = client.get(reverse("reviews:desk", args=[audit.pk]))
    assert page.context["config"]["preference"]["keys"]["derivation"] == "e"


def test_judged_questions_make_curves_by_either_policy():
    audit, client, items = start()
    for item, (verdict, labels) in zip(
        items,
        [
            ("wrong_ground_truth", [3]), ("multiple_correct", [0, 1]), ("no_correct", []),
            ("bad_question_clarity", None), ("label_correct", [0]), ("unsure", None),
        ],
        strict=False,
    ):  # fmt: skip
        assert post(client, "judge", audit, said_of(item, verdict, labels)).status_code == 200
    lenient, strict = (curves(audit, "judgments", policy) for policy in ("lenient", "strict"))
    assert (lenient["judged"], lenient["errors"], lenient["unsure"]) == (5, 4, 1)
    assert (strict["judged"], strict["errors"]) == (5, 1)


def test_a_release_carries_answers_and_sources_to_the_corrected_keys(tmp_path):
    audit, client, items = start()
    post(client, "judge", audit, said_of(items[0], "wrong_ground_truth", [3], source="=Rudin"))
    post(client, "judge", audit, said_of(items[1], "multiple_correct", [1, 2]))
    post(client, "judge", audit, said_of(items[2], "no_correct", []))
    post(client, "judge", audit, said_of(items[3], "bad_options_clarity", None))
    post(client, "judge", audit, said_of(items[4], "label_correct", [0]))
    folder = tmp_path / "release"
    formats = ["csv", "jsonl", "real-json", "mmlu-csv", "patch"]
    export_release(audit, "lenient", Snapshot.now(audit), folder, formats)
    assert verify_folder(folder) == []
    labels = list(csv.DictReader((folder / "labels.csv").read_text().splitlines()))
    assert [
        (row["key"], row["cleaned_name"], row["also_labels"], row["action"], row["reason"])
        for row in labels[:6]
    ] == [
        ("sum-0", "D", "", "relabelled", ""),
        ("sum-1", "B", "2", "label_added", ""),
        ("sum-2", "", "", "excluded", "no correct answer"),
        ("sum-3", "", "", "excluded", "unclear options"),
        ("sum-4", "A", "", "kept", ""),
        ("sum-5", "B", "", "kept", ""),
    ]
    votes = list(csv.DictReader((folder / "votes.csv").read_text().splitlines()))
    assert [(row["labels"], row["source"], row["derivation_given"]) for row in votes] == [
        ("3", "=Rudin", "yes"), ("1;2", "", "yes"), ("", "", "yes"), ("", "", ""), ("0", "", ""),
    ]  # fmt: skip
    mmlu = list(csv.reader((folder / "mmlu/test/sums_test.csv").read_text().splitlines()))
    # What has no answer is left out; one key is put right, and one that stays among others is kept.
    assert [(row[0], row[-1]) for row in mmlu[:3]] == [
        ("What is 0 + 7?", "D"), ("What is 1 + 7?", "B"), ("What is 4 + 7?", "A"),
    ]  # fmt: skip
    real = json.loads((folder / "real.json").read_text())
    assert real[:6] == [[3], [1, 2], [], [], [0], [1]]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert "wrong_ground_truth" in manifest["taxonomy"]["verdicts"]
    assert "wrong_label" not in manifest["taxonomy"]["verdicts"]


def test_a_question_whose_sample_is_not_drawn_yet_says_so():
    audit = make_ready_audit(make_questions())
    page = log_in(annotator_of(audit)).get(reverse("reviews:desk", args=[audit.pk]))
    assert "Nothing to review yet" in page.content.decode()
    assert not Sample.objects.exists()


def add_scores(audit: Audit) -> None:
    """Give the experts' options logits: 3 on the top-1, and 0, 1, 2 on the others."""
    evidence = load_evidence(audit.pk)
    for expert in audit.experts.all():
        logits = np.tile(np.array([0.0, 1.0, 2.0, 2.5], dtype=np.float32), (8, 1))
        logits[np.arange(8), evidence.top1[expert.order]] = 3.0
        shard = write_shard(expert.score_set_id, 0, [logits], logits.shape)
        write_manifest(expert.score_set_id, [shard], {})


def test_the_reveal_tells_every_option_of_every_expert_and_what_a_judge_answered():
    audit, client, items = start()
    add_scores(audit)
    source = VoteSource.objects.create(dataset=audit.dataset, name="judge-gpt", kind="judge")
    item = audit.dataset.items.first()
    Vote.objects.create(source=source, item=item, annotator="gpt-4o", labels=[1], reply="B <b>")
    other = VoteSource.objects.create(dataset=audit.dataset, name="redux")
    Vote.objects.create(source=other, item=item, annotator="a person", labels=[2])
    body = said_of(items[0], "wrong_ground_truth", [1])
    post(client, "judge", audit, body)
    told = post(client, "reveal", audit, {"key": body["key"]}).json()["told"]
    for word, option in zip(told["experts"], told["options"], strict=True):
        odds = np.exp([0.0, 3.0, 2.0, 2.5])
        assert option["raw"] == pytest.approx(odds / odds.sum())
        assert sum(option["calibrated"]) == pytest.approx(1)
        assert max(option["calibrated"]) == pytest.approx(word["confidence"], abs=1e-6)
        assert np.argmax(option["calibrated"]) == word["top1"]["index"] == 1
    assert told["judges"] == [
        {"judge": "judge-gpt", "model": "gpt-4o", "labels": [1], "verdict": "", "reply": "B <b>"}
    ]


def test_scores_that_were_moved_away_leave_the_rest_of_the_reveal():
    audit, client, items = start()
    body = said_of(items[0], "unsure", None)
    post(client, "judge", audit, body)
    told = post(client, "reveal", audit, {"key": body["key"]}).json()["told"]
    assert [option["raw"] for option in told["options"]] == [[], []]
    assert told["experts"][0]["confidence"] == pytest.approx(0.99)


def test_questions_are_adjudicated_by_their_own_classes():
    audit, client, items = start()
    post(client, "judge", audit, said_of(items[0], "multiple_correct", [0, 1], source="a book"))
    address = reverse("reviews:adjudicate_item", args=[audit.pk, items[0]["item"]])
    maintainer = log_in(make_member(audit.dataset.project, Role.MAINTAINER))
    page = maintainer.get(address).content.decode()
    assert "Several correct answers" in page
    assert "a book" in page
    assert "Multi-object" not in page
    seen = maintainer.get(address).context["case"].seen
    answer = maintainer.post(
        address,
        {
            "verdict": "wrong_ground_truth",
            "labels": [3],
            "reason": "checked",
            "seen_adjudication": seen.adjudication,
            "seen_judgment": seen.judgment,
        },
    )
    assert answer.status_code == 302
    ruling = Adjudication.objects.get()
    assert (ruling.verdict, ruling.corrected_label, ruling.labels) == (
        "wrong_ground_truth",
        3,
        [3],
    )
    assert curves(audit, "judgments", "strict")["errors"] == 1


def test_training_questions_from_outside_answers_are_told_in_the_words_of_questions():
    audit = make_ready_audit(make_questions(n_items=12))
    make_sample(audit, 4)
    dataset = audit.dataset
    source = VoteSource.objects.create(dataset=dataset, name="answers")
    Vote.objects.bulk_create(
        Vote(source=source, item=item, annotator="teacher", labels=[(item.given_label + 1) % 4])
        for item in dataset.items.all()
    )
    admin = make_member(dataset.project, Role.ADMIN)
    marked = mark_from_votes(audit, source, KnownItem.Use.TRAINING, 4, admin)
    assert len(marked) == 2  # half of them errors: there is nothing else here
    for known in marked:
        assert known.verdict == "wrong_ground_truth"
        assert known.corrected_label == (known.item.given_label + 1) % 4
