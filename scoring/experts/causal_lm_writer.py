"""A causal language model on this machine as a writer of answers, with every token's logit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from scoring.experts.base import ExpertRefused, InputProblem
from scoring.experts.devices import choose_device, choose_dtype, is_out_of_memory, release_memory
from scoring.experts.names import ExpertName
from scoring.experts.writers import TokenValues, WrittenAnswer

if TYPE_CHECKING:
    import torch

CPU_ROWS = 4
GPU_ROWS = 32


class CausalLMWriter:
    """``transformers:MODEL``: always the token of the highest logit, and that logit.

    Prompts become one user's message where the model has a chat template. Prompts of like length
    are read together; a batch that doesn't fit the device's memory is halved.
    """

    values: TokenValues = "token_logits"

    def __init__(self, name: ExpertName, *, device: str = "auto") -> None:
        if name.weights is None or name.questions is None:
            raise ExpertRefused("weights_missing", f"{name.text} names no language model")

        from scoring.experts.causal_lm_weights import load_language_model

        self._device = choose_device(device)
        loaded = load_language_model(
            name.weights, choose_dtype(name.questions.precision, self._device)
        )
        self._model, self._tokenizer = loaded.model.to(self._device), loaded.tokenizer
        config = self._model.config.get_text_config(decoder=True)
        self._n_context = int(config.max_position_embeddings)
        self._ends = _end_tokens(self._model, self._tokenizer)
        self._n_rows = CPU_ROWS if self._device.type == "cpu" else GPU_ROWS

    def write(
        self, prompts: Sequence[str], max_tokens: int
    ) -> Iterator[WrittenAnswer | InputProblem]:
        """Yield the answers in order; a prompt that leaves no room for one is refused, not cut."""
        encoded = [self._encode(prompt) for prompt in prompts]
        answers: dict[int, WrittenAnswer | InputProblem] = {}
        fitting: list[int] = []
        for place, ids in enumerate(encoded):
            if len(ids) + max_tokens > self._n_context:
                detail = f"{len(ids)} tokens and {max_tokens} to come, at most {self._n_context}"
                answers[place] = InputProblem("too_long", detail)
            else:
                fitting.append(place)
        fitting.sort(key=lambda place: len(encoded[place]))
        for start in range(0, len(fitting), self._n_rows):
            places = fitting[start : start + self._n_rows]
            written = self._write_batch([encoded[place] for place in places], max_tokens)
            answers.update(zip(places, written, strict=True))
        yield from (answers[place] for place in range(len(prompts)))

    def _encode(self, prompt: str) -> list[int]:
        plain = {"split_special_tokens": True}  # a question may hold a role's text, not the token
        if self._tokenizer.chat_template is None:
            return list(self._tokenizer(prompt, **plain)["input_ids"])
        mark = "<prompt>"
        message = [{"role": "user", "content": mark}]
        chat = self._tokenizer.apply_chat_template(
            message, tokenize=False, add_generation_prompt=True
        )
        before, _, after = chat.partition(mark)
        parts = [
            self._tokenizer(text, add_special_tokens=False, **options)["input_ids"]
            for text, options in ((before, {}), (prompt, plain), (after, {}))
        ]
        return [token for part in parts for token in part]

    def _write_batch(self, rows: Sequence[list[int]], max_tokens: int) -> list[WrittenAnswer]:
        try:
            return self._generate(rows, max_tokens)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if len(rows) == 1:
                message = f"one prompt of {len(rows[0])} tokens does not fit into {self._device}"
                raise ExpertRefused("out_of_memory", message) from error
        release_memory(self._device)
        half = len(rows) // 2
        return [
            *self._write_batch(rows[:half], max_tokens),
            *self._write_batch(rows[half:], max_tokens),
        ]

    def _generate(self, rows: Sequence[list[int]], max_tokens: int) -> list[WrittenAnswer]:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        width, end = max(map(len, rows)), self._ends[0]
        ids = torch.tensor([[end] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        highest: list[torch.Tensor] = []

        def note(_: Any, logits: torch.Tensor) -> torch.Tensor:
            highest.append(logits.float().amax(1).cpu())
            return logits

        with torch.inference_mode():
            made = self._model.generate(
                ids.to(self._device),
                attention_mask=mask.to(self._device),
                # Not the model's own: its penalties and samplers would choose other tokens.
                generation_config=GenerationConfig(
                    do_sample=False,
                    max_new_tokens=max_tokens,
                    eos_token_id=self._ends,
                    pad_token_id=end,
                ),
                logits_processor=LogitsProcessorList([note]),
            )[:, width:].tolist()
        values = torch.stack(highest, dim=1).tolist()
        return [self._read(*row) for row in zip(made, values, strict=True)]

    def _read(self, tokens: list[int], values: list[float]) -> WrittenAnswer:
        ends = (place for place, token in enumerate(tokens) if token in self._ends)
        n_tokens = next(ends, len(tokens))
        text = self._tokenizer.decode(tokens[:n_tokens], skip_special_tokens=True)
        return WrittenAnswer(text, tuple(values[:n_tokens]))


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Return the tokens that end an answer: the model's own, and its tokenizer's."""
    named = getattr(model.generation_config, "eos_token_id", None)
    several = named if isinstance(named, list) else [named]
    ends = [token for token in [*several, tokenizer.eos_token_id] if token is not None]
    return list(dict.fromkeys(ends)) or [0]
