"""Has a judge model answer an audit's questions, as an outside source of votes."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.config.environment import SettingError
from audit.management.base import AuditCommand, find_audit
from audit.methods import CALIBRATED_ENSEMBLE
from audit.models import Audit, Item
from audit.services.endpoints import endpoint_with_key
from reviews.models import Sample, VoteSource
from reviews.populations import load_population
from reviews.services.judging import Judge, Judged, JudgingRefusedError, judge_items, open_source
from scoring.experts.base import ExpertRefused, ExpertUnavailable
from scoring.experts.endpoint_client import EndpointClient
from scoring.experts.endpoints import EndpointError
from scoring.judge_prompts import JUDGE_PROMPTS

SHOWN_REFUSALS = 5


class Command(AuditCommand):
    help = "Ask a judge model about an audit's items; run again, it goes on where it stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("audit", type=int, help="The audit's number.")
        parser.add_argument("--endpoint", required=True, help="A model server of the settings.")
        parser.add_argument("--name", help="What to call the judge; default: the endpoint's name.")
        parser.add_argument("--prompt", choices=JUDGE_PROMPTS, default="answer-1")
        parser.add_argument(
            "--max-tokens", type=int, default=16, help="The longest reply; one letter is asked for."
        )
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--sample", action="store_true", help="The items that people judge.")
        which.add_argument("--all", action="store_true", help="Every item that can be audited.")
        which.add_argument(
            "--queue", default=CALIBRATED_ENSEMBLE, metavar="METHOD", help="A method's flags."
        )
        parser.add_argument("--k", type=int, help="Of the queue only the k most confident bins.")
        parser.add_argument("--top", type=int, help="Of the queue only the first items.")

    def handle(self, **options: Any) -> None:
        audit = find_audit(options["audit"])
        if not audit.is_ready:
            raise CommandError(f"{audit} is {audit.state}; a judge needs a ready audit")
        try:
            items = choose_items(audit, options)
            endpoint = endpoint_with_key(options["endpoint"])
            with EndpointClient(endpoint) as client:
                judge = Judge(client, JUDGE_PROMPTS[options["prompt"]], options["max_tokens"])
                source = open_source(audit.dataset, options["name"] or endpoint.name, judge)
                judged = judge_items(source, judge, items, self._show)
        except (EndpointError, SettingError, JudgingRefusedError) as error:
            raise CommandError(str(error)) from error
        except (ExpertRefused, ExpertUnavailable) as error:
            raise CommandError(f"{error}; what was answered is kept, run it again") from error
        document = describe_judged(audit, source, judged, len(items))
        self.emit(options, document, write_judged(document))
        if judged.refusals:
            raise CommandError(f"{len(judged.refusals):,} requests were refused")

    def _show(self, done: int, total: int) -> None:
        self.progress(f"{done:,} of {total:,} questions", last=done == total)


def choose_items(audit: Audit, options: dict[str, Any]) -> list[Item]:
    """Return the items to ask about, in data set order."""
    items = audit.dataset.items.order_by("position")
    if options["sample"]:
        sample = Sample.objects.filter(audit=audit).first()
        if sample is None:
            raise JudgingRefusedError(f"{audit} has no sample; draw_sample makes one")
        return list(items.filter(sampled__sample=sample, sampled__stratum__isnull=False))
    population = load_population(audit)
    method = options["queue"]
    if options["all"]:
        chosen = population.usable
    elif method not in population.ranks:
        known = ", ".join(sorted(population.ranks)) or "none"
        raise JudgingRefusedError(f"{audit} has no flags of {method!r}; there are: {known}")
    elif options["k"] is not None:
        if method != CALIBRATED_ENSEMBLE:
            raise JudgingRefusedError(f"--k counts bins of {CALIBRATED_ENSEMBLE}; use --top")
        chosen = population.top_bins(options["k"])
    elif options["top"] is not None:
        chosen = population.top(method, options["top"])
    else:
        chosen = population.flagged_by(method)
    return [item for item in items.iterator(chunk_size=2000) if chosen[item.position]]


def describe_judged(
    audit: Audit, source: VoteSource, judged: Judged, n_items: int
) -> dict[str, Any]:
    """Return what the run did, as one JSON document."""
    experts = {each.name for each in audit.experts.select_related("score_set")}
    own = f"endpoint:{source.parameters['endpoint']}"
    return {
        "audit": audit.pk,
        "source": source.name,
        **source.parameters,
        "items": n_items,
        "asked": judged.n_voted + len(judged.refusals),
        "voted": judged.n_voted,
        "unreadable": judged.n_unreadable,
        "refused": list(judged.refusals),
        "votes": source.n_votes,
        "tokens": {"prompt": judged.n_prompt_tokens, "reply": judged.n_reply_tokens},
        "is_expert_too": any(name == own or name.startswith(f"{own},") for name in experts),
        "sha256": source.sha256,
    }


def write_judged(document: dict[str, Any]) -> str:
    """Return what the run did, as lines for people."""
    head = (
        f"{document['source']} ({document['model']}, prompt {document['prompt']}): "
        f"{document['voted']:,} of {document['items']:,} items answered now, "
        f"{document['votes']:,} votes in all"
    )
    lines = [head]
    if document["unreadable"]:
        lines.append(f"  {document['unreadable']:,} replies can't be read: kept, counted as unsure")
    if document["refused"]:
        lines.append(f"  {len(document['refused']):,} requests were refused, such as")
        lines += [f"    {reason}" for reason in document["refused"][:SHOWN_REFUSALS]]
    if document["is_expert_too"]:
        lines.append("  note: this model is an expert of the audit too, and will agree with itself")
    lines.append(f"  compare: report {document['audit']} --truth votes:{document['source']}")
    return "\n".join(lines)
