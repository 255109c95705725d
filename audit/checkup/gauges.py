"""Figures of the engine for a monitor, in Prometheus's text form.

All come from the database and the disk, so whichever web process is asked says the same; requests
themselves are counted better by the proxy in front.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.models import Count, Min, Q, Sum
from django.db.models.functions import Now

from audit.models import Audit, Chunk, Claimable, Worker


@dataclass(frozen=True, slots=True)
class Gauge:
    """One figure at one moment; `name` without the prefix that all have."""

    name: str
    said: str
    value: float
    labels: dict[str, str] = field(default_factory=dict)


def engine_gauges() -> Iterator[Gauge]:
    """Yield what waits and what is under way, by kind of work, and who is there for it."""
    for kind in sorted(Claimable.__subclasses__(), key=lambda kind: kind.__name__):
        rows = kind._default_manager
        for work in (Claimable.Work.PENDING, Claimable.Work.RUNNING, Claimable.Work.FAILED):
            labels = {"kind": kind.__name__.lower(), "work": str(work.value)}
            count = rows.filter(_in_hand(kind), work=work).count()
            yield Gauge("work", "Work by kind and how far it is.", count, labels)
    waiting = Chunk.objects.pending().aggregate(since=Min("score_set__created_at"), now=Min(Now()))
    age = (waiting["now"] - waiting["since"]).total_seconds() if waiting["since"] else 0.0
    yield Gauge("oldest_pending_seconds", "Age of the oldest scores with chunks waiting.", age)
    states = dict(Audit.objects.values_list("state").annotate(n=Count("pk")))
    for state in Audit.State.values:
        yield Gauge("audits", "Audits by state.", states.get(state, 0), {"state": state})
    slots = Q(trouble="")
    workers = Worker.objects.alive().aggregate(
        all=Count("pk"), listening=Count("pk", filter=slots), slots=Sum("slots", filter=slots)
    )
    yield Gauge("workers", "Workers with a recent sign of life.", workers["all"])
    yield Gauge("workers_listening", "Those of them that take work.", workers["listening"])
    yield Gauge("worker_slots", "Chunks they can score at a time.", workers["slots"] or 0)


def _in_hand(kind: type[Claimable]) -> Q:
    """Return which rows of a kind are work at all: not scores or audits that aren't so far yet."""
    if kind is Audit:
        return Q(state__in=[Audit.State.CALIBRATING, Audit.State.FAILED])
    return Q(state="scoring") if kind.__name__ == "ScoreSet" else Q()


def storage_gauges() -> Iterator[Gauge]:
    """Yield the space that is left and what the database takes."""
    free = shutil.disk_usage(settings.LABEL_AUDIT_HOME).free
    yield Gauge("disk_free_bytes", "Free in the home folder.", free)
    if connection.vendor == "sqlite":
        file = Path(connection.settings_dict["NAME"])
        sizes = {name: _size(file.with_name(file.name + name)) for name in ("", "-wal")}
        yield Gauge("database_bytes", "The database's file.", sizes[""])
        yield Gauge("database_log_bytes", "SQLite's write-ahead log.", sizes["-wal"])
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        yield Gauge("database_bytes", "The database, as PostgreSQL counts.", cursor.fetchone()[0])


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def write_gauges(gauges: Iterable[Gauge], prefix: str = "label_audit_") -> str:
    """Return gauges in Prometheus's text format 0.0.4; those of a name must stand together."""
    lines = []
    for name, group in groupby(gauges, key=lambda gauge: gauge.name):
        for number, gauge in enumerate(group):
            if not number:
                lines += [f"# HELP {prefix}{name} {gauge.said}", f"# TYPE {prefix}{name} gauge"]
            pairs = ",".join(f'{key}="{_escape(value)}"' for key, value in gauge.labels.items())
            lines.append(f"{prefix}{name}{'{' + pairs + '}' if pairs else ''} {gauge.value:.17g}")
    return "\n".join(lines) + "\n"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
