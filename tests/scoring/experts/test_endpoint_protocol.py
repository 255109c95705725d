"""Answers of servers are read in every shape they come in, and nonsense is no answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scoring.experts import ExpertRefused
from scoring.experts.endpoint_client import EndpointClient, RequestRefused
from scoring.experts.endpoint_protocol import (
    ask_chat,
    read_continuation,
    read_echo,
    read_first_token,
)
from scoring.experts.endpoints import Endpoint
from tests.language_server import MODEL, LanguageServer, serve_model


@pytest.fixture
def server() -> Iterator[LanguageServer]:
    with serve_model(None) as running:
        yield running


@pytest.fixture
def client(server) -> Iterator[EndpointClient]:
    with EndpointClient(Endpoint("tiny", server.url, MODEL, patience=0)) as opened:
        yield opened


def say(server: LanguageServer, choice: str, usage: str = "{}") -> None:
    """Have the server answer the next request like this; what is tried is how it is read."""
    server.behaviour.faults.append(f'{{"choices": [{choice}], "usage": {usage}}}')


LISTED = (
    '{"token": " A", "logprob": -0.5}, {"token": " B", "logprob": -9}, '
    '{"token": " B", "logprob": -1.5}, 7, {"token": 3}'
)


@pytest.mark.parametrize(
    "told",
    [
        '{"top_logprobs": [{" A": -0.5, " B": -1.5}]}',
        f'{{"content": [{{"token": " A", "top_logprobs": [{LISTED}]}}]}}',
    ],
)
def test_the_likeliest_tokens_are_read_in_both_shapes(server, client, told):
    say(server, f'{{"logprobs": {told}}}', '{"prompt_tokens": 5, "details": null}')
    first = read_first_token(client, "Why?")
    assert dict(first.top) == {" A": -0.5, " B": -1.5}
    assert first.n_prompt_tokens == 5


@pytest.mark.parametrize(
    "told", ["null", "{}", "[]", '{"content": []}', '{"top_logprobs": [null]}']
)
def test_log_probabilities_that_are_not_told_are_none(server, client, told):
    say(server, f'{{"logprobs": {told}}}')
    assert read_first_token(client, "Why?").top == {}


@pytest.mark.parametrize("choices", ["", "7"])
def test_an_answer_without_a_choice_is_refused(server, client, choices):
    say(server, choices)
    with pytest.raises(RequestRefused, match="no choice"):
        ask_chat(client, "Why?", 4)


def test_a_reply_without_text_is_empty(server, client):
    for choice in ("{}", '{"message": null}', '{"message": {"content": [{"type": "text"}]}}'):
        say(server, choice)
        assert ask_chat(client, "Why?", 4).text == ""


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ("null", '{"prompt_tokens": 1}'),
        ('{"tokens": ["a", "b"], "token_logprobs": [null, -1]}', "{}"),
        ('{"tokens": ["a"], "token_logprobs": [null, -1]}', '{"prompt_tokens": 1}'),
        ('{"tokens": ["a", "b"], "token_logprobs": [null, null]}', '{"prompt_tokens": 2}'),
        ('{"tokens": ["b"], "token_logprobs": [-1]}', '{"prompt_tokens": 2}'),
    ],
)
def test_what_is_no_echo_is_refused(server, client, told, usage):
    say(server, f'{{"logprobs": {told}}}', usage)
    with pytest.raises(ExpertRefused, match="doesn't echo"):
        read_echo(client, "ab")


def test_a_continuation_has_a_value_for_every_token_or_is_refused(server, client):
    say(server, '{"text": "ab", "logprobs": {"token_logprobs": [-1, -2.5]}}')
    assert read_continuation(client, "Why?", 4) == ("ab", (-1.0, -2.5))
    say(server, '{"text": ""}')
    assert read_continuation(client, "Why?", 4) == ("", ())
    say(server, '{"text": "ab", "logprobs": null}')
    with pytest.raises(ExpertRefused, match="no log-probabilities"):
        read_continuation(client, "Why?", 4)


def test_each_form_is_asked_in_its_own_words(server):
    chat = Endpoint(
        "tiny",
        server.url,
        MODEL,
        form="chat",
        top=3,
        reply_limit="max_completion_tokens",
        patience=0,
    )
    with EndpointClient(chat) as client:
        say(server, '{"message": {"content": "B"}}')
        ask_chat(client, "Why?", 4)
        say(server, '{"logprobs": null}')
        read_first_token(client, "Why?")
        say(server, '{"tokens": []}')
        with pytest.raises(ExpertRefused):
            read_echo(client, "Why?")
    replied, first, echoed = (body for _, body in server.behaviour.requests)
    assert replied == {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Why?"}],
        "temperature": 0,
        "max_completion_tokens": 4,
    }
    assert (first["top_logprobs"], first["logprobs"], first["max_completion_tokens"]) == (
        3,
        True,
        1,
    )
    assert (echoed["prompt"], echoed["echo"], echoed["max_tokens"]) == ("Why?", True, 1)
