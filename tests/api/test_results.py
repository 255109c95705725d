"""Reports, adjudication and releases by the API: what commands print, and files in any part."""

from __future__ import annotations

import io
import json
import tarfile

import pytest
from django.core.management import call_command

from audit.models import Audit, Measurement, Role
from reviews.models import Adjudication, Judgment, Release
from reviews.release_files import release_folder
from reviews.services.releases import build_release
from tests.api.callers import caller, send
from tests.factories import make_member, make_sample
from tests.reviews.situations import judge, make_mixed_audit, revise

pytestmark = pytest.mark.django_db


@pytest.fixture
def audit():
    """Three votes differ on the first item; five items are decided."""
    audit = make_mixed_audit()
    sample = make_sample(audit, 12, votes_per_item=2)
    judge(sample, {0: ("wrong_label", 1), 1: "label_correct", 2: ("wrong_label", 2)})
    judge(sample, {0: "label_correct", 1: "label_correct", 2: ("wrong_label", 2)})
    return audit


@pytest.fixture
def calls(audit):
    return caller(make_member(audit.dataset.project, Role.ADMIN))


def printed(capsys, *arguments):
    call_command(*(str(each) for each in arguments), "--json")
    return json.loads(capsys.readouterr().out)


def test_reports_are_what_the_command_prints(audit, calls, capsys):
    path = f"/audits/{audit.pk}/report"
    assert send(calls, "GET", path).json() == printed(capsys, "report", audit.pk)
    strict = ["--policy", "strict", "--intervals", "korn_graubard", "--target", "0.8",
              "--methods", "ensemble", "confident_learning"]  # fmt: skip
    query = "policy=strict&intervals=korn_graubard&target=0.8&methods=ensemble"
    answer = send(calls, "GET", f"{path}?{query}&methods=confident_learning")
    assert answer.json() == printed(capsys, "report", audit.pk, *strict)
    for query in ("truth=votes:none", "truth=%00", "policy=magic", "methods=magic", "target=1",
                  "intervals=none", "policy=custom:magic"):  # fmt: skip
        refused = send(calls, "GET", f"{path}?{query}")
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid"), query


def test_the_comparison_says_which_method_to_trust(audit, calls):
    found = send(calls, "GET", f"/audits/{audit.pk}/comparison").json()
    assert found["headline"]["sentence"]
    assert found["overlap"][0]["a"] == "calibrated_ensemble"


def test_agreement_proof_and_people_are_told(audit, calls, capsys):
    agreement = send(calls, "GET", f"/audits/{audit.pk}/agreement?corrected=true").json()
    assert (agreement["annotators"], agreement["votes"]) == (2, 6)
    proof = send(calls, "GET", f"/audits/{audit.pk}/verify").json()
    assert proof == printed(capsys, "verify_judgments", audit.pk)
    assert proof["intact"] is True
    people = send(calls, "GET", f"/projects/{audit.dataset.project_id}/people").json()["people"]
    assert sorted(each["verdicts"] for each in people) == [0, 3, 3]


def test_measurements_are_ordered_and_read_once_they_are_made(calls):
    audit = Audit.objects.get()
    path = f"/audits/{audit.pk}"
    ordered = send(calls, "POST", f"{path}/calibrators")
    assert ordered.status_code == 201
    assert (ordered.json()["work"], ordered.json()["document"]) == ("pending", {})
    again = send(calls, "POST", f"{path}/calibrators").json()
    assert again["id"] == ordered.json()["id"]
    pair = {"small": "stub:3-0", "large": "stub:3-1"}
    cascade = send(calls, "POST", f"{path}/cascades", pair).json()
    assert (cascade["order"]["small"], cascade["order"]["n_bins"]) == ("stub:3-0", 15)
    second = send(calls, "POST", f"{path}/second-passes", {"labels": f"cleaned:{audit.pk}"})
    assert second.status_code == 201, second.content
    for body, field in (
        ({"small": "stub:3-0", "large": "stub:3-0"}, "body"),
        (pair | {"calibrator": "magic"}, "calibrator"),
        (pair | {"labels": "votes:none"}, "labels"),
        (pair | {"test_dataset": "none"}, "test_dataset"),
    ):
        refused = send(calls, "POST", f"{path}/cascades", body)
        assert refused.status_code == 422
        assert refused.json()["message"].startswith(field)
    rows = send(calls, "GET", f"{path}/measurements?kind=cascade").json()["items"]
    assert [each["id"] for each in rows] == [cascade["id"]]
    assert len(send(calls, "GET", f"{path}/measurements").json()["items"]) == 3
    Measurement.objects.filter(pk=cascade["id"]).update(work="done", document={"curves": {}})
    found = send(calls, "GET", f"/measurements/{cascade['id']}").json()
    assert (found["work"], found["document"]) == ("done", {"curves": {}})


def test_a_split_item_is_decided_once_on_what_was_seen(audit, calls):
    path = f"/audits/{audit.pk}/adjudication"
    (waiting,) = send(calls, "GET", path).json()["items"]
    assert {each["verdict"] for each in waiting["answers"]} == {"wrong_label", "label_correct"}
    case = send(calls, "GET", f"{path}/{waiting['item']}").json()
    assert (case["given_label"], len(case["votes"]), case["decisions"]) == (0, 2, [])
    body = {"verdict": "wrong_label", "labels": [1], "reason": "it is a one", "seen": case["seen"]}
    revise(Judgment.objects.order_by("pk").first(), "unsure")
    late = send(calls, "POST", f"{path}/{waiting['item']}", body)
    assert (late.status_code, late.json()["code"]) == (409, "overtaken")
    body["seen"] = send(calls, "GET", f"{path}/{waiting['item']}").json()["seen"]
    for wrong in ({"labels": [0]}, {"labels": [99]}, {"reason": ""}, {"verdict": "magic"},
                  {"labels": [-1]}, {"reason": "\0"}):  # fmt: skip
        assert send(calls, "POST", f"{path}/{waiting['item']}", body | wrong).status_code == 422
    decided = send(calls, "POST", f"{path}/{waiting['item']}", body)
    assert decided.status_code == 201
    assert (decided.json()["corrected_label"], decided.json()["labels"]) == (1, [1])
    again = send(calls, "POST", f"{path}/{waiting['item']}", body)
    assert again.json() == decided.json()
    assert Adjudication.objects.count() == 1
    assert send(calls, "GET", path).json()["items"] == []


def test_a_release_is_ordered_built_downloaded_in_parts_and_verified(audit, calls):
    path = f"/audits/{audit.pk}/releases"
    ordered = send(calls, "POST", path, {"policy": "strict", "formats": ["csv", "jsonl"]})
    assert ordered.status_code == 201
    number = ordered.json()["id"]
    address = f"/releases/{number}"
    assert send(calls, "GET", f"{address}/archive").json()["code"] == "not_ready"
    for work in Release.Work.values:  # none is unknown to the API's own shapes
        Release.objects.filter(pk=number).update(work=work)
        assert send(calls, "GET", address).json()["work"] == work
    Release.objects.filter(pk=number).update(work=Release.Work.PENDING)
    assert build_release(number)
    built = send(calls, "GET", address).json()
    assert (built["work"], built["policy"]) == ("done", "strict")
    assert "labels.csv" in built["files"]
    assert send(calls, "GET", path).json()["items"] == [built]
    folder = release_folder(audit.pk, 1)
    whole = send(calls, "GET", f"{address}/files/labels.csv")
    content = b"".join(whole.streaming_content)
    assert content == (folder / "labels.csv").read_bytes()
    assert "attachment" in whole.headers["Content-Disposition"]
    assert whole.headers["Cache-Control"] == "private, no-cache"
    part = send(calls, "GET", f"{address}/files/labels.csv", Range="bytes=10-19")
    assert (part.status_code, b"".join(part.streaming_content)) == (206, content[10:20])
    tag = whole.headers["ETag"]
    same = send(calls, "GET", f"{address}/files/labels.csv", **{"If-None-Match": tag})
    assert same.status_code == 304
    beyond = send(calls, "GET", f"{address}/files/labels.csv", Range="bytes=999999-")
    assert beyond.status_code == 416
    archive = b"".join(send(calls, "GET", f"{address}/archive").streaming_content)
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        names = opened.getnames()
    assert any(name.endswith("/labels.csv") for name in names)
    for name in ("none.csv", "../../secret_key", "%2e%2e/1/labels.csv", "labels.csv%00"):
        assert send(calls, "GET", f"{address}/files/{name}").status_code == 404, name
    assert send(calls, "GET", f"{address}/verify").json() == {"intact": True, "problems": []}
    (folder / "labels.csv").write_text("other")
    damaged = send(calls, "GET", f"{address}/verify").json()
    assert damaged == {"intact": False, "problems": ["labels.csv is changed"]}


def test_two_releases_are_compared(audit, calls, capsys):
    path = f"/audits/{audit.pk}/releases"
    for policy in ("lenient", "strict"):
        number = send(calls, "POST", path, {"policy": policy}).json()["id"]
        assert build_release(number)
    found = send(calls, "GET", f"{path}/diff?before=1&after=2").json()
    assert found == printed(capsys, "diff_releases", audit.pk, 1, 2)
    assert send(calls, "GET", f"{path}/diff?before=1&after=9").status_code == 404
    assert send(calls, "GET", f"{path}/diff?before=1").status_code == 422


def test_what_cannot_be_released_is_refused(audit, calls):
    path = f"/audits/{audit.pk}/releases"
    for body, status in (
        ({"policy": "magic"}, 422),
        ({"formats": ["magic"]}, 422),
        ({"formats": []}, 422),
        ({"formats": ["mmlu-csv"]}, 409),
        ({"policy": "lenient", "owner": 1}, 422),
    ):
        assert send(calls, "POST", path, body).status_code == status, body
    assert not Release.objects.exists()


def test_policies_are_listed_stored_and_read(audit, calls):
    path = f"/projects/{audit.dataset.project_id}/policies"
    assert send(calls, "GET", path).json()["policies"] == ["lenient", "strict"]
    strict = send(calls, "GET", f"{path}/strict").json()
    definition = {name: value for name, value in strict.items() if name not in {"name", "version"}}
    stored = send(calls, "PUT", f"{path}/ours", definition | {"undecided": "mark"})
    assert (stored.status_code, stored.json()["version"]) == (200, 1)
    assert send(calls, "PUT", f"{path}/ours", definition).json()["version"] == 2
    assert send(calls, "GET", f"{path}/ours").json()["version"] == 2
    assert send(calls, "PUT", f"{path}/strict", definition).status_code == 422
    assert send(calls, "PUT", f"{path}/ours", {"undecided": "magic"}).status_code == 422
    assert send(calls, "GET", f"{path}/none").status_code == 404
