"""Written answers are the likeliest tokens one after the other, with what the model gave each."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from scoring.experts import ExpertRefused, InputProblem, UnknownExpertError
from scoring.experts.endpoints import parse_endpoints
from scoring.experts.writers import WRITING_PROMPTS, load_writer, write_prompt
from tests.language_server import CONTEXT, MODEL

PROMPTS = ["Why?", "What is 3 + 4, and which river flows through Cairo?", "A", "Why?"]
N_TOKENS = 6


@pytest.fixture(scope="session")
def local(tiny_model_folder):
    return load_writer(f"transformers:{tiny_model_folder}", device="cpu")


def served(language_server, setting: str):
    endpoints = parse_endpoints(f"tiny={language_server.url},{MODEL},patience=0,{setting}")
    return load_writer("endpoint:tiny", endpoints=endpoints)


def greedy(model, text: str, *, whole: bool = True) -> tuple[str, list[float], list[float]]:
    """The text that a loop over the model writes, its tokens' logits and log-probabilities."""
    ids = model.encode(text, whole=whole)
    logits, told = [], []
    for number in range(N_TOKENS):
        row = model.logits(ids)[-1]
        chosen = int(row.argmax())
        if chosen == model.tokenizer.eos_token_id:
            break
        logits.append(float(row[chosen]))
        told.append(float(row.log_softmax(0)[chosen]))
        ids.append(chosen)
        assert len(logits) == number + 1
    made = ids[len(ids) - len(logits) :]
    return model.tokenizer.decode(made, skip_special_tokens=True), logits, told


def as_chat(model, prompt: str) -> str:
    return model.chat_prompt([{"role": "user", "content": prompt}])


def test_a_model_on_this_machine_writes_its_likeliest_tokens_with_their_logits(local, tiny_model):
    answers = list(local.write(PROMPTS, N_TOKENS))
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        text, logits, _ = greedy(tiny_model, as_chat(tiny_model, prompt), whole=False)
        assert answer.text == text
        np.testing.assert_allclose(answer.token_values, logits, atol=1e-4)
    assert answers[0] == answers[3]


def test_a_served_model_writes_the_same_with_log_probabilities(language_server, tiny_model):
    chat, plain = served(language_server, "form=chat"), served(language_server, "top=5")
    assert chat.values == plain.values == "token_logprobs"
    for prompt, reply, continued in zip(
        PROMPTS, chat.write(PROMPTS, N_TOKENS), plain.write(PROMPTS, N_TOKENS), strict=True
    ):
        text, _, told = greedy(tiny_model, as_chat(tiny_model, prompt), whole=False)
        assert reply.text == text
        np.testing.assert_allclose(reply.token_values[: len(told)], told, atol=1e-4)
        text, _, told = greedy(tiny_model, prompt)
        assert continued.text.removesuffix("<|end|>") == text
        np.testing.assert_allclose(continued.token_values[: len(told)], told, atol=1e-4)


def test_an_answer_ends_before_the_token_that_ends_it(local, tiny_model, monkeypatch):
    whole = [answer.token_values for answer in local.write(PROMPTS, N_TOKENS)]
    ids = tiny_model.encode(as_chat(tiny_model, PROMPTS[0]), whole=False)
    made = []
    for _ in range(N_TOKENS):
        made.append(int(tiny_model.logits([*ids, *made])[-1].argmax()))
    end = made[3]
    monkeypatch.setattr(local, "_ends", [end])
    first = next(iter(local.write(PROMPTS, N_TOKENS)))
    n_before = made.index(end)
    np.testing.assert_allclose(first.token_values, whole[0][:n_before], atol=1e-4)
    assert first.text == tiny_model.tokenizer.decode(made[:n_before])


def test_a_prompt_without_room_for_an_answer_is_refused_and_the_others_are_answered(local):
    long, short = local.write(["why? " * CONTEXT, "Why?"], N_TOKENS)
    assert isinstance(long, InputProblem)
    assert long.code == "too_long"
    assert short.text


def test_served_models_refuse_what_is_too_long_or_could_play_a_role(language_server):
    writer = served(language_server, "form=chat")
    long, role, good = writer.write(["why? " * CONTEXT, "<|im_start|>system", "Why?"], N_TOKENS)
    assert (long.code, role.code) == ("too_long", "special_token")
    assert good.text
    language_server.behaviour.gives_log_probabilities = False
    with pytest.raises(ExpertRefused, match="no log-probabilities"):
        list(writer.write(["Why?"], N_TOKENS))


def test_a_batch_that_does_not_fit_is_halved(local, monkeypatch):
    whole, sizes = local._generate, []

    def short_of_memory(rows, max_tokens):
        sizes.append(len(rows))
        if len(rows) > 1:
            raise RuntimeError("CUDA out of memory")
        return whole(rows, max_tokens)

    expected = list(local.write(PROMPTS, N_TOKENS))
    monkeypatch.setattr(local, "_generate", short_of_memory)
    for one, other in zip(local.write(PROMPTS, N_TOKENS), expected, strict=True):
        assert one.text == other.text
        np.testing.assert_allclose(one.token_values, other.token_values, atol=1e-4)
    assert sizes == [4, 2, 1, 1, 2, 1, 1]


@pytest.mark.parametrize("name", ["timm:resnet18", "stub:4"])
def test_what_writes_no_answers_is_refused(name):
    with pytest.raises(UnknownExpertError, match="writes no answers"):
        load_writer(name)


def test_prompts_show_the_question_and_its_options():
    assert write_prompt("question-1", "Why <options>?", ()) == "Why <options>?"
    asked = write_prompt("option-1", "Which?", ("yes", "no"))
    assert asked.startswith("Which?\nA. yes\nB. no\n\nThink")
    assert write_prompt("number-1", "How many?", ()).startswith("How many?\n\nThink step by step.")


def test_the_text_under_a_name_never_changes():
    digests = {
        name: hashlib.sha256(text.encode()).hexdigest()[:16]
        for name, text in WRITING_PROMPTS.items()
    }
    assert digests == {
        "question-1": "0b6387d8dfddaa03",
        "number-1": "d2833142999328fd",
        "option-1": "d5d368775074c3ef",
    }
