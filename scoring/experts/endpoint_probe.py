"""Finds out what a model server is good for: one small request for each use."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from scoring.experts.base import ExpertRefused, ExpertUnavailable
from scoring.experts.endpoint_client import EndpointClient, RequestRefused
from scoring.experts.endpoint_protocol import ask_chat, read_echo, read_first_token
from scoring.experts.endpoints import Endpoint

QUESTION = "What is the capital of France?\nA. Rome\nB. Paris\nC. Oslo\nD. Bern\nAnswer:"
SHORT_PATIENCE = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether the server serves one use, why (not), and how long the answer took."""

    use: str
    works: bool
    detail: str
    seconds: float


def probe_endpoint(endpoint: Endpoint) -> list[Finding]:
    """Return what the server can be used for: listing its models, letters, text, judging."""
    hurried = replace(endpoint, patience=min(endpoint.patience, SHORT_PATIENCE))
    uses: dict[str, Callable[[EndpointClient], str]] = {
        "models": list_models,
        "letters": _score_letters,
        "text": _score_text,
        "judge": _judge,
    }
    with EndpointClient(hurried) as client:
        return [_try(name, use, client) for name, use in uses.items()]


def list_models(client: EndpointClient) -> str:
    """Return that the endpoint's model is served; raises ``RequestRefused`` where it isn't."""
    listed = client.get("/models").get("data")
    names = [
        str(each.get("id"))
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict)
    ]
    if client.endpoint.model not in names:
        raise RequestRefused(
            f"{client.endpoint.model} is not among the served: {', '.join(names[:10])}"
        )
    return f"{client.endpoint.model} is served"


def _try(name: str, use: Callable[[EndpointClient], str], client: EndpointClient) -> Finding:
    started = time.perf_counter()
    try:
        works, detail = True, use(client)
    except (ExpertRefused, ExpertUnavailable, RequestRefused) as error:
        works, detail = False, str(error)
    return Finding(name, works, detail, time.perf_counter() - started)


def _score_letters(client: EndpointClient) -> str:
    top = read_first_token(client, QUESTION).top
    if not top:
        raise RequestRefused(f"no log-probabilities in its {client.endpoint.form} form")
    likeliest = max(top, key=lambda token: top[token])
    return f"{len(top)} log-probabilities a token; after a question, {likeliest!r} is the likeliest"


def _score_text(client: EndpointClient) -> str:
    return f"echoes a prompt, here of {len(read_echo(client, QUESTION).tokens)} tokens"


def _judge(client: EndpointClient) -> str:
    return f"replies {ask_chat(client, QUESTION, 16).text.strip()[:60]!r}"
