"""Every numbered case has a test that names it: bad inputs, releases and backups."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
# Files, images and archives; CSV, JSON and questions; model files.
NUMBERS = {*range(1, 54), *range(71, 101), *range(130, 142)}


# Releases, backups, migrations, removal.
RELEASES_AND_BACKUPS = set(range(1, 19))


def named_in(text: str) -> set[int]:
    """The numbers of B001 and of B021_to_B028 in names of tests and ids of their parameters."""
    names = re.findall(r"^ *def (test_\w+)|\bid=\"(B\d{3})", text, re.MULTILINE)
    found: set[int] = set()
    for name in (function or parameter for function, parameter in names):
        found.update(int(number) for number in re.findall(r"B(\d{3})", name))
        for first, last in re.findall(r"B(\d{3})_to_B(\d{3})", name):
            found.update(range(int(first), int(last) + 1))
    return found


def test_every_numbered_bad_input_is_tried():
    texts = [path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py")]
    assert NUMBERS - set().union(*map(named_in, texts)) == set()


def test_every_numbered_case_of_releases_and_backups_is_tried():
    texts = [path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py")]
    names = "\n".join(re.findall(r"^ *def (test_\w+)", "\n".join(texts), re.MULTILINE))
    named = {int(number) for number in re.findall(r"_e(\d{2})_", names)}
    assert RELEASES_AND_BACKUPS - named == set()
