"""A model behind a server answers as it does at home, to the fourth digit of each probability."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from scoring.experts import (
    ExpertRefused,
    Question,
    SolvedQuestion,
    UnknownExpertError,
    UnscorableInputsError,
    load_expert,
    parse_expert,
)
from scoring.experts.base import ExpertUnavailable
from scoring.experts.endpoint_expert import EndpointExpert
from scoring.experts.endpoints import parse_endpoints
from scoring.experts.prompts import find_prompt
from tests.language_server import CONTEXT, MODEL

ALL_TOKENS = 400
EXAMPLES = tuple(SolvedQuestion(f"{n} + {n}?", (f"{2 * n}", f"{n}"), n % 2) for n in range(3))
QUESTIONS = [
    Question(
        f"What is {n} + 3?", tuple(str(n + k) for k in (3, 4, 8, 1)), "sums", f"q{n}", EXAMPLES
    )
    for n in range(8)
]


@pytest.fixture
def load(language_server):
    """Load an expert behind the server; the text is what follows its address in the settings."""
    language_server.behaviour.most_top = ALL_TOKENS

    def load_one(options: str = "", setting: str = f"top={ALL_TOKENS}") -> EndpointExpert:
        endpoints = parse_endpoints(f"tiny={language_server.url},{MODEL},patience=0,{setting}")
        return load_expert(f"endpoint:tiny{options}", endpoints=endpoints)

    return load_one


def letters_at_home(model, questions, prompt="mmlu-original", shots=0):
    """The option probabilities of the letters' tokens where the answer begins."""
    rows = []
    for question in questions:
        text = find_prompt(prompt).write_prompt(question, shots, "letters")
        told = model.log_probabilities(model.encode(text))[-1]
        letters = [
            model.encode(f" {letter}", whole=False) for letter in "ABCD"[: len(question.choices)]
        ]
        rows.append(softmax([float(told[token]) for (token,) in letters]))
    return np.array(rows)


def texts_at_home(model, questions):
    """The mean log-likelihood per token of each choice's text."""
    rows = []
    for question in questions:
        text = find_prompt("mmlu-continuation").write_prompt(question, 0, "text")
        before = model.encode(text)
        row = []
        for choice in question.choices:
            whole = model.encode(f"{text} {choice}")
            told = model.log_probabilities(whole)
            row.append(
                np.mean([float(told[n - 1, whole[n]]) for n in range(len(before), len(whole))])
            )
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("shots", [0, 2])
def test_letters_have_the_probabilities_they_have_at_home(load, tiny_model, shots):
    expert = load(f",shots={shots}")
    found = expert.predict_bounded(QUESTIONS)
    assert not found.is_bounded.any()
    expected = letters_at_home(tiny_model, QUESTIONS, shots=shots)
    np.testing.assert_allclose(softmax(found.logits, axis=1), expected, atol=1e-4)
    assert np.ptp(expected, axis=0).min() > 1e-4  # not one answer to all


def test_letters_that_are_not_told_are_asked_for_where_the_server_echoes(load, tiny_model):
    found = load(setting="top=2").predict_bounded(QUESTIONS)
    assert not found.is_bounded.any()
    expected = letters_at_home(tiny_model, QUESTIONS)
    np.testing.assert_allclose(softmax(found.logits, axis=1), expected, atol=1e-4)


def test_letters_that_are_not_told_are_bounded_and_marked_otherwise(
    load, tiny_model, language_server
):
    language_server.behaviour.echoes = False
    found = load(setting="top=2").predict_bounded(QUESTIONS)
    assert found.is_bounded.any()
    for place, question in enumerate(QUESTIONS):
        if place in found.problems:
            assert found.problems[place].code == "option_tokens"
            assert np.isnan(found.logits[place]).all()
            continue
        text = find_prompt("mmlu-original").write_prompt(question, 0, "letters")
        told = tiny_model.log_probabilities(tiny_model.encode(text))[-1]
        truth = [float(told[tiny_model.encode(f" {letter}", whole=False)[0]]) for letter in "ABCD"]
        assert (found.logits[place] >= np.array(truth) - 1e-4).all()


def test_a_chat_is_asked_for_the_letter_it_would_begin_with(load, tiny_model):
    found = load(setting=f"form=chat,top={ALL_TOKENS}").predict(QUESTIONS)
    expected = []
    for question in QUESTIONS:
        text = find_prompt("mmlu-original").write_prompt(question, 0, "letters")
        prompt = tiny_model.chat_prompt([{"role": "user", "content": text}])
        told = tiny_model.log_probabilities(tiny_model.encode(prompt, whole=False))[-1]
        letters = [tiny_model.encode(letter, whole=False)[0] for letter in "ABCD"]
        expected.append(softmax([float(told[letter]) for letter in letters]))
    np.testing.assert_allclose(softmax(found, axis=1), expected, atol=1e-4)


def test_texts_have_the_likelihoods_they_have_at_home(load, tiny_model):
    questions = [
        *QUESTIONS,
        Question("Which?", ("a longer answer", "no", "\u00e9t\u00e9 \U0001f600")),
    ]
    found = load(",scoring=text").predict(questions)
    for row, expected in zip(found, texts_at_home(tiny_model, questions[:8]), strict=False):
        np.testing.assert_allclose(row, expected, atol=1e-4)
    last = texts_at_home(tiny_model, questions[8:])[0]
    np.testing.assert_allclose(found[8, :3], last, atol=1e-4)
    assert np.isnan(found[8, 3])


@pytest.mark.parametrize("options", ["", ",shots=2", ",prompt=mmlu-lm-eval", ",scoring=text"])
def test_the_same_model_on_this_machine_gives_the_same_probabilities(
    load, tiny_model_folder, options
):
    at_home = load_expert(f"transformers:{tiny_model_folder}{options}", device="cpu")
    served, expected = load(options).predict(QUESTIONS), at_home.predict(QUESTIONS)
    np.testing.assert_allclose(softmax(served, axis=1), softmax(expected, axis=1), atol=1e-4)


def test_the_order_and_the_number_of_requests_at_a_time_change_nothing(load):
    expert = load(setting=f"top={ALL_TOKENS},parallel=1")
    one = expert.predict(QUESTIONS)
    many = load(setting=f"top={ALL_TOKENS},parallel=8").predict(QUESTIONS[::-1])
    np.testing.assert_array_equal(one, many[::-1])
    assert expert.predict([]).shape == (0, 0)


@pytest.mark.parametrize("echoes", [True, False])
def test_a_server_that_strips_blanks_from_tokens_is_understood(load, language_server, echoes):
    language_server.behaviour.strips_tokens = True
    language_server.behaviour.echoes = echoes
    expert = load()
    assert expert.card.transform["strips_letters"]
    assert np.isfinite(expert.predict(QUESTIONS)).all()


def test_the_card_says_what_decides_the_logits_and_no_key_or_address(load, language_server):
    card = load(",shots=2").card.to_json()
    assert card["transform"]["model"] == MODEL
    assert card["transform"]["prompt"]["name"] == "mmlu-original"
    assert card["transform"]["shots"] == 2
    assert language_server.url not in str(card)
    assert card["fingerprint"] != load(",shots=1").card.to_json()["fingerprint"]


def problem_of(load, question: Question) -> str:
    with pytest.raises(UnscorableInputsError) as refusal:
        load().predict([QUESTIONS[0], question])
    assert list(refusal.value.problems) == [1]
    assert np.isfinite(refusal.value.logits[0, :4]).all()
    return refusal.value.problems[1].code


def test_b092_a_question_longer_than_the_context_is_set_aside_and_the_others_are_scored(load):
    assert problem_of(load, Question("why? " * CONTEXT, ("a", "b"))) == "too_long"


@pytest.mark.parametrize("text", ["<|im_start|>system", "[INST] obey", "</s>", "<end_of_turn>"])
def test_b093_a_question_that_could_play_a_role_is_set_aside(load, text):
    assert problem_of(load, Question(f"What does {text} do?", ("a", "b"))) == "special_token"
    assert problem_of(load, Question("Which?", ("a", text))) == "special_token"


def test_a_question_with_too_many_choices_for_letters_is_set_aside(load):
    assert problem_of(load, Question("Which?", tuple(map(str, range(27))))) == "choice_count"


@pytest.mark.parametrize(
    ("behaviour", "options", "setting", "code", "said"),
    [
        ({"gives_log_probabilities": False}, "", "top=5", "log_probabilities", "answers alone"),
        ({"gives_log_probabilities": False}, "", "form=chat", "log_probabilities", "answers alone"),
        ({"echoes": False}, ",scoring=text", "top=5", "echo", "doesn't echo"),
        ({}, ",scoring=text", "form=chat", "endpoint_form", "form=completions"),
        ({"most_top": 5}, "", "top=20", "log_probabilities", "at most 5"),
        ({"models": ("other",)}, "", "top=5", "endpoint_path", "404"),
        ({"key": "right"}, "", "top=5", "endpoint_key", "refuses its key"),
    ],
)
def test_a_server_that_can_not_serve_is_refused_with_the_reason(
    load, language_server, behaviour, options, setting, code, said
):
    for name, value in behaviour.items():
        setattr(language_server.behaviour, name, value)
    with pytest.raises(ExpertRefused, match=said) as refusal:
        load(options, setting)
    assert refusal.value.reason_code == code


def test_too_few_examples_for_the_shots_refuse_the_expert(load):
    with pytest.raises(ExpertRefused, match="keeps 3 examples of 'sums'"):
        load(",shots=5").predict(QUESTIONS)


def test_a_server_that_goes_away_makes_the_expert_unavailable(load, language_server):
    expert = load()
    language_server.behaviour.faults = [(503, {})] * 20
    with pytest.raises(ExpertUnavailable, match="HTTP 503"):
        expert.predict(QUESTIONS)


def test_only_endpoints_of_the_settings_can_be_named():
    endpoints = parse_endpoints("tiny=http://h/v1,m")
    parsed = parse_expert("endpoint:tiny,scoring=text", endpoints=endpoints)
    assert parsed.takes == {"multiple_choice"}
    for name in ("endpoint:huge", "endpoint:http://h/v1", "endpoint:tiny,top=3"):
        with pytest.raises(UnknownExpertError):
            parse_expert(name, endpoints=endpoints)
    with pytest.raises(UnknownExpertError, match="there are: none"):
        parse_expert("endpoint:tiny")
