"""The code that the documentation shows: its blocks, and the commands in them, line by line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
MANAGE = ".venv/bin/python manage.py"


def list_pages() -> list[Path]:
    """Return every page of the documentation, those beside `docs` included."""
    beside = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    pages = sorted((ROOT / "docs").rglob("*.md"))
    return [*beside, *(page for page in pages if "_build" not in page.parts)]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of one language on a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [code for tag, code in BLOCK.findall(text) if tag == language]


@dataclass(frozen=True, slots=True)
class Line:
    """One command as somebody would paste it; what is behind ` > ` is the file it writes."""

    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)

    @property
    def arguments(self) -> list[str] | None:
        """What a command of ours is called with, its name first; None if it is another program."""
        if f"{MANAGE} " not in self.text:
            return None
        words = self.words[self.words.index("manage.py") + 1 :]
        return words[: words.index(">")] if ">" in words else words

    @property
    def target(self) -> str | None:
        words = self.words
        return words[words.index(">") + 1] if ">" in words else None

    @property
    def variables(self) -> dict[str, str]:
        """Settings in front of the command."""
        leading: dict[str, str] = {}
        for word in self.words:
            name, is_setting, value = word.partition("=")
            if not is_setting or not name.isupper():
                break
            leading[name] = value
        return leading


def read_lines(page: str) -> Iterator[Line]:
    """Yield the commands of a page's `sh` blocks; one may go on over several lines."""
    for block in blocks(page, "sh"):
        waiting = ""
        for line in re.sub(r" \\\n *", " ", block).splitlines():
            waiting = f"{waiting}\n{line}" if waiting else line
            try:
                shlex.split(waiting, comments=True)
            except ValueError:  # a quote is still open
                continue
            if waiting.strip():
                yield Line(waiting)
            waiting = ""
        assert not waiting, f"{page}: a quote is never closed: {waiting}"
