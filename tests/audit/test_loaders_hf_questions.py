"""Questions of Hugging Face data sets, saved or as parquet: the same items as MMLU's own CSV."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.loaders import ImportRefused, LoadedDataset, load_dataset
from audit.models import Dataset

ROWS = [
    ("anatomy", "Which bone?", ["None", "NA", "null", "nan"], 2),
    ("virology", 'He said "hi",\nthen left.', ["N/A", "TRUE", " x ", "=SUM(1)"], 0),
    ("virology", "Which virus?", ["a", "b", "c", "d"], 3),
]
DEV = [("virology", "An example?", ["p", "q", "r", "s"], 1)]
MMLU = pa.schema(
    [
        ("question", pa.string()),
        ("subject", pa.string()),
        ("choices", pa.list_(pa.string())),
        ("answer", pa.int64()),
    ]
)
FEATURES = {
    "question": {"dtype": "string", "_type": "Value"},
    "subject": {"dtype": "string", "_type": "Value"},
    "choices": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "Sequence"},
    "answer": {"names": ["A", "B", "C", "D"], "_type": "ClassLabel"},
}


def mmlu_table(rows) -> pa.Table:
    records = [
        {"question": question, "subject": subject, "choices": choices, "answer": answer}
        for subject, question, choices, answer in rows
    ]
    return pa.Table.from_pylist(records, MMLU)


def save_split(folder: Path, table: pa.Table, split: str, features: dict = FEATURES) -> None:
    """Write what ``Dataset.save_to_disk`` writes; a test below compares with the library."""
    folder.mkdir(parents=True)
    with pa.ipc.new_stream(folder / "data-00000-of-00001.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": split}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))


def save_mmlu(folder: Path) -> Path:
    for split, rows in (("test", ROWS), ("dev", DEV), ("validation", ROWS[:1])):
        save_split(folder / split, mmlu_table(rows), split)
    splits = {"splits": ["test", "dev", "validation"]}
    (folder / "dataset_dict.json").write_text(json.dumps(splits))
    return folder


def write_parquet(folder: Path) -> Path:
    folder.mkdir(parents=True)
    pq.write_table(mmlu_table(ROWS[:1]), folder / "test-00000-of-00002.parquet")
    pq.write_table(mmlu_table(ROWS[1:]), folder / "test-00001-of-00002.parquet")
    pq.write_table(mmlu_table(DEV), folder / "dev-00000-of-00001.parquet")
    return folder


def write_csv(folder: Path) -> Path:
    for split, rows in (("test", ROWS), ("dev", DEV)):
        for subject in {row[0] for row in rows}:
            path = folder / split / f"{subject}_{split}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows(
                    [question, *choices, "ABCD"[answer]]
                    for owner, question, choices, answer in rows
                    if owner == subject
                )
    return folder


def load(path: Path, **options) -> LoadedDataset:
    return load_dataset("hf", path, **options)


def codes_of(path: Path, **options) -> list[str]:
    with pytest.raises(ImportRefused) as refusal:
        load(path, **options)
    return [problem.code for problem in refusal.value.problems]


@pytest.mark.django_db
def test_b087_csv_saved_and_parquet_are_the_same_data_set(tmp_path, capsys):
    call_command("import_dataset", "csv", write_csv(tmp_path / "csv"), format="mmlu")
    call_command("import_dataset", "saved", save_mmlu(tmp_path / "saved"), format="hf")
    call_command("import_dataset", "parquet", write_parquet(tmp_path / "parquet"), format="hf")
    lines = tmp_path / "test.jsonl"
    keys = ("subject", "question", "choices", "answer")
    lines.write_text("".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in ROWS))
    call_command("import_dataset", "jsonl", lines, format="jsonl-mcq")
    datasets = {each.slug: each for each in Dataset.objects.all()}
    columns = ("key", "given_label", "content_sha256", "subject", "question", "choices")
    items = {slug: list(each.items.values_list(*columns)) for slug, each in datasets.items()}
    assert items["csv"] == items["saved"] == items["parquet"] == items["jsonl"]
    assert items["csv"][2][0] == "virology/test/1"
    # The few-shot examples belong to the hash, and a single file has none.
    assert len({datasets[slug].sha256 for slug in ("csv", "saved", "parquet")}) == 1
    assert datasets["csv"].examples.count() == 1
    assert datasets["jsonl"].sha256 != datasets["csv"].sha256


def test_what_the_library_saves_is_read_alike(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    features = datasets.Features(
        question=datasets.Value("string"),
        subject=datasets.Value("string"),
        choices=datasets.Sequence(datasets.Value("string")),
        answer=datasets.ClassLabel(names=list("ABCD")),
    )
    splits = {
        name: datasets.Dataset.from_list(mmlu_table(rows).to_pylist(), features=features)
        for name, rows in (("test", ROWS), ("dev", DEV))
    }
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "library")
    (tmp_path / "hub").mkdir()
    for name, split in splits.items():
        split.to_parquet(tmp_path / "hub" / f"{name}-00000-of-00001.parquet")
    by_hand = load(save_mmlu(tmp_path / "by hand"))
    assert load(tmp_path / "library") == by_hand
    assert load(tmp_path / "hub") == by_hand
    arc = datasets.Dataset.from_list(
        [
            {"id": "q1", "question": "?", "answerKey": "2",
             "choices": {"text": ["a", "b", "c"], "label": ["1", "2", "3"]}},
            {"id": "q2", "question": "?", "answerKey": "D",
             "choices": {"text": ["a", "b", "c", "d"], "label": ["A", "B", "C", "D"]}},
        ]
    )  # fmt: skip
    arc.save_to_disk(tmp_path / "arc")
    loaded = load(tmp_path / "arc")
    assert [(item.key, item.label) for item in loaded.items] == [("q1", 1), ("q2", 3)]
    assert [each.name for each in loaded.classes] == list("ABCD")


def test_a_split_is_chosen_by_name_and_test_is_the_usual_one(tmp_path):
    folder = save_mmlu(tmp_path / "mmlu")
    assert [item.key for item in load(folder, split="validation").items] == ["anatomy/validation/0"]
    assert len(load(folder, split="dev").items) == 1
    assert codes_of(folder, split="train") == ["split"]
    assert load(folder / "test").items == load(folder).items
    assert codes_of(folder / "test", split="dev") == ["split"]
    (folder / "dataset_dict.json").write_text('{"splits": ["dev", "validation"]}')
    assert codes_of(folder) == ["split"]
    (folder / "dataset_dict.json").write_text('{"splits": ["../mmlu"]}')
    assert codes_of(folder) == ["unsafe_path"]
    (folder / "dataset_dict.json").write_text("{}")
    assert codes_of(folder) == ["format"]


def test_b054_splits_without_published_answers_are_refused_by_row(tmp_path):
    pq.write_table(mmlu_table([*ROWS, (*ROWS[0][:3], -1)]), tmp_path / "test.parquet")
    with pytest.raises(ImportRefused) as refusal:
        load(tmp_path)
    [problem] = refusal.value.problems
    assert (problem.row, problem.column, problem.code) == (4, "answer", "label_range")
    assert "without published answers" in problem.message


def test_b071_b080_tables_without_rows_or_questions_are_refused(tmp_path):
    path = tmp_path / "test.parquet"
    pq.write_table(mmlu_table([]), path)
    assert codes_of(path) == ["empty"]
    pq.write_table(pa.table({"text": ["a"], "label": [0]}), path)
    assert codes_of(path) == ["missing_column"]
    table = mmlu_table(ROWS)
    pq.write_table(table.append_column("question", table["question"]), path)
    assert codes_of(path) == ["duplicate_column"]
    pq.write_table(pa.table({f"c{n}": [n] for n in range(65)}), path)
    assert codes_of(path) == ["too_many_columns"]
    save_split(tmp_path / "text", pa.table({"text": ["a"]}), "", {"text": FEATURES["question"]})
    assert codes_of(tmp_path / "text") == ["missing_column"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"question": "nul\0"}, "nul"),
        ({"question": "x" * 140_000}, "field_too_long"),
        ({"question": None}, "missing_column"),
        ({"choices": None}, "choices"),
        ({"choices": ["a", None]}, "choices"),
        ({"choices": ["a"]}, "choice_count"),
        ({"answer": None}, "label"),
        ({"subject": "y" * 300}, "field_too_long"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_b075_b076_b084_b086_cells_are_checked_like_lines(tmp_path, change, code):
    good = mmlu_table(ROWS).to_pylist()
    table = pa.Table.from_pylist([*good, good[0] | change], MMLU)
    pq.write_table(table, tmp_path / "test.parquet")
    save_split(tmp_path / "saved", table, "test")
    for path in (tmp_path / "test.parquet", tmp_path / "saved"):
        with pytest.raises(ImportRefused) as refusal:
            load(path)
        assert (4, code) in [(each.row, each.code) for each in refusal.value.problems]


def test_b073_bytes_that_are_not_utf_8_are_refused(tmp_path):
    table = mmlu_table(ROWS)
    damaged = pa.chunked_array([pa.array([b"caf\xe9", b"x", b"y"]).view(pa.string())])
    table = table.set_column(0, "question", damaged)
    save_split(tmp_path / "saved", table, "test")
    assert codes_of(tmp_path / "saved") == ["encoding"]


def test_b051_cut_and_oversized_parquet_files_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "test.parquet"
    pq.write_table(mmlu_table(ROWS * 100), path)
    content = path.read_bytes()
    for damaged in (content[:50], content[:-20], b"PAR1" + b"\0" * 40, b"not parquet"):
        path.write_bytes(damaged)
        assert codes_of(path) == ["format"]
    path.write_bytes(content)
    monkeypatch.setattr("audit.loaders.parquet.MAX_BYTES", 1000)
    assert codes_of(path) == ["bomb"]


@pytest.mark.parametrize("kind", ["saved", "parquet"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_b051_damage_anywhere_is_refused_or_harmless(tmp_path_factory, kind, data):
    folder = tmp_path_factory.mktemp("damaged")
    if kind == "saved":
        save_split(folder / "s", mmlu_table(ROWS * 5), "test")
        path, damaged = folder / "s", folder / "s" / "data-00000-of-00001.arrow"
    else:
        path = damaged = folder / "test.parquet"
        pq.write_table(mmlu_table(ROWS * 5), path)
    content = bytearray(damaged.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged.write_bytes(content)
    with contextlib.suppress(ImportRefused):
        load(path)


def test_class_lists_and_roots_are_refused_with_questions(tmp_path):
    folder = save_mmlu(tmp_path / "mmlu")
    assert codes_of(folder, classes_file=Path("imagenet")) == ["classes"]
    assert codes_of(folder, root=tmp_path) == ["root"]
    shutil.rmtree(folder / "test")
    assert codes_of(folder) == ["format"]
    assert codes_of(tmp_path / "none") == ["missing"]


@pytest.mark.django_db
def test_b089_the_same_question_with_another_key_is_noted_whatever_the_order(tmp_path, capsys):
    rows = [
        ("a", "One?", ["1", "2", "3", "4"], 0),
        ("a", "One?", ["4", "3", "2", "1"], 3),
        ("a", "Two?", ["1", "2", "3", "4"], 1),
        ("b", "Two?", ["2", "1", "3", "4"], 1),
        ("b", "Two?", ["2", "1", "3", "5"], 1),
    ]
    pq.write_table(mmlu_table(rows), tmp_path / "test.parquet")
    call_command("import_dataset", "twice", tmp_path, "--format", "hf", "--json")
    items = Dataset.objects.get().items.order_by("position")
    assert [item.notices for item in items] == [
        ["duplicate"], ["duplicate"], ["duplicate_other_label"], ["duplicate_other_label"], []
    ]  # fmt: skip
    document = json.loads(capsys.readouterr().out)
    assert document["noted"] == {"duplicate": 2, "duplicate_other_label": 2}


@pytest.mark.django_db
def test_b100_all_of_mmlus_questions_come_in_within_ten_seconds(tmp_path, capsys):
    rows = [
        (f"subject_{number % 57:02d}", f"Question {number}? {'word ' * 50}", list("wxyz"), 2)
        for number in range(14_042)
    ]
    pq.write_table(mmlu_table(sorted(rows)), tmp_path / "test-00000-of-00001.parquet")
    pq.write_table(mmlu_table(DEV * 285), tmp_path / "dev-00000-of-00001.parquet")
    began = time.process_time()
    call_command("import_dataset", "mmlu", tmp_path, "--format", "hf")
    assert time.process_time() - began < 10
    dataset = Dataset.objects.get()
    assert (dataset.n_items, dataset.n_quarantined, dataset.examples.count()) == (14_042, 0, 285)
