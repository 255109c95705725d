"""Every numbered case has a test that names it: bad inputs, releases and backups."""

from __future__ import annotations

import re
from pathlib import Path

from tests.matrix import NOT_RUN, all_rows, rows_in_code

TESTS = Path(__file__).parent
# Releases, backups, migrations, removal.
RELEASES_AND_BACKUPS = set(range(1, 19))


def test_every_numbered_bad_input_is_tried():
    numbered = {row for row in all_rows() if row.startswith("B")}
    assert numbered - set(rows_in_code()) - set(NOT_RUN) == set()


def test_every_numbered_case_of_releases_and_backups_is_tried():
    texts = [path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py")]
    names = "\n".join(re.findall(r"^ *def (test_\w+)", "\n".join(texts), re.MULTILINE))
    named = {int(number) for number in re.findall(r"_e(\d{2})_", names)}
    assert RELEASES_AND_BACKUPS - named == set()
