"""The same release, to the byte, after its rows have moved from SQLite to PostgreSQL."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from django.core.management import call_command

from reviews.decisions import Snapshot
from reviews.release_files import export_release
from tests.reviews.test_release_formats import all_formats
from tests.reviews.test_releases import make_judged_audit

ROOT = Path(__file__).resolve().parents[2]
# What every database makes for itself.
OWN = ("contenttypes", "auth.permission", "sessions")


@pytest.mark.service
@pytest.mark.django_db
def test_e02_a_release_built_again_on_the_other_engine_is_the_same(
    tmp_path, fresh_home, postgresql_url
):
    audit = make_judged_audit()
    export_release(audit, "lenient", Snapshot.now(audit), tmp_path / "one", all_formats(audit))
    rows = tmp_path / "rows.xml"  # as JSON, times would lose their microseconds
    call_command("dumpdata", format="xml", output=str(rows), exclude=OWN, verbosity=0)
    with psycopg.connect(postgresql_url, autocommit=True) as server:
        server.execute("CREATE DATABASE other")
    other = re.sub(r"/postgres(?=\?|$)", "/other", postgresql_url)

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "manage.py", *map(str, arguments)],
            cwd=ROOT,
            env={
                **os.environ,
                "LABEL_AUDIT_DATABASE": other,
                "LABEL_AUDIT_HOME": str(fresh_home),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    run("migrate", "--verbosity", 0)
    run("loaddata", rows)
    said = run("rebuild_release", tmp_path / "one", "--out", tmp_path / "two")
    assert "the same to the byte" in said
