"""The Celery application. A message is only a wake-up: the database holds the work."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from celery import Celery
from celery.signals import task_prerun, worker_before_create_process, worker_process_init
from django.db import close_old_connections
from django.db.backends.signals import connection_created

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "audit.config.settings")

from django.conf import settings

from audit.config import folder_transport

logger = logging.getLogger(__name__)
EXPERTS_QUEUE = "experts"
DEFAULT_QUEUE = "default"


def broker_settings() -> dict[str, Any]:
    """Return the broker's address and options: Redis where one is named, else a folder."""
    if settings.REDIS_URL:
        return {
            "broker_url": settings.REDIS_URL,
            "broker_transport_options": {
                # Redelivery of a dead worker's message takes minutes by default.
                "visibility_timeout": 3600,
                "unacked_restore_interval": 5,
                "unacked_restore_throttle": 1,
                "socket_timeout": 5,
                "socket_connect_timeout": 2,
                "health_check_interval": 10,
            },
        }
    settings.BROKER_FOLDER.mkdir(parents=True, exist_ok=True, mode=0o700)
    return {
        "broker_url": f"{folder_transport.SCHEME}://",
        "broker_transport_options": {
            "folder": str(settings.BROKER_FOLDER),
            "polling_interval": 0.01,
        },
    }


app = Celery("label_audit")
app.conf.update(
    **broker_settings(),
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    result_backend=None,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_default_queue=DEFAULT_QUEUE,
    task_routes={"audit.tasks.process_chunk": {"queue": EXPERTS_QUEUE}},
    task_publish_retry=False,
    # How long a killed process's result is waited for before the next message is taken; there
    # are no results.
    worker_lost_wait=1.0,
    worker_prefetch_multiplier=1,
    worker_max_tasks_per_child=1000,
    # A broker that is away for a moment costs no work: whoever has a chunk goes on, and a message
    # that comes again finds it claimed.
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_hijack_root_logger=False,
    # Tasks keep their connection to the database; `check_connection` drops one that has died.
    CELERY_DB_REUSE_MAX=1000,
    worker_send_task_events=False,
    worker_enable_remote_control=False,
)
app.autodiscover_tasks(["audit", "reviews"])


@task_prerun.connect
def check_connection(**_: Any) -> None:
    """Drop a connection that has died or is old, before a task uses it."""
    close_old_connections()


@worker_process_init.connect
def commit_lightly(**_: Any) -> None:
    """Don't wait for the disk at every commit of a pool process.

    What a power cut takes away of an engine's rows is work that is done again. Other processes
    wait: a verdict that was acknowledged is on the disk.
    """
    connection_created.connect(_commit_lightly)


def _commit_lightly(connection: Any, **_: Any) -> None:
    is_sqlite = connection.vendor == "sqlite"
    if is_sqlite:
        connection.close_at = None  # a file doesn't go away
    with connection.cursor() as cursor:
        cursor.execute(
            "PRAGMA synchronous=NORMAL" if is_sqlite else "SET synchronous_commit TO off"
        )


@worker_before_create_process.connect
def refuse_to_fork_torch(**_: Any) -> None:
    """End a worker that has loaded torch: what it forks would hang at the first operation.

    Experts are loaded in the pool's processes; nothing else may import torch. That this process
    is started again, and again, is better than chunks that never end.
    """
    if "torch" in sys.modules:
        logger.critical("torch is loaded in the worker's parent process: not forking")
        os._exit(os.EX_SOFTWARE)
