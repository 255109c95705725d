"""Written answers: scored by their tokens, compared as numbers or options, never run."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from audit.loaders.base import ImportRefused
from audit.loaders.generations import Asked, read_generations
from audit.models import Dataset, ScoreSet
from audit.score_store import open_scores

TASKS = [Asked("t0"), Asked("t1"), Asked("t2")]
ROWS = [
    {"key": "t1", "answer": "so #### 7", "reference": "#### 8", "token_logits": [1.0, 3.0]},
    {"key": "t0", "answer": "It is 18.", "reference": "#### 18", "token_logits": [4]},
    {"key": "t2", "answer": "", "reference": "3", "token_logits": []},
]


def write(folder: Path, *lines: dict) -> Path:
    path = folder / "answers.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path


def refusals_of(path: Path, verifier: str = "number") -> list[tuple[int | None, str]]:
    with pytest.raises(ImportRefused) as refusal:
        read_generations(path, TASKS, verifier)
    return [(problem.row, problem.code) for problem in refusal.value.problems]


def test_answers_are_scored_by_their_mean_logit_and_compared_as_numbers(tmp_path):
    loaded = read_generations(write(tmp_path, *ROWS), TASKS, "number")
    np.testing.assert_array_equal(loaded.rows, [[4, 1], [2, 0], [np.nan, np.nan]])
    assert (loaded.score, loaded.unanswered) == ("mean_logit", (2,))
    assert loaded.notices == ("1 answers have no token and so no score",)


def test_a_harness_log_is_joined_by_document_and_its_own_verdict_compared(tmp_path):
    lines = [
        {
            "doc_id": number, "target": f"thus\n#### {number}", "filter": name,
            "resps": [[f"I get {answer}"]], "filtered_resps": ["ignored"], "exact_match": match,
            "token_logprobs": [-1.0, -2.0 - number],
        }
        for name, verdicts in (("strict", (1.0, 0.0, 1.0)), ("flexible", (0.0, 0.0, 0.0)))
        for number, (answer, match) in enumerate(zip((0, 1, 5), verdicts, strict=True))
    ]  # fmt: skip
    path = write(tmp_path, *lines)
    compared = read_generations(path, TASKS, "number")
    np.testing.assert_allclose(compared.rows, [[-1.5, 1], [-2, 1], [-2.5, 0]])
    assert compared.score == "mean_log_probability"
    assert "contradicts the file's own verdict on 2 of 3" in compared.notices[0]
    np.testing.assert_array_equal(read_generations(path, TASKS, "imported").rows[:, 1], [1, 0, 1])


@pytest.mark.parametrize(
    "told",
    [
        {"logprobs": {"token_logprobs": [-1.0, -3.0]}},
        {"logprobs": {"content": [{"logprob": -1.0}, {"logprob": -3.0}]}},
    ],
)
def test_a_servers_own_log_probabilities_are_read_in_both_shapes(tmp_path, told):
    path = write(tmp_path, {"key": "t0", "correct": True, **told})
    loaded = read_generations(path, [Asked("t0")], "imported")
    np.testing.assert_array_equal(loaded.rows, [[-2, 1]])


def test_options_are_compared_with_the_given_label(tmp_path):
    items = [Asked("q0", ("Rome", "Paris"), 1), Asked("q1", ("Oslo", "Bern"), 0)]
    path = write(
        tmp_path,
        {"key": "q0", "answer": "The answer is (B).", "token_logprobs": [-0.5]},
        {"key": "q1", "answer": "I can't tell", "token_logprobs": [-4.0]},
    )
    np.testing.assert_allclose(read_generations(path, items, "option").rows, [[-0.5, 1], [-4, 0]])
    assert refusals_of(path, "option") == [(None, "verifier")]


def test_a_program_is_never_run(tmp_path):
    trap = tmp_path / "trap"
    answer = f"open({str(trap)!r}, 'w')"
    line = {"key": "t0", "answer": answer, "token_logits": [1.0], "pass@1": 1}
    loaded = read_generations(write(tmp_path, line), [Asked("t0")], "imported")
    assert loaded.rows[0, 1] == 1
    assert not trap.exists()


def test_lines_that_can_not_be_used_are_refused_with_their_row(tmp_path):
    good = ROWS[1]
    no_verdict = {name: value for name, value in good.items() if name != "reference"}
    bad = [
        good,
        {**good},
        {**good, "key": "t9"},
        {**good, "key": ["t1"]},
        {"doc_id": 3, "answer": "1", "reference": "1", "token_logits": [1.0]},
        {**no_verdict, "key": "t1"},
        {**good, "key": "t2", "token_logits": ["high"]},
    ]
    assert refusals_of(write(tmp_path, *bad)) == [
        (2, "dup_id"),
        (3, "unknown_key"),
        (4, "unknown_key"),
        (5, "unknown_key"),
        (6, "reference"),
        (7, "token_values"),
    ]
    assert refusals_of(write(tmp_path, good)) == [(None, "missing_key")] * 2
    mixed = [{**row, "token_logprobs": row["token_logits"]} for row in ROWS]
    del mixed[0]["token_logits"]
    assert refusals_of(write(tmp_path, *mixed)) == [(None, "mixed")]
    assert refusals_of(write(tmp_path, *ROWS), "imported") == [
        (1, "verdict"),
        (2, "verdict"),
        (3, "verdict"),
    ]
    assert refusals_of(write(tmp_path, {**good, "correct": 0.5}), "imported")[0] == (1, "verdict")
    assert refusals_of(write(tmp_path, {"key": "t0", "reference": "1", "token_logits": [1]}))[
        0
    ] == (
        1,
        "missing_answer",
    )


@pytest.mark.django_db
def test_imported_answers_make_scores_for_cascades(tmp_path):
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text("".join(f'{{"key": "t{number}"}}\n' for number in range(3)))
    call_command("import_dataset", "maths", tasks, "--format", "tasks", stdout=StringIO())
    out = StringIO()
    arguments = ["maths", "small", write(tmp_path, *ROWS), "--kind", "generations"]
    call_command("import_scores", *arguments, "--verifier", "number", "--json", stdout=out)
    assert json.loads(out.getvalue())["notices"][0] == "1 answers are right"
    score_set = ScoreSet.objects.get()
    assert score_set.has_outcomes_only
    assert score_set.parameters["score"] == "mean_logit"
    assert score_set.parameters["verifier"] == "number"
    np.testing.assert_array_equal(open_scores(score_set.pk)[0:2], [[4, 1], [2, 0]])
    assert [each.item.key for each in score_set.unscorable.all()] == ["t2"]
    with pytest.raises(CommandError, match="no verdict"):
        call_command("import_scores", *arguments[:1], "other", *arguments[2:])
    assert Dataset.objects.get().score_sets.count() == 1
