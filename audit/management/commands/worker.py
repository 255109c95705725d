"""Runs the engine on this machine: expert workers, a worker for everything else, the reconciler."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, close_old_connections, connections
from django.db.models import QuerySet
from django.utils.module_loading import import_string
from kombu.exceptions import OperationalError

from audit.config.celery import DEFAULT_QUEUE, EXPERTS_QUEUE
from audit.devices import VISIBLE, choose_devices
from audit.management.numbers import whole_number
from audit.models import Audit, Chunk, Claimable, ScoreSet
from audit.processes import Child, keep_running
from audit.services import workers

logger = logging.getLogger(__name__)
TICK_SECONDS = 0.25
SIGN_SECONDS = 2.0
# So long a Celery worker may take to start on a machine that is very busy.
START_SECONDS = 15.0
MOST_DOUBLINGS = 4
# The same trouble is logged once in so many seconds.
REPEAT_SECONDS = 30.0


def celery_child(
    queue: str, concurrency: int = 1, *, place: str = "", environment: dict[str, str] | None = None
) -> Child:
    """Return a Celery worker on one queue. Prefork: the pool with time limits and clean kills."""
    name = f"{queue}{place}-{os.getpid()}"
    return Child(
        name=name,
        command=[
            sys.executable, "-m", "celery", "--quiet", "-A", "audit.config.celery", "worker",
            "--queues", queue, "--concurrency", str(concurrency), "--pool", "prefork",
            "--hostname", f"{name}@%h", "--loglevel", "WARNING",
            "--without-gossip", "--without-mingle", "--without-heartbeat",
        ],
        environment={
            # Containers and newcomers run as root; JSON ids bound what a task may do anyway.
            "PYTHONWARNINGS": "ignore:You're running the worker with superuser",
            **(environment or {}),
        },
    )  # fmt: skip


def expert_children(gpus: Sequence[str], concurrency: int) -> list[Child]:
    """Return one Celery worker per GPU, which sees no other, or one for all."""
    if gpus:
        return [
            celery_child(
                EXPERTS_QUEUE, concurrency, place=f"-gpu{place}", environment={VISIBLE: gpu}
            )
            for place, gpu in enumerate(gpus)
        ]
    environment = {}
    if concurrency > 1:
        # Each process starting a thread per core would have them wait for each other.
        threads = max((os.cpu_count() or 1) // concurrency, 1)
        environment["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", str(threads))
    return [celery_child(EXPERTS_QUEUE, concurrency, environment=environment)]


def waiting_for(child: Child) -> list[QuerySet[Any]]:
    """Return the work that a Celery worker is woken up for."""
    if child.name.startswith(EXPERTS_QUEUE):
        return [Chunk.objects.pending()]
    others = set(Claimable.__subclasses__()) - {Chunk, ScoreSet, Audit}
    pending = [kind._default_manager.filter(work=Claimable.Work.PENDING) for kind in others]
    return [ScoreSet.objects.to_close(), Audit.objects.to_calibrate(), *pending]


class Engine:
    """The parent's part: sign of life, wake-ups, and putting right what crashes leave behind.

    The parent never runs a task and never forks with an open database connection; it outlives
    its Celery children and starts them again.
    """

    def __init__(self, children: Sequence[Child], devices: str, slots: int) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._children = children
        self._devices, self._slots = devices, slots
        self._announcers = [import_string(path) for path in settings.LABEL_AUDIT_ANNOUNCERS]
        self._reconcilers = [import_string(path) for path in settings.LABEL_AUDIT_RECONCILERS]
        self._next_sign = self._next_reconcile = self._log_again_at = 0.0
        self._forgets = True
        self._trouble = self._refusal = ""
        self._deaf: Counter[str] = Counter()

    def forget_announcements(self) -> None:
        """Announce anew, at the next tick, what children that ended may have taken with them."""
        self._forgets = True

    def tick(self) -> bool:
        """Do what is due; a database or broker that is away is waited for."""
        close_old_connections()
        try:
            refusal = self._sign()
            if not refusal:
                self._work()
            self._note(refusal)
        except (DatabaseError, OperationalError, OSError) as error:
            # Some of what was just announced may never have been sent.
            self._forgets = True
            self._note(str(error))
            time.sleep(1)
        return True

    def _sign(self) -> str:
        """Give a sign of life now and then; return why no work may be done, if so."""
        if time.monotonic() >= self._next_sign:
            self._refusal = workers.version_refusal()
            for child in self._children:
                child.is_wanted = not self._refusal
            trouble = self._refusal or self._trouble
            workers.sign_in(self.name, devices=self._devices, slots=self._slots, trouble=trouble)
            self._next_sign = time.monotonic() + SIGN_SECONDS
        return self._refusal

    def _work(self) -> None:
        if self._forgets:
            workers.forget_announcements()
            self._forgets = False
        if time.monotonic() >= self._next_reconcile:
            for reconcile in self._reconcilers:
                reconcile()
            self._wake_the_deaf()
            self._next_reconcile = time.monotonic() + settings.RECONCILE_SECONDS
        for announce in self._announcers:
            announce()

    def _wake_the_deaf(self) -> None:
        for child in self._children:
            pids = child.family()
            patience = max(settings.CLAIM_SECONDS, START_SECONDS) * 2 ** self._deaf[child.name]
            if not pids or time.monotonic() - child.started_at < patience:
                continue
            if workers.is_deaf(waiting_for(child), pids):
                logger.warning("%s takes no work any more", child.name)
                # Where starting takes as long as that, it must not be started again and again.
                self._deaf[child.name] = min(self._deaf[child.name] + 1, MOST_DOUBLINGS)
                child.restart_soon()
                self._forgets = True
            else:
                self._deaf[child.name] = 0

    def _note(self, trouble: str) -> None:
        """Log what keeps the engine from working, and have the next sign of life say so."""
        now = time.monotonic()
        if trouble != self._trouble:
            self._next_sign = 0.0
        if trouble and (trouble != self._trouble or now >= self._log_again_at):
            logger.warning("the engine waits: %s", trouble)
            self._log_again_at = now + REPEAT_SECONDS
        self._trouble = trouble

    def leave(self) -> None:
        """Sign out, so that pages know at once."""
        # Whoever asked to stop may have done so in the middle of a transaction.
        connections.close_all()
        try:
            workers.sign_out(self.name)
        except DatabaseError as error:
            logger.warning("could not sign out: %s", error)


class Command(BaseCommand):
    help = "Run the engine: it scores, calibrates and builds releases until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--devices",
            default="auto",
            help="auto (every GPU, else the CPU), cpu, or GPU ids: 0,1.",
        )
        parser.add_argument(
            "--concurrency",
            type=whole_number(1, 64),
            default=1,
            help="Expert processes per device.",
        )
        parser.add_argument(
            "--queues",
            nargs="+",
            choices=[EXPERTS_QUEUE, DEFAULT_QUEUE],
            default=[EXPERTS_QUEUE, DEFAULT_QUEUE],
            help="experts alone on further machines; default calibrates and builds releases.",
        )

    def handle(self, **options: Any) -> None:
        gpus = choose_devices(options["devices"])
        if options["devices"] == "cpu":
            os.environ[VISIBLE] = ""
        children: list[Child] = []
        if EXPERTS_QUEUE in options["queues"]:
            children += expert_children(gpus, options["concurrency"])
        slots = len(children) * options["concurrency"]
        if DEFAULT_QUEUE in options["queues"]:
            children.append(celery_child(DEFAULT_QUEUE))
        named = f"{len(gpus)} GPU" if gpus else "CPU"
        engine = Engine(children, named if slots else "none", slots)
        self.stderr.write(f"worker {engine.name} is listening; Ctrl-C stops it")
        try:
            code = keep_running(
                children,
                every=TICK_SECONDS,
                tick=engine.tick,
                on_restart=engine.forget_announcements,
            )
        finally:
            engine.leave()
        sys.exit(code)
