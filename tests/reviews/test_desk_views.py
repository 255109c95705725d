"""The desk's addresses: who may ask, what comes back, and what never does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from audit.evidence import Evidence, load_evidence, write_evidence
from audit.models import Audit, Role
from reviews.models import Judgment
from tests.factories import make_dataset, make_member, make_project, make_ready_audit, make_sample

pytestmark = pytest.mark.django_db


def make_audit(n_items: int = 12, votes_per_item: int = 1) -> Audit:
    audit = make_ready_audit(make_dataset(make_project(), n_items=12), n_flags=6)
    make_sample(audit, n_items, votes_per_item)
    return audit


def annotator_of(audit: Audit, role: Role = Role.ANNOTATOR) -> User:
    return make_member(audit.dataset.project, role)


def log_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def post(client: Client, action: str, audit: Audit, data: object, **extra):
    return client.post(
        reverse(f"reviews:{action}", args=[audit.pk]),
        data=data if isinstance(data, str) else json.dumps(data),
        content_type="application/json",
        **extra,
    )


def lease(client: Client, audit: Audit, mode: str = "quick") -> list[dict]:
    return post(client, "lease", audit, {"mode": mode}).json()["items"]


def verdict_on(item: dict, verdict: str = "unsure", **changes) -> dict:
    return {
        "key": str(uuid4()),
        "ticket": item["ticket"],
        "mode": item["mode"],
        "verdict": verdict,
        "corrected_label": None,
        "note": "",
        "milliseconds": 800,
        **changes,
    }


def test_a_quick_lease_names_the_given_label_and_what_the_experts_see():
    audit = make_audit()
    client = log_in(annotator_of(audit))
    items = lease(client, audit)
    assert len(items) == 10
    disputed, kept = items[0], items[8]
    assert disputed["given"] == {
        "index": 0,
        "name": "class 0",
        "wordnet_id": "",
        "gloss": "gloss 0",
        "synonyms": [],
        "shares_name": False,
        "exemplars": [],
    }
    assert [one["index"] for one in disputed["candidates"]] == [1]
    assert (disputed["chosen"], disputed["n_experts"], disputed["n_confirming"]) == (1, 2, 0)
    assert (kept["candidates"], kept["chosen"], kept["n_confirming"]) == ([], None, 2)
    assert disputed["image"] == reverse("audit:item_image", args=[disputed["item"]])
    assert (disputed["width"], disputed["height"]) == (28, 28)


def test_experts_that_differ_are_both_proposed_and_neither_is_chosen():
    audit = make_audit()
    evidence = load_evidence(audit.pk)
    top1 = np.array(evidence.top1)
    top1[:, 0] = [1, 2]  # given 0
    top1[:, 1] = [1, 2]  # given 1: one expert confirms it
    top1[:, 2] = [-1, 0]  # given 2: one expert has no score
    rest = (evidence.confidence, evidence.raw_confidence, evidence.given_probability)
    write_evidence(audit.pk, Evidence(top1, *(np.array(array) for array in rest)))
    items = lease(log_in(annotator_of(audit)), audit)
    seen = [([one["index"] for one in item["candidates"]], item["chosen"]) for item in items[:3]]
    assert seen == [([1, 2], None), ([2], None), ([0], None)]
    assert items[1]["n_confirming"] == 1


def test_two_classes_of_one_name_are_marked():
    audit = make_audit()
    audit.dataset.classes.filter(index__in=[0, 2]).update(name="maillot")
    item = lease(log_in(annotator_of(audit)), audit)[0]
    assert item["given"]["shares_name"]
    assert not item["candidates"][0]["shares_name"]


def test_no_answer_holds_a_confidence_or_a_verdict_of_somebody_else():
    audit = make_audit(n_items=3, votes_per_item=2)
    first, second = log_in(annotator_of(audit)), log_in(annotator_of(audit))
    taken = lease(first, audit)[0]
    post(first, "judge", audit, verdict_on(taken, "wrong_label", note="between us"))
    answers = [
        second.get(reverse("reviews:desk", args=[audit.pk])),
        post(second, "lease", audit, {"mode": "quick"}),
        post(second, "heartbeat", audit, {}),
        second.get(reverse("reviews:class_search", args=[audit.pk])),
        post(second, "judge", audit, verdict_on(taken)),
    ]
    recalled = post(second, "lease", audit, {"recall": True})
    assert recalled.json()["history"] == []
    page = answers.pop(0).content.decode()  # its buttons name every verdict
    assert "between us" not in page
    for answer in [*answers, recalled]:
        text = answer.content.decode()
        assert "between us" not in text
        assert "wrong_label" not in text
        assert "confidence" not in text
        assert "bin" not in text


def test_a_verdict_is_recorded_once_however_often_it_is_sent():
    audit = make_audit()
    client = log_in(annotator_of(audit))
    body = verdict_on(lease(client, audit)[0], "wrong_label", corrected_label=1, note="a one")
    answers = [post(client, "judge", audit, body).json() for _ in range(3)]
    assert [answer["replayed"] for answer in answers] == [False, True, True]
    judgment = Judgment.objects.get()
    assert (judgment.verdict, judgment.corrected_label, judgment.note) == (
        "wrong_label",
        1,
        "a one",
    )


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"verdict": "withdrawn"}, 422),
        ({"verdict": "nonsense"}, 422),
        ({"verdict": "wrong_label", "corrected_label": 3}, 422),
        ({"verdict": "wrong_label", "corrected_label": 0}, 422),
        ({"verdict": "label_correct", "corrected_label": 1}, 422),
        ({"milliseconds": -1}, 422),
        ({"milliseconds": None}, 422),
        ({"note": "x" * 2001}, 422),
        ({"note": "a\0b"}, 422),
        ({"key": "not a key"}, 422),
        ({"ticket": "1.1.1:forged"}, 422),
        ({"ticket": None}, 422),
        ({"revises": str(uuid4())}, 404),
        ({"revises": "no key"}, 404),
    ],
)
def test_b150_what_is_no_verdict_is_refused_and_leaves_nothing(changes, status):
    audit = make_audit()
    client = log_in(annotator_of(audit))
    item = lease(client, audit)[0]
    assert post(client, "judge", audit, verdict_on(item, **changes)).status_code == status
    assert not Judgment.objects.exists()


@pytest.mark.parametrize("body", ["", "[]", "{", '"text"', '{"verdict": "unsure"}', "[" * 10000])
def test_r05_a_body_that_is_no_json_object_with_a_key_is_a_bad_request(body):
    audit = make_audit()
    assert post(log_in(annotator_of(audit)), "judge", audit, body).status_code == 400


def test_r04_a_key_used_for_another_verdict_is_422():
    audit = make_audit()
    client = log_in(annotator_of(audit))
    one, other = lease(client, audit)[:2]
    body = verdict_on(one)
    post(client, "judge", audit, body)
    answer = post(client, "judge", audit, verdict_on(other, key=body["key"]))
    assert (answer.status_code, answer.json()["code"]) == (422, "key_reuse")


def test_r07_a_second_window_gets_409_and_its_own_verdict_that_stands():
    audit = make_audit()
    client = log_in(annotator_of(audit))
    item = lease(client, audit)[0]
    post(client, "judge", audit, verdict_on(item, "wrong_label", corrected_label=1))
    answer = post(client, "judge", audit, verdict_on(item, "label_correct"))
    assert answer.status_code == 409
    standing = answer.json()["standing"]
    assert (standing["verdict"], standing["corrected"]["name"]) == ("wrong_label", "class 1")


def test_a_ticket_counts_only_for_whom_it_was_given_to():
    audit = make_audit()
    item = lease(log_in(annotator_of(audit)), audit)[0]
    answer = post(log_in(annotator_of(audit)), "judge", audit, verdict_on(item))
    assert answer.status_code == 403
    assert not Judgment.objects.exists()


def test_undo_gives_a_new_ticket_and_revision_needs_none():
    audit = make_audit()
    client = log_in(annotator_of(audit))
    item = lease(client, audit)[0]
    first = verdict_on(item)
    post(client, "judge", audit, first)
    undone = {"key": str(uuid4()), "undoes": first["key"]}
    answer = post(client, "undo", audit, undone).json()
    assert answer["slot"] == item["slot"]
    assert post(client, "undo", audit, undone).json()["replayed"]
    second = verdict_on({**item, "ticket": answer["ticket"]}, "label_correct")
    assert post(client, "judge", audit, second).status_code == 200
    third = verdict_on(item, "sub_class", revises=second["key"])
    assert post(client, "judge", audit, third).status_code == 200
    verdicts = list(Judgment.objects.values_list("verdict", flat=True))
    assert verdicts == ["unsure", "withdrawn", "label_correct", "sub_class"]
    assert Judgment.objects.standing().get().verdict == "sub_class"


def test_nobody_undoes_another_ones_verdict():
    audit = make_audit()
    client = log_in(annotator_of(audit))
    body = verdict_on(lease(client, audit)[0])
    post(client, "judge", audit, body)
    undone = {"key": str(uuid4()), "undoes": body["key"]}
    other = log_in(annotator_of(audit, Role.ADMIN))
    assert post(other, "undo", audit, undone).status_code == 404
    assert post(client, "undo", audit, {"key": "x", "undoes": "y"}).status_code == 422


def test_leaving_hands_items_back_and_a_heartbeat_tells_what_is_held():
    audit = make_audit()
    client = log_in(annotator_of(audit))
    slots = [item["slot"] for item in lease(client, audit)]
    assert post(client, "heartbeat", audit, {}).json() == {"held": slots, "judged": 0}
    assert post(client, "hand_back", audit, {"slots": [*slots[:4], "x", -1]}).json() == {
        "opened": 4
    }
    assert post(client, "heartbeat", audit, {}).json()["held"] == slots[4:]


def test_an_empty_lease_says_how_many_items_others_hold():
    audit = make_audit(n_items=4)
    lease(log_in(annotator_of(audit)), audit)
    answer = post(log_in(annotator_of(audit)), "lease", audit, {})
    assert answer.json() == {"items": [], "tickets": {}, "elsewhere": 4}


def test_items_the_page_has_are_not_told_again_but_their_leases_are():
    audit = make_audit()
    client = log_in(annotator_of(audit))
    items = lease(client, audit)
    has = [item["slot"] for item in items[1:]]
    post(client, "judge", audit, verdict_on(items[0]))
    answer = post(client, "lease", audit, {"mode": "quick", "has": [*has, 10**9]}).json()
    (new,) = answer["items"]
    assert new["slot"] not in {item["slot"] for item in items}
    assert answer["tickets"] == {
        **{str(item["slot"]): item["ticket"] for item in items[1:]},
        str(new["slot"]): new["ticket"],
    }
    all_again = post(client, "lease", audit, {"mode": "quick"}).json()
    assert [item["slot"] for item in all_again["items"]] == [*has, new["slot"]]


def test_the_first_lease_of_a_page_recalls_ones_own_last_verdicts():
    audit = make_audit()
    user = annotator_of(audit)
    client = log_in(user)
    items = lease(client, audit)
    bodies = [verdict_on(item, "wrong_label", corrected_label=None) for item in items[:2]]
    for body in bodies:
        post(client, "judge", audit, body)
    config = client.get(reverse("reviews:desk", args=[audit.pk])).context["config"]
    assert config["total"] == 12
    answer = post(client, "lease", audit, {"recall": True}).json()
    assert [past["key"] for past in answer["history"]] == [body["key"] for body in bodies]
    assert answer["judged"] == 2
    assert "history" not in post(client, "lease", audit, {}).json()


@pytest.mark.parametrize("has_sample", [True, False])
def test_the_desk_says_what_to_do_when_there_is_nothing_to_judge(has_sample):
    audit = make_ready_audit()
    if has_sample:
        make_sample(audit, 4)
        audit.dataset.root = ""
        audit.dataset.save()
    for role, offers in [(Role.ANNOTATOR, False), (Role.MAINTAINER, not has_sample)]:
        page = log_in(annotator_of(audit, role)).get(reverse("reviews:desk", args=[audit.pk]))
        text = page.content.decode()
        assert ("The pictures are not here" in text) == has_sample
        assert ("Draw the sample" in text) == offers


ACTIONS = [
    *("lease", "judge", "undo", "reveal", "refer", "preferences", "heartbeat", "hand_back"),
]


@pytest.mark.parametrize("action", ["desk", "class_search", "guide", *ACTIONS])
def test_the_project_of_others_does_not_exist_and_strangers_log_in(action):
    audit = make_audit()
    address = reverse(f"reviews:{action}", args=[audit.pk])
    method = "post" if action in ACTIONS else "get"
    outsider = log_in(make_member(make_project(), Role.ADMIN))
    assert getattr(outsider, method)(address).status_code == 404
    assert getattr(Client(), method)(address).headers["Location"].startswith("/login/?next=")
    wrong = "get" if method == "post" else "post"
    assert getattr(log_in(annotator_of(audit)), wrong)(address).status_code == 405


@pytest.mark.parametrize("action", ACTIONS)
def test_a_request_without_the_token_of_the_page_is_refused(action):
    audit = make_audit()
    client = Client(enforce_csrf_checks=True)
    client.force_login(annotator_of(audit))
    assert post(client, action, audit, {}).status_code == 403


def test_a_lease_costs_a_fixed_number_of_queries(django_assert_max_num_queries):
    audit = make_audit()
    client = log_in(annotator_of(audit))
    with django_assert_max_num_queries(15):
        lease(client, audit)


def test_a_verdict_costs_a_fixed_number_of_queries(django_assert_max_num_queries):
    audit = make_audit()
    client = log_in(annotator_of(audit))
    item = lease(client, audit)[0]
    with django_assert_max_num_queries(10):
        post(client, "judge", audit, verdict_on(item))


@contextmanager
def counted_steps() -> Iterator[list[int]]:
    """Count what SQLite does meanwhile, in hundreds of steps of its machine, whatever the time."""
    steps = [0]

    def count() -> int:
        steps[0] += 1
        return 0

    connection.ensure_connection()
    connection.connection.set_progress_handler(count, 100)
    try:
        yield steps
    finally:
        connection.connection.set_progress_handler(None, 0)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="only SQLite counts its steps")
def test_leases_verdicts_and_a_return_cost_the_same_in_a_long_queue():
    def work(n_items: int) -> int:
        audit = make_ready_audit(make_dataset(make_project(), n_items=n_items), n_flags=6)
        make_sample(audit, n_items)
        client = log_in(annotator_of(audit))
        with counted_steps() as steps:
            first = post(client, "lease", audit, {"mode": "full", "recall": True}).json()["items"]
            for item in first[:3]:
                post(client, "judge", audit, verdict_on(item, mode="quick"))
            post(client, "lease", audit, {"mode": "full", "recall": True, "has": []})
            post(client, "heartbeat", audit, {})
        return steps[0]

    short, long = work(40), work(800)
    # Only how many verdicts there are is counted from end to end, by an index.
    assert long < 1.3 * short
