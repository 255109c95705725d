"""The page docs/reference/faults.md: a line for each fault, written by the campaign that ran it."""

from __future__ import annotations

import fcntl
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "faults.md"
HEAD = """# Faults, staged

Written by `python -m tests.faults.campaign --write`, which stages every fault once with real
processes: `manage.py worker`, the site, Redis and PostgreSQL servers of its own, files on a real
disk. Two stub experts score 200 pictures; calibration, queues and the audit's hash come after.
Claims run out after 4 s of silence here (30 s by default), and workers look for what crashes left
behind every second (every 5 s by default).

*Goes on* is the time from the end of the fault until the next piece of work is finished, *ends*
until the audit is ready, in seconds. *Same hash* says that every expert's logits are bit for bit,
and the audit's hash is, what an undisturbed run of the same data has, that every item was scored
once, that no file is left over, and that the log tells of no exception nobody handled. Where an
item itself is what breaks, all others have the same logits and that one says why it has none.
Times are those of a machine of two cores with much other work beside it. A fault without a line
was not run since the table was begun.

Several at once: `python -m tests.faults.soak` kills one of pool process, worker, web process, Redis
and PostgreSQL every 2 to 6 s, for a minute a seed, while three audits are scored and eight people
judge by HTTP, sending again with its key what isn't answered. Afterwards every audit's hash and
every expert's logits must be an undisturbed run's, all that was acknowledged stored once and
nothing else, no lease or claim left, no file half-written, the chain of verdicts whole, and no page
have answered 500. `--stack embedded` is the same on SQLite and a folder of messages.

| | fault | besides | goes on | ends | result |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Line:
    """What came of one fault; times are seconds since it was over, 0 where that means nothing."""

    number: str
    fault: str
    expectation: str
    recovered_after: float
    finished_after: float
    result: str
    notes: str
    took: float

    def __str__(self) -> str:
        goes_on, ends = self.times
        return (
            f"{self.number:7} {self.fault:66}{goes_on:>7}{ends:>7}  {self.result}  "
            f"{self.took:4.0f} s  {self.notes}"
        )

    @property
    def times(self) -> tuple[str, str]:
        """Return when work went on and when it ended, as they are told."""
        if not self.finished_after:
            return "-", "-"
        return f"{self.recovered_after:.1f}", f"{self.finished_after:.1f}"

    @property
    def row(self) -> str:
        """Return the line of the page."""
        result = f"{self.result}; {self.notes}" if self.notes else self.result
        cells = (self.number, self.fault, self.expectation, *self.times, result)
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def read_rows() -> dict[str, str]:
    """Return the page's lines by the fault's number."""
    if not PAGE.exists():
        return {}
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    numbered = {line.split("|")[1].strip(): line for line in lines if line.startswith("| ")}
    return {number: line for number, line in numbered.items() if number}


def write_line(numbers: Collection[str], line: Line) -> None:
    """Put a line in the page, keep those of the other faults there are, drop the rest."""
    with PAGE.open("a+", encoding="utf-8") as page:
        # Two campaigns may run at a time, each with faults of its own.
        fcntl.flock(page, fcntl.LOCK_EX)
        rows = read_rows() | {line.number: line.row}
        kept = "".join(f"{rows[number]}\n" for number in sorted(numbers) if number in rows)
        page.truncate(0)
        page.write(HEAD + kept)
