"""A finding of the checkup: what was looked at, how it is, what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is: a problem stops something from working, a warning is about to."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `advice` says what to do, empty where all is well."""

    subject: str
    level: Level
    said: str
    advice: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the finding as a JSON document."""
        return {**asdict(self), "level": self.level.value}


def fine(subject: str, said: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(subject, Level.OK, said)


def warn(subject: str, said: str, advice: str) -> Finding:
    """Return a finding that something is about to go wrong, or weaker than it should be."""
    return Finding(subject, Level.WARNING, said, advice)


def problem(subject: str, said: str, advice: str) -> Finding:
    """Return a finding that something doesn't work."""
    return Finding(subject, Level.PROBLEM, said, advice)
