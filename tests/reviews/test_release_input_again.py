"""The input's own file with cleaned labels: one cell changes, every other byte is the input's."""

from __future__ import annotations

import json

import pytest
from django.core.management import call_command

from audit.input_files import find_input
from audit.loaders.raw_records import replace_cell, replace_member
from audit.models import Dataset
from reviews.decisions import Snapshot
from reviews.release_files import export_release, open_source
from reviews.release_formats import FormatRefusedError
from reviews.release_formats.registry import refusals
from tests.factories import make_ready_audit, make_sample
from tests.reviews.situations import judge
from tests.reviews.test_releases import make_judged_audit

pytestmark = pytest.mark.django_db


def release(tmp_path, text, source_format, verdicts, name="data.txt", **options):
    """Import a file, judge its items, and return the file that is released and its text."""
    source = tmp_path / name
    source.write_bytes(text.encode())
    call_command("import_dataset", "first", source, format=source_format, **options)
    audit = make_ready_audit(Dataset.objects.get(slug="first"), n_flags=3)
    judge(make_sample(audit, 5), verdicts)
    out = tmp_path / "out"
    export_release(audit, "lenient", Snapshot.now(audit), out, ["input"])
    (path,) = out.glob("input.*")
    return path, path.read_bytes().decode()


CSV = (
    "\ufefflabel,key,subject,question,choices\r\n"
    '"B",q1,"a, b","two\nlines ""quoted""","[""x"",""y"",""z""]"\r\n'
    "\r\n"
    '2,q2,,=1+1,"[""NA"",""None"",""null""]"\r\n'
    'A,"q3",s, blank ,"[""x"",""y"",""z""]"\r\n'
    'C,q4,s,?,"[""x"",""y"",""z""]"\r\n'
    'C,q5,s,?!,"[""x"",""y"",""z""]"'
)


def test_a_csv_manifest_keeps_order_quotes_line_ends_and_how_labels_are_spelled(tmp_path):
    verdicts = {
        0: ("wrong_label", 2), 1: ("wrong_label", 0), 2: "wrong_label",
        3: "label_correct", 4: ("wrong_label", 0),
    }  # fmt: skip
    path, text = release(tmp_path, CSV, "manifest", verdicts)
    lines = CSV.replace('"B",q1', '"C",q1').replace("2,q2", "0,q2").replace("C,q5", "A,q5")
    assert path.name == "input.csv"
    assert text == lines.replace('A,"q3",s, blank ,"[""x"",""y"",""z""]"\r\n', "")
    assert text != CSV


def test_class_names_stay_names_and_a_name_of_two_classes_becomes_an_index(tmp_path):
    classes = tmp_path / "classes.txt"
    classes.write_text("cat\nmaillot\nmaillot\ndog, big\n")
    text = "key,label\na,cat\nb,dog\nc,0\nd,cat\ne,cat\n".replace("dog", '"dog, big"')
    verdicts = {
        0: ("wrong_label", 3), 1: ("wrong_label", 0), 2: ("wrong_label", 3), 3: ("wrong_label", 1),
        4: "label_correct",
    }  # fmt: skip
    _, said = release(tmp_path, text, "manifest", verdicts, classes=classes)
    assert said == 'key,label\na,"dog, big"\nb,"cat"\nc,3\nd,1\ne,cat\n'


@pytest.mark.parametrize(
    ("answers", "cleaned"),
    [
        (["A", "B", "C", "A", "B"], ["C", "B", "C", "A", "B"]),
        ([0, 1, 2, 0, 1], [2, 1, 2, 0, 1]),
        (["u0", "v1", "w2", "u3", "v4"], ["w0", "v1", "w2", "u3", "v4"]),
    ],
)
def test_questions_keep_what_nobody_read_and_the_form_of_their_answers(tmp_path, answers, cleaned):
    def lines(said):
        return "".join(
            f'{{ "id":"q{number}","meta":{{"answer": 1e2,"x":"\\u00e9"}}, '
            f'"options": ["u{number}","v{number}","w{number}"],"question" : "?{number}",'
            f'"answer":  {json.dumps(each)} , "seen":1.0}}\n'
            for number, each in enumerate(said)
        )

    verdicts = {0: ("wrong_label", 2)} | dict.fromkeys(range(1, 5), "label_correct")
    path, text = release(tmp_path, lines(answers), "jsonl-mcq", verdicts, name="test.jsonl")
    assert path.name == "input.jsonl"
    assert text == lines(cleaned)


def test_questions_with_labels_of_their_own_get_one_of_these(tmp_path):
    def line(number, answer):
        choices = [
            {"text": f"{text}{number}", "label": each}
            for text, each in zip("uvw", "123", strict=True)
        ]
        inner = {"stem": f"?{number}", "choices": choices}
        return json.dumps({"id": str(number), "question": inner, "answerKey": answer}) + "\n"

    text = "".join(line(number, "1") for number in range(5))
    verdicts = {0: ("wrong_label", 2)} | dict.fromkeys(range(1, 5), "label_correct")
    _, said = release(tmp_path, text, "jsonl-mcq", verdicts, name="test.jsonl")
    assert said == text.replace(line(0, "1"), line(0, "3"))
    dataset = Dataset.objects.get(slug="first")
    find_input(dataset).write_text("".join(line(number, "2") for number in range(5)))
    with pytest.raises(FormatRefusedError, match="its answers are others"):
        export_release(
            dataset.audits.get(), "lenient", Snapshot(10**6), tmp_path / "again", ["input"]
        )


def test_what_did_not_come_in_one_file_or_is_another_file_now_is_refused(tmp_path):
    audit = make_judged_audit()
    assert "none was kept" in refusals(open_source(audit))["input"]
    text = "".join(f"k{number},0\n" for number in range(5))
    verdicts = dict.fromkeys(range(5), "label_correct")
    path, said = release(tmp_path, f"key,label\n{text}", "manifest", verdicts)
    assert said == f"key,label\n{text}"
    dataset = Dataset.objects.get(slug="first")
    kept = find_input(dataset)
    kept.write_text(f"{said}\n")
    audit = dataset.audits.get()
    export_release(audit, "lenient", Snapshot(10**6), tmp_path / "blank", ["input"])
    assert (tmp_path / "blank" / "input.csv").read_text() == f"{said}\n"
    for wrong in (said.replace("k3", "k9"), said + "k9,0\n", said[:-5]):
        kept.write_text(wrong)
        with pytest.raises(FormatRefusedError, match="the kept input file"):
            export_release(
                dataset.audits.get(), "lenient", Snapshot(10**6), tmp_path / "again", ["input"]
            )
        assert not (tmp_path / "again").exists()
    assert path.exists()


@pytest.mark.parametrize(
    ("text", "index", "changed"),
    [
        ("a,b,c\n", 0, "X,b,c\n"),
        ("a,b,c\n", 2, "a,b,X\n"),
        ("a,b,c", 2, "a,b,X"),
        ('"a,1","b""2",c\r\n', 1, '"a,1","X",c\r\n'),
        (",,\n", 1, ",X,\n"),
        ('"two\nlines",b\n', 1, '"two\nlines",X\n'),
    ],
)
def test_one_cell_is_replaced(text, index, changed):
    assert replace_cell(text, index, "X") == changed


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ('{"b":{"a":1},"a" : 2 , "c":"a"}', '{"b":{"a":1},"a" : 7 , "c":"a"}'),
        (' { "a":"x\\"}" }\n', ' { "a":7 }\n'),
        ('{"\\u0061":1}', '{"\\u0061":7}'),
    ],
)
def test_one_member_is_replaced(text, changed):
    assert replace_member(text, "a", 7) == changed
