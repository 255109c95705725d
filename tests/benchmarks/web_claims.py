"""Sixteen annotators who claim and judge without a pause, in four processes: R01 in full.

`python -m tests.benchmarks.web_claims --claims 2000`: each claims one item at a time and judges
it, by the services that the desk calls. Whoever got what is compared with what the database says.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import django

from tests.benchmarks.web_stack import ENGINES, Stack, check_nothing_lost, stack
from tests.faults.installation import ROOT

N_PEOPLE, N_PROCESSES = 16, 4


def claim_and_judge(audit: int, name: str, n_claims: int) -> list[tuple[int, str]]:
    """Return slot and key of every item that this person was given and judged."""
    from django.contrib.auth.models import User
    from django.db import connections

    from reviews.models import Sample, Verdict
    from reviews.services.judgments import Answer, record_judgment
    from reviews.services.leases import claim_slots

    person, sample = User.objects.get(username=name), Sample.objects.get(audit=audit)
    taken = []
    while len(taken) < n_claims and (slots := claim_slots(sample, person, 1)):
        key = uuid4()
        record_judgment(person, slots[0].pk, slots[0].epoch, key, Answer(Verdict.UNSURE))
        taken.append((slots[0].pk, str(key)))
    connections.close_all()
    return taken


def work(audit: int, n_claims: int, people: list[str]) -> None:
    """Let some of the people work in threads of this process; print what they got."""
    django.setup()
    with ThreadPoolExecutor(len(people)) as pool:
        taken = pool.map(lambda name: claim_and_judge(audit, name, n_claims), people)
        sys.stdout.write(json.dumps([row for rows in taken for row in rows]))


def start(served: Stack, n_claims: int, people: list[str]) -> subprocess.Popen[bytes]:
    module = [sys.executable, "-m", "tests.benchmarks.web_claims"]
    return subprocess.Popen(
        [*module, "--claims", str(n_claims), "--audit", str(served.audit), "--people", *people],
        cwd=ROOT,
        env=served.installation.environment | {"DJANGO_SETTINGS_MODULE": "audit.config.settings"},
        stdout=subprocess.PIPE,
    )


def measure(served: Stack, n_claims: int) -> str:
    """Return what came of it in one line."""
    started = time.perf_counter()
    groups = [served.people[first::N_PROCESSES] for first in range(N_PROCESSES)]
    running = [start(served, n_claims, group) for group in groups]
    taken = [tuple(row) for process in running for row in json.loads(process.communicate()[0])]
    seconds = time.perf_counter() - started
    assert not any(process.returncode for process in running)
    twice = sum(count > 1 for count in Counter(slot for slot, _ in taken).values())
    wrong = check_nothing_lost(served.installation, [key for _, key in taken], twice)
    return (
        f"{ENGINES[served.engine]}: {N_PEOPLE} annotators x {n_claims:,} claims: {len(taken):,} "
        f"claimed and judged in {seconds:.0f} s, {len(taken) / seconds:.0f} a second: "
        f"{wrong or 'no item given twice, none judged twice, none lost'}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.web_claims")
    parser.add_argument("--claims", type=int, default=2000, help="by each of the sixteen")
    parser.add_argument("--database", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--folder", type=Path, help="for the databases, on a disk")
    parser.add_argument("--audit", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--people", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.people:
        assert os.environ["DJANGO_SETTINGS_MODULE"]
        work(options.audit, options.claims, options.people)
        return
    for engine in options.database:
        with stack(engine, N_PEOPLE * options.claims, N_PEOPLE, options.folder) as served:
            sys.stdout.write(measure(served, options.claims))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
