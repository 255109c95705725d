"""MMLU folders are read as published: text to the byte, dev rows as examples, faults by row."""

from __future__ import annotations

import csv
import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command

from audit import tasks
from audit.loaders import ImportRefused, LoadedExample, load_dataset
from audit.models import Chunk, Dataset, ScoreSet
from audit.services import chunks
from audit.services.scores import request_scores
from scoring.experts import Question, SolvedQuestion, load_expert
from tests.language_models import write_language_model

ROWS = [
    ["What is 1+1?", "None", "NA", "null", "2", "D"],
    ['He said "hi",\nthen left.', "N/A", "nan", "TRUE", " x ", "B"],
    ["<script>{{7*7}}</script>", "=HYPERLINK", "+1", "@x", "\tTAB", "A"],
]
DEV = [[f"Example {n}?", "a", "b", "c", "d", "ABCD"[n % 4]] for n in range(5)]


def write_csv(path: Path, rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture
def folder(tmp_path) -> Path:
    write_csv(tmp_path / "mmlu/test/virology_test.csv", ROWS)
    write_csv(tmp_path / "mmlu/test/anatomy_test.csv", ROWS[:1])
    write_csv(tmp_path / "mmlu/dev/virology_dev.csv", DEV)
    return tmp_path / "mmlu"


def refuse(path: Path) -> ImportRefused:
    with pytest.raises(ImportRefused) as refusal:
        load_dataset("mmlu", path)
    return refusal.value


def test_b078_b082_b095_texts_survive_byte_for_byte_and_keys_name_subject_and_row(folder):
    loaded = load_dataset("mmlu", folder)
    assert [item.key for item in loaded.items] == [
        "anatomy/test/0",
        "virology/test/0",
        "virology/test/1",
        "virology/test/2",
    ]
    for item, row in zip(loaded.items[1:], ROWS, strict=True):
        assert [item.question, *item.choices, "ABCD"[item.label or 0]] == row
    assert [each.name for each in loaded.classes] == ["A", "B", "C", "D"]
    assert loaded.items[1].subject == "virology"


def test_dev_rows_are_examples_and_no_items(folder):
    loaded = load_dataset("mmlu", folder)
    assert loaded.examples[2] == LoadedExample("virology", "Example 2?", ("a", "b", "c", "d"), 2)
    assert len(loaded.examples) == 5
    assert len(loaded.items) == 4


@pytest.mark.parametrize("answer", ["E", "a", " A", "0", "AB", ""])
def test_b086_only_the_letters_of_the_choices_are_keys(folder, answer):
    write_csv(folder / "test/virology_test.csv", [*ROWS, [*ROWS[0][:-1], answer]])
    (problem,) = refuse(folder).problems
    assert (problem.row, problem.column, problem.code) == (5, "answer", "label")


def test_b071_a_header_and_an_empty_file_are_refused(folder):
    header = ["question", "A", "B", "C", "D", "answer"]
    write_csv(folder / "test/virology_test.csv", [header, *ROWS])
    assert "no header" in str(refuse(folder))
    (folder / "test/virology_test.csv").write_bytes(b"")
    assert refuse(folder).problems[0].code == "empty"


def test_b079_ragged_rows_are_refused_by_row(folder):
    write_csv(folder / "test/virology_test.csv", [*ROWS, ROWS[0][1:]])
    (problem,) = refuse(folder).problems
    assert (problem.row, problem.code) == (5, "ragged")


def test_b084_every_row_has_as_many_choices_as_the_first(tmp_path):
    write_csv(tmp_path / "test/x_test.csv", [["q", "a", "b", "B"], ["r", "c", "d", "A"]])
    assert len(load_dataset("mmlu", tmp_path).classes) == 2
    write_csv(tmp_path / "test/x_test.csv", [["q", "a", "b", "B"], ["r", "c", "d", "e", "A"]])
    assert refuse(tmp_path).problems[0].code == "ragged"


def test_b077_an_open_quote_is_refused(folder):
    (folder / "test/virology_test.csv").write_text('"open,a,b,c,d,A\n' * 3)
    assert refuse(folder).problems[0].code in {"quote", "field_too_long"}


def test_b099_a_subject_is_never_a_path(folder):
    write_csv(folder / "test/..x_test.csv", ROWS[:1])
    assert load_dataset("mmlu", folder).items[0].subject == "..x"


def test_b072_b074_byte_order_marks_and_any_line_ends_are_no_text(folder):
    path = folder / "test/anatomy_test.csv"
    expected = load_dataset("mmlu", folder).items
    content = path.read_bytes().strip()
    for end in (b"\n", b"\r", b"\r\n"):
        path.write_bytes(b"\xef\xbb\xbf" + content + end)
        assert load_dataset("mmlu", folder).items == expected


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        ("q,a,b,c,d,A\n".encode("utf-16"), "encoding", "byte 0"),
        (b"caf\xe9,a,b,c,d,A\n", "encoding", "byte 3"),
        (b"q\xed\xa0\x80,a,b,c,d,A\n", "encoding", "byte 1"),
        (b"q\0,a,b,c,d,A\n", "nul", "byte 1"),
        (b"x" * 32_001 + b",a,b,c,d,A\n", "field_too_long", "32000"),
        (b"x" * 10_000_000 + b",a,b,c,d,A\n", "field_too_long", "megabytes"),
        (b"q" + b",a" * 100_000 + b"\n", "ragged", "100001 fields"),
        (gzip.compress(b"q,a,b,c,d,A\n"), "format", "gzip"),
        (b"PAR1" + b"\0" * 40, "format", "Parquet"),
        (b"PK\x03\x04xl", "format", "Excel"),
        (pickle.dumps(ROWS), "format", "pickle"),
    ],
    ids=["utf-16", "latin-1", "surrogate", "nul", "32 KB", "10 MB", "columns", "gzip", "parquet",
         "excel", "pickle"],
)  # fmt: skip
def test_b073_b075_b076_b081_b098_other_files_are_refused(folder, content, code, said):
    (folder / "test/virology_test.csv").write_bytes(content)
    (problem,) = refuse(folder).problems
    assert problem.code == code
    assert said in problem.message


def test_other_splits_become_items_by_name(folder):
    write_csv(folder / "val/virology_val.csv", ROWS[:2])
    loaded = load_dataset("mmlu", folder, split="val")
    assert [item.key for item in loaded.items] == ["virology/val/0", "virology/val/1"]
    assert len(loaded.examples) == 5
    assert load_dataset("mmlu", folder, split="dev").examples == ()
    with pytest.raises(ImportRefused, match="no split 'train'"):
        load_dataset("mmlu", folder, split="train")


@pytest.mark.django_db
def test_b083_b085_b088_questions_whose_key_means_nothing_are_quarantined(folder):
    write_csv(
        folder / "test/virology_test.csv",
        [
            ["ok", "a", "b", "c", "d", "A"],
            ["no d", "a", "b", "c", " ", "A"],
            ["twice", "a", "b", "a", "d", "A"],
            ["\u200b ", "a", "b", "c", "d", "A"],
        ],
    )
    call_command("import_dataset", "mmlu", folder, format="mmlu")
    codes = (
        Dataset.objects.get().items.order_by("position").values_list("quarantine_code", flat=True)
    )
    assert list(codes) == ["", "", "missing_option", "duplicate_option", "empty_question"]


@pytest.mark.django_db
def test_examples_belong_to_the_hash_of_a_data_set(folder):
    call_command("import_dataset", "first", folder, format="mmlu")
    write_csv(folder / "dev/virology_dev.csv", [*DEV[:4], [*DEV[4][:-1], "D"]])
    call_command("import_dataset", "second", folder, format="mmlu")
    assert len(set(Dataset.objects.values_list("sha256", flat=True))) == 2


@pytest.mark.django_db(transaction=True)
def test_a_worker_shows_a_language_model_the_examples_of_the_subject(folder, tmp_path, settings):
    (folder / "test/anatomy_test.csv").unlink()
    call_command("import_dataset", "mmlu", folder, format="mmlu")
    chunks.loaded_expert.cache_clear()
    settings.CHUNK_ITEMS = 2
    name = f"transformers:{write_language_model(tmp_path / 'llama')},shots=2"
    score_set = request_scores(Dataset.objects.get(), name, from_anywhere=True)
    for chunk in Chunk.objects.pending():
        tasks.process_chunk(chunk.pk)
    score_set.refresh_from_db()
    assert score_set.state == ScoreSet.State.READY, score_set.error
    examples = tuple(SolvedQuestion(row[0], tuple(row[1:-1]), n % 4) for n, row in enumerate(DEV))
    questions = [Question(row[0], tuple(row[1:-1]), "virology", "", examples) for row in ROWS]
    expected = load_expert(name).predict(questions)
    np.testing.assert_allclose(
        chunks.score_store.open_scores(score_set.pk)[0:3], expected, atol=1e-5
    )
