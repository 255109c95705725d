"""Reports are kept as files beside an audit's evidence, each under what was known when it was made.

A report follows from the code, the frozen audit, the chain of everything people decided, the votes
of the source in question and the policy: its name is the hash of these. When one of them changes
the name does, and the report is made anew; nothing has to be declared outdated.
"""

from __future__ import annotations

import hashlib
import json
import logging
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Count, Max

import reviews
import scoring
from audit import methods
from audit.durable_files import write_whole
from audit.evidence import evidence_folder
from audit.models import Audit
from reviews.judge_words import JUDGE
from reviews.models import JUDGE_PREFIX, Sample, VoteSource
from reviews.policies import find_policy
from reviews.reports import Document, curves
from reviews.truths import VOTES

logger = logging.getLogger(__name__)
KEPT = 20


def find_report(audit: Audit, truth: str, policy: str) -> Document:
    """Return the report of ``curves``: the kept one while nothing new is known."""
    folder = evidence_folder(audit.pk) / "reports"
    path = folder / f"{_name(audit, truth, policy)}.json"
    try:
        kept: Document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        text = json.dumps(curves(audit, truth, policy, equal_detection=True))
        _keep(path, text)
        kept = json.loads(text)
    return kept


def _name(audit: Audit, truth: str, policy: str) -> str:
    known = [
        _hash_code(),
        audit.sha256,
        truth,
        policy,
        find_policy(policy, audit.dataset.project_id).describe(),
        *Sample.objects.filter(audit=audit).values_list("pk", "chain_length", "chain_hash"),
        *_describe_source(audit, truth),
    ]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def _describe_source(audit: Audit, truth: str) -> list[tuple[Any, ...]]:
    """Return what tells the source's votes from any it had before: a judge's grow one by one."""
    name = truth.removeprefix(VOTES)
    if truth.startswith(JUDGE):
        name = JUDGE_PREFIX + truth.removeprefix(JUDGE).removeprefix(JUDGE_PREFIX)
    sources = VoteSource.objects.filter(dataset=audit.dataset_id, name=name).order_by()
    counted = sources.annotate(newest=Max("votes"), n=Count("votes"))
    return list(counted.values_list("pk", "sha256", "newest", "n"))


@cache
def _hash_code() -> str:
    """Return the hash of the code that makes reports: another version may see things otherwise."""
    digest = hashlib.sha256(settings.LABEL_AUDIT_VERSION.encode())
    files = [Path(str(methods.__file__))]
    for package in (reviews, scoring):
        files += sorted(Path(str(package.__file__)).parent.glob("*.py"))
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _keep(path: Path, text: str) -> None:
    """Write a report down and forget the oldest ones; a full disk keeps nobody from reading it."""
    try:
        write_whole(path, [text.encode()])
        kept = sorted(path.parent.glob("*.json"), key=lambda each: each.stat().st_mtime)
        for old in kept[:-KEPT]:
            old.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("a report could not be kept: %s", error)
