"""Documents kept as files beside an audit's evidence, each under what was known when it was made.

A report, or what a release would change, follows from the code, the frozen audit, the chain of
everything people decided, the votes of the source in question and the policy: its name is the hash
of these. When one of them changes the name does, and the document is made anew; nothing has to be
declared outdated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Count, Max

import reviews
import scoring
from audit import methods
from audit.kept_files import keep, kept_folder
from audit.models import Audit
from reviews import release_formats
from reviews.judge_words import JUDGE
from reviews.models import JUDGE_PREFIX, Sample, VoteSource
from reviews.policies import find_policy
from reviews.reports import Document, curves
from reviews.truths import VOTES

KEPT = 40


def find_report(audit: Audit, truth: str, policy: str) -> Document:
    """Return the report of ``curves``: the kept one while nothing new is known."""
    rule = find_policy(policy, audit.dataset.project_id).describe()
    asked = [truth, policy, rule, *_describe_source(audit, truth)]
    return find_kept(audit, asked, lambda: curves(audit, truth, policy, equal_detection=True))


def find_kept(audit: Audit, asked: Sequence[Any], make: Callable[[], Document]) -> Document:
    """Return what ``make`` returns as JSON has it, kept while nobody decides anything more.

    ``asked``: all that it depends on beside the code, the audit and people's decisions.
    """
    said = Sample.objects.filter(audit=audit).values_list("pk", "chain_length", "chain_hash")
    known = json.dumps([_hash_code(), audit.sha256, *asked, *said])
    name = hashlib.sha256(known.encode()).hexdigest()
    path = kept_folder(audit.pk) / f"{name}.json"
    try:
        kept: Document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        text = json.dumps(make())
        if keep(path, text.encode()):
            _forget_oldest(path.parent)
        kept = json.loads(text)
    return kept


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
    """Return the hash of the code that makes them: another version may see things otherwise."""
    digest = hashlib.sha256(settings.LABEL_AUDIT_VERSION.encode())
    files = [Path(str(methods.__file__))]
    for package in (reviews, release_formats, scoring):
        files += sorted(Path(str(package.__file__)).parent.glob("*.py"))
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _forget_oldest(folder: Path) -> None:
    kept = sorted(folder.glob("*.json"), key=lambda each: each.stat().st_mtime)
    for old in kept[:-KEPT]:
        old.unlink(missing_ok=True)
