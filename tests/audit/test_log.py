"""The log: who did what, to what, kept by the database and chained by hashes (A48), on both."""

from __future__ import annotations

import json
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, connection, transaction

from audit.models import Act, Installation, LogEntry, Role
from audit.services.audits import cancel_audit, resume_audit, start_audit
from audit.services.log import check_log, write_log
from reviews.models import Judgment, Verdict
from reviews.services.judgments import Answer, record_judgment
from reviews.services.leases import claim_slots
from reviews.services.releases import order_release
from tests.factories import make_dataset, make_member, make_project, make_ready_audit, make_sample
from tests.servers import in_threads, without_triggers

pytestmark = pytest.mark.django_db


def make_entries(n_entries: int = 5) -> list[LogEntry]:
    person = make_member(make_project(), Role.ADMIN, "Änne")
    return [
        write_log(Act.POLICY_SAVED, f"policy {n}", person=person, versions=[n, {"of": "ö"}])
        for n in range(n_entries)
    ]


def test_every_entry_covers_the_one_before_and_the_installation_holds_the_end():
    entries = make_entries()
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.previous_hash for entry in entries] == ["", *(e.hash for e in entries[:-1])]
    head = Installation.objects.get()
    assert (head.log_length, head.log_hash) == (5, entries[-1].hash)
    assert check_log() == (5, None)


@pytest.mark.row("A48")
@pytest.mark.parametrize("table", ["audit_logentry", "reviews_judgment"])
@pytest.mark.parametrize("how", ["update", "bulk", "delete", "raw update", "raw delete", "cascade"])
def test_neither_log_nor_verdicts_can_be_changed_or_removed_by_anybody(table, how):
    make_entries(1)
    sample = make_sample(make_ready_audit(), 2)
    annotator = make_member(sample.audit.dataset.project)
    slot = claim_slots(sample, annotator)[0]
    record_judgment(annotator, slot.pk, slot.epoch, uuid4(), Answer(Verdict.UNSURE))
    model, column = (LogEntry, "subject") if table == "audit_logentry" else (Judgment, "note")
    row = model.objects.get()
    acts = {
        "update": lambda: model.objects.update(**{column: "forged"}),
        "bulk": lambda: model.objects.bulk_update([row], [column]),
        "delete": model.objects.all().delete,
        "raw update": lambda: connection.cursor().execute(f"UPDATE {table} SET {column} = 'x'"),  # noqa: S608
        "raw delete": lambda: connection.cursor().execute(f"DELETE FROM {table}"),  # noqa: S608
        "cascade": row.delete,
    }
    with pytest.raises(DatabaseError), transaction.atomic():
        acts[how]()
    assert list(model.objects.values_list(column, flat=True)) == [getattr(row, column)]


@pytest.mark.row("A48")
@pytest.mark.parametrize(
    ("change", "place", "reason"),
    [
        (
            "UPDATE audit_logentry SET person = 'somebody else' WHERE number = 3",
            3,
            "it was changed",
        ),
        ("""UPDATE audit_logentry SET detail = '{"n": 2}' WHERE number = 2""", 2, "it was changed"),
        ("DELETE FROM audit_logentry WHERE number = 4", 4, "1 before it are missing"),
        ("DELETE FROM audit_logentry WHERE number > 3", 4, "2 rows at the end are missing"),
    ],
)
def test_what_was_done_to_the_log_behind_the_sites_back_is_found(change, place, reason):
    make_entries()
    with without_triggers(), connection.cursor() as cursor:
        cursor.execute(change)
    _, fault = check_log()
    assert fault is not None
    assert (fault.number, fault.reason) == (place, reason)
    out = StringIO()
    with pytest.raises(CommandError, match="the log"):
        call_command("verify_installation", "--json", stdout=out)
    assert json.loads(out.getvalue())["intact"] is False


def test_what_people_do_is_logged_with_their_name_in_the_same_transaction():
    dataset = make_dataset()
    person = make_member(dataset.project, Role.MAINTAINER, "Mia")
    audit = start_audit(dataset, ["stub:3-8", "stub:3-9"], created_by=person)
    assert cancel_audit(audit, person)
    assert resume_audit(audit, person)
    ready = make_ready_audit(dataset)
    sample = make_sample(ready, 2)
    slot = claim_slots(sample, person)[0]
    record_judgment(person, slot.pk, slot.epoch, uuid4(), Answer(Verdict.UNSURE))
    order_release(ready, "lenient", person)
    with transaction.atomic():
        write_log(Act.RESTORED)
        transaction.set_rollback(True)  # what was not done is not in the log
    rows = LogEntry.objects.order_by("number").values_list("act", "person", "project", "subject")
    assert [row[0] for row in rows] == [
        "audit_started", "audit_cancelled", "audit_resumed", "release_ordered",
    ]  # fmt: skip
    assert {row[1:3] for row in rows} == {("Mia", dataset.project.slug)}
    assert rows[3][3] == f"release 1 of audit {ready.pk}"
    assert check_log() == (4, None)


def test_the_page_tells_everything_that_was_written_to_admins_of_the_project_alone(client):
    project, other = make_project(), make_project()
    admin = make_member(project, Role.ADMIN, "ada")
    stranger = make_member(other, Role.ADMIN, "eve")
    for n in range(102):
        write_log(Act.SAMPLE_DRAWN, f"sample {n}", person=admin, project=project, items=40 + n)
    write_log(Act.LOGGED_IN, person=admin, address="192.0.2.1")
    write_log(Act.LOGGED_IN, person=stranger, address="192.0.2.2")
    write_log(Act.POLICY_SAVED, "policy of others", person=stranger, project=other)
    client.force_login(admin)
    page = client.get(f"/projects/{project.pk}/log/").content.decode()
    assert "items: <bdi>141</bdi>" in page
    assert "192.0.2.1" in page
    assert "192.0.2.2" not in page
    assert "policy of others" not in page
    assert "sample 2</bdi>" not in page
    assert "Newest entries" not in page
    older = client.get(f"/projects/{project.pk}/log/?before=4").content.decode()
    assert "sample 2</bdi>" in older
    assert f'href="/projects/{project.pk}/log/">Newest entries' in older
    write_log(Act.AUDIT_STARTED, "audit 9", project=project, experts=["stub:3-1", "timm:<b>"])
    page = client.get(f"/projects/{project.pk}/log/").content.decode()
    assert "experts: <bdi>stub:3-1, timm:&lt;b&gt;</bdi>" in page
    assert client.get(f"/projects/{other.pk}/log/").status_code == 404


@pytest.mark.django_db(transaction=True)
@pytest.mark.row("A49")
def test_fifty_entries_at_one_moment_make_one_unbroken_chain():
    in_threads(lambda n: write_log(Act.CONFIRMED, str(n)), range(50))
    assert check_log() == (50, None)
