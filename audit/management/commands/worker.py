"""Runs the engine on this machine: expert workers, a worker for everything else, the reconciler."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, close_old_connections
from django.utils.module_loading import import_string
from kombu.exceptions import OperationalError

from audit.config.celery import DEFAULT_QUEUE, EXPERTS_QUEUE
from audit.processes import Child, keep_running
from audit.services.reconcile import forget_announcements, sign_in, sign_out

logger = logging.getLogger(__name__)
TICK_SECONDS = 0.25
SIGN_SECONDS = 2.0


def celery_child(queue: str, concurrency: int) -> Child:
    """Return a Celery worker on one queue. Prefork: the pool with time limits and clean kills."""
    name = f"{queue}-{os.getpid()}"
    return Child(
        name=name,
        command=[
            sys.executable, "-m", "celery", "--quiet", "-A", "audit.config.celery", "worker",
            "--queues", queue, "--concurrency", str(concurrency), "--pool", "prefork",
            "--hostname", f"{name}@%h", "--loglevel", "WARNING",
            "--without-gossip", "--without-mingle", "--without-heartbeat",
        ],
        # Containers and newcomers run as root; what a task may do is bounded by JSON ids anyway.
        environment={"PYTHONWARNINGS": "ignore:You're running the worker with superuser"},
    )  # fmt: skip


class Engine:
    """The parent's part: sign of life, wake-ups, and putting right what crashes leave behind.

    The parent never runs a task and never forks with an open database connection; it outlives
    its Celery children and starts them again.
    """

    def __init__(self) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._announcers = [import_string(path) for path in settings.LABEL_AUDIT_ANNOUNCERS]
        self._reconcilers = [import_string(path) for path in settings.LABEL_AUDIT_RECONCILERS]
        self._next_sign = self._next_reconcile = 0.0

    def tick(self) -> bool:
        """Do what is due; a database or broker that is away is waited for."""
        close_old_connections()
        now = time.monotonic()
        try:
            if now >= self._next_sign:
                sign_in(self.name, settings.LABEL_AUDIT_VERSION)
                self._next_sign = now + SIGN_SECONDS
            if now >= self._next_reconcile:
                for reconcile in self._reconcilers:
                    reconcile()
                self._next_reconcile = now + settings.RECONCILE_SECONDS
            for announce in self._announcers:
                announce()
        except (DatabaseError, OperationalError, OSError) as error:
            logger.warning("the engine waits: %s", error)
            time.sleep(1)
        return True

    def leave(self) -> None:
        """Sign out, so that pages know at once."""
        try:
            sign_out(self.name)
        except DatabaseError as error:
            logger.warning("could not sign out: %s", error)


class Command(BaseCommand):
    help = "Run the engine: it scores, calibrates and builds releases until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--concurrency", type=int, default=1, help="Expert processes, one per device."
        )

    def handle(self, **options: Any) -> None:
        engine = Engine()
        forget_announcements()
        self.stderr.write(f"worker {engine.name} is listening; Ctrl-C stops it")
        try:
            code = keep_running(
                [
                    celery_child(EXPERTS_QUEUE, options["concurrency"]),
                    celery_child(DEFAULT_QUEUE, 1),
                ],
                every=TICK_SECONDS,
                tick=engine.tick,
                on_restart=forget_announcements,
            )
        finally:
            engine.leave()
        sys.exit(code)
