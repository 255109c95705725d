"""Questions as token sequences: what the model reads once, and what each choice adds to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from string import ascii_uppercase
from typing import Any

from scoring.experts.base import ExpertRefused, InputProblem, Question
from scoring.experts.options import QuestionOptions
from scoring.experts.prompts import MAX_CHOICES

Tokens = tuple[int, ...]

# Added tokens that act as roles or ends although their tokenizer doesn't call them special.
_CONTROL = re.compile(r"<\|.*\|>|\[/?[A-Z_]+\]|</?s>|<(start|end)_of_\w+>")


@dataclass(frozen=True, slots=True)
class Branch:
    """What one choice adds to the question: its tokens, of which the last ``n_scored`` count."""

    tokens: Tokens
    n_scored: int


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """One question as tokens: a trunk that all choices share, and a branch each where text counts.

    ``place`` is the question's among the inputs. The first ``n_shared`` tokens of the trunk stand
    in front of other questions too.
    """

    place: int
    trunk: Tokens
    branches: tuple[Branch, ...]
    n_shared: int

    @property
    def n_new(self) -> int:
        """How many tokens the model still reads once the shared ones are read."""
        return len(self.trunk) - self.n_shared + sum(len(each.tokens) for each in self.branches)

    @property
    def n_longest(self) -> int:
        """How many tokens stand one after the other at most."""
        return len(self.trunk) + max((len(each.tokens) for each in self.branches), default=0)


class QuestionTokenizer:
    """Writes questions by a prompt and turns the text into tokens, special ones as plain text."""

    def __init__(self, tokenizer: Any, options: QuestionOptions) -> None:
        self._tokenizer = tokenizer
        self._options = options
        self._beginning = self._find_beginning()
        self._control = self._find_control_tokens()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's tokens, with whatever the model expects at the beginning.

        ``split_special_tokens``: a question may hold the text of a role or an end, not the token.
        """
        if not texts:
            return []
        encoded = self._tokenizer(
            list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False
        )
        return [[*self._beginning, *ids] for ids in encoded["input_ids"]]

    def letter_tokens(self, n_choices: int) -> list[int]:
        """Return the token of each letter after a prompt; raises ``ExpertRefused`` without one."""
        letters = ascii_uppercase[:n_choices]
        answers = self._options.prompt.write_answers(tuple(letters), "letters")
        ending = self._options.prompt.question.rpartition("}")[2]
        before, *after = self.encode([ending, *(ending + answer for answer in answers)])
        tokens: dict[int, str] = {}
        for letter, ids in zip(letters, after, strict=True):
            if ids[:-1] != before:
                message = f"the letter {letter} is not one token of this model's tokenizer"
                raise ExpertRefused("option_tokens", f"{message}; try scoring=text")
            if ids[-1] in tokens:
                message = f"the letters {tokens[ids[-1]]} and {letter} are one and the same token"
                raise ExpertRefused("option_tokens", f"{message}; try scoring=text")
            tokens[ids[-1]] = letter
        return list(tokens)

    def ask(
        self, questions: Sequence[Question], n_context: int
    ) -> tuple[list[list[AskedQuestion]], dict[int, InputProblem]]:
        """Return the questions as tokens, grouped by what they share, and what can't be asked.

        Raises ``ExpertRefused`` where a subject has fewer examples than are to be shown.
        """
        groups: dict[Any, list[int]] = {}
        for place, question in enumerate(questions):
            self._options.check_examples(question)
            key = question.subject, question.examples[: self._options.shots]
            groups.setdefault(key, []).append(place)
        asked: list[list[AskedQuestion]] = []
        problems: dict[int, InputProblem] = {}
        for places in groups.values():
            group = []
            start = self._encode_start(questions[places[0]])
            for place in places:
                each = self._ask_one(questions[place], place, start)
                problem = each if isinstance(each, InputProblem) else _check_length(each, n_context)
                if problem is not None:
                    problems[place] = problem
                elif isinstance(each, AskedQuestion):
                    group.append(each)
            if group:
                asked.append(group)
        return asked, problems

    def _encode_start(self, question: Question) -> list[int]:
        shown = question.examples[: self._options.shots]
        scoring = self._options.scoring
        text = self._options.prompt.write_start(question.subject, shown, scoring)
        return self.encode([text])[0] if text else []

    def _ask_one(
        self, question: Question, place: int, start: Sequence[int]
    ) -> AskedQuestion | InputProblem:
        if not 2 <= len(question.choices) <= MAX_CHOICES:
            return InputProblem("choice_count", f"{len(question.choices)} choices")
        options = self._options
        text = options.prompt.write_prompt(question, options.shots, options.scoring)
        if options.scoring == "letters":
            whole = self.encode([text])
            trunk = whole[0]
        else:
            answers = options.prompt.write_answers(question.choices, options.scoring)
            whole = self.encode([text, *(text + answer for answer in answers)])
            trunk = _common_start(whole)
        if self._holds_control(whole):
            return InputProblem("special_token", "its text is a control token of this model")
        branches = tuple(
            Branch(tuple(ids[len(trunk) :]), len(ids) - len(whole[0])) for ids in whole[1:]
        )
        if not trunk or any(branch.n_scored < 1 for branch in branches):
            return InputProblem("empty_option", "a choice adds no token to the question")
        n_shared = min(len(_common_start([start, trunk])), len(trunk) - 1)
        return AskedQuestion(place, tuple(trunk), branches, n_shared)

    def _holds_control(self, sequences: Sequence[Sequence[int]]) -> bool:
        after = len(self._beginning)
        return any(not self._control.isdisjoint(ids[after:]) for ids in sequences)

    def _find_beginning(self) -> list[int]:
        """Return what the tokenizer puts in front of a text of its own accord, such as ``<s>``."""
        whole = self._tokenizer("a")["input_ids"]
        plain = self._tokenizer("a", add_special_tokens=False)["input_ids"]
        for n_before in range(len(whole) - len(plain) + 1):
            if whole[n_before : n_before + len(plain)] == plain:
                return list(whole[:n_before])
        return []

    def _find_control_tokens(self) -> set[int]:
        added = self._tokenizer.added_tokens_decoder
        return {
            index
            for index, token in added.items()
            if token.special or _CONTROL.fullmatch(str(token))
        }


def _check_length(asked: AskedQuestion, n_context: int) -> InputProblem | None:
    if asked.n_longest <= n_context:
        return None
    detail = f"{asked.n_longest} tokens with its prompt, the model reads {n_context}"
    return InputProblem("too_long", detail)


def _common_start(sequences: Sequence[Sequence[int]]) -> list[int]:
    columns = zip(*sequences, strict=False)
    return [column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns)]
