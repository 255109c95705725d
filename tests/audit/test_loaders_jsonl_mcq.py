"""Multiple choice as JSONL: every published spelling is read, everything irregular refused."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.loaders import ImportRefused, LoadedDataset, LoadedExample, Problem, load_dataset

PLAIN = {"question": "2 + 2?", "choices": ["3", "4", "five"], "answer": "B"}


def lines(*rows: object) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def load(folder: Path, content: bytes, name: str = "questions.jsonl") -> LoadedDataset:
    (folder / name).write_bytes(content)
    return load_dataset("jsonl-mcq", folder / name)


def problems_of(folder: Path, content: bytes) -> list[Problem]:
    with pytest.raises(ImportRefused) as refusal:
        load(folder, content)
    assert str(refusal.value)
    return list(refusal.value.problems)


def codes_of(folder: Path, content: bytes) -> list[str]:
    return [problem.code for problem in problems_of(folder, content)]


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Who?", "choices": ["x", "y", "z"], "answer": 1},
        {"question": "Who?", "choices": ["x", "y", "z"], "answer": "1"},
        {"question": "Who?", "choices": ["x", "y", "z"], "answer": "B"},
        {"question": "Who?", "choices": ["x", "y", "z"], "answer": "y"},
        {"query": "Who?", "choices": ["x", "y", "z"], "gold": 1},
        {"Question": "Who?", "options": ["x", "y", "z"], "answer_index": 1, "answer": "B"},
        {"question": "Who?", "options": {"A": "x", "B": "y", "C": "z"}, "answer_idx": "B"},
        {"ctx": "Who?", "endings": ["x", "y", "z"], "label": "1"},
        {"question": "Who?", "A": "x", "B": "y", "C": "z", "D": None, "answer": "B"},
        {"question": "Who?", "opa": "x", "opb": "y", "opc": "z", "cop": 1},
        {"question": "Who?", "option_a": "x", "option_b": "y", "option_c": "z", "target": "B"},
        {"question": "Who?", "choices": {"text": ["x", "y", "z"], "label": ["1", "2", "3"]},
         "answerKey": "2"},
        {"question": "Who?", "choices": {"text": ["x", "y", "z"], "label": [1, 2, 3]},
         "answerKey": 2},
        {"question": {"stem": "Who?", "choices": [
            {"text": "x", "label": "A"}, {"text": "y", "label": "B"}, {"text": "z", "label": "C"}
        ]}, "answerKey": "B"},
    ],
    ids=", ".join,
)  # fmt: skip
def test_every_spelling_of_one_question_is_the_same_question(tmp_path, row):
    item = load(tmp_path, lines(row)).items[0]
    assert (item.question, item.choices, item.label) == ("Who?", ("x", "y", "z"), 1)


def arc(number: int, labels: str, key: str) -> dict:
    choices = [{"text": f"choice {label}", "label": label} for label in labels]
    stem = f"Question {number}?"
    return {
        "id": f"MC_{number}",
        "question": {"stem": stem, "choices": choices},
        "answerKey": key,
    }


def test_arc_as_published_with_letters_numbers_and_three_to_five_choices(tmp_path):
    rows = [arc(1, "ABCD", "D"), arc(2, "1234", "1"), arc(3, "ABC", "C"), arc(4, "ABCDE", "E")]
    loaded = load(tmp_path, lines(*rows), "ARC-Challenge-Test.jsonl")
    assert [item.key for item in loaded.items] == ["MC_1", "MC_2", "MC_3", "MC_4"]
    assert [item.label for item in loaded.items] == [3, 0, 2, 4]
    assert [len(item.choices) for item in loaded.items] == [4, 4, 3, 5]
    assert [each.name for each in loaded.classes] == list("ABCDE")
    assert loaded.kind == "multiple_choice"


def test_a_folder_of_splits_has_items_of_one_and_examples_of_dev(tmp_path):
    for split, count in (("Train", 4), ("Dev", 2), ("Test", 3)):
        content = lines(*(arc(number, "ABCD", "B") for number in range(count)))
        (tmp_path / f"ARC-Easy-{split}.jsonl").write_bytes(content)
    loaded = load_dataset("jsonl-mcq", tmp_path)
    assert (len(loaded.items), len(loaded.examples)) == (3, 2)
    choices = ("choice A", "choice B", "choice C", "choice D")
    assert loaded.examples[1] == LoadedExample("", "Question 1?", choices, 1)
    assert len(load_dataset("jsonl-mcq", tmp_path, split="train").items) == 4
    assert load_dataset("jsonl-mcq", tmp_path, split="dev").examples == ()
    with pytest.raises(ImportRefused, match="there are: dev, test, train"):
        load_dataset("jsonl-mcq", tmp_path, split="validation")


def test_splits_that_nothing_chooses_between_have_to_be_named(tmp_path):
    (tmp_path / "train.jsonl").write_bytes(lines(PLAIN))
    (tmp_path / "validation.jsonl").write_bytes(lines(PLAIN))
    with pytest.raises(ImportRefused, match="choose with --split: train, validation"):
        load_dataset("jsonl-mcq", tmp_path)
    with pytest.raises(ImportRefused, match="imagefolder has no splits"):
        load_dataset("imagefolder", tmp_path, split="train")


def test_keys_without_a_field_of_their_own_name_subject_split_and_row(tmp_path):
    rows = [PLAIN | {"subject": subject} for subject in ("virology", "anatomy", "virology")]
    loaded = load(tmp_path, lines(*rows), "test.jsonl")
    assert [item.key for item in loaded.items] == [
        "virology/test/0",
        "anatomy/test/0",
        "virology/test/1",
    ]
    assert [item.key for item in load(tmp_path, lines(PLAIN, PLAIN)).items] == ["0", "1"]
    assert [item.key for item in load(tmp_path, lines(PLAIN | {"question_id": 7})).items] == ["7"]


def test_several_files_of_a_split_follow_each_other_and_faults_name_their_file(tmp_path):
    (tmp_path / "anatomy_test.jsonl").write_bytes(lines(PLAIN))
    (tmp_path / "virology_test.jsonl").write_bytes(lines(PLAIN | {"answer": 2}, PLAIN))
    with pytest.raises(ImportRefused, match=r"row 1.*virology_test.jsonl: 2 is not a letter"):
        load_dataset("jsonl-mcq", tmp_path)
    (tmp_path / "virology_test.jsonl").write_bytes(lines(PLAIN | {"answer": 2}))
    loaded = load_dataset("jsonl-mcq", tmp_path)
    assert [(item.key, item.label) for item in loaded.items] == [("test/0", 1), ("test/1", 2)]


def test_fields_that_are_not_read_are_told(tmp_path):
    loaded = load(tmp_path, lines(PLAIN | {"cot_content": "", "src": "x"}))
    assert loaded.notices == ("fields that aren't read: cot_content, src",)


@pytest.mark.parametrize("answer", ["E", "a", " A", "0", "AB", "", None, True, 1.0, ["A"], {}])
def test_b086_one_answer_among_letters_that_is_none_is_refused(tmp_path, answer):
    [problem] = problems_of(tmp_path, lines(PLAIN, PLAIN, PLAIN | {"answer": answer}))
    assert (problem.row, problem.column, problem.code) == (3, "answer", "label")


def test_b086_an_answer_that_could_mean_two_choices_is_refused_unless_the_file_settles_it(tmp_path):
    row = {"question": "2 + 1?", "choices": ["1", "2", "3", "4"], "answer": "3"}
    [problem] = problems_of(tmp_path, lines(row))
    assert (problem.row, problem.code) == (1, "ambiguous_name")
    by_text = load(tmp_path, lines(row, PLAIN | {"answer": "five"}))
    assert [item.label for item in by_text.items] == [2, 2]
    by_index = load(tmp_path, lines(row, PLAIN | {"answer": "0"}))
    assert [item.label for item in by_index.items] == [3, 0]


def test_b086_two_fields_that_name_other_answers_are_refused(tmp_path):
    rows = [PLAIN | {"answer_index": 1}, PLAIN | {"answer_index": 2}]
    [problem] = problems_of(tmp_path, lines(*rows))
    assert (problem.row, problem.column, problem.code) == (2, "answer_index", "label")


def test_b054_b055_answers_out_of_range_or_counted_from_one_are_refused(tmp_path):
    def answers(*values: int) -> bytes:
        return lines(*(PLAIN | {"answer": value} for value in values))

    assert codes_of(tmp_path, answers(0, 3)) == ["label_range"]
    assert codes_of(tmp_path, answers(-1, 1)) == ["label_range"]
    [problem] = problems_of(tmp_path, answers(1, 3, 2))
    assert (problem.row, problem.code) == (2, "label_base")
    assert "no answer is 0" in load(tmp_path, answers(1, 2)).notices[0]


def test_b071_an_empty_file_is_refused(tmp_path):
    assert codes_of(tmp_path, b"") == ["empty"]
    assert codes_of(tmp_path, b"\n\n") == ["empty"]
    assert codes_of(tmp_path, b"question,choices,answer\n") == ["json"]


def test_b072_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path):
    assert load(tmp_path, b"\xef\xbb\xbf" + lines(PLAIN)).items[0].question == "2 + 2?"


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (lines(PLAIN).decode().encode("utf-16"), "encoding", "byte 0"),
        (b'{"question": "caf\xe9"}', "encoding", "byte 17"),
        (b'{"question": "\xed\xa0\x80"}', "encoding", "byte 14"),
        (lines(PLAIN | {"question": "\ud800"}), "encoding", "surrogate"),
        (lines(PLAIN | {"choices": {"text": ["\ud800", "x"], "label": ["A", "B"]}}),
         "encoding", "surrogate"),
    ],
    ids=["utf-16", "latin-1", "surrogate", "escaped", "escaped inside"],
)  # fmt: skip
def test_b073_other_encodings_are_refused(tmp_path, content, code, said):
    [problem] = problems_of(tmp_path, content)
    assert problem.code == code
    assert said in problem.message


@pytest.mark.parametrize("end", [b"\r", b"\r\n", b"\n"])
def test_b074_all_line_endings_are_read(tmp_path, end):
    assert len(load(tmp_path, end.join([lines(PLAIN).strip()] * 3)).items) == 3


def test_b075_nul_is_refused_with_its_row(tmp_path):
    [problem] = problems_of(tmp_path, lines(PLAIN) + b'{"question": "\0"}\n')
    assert (problem.row, problem.code) == (2, "nul")
    [problem] = problems_of(tmp_path, lines(PLAIN, PLAIN | {"choices": ["a", "b\0"]}))
    assert (problem.row, problem.column, problem.code) == (2, "choices", "nul")


@pytest.mark.parametrize("length", [32_001, 140_000, 10_000_000])
@pytest.mark.parametrize("field", ["question", "choices", "inside"])
def test_b076_texts_over_32_kilobytes_are_refused(tmp_path, length, field):
    text = "x" * length
    row = arc(1, "AB", "A")
    if field == "inside":
        row["question"]["stem"] = text
    else:
        row = PLAIN | {field: text if field == "question" else ["a", text, "c"]}
    assert codes_of(tmp_path, lines(PLAIN, row)) == ["field_too_long"]


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
                      min_size=3, max_size=3, unique=True))  # fmt: skip
def test_b078_b082_b095_text_survives_exactly(tmp_path_factory, texts):
    row = PLAIN | {"question": texts[0], "choices": texts[1:], "answer": 1}
    content = lines(row, PLAIN | {"choices": ["None", "=HYPERLINK(1)", "\tx", "+1"], "answer": 0})
    first, second = load(tmp_path_factory.mktemp("texts"), content).items
    assert [first.question, *first.choices] == texts
    assert second.choices == ("None", "=HYPERLINK(1)", "\tx", "+1")


def test_b080_missing_fields_are_refused_with_what_there_is_and_unknown_ones_told(tmp_path):
    [problem] = problems_of(tmp_path, lines({"question": "?", "choises": ["a", "b"], "answer": 0}))
    assert (problem.row, problem.column, problem.code) == (1, "choices", "missing_column")
    assert "choises" in problem.message
    assert codes_of(tmp_path, lines({"choices": ["a", "b"], "answer": 0})) == ["missing_column"]
    assert codes_of(tmp_path, lines({"question": "?", "choices": ["a", "b"]})) == ["missing_column"]
    rows = [PLAIN, {"question": "?", "choices": ["a", "b"]}]
    assert [problem.row for problem in problems_of(tmp_path, lines(*rows))] == [2]
    assert codes_of(tmp_path, b'{"question": "a", "question": "b"}') == ["duplicate_column"]


def test_b081_a_hundred_thousand_fields_are_refused_and_rows_streamed(tmp_path):
    row = PLAIN | {f"field {number}": 0 for number in range(100_000)}
    assert codes_of(tmp_path, lines(row)) == ["too_many_columns"]
    with (tmp_path / "large.jsonl").open("wb") as file:
        for number in range(5_000):
            file.write(lines(PLAIN | {"question": f"What is {number}?"}))
    tracemalloc.start()
    loaded = load_dataset("jsonl-mcq", tmp_path / "large.jsonl")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(loaded.items) == 5_000
    assert peak < 7_000_000  # a million rows stay near a gigabyte, their items included


@pytest.mark.parametrize("count", [0, 1, 27])
def test_b084_questions_have_two_to_twenty_six_choices(tmp_path, count):
    row = PLAIN | {"choices": [str(number) for number in range(count)]}
    assert codes_of(tmp_path, lines(PLAIN, row)) == ["choice_count"]


@pytest.mark.parametrize(
    "choices",
    [
        "A", None, 3, ["a", 1], ["a", None], [{"text": "a"}, {"text": "b"}],
        {"text": ["a", "b"], "label": ["A", "A"]}, {"text": ["a", "b"], "label": ["A"]},
        {"A": "a", "B": 2}, {"text": ["a", "b"], "label": ["A", ""]},
    ],
)  # fmt: skip
def test_choices_are_texts_with_labels_of_their_own_or_none(tmp_path, choices):
    assert codes_of(tmp_path, lines(PLAIN, PLAIN | {"choices": choices})) == ["choices"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('{"question": "?", "answer": NaN}', "number"),
        ('{"question": "?", "answer": -Infinity}', "number"),
        ('{"question": {"stem": "a", "stem": "b"}}', "duplicate_column"),
        ('{"question": ' + "[" * 100_000 + "]" * 100_000 + "}", "nesting"),
        ('{"question": "?", "answer": ' + "9" * 5_000 + "}", "number"),
    ],
    ids=["NaN", "infinity", "repeated", "deep", "huge"],
)
def test_b096_json_that_readers_differ_on_is_refused(tmp_path, line, code):
    [problem] = problems_of(tmp_path, lines(PLAIN) + line.encode())
    assert (problem.row, problem.code) == (2, code)


@pytest.mark.parametrize(
    ("content", "row"),
    [
        (b"[" + lines(PLAIN).strip() + b"]", 1),
        (lines(PLAIN) + b"7\n", 2),
        (b'{"question": "a",}\n', 1),
        (lines(PLAIN) + lines(PLAIN)[:20], 2),
    ],
    ids=["list", "scalar", "comma", "cut"],
)
def test_b097_lists_scalars_and_cut_lines_are_refused_with_their_line(tmp_path, content, row):
    [problem] = problems_of(tmp_path, content)
    assert (problem.row, problem.code) == (row, "json")


def test_b098_other_formats_are_refused_by_content(tmp_path):
    packed, parquet = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("xl/workbook.xml", "x")
    pq.write_table(pa.table({"question": ["?"]}), parquet)
    contents = [gzip.compress(lines(PLAIN)), packed.getvalue(), parquet.getvalue()]
    for content in [*contents, pickle.dumps(PLAIN)]:
        assert codes_of(tmp_path, content) == ["format"]


def test_b099_subjects_are_text_of_255_characters_and_never_a_path(tmp_path):
    for subject in ("../../etc/x", "🧠 anatomy", "Größe"):
        item = load(tmp_path, lines(PLAIN | {"subject": subject})).items[0]
        assert (item.subject, item.key) == (subject, f"{subject}/0")
    assert codes_of(tmp_path, lines(PLAIN | {"subject": "x" * 10_000})) == ["field_too_long"]
    assert codes_of(tmp_path, lines(PLAIN | {"subject": "a\nb"})) == ["subject"]
    assert codes_of(tmp_path, lines(PLAIN | {"subject": 3})) == ["subject"]


def test_b062_a_repeated_key_is_refused(tmp_path):
    assert codes_of(tmp_path, lines(arc(1, "AB", "A"), arc(1, "AB", "B"))) == ["dup_id"]


def test_questions_have_neither_a_class_list_nor_a_root(tmp_path):
    (tmp_path / "q.jsonl").write_bytes(lines(PLAIN))
    for options in ({"classes_file": tmp_path / "x"}, {"root": tmp_path}):
        with pytest.raises(ImportRefused, match="letters of the choices"):
            load_dataset("jsonl-mcq", tmp_path / "q.jsonl", **options)
