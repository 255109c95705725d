"""A judge model is asked in a fixed, named way; its reply is read or called unreadable."""

from __future__ import annotations

import hashlib

import pytest

from scoring.judge_prompts import JUDGE_PROMPTS, JudgeReply

CITIES = ["Rome", "Paris", "Oslo"]


def test_the_papers_prompt_shows_the_question_and_its_options_without_the_key():
    prompt = JUDGE_PROMPTS["answer-1"].fill("What is the capital of France?", CITIES, 2)
    assert prompt == (
        "Answer the following multiple-choice question.\n\n"
        "What is the capital of France?\nA. Rome\nB. Paris\nC. Oslo\n\n"
        "Answer with exactly one capital letter (A, B or C), without explanation."
    )
    assert JUDGE_PROMPTS["answer-1"].fill("What is the capital of France?", CITIES, 0) == prompt


def test_the_other_prompt_asks_about_the_key():
    prompt = JUDGE_PROMPTS["key-1"].fill("What is the capital of France?", CITIES, 2)
    assert "The author's answer is C. Oslo" in prompt


def test_a_question_that_looks_like_a_placeholder_stays_as_it_is():
    for prompt in JUDGE_PROMPTS.values():
        filled = prompt.fill("{x} <options> <letters> <question>", ["<key>", "%s"], 0)
        assert "{x} <options> <letters> <question>\nA. <key>\nB. %s" in filled


@pytest.mark.parametrize(
    ("prompt", "text", "expected"),
    [
        ("answer-1", "B", JudgeReply(choice=1)),
        ("answer-1", "(C)", JudgeReply(choice=2)),
        ("answer-1", "D", JudgeReply()),
        ("answer-1", "It depends.", JudgeReply()),
        ("answer-1", "", JudgeReply()),
        ("key-1", "Y", JudgeReply(opinion="right")),
        ("key-1", "N.", JudgeReply(opinion="wrong")),
        ("key-1", "U", JudgeReply(opinion="unsure")),
        ("key-1", "A", JudgeReply()),
        ("key-1", "Yes", JudgeReply()),
    ],
)
def test_replies_are_read_or_not_readable(prompt, text, expected):
    reply = JUDGE_PROMPTS[prompt].read(text, CITIES)
    assert reply == expected
    assert reply.is_readable == (expected != JudgeReply())


def test_the_text_under_a_name_never_changes():
    digests = {
        name: hashlib.sha256(prompt.text.encode()).hexdigest()[:16]
        for name, prompt in JUDGE_PROMPTS.items()
    }
    assert digests == {"answer-1": "b4e0c06c0796cec5", "key-1": "9a1bfbc1de43b0b8"}
