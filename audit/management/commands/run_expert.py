"""Runs one expert over one data set."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.local_engine import work_until
from audit.management.base import AuditCommand, find_dataset
from audit.models import ScoreSet
from audit.score_store import ScoreStoreError
from audit.services.closing import reopen_damaged
from audit.services.progress import score_set_progress
from audit.services.scores import ScoresRefusedError, forget_scores, request_scores


class Command(AuditCommand):
    help = "Run an expert over a data set; its scores are stored once and reused by every audit."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dataset")
        parser.add_argument(
            "expert", help="For example timm:resnet18, transformers:FOLDER,scoring=text,shots=5."
        )
        parser.add_argument(
            "--check",
            action="store_true",
            help="Compare finished scores with what was written; score what is damaged again.",
        )
        parser.add_argument(
            "--anew",
            action="store_true",
            help="Forget earlier scores, its weights having changed; restart the workers first.",
        )
        parser.add_argument(
            "--wait", action="store_true", help="Score here until done; needs no running worker."
        )

    def handle(self, **options: Any) -> None:
        dataset = find_dataset(options["dataset"])
        try:
            score_set = request_scores(dataset, options["expert"], from_anywhere=True)
            if options["anew"]:
                forget_scores(score_set)
                score_set.refresh_from_db()
            if options["check"] and score_set.is_ready:
                self.progress(reopen_damaged(score_set) or "the scores are whole", last=True)
                score_set.refresh_from_db()
        except (ScoresRefusedError, ScoreStoreError) as refusal:
            raise CommandError(str(refusal)) from refusal
        if options["wait"]:
            work_until(lambda: self._is_over(score_set))
            if not score_set.is_ready:
                raise CommandError(f"{score_set}: {score_set.state}: {score_set.error}")
        document = {
            "dataset": dataset.slug,
            "expert": score_set.expert,
            "state": score_set.state,
            "sha256": score_set.sha256,
        }
        self.emit(options, document, f"{score_set}: {score_set.state}")

    def _is_over(self, score_set: ScoreSet) -> bool:
        score_set.refresh_from_db()
        now = score_set_progress(score_set, score_set.dataset.n_items)
        over = score_set.state != ScoreSet.State.SCORING
        rate = f", {now.rate:,.0f} items/s" if now.rate else ""
        trouble = f"; last trouble: {now.error}" if now.error and not over else ""
        counts = f"{now.done:,} of {now.total:,} items{rate}"
        self.progress(f"{now.name}: {counts}{trouble}", last=over)
        return over
