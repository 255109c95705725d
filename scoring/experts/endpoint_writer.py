"""A model behind a server as a writer of answers, with the log-probability of every token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from scoring.experts.base import ExpertRefused, InputProblem
from scoring.experts.endpoint_client import EndpointClient, RequestRefused
from scoring.experts.endpoint_protocol import (
    may_hold_control_token,
    name_refusal,
    read_continuation,
)
from scoring.experts.names import ExpertName
from scoring.experts.writers import TokenValues, WrittenAnswer


class EndpointWriter:
    """``endpoint:NAME``: continues a prompt, or replies to it where the endpoint is a chat."""

    values: TokenValues = "token_logprobs"

    def __init__(self, name: ExpertName, *, device: str = "auto") -> None:  # noqa: ARG002
        if name.endpoint is None:
            raise ExpertRefused("endpoint", f"{name.text} names no endpoint")
        self._endpoint = name.endpoint

    def write(
        self, prompts: Sequence[str], max_tokens: int
    ) -> Iterator[WrittenAnswer | InputProblem]:
        """Yield the answers in order, several prompts under way at once."""
        with EndpointClient(self._endpoint) as client:
            yield from client.each(partial(_write, client, max_tokens), prompts)


def _write(client: EndpointClient, max_tokens: int, prompt: str) -> WrittenAnswer | InputProblem:
    if may_hold_control_token(prompt):
        return InputProblem("special_token", "its text may be a control token of the model")
    try:
        text, values = read_continuation(client, prompt, max_tokens)
    except RequestRefused as refusal:
        return InputProblem(name_refusal(refusal), str(refusal))
    return WrittenAnswer(text, values)
