"""How log records are written: as lines for people, or as one JSON document a line.

Either way secrets are taken out, and nothing in a message can end its line or forge another:
whatever a user agent, a file's name or a path holds, line ends and control characters are escaped.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest

from audit.log_context import current_work
from audit.redaction import MAX_LOGGED, clean_error

# Line ends of all kinds, C1 controls (a terminal may take one for an escape sequence), and what
# turns the direction of writing around.
_FORGING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
TRACEBACK_MARGIN = "    | "


def on_one_line(text: str) -> str:
    """Return the text with every character escaped that could end or forge a line."""
    return _FORGING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class LineFormatter(logging.Formatter):
    """Writes a record as one line; a traceback's lines follow behind a margin."""

    def format(self, record: logging.LogRecord) -> str:
        work = "".join(f" {kind}={number}" for kind, number in current_work().items())
        said = on_one_line(clean_error(record.getMessage(), limit=MAX_LOGGED))
        line = f"{self.formatTime(record)} {record.levelname} {record.name}{work} {said}"
        if not (trouble := trace_of(record)):
            return line
        traced = (TRACEBACK_MARGIN + on_one_line(each) for each in trouble.split("\n"))
        return "\n".join((line, *traced))


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object in ASCII, on one line.

    ``time`` (UTC), ``level``, ``logger``, ``message``, ``process``; ``request``, ``audit``,
    ``scores``, ``chunk`` where the thread is busy with one; ``method``, ``path`` and ``status`` of
    an answer that is logged; ``error`` with the traceback.
    """

    def format(self, record: logging.LogRecord) -> str:
        document: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": clean_error(record.getMessage(), limit=MAX_LOGGED),
            "process": record.process,
            **current_work(),
            **_answer_of(record),
        }
        if trouble := trace_of(record):
            document["error"] = trouble
        return json.dumps(document)


def trace_of(record: logging.LogRecord) -> str:
    """Return a record's traceback without secrets, empty if it has none."""
    parts = []
    if record.exc_info:
        # Not the text that another handler's formatter left behind: that may hold secrets.
        parts.append(logging.Formatter().formatException(record.exc_info))
    if record.stack_info:
        parts.append(record.stack_info)
    return clean_error("\n".join(parts), limit=MAX_LOGGED) if parts else ""


def _answer_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return which request a record of Django's is about. Never its query: that may hold words."""
    request = getattr(record, "request", None)
    if not isinstance(request, HttpRequest):
        return {}
    return {
        "method": clean_error(request.method, limit=20),
        "path": clean_error(request.path, limit=200),
        "status": getattr(record, "status_code", None),
    }
