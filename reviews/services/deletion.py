"""Remove a project that nobody has judged in, a few rows at a time, so that others hardly wait."""

from __future__ import annotations

import shutil
from typing import Any

from django.db import DEFAULT_DB_ALIAS, models

from audit import score_store
from audit.evidence import evidence_folder
from audit.input_files import forget_input
from audit.models import Act, Audit, Project, ScoreSet
from audit.services.log import write_log
from reviews.models import Adjudication, Judgment, Release

BATCH = 1000


class DeletionRefusedError(ValueError):
    """The project can't be removed; the message says why."""


def delete_project(project: Project) -> int:
    """Remove a project with its data sets, audits, scores and votes; return how many rows went.

    What people decided stays for good: where there is a judgment, the project does too. Each batch
    is a transaction of its own; killed in between, the next run goes on.
    """
    if reason := _find_reason(project):
        raise DeletionRefusedError(f"{project.slug} {reason}")
    # Found now, removed last: files that no row speaks of any more.
    audits = list(Audit.objects.filter(dataset__project=project).values_list("pk", flat=True))
    score_sets = list(
        ScoreSet.objects.filter(dataset__project=project).values_list("pk", flat=True)
    )
    datasets = list(project.datasets.values_list("pk", flat=True))
    write_log(Act.PROJECT_REMOVED, f"project {project.slug}", project=project)
    n_rows = _erase(Project.objects.filter(pk=project.pk))
    for score_set in score_sets:
        score_store.remove_scores(score_set)
    for dataset in datasets:
        forget_input(dataset)
    for audit in audits:
        shutil.rmtree(evidence_folder(audit), ignore_errors=True)
    return n_rows


def _find_reason(project: Project) -> str:
    judged = Judgment.objects.filter(slot__sample__audit__dataset__project=project)
    ruled = Adjudication.objects.filter(sampled_item__sample__audit__dataset__project=project)
    if judged.exists() or ruled.exists():
        return "holds people's judgments, which are never removed"
    if Release.objects.filter(audit__dataset__project=project).exists():
        return "holds releases, which are never removed"
    if Audit.objects.under_way().filter(dataset__project=project).exists():
        return "has an audit under way; cancel it first"
    if ScoreSet.objects.scoring().filter(dataset__project=project).exists():
        return "is being scored; wait, or stop the workers"
    return ""


def _erase(rows: models.QuerySet[Any]) -> int:
    """Remove the rows after all that refer to them."""
    if not rows.exists():
        return 0
    n_rows = 0
    for relation in rows.model._meta.get_fields(include_hidden=True):
        if isinstance(relation, models.ForeignObjectRel) and not relation.many_to_many:
            referring = relation.related_model._base_manager
            n_rows += _erase(referring.filter(**{f"{relation.field.name}__in": rows}))
    while batch := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        # Nothing refers to them any more, so nothing has to be collected first.
        n_rows += rows.model._base_manager.filter(pk__in=batch)._raw_delete(DEFAULT_DB_ALIAS)
    return n_rows
