"""A release opened from outside by the libraries that are here, as the documentation shows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reviews.decisions import Snapshot
from reviews.release_files import export_release
from tests.reviews.test_releases import make_judged_audit

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "examples" / "open_release.py"
FORMATS = ["csv", "hf", "hf-images", "cleanlab-csv", "real-json"]
SAID = """\
datasets: 7 rows, 3 classes, first 'class 2'
datasets-pictures: 7 rows, first a picture of (28, 28), labels [2]
cleanlab: fitted without the 3 issues of 8 rows
timm: 8 items, 100.0 % where every first label is answered
"""


@pytest.mark.django_db
def test_every_library_that_is_here_opens_what_the_documentation_says(tmp_path):
    audit = make_judged_audit()
    export_release(audit, "lenient", Snapshot.now(audit), tmp_path / "out", FORMATS)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "out"), "--root", str(audit.dataset.folder)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith(SAID)
    # The others aren't part of our environment; their files are not part of this release.
    assert done.stdout.count("left out") == 2
