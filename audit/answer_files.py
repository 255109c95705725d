"""Files of written answers, one JSON object a line: `import_scores --kind generations` reads them.

Lines are only ever added, so that a run which was stopped goes on with the next task.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO


class AnswerFileError(ValueError):
    """The file holds something else than these answers, or can't be written."""


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """Where one model's answers go. ``facts`` (model, prompt, limit) stand on every line."""

    path: Path
    facts: Mapping[str, Any]

    def answered(self) -> set[str]:
        """Return the keys that have an answer; a last line that was cut off is taken away."""
        try:
            content = self.path.read_bytes() if self.path.exists() else b""
            whole = content.rfind(b"\n") + 1
            lines = content[:whole].splitlines()
            keys = {self._read_key(number, line) for number, line in enumerate(lines, start=1)}
            if whole < len(content):
                os.truncate(self.path, whole)
        except OSError as error:
            raise AnswerFileError(f"{self.path} can't be read: {error.strerror}") from error
        return keys

    def add(self, answers: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """Write each answer as it comes, and hand it on."""
        try:
            with self.path.open("a", encoding="utf-8") as file:
                for answer in answers:
                    self._write(file, answer)
                    yield answer
        except OSError as error:
            raise AnswerFileError(f"{self.path} can't be written: {error.strerror}") from error

    def _write(self, file: TextIO, answer: Mapping[str, Any]) -> None:
        # Escaped to ASCII, so that halves of surrogate pairs survive; one write a line.
        file.write(json.dumps({**answer, **self.facts}) + "\n")
        file.flush()

    def _read_key(self, number: int, line: bytes) -> str:
        try:
            found = json.loads(line)
            key = found["key"]
        except (ValueError, TypeError, KeyError) as error:
            raise AnswerFileError(f"{self.path}, row {number}: no answer of ours") from error
        different = [name for name, value in self.facts.items() if found.get(name) != value]
        if different:
            said = ", ".join(f"{name} {found.get(name)}" for name in different)
            raise AnswerFileError(f"{self.path} holds answers made otherwise ({said})")
        return str(key)
