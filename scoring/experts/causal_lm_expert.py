"""A causal language model as an expert in multiple-choice questions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scoring.experts.base import (
    ExpertCard,
    ExpertRefused,
    InputProblem,
    Logits,
    Question,
    UnscorableInputsError,
)
from scoring.experts.devices import choose_device, choose_dtype, describe_device
from scoring.experts.names import ExpertName
from scoring.experts.options import MAX_BATCH_SIZE

CPU_TOKENS = 512
GPU_TOKENS = 32_768


class CausalLMExpert:
    """``transformers:MODEL[,scoring=letters|text][,prompt=NAME][,shots=N][,precision=...]``.

    ``letters``: the logits of the letters' tokens where the answer begins. ``text``: the mean
    log-likelihood per token of each choice's text, given the question. Either way a row of logits
    whose softmax are the choices' probabilities.
    """

    def __init__(
        self,
        name: ExpertName,
        *,
        weights_root: Path | None = None,  # noqa: ARG002 - the name was located when it was parsed
        device: str = "auto",
        batch_size: int | None = None,
    ) -> None:
        options = name.questions
        if name.weights is None or options is None:
            raise ExpertRefused("weights_missing", f"{name.text} names no language model")

        import tokenizers
        import torch
        import transformers

        from scoring.experts.causal_lm_weights import load_language_model
        from scoring.experts.question_tokens import QuestionTokenizer
        from scoring.experts.token_forward import TokenForward

        self.takes = name.takes
        where = choose_device(device)
        loaded = load_language_model(name.weights, choose_dtype(options.precision, where))
        model = loaded.model.to(where)
        self._scoring = options.scoring
        self._n_context = int(model.config.get_text_config(decoder=True).max_position_embeddings)
        self._questions = QuestionTokenizer(loaded.tokenizer, options)
        self._forward = TokenForward(
            model,
            where,
            max_tokens=CPU_TOKENS if where.type == "cpu" else GPU_TOKENS,
            max_rows=batch_size or MAX_BATCH_SIZE,
        )
        if options.scoring == "letters":
            self._questions.letter_tokens(2)
        self.card = ExpertCard(
            name=name.text,
            n_classes=None,
            weights_sha256=loaded.weights_sha256,
            transform={
                "scoring": options.scoring,
                "prompt": options.prompt.to_json(),
                "shots": options.shots,
                "tokenizer_sha256": loaded.tokenizer_sha256,
                "context": self._n_context,
                "precision": options.precision,
            },
            device=describe_device(where),
            libraries={
                "torch": str(torch.__version__),
                "transformers": str(transformers.__version__),
                "tokenizers": str(tokenizers.__version__),
            },
        )

    def predict(self, inputs: Sequence[Question]) -> Logits:
        """Return float32 logits (n_questions, n_choices), NaN where a question has fewer choices.

        A question longer than the model's context is refused, never cut; so is one that does not
        fit into the device's memory alone.
        """
        n_choices = max((len(each.choices) for each in inputs), default=0)
        logits = np.full((len(inputs), n_choices), np.nan, dtype=np.float32)
        groups, problems = self._questions.ask(inputs, self._n_context)
        if self._scoring == "letters":
            letters = self._questions.letter_tokens(n_choices) if groups else []
            too_large = self._forward.score_letters(groups, letters, logits)
            for row, each in zip(logits, inputs, strict=True):
                row[len(each.choices) :] = np.nan
        else:
            too_large = self._forward.score_texts(groups, logits)
        if too_large and len(too_large) == sum(map(len, groups)):
            message = f"not one question fits into the memory of {self.card.device}"
            raise ExpertRefused("out_of_memory", message)
        problem = InputProblem("out_of_memory", "does not fit into the device's memory alone")
        problems = {**problems, **dict.fromkeys(too_large, problem)}
        if problems:
            raise UnscorableInputsError(problems, logits)
        return logits
