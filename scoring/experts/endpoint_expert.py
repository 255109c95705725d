"""A language model behind an OpenAI-compatible server as an expert in multiple-choice questions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx2
import numpy as np

from scoring.arrays import Floats, Mask
from scoring.experts.base import (
    BoundedPrediction,
    ExpertCard,
    ExpertRefused,
    InputProblem,
    Logits,
    Question,
    UnscorableInputsError,
)
from scoring.experts.endpoint_client import EndpointClient, RequestRefused
from scoring.experts.endpoint_protocol import (
    FirstToken,
    may_hold_control_token,
    name_refusal,
    read_echo,
    read_first_token,
)
from scoring.experts.names import ExpertName
from scoring.experts.option_tokens import find_options, plain_token
from scoring.experts.prompts import MAX_CHOICES

EXAMPLE = Question("What is the capital of France?", ("Rome", "Paris", "Oslo", "Bern"))
"""Asked once, to see what the server tells before all questions are asked."""


@dataclass(frozen=True, slots=True)
class _Scores:
    """One question's scores, and which of them are only upper bounds."""

    values: Floats
    is_bound: Mask


class EndpointExpert:
    """``endpoint:NAME[,scoring=letters|text][,prompt=NAME][,shots=N]``.

    ``letters``: the log-probabilities of the letters' tokens where the answer begins, from those
    that the server tells. One that isn't told is asked for on its own where the server can echo,
    else bounded from above. ``text``: the mean log-likelihood per token of each choice's text.
    """

    def __init__(
        self,
        name: ExpertName,
        *,
        weights_root: Path | None = None,  # noqa: ARG002 - one signature for all backends
        device: str = "auto",  # noqa: ARG002
        batch_size: int | None = None,  # noqa: ARG002
    ) -> None:
        if name.endpoint is None or name.questions is None:
            raise ExpertRefused("endpoint", f"{name.text} names no endpoint")
        endpoint, self._options = name.endpoint, name.questions
        if self._options.scoring == "text" and endpoint.form == "chat":
            message = f"endpoint {endpoint.name} is a chat: options' texts need form=completions"
            raise ExpertRefused("endpoint_form", message)
        self.takes = name.takes
        self._endpoint = endpoint
        with EndpointClient(endpoint) as client:
            self._echoes = endpoint.form == "completions" and self._try_echo(client)
            self._strips = self._options.scoring == "letters" and self._try_letters(client)
        self.card = ExpertCard(
            name=name.text,
            n_classes=None,
            weights_sha256="",  # the server doesn't tell
            transform={
                "model": endpoint.model,
                "form": endpoint.form,
                "top": endpoint.top,
                "scoring": self._options.scoring,
                "prompt": self._options.prompt.to_json(),
                "shots": self._options.shots,
                "echo": self._echoes,
                "strips_letters": self._strips,
            },
            device=f"endpoint {endpoint.name}",
            libraries={"httpx2": httpx2.__version__},
        )

    def predict(self, inputs: Sequence[Question]) -> Logits:
        """Return float32 logits (n_questions, n_choices), NaN where a question has fewer choices.

        Their softmax over a question's choices are the choices' probabilities.
        """
        found = self.predict_bounded(inputs)
        if found.problems:
            raise UnscorableInputsError(found.problems, found.logits)
        return found.logits

    def predict_bounded(self, inputs: Sequence[Question]) -> BoundedPrediction:
        """Return the logits, and which of them are bounded; several questions are asked at once."""
        n_choices = max((len(each.choices) for each in inputs), default=0)
        logits = np.full((len(inputs), n_choices), np.nan, dtype=np.float32)
        is_bounded = np.zeros(len(inputs), dtype=np.bool_)
        problems: dict[int, InputProblem] = {}
        # Connections last for one call: between two, the server may close them.
        with EndpointClient(self._endpoint) as client:
            for place, outcome in enumerate(client.each(partial(self._score, client), inputs)):
                if isinstance(outcome, InputProblem):
                    problems[place] = outcome
                else:
                    logits[place, : outcome.values.size] = outcome.values
                    is_bounded[place] = outcome.is_bound.any()
        return BoundedPrediction(logits, is_bounded, problems)

    def _score(self, client: EndpointClient, question: Question) -> _Scores | InputProblem:
        self._options.check_examples(question)
        if not 2 <= len(question.choices) <= MAX_CHOICES:
            return InputProblem("choice_count", f"{len(question.choices)} choices")
        options = self._options
        prompt = options.prompt.write_prompt(question, options.shots, options.scoring)
        answers = options.prompt.write_answers(question.choices, options.scoring)
        if may_hold_control_token("".join([prompt, *answers])):
            return InputProblem("special_token", "its text may be a control token of the model")
        try:
            if options.scoring == "text":
                return _score_texts(client, prompt, answers)
            return self._score_letters(client, prompt, answers)
        except RequestRefused as refusal:
            return InputProblem(name_refusal(refusal), str(refusal))

    def _score_letters(
        self, client: EndpointClient, prompt: str, answers: Sequence[str]
    ) -> _Scores | InputProblem:
        told = read_first_token(client, prompt)
        letters = [answer.strip() for answer in answers] if self._strips else answers
        scores = _Scores(*find_options(told.top, letters))
        if self._echoes:
            _ask_letters(client, prompt, answers, told, scores)
        if scores.is_bound.all():
            detail = f"no letter is among the {len(told.top)} likeliest"
            return InputProblem("option_tokens", detail)
        return scores

    def _try_echo(self, client: EndpointClient) -> bool:
        """Return whether the server echoes; where texts are scored it has to."""
        try:
            read_echo(client, self._example())
        except RequestRefused as refusal:
            if self._options.scoring == "text":
                raise self._refuse(str(refusal)) from refusal
        except ExpertRefused as refusal:
            if self._options.scoring == "text" or refusal.reason_code != "echo":
                raise
        else:
            return True
        return False

    def _try_letters(self, client: EndpointClient) -> bool:
        """Return whether letters are to be looked for without the blank before them.

        A reply begins with none, and some servers don't show it.
        """
        try:
            top = read_first_token(client, self._example()).top
        except RequestRefused as refusal:
            raise self._refuse(str(refusal)) from refusal
        if not top:
            raise self._refuse(
                f"no log-probabilities in its {self._endpoint.form} form; "
                "an expert can't be made of answers alone"
            )
        written = self._options.prompt.write_answers(EXAMPLE.choices, "letters")
        stripped = [letter.strip() for letter in written]
        if self._echoes:
            return read_echo(client, self._example() + written[0]).tokens[-1] == stripped[0]
        shows_blanks = any(re.match(r" \S", plain_token(token)) for token in top)
        is_as_written, is_stripped = (
            not find_options(top, letters)[1].all() for letters in (written, stripped)
        )
        if self._endpoint.form == "chat":
            return is_stripped or not is_as_written
        return is_stripped and not shows_blanks

    def _example(self) -> str:
        return self._options.prompt.write_prompt(EXAMPLE, 0, self._options.scoring)

    def _refuse(self, reason: str) -> ExpertRefused:
        return ExpertRefused("log_probabilities", f"endpoint {self._endpoint.name}: {reason}")


def _ask_letters(
    client: EndpointClient, prompt: str, answers: Sequence[str], told: FirstToken, scores: _Scores
) -> None:
    """Put exact log-probabilities in the place of bounds, by one request for each letter."""
    for place in np.flatnonzero(scores.is_bound).tolist():
        echo = read_echo(client, prompt + answers[place])
        last = echo.log_probabilities[-1]
        # A letter of several tokens has no first token of its own.
        if last is not None and len(echo.tokens) - 1 == told.n_prompt_tokens:
            scores.values[place], scores.is_bound[place] = last, False


def _score_texts(
    client: EndpointClient, prompt: str, answers: Sequence[str]
) -> _Scores | InputProblem:
    """Return the mean log-likelihood of the tokens that each answer adds to the prompt."""
    n_before = len(read_echo(client, prompt).tokens)
    values = np.empty(len(answers))
    for place, answer in enumerate(answers):
        added = read_echo(client, prompt + answer).log_probabilities[n_before:]
        known = [value for value in added if value is not None]
        if not known:
            return InputProblem("empty_option", "a choice adds no token to the question")
        values[place] = np.mean(known)
    return _Scores(values, np.zeros(values.size, dtype=np.bool_))
