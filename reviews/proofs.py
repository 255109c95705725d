"""Proof that an installation is what it was: verdicts, log, scores, releases by their hashes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from audit.chains import Fault
from audit.hashed_folders import MANIFEST, verify_folder, write_manifest
from audit.models import ScoreSet
from audit.score_store import ScoreStoreError
from audit.services.closing import find_damage
from audit.services.log import check_log
from reviews.chains import check_chain
from reviews.models import Release, Sample
from reviews.release_files import release_folder


@dataclass(frozen=True, slots=True)
class Proof:
    """One thing that was compared with its hash; ``fault`` is empty where it is right."""

    kind: str
    subject: str
    fault: str


def prove_installation() -> Iterator[Proof]:
    """Compare everything that has a hash with it, reading every byte."""
    for sample in Sample.objects.order_by("audit"):
        check = check_chain(sample)
        yield Proof("verdicts", f"audit {check.audit}, {check.n_links} rows", _spell(check.fault))
    n_entries, broken = check_log()
    yield Proof("log", f"the log, {n_entries} entries", _spell(broken))
    for score_set in ScoreSet.objects.filter(state=ScoreSet.State.READY).order_by("pk"):
        yield Proof("scores", str(score_set), _find_damage(score_set))
    releases = Release.objects.filter(work=Release.Work.DONE).select_related("audit__dataset")
    for release in releases.order_by("pk"):
        yield Proof("release", str(release), "; ".join(_find_changes(release)))


def _spell(fault: Fault | None) -> str:
    return f"{fault.row}: {fault.reason}" if fault else ""


def _find_damage(score_set: ScoreSet) -> str:
    try:
        return find_damage(score_set)
    except (OSError, ScoreStoreError) as error:
        return str(error)


def _find_changes(release: Release) -> list[str]:
    folder = release_folder(release.audit_id, release.number)
    problems = verify_folder(folder)
    if problems:
        return problems
    is_recorded = (folder / MANIFEST).read_text(encoding="utf-8") == write_manifest(
        release.manifest
    )
    return [] if is_recorded else [f"{MANIFEST} isn't the one in the database"]
