"""Every verdict's hash covers the one before it: what is done behind the site's back is found."""

from __future__ import annotations

import json
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from audit.chains import hash_link
from reviews.chains import check_chain
from reviews.models import Judgment, Sample, Verdict
from reviews.services.judgments import Answer, record_judgment, revise, withdraw
from reviews.services.leases import claim_slots
from reviews.services.releases import build_release, order_release
from tests.factories import make_dataset, make_member, make_project, make_ready_audit, make_sample
from tests.servers import in_threads, without_triggers

pytestmark = pytest.mark.django_db
CORRECT = Answer(Verdict.LABEL_CORRECT, milliseconds=700, ui_version="1.2.3")
WRONG = Answer(Verdict.WRONG_LABEL, corrected_label=2, note="a twö", milliseconds=900)


def make_chain(n_verdicts: int = 6) -> Sample:
    """A sample with that many verdicts, then one revised and another undone."""
    sample = make_sample(make_ready_audit(make_dataset(make_project())), 10)
    annotator = make_member(sample.audit.dataset.project)
    judgments = []
    for slot in claim_slots(sample, annotator, n_verdicts):
        answer = WRONG if slot.order % 2 else CORRECT
        recorded = record_judgment(annotator, slot.pk, slot.epoch, uuid4(), answer)
        judgments.append(recorded.judgment)
    revise(annotator, judgments[0], uuid4(), WRONG)
    withdraw(annotator, judgments[1], uuid4(), "1.2.3")
    sample.refresh_from_db()
    return sample


def places(sample: Sample) -> dict[int, Judgment]:
    return {row.number: row for row in Judgment.objects.filter(slot__sample=sample)}


def test_each_row_covers_the_one_before_and_the_sample_holds_the_end():
    sample = make_chain()
    rows = places(sample)
    assert sorted(rows) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert rows[1].previous_hash == ""
    assert [rows[n].previous_hash for n in range(2, 9)] == [rows[n].hash for n in range(1, 8)]
    assert (sample.chain_length, sample.chain_hash) == (8, rows[8].hash)
    assert check_chain(sample).fault is None
    assert {rows[1].ui_version, rows[8].ui_version} == {"1.2.3"}


@pytest.mark.parametrize(
    ("column", "value"),
    [("verdict", "unsure"), ("note", "a two"), ("milliseconds", 1), ("annotator_id", None)],
)
def test_a_row_that_was_changed_is_named(column, value):
    sample = make_chain()
    row = places(sample)[3]
    value = make_member(sample.audit.dataset.project).pk if value is None else value
    with without_triggers():
        Judgment.objects.filter(pk=row.pk).update(**{column: value})
        fault = check_chain(sample).fault
    assert (fault.number, fault.row) == (3, f"judgment {row.pk}")
    assert fault.reason == "it was changed"


def test_a_changed_row_with_a_new_hash_is_betrayed_by_the_next_one():
    sample = make_chain()
    row = places(sample)[3]
    row.note = "forged"
    with without_triggers():
        Judgment.objects.filter(pk=row.pk).update(note=row.note, hash=hash_link(row))
        fault = check_chain(sample).fault
    assert (fault.number, fault.reason) == (4, "it doesn't follow the row before it")


@pytest.mark.parametrize(
    ("number", "reason"),
    [(5, "1 before it are missing"), (8, "1 rows at the end are missing")],
)
def test_a_row_that_was_removed_is_missed(number, reason):
    sample = make_chain()
    with without_triggers(), connection.cursor() as cursor:
        cursor.execute("UPDATE reviews_reviewslot SET state = 'open', annotator_id = NULL, "
                       "judgment_id = NULL")  # fmt: skip
        cursor.execute("DELETE FROM reviews_judgment WHERE number = %s", [number])
        fault = check_chain(sample).fault
    assert (fault.number, fault.reason) == (number, reason)


def test_a_chain_written_anew_from_end_to_end_is_betrayed_by_a_release():
    sample = make_chain()
    release = order_release(sample.audit, "lenient")
    assert build_release(release.pk)
    previous = ""
    with without_triggers():
        for row in places(sample).values():
            row.previous_hash, row.milliseconds = previous, 500
            row.hash = previous = hash_link(row)
            Judgment.objects.filter(pk=row.pk).update(
                previous_hash=row.previous_hash, milliseconds=500, hash=row.hash
            )
        sample.chain_hash = previous
        fault = check_chain(sample).fault
    assert fault.reason == "it isn't the one that release 1 was built from"


def test_the_command_says_which_audit_is_intact_and_fails_on_one_that_is_not():
    intact, broken = make_chain(), make_chain()
    out = StringIO()
    call_command("verify_judgments", stdout=out)
    assert out.getvalue().splitlines() == [
        f"audit {intact.audit_id}: 8 rows, intact",
        f"audit {broken.audit_id}: 8 rows, intact",
    ]
    row = places(broken)[2]
    with without_triggers():
        Judgment.objects.filter(pk=row.pk).update(note="")
        out = StringIO()
        with pytest.raises(CommandError, match=f"place 2, judgment {row.pk}: it was changed"):
            call_command("verify_judgments", "--json", stdout=out)
        call_command("verify_judgments", str(intact.audit_id), stdout=StringIO())
    found = json.loads(out.getvalue())
    assert not found["intact"]
    assert [audit["first_fault"] is None for audit in found["audits"]] == [True, False]


@pytest.mark.django_db(transaction=True)
def test_verdicts_given_at_one_moment_make_one_unbroken_chain():
    sample = make_sample(make_ready_audit(make_dataset(make_project(), n_items=64)), 64)
    people = [make_member(sample.audit.dataset.project) for _ in range(8)]
    held = [(person, slot) for person in people for slot in claim_slots(sample, person, 8)]
    in_threads(lambda one: record_judgment(one[0], one[1].pk, one[1].epoch, uuid4(), WRONG), held)
    sample.refresh_from_db()
    check = check_chain(sample)
    assert (check.n_links, check.fault) == (64, None)
