"""Runs the web site of the embedded stack."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from audit.management.numbers import whole_number

# A folder in memory: a heartbeat must not wait for a disk.
SHARED_MEMORY = "/dev/shm"  # noqa: S108  # nosec B108 - the server makes names of its own in it


class Command(BaseCommand):
    help = "Run the web site on this machine; the worker is a command of its own."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=whole_number(1, 65_535), default=8000)
        parser.add_argument("--workers", type=whole_number(1, 64), default=2, help="Web processes.")

    def handle(self, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        self.stderr.write(f"http://{options['host']}:{options['port']}/  Ctrl-C stops it")
        address = f"{options['host']}:{options['port']}"
        command = gunicorn_command("audit.config.wsgi:application", address, options["workers"])
        os.execve(command[0], command, server_environment())  # noqa: S606 - our own command line


def server_environment() -> dict[str, str]:
    """Return the environment of web processes: their threads share two arenas of memory.

    Otherwise each of eight would keep what it freed in an arena of its own.
    """
    return {"MALLOC_ARENA_MAX": "2", **os.environ}


def gunicorn_command(application: str, address: str, n_workers: int) -> list[str]:
    """Return the command that serves a WSGI application by threads in several processes."""
    return [
        sys.executable, "-m", "gunicorn", application,
        "--bind", address,
        "--workers", str(n_workers),
        "--worker-class", "audit.config.web_worker.WholeRequestWorker", "--threads", "8",
        "--timeout", "60", "--graceful-timeout", "10", "--keep-alive", "15",
        "--worker-tmp-dir", SHARED_MEMORY if Path(SHARED_MEMORY).is_dir() else gettempdir(),
        "--max-requests", "20000", "--max-requests-jitter", "2000",
        # No header of a client's says where the site lies (SCRIPT_NAME, PATH_INFO).
        "--forwarder-headers", "",
        "--log-level", "warning",
    ]  # fmt: skip
