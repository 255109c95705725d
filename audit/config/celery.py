"""The Celery application. A message is only a wake-up: the database holds the work."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "audit.config.settings")

from django.conf import settings

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
    task_time_limit=1800,
    worker_prefetch_multiplier=1,
    worker_max_tasks_per_child=1000,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
)
app.autodiscover_tasks(["audit", "reviews"])
