"""What a judge model is asked about a multiple-choice question, and how its reply is read.

A prompt's name carries its version: the text under a name never changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Literal

from scoring.verifiers import read_letter, read_option

Opinion = Literal["right", "wrong", "unsure"]

_PLACEHOLDER = re.compile("<(letters|key|options|question)>")
_KEY_REPLIES: dict[str, Opinion] = {"Y": "right", "N": "wrong", "U": "unsure"}


@dataclass(frozen=True, slots=True)
class JudgeReply:
    """What a reply says: the place of the choice it names, or its opinion of the key; or neither.

    Both are None where the reply can't be read.
    """

    choice: int | None = None
    opinion: Opinion | None = None

    @property
    def is_readable(self) -> bool:
        return self.choice is not None or self.opinion is not None


@dataclass(frozen=True, slots=True)
class JudgePrompt:
    """One way to ask. ``sees_key``: whether the judge is shown the given label."""

    name: str
    sees_key: bool
    text: str
    read: Callable[[str, Sequence[str]], JudgeReply]

    def fill(self, question: str, choices: Sequence[str], given_label: int) -> str:
        """Return the prompt for one question."""
        return fill_prompt(self.text, question, choices, given_label)


def fill_prompt(
    text: str, question: str, choices: Sequence[str], given_label: int | None = None
) -> str:
    """Return ``text`` with its placeholders filled: question, options, their letters, the key."""
    letters = ascii_uppercase[: len(choices)]
    listed = [f"{letter}. {each}" for letter, each in zip(letters, choices, strict=True)]
    parts = {
        "letters": f"{', '.join(letters[:-1])} or {letters[-1:]}",
        "key": "" if given_label is None else listed[given_label],
        "options": "\n".join(listed),
        "question": question,
    }
    # In one pass, so that a question that looks like a placeholder stays as it is.
    return _PLACEHOLDER.sub(lambda match: parts[match[1]], text)


def _read_choice(text: str, choices: Sequence[str]) -> JudgeReply:
    return JudgeReply(choice=read_option(text, choices))


def _read_opinion(text: str, choices: Sequence[str]) -> JudgeReply:  # noqa: ARG001 - as above
    return JudgeReply(opinion=_KEY_REPLIES.get(read_letter(text) or ""))


JUDGE_PROMPTS = {
    prompt.name: prompt
    for prompt in (
        # The paper's Appendix B.2 in words: the question with its options, the judge doesn't see
        # the key, one capital letter, no explanation.
        JudgePrompt(
            "answer-1",
            sees_key=False,
            text=(
                "Answer the following multiple-choice question.\n"
                "\n"
                "<question>\n"
                "<options>\n"
                "\n"
                "Answer with exactly one capital letter (<letters>), without explanation."
            ),
            read=_read_choice,
        ),
        JudgePrompt(
            "key-1",
            sees_key=True,
            text=(
                "Below is a multiple-choice question with the answer that its author holds for "
                "right.\n"
                "\n"
                "<question>\n"
                "<options>\n"
                "\n"
                "The author's answer is <key>\n"
                "\n"
                "Is it the one right answer? Reply with exactly one capital letter, without "
                "explanation: Y if it is, N if another option is right, or several are, or none "
                "is, U if you can't tell."
            ),
            read=_read_opinion,
        ),
    )
}
