"""Models that write an answer instead of choosing one, and what they are asked (Section 2.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol

from scoring.experts.base import InputProblem, UnknownExpertError
from scoring.experts.endpoints import Endpoint
from scoring.experts.registry import parse_expert
from scoring.judge_prompts import fill_prompt

TokenValues = Literal["token_logits", "token_logprobs"]

WRITERS: Mapping[str, str] = {
    "endpoint": "scoring.experts.endpoint_writer.EndpointWriter",
    "transformers": "scoring.experts.causal_lm_writer.CausalLMWriter",
}
# A prompt's name carries its version: the text under a name never changes.
WRITING_PROMPTS: Mapping[str, str] = {
    "question-1": "<question>",
    "number-1": (
        "<question>\n\nThink step by step. End with a line that holds #### and then the answer, "
        "a number."
    ),
    "option-1": (
        "<question>\n<options>\n\nThink step by step. End with: The answer is X. Instead of X "
        "write the letter of the right option."
    ),
}
_NO_ENDPOINTS: Mapping[str, Endpoint] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class WrittenAnswer:
    """An answer, and what the model gave each token it consists of; an end token isn't one."""

    text: str
    token_values: tuple[float, ...]


class AnswerWriter(Protocol):
    """A model that writes the likeliest next token. ``values``: what each token is told with."""

    @property
    def values(self) -> TokenValues: ...

    def write(
        self, prompts: Sequence[str], max_tokens: int
    ) -> Iterator[WrittenAnswer | InputProblem]:
        """Yield an answer to each prompt, in order, or why there is none."""
        ...


def write_prompt(name: str, question: str, choices: Sequence[str]) -> str:
    """Return what a model is asked about one item."""
    return fill_prompt(WRITING_PROMPTS[name], question, choices)


def load_writer(
    name: str,
    *,
    weights_root: Path | None = None,
    endpoints: Mapping[str, Endpoint] = _NO_ENDPOINTS,
    device: str = "auto",
) -> AnswerWriter:
    """Return the language model that an expert's name means, to write answers with."""
    parsed = parse_expert(name, weights_root=weights_root, endpoints=endpoints)
    if parsed.backend not in WRITERS or parsed.questions is None:
        known = " and ".join(f"{backend}:" for backend in WRITERS)
        raise UnknownExpertError(f"{name!r} writes no answers; language models of {known} do")
    module, _, attribute = WRITERS[parsed.backend].rpartition(".")
    writer: AnswerWriter = getattr(import_module(module), attribute)(parsed, device=device)
    return writer
