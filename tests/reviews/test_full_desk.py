"""The full desk's addresses: classes to tick, what is hidden, what is revealed and when."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.test import Client
from django.urls import reverse

from audit.models import Audit, Role
from reviews.categories import propose_verdict
from reviews.models import (
    DeskPreference,
    Judgment,
    Referral,
    Reveal,
    Sample,
    SampledClass,
    SampledItem,
)
from reviews.randomisation import sees_label_first, shuffle_classes
from tests.factories import make_member
from tests.reviews.test_desk_views import (
    annotator_of,
    lease,
    log_in,
    make_audit,
    post,
    verdict_on,
)

pytestmark = pytest.mark.django_db


def make_full_audit(n_items: int = 12, votes_per_item: int = 1, share: float = 0.0) -> Audit:
    """Six disputed items of three classes, each with all three as candidates; 0 and 2 alike."""
    audit = make_audit(n_items, votes_per_item)
    Sample.objects.update(revealed_share=share)
    audit.sample.refresh_from_db()
    for row in SampledItem.objects.select_related("item"):
        row.candidates = [row.item.given_label, *({0, 1, 2} - {row.item.given_label})]
        row.save()
    items = list(audit.dataset.items.values_list("pk", flat=True))
    SampledClass.objects.bulk_create(
        [
            SampledClass(sample=audit.sample, index=0, near={2: "similar_class"}),
            SampledClass(sample=audit.sample, index=1, exemplars=items[-3:]),
            SampledClass(sample=audit.sample, index=2, near={0: "similar_class"}),
        ]
    )
    return audit


def ticks_on(item: dict, verdict: str, labels: list[int] | None, **changes) -> dict:
    return {**verdict_on(item, verdict), "labels": labels, **changes}


def test_a_full_lease_hides_the_label_among_its_candidates():
    audit = make_full_audit()
    items = lease(log_in(annotator_of(audit)), audit, "full")
    for item in items:
        assert "given" not in item
        assert item["told"] is None
        assert sorted(one["index"] for one in item["candidates"]) == [0, 1, 2]
    first = items[0]  # labelled 0
    assert first["categories"] == {"0": "label_correct", "2": "similar_class"}
    card = next(one for one in first["candidates"] if one["index"] == 1)
    assert (card["name"], card["gloss"], len(card["exemplars"])) == ("class 1", "gloss 1", 3)
    places = {[one["index"] for one in item["candidates"]].index(0) for item in items[::3]}
    assert len(places) > 1  # the label is not always in one place


def test_the_order_of_candidates_depends_on_item_and_annotator_and_never_changes():
    audit = make_full_audit(votes_per_item=2)
    first, second = annotator_of(audit), annotator_of(audit)

    def orders(user: User) -> dict[int, list[int]]:
        items = lease(log_in(user), audit, "full")
        return {item["item"]: [one["index"] for one in item["candidates"]] for item in items}

    mine = orders(first)
    assert mine != orders(second)
    assert mine == orders(first)
    for item, order in mine.items():
        assert order == shuffle_classes([0, 1, 2], audit.sample.seed, item, first.pk)


def test_nothing_in_a_full_lease_says_what_the_experts_said():
    audit = make_full_audit()
    client = log_in(annotator_of(audit))
    text = post(client, "lease", audit, {"mode": "full", "recall": True}).content.decode()
    for word in ["confidence", "experts", "stub:", "bin", "rank", "chosen"]:
        assert word not in text


@pytest.mark.parametrize(
    ("verdict", "labels", "corrected"),
    [
        ("label_correct", [0], None),
        ("multi_object", [0, 1], 1),
        ("similar_class", [2, 1], 2),
        ("wrong_label", [1], 1),
        ("wrong_label", [], None),
        ("unsure", None, None),
        ("unsure", [1], None),
        ("sub_class", [1], 1),  # one key overrides what the ticks propose
    ],
)
def test_the_same_ticks_give_verdict_and_corrected_label(verdict, labels, corrected):
    audit = make_full_audit()
    client = log_in(annotator_of(audit))
    item = lease(client, audit, "full")[0]
    assert post(client, "judge", audit, ticks_on(item, verdict, labels)).status_code == 200
    judgment = Judgment.objects.get()
    assert (judgment.verdict, judgment.labels) == (verdict, labels)
    assert judgment.corrected_label == corrected
    assert (judgment.mode, judgment.stage) == ("full", "blind")


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": "label_correct", "labels": [1]},
        {"verdict": "wrong_label", "labels": [0]},
        {"verdict": "multi_object", "labels": [1, 2]},
        {"verdict": "multi_object", "labels": [0]},
        {"verdict": "wrong_label", "labels": None},
        {"verdict": "wrong_label", "labels": [1, 1]},
        {"verdict": "wrong_label", "labels": [3]},
        {"verdict": "wrong_label", "labels": [-1]},
        {"verdict": "wrong_label", "labels": ["1"]},
        {"verdict": "wrong_label", "labels": {"1": 1}},
        {"verdict": "wrong_label", "labels": [True]},
        {"verdict": "wrong_label", "labels": list(range(31))},
        {"verdict": "wrong_label", "labels": [1], "severity": 4},
        {"verdict": "label_correct", "labels": [0], "severity": 1},
        {"verdict": "wrong_label", "labels": [1], "mode": "other"},
        {"verdict": "wrong_label", "labels": [1], "mode": None},
    ],
)
def test_ticks_that_contradict_the_verdict_or_make_no_sense_are_refused(changes):
    audit = make_full_audit()
    client = log_in(annotator_of(audit))
    item = lease(client, audit, "full")[0]
    assert post(client, "judge", audit, {**verdict_on(item), **changes}).status_code == 422
    assert not Judgment.objects.exists()


def test_severity_and_note_are_kept_and_come_back_with_the_ticks():
    audit = make_full_audit()
    client = log_in(annotator_of(audit))
    item = lease(client, audit, "full")[0]
    post(client, "judge", audit, ticks_on(item, "wrong_label", [1, 2], severity=3, note="odd"))
    past = post(client, "lease", audit, {"mode": "full", "recall": True}).json()["history"][0]
    assert (past["severity"], past["note"], past["is_revealed"]) == (3, "odd", False)
    assert [card["index"] for card in past["ticked"]] == [1, 2]
    assert past["corrected"]["index"] == 1


def test_label_and_experts_are_told_only_after_a_verdict_and_that_is_remembered():
    audit = make_full_audit()
    user = annotator_of(audit)
    client = log_in(user)
    item, other = lease(client, audit, "full")[:2]
    body = ticks_on(item, "wrong_label", [1])
    assert post(client, "reveal", audit, {"key": body["key"]}).status_code == 404
    post(client, "judge", audit, body)
    told = post(client, "reveal", audit, {"key": body["key"]}).json()["told"]
    assert told["given"]["name"] == "class 0"
    assert [word["top1"]["index"] for word in told["experts"]] == [1, 1]
    assert told["experts"][0]["confidence"] == pytest.approx(0.99)
    assert (told["bin"], told["n_bins"]) == (1, 3)
    assert {flag["method"] for flag in told["flags"]} >= {"two experts, top-k bins"}
    assert post(client, "reveal", audit, {"key": body["key"]}).status_code == 200
    assert Reveal.objects.get().annotator == user
    outsider = log_in(annotator_of(audit, Role.ADMIN))
    assert post(outsider, "reveal", audit, {"key": body["key"]}).status_code == 404
    assert post(client, "reveal", audit, {"key": "nonsense"}).status_code == 404
    assert post(client, "judge", audit, ticks_on(other, "label_correct", [1])).status_code == 200
    assert Judgment.objects.last().stage == "blind"  # another item's reveal tells nothing here


def test_a_change_of_mind_after_the_reveal_is_a_second_version_and_the_first_one_counts():
    audit = make_full_audit()
    client = log_in(annotator_of(audit))
    item = lease(client, audit, "full")[0]
    first = ticks_on(item, "wrong_label", [1])
    post(client, "judge", audit, first)
    before = ticks_on(item, "similar_class", [2], revises=first["key"])
    assert post(client, "judge", audit, before).status_code == 200  # a slip, put right unseen
    post(client, "reveal", audit, {"key": before["key"]})
    after = ticks_on(item, "label_correct", [0], revises=before["key"])
    assert post(client, "judge", audit, after).status_code == 200
    stages = list(Judgment.objects.values_list("verdict", "stage"))
    assert stages == [
        ("wrong_label", "blind"), ("similar_class", "blind"), ("label_correct", "after"),
    ]  # fmt: skip
    assert Judgment.objects.counted().get().verdict == "similar_class"
    assert Judgment.objects.standing().get().verdict == "label_correct"


def test_undone_before_the_reveal_the_new_verdict_counts_and_after_it_the_old_one():
    audit = make_full_audit()
    client = log_in(annotator_of(audit))
    item, other = lease(client, audit, "full")[:2]
    for seen, reveals in ((item, False), (other, True)):
        body = ticks_on(seen, "wrong_label", [])
        post(client, "judge", audit, body)
        if reveals:
            post(client, "reveal", audit, {"key": body["key"]})
        undone = post(client, "undo", audit, {"key": str(uuid4()), "undoes": body["key"]}).json()
        again = ticks_on({**seen, "ticket": undone["ticket"]}, "unsure", None)
        assert post(client, "judge", audit, again).status_code == 200
    counted = Judgment.objects.counted().order_by("slot__order")
    assert list(counted.values_list("verdict", flat=True)) == ["unsure", "wrong_label"]


def test_a_slot_given_up_after_the_reveal_counts_for_whoever_judges_it_then():
    audit = make_full_audit(n_items=1)
    first, second = log_in(annotator_of(audit)), log_in(annotator_of(audit))
    item = lease(first, audit, "full")[0]
    body = ticks_on(item, "wrong_label", [1])
    post(first, "judge", audit, body)
    post(first, "reveal", audit, {"key": body["key"]})
    post(first, "undo", audit, {"key": str(uuid4()), "undoes": body["key"]})
    post(first, "hand_back", audit, {"slots": [item["slot"]]})
    assert not Judgment.objects.counted().exists()
    taken = lease(second, audit, "full")[0]
    post(second, "judge", audit, ticks_on(taken, "label_correct", [0]))
    assert Judgment.objects.counted().get().verdict == "label_correct"


def test_the_revealed_arm_is_drawn_per_item_and_annotator_and_recorded():
    audit = make_full_audit(n_items=10, votes_per_item=9, share=0.4)
    told: dict[tuple[int, int], bool] = {}
    for user in [annotator_of(audit) for _ in range(6)]:
        client = log_in(user)
        for item in lease(client, audit, "full"):
            told[item["item"], user.pk] = item["told"] is not None
            assert post(client, "judge", audit, ticks_on(item, "unsure", None)).status_code == 200
    assert 10 < sum(told.values()) < 40
    for (item, annotator), is_told in told.items():
        assert is_told == sees_label_first(audit.sample.seed, 0.4, item, annotator)
    stages = Judgment.objects.values_list("slot__sampled_item__item", "annotator", "stage")
    assert {(item, who): stage == "revealed" for item, who, stage in stages} == told
    assert set(Judgment.objects.counted().values_list("stage", flat=True)) == {"blind"}


def test_share_of_the_arm_is_the_share_of_pairs():
    shown = sum(sees_label_first(7, 0.25, item, who) for item in range(200) for who in range(20))
    assert shown / 4000 == pytest.approx(0.25, abs=0.025)
    assert not sees_label_first(7, 0.0, 1, 1)
    assert sees_label_first(7, 1.0, 1, 1)


def test_a_verdict_of_the_quick_desk_is_marked_as_not_blind_and_counts():
    audit = make_full_audit()
    client = log_in(annotator_of(audit))
    item = lease(client, audit, "quick")[0]
    post(client, "judge", audit, verdict_on(item, "wrong_label", corrected_label=1))
    judgment = Judgment.objects.get()
    assert (judgment.mode, judgment.stage, judgment.labels) == ("quick", "revealed", None)
    assert Judgment.objects.counted().count() == 1


def test_ticks_on_an_item_once_seen_at_the_quick_desk_are_not_called_blind():
    audit = make_full_audit()
    client = log_in(annotator_of(audit))
    item = lease(client, audit, "full")[0]
    post(client, "judge", audit, ticks_on(item, "similar_class", [2], mode="quick"))
    judgment = Judgment.objects.get()
    assert (judgment.labels, judgment.corrected_label, judgment.stage) == ([2], 2, "revealed")


def test_what_the_page_proposes_is_what_the_rule_says():
    audit = make_full_audit()
    items = lease(log_in(annotator_of(audit)), audit, "full")
    for item in items:
        near = {int(label): name for label, name in item["categories"].items()}
        given = next(label for label, name in near.items() if name == "label_correct")
        for label in range(3):
            expected = propose_verdict(given, [label], near if label != given else {})
            assert near.get(label, "wrong_label") == expected


def test_an_item_is_flagged_for_adjudication_and_the_flag_taken_back():
    audit = make_full_audit()
    user = annotator_of(audit)
    client = log_in(user)
    item = lease(client, audit, "full")[0]
    flag = {"slot": item["slot"], "is_open": True, "note": "look at this"}
    assert post(client, "refer", audit, flag).json() == {"slot": item["slot"], "is_open": True}
    assert post(client, "refer", audit, flag).status_code == 200
    referral = Referral.objects.standing().get()
    assert (referral.annotator, referral.note) == (user, "look at this")
    assert lease(client, audit, "full")[0]["is_referred"]
    # It excludes nothing: the item is still this annotator's to judge.
    assert post(client, "judge", audit, ticks_on(item, "label_correct", [0])).status_code == 200
    post(client, "refer", audit, {**flag, "is_open": False})
    assert not Referral.objects.standing().exists()


def test_only_whoever_was_given_an_item_flags_it():
    audit = make_full_audit(n_items=2)
    first, second = log_in(annotator_of(audit)), log_in(annotator_of(audit))
    item = lease(first, audit, "full")[0]
    flag = {"slot": item["slot"], "is_open": True}
    assert post(second, "refer", audit, flag).status_code == 404
    stolen = {**flag, "ticket": item["ticket"]}
    assert post(second, "refer", audit, stolen).status_code == 404
    post(first, "hand_back", audit, {"slots": [item["slot"]]})
    lease(second, audit, "full")
    assert post(first, "refer", audit, flag).status_code == 404
    late = {**flag, "ticket": item["ticket"]}
    assert post(first, "refer", audit, late).status_code == 200  # its ticket proves it
    assert post(first, "refer", audit, {"slot": "x"}).status_code == 422


def test_how_somebody_likes_the_desk_is_kept_and_only_what_is_named_changes():
    audit = make_full_audit()
    user = annotator_of(audit)
    client = log_in(user)
    answer = post(client, "preferences", audit, {"mode": "quick"}).json()
    assert (answer["mode"], answer["stops_at_reveal"]) == ("quick", False)
    answer = post(client, "preferences", audit, {"keys": {"undo": "backspace"}}).json()
    assert (answer["mode"], answer["keys"]["undo"]) == ("quick", "backspace")
    post(client, "preferences", audit, {"stops_at_reveal": True})
    kept = DeskPreference.objects.get(user=user)
    assert (kept.mode, kept.stops_at_reveal, kept.keys) == ("quick", True, {"undo": "backspace"})
    other = log_in(annotator_of(audit))
    assert post(other, "preferences", audit, {}).json()["keys"]["undo"] == "z"


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"undo": "q"}, "would mean both"),
        ({"undo": "1"}, "no key that can be used"),
        ({"undo": "Q"}, "no key that can be used"),
        ({"undo": "escape"}, "no key that can be used"),
        ({"undo": ""}, "no key that can be used"),
        ({"undo": ["x"]}, "no key that can be used"),
        ({"format disk": "x"}, "nothing on the desk is called"),
        (["undo"], "no list of acts and keys"),
    ],
)
def test_keys_that_clash_or_cannot_be_pressed_are_refused_with_the_reason(keys, reason):
    audit = make_full_audit()
    answer = post(log_in(annotator_of(audit)), "preferences", audit, {"keys": keys})
    assert answer.status_code == 422
    assert reason in answer.json()["error"]
    assert not DeskPreference.objects.exists()


def test_two_keys_may_change_places():
    audit = make_full_audit()
    client = log_in(annotator_of(audit))
    answer = post(client, "preferences", audit, {"keys": {"undo": "x", "exemplars": "z"}})
    assert answer.json()["keys"]["undo"] == "x"
    again = post(client, "preferences", audit, {"keys": {}})
    assert again.json()["keys"]["undo"] == "z"


def test_a_full_lease_costs_a_fixed_number_of_queries(django_assert_max_num_queries):
    audit = make_full_audit()
    client = log_in(annotator_of(audit))
    with django_assert_max_num_queries(14):
        lease(client, audit, "full")
    # The classes of what it holds have been read.
    with django_assert_max_num_queries(11):
        lease(client, audit, "full")


def test_the_guide_explains_categories_by_pictures_of_the_data_set_where_it_has_them():
    audit = make_full_audit()
    client = log_in(annotator_of(audit))
    address = reverse("reviews:guide", args=[audit.pk])
    text = client.get(address).content.decode()
    clean = audit.sample.classes.get(index=1).exemplars[0]
    assert text.count(reverse("audit:item_thumb", args=[clean])) == 1  # a correct label, no more
    assert "digital watch" in text  # in words, where there are no pictures for it
    audit.sample.classes.filter(index__in=[0, 2]).update(exemplars=[clean + 1])
    text = " ".join(client.get(address).content.decode().split())
    assert "label <b><bdi>class 0</bdi></b>, true <b><bdi>class 2</bdi></b>" in text  # similar
    assert "<bdi>class 0</bdi> + <bdi>class 1</bdi>" in text
    assert "digital watch" not in text
    assert "black and gold garden spider" in text


def test_the_epoch_guards_a_verdict_with_ticks_as_any_other():
    audit = make_full_audit()
    user: User = annotator_of(audit)
    client: Client = log_in(user)
    item = lease(client, audit, "full")[0]
    somebody_else = make_member(audit.dataset.project)
    taken = audit.sample.slots.filter(pk=item["slot"])
    taken.update(epoch=F("epoch") + 1, annotator=somebody_else)
    answer = post(client, "judge", audit, ticks_on(item, "label_correct", [0]))
    assert answer.status_code == 409
    assert not Judgment.objects.exists()
