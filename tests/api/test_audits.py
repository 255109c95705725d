"""Data sets, audits, queues and samples by the API: the documents that the commands print."""

from __future__ import annotations

import json

import pytest
from django.core.management import call_command

from audit.models import Audit, LogEntry, Role, ScoreSet
from audit.services.scores import models_folder
from audit.services.summary import describe_audit
from reviews.models import Sample
from scoring.experts.base import ExpertRefused
from scoring.experts.registry import parse_expert
from tests.api.callers import caller, send
from tests.factories import make_dataset, make_member, make_ready_audit, make_sample
from tests.reviews.situations import judge, make_mixed_audit

pytestmark = pytest.mark.django_db


@pytest.fixture
def audit():
    return make_ready_audit()


@pytest.fixture
def calls(audit):
    return caller(make_member(audit.dataset.project, Role.MAINTAINER))


def printed(capsys, *arguments):
    call_command(*(str(each) for each in arguments), "--json")
    return json.loads(capsys.readouterr().out)


def test_a_data_set_is_read_item_by_item(audit, calls):
    dataset = audit.dataset
    item = dataset.items.get(position=3)
    dataset.items.filter(pk=item.pk).update(
        quarantine_code="truncated", quarantine_detail="ends early"
    )
    (listed,) = send(calls, "GET", "/datasets").json()["items"]
    assert listed == send(calls, "GET", f"/datasets/{dataset.pk}").json()
    assert (listed["items"], listed["classes"], listed["slug"]) == (12, 3, dataset.slug)
    part = send(calls, "GET", f"/datasets/{dataset.pk}/items?limit=5").json()
    assert [each["position"] for each in part["items"]] == [0, 1, 2, 3, 4]
    assert part["items"][3]["quarantine"] == {"code": "truncated", "detail": "ends early"}
    rest = send(calls, "GET", f"/datasets/{dataset.pk}/items?cursor={part['next']}").json()
    assert (len(rest["items"]), rest["next"]) == (7, None)
    for said, n_items in (("true", 1), ("false", 11)):
        found = send(calls, "GET", f"/datasets/{dataset.pk}/items?quarantined={said}").json()
        assert len(found["items"]) == n_items
    classes = send(calls, "GET", f"/datasets/{dataset.pk}/classes").json()["items"]
    assert [each["name"] for each in classes] == ["class 0", "class 1", "class 2"]


def test_lists_ask_the_database_as_often_however_long_they_are(
    audit, calls, django_assert_num_queries
):
    send(calls, "GET", "/me")
    for path in ("/datasets/{}/items?limit=1", "/datasets/{}/items", "/audits/{}/queue"):
        pk = audit.dataset_id if "datasets" in path else audit.pk
        with django_assert_num_queries(3):  # the token, what it is about, the rows
            send(calls, "GET", path.format(pk))


def test_an_audit_is_started_stopped_and_taken_up_again(calls, audit):
    dataset = audit.dataset
    body = {"experts": ["stub:3-0", "stub:3-9"], "bins": 5, "seed": 3, "urgent": True}
    answer = send(calls, "POST", f"/datasets/{dataset.pk}/audits", body)
    assert answer.status_code == 201, answer.content
    document = answer.json()
    started = Audit.objects.get(pk=document["audit"])
    assert (started.n_bins, started.seed, started.is_urgent) == (5, 3, True)
    assert (document["state"], document["progress"][1]["done"]) == ("scoring", 0)
    assert started.created_by.username.startswith("maintainer")
    path = f"/audits/{started.pk}"
    assert send(calls, "POST", f"{path}/cancel").json() == {"changed": True, "state": "cancelled"}
    assert send(calls, "POST", f"{path}/cancel").json()["changed"] is False
    assert send(calls, "POST", f"{path}/resume").json() == {"changed": True, "state": "scoring"}
    assert send(calls, "POST", f"{path}/urgent", {"urgent": False}).json()["changed"] is True
    # Without a person's name it would be a command that somebody gave on the server.
    assert LogEntry.objects.count() > 3
    assert not LogEntry.objects.filter(person="").exists()
    for experts, status in ((["stub:3-0"], 409), (["no such:x", "stub:3-0"], 409), ([], 409)):
        body = {"experts": experts}
        answer = send(calls, "POST", f"/datasets/{dataset.pk}/audits", body)
        assert (answer.status_code, answer.json()["code"]) == (status, "refused")
    for wrong in ({"bins": 0}, {"bins_over": "none"}, {"calibrator": "magic"}, {"seed": 2**40}):
        body = {"experts": ["stub:3-0", "stub:3-9"]} | wrong
        assert send(calls, "POST", f"/datasets/{dataset.pk}/audits", body).status_code == 422
    assert Audit.objects.count() == 2


def test_scores_are_ordered_once(calls, audit):
    path = f"/datasets/{audit.dataset_id}/scores"
    first = send(calls, "POST", path, {"expert": "stub:3-4"})
    assert first.status_code == 201
    again = send(calls, "POST", path, {"expert": "stub:3-4"})
    assert again.json()["id"] == first.json()["id"]
    assert first.json()["state"] == "scoring"
    assert len(send(calls, "GET", path).json()["items"]) == 3
    assert send(calls, "GET", f"/scores/{first.json()['id']}").json()["total"] == 12
    assert send(calls, "POST", path, {"expert": "magic"}).status_code == 409
    assert ScoreSet.objects.count() == 3


def test_an_audit_is_told_as_the_command_tells_it(calls):
    audit = Audit.objects.get()
    document = send(calls, "GET", f"/audits/{audit.pk}").json()
    told = json.loads(json.dumps(describe_audit(audit)))
    assert {name: document[name] for name in told} == told


def test_the_queue_is_narrowed_as_on_its_page():
    audit = make_mixed_audit()
    sample = make_sample(audit, 12)
    judge(sample, {0: "label_correct", 1: ("wrong_label", 1)})
    calls = caller(make_member(audit.dataset.project, Role.MAINTAINER))

    def ranks(query=""):
        answer = send(calls, "GET", f"/audits/{audit.pk}/queue?{query}")
        assert answer.status_code == 200, answer.content
        return [each["rank"] for each in answer.json()["items"]]

    assert ranks() == list(range(1, 41))
    assert ranks("k=2") == list(range(1, 21))
    assert ranks("bin=2") == list(range(11, 21))
    assert ranks("method=confident_learning&n=3") == [1, 2, 3]
    assert ranks("label=0&limit=2") == [1, 4]
    assert ranks("proposed=1&limit=2") == [1, 4]
    assert ranks("agree=no") == []
    assert ranks("verdict=judged") == [1, 2]
    assert ranks("verdict=wrong_label") == [2]
    assert ranks("cursor=38") == [39, 40]
    for query in ("method=magic", "verdict=magic", "n=3", "method=confident_learning&k=2",
                  "agree=maybe", "subject=%00", "label=-1"):  # fmt: skip
        answer = send(calls, "GET", f"/audits/{audit.pk}/queue?{query}")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), query


def test_an_audit_that_is_not_ready_has_no_queue(calls, audit):
    Audit.objects.filter(pk=audit.pk).update(state="calibrating")
    answer = send(calls, "GET", f"/audits/{audit.pk}/queue")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_ready")


def test_a_sample_is_planned_drawn_and_drawn_anew_until_the_first_verdict(capsys):
    audit = make_mixed_audit()
    calls = caller(make_member(audit.dataset.project, Role.MAINTAINER))
    path = f"/audits/{audit.pk}/sample"
    numbers = {"size": 20, "unflagged": 10}
    plan = send(calls, "POST", f"{path}/plan", numbers).json()
    assert plan == printed(
        capsys, "draw_sample", audit.pk, "--size", 20, "--unflagged", 10, "--plan"
    )
    assert not Sample.objects.exists()
    drawn = send(calls, "POST", path, numbers | {"seed": 5})
    assert drawn.status_code == 201
    assert (drawn.json()["items"], drawn.json()["seed"], drawn.json()["judged"]) == (30, 5, 0)
    assert drawn.json() == send(calls, "GET", path).json()
    assert send(calls, "POST", path, numbers).status_code == 409
    assert send(calls, "POST", path, numbers | {"again": True, "seed": 6}).json()["seed"] == 6
    rows = send(calls, "GET", f"{path}/items").json()["items"]
    assert len(rows) == 30
    assert all(0 < each["inclusion_probability"] <= 1 for each in rows)
    position = audit.dataset.items.get(pk=rows[0]["item"]).position
    judge(Sample.objects.get(), {position: "label_correct"})
    frozen = send(calls, "POST", path, numbers | {"again": True})
    assert (frozen.status_code, frozen.json()["code"]) == (409, "refused")
    assert send(calls, "GET", path).json()["judged"] == 1


def test_a_data_set_of_others_is_not_listed(calls):
    other = make_dataset()
    listed = send(calls, "GET", "/datasets").json()["items"]
    assert other.pk not in {each["id"] for each in listed}


@pytest.fixture
def models(settings, tmp_path):
    """An installation with one file among its models, and two of somebody else's beside it."""
    settings.LABEL_AUDIT_HOME = tmp_path / "home"
    inside = tmp_path / "home" / "models" / "theirs"
    (tmp_path / "elsewhere").mkdir()
    inside.mkdir(parents=True)
    for path in (inside / "weights.safetensors", tmp_path / "elsewhere" / "secret.safetensors"):
        path.write_bytes(b"PK\x03\x04 no weights")
    (tmp_path / "elsewhere" / "private.py").write_text("")
    return tmp_path


@pytest.mark.row("A01", "A15", "A17")
@pytest.mark.parametrize("backend", ["timm:resnet18@", "transformers:"])
@pytest.mark.parametrize(
    "path",
    ["{}/elsewhere/secret.safetensors", "{}/elsewhere", "../../elsewhere/secret.safetensors",
     "../../elsewhere", "~root", "~nobody-here/x", "manage.py", "audit", "/proc/self/environ",
     "theirs/../../../elsewhere/secret.safetensors", "n" * 300, "./audit"],
)  # fmt: skip
def test_an_experts_name_from_outside_says_nothing_of_files_elsewhere(
    audit, calls, models, backend, path
):
    """Neither what there is nor what it holds: on the server alone may models lie anywhere."""
    name = f"{backend}{path.format(models)}"
    if len(name) > 255:
        name = f"{backend}{'n' * 230}"
    ordered = send(calls, "POST", f"/datasets/{audit.dataset_id}/scores", {"expert": name})
    body = {"experts": ["stub:3-0", name]}
    started = send(calls, "POST", f"/datasets/{audit.dataset_id}/audits", body)
    for answer in (ordered, started):
        assert (answer.status_code, answer.json()["code"]) == (409, "refused")
        said = answer.json()["message"]
        assert "among the models of this" in said or "fetch them once" in said
    with pytest.raises(ExpertRefused) as refusal:
        parse_expert(name.replace("elsewhere", "nowhere"), weights_root=models_folder(),
                     is_confined=True)  # fmt: skip
    assert str(refusal.value).replace("nowhere", "elsewhere").endswith(said)


def test_a_model_of_the_installation_is_read_and_its_place_not_told(audit, calls, models):
    body = {"expert": "timm:resnet18@theirs/weights.safetensors"}
    answer = send(calls, "POST", f"/datasets/{audit.dataset_id}/scores", body)
    assert "models/theirs/weights.safetensors is a zip archive" in answer.json()["message"]
    assert str(models) not in answer.json()["message"]
