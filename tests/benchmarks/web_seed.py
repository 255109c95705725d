"""Fills an installation with one audit all of whose items wait at the desk, and the bare queue.

`python -m tests.benchmarks.web_seed --rows 1000000 --people 50`, with the installation's
environment; prints what the load generator has to know as JSON. The rows are made by the database
itself, which takes a minute for a million.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

import django
import numpy as np

PASSWORD = "correct horse battery staple"
N_CLASSES = 1000
N_EXPERTS = 2


class Given(str):
    """An SQL expression over `i`, the number of the row."""

    __slots__ = ()


def insert_rows(model: Any, rows: str, **columns: Any) -> None:
    """Insert one row of `model` per row of `rows`; fields that aren't named get their default."""
    from django.db import connection
    from django.db.models.fields import NOT_PROVIDED

    values = {}
    for field in model._meta.concrete_fields:
        if field.name in columns:
            values[field.column] = _write(columns[field.name])
        elif not field.primary_key and (field.has_default() or not field.null):
            default = field.get_default()
            is_date = default in (None, NOT_PROVIDED)
            values[field.column] = "CURRENT_TIMESTAMP" if is_date else _write(default)
    names = ", ".join(f'"{name}"' for name in values)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {model._meta.db_table} ({names}) "  # noqa: S608 - our own names
            f"SELECT {', '.join(values.values())} FROM {rows}"
        )


def _write(value: Any) -> str:
    if isinstance(value, Given):
        return str(value)
    if isinstance(value, (list, dict)):
        value = json.dumps(value)
    return f"'{value}'" if isinstance(value, str) else str(value)


def numbers(n_rows: int) -> str:
    """Return a table of one column, i = 0 .. n_rows - 1."""
    return (
        "(WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s "  # noqa: S608
        f"WHERE i < {n_rows - 1}) SELECT i FROM s) AS numbers"
    )


def seed_people(project: Any, n_people: int) -> list[str]:
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import User

    from audit.models import Membership, Role

    password = make_password(PASSWORD)
    names = [f"annotator-{number}" for number in range(n_people)]
    users = User.objects.bulk_create(User(username=name, password=password) for name in names)
    Membership.objects.bulk_create(
        Membership(project=project, user=user, role=Role.ANNOTATOR) for user in users
    )
    return names


def seed_audit(project: Any, n_items: int) -> Any:
    """Make a finished audit of its own data set, named like the project."""
    from audit.evidence import Evidence, write_evidence
    from audit.models import Audit, AuditExpert, Dataset, DatasetClass, Item, ScoreSet

    dataset = Dataset.objects.create(
        project=project, slug=project.slug, kind="image", source_format="imagefolder",
        root="/nowhere", n_items=n_items, n_classes=N_CLASSES, sha256="0" * 64,
    )  # fmt: skip
    DatasetClass.objects.bulk_create(
        DatasetClass(
            dataset=dataset, index=index, name=f"class {index}", wordnet_id=f"n{index:08d}",
            gloss=f"what people mean by class {index}, in a sentence of the usual length",
        )
        for index in range(N_CLASSES)
    )  # fmt: skip
    insert_rows(
        Item, numbers(n_items), dataset=dataset.pk, position=Given("i"), width=500, height=375,
        key=Given("'ILSVRC2012_val_' || i || '.JPEG'"), given_label=Given(f"i % {N_CLASSES}"),
        image=Given("'val/' || i || '.JPEG'"), content_sha256="0" * 64,
    )  # fmt: skip
    audit = Audit.objects.create(
        dataset=dataset, state="ready", work="done", n_bins=15, n_disputed=n_items, sha256="0" * 64
    )
    for order in range(N_EXPERTS):
        scores = ScoreSet.objects.create(
            dataset=dataset, expert=f"stub:{N_CLASSES}-{order}", source="run", state="ready"
        )
        AuditExpert.objects.create(audit=audit, score_set=scores, order=order)
    rng = np.random.default_rng(0)
    given = np.arange(n_items) % N_CLASSES
    top1 = np.stack([given, given]) + rng.integers(0, 3, (N_EXPERTS, n_items))
    confidence = rng.random((N_EXPERTS, n_items), dtype=np.float32)
    write_evidence(
        audit.pk,
        Evidence((top1 % N_CLASSES).astype(np.int32), confidence, confidence, 1 - confidence),
    )
    return audit


def seed_sample(audit: Any) -> None:
    from django.db import connection

    from audit.models import Item
    from reviews.models import ReviewSlot, Sample, SampledClass, SampledItem, Stratum

    n_items = audit.dataset.n_items
    sample = Sample.objects.create(audit=audit, seed=0, n_items=n_items, n_votes=n_items)
    stratum = Stratum.objects.create(
        sample=sample, name="flagged", is_flagged=True, n_population=n_items, n_drawn=n_items
    )
    items = list(audit.dataset.items.values_list("pk", flat=True)[: 3 * N_CLASSES])
    SampledClass.objects.bulk_create(
        SampledClass(
            sample=sample,
            index=index,
            exemplars=items[3 * index : 3 * index + 3],
            near={str((index + 1) % N_CLASSES): "similar_class"},
        )
        for index in range(N_CLASSES)
    )
    as_json = "jsonb" if connection.vendor == "postgresql" else "text"
    near = f"((given_label + 1) % {N_CLASSES}) || ', ' || ((given_label + 7) % {N_CLASSES})"
    insert_rows(
        SampledItem,
        f"{Item._meta.db_table} WHERE dataset_id = {audit.dataset_id}",
        sample=sample.pk, stratum=stratum.pk, item=Given("id"), order=Given("position"),
        candidates=Given(f"CAST('[' || given_label || ', ' || {near} || ']' AS {as_json})"),
    )  # fmt: skip
    insert_rows(
        ReviewSlot,
        f"{SampledItem._meta.db_table} WHERE sample_id = {sample.pk}",
        sample=sample.pk, sampled_item=Given("id"), number=1, order=Given('"order"'), state="open",
    )  # fmt: skip


def seed_bare(n_rows: int, n_audits: int) -> None:
    from django.db import connection

    from tests.benchmarks.bare.models import Row, Verdict

    with connection.schema_editor() as editor:
        editor.create_model(Row)
        editor.create_model(Verdict)
    insert_rows(Row, numbers(n_rows), priority=Given("i"), audit=Given(f"1 + i % {n_audits}"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.web_seed")
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--people", type=int, default=32)
    parser.add_argument("--projects", type=int, default=1, help="that share the rows")
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "audit.config.settings"
    from django.conf import settings

    settings.INSTALLED_APPS.append("tests.benchmarks.bare")
    django.setup()
    from django.db import connection

    from audit.models import Project

    audits = []
    for number in range(options.projects):
        project = Project.objects.create(slug=f"queue-{number}", name=f"Queue {number}")
        audits.append(seed_audit(project, options.rows // options.projects))
        seed_sample(audits[-1])
    names = seed_people(audits[0].dataset.project, options.people)
    seed_bare(options.rows, options.projects)
    if connection.vendor == "postgresql":  # whose autovacuum does so sooner or later
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
    sys.stdout.write(json.dumps({"audit": audits[0].pk, "people": names, "password": PASSWORD}))


if __name__ == "__main__":
    main()
