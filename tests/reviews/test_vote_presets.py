"""Public files of votes: ReaL, label-errors and MMLU-Redux, in the forms in which they are out."""

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from django.core.management import CommandError, call_command
from pyarrow import parquet

from audit.models import Dataset
from reviews.agreements import describe_agreement
from reviews.evaluation_labels import load_labels
from reviews.models import Vote, VoteSource
from reviews.services.votes import import_votes
from reviews.truths import load_truth
from reviews.vote_files import VoteImportError, VoteTarget, read_votes
from reviews.vote_files.imagenet_numbers import file_number
from reviews.vote_files.mmlu_redux import read_answers, read_error_type
from tests.factories import make_dataset, make_questions, make_ready_audit

DATA = Path(os.environ.get("LABEL_AUDIT_TEST_DATA", "nowhere"), "imagenet_val_top5.npz")


def target_of(keys, labels, n_classes=1000):
    """Items that are nowhere stored: reading a file needs no database."""
    dataset = Dataset(slug="there", kind=Dataset.Kind.IMAGE, n_classes=n_classes)
    return VoteTarget(dataset, list(range(100, 100 + len(keys))), list(keys), list(labels))


def write_json(folder, name, content):
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def refusal_of(path, target, preset):
    with pytest.raises(VoteImportError) as refusal:
        read_votes(path, target, preset)
    return refusal.value


@pytest.mark.parametrize(
    ("key", "number"),
    [
        ("ILSVRC2012_val_00000293", 293),
        ("n01440764/ILSVRC2012_val_00000293.JPEG", 293),
        ("00000293.JPEG", 293),
        ("val/n01440764/293.jpg", 293),
        ("293", 293),
        ("50000", 50_000),
        ("50001", None),
        ("0", None),
        ("ILSVRC2012_val_000002931", None),
        ("n01440764_293.JPEG", None),
    ],
)
def test_the_number_of_a_picture_is_in_its_name_or_is_its_name(key, number):
    assert file_number(key) == number


def real_lists(**known):
    lists = [[] for _ in range(50_000)]
    for number, labels in known.items():
        lists[int(number[1:]) - 1] = labels
    return lists


def test_real_labels_belong_to_pictures_by_number_and_an_empty_list_is_unsure(tmp_path):
    path = write_json(tmp_path, "real.json", real_lists(n3=[7, 5], n9=[1]))
    keys = ["ILSVRC2012_val_00000009.JPEG", "3", "4", "other"]
    loaded = read_votes(path, target_of(keys, [1, 6, 0, 0]), "real")
    assert [(v.item, v.labels, v.verdict) for v in loaded.votes] == [
        (100, (1,), ""),
        (101, (5, 7), ""),
        (102, None, "unsure"),
    ]
    assert loaded.notices == ("the given label is among ReaL's for 1 of 2 items",)
    assert loaded.normalised == {"[]": ("unsure", 1)}
    assert loaded.left_out == {
        "items whose key holds no picture's number of their own": 1,
        "pictures that are not in the data set": 49_997,
    }


def test_real_labels_of_other_items_are_noticed(tmp_path):
    path = write_json(tmp_path, "real.json", real_lists(n1=[5], n2=[6], n3=[7]))
    target = target_of(["1", "2", "3"], [4, 5, 7])
    assert refusal_of(path, target, "real").code == "labels"
    assert refusal_of(path, target_of(["a"], [0]), "real").code == "key"
    assert refusal_of(path, target_of(["1"], [0], n_classes=10), "real").code == "classes"


@pytest.mark.parametrize(
    ("content", "code"),
    [("{", "json"), ("[[1]]", "format"), ("{}", "format"), ('"\\ud800"', "format")],
)
def test_real_files_that_are_none_are_refused(tmp_path, content, code):
    path = tmp_path / "real.json"
    path.write_text(content)
    assert refusal_of(path, target_of(["1"], [0]), "real").code == code
    path.write_text(json.dumps([*real_lists()[1:], [1000]]))
    assert refusal_of(path, target_of(["1"], [0]), "real").code == "label"
    assert refusal_of(tmp_path / "gone.json", target_of(["1"], [0]), "real").code == "file"


@pytest.mark.skipif(not DATA.exists(), reason="LABEL_AUDIT_TEST_DATA is not set")
def test_timms_copy_of_real_agrees_with_nine_in_ten_given_labels():
    with np.load(DATA) as data:
        numbers, labels = data["val_number"].tolist(), data["label"].tolist()
    keys = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in numbers]
    loaded = read_votes(None, target_of(keys, labels), "real")
    assert loaded.notices == ("the given label is among ReaL's for 42,164 of 46,837 items",)
    assert len(loaded.votes) == 50_000
    # In the order of the folders those numbers are other pictures.
    moved = target_of([str(place) for place in range(1, 50_001)], labels)
    assert refusal_of(None, moved, "real").code == "labels"


def record(number, label, guess, **counts):
    return {
        "id": number,
        "url": f"https://labelerrors.com/static/mnist/{number}.png",
        "given_original_label": label,
        "given_original_label_name": str(label),
        "our_guessed_label": guess,
        "our_guessed_label_name": str(guess),
        "mturk": {name.replace("_", "-"): count for name, count in counts.items()},
    }


def picture_of_imagenet(number, *rest, **counts):
    found = record(number, *rest, **counts)
    name = f"ILSVRC2012_val_{number:08d}.JPEG"
    return found | {"url": f"https://labelerrors.com//static/imagenet/val/n01440764/{name}"}


def test_five_answers_become_five_votes_with_labels_and_verdicts(tmp_path):
    answers = record(1, 2, 3, given=1, guessed=1, both=1, neither=1, neutral=1)
    path = write_json(tmp_path, "mnist_mturk.json", [answers])
    loaded = read_votes(path, target_of(["a", "b"], [0, 2], n_classes=10), "label-errors")
    assert [(v.annotator, v.labels, v.verdict) for v in loaded.votes] == [
        ("vote 1", (2,), "label_correct"),
        ("vote 2", (3,), "wrong_label"),
        ("vote 3", (2, 3), "multi_object"),
        ("vote 4", (), "wrong_label"),
        ("vote 5", None, "unsure"),
    ]
    assert {vote.item for vote in loaded.votes} == {101}
    assert not loaded.knows_annotators
    assert loaded.normalised["both"] == ("multi_object", 1)


def test_a_guess_of_the_given_label_is_not_counted_twice(tmp_path):
    path = write_json(tmp_path, "m.json", [record(0, 2, 2, given=4, guessed=4, neither=1)])
    loaded = read_votes(path, target_of(["a"], [2], n_classes=10), "label-errors")
    assert [vote.labels for vote in loaded.votes] == [(2,)] * 4 + [()]
    assert "1 records guess the given label" in loaded.notices[1]


def test_records_find_items_by_picture_number_by_file_number_or_by_place(tmp_path):
    rows = [picture_of_imagenet(7, 1, 2, given=5), picture_of_imagenet(9, 4, 2, given=5)]
    path = write_json(tmp_path, "imagenet_mturk.json", rows)
    keys = ["ILSVRC2012_val_00000009.JPEG", "ILSVRC2012_val_00000007.JPEG"]
    loaded = read_votes(path, target_of(keys, [4, 1]), "label-errors")
    assert {vote.item for vote in loaded.votes} == {100, 101}

    rows = [record(7, 1, 2, given=5), record(9, 4, 2, given=5)]
    path = write_json(tmp_path, "mnist_mturk.json", rows)
    by_file = read_votes(path, target_of(["4/9.png", "1/7.png"], [4, 1]), "label-errors")
    assert [vote.item for vote in by_file.votes[::5]] == [101, 100]
    labels = [0] * 7 + [1, 0, 4]
    by_place = read_votes(path, target_of([f"k{n}" for n in range(10)], labels), "label-errors")
    assert [vote.item for vote in by_place.votes[::5]] == [107, 109]


def test_records_that_do_not_fit_are_left_out_and_too_many_refuse_the_file(tmp_path):
    rows = [record(n, label, 3, given=5) for n, label in ((0, 1), (1, 1), (2, 9), (40, 1))]
    path = write_json(tmp_path, "m.json", rows)
    loaded = read_votes(path, target_of("abc", [1, 1, 1], n_classes=10), "label-errors")
    assert loaded.left_out == {
        "records whose given label is not the item's": 1,
        "records of items that are not in the data set": 1,
    }
    assert refusal_of(path, target_of("abc", [1, 2, 2]), "label-errors").code == "labels"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ([], "format"),
        ({"id": 1}, "format"),
        ([{"id": "1"}], "format"),
        ([record(0, 1, 2, positive=5)], "format"),
        ([record(0, 1, 2, given=-1)], "format"),
        ([record(0, 1, 2)], "votes"),
        ([record(0, 1, 99, given=5)], "label"),
        ([record(0, 1, 2, given=5), record(0, 1, 2, given=5)], "duplicate"),
        ([record(70, 1, 2, given=5)], "empty"),
    ],
)
def test_files_of_other_records_are_refused(tmp_path, content, code):
    path = write_json(tmp_path, "m.json", content)
    assert refusal_of(path, target_of("ab", [1, 1], n_classes=10), "label-errors").code == code


SPELLINGS = {
    "label_correct": ["OK", "Ok", "ok", "ok ", "O.K."],
    "wrong_ground_truth": [
        "Wrong Groundtruth", "wrong groundtruth", "wrong_groundtruth", "Wrong Ground Truth",
        "WRONG GROUNDTRUTH", "wrong groundtruh",
    ],
    "multiple_correct": [
        "Multiple Correct Answers", "multiple correct answers", "multiple_correct_answers",
        "Multiple Correct Answer", "Mutliple Correct Answers",
    ],
    "no_correct": [
        "No Correct Answer", "no correct answer", "no_correct_answer", "No correct answers",
    ],
    "bad_question_clarity": [
        "Bad Question Clarity", "bad question clarity", "bad_question_clarity",
        "Bad Questions Clarity",
    ],
    "bad_options_clarity": [
        "Bad Options Clarity", "bad options clarity", "bad_options_clarity", "Bad Option Clarity",
    ],
    "unsure": ["Expert", "expert", "Expert Needed", "Needs expert"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "spelling"), [(v, spelling) for v, found in SPELLINGS.items() for spelling in found]
)
def test_error_types_are_read_however_they_are_spelled(verdict, spelling):
    assert read_error_type(spelling, "row 1") == verdict


@pytest.mark.parametrize("spelling", ["?", "bad clarity", "https://example.org", "3", "answer"])
def test_what_is_no_error_type_is_refused_with_its_place(spelling):
    with pytest.raises(VoteImportError, match=r"x\.csv, row 7: .* is no error type"):
        read_error_type(spelling, "x.csv, row 7")


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("2", {2}),
        ("2.0", {2}),
        ("A,D", {0, 3}),
        ("[0, 3]", {0, 3}),
        ("b and c", {1, 2}),
        ("0;2", {0, 2}),
        ("10", {3}),
        ("1", {1}),
        ("4", None),
        ("loaded question", None),
        ("", None),
    ],
)
def test_answers_are_numbers_letters_or_a_choices_own_words(text, answers):
    assert read_answers(text, ("1", "2", "4.5", "10")) == answers


HEADER = ("question", "choices", "answer", "error_type", "source", "correct_answer", "reason")


def write_redux(folder, name, rows, delimiter=",", encoding="utf-8", header=HEADER):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([header, *rows])
    path = folder / name
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def row_of(item, error_type, correct_answer="", question=None):
    text = item.question if question is None else question
    return (text, repr(item.choices), item.given_label, error_type, "", correct_answer, "")


@pytest.fixture
def questions(db):
    dataset = make_questions(n_items=12)
    dataset.items.filter(position=0).update(question="Café \u2013 “what” is it?")
    return dataset


def test_a_folder_of_mixed_files_is_joined_by_question_and_reported(questions, tmp_path):
    items = list(questions.items.order_by("position"))
    write_redux(
        tmp_path,
        "mmlu_sums.csv",
        [
            row_of(items[0], "OK", question="Cafe\u0301 \u2013  “what” is it?"),
            row_of(items[1], "Wrong Groundtruth", "C"),
            row_of(items[2], "wrong groundtruth", "another one"),
            ("",) * 7,
        ],
        delimiter=";",
    )
    write_redux(
        tmp_path,
        "mmlu_history.csv",
        [
            row_of(items[3], "Multiple Correct Answers", "0"),
            row_of(items[4], "no_correct_answer"),
            row_of(items[5], "Expert Needed", "naïve"),
            row_of(items[6], ""),
        ],
        encoding="cp1252",
    )
    other = {"question": "Who?", "choices": ["a", "b"], "answer": 0, "error_type": "ok"}
    moved = {
        "question": items[7].question,
        "choices": items[7].choices,
        "answer": (items[7].given_label + 1) % 4,
        "error_type": "ok",
    }
    lines = "\n".join(json.dumps(row) for row in (other, moved))
    (tmp_path / "more.jsonl").write_text(lines)
    table = pa.Table.from_pylist(
        [
            {
                "question": items[8].question,
                "choices": items[8].choices,
                "answer": items[8].given_label,
                "error_type": "bad_options_clarity",
                "correct_answer": None,
            }
        ]
    )
    parquet.write_table(table, tmp_path / "test-00000-of-00001.parquet")

    loaded = read_votes(tmp_path, VoteTarget.of(questions), "mmlu-redux")
    key = {item.pk: item.position for item in items}
    assert {key[vote.item]: (vote.labels, vote.verdict) for vote in loaded.votes} == {
        0: ((0,), "label_correct"),
        1: ((2,), "wrong_ground_truth"),
        2: (None, "wrong_ground_truth"),
        3: ((0, 3), "multiple_correct"),
        4: ((), "no_correct"),
        5: (None, "unsure"),
        8: (None, "bad_options_clarity"),
    }
    assert loaded.normalised["Wrong Groundtruth"] == ("wrong_ground_truth", 1)
    assert loaded.normalised["wrong groundtruth"] == ("wrong_ground_truth", 1)
    assert loaded.left_out == {
        "rows without an error type": 1,
        "rows of other questions": 1,
        "rows whose key is not the given label": 1,
    }
    assert "1 empty rows" in loaded.notices
    assert "1 files separated by semicolons" in loaded.notices
    assert "1 files in Windows-1252" in loaded.notices
    assert loaded.notices[-1].startswith("1 suggested answers name no choices")


def test_text_that_lost_its_signs_on_the_way_is_still_found(questions, tmp_path):
    item = questions.items.get(position=0)
    lost = item.question.replace("“", "\ufffd").replace("”", "").replace("\u2013", "-")
    path = write_redux(tmp_path, "a.csv", [row_of(item, "ok", question=lost)])
    loaded = read_votes(path, VoteTarget.of(questions), "mmlu-redux")
    assert [vote.item for vote in loaded.votes] == [item.pk]


def test_one_question_of_two_subjects_is_told_apart_by_the_files_name(questions, tmp_path):
    first = questions.items.get(position=1)
    twin = {"question": first.question, "choices": first.choices, "given_label": first.given_label}
    questions.items.filter(position=5).update(**twin, subject="history")
    rows = [row_of(first, "ok")]
    path = write_redux(tmp_path, "mmlu_history.csv", rows)
    [vote] = read_votes(path, VoteTarget.of(questions), "mmlu-redux").votes
    assert vote.item == questions.items.get(position=5).pk
    unknown = write_redux(tmp_path, "mmlu_law.csv", rows)
    assert refusal_of(unknown, VoteTarget.of(questions), "mmlu-redux").code == "empty"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("question,choices,answer\n", "header"),
        ('question,choices,answer,error_type\n"x,[],0,ok\n', "csv"),
        ("question,choices,answer,error_type\nx,a or b,0,ok\n", "choices"),
        ("question,choices,answer,error_type\nx,\"['a']\",0,fine\n", "error_type"),
        ("question,choices,answer,error_type\nx,\"['a']\",0,ok\n", "empty"),
    ],
)
def test_redux_files_that_are_none_are_refused(questions, tmp_path, content, code):
    path = tmp_path / "a.csv"
    path.write_text(content)
    assert refusal_of(path, VoteTarget.of(questions), "mmlu-redux").code == code


@pytest.mark.django_db
def test_redux_wants_questions_and_files_it_knows(tmp_path):
    target = VoteTarget.of(make_dataset())
    assert refusal_of(tmp_path, target, "mmlu-redux").code == "kind"
    target = VoteTarget.of(make_questions())
    assert refusal_of(tmp_path, target, "mmlu-redux").code == "empty"
    assert refusal_of(None, target, "mmlu-redux").code == "file"
    path = tmp_path / "mmlu.xlsx"
    path.write_bytes(b"PK")
    assert refusal_of(path, target, "mmlu-redux").code == "format"


@pytest.mark.django_db
def test_the_command_reports_what_was_normalised_and_left_out(tmp_path, capsys):
    audit = make_ready_audit(make_dataset(n_items=6, n_classes=3), n_flags=3)
    rows = [
        record(0, 0, 1, both=5),
        record(1, 1, 2, guessed=3, given=2),
        record(2, 2, 1, given=3, neither=2),
        record(3, 2, 1, given=5),
    ]
    path = write_json(tmp_path, "m.json", rows)
    arguments = ["import_votes", audit.dataset.slug, path, "--preset", "label-errors"]
    call_command(*arguments, "--source", "turk", "--json")
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {
        "dataset", "source", "votes", "items", "notices", "normalised", "left_out", "sha256",
    }  # fmt: skip
    assert (document["votes"], document["items"]) == (15, 3)
    assert document["normalised"]["both"] == {"to": "multi_object", "count": 5}
    assert document["left_out"] == {"records whose given label is not the item's": 1}
    # "Both" is an error by the lenient policy alone.
    lenient, strict = (load_truth(audit, "votes:turk", each) for each in ("lenient", "strict"))
    assert lenient.is_error.tolist() == [True, True, False]
    assert strict.is_error.tolist() == [False, True, False]
    agreement = describe_agreement(lenient.votes)
    assert (agreement["annotators"], agreement["pairwise_kappas"]) == (None, [])
    assert agreement["krippendorff_alpha"] is not None
    labels = load_labels(audit.dataset, np.arange(6) % 3, "votes:turk", "lenient")
    assert labels.holding[:3] == [frozenset({0, 1}), frozenset({2}), frozenset({2})]

    call_command(*arguments, "--source", "again")
    text = capsys.readouterr().out
    assert "'both' read as multi_object: 5" in text
    assert "left out, records whose given label is not the item's: 1" in text


@pytest.mark.django_db
def test_question_verdicts_count_by_policy_and_come_from_a_table_too(tmp_path):
    dataset = make_questions(n_items=6)
    path = tmp_path / "votes.csv"
    path.write_text(
        "key,annotator,verdict\nsum-0,ann,wrong_ground_truth\nsum-1,ann,bad_question_clarity\n"
    )
    source, _ = import_votes(dataset, path, "experts")
    assert source.knows_annotators
    audit = make_ready_audit(dataset)
    assert load_truth(audit, "votes:experts", "lenient").is_error.tolist() == [True, True]
    assert load_truth(audit, "votes:experts", "strict").is_error.tolist() == [True, False]
    path.write_text("key,annotator,verdict\n00000.png,ann,wrong_ground_truth\n")
    with pytest.raises(VoteImportError, match="is not a verdict"):
        import_votes(make_dataset(), path, "experts")


@pytest.mark.django_db
def test_a_preset_that_is_refused_leaves_nothing(tmp_path):
    dataset, out = make_dataset(), io.StringIO()
    path = write_json(tmp_path, "m.json", [record(0, 0, 1, given=5), record(0, 0, 1, given=5)])
    arguments = ["import_votes", dataset.slug, str(path), "--preset", "label-errors"]
    with pytest.raises(CommandError, match=r"row 2: item .* a second time"):
        call_command(*arguments, "--source", "turk", "--json", stdout=out)
    assert json.loads(out.getvalue())["error"] == {
        "code": "duplicate",
        "row": 2,
        "reason": "item '00000.png' a second time",
    }
    assert not VoteSource.objects.exists()
    assert not Vote.objects.exists()
