"""Prompts are the published ones to the byte, and stay what they were."""

from __future__ import annotations

import re

import jinja2
import pytest

from scoring.experts import Question, SolvedQuestion, UnknownExpertError
from scoring.experts.options import read_question_options, split_options
from scoring.experts.prompts import find_prompt, list_prompts

EXAMPLES = tuple(
    SolvedQuestion(f" Who wrote book {n}? ", ("Ann", "Bob", "None", "N/A"), n % 4) for n in range(5)
)
QUESTION = Question(
    "\nWhat is {question} in {{7*7}}?", ("{letter}", "NA", "null", " x "), "high_school_law", "k"
)

# Written once, when the template was published; a change needs a new version.
PUBLISHED = {
    "mmlu-original@1": "2b440db777a880f03c69e19ef187e31d966f024ab3e151beedf665246ad817ac",
    "mmlu-lm-eval@1": "35cf78c287be059797cf6ef47d2f03554e400822333e12c259e0bd18312836d0",
    "mmlu-continuation@1": "2768df61843fac978889e7e7493bd8d74378d4cee4e4146ace9a421ec28164a9",
    "mmlu-continuation@2": "001b92bbd0d3a8edc91007e29afef5098808bf658bc5ecf0479dee934dab3576",
}


def as_the_papers_authors_write_it(question, examples):
    """What evaluate.py of the paper does, said independently."""

    def example(text, choices, answer=None):
        lines = [text, *(f"{'ABCD'[j]}. {choice}" for j, choice in enumerate(choices)), "Answer:"]
        return "\n".join(lines) + (f" {'ABCD'[answer]}\n\n" if answer is not None else "")

    words = "".join(f" {word}" for word in question.subject.split("_"))
    start = f"The following are multiple choice questions (with answers) about {words}.\n\n"
    shown = "".join(example(each.question, each.choices, each.answer) for each in examples)
    return start + shown + example(question.question, question.choices)


def as_the_harness_writes_it(question, examples, template, targets, subject_line):
    """What lm-evaluation-harness does with a task's own templates: Jinja, blank, blank line."""
    write = jinja2.Environment(autoescape=False).from_string(template).render  # noqa: S701
    shown = "".join(
        f"{write(question=each.question, choices=each.choices)} {targets(each)}\n\n"
        for each in examples
    )
    asked = write(question=question.question, choices=question.choices)
    return subject_line + shown + asked


@pytest.mark.parametrize("shots", [0, 1, 5])
def test_the_original_prompt_is_the_papers(shots):
    question = Question(QUESTION.question, QUESTION.choices, QUESTION.subject, "k", EXAMPLES)
    written = find_prompt("mmlu-original").write_prompt(question, shots, "letters")
    assert written == as_the_papers_authors_write_it(question, EXAMPLES[:shots])


@pytest.mark.parametrize("shots", [0, 3])
def test_the_harness_prompt_is_the_harnesss(shots):
    question = Question(QUESTION.question, QUESTION.choices, QUESTION.subject, "k", EXAMPLES)
    written = find_prompt("mmlu-lm-eval").write_prompt(question, shots, "letters")
    assert written == as_the_harness_writes_it(
        question,
        EXAMPLES[:shots],
        "{{question.strip()}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nC. {{choices[2]}}\n"
        "D. {{choices[3]}}\nAnswer:",
        lambda each: "ABCD"[each.answer],
        "The following are multiple choice questions (with answers) about high school law.\n\n",
    )


@pytest.mark.parametrize("shots", [0, 3])
def test_the_continuation_prompt_is_the_harnesss(shots):
    question = Question(QUESTION.question, QUESTION.choices, QUESTION.subject, "k", EXAMPLES)
    written = find_prompt("mmlu-continuation").write_prompt(question, shots, "text")
    assert written == as_the_harness_writes_it(
        question,
        EXAMPLES[:shots],
        "Question: {{question.strip()}}\nAnswer:",
        lambda each: each.choices[each.answer],
        "The following are questions (with answers) about high school law.\n\n",
    )


def test_without_a_subject_the_prompt_names_none():
    question = Question("Who?", ("a", "b"))
    for name in list_prompts():
        written = find_prompt(name).write_prompt(question, 0, find_prompt(name).scoring)
        assert "about" not in written
        # A prompt that begins with the question itself costs small models much of what they know.
        assert re.match(r"The following are [a-z -]*questions \(with answers\)\.\n\n", written)
        assert "Who?" in written


def test_choices_continue_the_prompt_by_letter_or_by_text():
    prompt = find_prompt("mmlu-original")
    assert prompt.write_answers(("x", "None", "{answer}"), "letters") == [" A", " B", " C"]
    assert prompt.write_answers(("x", "None", "{answer}"), "text") == [" x", " None", " {answer}"]


def test_a_published_prompt_never_changes():
    hashes = {
        f"{name}@{version}": template.sha256
        for name, versions in list_prompts().items()
        for version, template in versions.items()
    }
    assert hashes == PUBLISHED


@pytest.mark.parametrize(
    "name", ["", "mmlu", "mmlu-original@2", "../mmlu-original", "MMLU-original"]
)
def test_an_unknown_prompt_is_refused_with_the_known_ones(name):
    with pytest.raises(UnknownExpertError, match=r"mmlu-original@1"):
        find_prompt(name)


def test_options_are_read_from_the_end_of_the_name():
    model, options = split_options(
        "/models/a,b=c/Llama,scoring=text,shots=5", {"scoring", "shots", "prompt"}
    )
    assert (model, options) == ("/models/a,b=c/Llama", {"scoring": "text", "shots": "5"})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("m,shot=5", "unknown option shot= in 'm,shot=5'; known: shots"),
        ("m,shots=5,shots=3", "twice"),
    ],
)
def test_unknown_and_repeated_options_are_refused(name, said):
    with pytest.raises(UnknownExpertError, match=re.escape(said)):
        split_options(name, {"shots"})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("letters", "mmlu-original", 0)),
        ({"scoring": "text"}, ("text", "mmlu-continuation", 0)),
        ({"prompt": "mmlu-continuation"}, ("text", "mmlu-continuation", 0)),
        ({"prompt": "mmlu-lm-eval@1", "shots": "5"}, ("letters", "mmlu-lm-eval", 5)),
        ({"prompt": "mmlu-original", "scoring": "text"}, ("text", "mmlu-original", 0)),
    ],
)
def test_a_prompt_brings_its_way_of_scoring_and_a_way_of_scoring_its_prompt(options, expected):
    read = read_question_options(options)
    assert (read.scoring, read.prompt.name, read.shots) == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scoring": "words"}, "letters, text"),
        ({"scoring": "letters", "prompt": "mmlu-continuation"}, "doesn't list the choices"),
        ({"shots": "-1"}, "from 0 to 100"),
        ({"shots": "101"}, "from 0 to 100"),
        ({"shots": "\u0665"}, "from 0 to 100"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, said):
    with pytest.raises(UnknownExpertError, match=said):
        read_question_options(options)
