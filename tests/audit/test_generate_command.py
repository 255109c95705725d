"""A language model answers tasks in writing; the file of its answers makes scores for cascades."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from audit.models import Dataset, ScoreSet
from audit.score_store import open_scores
from scoring.experts.endpoints import parse_endpoints
from scoring.sequence_scores import sequence_scores
from scoring.verifiers import read_number
from tests.factories import make_dataset, make_questions
from tests.language_server import MODEL

pytestmark = pytest.mark.django_db
N_TASKS = 5


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "answers.jsonl"


@pytest.fixture
def tasks(settings, language_server, tmp_path) -> Dataset:
    setting = f"tiny={language_server.url},{MODEL},patience=0,parallel=1,form=chat"
    settings.ENDPOINTS = parse_endpoints(setting)
    path = tmp_path / "tasks.jsonl"
    rows = [{"key": f"t{n}", "question": f"What is {n} + 2?"} for n in range(N_TASKS)]
    path.write_text("\n".join(map(json.dumps, rows)))
    call_command("import_dataset", "sums", path, "--format", "tasks", stdout=StringIO())
    return Dataset.objects.get()


def generate(dataset: Dataset, out: Path, *options: str, expert: str = "endpoint:tiny") -> dict:
    stdout = StringIO()
    command = ["generate", dataset.slug, expert, "--out", str(out), "--json"]
    call_command(*command, "--max-tokens", "4", *options, stdout=stdout, stderr=StringIO())
    return json.loads(stdout.getvalue())


def lines_of(out: Path) -> list[dict]:
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_every_task_is_answered_and_the_answers_make_scores(tasks, out, tmp_path):
    assert generate(tasks, out)["answers"] == N_TASKS
    lines = lines_of(out)
    assert [line["key"] for line in lines] == [f"t{n}" for n in range(N_TASKS)]
    assert {line["prompt"] for line in lines} == {"number-1"}
    references = tmp_path / "references.csv"
    right = [read_number(line["answer"]) for line in lines]
    references.write_text(
        "key,reference\n"
        + "".join(f"t{n},{7 if answer is None else answer}\n" for n, answer in enumerate(right))
    )
    arguments = ["sums", "tiny", out, "--kind", "generations", "--verifier", "number"]
    with pytest.raises(CommandError, match="no number"):
        call_command("import_scores", *arguments, stdout=StringIO())
    call_command("import_scores", *arguments, "--references", references, stdout=StringIO())
    rows = np.array(open_scores(ScoreSet.objects.get().pk)[0:N_TASKS])
    expected = sequence_scores([line["token_logprobs"] for line in lines])
    np.testing.assert_allclose(rows[:, 0], expected, rtol=1e-6)
    assert rows[:, 1].tolist() == [float(answer is not None) for answer in right]


def test_a_model_on_this_machine_gives_logits_and_option_letters_are_compared(
    settings, tiny_model_folder, out
):
    dataset = make_questions(n_items=4)
    expert = f"transformers:{tiny_model_folder}"
    generate(dataset, out, "--prompt", "option-1", expert=expert)
    assert all(len(line["token_logits"]) > 0 for line in lines_of(out))
    arguments = [dataset.slug, "written", out, "--kind", "generations", "--verifier", "option"]
    call_command("import_scores", *arguments, stdout=StringIO())
    assert ScoreSet.objects.get().parameters["score"] == "mean_logit"


def test_a_stopped_run_goes_on_where_it_was_cut_off(tasks, out, language_server):
    language_server.behaviour.fails_after = 2
    with pytest.raises(CommandError, match="refuses its key"):
        generate(tasks, out)
    kept = lines_of(out)
    assert len(kept) == 2
    with out.open("a") as file:
        file.write('{"key": "t2", "answer": "cut o')
    language_server.behaviour.fails_after = None
    assert generate(tasks, out)["answered"] == N_TASKS - 2
    assert lines_of(out)[:2] == kept
    assert [line["key"] for line in lines_of(out)] == [f"t{n}" for n in range(N_TASKS)]
    assert generate(tasks, out)["answered"] == 0


def test_a_server_that_is_away_keeps_what_was_answered(tasks, out, language_server):
    language_server.behaviour.faults = [(503, {})]
    with pytest.raises(CommandError, match="run it again"):
        generate(tasks, out)
    assert generate(tasks, out)["answers"] == N_TASKS


def test_a_task_without_an_answer_says_why_and_has_no_score(tasks, out):
    tasks.items.filter(position=1).update(question="<|im_start|>system")
    assert generate(tasks, out)["empty"] == 1
    line = lines_of(out)[1]
    assert (line["answer"], line["token_logprobs"]) == ("", [])
    assert line["problem"].startswith("special_token")


def test_a_file_of_other_answers_is_not_added_to(tasks, out):
    generate(tasks, out)
    for options, said in ((["--prompt", "question-1"], "number-1"), (["--max-tokens", "5"], "4")):
        with pytest.raises(CommandError, match=f"made otherwise .*{said}"):
            generate(tasks, out, *options)
    out.write_text('{"answer": "mine"}\n')
    with pytest.raises(CommandError, match="row 1"):
        generate(tasks, out)
    with pytest.raises(CommandError, match="can't be read"):
        generate(tasks, out.parent)


def test_what_writes_or_asks_nothing_is_refused(tasks, out):
    with pytest.raises(CommandError, match="writes no answers"):
        generate(tasks, out, expert="stub:4")
    with pytest.raises(CommandError, match="holds pictures"):
        generate(make_dataset(), out)
    assert not out.exists()
