"""Scores in tables, in logs and of the likeliest classes alone: by hand, and what is refused."""

from __future__ import annotations

import json
import os
from io import StringIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from scipy.special import log_softmax, softmax

from audit.loaders import ImportRefused
from audit.loaders.scores import LoadedScores, read_scores
from audit.models import ScoreSet
from audit.score_store import open_scores
from tests.factories import make_dataset

N_ITEMS, N_CLASSES = 8, 5
KEYS = [f"k{number}" for number in range(N_ITEMS)]


def some_logits(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=3, size=(N_ITEMS, N_CLASSES)).round(3)


def read(path: Path, kind: str = "logits") -> LoadedScores:
    return read_scores(path, kind, N_ITEMS, N_CLASSES, KEYS)


def rows_of(scores: LoadedScores, chunk: int = 3) -> np.ndarray:
    return np.concatenate(list(scores.iter_rows(chunk)))


def problems_of(path: Path, kind: str = "logits") -> list[tuple[int | None, str]]:
    with pytest.raises(ImportRefused) as refusal:
        read(path, kind)
    return [(problem.row, problem.code) for problem in refusal.value.problems]


def write_csv(folder: Path, values: np.ndarray, keys=KEYS, names=None) -> Path:
    path = folder / "scores.csv"
    names = names or [f"class {index}" for index in range(values.shape[1])]
    lines = [",".join(["key", *names])]
    lines += [
        ",".join([key, *map(repr, row)]) for key, row in zip(keys, values.tolist(), strict=True)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_parquet(folder: Path, values: np.ndarray, keys=KEYS, names=None) -> Path:
    path = folder / "scores.parquet"
    names = names or [f"class {index}" for index in range(values.shape[1])]
    columns = {"key": keys} | {name: values[:, at] for at, name in enumerate(names)}
    parquet.write_table(pa.table(columns), path, row_group_size=3)
    return path


WRITERS = pytest.mark.parametrize("write", [write_csv, write_parquet])


@WRITERS
def test_tables_join_by_key_whatever_the_order_of_their_rows(tmp_path, write):
    logits, order = some_logits(), np.random.default_rng(1).permutation(N_ITEMS)
    path = write(tmp_path, logits[order], keys=[KEYS[place] for place in order])
    np.testing.assert_array_equal(rows_of(read(path)), logits.astype(np.float32))


@WRITERS
def test_columns_called_by_class_number_are_taken_by_number(tmp_path, write):
    logits, names = some_logits(), ["3", "0", "1", "4", "2"]
    path = write(tmp_path, logits[:, [3, 0, 1, 4, 2]], names=names)
    np.testing.assert_array_equal(rows_of(read(path)), logits.astype(np.float32))


@WRITERS
def test_tables_may_hold_probabilities(tmp_path, write):
    probabilities = softmax(some_logits(), axis=1)
    scores = read(write(tmp_path, probabilities), "probabilities")
    np.testing.assert_allclose(softmax(rows_of(scores), axis=1), probabilities, atol=1e-6)
    assert problems_of(write(tmp_path, probabilities)) == [(None, "kind")]


@WRITERS
def test_tables_of_another_size_or_without_keys_are_refused(tmp_path, write):
    logits = some_logits()
    assert problems_of(write(tmp_path, logits[:-1], keys=KEYS[:-1])) == [(None, "count_mismatch")]
    assert problems_of(write(tmp_path, logits[:, 1:])) == [(None, "class_count")]
    more = write(tmp_path, np.vstack([logits, logits[:1]]), keys=[*KEYS, "k8"])
    assert problems_of(more) == [(None, "count_mismatch")]
    assert (None, "missing_key") in problems_of(write(tmp_path, logits, keys=["x", *KEYS[1:]]))


@WRITERS
def test_values_that_are_not_finite_are_refused_with_their_row(tmp_path, write):
    logits = some_logits()
    logits[2, 1], logits[4, 0] = np.nan, 1e300
    assert problems_of(write(tmp_path, logits)) == [(2, "nonfinite"), (4, "nonfinite")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b,c,d,e\n", [(None, "missing_column")]),
        ("key,a,b,c,d,e\nk0,1,2,3,x,5\n", [(2, "number")]),
        ("key,a,b,c,d,e\nk0,1,2,3\n", [(2, "ragged")]),
        ('key,a,b,c,d,e\nk0,1,2,3,"4,5\n', [(2, "quote")]),
        ("PAR1", [(None, "format")]),
        ("", [(None, "empty")]),
    ],
)
def test_csv_that_is_irregular_is_refused_with_its_row(tmp_path, text, expected):
    path = tmp_path / "scores.csv"
    path.write_text(text)
    assert problems_of(path)[:1] == expected


def test_parquet_that_is_none_or_holds_no_numbers_is_refused(tmp_path):
    path = tmp_path / "scores.parquet"
    path.write_bytes(b"PAR1 and nothing behind it")
    assert problems_of(path) == [(None, "damaged")]
    names = [str(index) for index in range(N_CLASSES)]
    parquet.write_table(pa.table({"key": KEYS} | dict.fromkeys(names, ["a"] * N_ITEMS)), path)
    assert problems_of(path) == [(None, "dtype")]
    parquet.write_table(pa.table(dict.fromkeys(names, np.zeros(N_ITEMS))), path)
    assert problems_of(path) == [(None, "missing_column")]
    assert problems_of(tmp_path / "none.parquet") == [(None, "missing")]


def test_a_null_in_parquet_is_a_missing_number(tmp_path):
    path = tmp_path / "scores.parquet"
    columns = {str(index): pa.array([1.0, None] + [2.0] * 6) for index in range(N_CLASSES)}
    parquet.write_table(pa.table({"key": KEYS, **columns}), path)
    assert problems_of(path) == [(1, "nonfinite")]


def write_top_k(folder: Path, classes, probabilities, **others) -> Path:
    path = folder / "top.npz"
    np.savez(path, classes=classes, probabilities=probabilities, **others)
    return path


def top_of(probabilities: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    classes = np.argsort(-probabilities, axis=1)[:, :k]
    return classes, np.take_along_axis(probabilities, classes, axis=1)


def test_the_mass_of_unlisted_classes_is_spread_evenly_by_hand(tmp_path):
    classes = np.tile([3, 1], (N_ITEMS, 1))
    scores = read(write_top_k(tmp_path, classes, np.tile([0.6, 0.25], (N_ITEMS, 1))), "top-k")
    expected = np.tile(np.log([0.05, 0.25, 0.05, 0.6, 0.05]), (N_ITEMS, 1))
    np.testing.assert_allclose(rows_of(scores), expected, rtol=1e-6)
    assert (scores.n_items, scores.n_classes) == (N_ITEMS, N_CLASSES)
    assert scores.caveat in scores.notices
    assert "2 likeliest of 5 classes" in scores.caveat


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), k=st.integers(1, N_CLASSES))
def test_listed_classes_keep_their_probability_and_the_top_one_stays(tmp_path_factory, seed, k):
    probabilities = softmax(some_logits(seed), axis=1)
    classes, listed = top_of(probabilities, k)
    order = np.random.default_rng(seed).permutation(N_ITEMS)
    path = write_top_k(
        tmp_path_factory.mktemp("top"), classes[order], listed[order], keys=np.array(KEYS)[order]
    )
    found = softmax(rows_of(read(path, "top-k")), axis=1)
    np.testing.assert_allclose(np.take_along_axis(found, classes, axis=1), listed, atol=1e-5)
    np.testing.assert_array_equal(found.argmax(axis=1), classes[:, 0])


@pytest.mark.parametrize(
    ("classes", "probabilities", "code"),
    [
        ([[0, 5]], [[0.9, 0.05]], "class_count"),
        ([[0, -1]], [[0.9, 0.05]], "class_count"),
        ([[1, 1]], [[0.9, 0.05]], "duplicate_column"),
        ([[0, 1]], [[0.9, np.nan]], "probability_range"),
        ([[0, 1]], [[1.2, 0.0]], "probability_range"),
        ([[0, 1]], [[0.9, 0.4]], "probability_sum"),
        ([[0, 1]], [[0.2, 0.1]], "probability_sum"),
        ([[0, 1, 2, 3, 4]], [[0.2, 0.2, 0.2, 0.1, 0.1]], "probability_sum"),
        ([[0, 1, 2, 3, 4, 0]], [[0.2] * 6], "class_count"),
        ([[0.0, 1.0]], [[0.9, 0.05]], "dtype"),
        ([[0, 1, 2]], [[0.9, 0.05]], "shape"),
        ([0], [0.9], "shape"),
    ],
)
def test_lists_that_are_no_top_k_are_refused(tmp_path, classes, probabilities, code):
    rows = (np.repeat(np.array(part), N_ITEMS, axis=0) for part in (classes, probabilities))
    assert problems_of(write_top_k(tmp_path, *rows), "top-k")[0][1] == code


def test_top_k_needs_both_arrays_of_all_items(tmp_path):
    path = tmp_path / "top.npz"
    np.savez(path, classes=np.zeros((N_ITEMS, 1), int))
    assert problems_of(path, "top-k") == [(None, "format")]
    short = write_top_k(tmp_path, np.zeros((3, 1), int), np.ones((3, 1)))
    assert problems_of(short, "top-k") == [(None, "count_mismatch")]
    np.save(tmp_path / "top.npy", np.ones((N_ITEMS, N_CLASSES)))
    assert problems_of(tmp_path / "top.npy", "top-k") == [(None, "format")]


def sample_lines(likelihoods, targets=None, **extra) -> list[dict]:
    """Lines as lm-evaluation-harness 0.4.13 writes them: numbers in responses are text."""
    lines = []
    for number, row in enumerate(likelihoods):
        pairs = [[str(value), "False"] for value in row]
        target = targets[number] if targets is not None else 0
        lines.append(
            {
                "doc_id": number,
                "doc": {"question": "?"},
                "target": str(target),
                "arguments": {},
                "resps": [[pair] for pair in pairs],
                "filtered_resps": pairs,
                "filter": "none",
                "metrics": ["acc"],
                "acc": 1.0,
                **extra,
            }
        )
    return lines


def write_log(folder: Path, lines) -> Path:
    path = folder / "samples_mmlu.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_sample_log_gives_the_log_likelihood_of_every_choice(tmp_path):
    likelihoods = log_softmax(some_logits(), axis=1) - 3.0
    lines = sample_lines(likelihoods, targets=np.arange(N_ITEMS) % 5)
    np.random.default_rng(0).shuffle(lines)
    scores = read(write_log(tmp_path, lines))
    np.testing.assert_allclose(rows_of(scores), likelihoods, rtol=1e-6)
    assert scores.targets.tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    assert scores.notices == ()


def write_subject_log(folder: Path, task: str, likelihoods) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"samples_{task}_2026-11-25T23-18-02.723177.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in sample_lines(likelihoods)))
    return path


SUBJECTS = ["Biology", "college_biology", "Biology", "law"] * 2


def test_a_folder_of_logs_is_a_group_of_tasks_joined_by_subject(tmp_path):
    likelihoods = some_logits() - 20
    for task, subject in (
        ("mmlu_biology", "Biology"),
        ("mmlu_college_biology", "college_biology"),
        ("mmlu_law", "law"),
    ):
        places = [place for place, each in enumerate(SUBJECTS) if each == subject]
        write_subject_log(tmp_path / "model", task, likelihoods[places])
    loaded = read_scores(tmp_path, "logits", N_ITEMS, N_CLASSES, KEYS, SUBJECTS)
    np.testing.assert_allclose(rows_of(loaded), likelihoods, rtol=1e-6)


def test_subjects_need_one_log_each_and_problems_name_the_file(tmp_path):
    folder = tmp_path / "model"
    write_subject_log(folder, "mmlu_biology", some_logits()[:3])
    with pytest.raises(ImportRefused) as refusal:
        read_scores(folder, "logits", N_ITEMS, N_CLASSES, KEYS, SUBJECTS)
    # Of college_biology the log of biology tells nothing, and law has none at all.
    assert [problem.code for problem in refusal.value.problems] == ["missing_log"] * 2
    write_subject_log(folder, "mmlu_college_biology", some_logits()[:2])
    write_subject_log(folder, "mmlu_law", some_logits()[:2])
    with pytest.raises(ImportRefused, match=r"samples_mmlu_biology_.*: no document 3"):
        read_scores(folder, "logits", N_ITEMS, N_CLASSES, KEYS, SUBJECTS)


def test_older_logs_with_plain_numbers_or_raw_responses_only_are_read(tmp_path):
    likelihoods = some_logits() - 20
    lines = sample_lines(likelihoods, targets=["A"] * N_ITEMS)
    for line, row in zip(lines, likelihoods.tolist(), strict=True):
        line["filtered_resps"] = [[value, False] for value in row]
    scores = read(write_log(tmp_path, lines))
    np.testing.assert_allclose(rows_of(scores), likelihoods, rtol=1e-6)
    assert scores.targets is None
    for line in lines:
        del line["filtered_resps"]
    np.testing.assert_allclose(rows_of(read(write_log(tmp_path, lines))), likelihoods, rtol=1e-6)


def test_the_first_filter_counts_where_a_log_has_several(tmp_path):
    first = sample_lines(some_logits(0) - 20)
    second = sample_lines(some_logits(1) - 20, filter="other")
    scores = read(write_log(tmp_path, [*first, *second]))
    np.testing.assert_allclose(rows_of(scores), some_logits(0) - 20, rtol=1e-6)


def test_documents_with_fewer_choices_have_almost_nothing_on_the_others(tmp_path):
    rows = (some_logits() - 20).tolist()
    rows[2] = rows[2][:3]
    scores = read(write_log(tmp_path, sample_lines(rows)))
    assert softmax(rows_of(scores)[2])[3:].max() < 1e-11
    assert scores.notices == ("1 documents have fewer than 5 choices",)


def test_choices_repeated_without_their_question_are_left_out(tmp_path):
    twice = np.hstack([some_logits(0) - 20, some_logits(1)])
    scores = read(write_log(tmp_path, sample_lines(twice)))
    np.testing.assert_allclose(rows_of(scores), some_logits(0) - 20, rtol=1e-6)
    assert "left out of 8 documents" in scores.notices[0]


def change(number, **fields):
    def apply(lines):
        lines[number].update(fields)
        return lines

    return apply


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda lines: lines[:-1], (None, "missing_key")),
        (change(3, doc_id=2), (4, "dup_id")),
        (change(3, doc_id=8), (4, "unknown_key")),
        (change(3, doc_id="3"), (4, "unknown_key")),
        (change(0, filtered_resps=["The answer is A"]), (1, "format")),
        (change(0, filtered_resps=None, resps=None), (1, "format")),
        (change(1, filtered_resps=[["-1", "False"]]), (2, "class_count")),
        (change(1, filtered_resps=[["-1", "False"]] * 7), (2, "class_count")),
        (change(1, filtered_resps=[["-inf", "False"]] * 5), (1, "nonfinite")),
    ],
)
def test_logs_that_do_not_fit_are_refused_with_their_row(tmp_path, spoil, expected):
    path = write_log(tmp_path, spoil(sample_lines(some_logits() - 20)))
    assert problems_of(path)[0] == expected


def test_a_log_holds_logits_and_nothing_else(tmp_path):
    path = write_log(tmp_path, sample_lines(some_logits() - 20))
    assert problems_of(path, "probabilities") == [(None, "kind")]


def import_into(dataset, path: Path, *arguments: str) -> dict:
    out = StringIO()
    call_command("import_scores", dataset.slug, "expert", path, "--json", *arguments, stdout=out)
    return json.loads(out.getvalue())


@pytest.mark.django_db
def test_what_pages_must_say_of_top_k_scores_is_stored_with_them(tmp_path):
    dataset = make_dataset(n_items=4, n_classes=5)
    path = write_top_k(tmp_path, [[3, 1]] * 4, [[0.6, 0.25]] * 4)
    document = import_into(dataset, path, "--kind", "top-k")
    score_set = ScoreSet.objects.get()
    assert score_set.parameters["kind"] == "top-k"
    assert score_set.parameters["notice"] in document["notices"]
    np.testing.assert_allclose(np.exp(open_scores(score_set.pk)[0:1])[0, 3], 0.6, rtol=1e-6)


@pytest.mark.django_db
def test_a_log_of_other_items_is_noticed_by_its_targets(tmp_path):
    dataset = make_dataset(n_items=8, n_classes=5)
    right = np.arange(8) % 5
    swapped = np.append(right[1], right[1:])
    with pytest.raises(CommandError, match="given label of 0 of 8 items"):
        import_into(
            dataset, write_log(tmp_path, sample_lines(some_logits(), targets=(right + 1) % 5))
        )
    assert not ScoreSet.objects.exists()
    path = write_log(tmp_path, sample_lines(some_logits(), targets=swapped))
    document = import_into(dataset, path)
    assert document["notices"] == ["the log's target is the given label of 7 of 8 items"]


@pytest.mark.skipif("LABEL_AUDIT_TEST_DATA" not in os.environ, reason="no real data here")
def test_real_top_5_predictions_of_imagenet_are_read(tmp_path):
    data = np.load(Path(os.environ["LABEL_AUDIT_TEST_DATA"], "imagenet_val_top5.npz"))
    path = write_top_k(tmp_path, data["xception_keras_top5"], data["xception_keras_prob"])
    scores = read_scores(path, "top-k", 50_000, 1000, [])
    top1 = np.concatenate([rows.argmax(axis=1) for rows in scores.iter_rows()])
    assert (top1 == data["label"]).mean() == pytest.approx(0.7718, abs=1e-3)
