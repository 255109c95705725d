"""What is logged can't be forged, holds no secret, and says which request or chunk it is about."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import re
from urllib.parse import quote

import pytest
from django.conf import settings

from audit.config.environment import SettingError, read_choice
from audit.log_context import busy_with, current_work
from audit.log_lines import JsonFormatter, LineFormatter
from audit.services.scores import request_scores
from audit.tasks import process_chunk
from tests.factories import make_dataset, make_member, make_project

FORGED = "Safari\r\n2026-01-01 ERROR audit forged\x1b[31m red \x9b31m\u2028next \u202eright to left"


@pytest.fixture(params=["text", "json"])
def logged(request):
    """What the site logs, in one of its formats, as it is configured."""
    formatter = settings.LOGGING["formatters"][request.param]
    stream = io.StringIO()
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"used": formatter},
            "handlers": {
                "stream": {
                    "class": "logging.StreamHandler", "formatter": "used", "stream": stream
                }
            },
            "loggers": {
                name: {"handlers": ["stream"], "level": "INFO", "propagate": False}
                for name in ("django.request", "django.security", "audit")
            },
        }
    )  # fmt: skip
    stream.is_json = request.param == "json"
    yield stream
    for name in ("django.request", "django.security", "audit"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


def record(message, *arguments, error=None, **more):
    trouble = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("audit", logging.WARNING, __file__, 1, message, arguments, trouble)
    made.__dict__.update(more)
    return made


@pytest.mark.parametrize("formatter", [LineFormatter, JsonFormatter])
def test_a47_what_a_client_sends_stays_on_one_plain_line(formatter):
    line = formatter().format(record("agent %s did", FORGED))
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert "forged" in line


def test_a47_a_traceback_can_not_begin_a_line_of_the_log():
    error = ValueError("x\n2026-01-01 00:00:00 ERROR audit forged\x1b[2K")
    first, *others = LineFormatter().format(record("failed", error=error)).split("\n")
    assert first.endswith("failed")
    assert len(others) > 1
    assert all(line.startswith("    | ") and line.isprintable() for line in others)


@pytest.mark.parametrize("formatter", [LineFormatter, JsonFormatter])
def test_f46_secrets_are_in_neither_message_nor_traceback(formatter):
    error = ConnectionError("postgres://audit:hunter2@db/audit is gone")
    line = formatter().format(record("password=hunter2 chunk %s", 7, error=error))
    assert "hunter2" not in line
    assert "chunk 7" in line
    assert "postgres://***@db/audit is gone" in line


def test_f46_five_megabytes_of_error_are_cut():
    line = JsonFormatter().format(record("failed", error=ValueError("x" * 5_000_000)))
    assert len(line) < 50_000


def test_a_document_says_what_the_thread_is_busy_with():
    with busy_with(audit=3), busy_with(chunk=7):
        document = json.loads(JsonFormatter().format(record("working")))
        line = LineFormatter().format(record("working"))
    assert (document["audit"], document["chunk"], document["level"]) == ("3", "7", "WARNING")
    assert " audit=3 chunk=7 working" in line
    assert current_work() == {}


@pytest.mark.django_db
def test_what_an_answer_carries_is_in_the_log_and_on_the_page(client, logged):
    answer = client.get("/" + quote(FORGED) + "/?token=of-the-query")
    number = answer["X-Request-ID"]
    assert answer.status_code == 404
    assert re.fullmatch("[0-9a-f]{16}", number)
    assert number in answer.content.decode()
    said = logged.getvalue()
    assert number in said
    assert "of-the-query" not in said
    assert len(said.splitlines()) == 1
    assert said.strip().isprintable()
    # Nobody chooses under which number they are found.
    assert client.get("/healthz", headers={"X-Request-ID": number})["X-Request-ID"] != number
    assert current_work() == {}


@pytest.mark.django_db
def test_a37_an_error_page_says_the_request_and_nothing_of_the_error(client, logged, monkeypatch):
    def broken(*_arguments, **_named):
        raise RuntimeError("postgres://audit:hunter2@db/audit SELECT * FROM secrets /etc/passwd")

    monkeypatch.setattr("reviews.views.home.render", broken)
    client.raise_request_exception = False
    client.force_login(make_member(make_project()))
    answer = client.get("/", headers={"User-Agent": FORGED})
    page = answer.content.decode()
    assert answer.status_code == 500
    assert answer["X-Request-ID"] in page
    for hidden in ("RuntimeError", "hunter2", "SELECT", "/etc", "Traceback", "Django"):
        assert hidden not in page
    said = logged.getvalue()
    assert answer["X-Request-ID"] in said
    assert "RuntimeError" in said
    assert "hunter2" not in said
    if logged.is_json:
        document = json.loads(said)
        assert (document["path"], document["status"]) == ("/", 500)


@pytest.mark.django_db
def test_a37_a_request_that_makes_no_sense_is_told_so_with_its_id(client, logged):
    answer = client.get("/login/", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert answer["X-Request-ID"] in answer.content.decode()
    assert "evil" not in answer.content.decode()


@pytest.mark.django_db
def test_a_worker_says_which_chunk_failed(logged, monkeypatch):
    score_set = request_scores(make_dataset(n_items=4), "stub:3")
    chunk = score_set.chunks.get()
    monkeypatch.setattr("audit.services.chunks.predict_items", lambda *_: 1 / 0)
    process_chunk(chunk.pk)
    said = logged.getvalue()
    if logged.is_json:
        document = json.loads(said.splitlines()[0])
        assert (document["scores"], document["chunk"]) == (str(score_set.pk), str(chunk.pk))
        assert "ZeroDivisionError" in document["error"]
    else:
        assert f" scores={score_set.pk} chunk={chunk.pk} " in said.splitlines()[0]


def test_a_format_that_does_not_exist_is_refused():
    assert read_choice({}, "F", choices=("text", "json")) == "text"
    assert read_choice({"F": " JSON "}, "F", choices=("text", "json")) == "json"
    with pytest.raises(SettingError, match="F must be one of text, json, got 'xml'"):
        read_choice({"F": "xml"}, "F", choices=("text", "json"))
