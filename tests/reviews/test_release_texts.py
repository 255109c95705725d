"""What stands in a release's files, word for word: whoever reads them relies on every name."""

import json
import re
import shutil
from datetime import datetime, timedelta, timezone

import pytest
from django.db import IntegrityError

from audit.evidence import evidence_folder
from audit.models import Audit, Dataset, LogEntry, Role
from audit.services import claims
from reviews.decisions import Action, Decision, Snapshot, StandingVote
from reviews.models import Release, StoredPolicy
from reviews.policies import find_policy
from reviews.release_files import open_source
from reviews.release_formats import FormatRefusedError, cleanlab, evidence, hf, mmlu, open_writers
from reviews.release_formats.base import LabelRow, ReleaseFolder
from reviews.release_formats.registry import order_formats, refusals
from reviews.services import releases
from reviews.services.releases import (
    ReleaseRefusedError,
    build_release,
    order_release,
    policy_of,
    save_policy,
)
from tests.factories import make_member
from tests.reviews.test_release_formats import all_formats, export, make_question_audit
from tests.reviews.test_releases import make_judged_audit

pytestmark = pytest.mark.django_db

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
CHANGES = """\
item,given label,becomes,also shows,what happens,why,votes
00000.png,class 0,class 2,,relabelled,Wrong label,annotator-1: wrong label (class 2); \
annotator-2: wrong label (class 2)
00002.png,class 2,,,excluded,no agreed class,annotator-1: wrong label
00003.png,class 0,class 0,class 1,label added,Multi-object,annotator-1: multi-object (class 1)
00004.png,class 1,class 1,,undecided,unsure,annotator-1: unsure
"""
ISSUES = """\
key,is_label_issue,label_quality,given_label,predicted_label
00000.png,True,0.01,0,2
00001.png,False,0.01,1,2
00002.png,True,0.01,2,0
00003.png,True,0.01,0,1
00004.png,False,0.01,1,2
00005.png,False,0.01,2,0
00006.png,False,0.6557143,0,0
00007.png,False,0.6,1,1
"""
LABELS = """\
key,given_label,given_name,cleaned_label,cleaned_name,also_labels,action,verdict,n_votes,reason
00000.png,0,class 0,2,class 2,,relabelled,wrong_label,2,
00001.png,1,class 1,1,class 1,,kept,label_correct,1,
00002.png,2,class 2,,,,excluded,wrong_label,1,no agreed class
00003.png,0,class 0,0,class 0,1,label_added,multi_object,1,
00004.png,1,class 1,1,class 1,,undecided,unsure,1,unsure
00005.png,2,class 2,2,class 2,,kept,,0,quarantined: truncated
00006.png,0,class 0,0,class 0,,kept,,0,
00007.png,1,class 1,1,class 1,,kept,,0,
"""
PATCH = """\
key,given_label,cleaned_label,also_labels,action,judgments
00000.png,0,2,,relabelled,1;6
00002.png,2,,,excluded,3
00003.png,0,0,1,label_added,4
"""
VOTES = """\
key,judgment,annotator,verdict,corrected_label,labels,decided_at,source,derivation_given
00000.png,1,annotator-1,wrong_label,2,,TIME,,
00000.png,6,annotator-2,wrong_label,2,,TIME,,
00001.png,2,annotator-1,label_correct,,,TIME,,
00002.png,3,annotator-1,wrong_label,,,TIME,,
00003.png,4,annotator-1,multi_object,1,,TIME,,
00004.png,5,annotator-1,unsure,,,TIME,,
"""
LINES = "".join(
    f'{{"key": "0000{n}.png", "label": {label}, "image": "0000{n}.png"}}\n'
    for n, label in enumerate([2, 1, None, 0, 1, 2, 0, 1])
    if label is not None
)
FIFTYONE = """\
{"classes": ["class 0", "class 1", "class 2"], "labels": {
"00000": {"label": "class 2", "attributes": {"key": "00000.png", "given_label": "class 0", \
"also_labels": [], "action": "relabelled", "n_votes": 2}},
"""
TASKS = """\
[
{"data": {"image": "/data/local-files/?d=00000.png", "key": "00000.png", \
"given_label": "class 0", "action": "relabelled"}, "annotations": [{"result": [\
{"from_name": "label", "to_name": "image", "type": "choices", \
"value": {"choices": ["class 2"]}}]}]},
"""
SET_UP = """\
<View>
  <Image name="image" value="$image"/>
  <Choices name="label" toName="image" choice="multiple">
    <Choice value="class 0"/>
    <Choice value="class 1"/>
    <Choice value="class 2"/>
  </Choices>
</View>
"""
EXPERT = {"top1": 1, "confidence": 0.99, "raw_confidence": 0.99, "given_probability": 0.01}
FLAG = {"rank": 1, "score": 0.99, "proposed_label": 1, "experts_agree": True}
VOTE = {
    "verdict": "wrong_label",
    "corrected_label": 2,
    "labels": [],
    "source": "",
    "derivation_given": False,
    "decided_at": "TIME",
}
EVIDENCE = {
    "key": "00000.png",
    "given_label": 0,
    "cleaned_label": 2,
    "also_labels": [],
    "action": "relabelled",
    "verdict": "wrong_label",
    "reason": "",
    "votes": [
        {"judgment": 1, "annotator": "annotator-1", **VOTE},
        {"judgment": 6, "annotator": "annotator-2", **VOTE},
    ],
    "adjudication": None,
    "experts": [{"name": "stub:3-0", **EXPERT}, {"name": "stub:3-1", **EXPERT}],
    "methods": [
        {"method": "calibrated_ensemble", **FLAG, "bin_rank": 1},
        {"method": "confident_learning", **FLAG, "bin_rank": None},
        {"method": "ensemble", **FLAG, "bin_rank": None},
    ],
}


@pytest.fixture
def written(tmp_path, django_db_reset_sequences):
    """Every file of a release of pictures, and its manifest."""
    audit = make_judged_audit()
    audit.dataset.notice, audit.dataset.slug = "Ask first.", "digits"
    audit.dataset.save()
    manifest = export(audit, tmp_path / "out", *all_formats(audit))
    texts = {
        path.name: TIME.sub("TIME", path.read_text(encoding="utf-8"))
        for path in (tmp_path / "out").iterdir()
        if path.is_file()
    }
    return texts, manifest


def test_a_release_of_pictures_says_word_for_word(written):
    texts, manifest = written
    assert texts["changes.csv"] == CHANGES
    assert texts["cleanlab_issues.csv"] == ISSUES
    assert texts["labels.csv"] == LABELS
    assert texts["labels.jsonl"] == LINES
    assert texts["patch.csv"] == PATCH
    assert texts["votes.csv"] == VOTES
    assert texts["exclude.txt"] == "00002.png\n"
    assert texts["real.json"] == "[[2], [1], [], [0, 1], [1], [2], [0], [1]]"
    assert texts["labelstudio_config.xml"] == SET_UP
    assert texts["labelstudio.json"].startswith(TASKS)
    assert texts["labelstudio.json"].endswith("}\n]\n")
    assert texts["fiftyone.json"].startswith(FIFTYONE)
    assert texts["fiftyone.json"].endswith("}}\n}}\n")
    said = [json.loads(line) for line in texts["evidence.jsonl"].splitlines()]
    assert [line["key"][:5] for line in said] == ["00000", "00002", "00003", "00004"]
    assert said[0] == EVIDENCE
    assert json.loads(texts["manifest.json"]) == manifest


def test_the_manifest_says_where_the_labels_come_from(written):
    _texts, manifest = written
    zeros = "0" * 64
    assert manifest["format"] == "label-audit release 2"
    assert manifest["dataset"] == {
        "slug": "digits",
        "sha256": zeros,
        "items": 8,
        "classes": 3,
        "quarantined": 0,
        "notice": "Ask first.",
    }
    assert manifest["audit"] == {
        "id": 1,
        "sha256": zeros,
        "bins": 3,
        "bins_over": "disputed",
        "seed": 0,
        "calibrator": "temperature",
        "require_agreement": False,
    }
    expert = {"scores_sha256": "", "card": {}, "calibration": {}}
    assert manifest["experts"] == [{"name": f"stub:3-{n}", **expert} for n in (0, 1)]
    assert manifest["policy"].keys() == {"name", "version", "definition", "errors"}
    assert (manifest["policy"]["name"], manifest["policy"]["version"]) == ("lenient", 1)
    assert manifest["taxonomy"].keys() == {"version", "verdicts"}
    assert manifest["taxonomy"]["verdicts"]["wrong_label"] == "Wrong label"
    stratum = {"name": "flagged", "population": 8, "drawn": 5}
    assert manifest["sample"] == {"seed": 0, "votes_per_item": 2, "items": 5, "strata": [stratum]}
    assert (manifest["last_judgment"], manifest["last_adjudication"]) == (6, 0)
    assert re.fullmatch("[0-9a-f]{64}", manifest["last_judgment_sha256"])
    assert manifest["last_adjudication_sha256"] is None
    assert manifest["judged"] == 5
    assert manifest["counts"] == {
        "kept": 4,
        "relabelled": 1,
        "label_added": 1,
        "excluded": 1,
        "undecided": 1,
    }
    assert manifest["code_version"] == "0.1.0"


def test_a_release_of_questions_says_word_for_word(tmp_path):
    audit = make_question_audit()
    folder = tmp_path / "out"
    export(audit, folder, "jsonl", "labelstudio", "mmlu-csv")
    assert (folder / "labels.jsonl").read_text().splitlines()[:2] == [
        (
            '{"key": "sum-0", "label": 2, "question": "What is 0 + 7?", '
            '"choices": ["None", "8", "9", "10"], "subject": "sums"}'
        ),
        (
            '{"key": "sum-2", "label": 2, "question": "What is 2 + 7?", '
            '"choices": ["a \\"quoted\\" one", "10", "11", "12"], "subject": "sums"}'
        ),
    ]
    task = json.loads((folder / "labelstudio.json").read_text())[0]
    assert task["data"] == {
        "question": "What is 0 + 7?",
        "options": "A. None\nB. 8\nC. 9\nD. 10",
        "key": "sum-0",
        "given_label": "A",
        "action": "relabelled",
    }
    assert (folder / "labelstudio_config.xml").read_text().splitlines()[1:4] == [
        '  <Text name="question" value="$question"/>',
        '  <Text name="options" value="$options"/>',
        '  <Choices name="label" toName="question" choice="multiple">',
    ]
    assert (folder / "mmlu/dev/sums_dev.csv").read_text() == "1 + 1?,1,2,3,N/A,B\n"
    lines = (folder / "mmlu/test/sums_test.csv").read_text().splitlines()
    assert lines[0] == "What is 0 + 7?,None,8,9,10,C"


def test_letters_of_other_scripts_are_written_as_they_are(tmp_path):
    audit = make_judged_audit()
    audit.dataset.items.filter(position=0).update(key="Nuß.png")
    audit.dataset.classes.filter(index=0).update(name="Öl")
    export(audit, tmp_path / "out", *(set(all_formats(audit)) - {"hf", "hf-images"}))
    for name in ("labels.jsonl", "evidence.jsonl", "labelstudio.json", "labels.csv"):
        assert "Nuß.png" in (tmp_path / "out" / name).read_text(encoding="utf-8"), name
    assert "Öl" in (tmp_path / "out" / "fiftyone.json").read_text(encoding="utf-8")


def test_small_blocks_make_the_same_files(tmp_path, monkeypatch):
    audit = make_judged_audit()
    whole = export(audit, tmp_path / "whole", "cleanlab-csv")
    monkeypatch.setattr(cleanlab, "BLOCK", 3)
    monkeypatch.setattr(evidence, "BATCH", 2)
    assert export(audit, tmp_path / "small", "cleanlab-csv") == whole


def test_votes_and_an_adjudicators_decision_are_told_apart(tmp_path):
    audit = make_judged_audit()
    at = datetime(2026, 1, 2, 4, 4, 5, 6, tzinfo=timezone(timedelta(hours=1)))
    vote = StandingVote(7, 1, "multi_object", 2, at, (1, 2), "Smith; a@b.org", has_derivation=True)
    ruling = StandingVote(9, 2, "wrong_label", 1, at, (1,))
    without = StandingVote(10, 2, "wrong_label", None, at)
    decision = Decision(Action.RELABELLED, "wrong_label", 1, (2,), "agreed", 2)
    open_one = Decision(Action.UNDECIDED, "", 0, reason="split")
    files = ReleaseFolder(tmp_path)
    source = open_source(audit, {1: "annotator-1"})
    writers = open_writers(source, files, ["patch"], marks_undecided=True)
    for row in (
        LabelRow(0, 1, "one", 0, decision, [vote], ruling),
        LabelRow(1, 2, "two", 0, decision, [], without),
        LabelRow(2, 3, "three", 1, open_one, [vote, vote]),
    ):
        for writer in writers:
            writer.add(row)
    for writer in writers:
        writer.close()
    files.close()
    when = "2026-01-02T03:04:05.000006+00:00"
    said = f"7,annotator-1,multi_object,2,1;2,{when},Smith; [e-mail address],yes"
    assert (tmp_path / "votes.csv").read_text().splitlines()[1:] == [
        f"one,{said}",
        f"one,adjudication 9,adjudicator,wrong_label,1,,{when},,",
        f"two,adjudication 10,adjudicator,wrong_label,,,{when},,",
        f"three,{said}",
        f"three,{said}",
    ]
    assert (tmp_path / "patch.csv").read_text().splitlines()[1:] == [
        "one,0,1,2,relabelled,7",
        "two,0,1,2,relabelled,",
    ]
    assert (tmp_path / "undecided.csv").read_text() == (
        "key,given_label,reason,judgments\nthree,1,split,7;7\n"
    )
    first = json.loads((tmp_path / "evidence.jsonl").read_text().splitlines()[0])
    assert first["votes"] == [
        {
            "judgment": 7,
            "annotator": "annotator-1",
            "verdict": "multi_object",
            "corrected_label": 2,
            "labels": [1, 2],
            "source": "Smith; [e-mail address]",
            "derivation_given": True,
            "decided_at": when,
        }
    ]
    assert first["adjudication"] == {
        "adjudication": 9,
        "verdict": "wrong_label",
        "corrected_label": 1,
        "labels": [1],
        "decided_at": when,
    }


def test_an_order_keeps_what_was_asked_for_and_by_whom():
    audit = make_judged_audit()
    person = make_member(audit.dataset.project, Role.MAINTAINER)
    order_release(audit, "lenient")
    release = order_release(audit, "strict", person, ["patch", "csv", "jsonl"])
    snapshot = Snapshot.now(audit)
    assert (release.number, release.policy, release.created_by) == (2, "strict", person)
    assert (release.last_judgment, release.last_adjudication) == (snapshot.judgment, 0)
    assert release.formats == ["csv", "jsonl", "patch"]
    assert release.policy_definition == policy_of(release).describe()
    logged = LogEntry.objects.latest("number")
    assert (logged.act, logged.subject) == ("release_ordered", f"release 2 of audit {audit.pk}")
    assert logged.detail == {"policy": "strict 1", "formats": ["csv", "jsonl", "patch"]}
    assert (logged.person_number, logged.project) == (person.pk, audit.dataset.project.slug)


def test_the_flags_of_another_audit_are_no_evidence(tmp_path):
    audit = make_judged_audit()
    whole = export(audit, tmp_path / "one", "csv")
    other = Audit.objects.create(dataset=audit.dataset, state="ready", sha256="0" * 64)
    for flag in audit.flags.filter(method="ensemble"):
        flag.pk, flag.audit, flag.score = None, other, 0.5
        flag.save()
    assert export(audit, tmp_path / "two", "csv") == whole


def test_only_a_ready_audit_is_released():
    audit = make_judged_audit()
    Audit.objects.filter(pk=audit.pk).update(state="scoring")
    audit.refresh_from_db()
    with pytest.raises(ReleaseRefusedError, match="is scoring; a release needs a ready audit"):
        order_release(audit, "lenient")


def test_a_number_that_nobody_took_is_not_asked_for_again(monkeypatch):
    audit = make_judged_audit()
    asked = []

    def refuse(*said, **_facts):
        asked.append(said)
        raise IntegrityError("something else")

    monkeypatch.setattr(releases, "write_log", refuse)
    with pytest.raises(IntegrityError, match="something else"):
        order_release(audit, "lenient")
    document = find_policy("lenient", audit.dataset.project_id).describe()
    with pytest.raises(IntegrityError, match="something else"):
        save_policy(audit.dataset.project, "ours", document)
    assert len(asked) == 2
    assert not Release.objects.exists()
    assert not StoredPolicy.objects.exists()


def test_a_build_tells_how_far_it_is_and_stops_when_it_is_cancelled(monkeypatch):
    release = order_release(make_judged_audit(), "lenient")
    told = []

    def publish(*said):
        on_progress = said[-1]
        on_progress(3)
        told.append(Release.objects.get().n_written)
        assert claims.cancel(release)
        on_progress(4)
        told.append("went on")

    monkeypatch.setattr(releases, "publish_release", publish)
    monkeypatch.setattr(releases, "PROGRESS_SECONDS", 0)
    assert build_release(release.pk) is False
    release.refresh_from_db()
    assert (told, release.work, release.n_written) == ([3], "cancelled", 3)


def test_an_audit_whose_arrays_are_gone_has_no_issue_table_and_no_experts(tmp_path):
    audit = make_judged_audit()
    shutil.rmtree(evidence_folder(audit.pk))
    with pytest.raises(FormatRefusedError, match="scores, which are gone"):
        export(audit, tmp_path / "refused", "cleanlab-csv")
    export(audit, tmp_path / "out", "csv")
    lines = (tmp_path / "out" / "evidence.jsonl").read_text().splitlines()
    assert [json.loads(line)["experts"] for line in lines] == [[]] * 4


def test_small_batches_make_the_same_table_for_datasets(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    audit = make_judged_audit()
    export(audit, tmp_path / "whole", "hf")
    monkeypatch.setattr(hf.SavedDataset, "batch", 2)
    export(audit, tmp_path / "small", "hf")
    whole, small = (
        datasets.load_from_disk(str(tmp_path / name / "hf")).to_list()
        for name in ("whole", "small")
    )
    assert len(whole) == 7
    assert small == whole


def test_what_cannot_be_written_is_refused_with_its_reason(monkeypatch):
    with pytest.raises(FormatRefusedError, match="'none-such' is not a format"):
        order_formats(["csv", "none-such"])
    monkeypatch.setattr(mmlu, "MOST_SUBJECTS", 0)
    source = open_source(make_question_audit())
    assert refusals(source)["mmlu-csv"] == "mmlu-csv makes a file per subject; 1 are over 0"
    audit = make_judged_audit()
    Dataset.objects.filter(pk=audit.dataset.pk).update(root="")
    audit.dataset.refresh_from_db()
    assert "this data set has none here" in refusals(open_source(audit))["labelstudio"]
