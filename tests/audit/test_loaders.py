"""Manifests and image folders: every irregular file is refused with its row and its reason."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import time
import tracemalloc
import unicodedata
import zipfile
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.images import UnusableImage, inspect
from audit.loaders import FORMATS, ImportRefused, LoadedDataset, Problem, load_dataset


def load_text(tmp_path: Path, text: str | bytes, classes: str | None = None) -> LoadedDataset:
    path = tmp_path / "manifest"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    classes_file = None
    if classes is not None:
        classes_file = tmp_path / "classes.txt"
        classes_file.write_text(classes)
    return load_dataset("manifest", path, classes_file=classes_file)


def problems_of(tmp_path: Path, text: str | bytes, classes: str | None = None) -> list[Problem]:
    with pytest.raises(ImportRefused) as refusal:
        load_text(tmp_path, text, classes)
    assert str(refusal.value)
    return list(refusal.value.problems)


def codes_of(tmp_path: Path, text: str | bytes, classes: str | None = None) -> list[str]:
    return [problem.code for problem in problems_of(tmp_path, text, classes)]


def json_lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_a_csv_manifest_becomes_items_in_file_order(tmp_path):
    loaded = load_text(tmp_path, "key,label,image\nb,1,x/b.jpg\na,0,x/a.jpg\nc,1,c.jpg\n")
    assert [(item.key, item.label, item.image) for item in loaded.items] == [
        ("b", 1, "x/b.jpg"),
        ("a", 0, "x/a.jpg"),
        ("c", 1, "c.jpg"),
    ]
    assert [each.name for each in loaded.classes] == ["0", "1"]
    assert (loaded.kind, loaded.root) == ("image", tmp_path)


def test_a_manifest_without_images_has_no_root(tmp_path):
    assert load_text(tmp_path, "key,label\na,0\nb,1\n").root is None


def test_labels_may_be_names_from_the_class_list(tmp_path):
    loaded = load_text(tmp_path, "key,label\na,dog\nb,0\n", classes="cat\ndog\nn02084071\n")
    assert [item.label for item in loaded.items] == [1, 0]
    assert [each.wordnet_id for each in loaded.classes] == ["", "", "n02084071"]


def test_the_same_rows_as_jsonl_give_the_same_data_set(tmp_path):
    as_csv = load_text(
        tmp_path,
        'key,label,question,choices,subject\na,1,"2 + 2?","[""3"", ""4""]",sums\n'
        'b,A,"1 + 1?","[""2"", ""5""]",sums\n',
    )
    as_json = load_text(
        tmp_path,
        json_lines(
            {
                "key": "a",
                "label": 1,
                "question": "2 + 2?",
                "choices": ["3", "4"],
                "subject": "sums",
            },
            {
                "key": "b",
                "label": "A",
                "question": "1 + 1?",
                "choices": ["2", "5"],
                "subject": "sums",
            },
        ),
    )
    assert as_csv == as_json
    assert as_csv.kind == "multiple_choice"
    assert [each.name for each in as_csv.classes] == ["A", "B"]
    assert [item.label for item in as_csv.items] == [1, 0]
    assert as_csv.items[0].choices == ("3", "4")


@pytest.mark.parametrize("label", ["-1", "3", "1000000000", "99999999999999999999"])
def test_b054_labels_out_of_range_are_refused_with_their_row(tmp_path, label):
    text = f"key,label\na,0\nb,{label}\n"
    [problem] = problems_of(tmp_path, text, classes="x\ny\nz\n")
    assert (problem.row, problem.column, problem.code) == (3, "label", "label_range")
    as_json = json_lines({"key": "a", "label": 0}) + f'{{"key": "b", "label": {label}}}\n'
    [problem] = problems_of(tmp_path, as_json, classes="x\ny\nz\n")
    assert (problem.row, problem.code) == (2, "label_range")


def test_b054_without_a_class_list_absurd_labels_are_refused(tmp_path):
    assert codes_of(tmp_path, "key,label\na,0\nb,60000\n") == ["label_range"]


def test_b055_labels_counted_from_one_get_a_hint(tmp_path):
    text = "key,label\na,1\nb,2\nc,3\nd,3\n"
    [problem] = problems_of(tmp_path, text, classes="x\ny\nz\n")
    assert (problem.row, problem.code) == (4, "label_base")
    assert "start at 0" in problem.message
    assert "counted from 1" in load_text(tmp_path, text).notices[0]


def test_b057_a_name_that_two_classes_share_is_refused_but_their_index_is_not(tmp_path):
    classes = "crane\ndog\ncrane\n"
    assert codes_of(tmp_path, "key,label\na,dog\nb,crane\n", classes) == ["ambiguous_name"]
    assert [item.label for item in load_text(tmp_path, "key,label\na,0\nb,2\n", classes).items] == [
        0,
        2,
    ]


def test_b057_a_class_called_by_another_number_makes_that_label_ambiguous(tmp_path):
    assert codes_of(tmp_path, "key,label\na,1\n", classes="1\n2\n3\n") == ["ambiguous_name"]
    assert load_text(tmp_path, "key,label\na,1\n", classes="0\n1\n2\n").items[0].label == 1


NOT_AN_INDEX = ["3.0", "1_000", "٣", " 7 ", "+7", "0x1", "1e3", "NaN", "", "07", "-0", "1 ", "²"]


@pytest.mark.parametrize("label", NOT_AN_INDEX)
def test_b059_only_plain_digits_are_an_index(tmp_path, label):
    assert codes_of(tmp_path, f"key,label\na,{label}\n") == ["label"]


@settings(max_examples=300, deadline=None)
@given(label=st.text(max_size=6))
def test_b059_whatever_is_accepted_reads_back_as_the_same_text(tmp_path_factory, label):
    output = io.StringIO()
    csv.writer(output, lineterminator="\n").writerows([["key", "label"], ["a", label]])
    path = tmp_path_factory.mktemp("labels") / "manifest.csv"
    path.write_text(output.getvalue(), encoding="utf-8", errors="surrogatepass", newline="")
    try:
        loaded = load_dataset("manifest", path)
    except ImportRefused:
        return
    assert str(loaded.items[0].label) == label


@pytest.mark.parametrize("label", ["true", "3.0", "null", '{"a": 1}'])
def test_b059_json_labels_of_another_type_are_refused(tmp_path, label):
    assert codes_of(tmp_path, f'{{"key": "a", "label": {label}}}') == ["label"]


def test_b061_an_item_without_its_image_is_refused_with_its_row(tmp_path):
    [problem] = problems_of(tmp_path, "key,label,image\na,0,a.jpg\nb,0,\n")
    assert (problem.row, problem.code) == (3, "missing_image")


@pytest.mark.parametrize("label", ["0", "1"])
def test_b062_a_repeated_key_is_refused_whatever_its_label(tmp_path, label):
    [problem] = problems_of(tmp_path, f"key,label\na,0\nb,1\na,{label}\n")
    assert (problem.row, problem.column, problem.code) == (4, "key", "dup_id")
    assert "row 2" in problem.message


def test_b042_keys_that_are_equal_after_normalisation_are_refused(tmp_path):
    names = [unicodedata.normalize(form, "é") for form in ("NFC", "NFD")]
    assert codes_of(tmp_path, f"key,label\n{names[0]},0\n{names[1]},0\n") == ["dup_id"]


@pytest.mark.parametrize("label", ["1;2", "0|1", "[0, 1]"])
def test_b063_several_labels_are_refused(tmp_path, label):
    assert codes_of(tmp_path, f'key,label\na,"{label}"\n') == ["multilabel_unsupported"]
    assert codes_of(tmp_path, '{"key": "a", "label": [0, 1]}') == ["multilabel_unsupported"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        ("\ufeff", "empty"),
        (" \n \n", "empty"),
        ("key,label\n", "empty"),
        ("a.jpg,0\nb.jpg,1\n", "unknown_column"),
    ],
)
def test_b071_nothing_a_header_alone_and_no_header_are_refused(tmp_path, text, code):
    assert code in codes_of(tmp_path, text)


@pytest.mark.parametrize(
    "text", ["\ufeffkey,label\na,0\n", '\ufeff{"key": "a", "label": 0}\n'], ids=["csv", "jsonl"]
)
def test_b072_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path, text):
    assert load_text(tmp_path, text).items[0].key == "a"


@pytest.mark.parametrize(
    ("content", "offset"),
    [
        ("key,label\na,0\n".encode("utf-16"), 0),
        ("key,label\na,0\n".encode("utf-16-le"), None),
        (b"key,label\ncaf\xe9,0\n", 13),
        (b"key,label\na\xed\xa0\x80,0\n", 11),
        (b"key,label\na,0\n" + b"x" * 2_000_000 + b",0\n\xff", 2_000_017),
        (b"key,label\na,\xc3", 12),
    ],
    ids=["utf-16", "utf-16 without mark", "latin-1", "surrogate", "late", "cut"],
)
def test_b073_other_encodings_are_refused_with_the_byte(tmp_path, content, offset):
    [problem] = problems_of(tmp_path, content)
    assert problem.code == ("encoding" if offset is not None else "nul")
    if offset is not None:
        assert f"byte {offset}" in problem.message


def test_b073_half_a_surrogate_pair_written_as_an_escape_is_refused(tmp_path):
    assert codes_of(tmp_path, r'{"key": "\ud800", "label": 0}') == ["encoding"]


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_b074_all_line_endings_are_read(tmp_path, end):
    loaded = load_text(tmp_path, end.join(["key,label", "a,0", "b,1"]))
    assert [item.key for item in loaded.items] == ["a", "b"]


def test_b074_mixed_line_endings_are_read(tmp_path):
    assert len(load_text(tmp_path, "key,label\r\na,0\rb,1\nc,1").items) == 3


def test_b075_nul_is_refused_with_its_row(tmp_path):
    [problem] = problems_of(tmp_path, b"key,label\na,0\nb\0,1\n")
    assert (problem.row, problem.code) == (3, "nul")
    assert codes_of(tmp_path, r'{"key": "a\u0000", "label": 0}') == ["nul"]


@pytest.mark.parametrize("length", [32_001, 140_000, 10_000_000])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_b076_fields_over_32_kilobytes_are_refused(tmp_path, length, kind):
    question = "x" * length
    if kind == "csv":
        text = f'key,label,question,choices\na,0,{question},"[""1"", ""2""]"\n'
    else:
        text = json_lines({"key": "a", "label": 0, "question": question, "choices": ["1", "2"]})
    assert codes_of(tmp_path, text) == ["field_too_long"]


def test_b076_a_field_of_exactly_the_limit_passes(tmp_path):
    row = {"key": "a", "label": 0, "question": "ü" * 16_000, "choices": ["1", "2"]}
    assert len(load_text(tmp_path, json_lines(row)).items[0].question) == 16_000
    row["question"] += "x"
    assert codes_of(tmp_path, json_lines(row)) == ["field_too_long"]


@pytest.mark.parametrize("n_behind", [1, 40_000], ids=["short", "longer than any field"])
def test_b077_an_unclosed_quote_is_refused_with_the_row_it_starts_on(tmp_path, n_behind):
    behind = "".join(f"c{number},1\n" for number in range(n_behind))
    [problem] = problems_of(tmp_path, f'key,label\na,0\n"b,1\n{behind}')
    assert (problem.row, problem.code) == (3, "quote")
    two = 'key,label,question,choices\na,0,"two\nlines","[""1"", ""2""]"\n"b,1\nc,1\n'
    [problem] = problems_of(tmp_path, two)
    assert (problem.row, problem.code) == (4, "quote")


def test_b076_b077_a_quote_that_ends_too_late_is_a_field_too_long(tmp_path):
    text = f'key,label\n"{"x," * 70_000}",0\n' + "c,1\n" * 9
    [problem] = problems_of(tmp_path, text)
    assert (problem.row, problem.code) == (2, "field_too_long")


@settings(max_examples=200, deadline=None)
@given(
    question=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    choices=st.lists(
        st.sampled_from(["None", "NA", "null", "nan", 'a"b', "x\ny", ","]), min_size=2
    ),
)
def test_b078_b082_text_survives_a_csv_exactly(tmp_path_factory, question, choices):
    choices = choices[:26]
    output = io.StringIO()
    writer = csv.writer(output)
    writer.writerow(["key", "label", "question", "choices"])
    writer.writerow(["a", "0", question, json.dumps(choices)])
    path = tmp_path_factory.mktemp("round") / "manifest.csv"
    path.write_text(output.getvalue(), encoding="utf-8", newline="")
    item = load_dataset("manifest", path).items[0]
    assert (item.question, list(item.choices)) == (question, choices)


@pytest.mark.parametrize(
    ("row", "code"), [("b", "ragged"), ("b,1,2", "ragged"), ("b;1", "ragged"), ("b\t1", "ragged")]
)
def test_b079_ragged_rows_are_refused_with_their_row(tmp_path, row, code):
    [problem] = problems_of(tmp_path, f"key,label\na,0\n{row}\n")
    assert (problem.row, problem.code) == (3, code)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("key,label,key", "duplicate_column"),
        ("key,label,colour", "unknown_column"),
        ("key,image", "missing_column"),
        ("Key,Label", "unknown_column"),
        ("key;label", "unknown_column"),
        ("key,label,question", "missing_column"),
    ],
)
def test_b080_columns_must_be_known_complete_and_given_once(tmp_path, header, code):
    assert code in codes_of(tmp_path, f"{header}\n{','.join('0' * (header.count(',') + 1))}\n")


def test_b080_json_rows_must_have_the_fields_of_the_first(tmp_path):
    rows = json_lines(
        {"key": "a", "label": 0}, {"key": "b"}, {"key": "c", "label": 0, "image": "c"}
    )
    assert codes_of(tmp_path, rows) == ["ragged", "ragged"]
    assert codes_of(tmp_path, '{"key": "a", "label": 0, "x": 1}') == ["unknown_column"]


def test_b081_a_hundred_thousand_columns_are_refused(tmp_path):
    header = ",".join(str(number) for number in range(100_000))
    assert codes_of(tmp_path, f"{header}\n") == ["too_many_columns"]


def test_b081_rows_are_streamed(tmp_path):
    path = tmp_path / "manifest.csv"
    with path.open("w") as file:
        file.write("key,label\n")
        file.writelines(f"item-{number:07d},{number % 10}\n" for number in range(40_000))
    tracemalloc.start()
    loaded = load_dataset("manifest", path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(loaded.items) == 40_000
    assert peak < 20_000_000  # a million rows stay below 500 MB


def test_b084_questions_have_two_to_twenty_six_choices_and_all_the_same_number(tmp_path):
    def question(key: str, n_choices: int, label: int = 0) -> dict:
        choices = [str(number) for number in range(n_choices)]
        return {"key": key, "label": label, "question": "?", "choices": choices}

    loaded = load_text(tmp_path, json_lines(question("a", 5, 4)))
    assert [each.name for each in loaded.classes] == list("ABCDE")
    assert codes_of(tmp_path, json_lines(question("a", 1))) == ["choice_count"]
    assert codes_of(tmp_path, json_lines(question("a", 27))) == ["choice_count"]
    assert codes_of(tmp_path, json_lines(question("a", 4), question("b", 3))) == ["choice_count"]
    assert codes_of(tmp_path, json_lines(question("a", 4)), "x\ny\n") == ["choice_count"]
    assert codes_of(tmp_path, json_lines(question("a", 4, 4))) == ["label_range"]


@pytest.mark.parametrize("choices", ['"x"', '["x", 1]', "null", '{"a": "b"}'])
def test_choices_are_a_list_of_texts(tmp_path, choices):
    row = f'{{"key": "a", "label": 0, "question": "?", "choices": {choices}}}'
    [code] = codes_of(tmp_path, row)
    assert code in {"choices", "json"}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('{"key": "a", "label": NaN}', "number"),
        ('{"key": "a", "label": -Infinity}', "number"),
        ('{"key": "a", "key": "b", "label": 0}', "duplicate_column"),
        ('{"key": "a", "label": ' + "[" * 100_000 + "]" * 100_000 + "}", "nesting"),
        ('{"key": "a", "label": ' + "9" * 5_000 + "}", "number"),
    ],
    ids=["NaN", "infinity", "repeated key", "deep", "huge"],
)
def test_b096_json_that_readers_differ_on_is_refused(tmp_path, line, code):
    [problem] = problems_of(tmp_path, '{"key": "z", "label": 0}\n' + line)
    assert (problem.row, problem.code) == (2, code)


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ('[{"key": "a", "label": 0}]', 1),
        ('{"key": "a", "label": 0}\n7\n', 2),
        ('{"key": "a", "label": 0,}\n', 1),
        ('{"key": "a", "label": 0}\n{"key": "b", "la', 2),
    ],
)
def test_b097_lists_scalars_and_cut_lines_are_refused_with_their_line(tmp_path, text, row):
    [problem] = problems_of(tmp_path, text)
    assert (problem.row, problem.code) == (row, "json")


def test_b098_other_formats_are_refused_by_content(tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("xl/workbook.xml", "x")
    contents = [gzip.compress(b"key,label\na,0\n"), packed.getvalue(), b"PAR1" + b"\0" * 40]
    for content in [*contents, b"\x80\x04\x95"]:
        assert codes_of(tmp_path, content) == ["format"]


def test_all_problems_are_listed_and_the_first_five_are_shown(tmp_path):
    with pytest.raises(ImportRefused) as refusal:
        load_text(tmp_path, "key,label\n" + "".join(f"k{row},x\n" for row in range(12)))
    lines = str(refusal.value).splitlines()
    assert lines[0].startswith("row 2, column label: 'x' is not a class index")
    assert (len(lines), lines[-1]) == (6, "and 7 more problems")


def test_reading_stops_at_a_thousand_problems(tmp_path):
    text = "key,label\n" + "".join(f"k{row},x\n" for row in range(3000))
    assert len(problems_of(tmp_path, text)) == 1000


def test_problems_found_before_a_file_breaks_off_are_kept(tmp_path):
    assert codes_of(tmp_path, 'key,label\na,x\n"b,0\n') == ["label", "quote"]


@pytest.mark.parametrize("classes", ["", "cat\n\ndog\n", "cat\n" + "x" * 256, "cat\nd\x1bog\n"])
def test_a_broken_class_list_is_refused(tmp_path, classes):
    assert set(codes_of(tmp_path, "key,label\na,0\n", classes)) <= {"empty", "class_name"}


def test_missing_files_and_unknown_formats_are_refused(tmp_path):
    for name in FORMATS:
        with pytest.raises(ImportRefused, match="none"):
            load_dataset(name, tmp_path / "none")
    with pytest.raises(ImportRefused, match="imagefolder, imagenet, jsonl-mcq, manifest"):
        load_dataset("excel", tmp_path)


def make_folder(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.fixture
def folder(tmp_path) -> Path:
    root = tmp_path / "images"
    root.mkdir()
    return root


def folder_codes(root: Path, **options) -> list[str]:
    with pytest.raises(ImportRefused) as refusal:
        load_dataset("imagefolder", root, **options)
    return [problem.code for problem in refusal.value.problems]


def test_an_image_folder_has_a_class_per_folder_and_items_in_natural_order(folder):
    make_folder(folder, "n02/10.jpg", "n02/2.jpg", "n02/sub/1.jpg", "n01/b.jpg", "n01/a.PNG")
    loaded = load_dataset("imagefolder", folder)
    assert [each.name for each in loaded.classes] == ["n01", "n02"]
    assert [(item.key, item.label) for item in loaded.items] == [
        ("n01/a.PNG", 0),
        ("n01/b.jpg", 0),
        ("n02/2.jpg", 1),
        ("n02/10.jpg", 1),
        ("n02/sub/1.jpg", 1),
    ]
    assert loaded.items[0].image == "n01/a.PNG"
    assert loaded.root == folder.resolve()


def test_b047_system_files_are_skipped_and_counted(folder):
    make_folder(folder, "a/1.jpg", "a/.DS_Store", "a/Thumbs.db", "a/._1.jpg", "__MACOSX/a/1.jpg")
    make_folder(folder, "README.txt", ".DS_Store")
    loaded = load_dataset("imagefolder", folder)
    assert [item.key for item in loaded.items] == ["a/1.jpg"]
    assert loaded.skipped == {"system files": 5, "files outside class folders": 1}


def test_b048_sixty_thousand_files_and_deep_folders_are_listed_quickly(folder):
    deep = "/".join(["d"] * 60)
    make_folder(folder, f"a/{deep}/x.jpg")
    for number in range(60_000):
        os.close(os.open(folder / "a" / f"{number}.jpg", os.O_CREAT | os.O_WRONLY))
    start, before = time.monotonic(), psutil.Process().memory_info().rss
    loaded = load_dataset("imagefolder", folder)
    assert time.monotonic() - start < 20
    assert psutil.Process().memory_info().rss - before < 200_000_000
    assert len(loaded.items) == 60_001
    assert [item.key for item in loaded.items[:3]] == ["a/0.jpg", "a/1.jpg", "a/2.jpg"]


def test_b049_an_empty_class_is_a_notice_and_an_unknown_folder_a_refusal(folder, tmp_path):
    make_folder(folder, "cat/1.jpg")
    (folder / "dog").mkdir()
    loaded = load_dataset("imagefolder", folder)
    assert loaded.notices == ("class 'dog' has no images",)
    classes = tmp_path / "classes.txt"
    classes.write_text("owl\ncat\n")
    assert folder_codes(folder, classes_file=classes) == ["unknown_class"]


def test_a_class_list_decides_the_order_of_the_classes(folder, tmp_path):
    make_folder(folder, "cat/1.jpg", "owl/1.jpg")
    classes = tmp_path / "classes.txt"
    classes.write_text("owl\ncat\n")
    loaded = load_dataset("imagefolder", folder, classes_file=classes)
    assert [(item.key, item.label) for item in loaded.items] == [("owl/1.jpg", 0), ("cat/1.jpg", 1)]
    classes.write_text("owl\ncat\nowl\n")
    assert folder_codes(folder, classes_file=classes) == ["ambiguous_name"]


def test_b040_linked_folders_are_not_followed_but_counted(folder):
    make_folder(folder, "a/1.jpg")
    (folder / "a" / "loop").symlink_to(folder)
    (folder / "out").symlink_to("/etc")
    loaded = load_dataset("imagefolder", folder)
    assert [item.key for item in loaded.items] == ["a/1.jpg"]
    assert loaded.skipped == {"linked folders": 2}


def test_b041_a_name_that_is_not_utf_8_becomes_an_item_that_no_picture_opens_for(folder):
    make_folder(folder, "a/1.jpg")
    os.close(os.open(os.fsencode(folder) + b"/a/\xff.jpg", os.O_CREAT | os.O_WRONLY))
    item = load_dataset("imagefolder", folder).items[-1]
    item.key.encode()
    with pytest.raises(UnusableImage, match="bad_name"):
        inspect(folder, item.image)


def test_b042_names_that_are_one_file_on_other_systems_are_refused(folder):
    make_folder(folder, "a/A.jpg", "a/a.jpg")
    assert folder_codes(folder) == ["dup_id"]
    (folder / "a" / "A.jpg").unlink()
    make_folder(folder, *(f"a/{unicodedata.normalize(form, 'é')}.jpg" for form in ("NFC", "NFD")))
    assert folder_codes(folder) == ["dup_id"]


def test_b050_b053_archives_are_refused_with_what_to_do(tmp_path):
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../a.jpg", b"x")
    with pytest.raises(ImportRefused, match="unpack it") as refusal:
        load_dataset("imagefolder", path)
    assert refusal.value.problems[0].code == "format"


def test_b051_b052_archives_of_any_kind_are_refused_unopened_by_every_format(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.csv", bytes(50_000_000))
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w") as nested:
            nested.writestr("a.csv", "key,label")
        archive.writestr("nested.zip", inner.getvalue())
    bomb = path.read_bytes()
    lying = bomb.replace((50_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    encrypted = bytearray(bomb)
    encrypted[6] |= 1
    for content in (bomb, lying, bytes(encrypted), bomb[: len(bomb) // 2]):
        path.write_bytes(content)
        tracemalloc.start()
        for name in FORMATS:
            with pytest.raises(ImportRefused):
                load_dataset(name, path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 25_000_000  # the libraries themselves; the zeros would be twice as much
    assert not list(tmp_path.rglob("*.csv"))


def test_folders_without_classes_or_images_are_refused(folder):
    assert folder_codes(folder) == ["empty"]
    (folder / "a").mkdir()
    assert folder_codes(folder) == ["empty"]
    make_folder(folder, "b\x1b/1.jpg")
    assert folder_codes(folder) == ["bad_name"]
