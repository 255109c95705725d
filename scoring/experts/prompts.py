"""Prompts as data: a template by name and version, and the exact text a question becomes.

A template is one JSON file in ``prompts/``. To change a published prompt, add a file with the next
version; a name without a version means the newest.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Literal

from scoring.experts.base import Question, SolvedQuestion, UnknownExpertError

Scoring = Literal["letters", "text"]
"""How a choice is scored: by the first token of its letter, or by the likelihood of its text."""

SCORINGS: tuple[Scoring, ...] = ("letters", "text")
DEFAULTS: Mapping[Scoring, str] = {"letters": "mmlu-original", "text": "mmlu-continuation"}
MAX_CHOICES = len(ascii_uppercase)

_FOLDER = Path(__file__).with_name("prompts")
_FILE = re.compile(r"(?P<name>[a-z0-9-]+)-(?P<version>[1-9][0-9]*)")
_NAME = re.compile(r"(?P<name>[a-z0-9-]+)(@(?P<version>[1-9][0-9]{0,3}))?")
_FIELD = re.compile(r"\{(subject|question|choices|letter|choice|answer)\}")


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """How a question, its choices and solved examples become one text.

    A prompt is the description, then every example with its answer and ``separator`` after it, then
    the question. Fields in braces are replaced once, so braces in a question stay what they are.
    """

    name: str
    version: int
    source: str
    scoring: Scoring
    description: str
    description_without_subject: str
    question: str
    choice: str
    answer: str
    separator: str
    strips_question: bool

    @property
    def lists_choices(self) -> bool:
        """Whether the choices stand in the prompt, with their letters."""
        return "{choices}" in self.question

    @property
    def sha256(self) -> str:
        """The hash of everything in the template."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the template with its hash, as it is stored beside scores."""
        return asdict(self) | {"sha256": self.sha256}

    def write_prompt(self, question: Question, n_shots: int, scoring: Scoring) -> str:
        """Return the text up to where the answer begins."""
        start = self.write_start(question.subject, question.examples[:n_shots], scoring)
        return start + self._write_question(question)

    def write_start(
        self, subject: str, examples: tuple[SolvedQuestion, ...], scoring: Scoring
    ) -> str:
        """Return what all questions of a subject share: the description and the examples."""
        words = subject.replace("_", " ")
        template = self.description if words else self.description_without_subject
        parts = [_fill(template, subject=words)]
        for example in examples:
            answer = self.write_answers(example.choices, scoring)[example.answer]
            parts += [self._write_question(example), answer, self.separator]
        return "".join(parts)

    def write_answers(self, choices: tuple[str, ...], scoring: Scoring) -> list[str]:
        """Return how each choice continues the prompt: by its letter, or by its own text."""
        shown = ascii_uppercase[: len(choices)] if scoring == "letters" else choices
        return [_fill(self.answer, answer=each) for each in shown]

    def _write_question(self, question: Question | SolvedQuestion) -> str:
        text = question.question.strip() if self.strips_question else question.question
        lines = [
            _fill(self.choice, letter=letter, choice=choice)
            for letter, choice in zip(ascii_uppercase, question.choices, strict=False)
        ]
        return _fill(self.question, question=text, choices="".join(lines))


def find_prompt(name: str) -> PromptTemplate:
    """Return the template called ``NAME`` (its newest version) or ``NAME@VERSION``."""
    known = list_prompts()
    match = _NAME.fullmatch(name)
    versions = known.get(match["name"], {}) if match else {}
    wanted = int(match["version"]) if match and match["version"] else max(versions, default=0)
    if wanted not in versions:
        allowed = ", ".join(f"{each}@{max(known[each])}" for each in sorted(known))
        raise UnknownExpertError(f"there is no prompt {name!r}; known: {allowed}")
    return versions[wanted]


@cache
def list_prompts() -> dict[str, dict[int, PromptTemplate]]:
    """Return all templates by name and version."""
    found: dict[str, dict[int, PromptTemplate]] = {}
    for path in sorted(_FOLDER.glob("*.json")):
        template = _read_template(path)
        found.setdefault(template.name, {})[template.version] = template
    return found


def _read_template(path: Path) -> PromptTemplate:
    document = json.loads(path.read_text(encoding="utf-8"))
    expected = {field.name for field in fields(PromptTemplate)}
    if set(document) != expected:
        different = ", ".join(sorted(set(document) ^ expected))
        raise ValueError(f"{path}: fields missing or unknown: {different}")
    template = PromptTemplate(**document)
    match = _FILE.fullmatch(path.stem)
    if match is None or (template.name, template.version) != (match["name"], int(match["version"])):
        raise ValueError(f"{path} must be called NAME-VERSION.json after what it holds")
    return template


def _fill(template: str, **values: str) -> str:
    return _FIELD.sub(lambda match: values[match[1]], template)
