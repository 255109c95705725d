"""Adds flags, judgments and further audits to a seeded installation, for managers' pages."""

from __future__ import annotations

import argparse
from typing import Any

import django

from tests.benchmarks.web_seed import N_CLASSES, Given, insert_rows

METHODS = ("calibrated_ensemble", "ensemble", "confident_learning")
N_AUDITS = 20


def seed_flags(audit: Any) -> None:
    """Let every method flag every item, the first position first."""
    from audit.models import Flag, Item

    n_items, n_bins = audit.dataset.n_items, audit.n_bins
    for method in METHODS:
        has_bins = method == METHODS[0]
        binned = {"bin_rank": Given(f"1 + position * {n_bins} / {n_items}")} if has_bins else {}
        insert_rows(
            Flag,
            f"{Item._meta.db_table} WHERE dataset_id = {audit.dataset_id}",
            audit=audit.pk, item=Given("id"), method=method, rank=Given("position + 1"),
            score=Given(f"1.0 - position * 1.0 / {n_items}"), experts_agree=True,
            proposed_label=Given(f"(given_label + 1) % {N_CLASSES}"), **binned,
        )  # fmt: skip
    per_bin = [n_items * (number + 1) // n_bins for number in range(n_bins)]
    audit.queue_counts = {METHODS[0]: per_bin, METHODS[1]: n_items, METHODS[2]: n_items}
    audit.save()


def seed_judgments(sample: Any, person: int, every: int) -> None:
    """Let one person have judged each so-manyth item, two in three of them an error."""
    from django.db import connection

    from reviews.models import Judgment, ReviewSlot

    table = ReviewSlot._meta.db_table
    is_postgresql = connection.vendor == "postgresql"
    key = "LPAD(TO_HEX(id), 32, '0')::uuid" if is_postgresql else "PRINTF('%032x', id)"
    chosen = f'{table} WHERE sample_id = {sample.pk} AND "order" % {every} = 0'
    insert_rows(
        Judgment, chosen, slot=Given("id"), annotator=person, mode="full", stage="blind",
        verdict=Given("CASE WHEN \"order\" % 3 = 0 THEN 'label_correct' ELSE 'wrong_label' END"),
        milliseconds=1500, idempotency_key=Given(key), body_sha256="0" * 64, previous_hash="",
        hash=Given("'link ' || id"), number=Given('"order" + 1'),
        decided_at=Given("CURRENT_TIMESTAMP"),
    )  # fmt: skip
    judgment = f"(SELECT id FROM reviews_judgment WHERE slot_id = {table}.id)"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET state = 'judged', annotator_id = {person}, "  # noqa: S608
            f'judgment_id = {judgment} WHERE sample_id = {sample.pk} AND "order" % {every} = 0'
        )
        if is_postgresql:
            cursor.execute("VACUUM ANALYZE")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.web_seed_pages")
    parser.add_argument("--audit", type=int, required=True)
    parser.add_argument("--judged", type=int, required=True)
    options = parser.parse_args()
    django.setup()
    from audit.models import Audit, Membership, Role

    audit = Audit.objects.select_related("dataset", "sample").get(pk=options.audit)
    seed_flags(audit)
    membership = Membership.objects.get()
    membership.role = Role.MAINTAINER
    membership.save()
    seed_judgments(audit.sample, membership.user_id, audit.dataset.n_items // options.judged)
    Audit.objects.bulk_create(
        Audit(dataset=audit.dataset, state="ready", work="done", n_disputed=0, sha256="0" * 64)
        for _ in range(N_AUDITS - 1)
    )


if __name__ == "__main__":
    import os

    os.environ["DJANGO_SETTINGS_MODULE"] = "audit.config.settings"
    main()
