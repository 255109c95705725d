"""Chaos: three audits and eight annotators go on while something dies every few seconds.

    python -m tests.faults.soak --seeds 20 --seconds 60
    python -m tests.faults.soak --stack embedded --seeds 5

Each seed kills -9 what its random numbers say: a pool process, the whole worker, a web process,
Redis (which keeps nothing), PostgreSQL; servers come back after up to three seconds. Afterwards
the eight invariants of the matrix are checked against a run that nothing disturbed. The embedded
stack, SQLite and messages in a folder, has the first three to kill.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from tests.faults.installation import Installation, wait_until
from tests.faults.scene import INJECTED, Scene, servers, stop_redis, telling
from tests.faults.site import site
from tests.faults.soak_checks import Golden, check_invariants, golden_of
from tests.faults.soak_kills import Killer
from tests.faults.soak_people import Crowd, Said

DATASETS = ("first", "second", "third")
EXPERTS = ("stub:4-1", "stub:4-2")
N_PEOPLE = 8
LEASE_SECONDS = 30
RECOVERY_SECONDS = 120
PASSWORD = "correct horse battery staple"
PEOPLE = [f"person-{number}" for number in range(N_PEOPLE)]
# Commands of one process: starting Python takes longest.
PREPARE = """
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management import call_command
from audit.models import Membership, Project, Role
for source in {sources}:
    call_command("import_dataset", *source)
call_command("audit", "judged", "--experts", *{experts}, "--wait")
call_command("draw_sample", "1", "--size={drawn}", "--unflagged=100",
             "--votes-per-item=2")
project, password = Project.objects.get(), make_password("{password}")
for name in {people}:
    user = User.objects.create(username=name, password=password)
    Membership.objects.create(user=user, project=project, role=Role.ANNOTATOR)
"""
AUDIT = """
from django.core.management import call_command
for dataset in {datasets}:
    call_command("audit", dataset, *{options}, "--experts", *{experts})
"""


@dataclass
class Outcome:
    """What one seed came to."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    said: Said = field(default_factory=Said)
    stored: int = 0
    attempts: int = 0
    ended_after: float = 0.0

    def __str__(self) -> str:
        killed = ", ".join(f"{n} {kind}" for kind, n in sorted(self.kills.items()))
        return (
            f"seed {self.seed:2}: {sum(self.kills.values())} kills ({killed}); "
            f"{len(self.said.acknowledged)} verdicts acknowledged, {self.stored} stored, "
            f"{self.said.retries} requests sent again, {self.said.replayed} answered as replayed, "
            f"{self.said.refused} refused; a chunk tried {self.attempts} times at most; "
            f"all ready {self.ended_after:.0f} s after the last kill"
        )


@dataclass(frozen=True, slots=True)
class Size:
    """How many pictures each of the three audits scores, and how many there are to judge."""

    scored: int = 200
    judged: int = 900


WHOLE = Size()


@lru_cache(maxsize=1)
def template(size: Size) -> Path:
    """Return a home with pictures to score, a finished audit to judge, and people."""
    home = Path(tempfile.mkdtemp(prefix="label-audit-soak-"), "template")
    made = Installation(home)
    sources = [made.write_pictures(slug, size.scored) for slug in DATASETS]
    sources.append(made.write_pictures("judged", size.judged))
    script = PREPARE.format(
        sources=sources, experts=EXPERTS, password=PASSWORD, people=PEOPLE, drawn=size.judged // 2
    )
    made.run("shell", "-c", script)
    return home


@lru_cache(maxsize=1)
def golden(size: Size) -> Golden:
    """Return what the three audits come to when nothing disturbs them."""
    home = template(size).with_name("golden")
    shutil.copytree(template(size), home)
    made = Installation(home, migrate=False)
    start_audits(made, "--wait")
    return golden_of(made)


def start_audits(made: Installation, *options: str) -> None:
    script = AUDIT.format(datasets=DATASETS, options=options, experts=EXPERTS)
    made.run("shell", "-c", script)


@contextmanager
def stage(stack: str, size: Size) -> Iterator[Scene]:
    """Yield an installation like the template, on either stack."""
    settings = {"LABEL_AUDIT_LEASE_SECONDS": str(LEASE_SECONDS)}
    folder = Path(tempfile.mkdtemp(prefix="label-audit-soak-"))
    folder.chmod(0o755)
    try:
        if stack == "embedded":
            shutil.copytree(template(size), folder / "home")
            scene = Scene(Installation(folder / "home", migrate=False, **settings), ("", ""))
            with telling(scene):
                yield scene
            return
        with servers(folder) as (postgres, redis):
            made = Installation(
                folder / "home", database=postgres.get_uri(), redis=redis.connection_url,
                migrate=False, **settings,
            )  # fmt: skip
            # The same rows on another database, and one more restore that must hold.
            backup = template(size).with_name("backup")
            if not backup.exists():
                Installation(template(size), migrate=False).run("backup", str(backup))
            made.run("migrate", "--verbosity", "0")
            made.run("restore", str(backup), "--force")
            scene = Scene(made, ("", ""), redis, postgres)
            try:
                with telling(scene):
                    yield scene
            finally:
                stop_redis(scene.redis)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def soak(
    seed: int,
    seconds: float,
    *,
    stack: str = "production",
    every: tuple[float, float] = (2.0, 6.0),
    size: Size = WHOLE,
) -> Outcome:
    """Disturb one installation for so long; AssertionError where an invariant doesn't hold."""
    expected = golden(size)
    with stage(stack, size) as scene:
        made, outcome = scene.installation, Outcome(seed)
        # Undisturbed, one process would take half as long as the chaos lasts.
        slow = 500 * seconds / (size.scored * len(DATASETS) * len(EXPERTS))
        made.environment |= {"PYTHONPATH": INJECTED, "FAULT_SLOW": str(slow)}
        start_audits(made)
        with site(made) as person:
            crowd = Crowd(int(person.base.rpartition(":")[2]), PEOPLE, PASSWORD, audit=1)
            with Killer(scene, person.pid, random.Random(seed)) as killer:  # noqa: S311
                crowd.start()
                killer.strike_for(seconds, every)
                outcome.kills, cleared = killer.kills, time.monotonic()
                outcome.said = crowd.finish()
                wait_until(lambda: all_ready(made), "the audits are ready", RECOVERY_SECONDS)
                outcome.ended_after = time.monotonic() - cleared
                overdue = LEASE_SECONDS + 15
                wait_until(lambda: n_leased(made) == 0, "leases are taken back", overdue)
        check_invariants(made, expected, outcome.said)
        outcome.stored = count(made, "SELECT COUNT(*) FROM reviews_judgment")
        outcome.attempts = count(made, "SELECT MAX(epoch) FROM audit_chunk")
    return outcome


def count(made: Installation, query: str) -> int:
    return int(made.query(query)[0][0])


def all_ready(made: Installation) -> bool:
    states = [state for (state,) in made.query("SELECT state FROM audit_audit")]
    assert "failed" not in states, made.query("SELECT id, state, error FROM audit_audit")
    return set(states) == {"ready"}


def n_leased(made: Installation) -> int:
    return count(made, "SELECT COUNT(*) FROM reviews_reviewslot WHERE state = 'leased'")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="The first seed.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--stack", choices=["production", "embedded"], default="production")
    options = parser.parse_args()
    outcomes, failed = [], []
    for seed in range(options.first, options.first + options.seeds):
        try:
            outcomes.append(soak(seed, options.seconds, stack=options.stack))
            sys.stdout.write(f"{outcomes[-1]}\n")
        except Exception:  # noqa: BLE001 - a seed that fails must not end the others
            traceback.print_exc()
            failed.append(seed)
            sys.stdout.write(f"seed {seed:2}: FAILED\n")
        sys.stdout.flush()
    kills: Counter[str] = sum((each.kills for each in outcomes), Counter())
    acknowledged = sum(len(each.said.acknowledged) for each in outcomes)
    sys.stdout.write(
        f"{options.stack}, {len(outcomes)} seeds of {options.seconds:.0f} s: "
        f"{sum(kills.values())} kills "
        f"({', '.join(f'{n} {kind}' for kind, n in sorted(kills.items()))}); "
        f"{acknowledged} verdicts acknowledged, {sum(each.stored for each in outcomes)} stored, "
        f"{sum(each.said.retries for each in outcomes)} requests sent again; "
        f"failed seeds: {', '.join(map(str, failed)) or 'none'}\n"
    )
    shutil.rmtree(template(WHOLE).parent, ignore_errors=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
