"""Before their verdict nothing tells annotators what the models or other people said (A51).

Every byte that the desk sends a blind annotator is searched: pages, JSON, pictures, headers. One
thing goes along on purpose, and only there: `categories` of a picture, and `key_label` of a
question, say what a ticked class would make of the given label. The page proposes the category at
the tick, also without a network; so the label is hidden from sight, not from whoever reads the
traffic. What the models and other people said is in no answer at all.
"""

from __future__ import annotations

import json
import re
from uuid import uuid4

import numpy as np
import pytest
from django.test import Client

from audit.evidence import load_evidence, write_evidence
from audit.models import AuditExpert, DatasetClass, Flag, Role
from reviews.models import KnownItem, Mode, QuestionVerdict, Verdict
from reviews.services.judgments import Answer, record_judgment
from reviews.services.leases import claim_slots
from reviews.services.referrals import refer_item
from tests.factories import make_dataset, make_member, make_questions, make_ready_audit, make_sample

pytestmark = pytest.mark.django_db
CONFIDENCE = 0.8371926
SECRETS = [
    *("Hidden-Expert", "hidden-other", "HIDDEN NOTE", "hidden-name", "hidden-why", "83719"),
    *("calibrated_ensemble", "confident_learning", "Calibrated ensemble", "bin_rank", "flagged"),
]


def make_scene(kind: str):
    """Two of three items judged by somebody else, with everything there that must stay hidden."""
    dataset = make_dataset(n_items=12) if kind == "pictures" else make_questions()
    audit = make_ready_audit(dataset, n_flags=6)
    for number, row in enumerate(AuditExpert.objects.filter(audit=audit)):
        row.score_set.expert = f"stub:Hidden-Expert-{number}"
        row.score_set.save()
    evidence = load_evidence(audit.pk)
    odd = np.full_like(evidence.confidence, CONFIDENCE)
    write_evidence(
        audit.pk,
        type(evidence)(
            top1=np.array(evidence.top1), confidence=odd, raw_confidence=odd, given_probability=odd
        ),
    )
    Flag.objects.filter(audit=audit).update(score=CONFIDENCE)
    for item in dataset.items.all():
        item.key = f"hidden-name-{item.position}"
        item.save()
    sample = make_sample(audit, 9, votes_per_item=2)
    other = make_member(dataset.project, name="hidden-other")
    wrong = Verdict.WRONG_LABEL if kind == "pictures" else QuestionVerdict.WRONG_GROUND_TRUTH
    for slot in claim_slots(sample, other)[:6]:
        answer = Answer(
            wrong, 1, note="HIDDEN NOTE", labels=(1,), mode=Mode.FULL,
            source="HIDDEN NOTE" if kind == "questions" else "",
        )  # fmt: skip
        record_judgment(other, slot.pk, slot.epoch, uuid4(), answer)
        refer_item(other, slot.sampled_item, is_open=True, note="HIDDEN NOTE")
    admin = make_member(dataset.project, Role.ADMIN, "hidden-other-2")
    KnownItem.objects.create(
        audit=audit, item=dataset.items.get(position=11), use="gold", verdict=wrong,
        why="hidden-why", origin=KnownItem.Origin.BY_HAND, marked_by=admin,
    )  # fmt: skip
    return audit


def everything(answer) -> str:
    """All that reaches the browser, headers included; a picture's pixels as they are."""
    head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
    return f"{head}\n{answer.cookies}\n{answer.content.decode('latin-1')}"


@pytest.mark.row("A51")
@pytest.mark.parametrize("kind", ["pictures", "questions"])
def test_no_answer_of_the_desk_says_what_models_or_people_said(kind):
    audit = make_scene(kind)
    dataset, client = audit.dataset, Client()
    client.force_login(make_member(dataset.project, name="blind"))
    base = f"/audits/{audit.pk}/review"

    def post(path: str, said: dict):
        return client.post(f"{base}/{path}/", said, "application/json")

    leased = post("lease", {"mode": "full", "recall": True})
    items = leased.json()["items"]
    assert len(items) >= 9
    read = (f"{base}/", f"{base}/guide/", f"{base}/classes/", "/", "/progress/")
    answers = [leased, post("heartbeat", {}), *(client.get(address) for address in read)]
    first, second = items[0], items[1]
    given = {"slot": first["slot"], "ticket": first["ticket"]}
    said = {"milliseconds": 4000, "mode": "full", "labels": [0], "ui_version": ""}
    for item in (first, second):
        correct = Verdict.LABEL_CORRECT
        label = item["key_label"] if kind == "questions" else given_label(item)
        key = str(uuid4())
        body = {**said, "labels": [label], "verdict": correct, "key": key, "ticket": item["ticket"]}
        if kind == "questions":
            body |= {"blind_labels": [label]}
        answer = post("judgments", body)
        assert answer.status_code == 200, answer.content
        answers += [answer, post("undo", {"key": str(uuid4()), "undoes": key, "ui_version": ""})]
    answers += [
        post("refer", {**given, "is_open": True, "note": ""}),
        post("preferences", {"mode": "full"}),
        post("judgments", {**said, **given, "verdict": "nonsense", "key": str(uuid4())}),
        post("judgments", {**said, "key": str(uuid4()), "ticket": "forged"}),
        post("lease", {"mode": "full", "has": [item["slot"] for item in items], "recall": True}),
        post("hand-back", {"slots": [items[-1]["slot"]]}),
        post("reveal", {"key": str(uuid4())}),
        client.get(f"/audits/{audit.pk}/queue/"),
        client.get(f"/audits/{audit.pk}/adjudication/{first['item']}/"),
        client.get(f"/audits/{audit.pk}/queue/{first['item']}/told/"),
    ]  # fmt: skip
    if kind == "pictures":
        answers += [
            client.get(f"/items/{item['item']}/{way}/")
            for item in items
            for way in ("image", "thumb")
        ]
    for answer in answers:
        text = everything(answer)
        for secret in SECRETS:
            assert secret not in text, f"{answer.request['PATH_INFO']}: {secret}"
        assert "ETag" not in answer.headers, answer.request["PATH_INFO"]
        assert "Last-Modified" not in answer.headers


def given_label(item: dict) -> int:
    return next(int(label) for label, name in item["categories"].items() if name == "label_correct")


@pytest.mark.row("A51")
@pytest.mark.parametrize("kind", ["pictures", "questions"])
def test_what_is_sent_of_flagged_and_clean_items_has_one_shape(kind):
    audit = make_scene(kind)
    client = Client()
    client.force_login(make_member(audit.dataset.project, name="blind"))
    said = {"mode": "full"}
    items = client.post(f"/audits/{audit.pk}/review/lease/", said, "application/json").json()[
        "items"
    ]
    flagged = set(Flag.objects.filter(audit=audit).values_list("item", flat=True))
    kinds = {item["item"] in flagged for item in items}
    assert kinds == {True, False}
    shapes = {tuple(sorted(item)) for item in items}
    assert len(shapes) == 1
    hidden = {"told": None, "chosen": None, "n_experts": 0, "experts": [], "is_training": False}
    for item in items:
        assert {name: value for name, value in hidden.items() if name in item} == {
            name: item[name] for name in hidden if name in item
        }
    if kind == "pictures":
        heads = set()
        for item in items:
            answer = client.get(item["image"])
            head = sorted(
                (name, re.sub(r"\d+", "N", value)) for name, value in answer.headers.items()
                if name not in {"Content-Length", "X-Request-ID"}
            )  # fmt: skip
            heads.add(json.dumps(head))
        assert len(heads) == 1


@pytest.mark.row("A51")
def test_the_label_of_a_picture_stands_in_its_categories_and_nowhere_else():
    audit = make_scene("pictures")
    for each in DatasetClass.objects.filter(dataset=audit.dataset):
        each.name, each.gloss = f"kind {each.index}", ""
        each.save()
    client = Client()
    client.force_login(make_member(audit.dataset.project, name="blind"))
    items = client.post(
        f"/audits/{audit.pk}/review/lease/", {"mode": "full"}, "application/json"
    ).json()["items"]
    first_places = set()
    for item in items:
        label = given_label(item)
        del item["categories"]
        rows = [row for row in item["candidates"] if row["index"] == label]
        assert len(rows) == 1
        others = [row for row in item["candidates"] if row["index"] != label]
        assert all(set(row) == set(rows[0]) for row in others)
        if others:
            first_places.add(item["candidates"][0]["index"] == label)
        rest = {name: value for name, value in item.items() if name not in {"candidates", "ticket"}}
        assert not {"label", "given", "given_label", "key", "filename", "position"} & set(rest)
    assert first_places == {True, False}  # its place among the candidates says nothing
