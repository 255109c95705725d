"""What is stored and logged of an error holds no secret, fits, and can be stored anywhere."""

from __future__ import annotations

import time

import pytest
from django.conf import settings

from audit.models import Chunk
from audit.redaction import _known_secrets, clean_error
from audit.services import claims
from tests.audit.test_claims import make_chunk


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("could not reach postgres://audit:hunter2!@db:5432/audit", "hunter2!"),
        ("redis://:s3cr/et@cache:6379/0 refused", "s3cr/et"),
        ("GET /models with Authorization: Bearer eyJhbGciOi.abc-123", "eyJhbGciOi.abc-123"),
        ("connect(host=db, password='hunter2', user=a)", "hunter2"),
        ('{"api_key": "abcdef0123456789"}', "abcdef0123456789"),
        ("aws_secret_access_key=AbC/123+xyz failed", "AbC/123+xyz"),
        ("401 for hf_AbCdEfGhIjKlMnOpQr", "hf_AbCdEfGhIjKlMnOpQr"),
        ("401 for sk-proj-AbCdEfGhIjKlMnOpQr", "sk-proj-AbCdEfGhIjKlMnOpQr"),
    ],
)
def test_f46_secrets_are_taken_out(text, secret):
    cleaned = clean_error(text)
    assert secret not in cleaned
    assert "***" in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "option_tokens: the letter A is 2 tokens: ' A'",
        "https://example.org/a/b?page=2 answered 500",
        "weights.safetensors: sha256 differs, expected=ab12",
        "Zeile 3: \u00fcber 5 Felder\n  second line\twith a tab",
    ],
)
def test_what_is_no_secret_stays(text):
    assert clean_error(text) == text


def test_f46_secrets_of_this_process_are_known_by_value(monkeypatch):
    monkeypatch.setenv("SOME_SERVICE_TOKEN", "plain-looking-words")
    _known_secrets.cache_clear()
    assert "plain-looking-words" not in clean_error("it said plain-looking-words twice")
    assert settings.SECRET_KEY not in clean_error(f"bad key {settings.SECRET_KEY}")
    _known_secrets.cache_clear()


def test_f46_five_megabytes_are_cut_quickly_and_say_so():
    started = time.perf_counter()
    cleaned = clean_error("password=x " * 500_000)
    assert time.perf_counter() - started < 1
    assert len(cleaned) <= 2000
    assert cleaned.endswith("(5,500,000 characters)")


@pytest.mark.row("F46")
@pytest.mark.parametrize(
    "piece",
    ["x", "a-", "x://", "x://a:", "password", "password ", "password=", '"password": ', "bearer ",
     "sk-", "'", " "],
)  # fmt: skip
def test_no_text_makes_the_search_for_secrets_long(piece):
    started = time.process_time()
    clean_error(piece * (1_000_000 // len(piece)))
    assert time.process_time() - started < 2


@pytest.mark.django_db
def test_an_error_that_no_database_could_store_is_stored():
    chunk = make_chunk()
    epoch = claims.claim(chunk)
    chunk.refresh_from_db()
    assert claims.put_back(chunk, epoch, "no file 'a\x00b\udcff\x1b[31m.png' at redis://:pw@h/0")
    assert Chunk.objects.get().error == "no file 'a\ufffdb\\udcff\ufffd[31m.png' at redis://***@h/0"
