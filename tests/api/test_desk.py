"""Judging by the API: blind, once, in the person's own name."""

from __future__ import annotations

import json
import uuid

import pytest

from audit.models import Role
from reviews.models import Judgment, ReviewSlot, Sample
from tests.api.callers import caller, send
from tests.factories import make_member, make_questions, make_ready_audit, make_sample
from tests.reviews.situations import judge

pytestmark = pytest.mark.django_db


def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())}


class Desk:
    """One person's calls about one audit."""

    def __init__(self, audit, user=None):
        self.audit = audit
        self.user = user or make_member(audit.dataset.project, Role.ANNOTATOR)
        self.client = caller(self.user, "judge")

    def send(self, method, path, body=None, **headers):
        return send(self.client, method, f"/audits/{self.audit.pk}/review{path}", body, **headers)

    def claim(self, **body):
        return self.send("POST", "/claim", body).json()["items"]

    def judge(self, ticket, sent=None, **said):
        body = {"ticket": ticket, "milliseconds": 1500, **({"labels": [0]} | said)}
        return self.send("POST", "/judgments", body, **(sent or key()))


@pytest.fixture
def desk():
    audit = make_ready_audit()
    make_sample(audit, 4, votes_per_item=2)
    return Desk(audit)


def test_items_are_claimed_judged_and_listed(desk):
    items = desk.claim()
    assert len(items) == 4
    first = items[0]
    assert desk.client.get(first["image"]).headers["Content-Type"] == "image/png"
    assert desk.client.get(first["thumb"]).status_code == 200
    sent = key()
    answer = desk.judge(first["ticket"], sent, labels=[0], note="a zero")
    assert answer.status_code == 200, answer.content
    assert answer.json() == {"key": sent["Idempotency-Key"], "replayed": False}
    judgment = Judgment.objects.get()
    assert (judgment.verdict, judgment.labels, judgment.stage) == ("label_correct", [0], "blind")
    (listed,) = desk.send("GET", "/judgments").json()["items"]
    assert (listed["key"], listed["note"]) == (sent["Idempotency-Key"], "a zero")
    assert desk.send("POST", "/heartbeat").json()["judged"] == 1
    held = [each["slot"] for each in items[1:]]
    assert sorted(desk.send("POST", "/heartbeat").json()["held"]) == held
    assert desk.send("POST", "/hand-back", {"slots": held}).json() == {"opened": 3}


@pytest.mark.row("R05")
def test_a_verdict_without_a_key_is_refused(desk):
    (first, *_) = desk.claim()
    for sent in ({"X": ""}, {"Idempotency-Key": ""}):
        answer = desk.judge(first["ticket"], sent)
        assert (answer.status_code, answer.json()["code"]) == (400, "key_missing")
    assert desk.judge(first["ticket"], {"Idempotency-Key": "1"}).status_code == 422
    assert not Judgment.objects.exists()


@pytest.mark.row("R04")
def test_the_same_key_is_answered_once_more_and_with_another_body_refused(desk):
    (first, *_) = desk.claim()
    sent = key()
    assert desk.judge(first["ticket"], sent).json()["replayed"] is False
    assert desk.judge(first["ticket"], sent).json()["replayed"] is True
    other = desk.judge(first["ticket"], sent, labels=[1])
    assert (other.status_code, other.json()["code"]) == (422, "key_reuse")
    assert Judgment.objects.count() == 1
    twice = desk.judge(first["ticket"], labels=[1])
    assert (twice.status_code, twice.json()["code"]) == (409, "judged")
    assert twice.json()["standing"] == sent["Idempotency-Key"]


def test_a_verdict_is_revised_only_as_it_was_seen_and_taken_back(desk):
    (first, *_) = desk.claim()
    sent = key()
    tag = desk.judge(first["ticket"], sent).headers["ETag"]
    path = f"/judgments/{sent['Idempotency-Key']}"
    shown = desk.send("GET", path)
    assert shown.headers["ETag"] == tag
    assert shown.headers["Cache-Control"] == "private, no-cache"
    assert desk.send("GET", path, **{"If-None-Match": tag}).status_code == 304
    body = {"verdict": "multi_object", "labels": [0, 2], "milliseconds": 900}
    stale = desk.send("PUT", path, body, **key(), **{"If-Match": '"other"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "changed")
    again = key()
    assert desk.send("PUT", path, body, **again, **{"If-Match": tag}).status_code == 200
    replayed = desk.send("PUT", path, body, **again, **{"If-Match": tag})
    assert replayed.json()["replayed"] is True
    changed = desk.send("GET", path)
    assert changed.headers["ETag"] != tag
    assert changed.json()["stands"] is False
    assert desk.send("PUT", path, body, **key()).status_code == 409
    newest = f"/judgments/{again['Idempotency-Key']}"
    assert desk.send("GET", newest).json()["labels"] == [0, 2]
    assert desk.send("POST", f"{newest}/undo").status_code == 400
    taken = desk.send("POST", f"{newest}/undo", **key()).json()
    assert taken["slot"] == first["slot"]
    assert desk.send("GET", "/judgments").json()["items"] == []
    assert desk.judge(taken["ticket"], labels=[1]).status_code == 200


HIDDEN = ("given", "experts", "flags", "told", "key_label", "categories", "confidence", "chosen",
          "verdict", "key", "annotator", "proposed")  # fmt: skip


def names_in(document) -> set[str]:
    if isinstance(document, dict):
        return set(document).union(*map(names_in, document.values()))
    if isinstance(document, list):
        return set().union(*map(names_in, document))
    return set()


@pytest.mark.row("A51")
@pytest.mark.parametrize("kind", ["pictures", "questions"])
def test_before_the_verdict_nothing_tells_the_label_or_what_others_say(kind):
    dataset = make_questions() if kind == "questions" else None
    audit = make_ready_audit(dataset)
    sample = make_sample(audit, 4, votes_per_item=2)
    judge(sample, {0: "label_correct"})
    desk = Desk(audit)
    answers = [
        desk.send("POST", "/claim", {}),
        desk.send("POST", "/heartbeat"),
        desk.send("GET", "/judgments"),
        desk.send("GET", "/classes"),
    ]
    items = answers[0].json()["items"]
    for answer in answers:
        assert names_in(answer.json()) & set(HIDDEN) == set()
        assert "ETag" not in answer.headers
        for item in audit.dataset.items.exclude(image=""):
            assert item.key not in answer.content.decode()
            assert item.content_sha256 not in answer.content.decode()
    if kind == "pictures":
        picture = desk.client.get(items[0]["image"])
        told = json.dumps(dict(picture.headers))
        item = audit.dataset.items.get(pk=items[0]["item"])
        assert item.key not in told
        assert item.content_sha256 not in told
    # Not by its order either: the label is not always the first of the classes to choose from.
    if kind == "pictures":
        firsts = {item["candidates"][0]["index"] for item in items}
        assert len(firsts) > 1 or {item["item"] % 3 for item in items} != firsts
    key_of = judge(sample, {1: "label_correct"})[0].idempotency_key
    assert desk.send("GET", f"/judgments/{key_of}").status_code == 404


@pytest.mark.row("A51")
def test_no_refusal_depends_on_the_hidden_label(desk):
    """What is refused of one class is refused of all: else asking around would tell the label."""
    (first, *_) = desk.claim()
    for said in (
        {"verdict": "label_correct"},
        {"verdict": "wrong_label"},
        {"verdict": "similar_class"},
        {"verdict": None, "labels": None},
        {"labels": [0, 0]},
        {"labels": [99]},
    ):
        told = {
            (answer.status_code, answer.content)
            for label in range(3)
            for answer in [desk.judge(first["ticket"], **({"labels": [label]} | said))]
        }
        ((status, _),) = told
        assert status == 422, said
    assert not Judgment.objects.exists()
    assert desk.judge(first["ticket"], labels=[0], severity=3).status_code == 200
    assert Judgment.objects.get().severity is None


def test_a_question_is_answered_blind_and_its_source_always_named():
    audit = make_ready_audit(make_questions())
    make_sample(audit, 4)
    desk = Desk(audit)
    first, second, third, _ = desk.claim()
    assert first["choices"]
    told = {
        (answer.status_code, answer.content)
        for label in range(4)
        for answer in [desk.judge(first["ticket"], labels=[label])]
    }
    assert len(told) == 1
    assert desk.judge(first["ticket"], labels=[0], has_derivation=True).status_code == 200
    assert desk.judge(second["ticket"], labels=[3], source="a book").status_code == 200
    assert desk.judge(third["ticket"], labels=None, verdict="unsure").status_code == 200
    said = {each.slot_id: each for each in Judgment.objects.all()}
    assert said[first["slot"]].verdict == "label_correct"
    wrong = said[second["slot"]]
    assert (wrong.verdict, wrong.corrected_label) == ("wrong_ground_truth", 3)
    assert (wrong.blind_labels, wrong.stage) == ([3], "blind")
    assert said[third["slot"]].verdict == "unsure"


def test_the_quick_desk_shows_the_label_and_says_so_of_the_verdict(desk):
    (first, *_) = desk.claim(mode="quick")
    assert first["given"]["index"] == 0
    answer = desk.judge(
        first["ticket"], mode="quick", labels=None, verdict="wrong_label", corrected_label=1
    )
    assert answer.status_code == 200, answer.content
    judgment = Judgment.objects.get()
    assert (judgment.stage, judgment.corrected_label) == ("revealed", 1)


def test_what_is_revealed_afterwards_is_remembered(desk):
    (first, *_) = desk.claim()
    sent = key()
    desk.judge(first["ticket"], sent)
    path = f"/judgments/{sent['Idempotency-Key']}"
    told = desk.send("POST", f"{path}/reveal").json()
    assert told["given"]["index"] == 0
    assert told["experts"][0]["confidence"] > 0.9
    body = {"verdict": "wrong_label", "labels": [1], "milliseconds": 900}
    assert desk.send("PUT", path, body, **key()).status_code == 200
    assert Judgment.objects.order_by("-pk").first().stage == "after"


def test_an_item_is_flagged_by_whoever_was_given_it(desk):
    (first, *_) = desk.claim()
    assert desk.send("POST", "/refer", {"slot": first["slot"]}).json()["is_open"] is True
    other = Desk(desk.audit)
    assert other.send("POST", "/refer", {"slot": first["slot"]}).status_code == 404
    assert other.judge(first["ticket"]).json()["code"] == "ticket"


@pytest.mark.row("B150", "B152")
@pytest.mark.parametrize(
    "said",
    [
        {"verdict": "perfectly_fine"},
        {"mode": "quick", "labels": None, "verdict": "withdrawn"},
        {"mode": "quick", "labels": None, "verdict": "wrong\0label"},
        {"note": "a\0b"},
        {"note": "\ud800"},
        {"note": "x" * 2001},
        {"milliseconds": -1},
        {"milliseconds": 10**12},
        {"labels": [-1]},
        {"labels": [2**70]},
        {"labels": list(range(40))},
        {"labels": "0"},
        {"severity": 9},
        {"annotator": 1},
        {"id": 1, "owner": 2, "is_staff": True},
    ],
)
def test_a_verdict_that_cannot_be_is_refused_and_nothing_is_assigned(desk, said):
    (first, *_) = desk.claim()
    answer = desk.judge(first["ticket"], **said)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert not Judgment.objects.exists()


def test_a_member_who_is_removed_judges_no_more(desk):
    (first, *_) = desk.claim()
    desk.user.memberships.all().delete()
    assert desk.judge(first["ticket"]).status_code == 404
    assert not Judgment.objects.exists()
    assert Sample.objects.get().slots.filter(state=ReviewSlot.State.JUDGED).count() == 0
