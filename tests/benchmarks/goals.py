"""One line of the table of goals."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the table: ``ours`` / ``peer`` should be at most ``limit``."""

    name: str
    ours: float
    peer: float
    limit: float
    unit: str = "s"

    def __str__(self) -> str:
        ratio = self.ours / self.peer
        verdict = "met" if ratio <= self.limit else "MISSED"
        return (
            f"{self.name:58}{self.ours:10.3f}{self.peer:10.3f} {self.unit:3}"
            f"{ratio:9.3f}  <= {self.limit:6.3f}  {verdict}"
        )
