"""What is said to an OpenAI-compatible server, and how its log-probabilities are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scoring.experts.base import ExpertRefused
from scoring.experts.endpoint_client import Document, EndpointClient, RequestRefused

COMPLETIONS = "/completions"
CHAT = "/chat/completions"

_TOO_LONG = re.compile(
    r"context.?(length|window|size)|maximum.{0,20}tokens|too (long|many tokens)", re.IGNORECASE
)
_CONTROL = re.compile(r"<\|[^|>]*\|>|\[/?INST\]|</?s>|<(start|end)_of_\w+>")


@dataclass(frozen=True, slots=True)
class FirstToken:
    """The likeliest first tokens of an answer, as text, with their log-probabilities.

    ``n_prompt_tokens``: how long the prompt is in the server's tokens, where it says so.
    """

    top: Mapping[str, float]
    n_prompt_tokens: int | None


@dataclass(frozen=True, slots=True)
class Echo:
    """A text as the server's tokenizer cuts it.

    Each token has a log-probability after those before it; the first has none.
    """

    tokens: tuple[str, ...]
    log_probabilities: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a chat model answered, and what it cost."""

    text: str
    n_prompt_tokens: int | None
    n_reply_tokens: int | None


def may_hold_control_token(text: str) -> bool:
    """Return whether a server might read a part of ``text`` as a role or an end, not as text."""
    return _CONTROL.search(text) is not None


def name_refusal(refusal: RequestRefused) -> str:
    """Return the code of the reason why an item has no answer."""
    return "too_long" if _TOO_LONG.search(str(refusal)) else "endpoint_refused"


def read_first_token(client: EndpointClient, prompt: str) -> FirstToken:
    """Return the likeliest tokens after ``prompt``, in the endpoint's form.

    In a chat they are the first tokens of the reply to ``prompt``. There are none where the server
    tells no log-probabilities.
    """
    top = client.endpoint.top
    if client.endpoint.form == "chat":
        asked = _ask_user(client, prompt, 1)
        document = client.post(CHAT, {**asked, "logprobs": True, "top_logprobs": top})
    else:
        document = client.post(COMPLETIONS, {**_ask_plain(prompt, 1), "logprobs": top})
    told = _top_tokens(_first_choice(document).get("logprobs"))
    return FirstToken(told, _usage(document).get("prompt_tokens"))


def read_echo(client: EndpointClient, text: str) -> Echo:
    """Return ``text`` token by token; refuses a server that doesn't echo."""
    document = client.post(COMPLETIONS, {**_ask_plain(text, 1), "echo": True, "logprobs": 1})
    told = _first_choice(document).get("logprobs")
    n_prompt = _usage(document).get("prompt_tokens")
    tokens, values = (
        (told.get("tokens"), told.get("token_logprobs")) if isinstance(told, dict) else (None, None)
    )
    if not (
        isinstance(n_prompt, int)
        and isinstance(tokens, list)
        and isinstance(values, list)
        and len(tokens) == len(values) >= n_prompt > 0
        and all(isinstance(value, float | int) for value in values[1:])
    ):
        raise ExpertRefused(
            "echo",
            f"endpoint {client.endpoint.name} doesn't echo a prompt with its log-probabilities, "
            "which scoring the options' texts needs",
        )
    # The last token is the one it made; older servers can't be asked for none.
    return Echo(tuple(map(str, tokens[:n_prompt])), tuple(values[:n_prompt]))


def read_continuation(
    client: EndpointClient, prompt: str, max_tokens: int
) -> tuple[str, tuple[float, ...]]:
    """Return what the model writes after ``prompt`` and its tokens' log-probabilities."""
    if client.endpoint.form == "chat":
        asked = _ask_user(client, prompt, max_tokens)
        choice = _first_choice(client.post(CHAT, {**asked, "logprobs": True}))
        text = _message_text(choice)
    else:
        asked = {**_ask_plain(prompt, max_tokens), "logprobs": 1}
        choice = _first_choice(client.post(COMPLETIONS, asked))
        text = choice["text"] if isinstance(choice.get("text"), str) else ""
    values = _token_values(choice.get("logprobs"))
    if text and not values:
        name, form = client.endpoint.name, client.endpoint.form
        message = f"endpoint {name} returns no log-probabilities in its {form} form"
        raise ExpertRefused("log_probabilities", message)
    return text, values


def ask_chat(client: EndpointClient, prompt: str, max_tokens: int) -> Reply:
    """Return the reply to ``prompt`` at temperature 0."""
    document = client.post(CHAT, _ask_user(client, prompt, max_tokens))
    spent = _usage(document)
    return Reply(
        text=_message_text(_first_choice(document)),
        n_prompt_tokens=spent.get("prompt_tokens"),
        n_reply_tokens=spent.get("completion_tokens"),
    )


def _ask_plain(text: str, max_tokens: int) -> Document:
    return {"prompt": text, "temperature": 0, "max_tokens": max_tokens}


def _ask_user(client: EndpointClient, text: str, max_tokens: int) -> Document:
    messages = [{"role": "user", "content": text}]
    return {"messages": messages, "temperature": 0, client.endpoint.reply_limit: max_tokens}


def _message_text(choice: Document) -> str:
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, str) else ""


def _first_choice(document: Document) -> Document:
    choices = document.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise RequestRefused("the answer holds no choice")
    return dict(choices[0])


def _usage(document: Document) -> dict[str, int]:
    """Return what the server says it counted; what isn't a number is left out."""
    usage = document.get("usage")
    counted = usage.items() if isinstance(usage, dict) else ()
    return {name: value for name, value in counted if isinstance(value, int)}


def _top_tokens(told: Any) -> dict[str, float]:
    """Return the tokens at the first place of the answer, in whichever of the two shapes it has."""
    if not isinstance(told, dict):
        return {}
    content = told.get("content")
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return _read_pairs(content[0].get("top_logprobs"))
    places = told.get("top_logprobs")
    if isinstance(places, list) and places and isinstance(places[0], dict):
        listed = [{"token": token, "logprob": value} for token, value in places[0].items()]
        return _read_pairs(listed)
    return {}


def _token_values(told: Any) -> tuple[float, ...]:
    """Return the log-probability of every token made, in whichever of the two shapes they are."""
    if not isinstance(told, dict):
        return ()
    content = told.get("content")
    listed = (
        [each.get("logprob") if isinstance(each, dict) else None for each in content]
        if isinstance(content, list)
        else told.get("token_logprobs")
    )
    values = listed if isinstance(listed, list) else []
    return tuple(float(value) for value in values if isinstance(value, float | int))


def _read_pairs(listed: Any) -> dict[str, float]:
    top: dict[str, float] = {}
    for each in listed if isinstance(listed, list) else []:
        if not isinstance(each, dict):
            continue
        token, value = each.get("token"), each.get("logprob")
        if isinstance(token, str) and isinstance(value, float | int):
            # Different tokens may read alike: the likeliest is the one meant.
            top[token] = max(value, top.get(token, value))
    return top
