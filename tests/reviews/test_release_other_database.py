"""The same release, to the byte, after its rows have moved from SQLite to PostgreSQL."""

import pytest
from django.core.management import call_command

from reviews.decisions import Snapshot
from reviews.release_files import export_release
from tests.reviews.test_release_formats import all_formats
from tests.reviews.test_releases import make_judged_audit
from tests.servers import make_database, run_manage

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
    other = make_database(postgresql_url, "other")

    def run(*arguments):
        done = run_manage(fresh_home, other, *arguments)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    run("migrate", "--verbosity", 0)
    run("loaddata", rows)
    said = run("rebuild_release", tmp_path / "one", "--out", tmp_path / "two")
    assert "the same to the byte" in said
