"""The modules whose claims depend on the database hold on PostgreSQL too, unchanged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STRANGER = "maintainer elsewhere"
FIFTY = "fifty_imports_at_one_moment_as_many_wait_as_may_and_one_more_when_one_is_done"
MODULES = [
    "tests/api/test_desk.py",
    "tests/api/test_further_imports.py",
    "tests/api/test_injection.py",
    "tests/api/test_sent_twice.py",
    "tests/audit/test_attempts.py",
    "tests/audit/test_audits.py",
    "tests/audit/test_calibration_bench.py",
    "tests/audit/test_chunks.py",
    "tests/audit/test_claims.py",
    "tests/audit/test_conflicts.py",
    "tests/audit/test_dataset_import.py",
    "tests/audit/test_log.py",
    "tests/audit/test_health.py",
    "tests/audit/test_question_chunks.py",
    "tests/audit/test_redaction.py",
    "tests/audit/test_timeline.py",
    "tests/reviews/test_adjudication.py",
    "tests/reviews/test_backups.py",
    "tests/reviews/test_cascade_page.py",
    "tests/reviews/test_chains.py",
    "tests/reviews/test_gold.py",
    "tests/reviews/test_judgments.py",
    "tests/reviews/test_leases.py",
    "tests/reviews/test_members.py",
    "tests/reviews/test_release_snapshots.py",
    "tests/reviews/test_releases.py",
    "tests/reviews/test_review_integrity.py",
    "tests/reviews/test_reports.py",
    "tests/reviews/test_sampling.py",
    "tests/reviews/test_second_pass.py",
    "tests/reviews/test_votes.py",
    "tests/test_log_in.py",
    # Of foreign numbers and strings made for a database, those that get furthest into it.
    *(
        f"tests/test_access.py::test_{name}"
        for name in (
            f"a_caller_finds_what_is_for_their_role_and_changes_nothing_elsewhere[{STRANGER}]",
            "an_object_of_one_audit_is_not_found_by_way_of_another",
        )
    ),
    "tests/api/test_access.py::test_what_belongs_to_another_project_is_not_there[2]",
    "tests/api/test_access.py::test_what_belongs_to_one_audit_is_not_there_by_way_of_another",
    *(
        f"tests/test_attacks.py::test_no_value_in_{name}"
        for name in (
            "an_address_reaches_sql_breaks_a_page_or_costs_another_question",
            "a_form_reaches_sql_or_breaks_a_page",
        )
    ),
    f"tests/api/test_imports.py::test_of_{FIFTY}",
    # Of audits and requests that are bad input, those that meet the database.
    *(
        f"tests/bad_input/test_audits.py::test_b123_{name}"
        for name in (
            "the_database_refuses_a_temperature_that_can_not_be",
            "every_temperature_that_a_fit_can_give_is_stored",
        )
    ),
    *(
        f"tests/bad_input/test_requests.py::test_{name}"
        for name in (
            "b143_no_page_breaks_on_a_number_that_nothing_has",
            "b150_what_is_no_decision_is_refused_by_its_field",
            "b150_a_note_that_can_not_be_stored_is_refused_at_the_desk",
        )
    ),
]


@pytest.mark.service
def test_the_same_tests_pass_on_postgresql(postgresql_url):
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *MODULES],
        cwd=ROOT,
        env={**os.environ, "LABEL_AUDIT_DATABASE": postgresql_url},
        capture_output=True,
        text=True,
        timeout=560,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
