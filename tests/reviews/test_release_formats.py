"""Every format of a release, opened by the reader that people use it with."""

import csv
import importlib.util
import json
import uuid
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from audit.evidence import Evidence, write_evidence
from audit.hashed_folders import verify_folder
from audit.loaders import load_dataset
from audit.models import Dataset, DatasetClass, FewShotExample, Item, Role
from audit.services.datasets import store_dataset
from audit.spreadsheets import neutralise
from reviews.decisions import Snapshot
from reviews.release_files import export_release, open_source
from reviews.release_formats import FORMATS, FormatRefusedError
from reviews.release_formats.base import HashedFile
from reviews.release_formats.registry import refusals
from reviews.services.judgments import Answer, record_judgment
from reviews.services.leases import claim_slots
from tests.factories import (
    make_dataset,
    make_member,
    make_project,
    make_questions,
    make_ready_audit,
    make_sample,
)
from tests.imagenet import SYNSETS, picture_name
from tests.reviews.situations import judge
from tests.reviews.test_releases import make_judged_audit

pytestmark = pytest.mark.django_db


def export(audit, folder, *formats):
    return export_release(audit, "lenient", Snapshot.now(audit), folder, formats)


def all_formats(audit):
    return [name for name in FORMATS if name not in refusals(open_source(audit))]


def read_table(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def make_imagenet_audit(numbers=(3, 1, 2, 7)):
    """Validation pictures in Kaggle's order: kept, relabelled, excluded, with one more label."""
    dataset = make_dataset(n_items=0)
    dataset.classes.all().delete()
    DatasetClass.objects.bulk_create(
        DatasetClass(dataset=dataset, index=index, name=f"name {index // 2}", wordnet_id=synset)
        for index, synset in enumerate(SYNSETS)
    )
    Item.objects.bulk_create(
        Item(
            dataset=dataset,
            position=position,
            key=picture_name(number),
            image=picture_name(number),
            given_label=number,
            width=500,
            height=375,
        )
        for position, number in enumerate(numbers)
    )
    Dataset.objects.update(n_items=len(numbers), n_classes=1000)
    dataset.refresh_from_db()
    for number in numbers:
        (dataset.folder / picture_name(number)).write_bytes(b"picture %d" % number)
    audit = make_ready_audit(dataset, n_flags=3)
    judge(
        make_sample(audit, 4),
        {0: "label_correct", 1: ("wrong_label", 9), 2: "wrong_label", 3: ("multi_object", 5)},
    )
    return audit


def make_question_audit():
    """Eight questions with texts that careless readers change; judged as nobody can at the desk."""
    dataset = make_questions(n_items=8)
    texts = ["None", "NA", 'a "quoted" one', "two\nlines", "=1+1", "null", "a, b", " blank "]
    for item, text in zip(dataset.items.all(), texts, strict=True):
        Item.objects.filter(pk=item.pk).update(choices=[text, *item.choices[1:]])
    FewShotExample.objects.create(
        dataset=dataset, subject="sums", position=0, question="1 + 1?",
        choices=["1", "2", "3", "N/A"], answer=1,
    )  # fmt: skip
    audit = make_ready_audit(dataset)
    judge(make_sample(audit, 2), {0: ("wrong_label", 2), 1: "wrong_label"})
    return audit


@pytest.mark.parametrize("make", [make_judged_audit, make_imagenet_audit, make_question_audit])
def test_e01_every_format_has_the_same_bytes_twice(tmp_path, make):
    audit = make()
    formats = all_formats(audit)
    assert len(formats) >= 9
    one = export(audit, tmp_path / "one", *formats)
    two = export(audit, tmp_path / "two", *reversed(formats))
    assert one == two
    assert one["formats"] == formats
    assert len(one["files"]) >= len(formats) + 3
    for name in [*one["files"], "manifest.json"]:
        content = (tmp_path / "one" / name).read_bytes()
        assert content == (tmp_path / "two" / name).read_bytes(), name
        assert b"\r" not in content or name.endswith(".arrow")
        assert not content.startswith(b"\xef\xbb\xbf")


def test_e04_one_flipped_byte_in_any_file_of_any_format_is_found(tmp_path):
    folder = tmp_path / "out"
    audit = make_judged_audit()
    manifest = export(audit, folder, *all_formats(audit))
    assert verify_folder(folder) == []
    for name in manifest["files"]:
        path = folder / name
        whole = path.read_bytes()
        for place in {0, len(whole) // 2, len(whole) - 1}:
            flipped = bytearray(whole)
            flipped[place] ^= 1
            path.write_bytes(flipped)
            assert verify_folder(folder) == [f"{name} is changed"]
        path.write_bytes(whole)
    (folder / "hf" / "extra").write_text("x")
    (folder / "hf" / "state.json").unlink()
    assert verify_folder(folder) == ["hf/state.json is missing", "hf/extra is not part of it"]


@pytest.mark.parametrize(
    ("make", "name", "reason"),
    [
        (make_judged_audit, "loc-csv", "WordNet ids; 'class 0' has none"),
        (make_judged_audit, "mmlu-csv", "holds questions"),
        (make_question_audit, "imagenet-txt", "lists pictures"),
        (make_question_audit, "loc-csv", "lists pictures"),
        (make_question_audit, "fiftyone", "needs pictures"),
    ],
)
def test_a_format_the_data_set_cant_be_written_in_is_refused(tmp_path, make, name, reason):
    audit = make()
    folder = tmp_path / "out"
    with pytest.raises(CommandError, match=reason):
        call_command("export_labels", str(audit.pk), "--out", str(folder), "--format", "csv", name)
    assert list(tmp_path.glob("*out*")) == []


@pytest.mark.parametrize(
    ("fields", "name", "reason"),
    [
        ({"key": "a b.png"}, "imagenet-txt", "the key 'a b.png' has one"),
        ({"image": "00001.jpg", "key": "00000.jpg"}, "fiftyone", "two are the same"),
        ({"image": "pictures.tar#512+9"}, "fiftyone", "inside archives"),
        ({"image": "pictures.tar#512+9"}, "labelstudio", "inside archives"),
    ],
)
def test_items_that_a_format_cant_tell_apart_or_find_are_refused(tmp_path, fields, name, reason):
    audit = make_judged_audit()
    Item.objects.filter(dataset=audit.dataset, position=0).update(**fields)
    with pytest.raises(FormatRefusedError, match=reason):
        export(audit, tmp_path / "out", name)
    assert list(tmp_path.glob("*out*")) == []


def test_b099_a_subject_that_is_no_file_name_is_refused(tmp_path):
    audit = make_question_audit()
    Item.objects.filter(dataset=audit.dataset, position=3).update(subject="../../x")
    with pytest.raises(FormatRefusedError, match="can't be a file's name"):
        export(audit, tmp_path / "out", "mmlu-csv")
    assert list(tmp_path.glob("*out*")) == []


def test_e05_a_failing_writer_leaves_nothing_behind(tmp_path, monkeypatch):
    audit = make_judged_audit()
    monkeypatch.setattr(HashedFile, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        export(audit, tmp_path / "out", *all_formats(audit))
    assert list(tmp_path.glob("*out*")) == []


@pytest.mark.parametrize("make", [make_judged_audit, make_question_audit])
def test_e07_lines_come_in_again_and_go_out_the_same(tmp_path, make):
    audit = make()
    export(audit, tmp_path / "out", "jsonl")
    lines = tmp_path / "out" / "labels.jsonl"
    left_out = 1  # the excluded one
    root = audit.dataset.folder if audit.dataset.has_pictures else None
    loaded = load_dataset("manifest", lines, root=root)
    assert len(loaded.items) == audit.dataset.n_items - left_out
    again = store_dataset(make_project(), "again", "manifest", loaded)
    assert again.n_quarantined == 0
    export(make_ready_audit(again), tmp_path / "again", "jsonl")
    assert (tmp_path / "again" / "labels.jsonl").read_bytes() == lines.read_bytes()


def test_e08_val_txt_lists_file_and_class_in_order(tmp_path):
    audit = make_imagenet_audit()
    export(audit, tmp_path / "out", "imagenet-txt")
    text = (tmp_path / "out" / "val.txt").read_text()
    pairs = [line.split() for line in text.splitlines()]
    assert pairs == [[picture_name(3), "3"], [picture_name(1), "9"], [picture_name(7), "7"]]


def test_e08_the_solution_file_is_read_by_our_own_importer(tmp_path):
    audit = make_imagenet_audit()
    manifest = export(audit, tmp_path / "out", "loc-csv")
    assert manifest["counts"]["excluded"] == 1
    for number in (1, 3, 7):
        (tmp_path / "out" / picture_name(number)).touch()
    loaded = load_dataset("imagenet", tmp_path / "out")
    assert [(item.key, item.label) for item in loaded.items] == [
        (picture_name(3), 3),
        (picture_name(1), 9),
        (picture_name(7), 7),
    ]
    first = (tmp_path / "out" / "LOC_val_solution.csv").read_text().splitlines()[1]
    assert first == f"ILSVRC2012_val_00000003,{SYNSETS[3]} 0 0 500 375"


def test_real_labels_are_read_by_timm(tmp_path):
    torch = pytest.importorskip("torch")
    export(make_imagenet_audit(), tmp_path / "out", "real-json")
    names = [picture_name(number) for number in range(1, 50_001)]
    # timm's own module, without the rest of timm.
    path = Path(importlib.util.find_spec("timm").origin).parent / "data" / "real_labels.py"
    spec = importlib.util.spec_from_file_location("real_labels", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    real = module.RealLabelsImagenet(names, tmp_path / "out" / "real.json", topk=(1,))
    held = {number: real.real_labels[picture_name(number)] for number in (1, 2, 3, 4, 7)}
    assert held == {1: [9], 2: [], 3: [3], 4: [], 7: [7, 5]}
    output = torch.zeros(7, 1000)
    output[0, 9] = output[1, 0] = output[2, 4] = output[6, 5] = 1  # right, left out, wrong, right
    real.add_result(output)
    assert real.get_accuracy(1) == pytest.approx(100 * 2 / 3)


def test_real_labels_of_other_data_follow_its_order(tmp_path):
    export(make_judged_audit(), tmp_path / "out", "real-json")
    lists = json.loads((tmp_path / "out" / "real.json").read_text())
    assert lists == [[2], [1], [], [0, 1], [1], [2], [0], [1]]


def test_e08_mmlu_files_are_read_by_our_own_importer_byte_for_byte(tmp_path):
    audit = make_question_audit()
    export(audit, tmp_path / "out", "mmlu-csv")
    loaded = load_dataset("mmlu", tmp_path / "out" / "mmlu")
    stays = [item for item in audit.dataset.items.all() if item.position != 1]
    assert [(i.question, list(i.choices)) for i in loaded.items] == [
        (i.question, i.choices) for i in stays
    ]
    assert [item.label for item in loaded.items] == [2, *(i.given_label for i in stays[1:])]
    assert loaded.items[1].key == "sums/test/1"
    assert [(e.question, e.choices, e.answer) for e in loaded.examples] == [
        ("1 + 1?", ("1", "2", "3", "N/A"), 1)
    ]


@pytest.mark.parametrize("make", [make_judged_audit, make_imagenet_audit, make_question_audit])
def test_the_hugging_face_folder_is_opened_by_datasets(tmp_path, make):
    datasets = pytest.importorskip("datasets")
    audit = make()
    export(audit, tmp_path / "out", "hf", "jsonl")
    opened = datasets.load_from_disk(str(tmp_path / "out" / "hf"))
    said = read_lines(tmp_path / "out" / "labels.jsonl")
    assert opened["key"][:] == [row["key"] for row in said]
    assert opened["label"][:] == [row["label"] for row in said]
    assert opened.features["label"].names == list(open_source(audit).names)
    assert opened.features["labels"].feature == opened.features["given_label"]
    if audit.dataset.kind == Dataset.Kind.MULTIPLE_CHOICE:
        assert opened["choices"][:] == [row["choices"] for row in said]
    changed = opened.filter(lambda row: row["action"] == "relabelled")
    assert [row["labels"][0] for row in changed] == [row["label"] for row in changed]
    assert len(changed) == 1


def test_embedded_pictures_are_opened_by_datasets_and_come_in_again(tmp_path):
    datasets = pytest.importorskip("datasets")
    audit = make_judged_audit()
    Item.objects.filter(dataset=audit.dataset, position=5).update(
        quarantine_code="missing", image="none.png"
    )
    export(audit, tmp_path / "out", "hf-images", "jsonl")
    folder = tmp_path / "out" / "hf-images"
    raw = datasets.load_from_disk(str(folder)).cast_column("image", datasets.Image(decode=False))
    rows = {row["key"]: row for row in raw}
    said = {row["key"]: row["label"] for row in read_lines(tmp_path / "out" / "labels.jsonl")}
    assert {key: row["label"] for key, row in rows.items()} == said
    assert len(rows) == 7
    for item in audit.dataset.items.filter(key__in=rows).exclude(position=5):
        assert rows[item.key]["image"]["bytes"] == (audit.dataset.folder / item.image).read_bytes()
    assert rows["00005.png"]["image"] is None
    assert datasets.load_from_disk(str(folder))[0]["image"].size == (28, 28)
    Item.objects.filter(dataset=audit.dataset, position=5).update(
        quarantine_code="", image="00005.png"
    )
    export(audit, tmp_path / "whole", "hf-images")
    loaded = load_dataset("hf", tmp_path / "whole" / "hf-images")
    again = store_dataset(make_project(), "again", "hf", loaded)
    stays = audit.dataset.items.exclude(position=2).order_by("position")
    fields = ("key", "content_sha256", "width")
    assert list(again.items.order_by("position").values_list(*fields)) == list(
        stays.values_list(*fields)
    )


def test_a_picture_that_changed_since_it_came_in_is_not_embedded(tmp_path):
    audit = make_judged_audit()
    path = audit.dataset.folder / audit.dataset.items.get(position=4).image
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(FormatRefusedError, match="isn't the picture that was imported"):
        export(audit, tmp_path / "out", "hf-images")
    path.unlink()
    with pytest.raises(FormatRefusedError, match="needs every picture"):
        export(audit, tmp_path / "out", "hf-images")
    assert list(tmp_path.glob("*out*")) == []


def test_the_issue_table_is_taken_by_cleanlab(tmp_path):
    pandas = pytest.importorskip("pandas")
    cleanlab = pytest.importorskip("cleanlab.classification")
    linear = pytest.importorskip("sklearn.linear_model")
    audit = make_judged_audit()
    export(audit, tmp_path / "out", "cleanlab-csv")
    issues = pandas.read_csv(tmp_path / "out" / "cleanlab_issues.csv")
    given = list(audit.dataset.items.values_list("given_label", flat=True))
    assert issues["is_label_issue"].tolist() == [True, False, True, True] + [False] * 4
    assert issues["predicted_label"].dtype == np.int64
    assert issues["predicted_label"].tolist() == [2, 2, 0, 1, 2, 0, 0, 1]
    assert issues["label_quality"][0] == pytest.approx(0.01)
    features = np.random.default_rng(0).normal(size=(8, 2))
    learner = cleanlab.CleanLearning(linear.LogisticRegression())
    learner.fit(features, np.array(given), label_issues=issues)
    assert learner.label_issues_mask.sum() == 3


def test_cleanlabs_table_needs_scores_and_leaves_holes_where_an_item_has_none(tmp_path):
    audit = make_judged_audit()
    empty = np.full((2, 8), np.nan, dtype=np.float32)
    write_evidence(audit.pk, Evidence(np.full((2, 8), -1, np.int32), empty, empty, empty))
    export(audit, tmp_path / "out", "cleanlab-csv")
    rows = read_table(tmp_path / "out" / "cleanlab_issues.csv")
    assert {row["label_quality"] for row in rows} == {""}
    assert [row["predicted_label"] for row in rows[:3]] == ["2", "1", "2"]
    evidence = read_lines(tmp_path / "out" / "evidence.jsonl")
    assert evidence[0]["experts"][0] == {"name": "stub:3-0", "top1": None}


def test_fiftyone_finds_every_picture_and_its_label(tmp_path):
    audit = make_judged_audit()
    export(audit, tmp_path / "out", "fiftyone")
    document = json.loads((tmp_path / "out" / "fiftyone.json").read_text())
    assert document.keys() == {"classes", "labels"}
    stems = {path.stem for path in audit.dataset.folder.iterdir()}
    assert document["labels"].keys() == stems - {"00002"}
    assert document["labels"]["00000"]["label"] == "class 2"
    assert document["labels"]["00003"]["attributes"]["also_labels"] == ["class 1"]
    assert {entry["label"] for entry in document["labels"].values()} <= set(document["classes"])


@pytest.mark.parametrize(
    ("make", "shown"), [(make_judged_audit, "image"), (make_question_audit, "question")]
)
def test_label_studios_tasks_fit_their_labelling_set_up(tmp_path, make, shown):
    audit = make()
    export(audit, tmp_path / "out", "labelstudio")
    tasks = json.loads((tmp_path / "out" / "labelstudio.json").read_text())
    config = (tmp_path / "out" / "labelstudio_config.xml").read_text()
    assert f'value="${shown}"' in config
    assert len(tasks) == audit.dataset.n_items
    for task in tasks:
        assert task["data"][shown]
        for annotation in task["annotations"]:
            [result] = annotation["result"]
            assert (result["from_name"], result["to_name"]) == ("label", shown)
            assert all(f'<Choice value="{name}"/>' in config for name in result["value"]["choices"])
    assert sum(not task["annotations"] for task in tasks) == 1


def test_the_exclude_list_names_what_leaves(tmp_path):
    export(make_judged_audit(), tmp_path / "out", "exclude")
    assert (tmp_path / "out" / "exclude.txt").read_text() == "00002.png\n"


def test_two_classes_of_one_name_are_told_apart(tmp_path):
    audit = make_imagenet_audit()
    names = open_source(audit).names
    assert len(set(names)) == 1000
    assert names[3] == f"name 1 ({SYNSETS[3]})"


def test_e03_the_evidence_of_every_change_is_complete(tmp_path):
    audit = make_judged_audit()
    export(audit, tmp_path / "out", "patch")
    lines = read_lines(tmp_path / "out" / "evidence.jsonl")
    patch = read_table(tmp_path / "out" / "patch.csv")
    assert [line["key"] for line in lines if line["action"] != "undecided"] == [
        row["key"] for row in patch
    ]
    first = lines[0]
    assert [vote["annotator"] for vote in first["votes"]] == ["annotator-1", "annotator-2"]
    assert [expert["top1"] for expert in first["experts"]] == [1, 1]
    assert first["experts"][0]["confidence"] == pytest.approx(0.99)
    flags = {flag["method"]: flag for flag in first["methods"]}
    assert flags.keys() == {"calibrated_ensemble", "confident_learning", "ensemble"}
    assert flags["calibrated_ensemble"]["bin_rank"] == 1
    judgments = {vote["judgment"] for line in lines for vote in line["votes"]}
    assert judgments == set(
        audit.sample.slots.exclude(judgment=None).filter(
            sampled_item__item__key__in=[line["key"] for line in lines]
        ).values_list("judgment", flat=True)
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "＝1", "＋1"],  # noqa: RUF001
)
def test_a19_a_cell_that_a_spreadsheet_would_compute_is_text_for_people(tmp_path, text):
    assert neutralise(text) == f"'{text}"
    assert neutralise(f"a{text}") == f"a{text}"


@pytest.mark.row("B095")
def test_a19_machine_files_stay_as_they_are(tmp_path):
    audit = make_judged_audit()
    Item.objects.filter(dataset=audit.dataset, position=0).update(key="=HYPERLINK(1)")
    audit.dataset.classes.filter(index=0).update(name="@class")
    export(audit, tmp_path / "out", "csv", "jsonl")
    assert read_table(tmp_path / "out" / "labels.csv")[0]["key"] == "=HYPERLINK(1)"
    assert '"=HYPERLINK(1)"' in (tmp_path / "out" / "labels.jsonl").read_text()
    people = read_table(tmp_path / "out" / "changes.csv")[0]
    assert (people["item"], people["given label"]) == ("'=HYPERLINK(1)", "'@class")


def test_e11_no_file_says_who_judged_or_what_they_noted(tmp_path):
    audit = make_ready_audit(make_questions(n_items=8))
    sample = make_sample(audit, 2)
    person = make_member(audit.dataset.project, Role.ANNOTATOR, "zed@example.org")
    for slot in claim_slots(sample, person, 2):
        answer = Answer(
            "wrong_ground_truth",
            (slot.sampled_item.item.given_label + 1) % 4,
            note="a private remark",
            source="Smith 2019, p. 4; ask zed@example.org",
        )
        record_judgment(person, slot.pk, slot.epoch, uuid.uuid4(), answer)
    manifest = export(audit, tmp_path / "out", *all_formats(audit))
    assert manifest["judged"] == 2
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"example.org" not in content, path.name
            assert b"private remark" not in content, path.name
            assert b'"note"' not in content, path.name
    votes = read_table(tmp_path / "out" / "votes.csv")
    assert {vote["source"] for vote in votes} == {"Smith 2019, p. 4; ask [e-mail address]"}
    assert {vote["annotator"] for vote in votes} == {"annotator-1"}
