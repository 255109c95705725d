"""The Celery application. A message is only a wake-up: the database holds the work."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from celery import Celery
from celery.signals import worker_before_create_process

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "audit.config.settings")

from django.conf import settings

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
    folders = {name: settings.BROKER_FOLDER / name for name in ("messages", "control", "processed")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return {
        "broker_url": "filesystem://",
        "broker_transport_options": {
            "data_folder_in": str(folders["messages"]),
            "data_folder_out": str(folders["messages"]),
            "control_folder": str(folders["control"]),
            "processed_folder": str(folders["processed"]),
            "store_processed": False,
            "polling_interval": 0.05,
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
    worker_send_task_events=False,
)
app.autodiscover_tasks(["audit", "reviews"])


@worker_before_create_process.connect
def refuse_to_fork_torch(**_: Any) -> None:
    """End a worker that has loaded torch: what it forks would hang at the first operation.

    Experts are loaded in the pool's processes; nothing else may import torch. That this process
    is started again, and again, is better than chunks that never end.
    """
    if "torch" in sys.modules:
        logger.critical("torch is loaded in the worker's parent process: not forking")
        os._exit(os.EX_SOFTWARE)
