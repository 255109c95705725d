"""Log-ins: who guesses is slowed down, who has the password gets in, and sessions end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from math import erfc, sqrt

import numpy as np
import pytest
from django.contrib.auth import hashers
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.contrib.auth.models import User
from django.core import signing
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.client_address import read_address
from audit.models import LogEntry, LogInBucket, Role
from audit.services import log_in
from audit.services.log_in import (
    MOST_PER_ADDRESS,
    MOST_PER_NAME,
    TooManyAttemptsError,
    fold_name,
    list_buckets,
    take_attempt,
    write_browser,
)
from tests.factories import PASSWORD, make_member, make_project
from tests.servers import in_threads
from tests.test_docs import ROOT

pytestmark = pytest.mark.django_db


@pytest.fixture
def hashed(monkeypatch):
    """Count how often a password is hashed: that is what an attempt costs, and what it tries."""
    counted = []
    checked = hashers.MD5PasswordHasher.encode

    def encode(self, password, salt):
        counted.append(password)
        return checked(self, password, salt)

    monkeypatch.setattr(hashers.MD5PasswordHasher, "encode", encode)
    return counted


@pytest.fixture
def no_crowd(monkeypatch):
    """Leave out the limit on all who guess at once: a test guesses faster than a botnet."""
    monkeypatch.setattr(log_in, "MOST_IN_CROWD", 10**6)


def make_person(name: str = "alice") -> User:
    return make_member(make_project(), Role.ANNOTATOR, name)


def try_log_in(name: str, password: str, client: Client | None = None, **headers) -> int:
    client = client or Client()
    said = {"username": name, "password": password}
    return client.post("/login/", said, **headers).status_code


def let_a_window_pass() -> None:
    LogInBucket.objects.update(since=F("since") - timedelta(minutes=15))


@pytest.mark.row("A28")
@pytest.mark.parametrize(
    ("names", "headers", "most"),
    [
        pytest.param(["alice"], [{}], 10, id="one name"),
        pytest.param(
            ["alice", "ALICE", "\uff41lice", "al\u200bice", "\u212alice", "ali\u00adce"],
            [{}],
            20,  # the Kelvin sign makes "klice", another name
            id="one name in many spellings",
        ),
        pytest.param(
            ["alice"],
            [{"HTTP_X_FORWARDED_FOR": f"10.0.0.{n}"} for n in range(40)],
            10,
            id="one name, addresses made up in a header",
        ),
        pytest.param([f"user-{n}" for n in range(110)], [{}], 100, id="many names, one address"),
        pytest.param(
            ["alice"],
            [{"REMOTE_ADDR": f"2001:db8::{n:x}"} for n in range(40)],
            10,
            id="one network of IPv6",
        ),
    ],
)
def test_guessing_is_limited_by_name_and_by_address_before_anything_is_hashed(
    names, headers, most, hashed, no_crowd
):
    make_person()
    hashed.clear()
    n_tries = max(60, len(names), len(headers))
    answers = [
        try_log_in(names[n % len(names)], f"guess {n}", **headers[n % len(headers)])
        for n in range(n_tries)
    ]
    assert len(hashed) == most
    assert answers.count(429) == n_tries - most
    assert try_log_in("alice", PASSWORD, **headers[0]) == 429
    let_a_window_pass()  # nobody is kept out for longer, however often was tried meanwhile
    assert try_log_in("alice", PASSWORD, **headers[0]) == 302


OTHERS = [f"10.0.{n // 250}.{n % 250}" for n in range(1000)]
THOUSAND = {
    "one name": (["alice"], [{}], 10),
    "one name in many spellings": (["alice", "ALICE", "\uff41lice", "al\u200bice"], [{}], 10),
    "one name, addresses made up": (["alice"], [{"HTTP_X_FORWARDED_FOR": a} for a in OTHERS], 10),
    "many names, one address": ([f"user-{n}" for n in range(1000)], [{}], 100),
    "one name, many addresses": (["alice"], [{"REMOTE_ADDR": a} for a in OTHERS], 100),
}


@pytest.mark.row("A28")
@pytest.mark.parametrize("way", THOUSAND)
def test_of_a_thousand_attempts_in_a_window_as_few_are_tried_as_of_a_hundred(way, rf, no_crowd):
    """Asked of the service, by what each request says: pages would take a minute."""
    names, headers, most = THOUSAND[way]
    n_tried = 0
    for n in range(1000):
        address = read_address(rf.post("/login/", **headers[n % len(headers)]))
        with suppress(TooManyAttemptsError):
            take_attempt(list_buckets(names[n % len(names)], address))
            n_tried += 1
    assert n_tried == most
    make_person()
    assert try_log_in("alice", PASSWORD) == 429
    let_a_window_pass()
    assert try_log_in("alice", PASSWORD) == 302


@pytest.mark.row("A28")
def test_a_header_counts_as_far_as_our_own_proxies_wrote_it(settings):
    make_person()
    settings.TRUSTED_PROXIES = 1
    for n in range(12):
        try_log_in("alice", "guess", HTTP_X_FORWARDED_FOR=f"10.9.9.{n}, 192.0.2.7")
    assert try_log_in("alice", PASSWORD, HTTP_X_FORWARDED_FOR="192.0.2.7") == 429
    assert try_log_in("alice", PASSWORD, HTTP_X_FORWARDED_FOR="192.0.2.7, 192.0.2.8") == 302


@pytest.mark.row("A28")
def test_strangers_who_guess_keep_nobody_out_of_a_browser_that_is_known(no_crowd):
    make_person()
    make_member(make_project(), Role.ANNOTATOR, "mallory")
    known, of_mallory = Client(), Client()
    assert try_log_in("alice", PASSWORD, known) == 302
    assert try_log_in("mallory", PASSWORD, of_mallory) == 302
    known.post("/logout/")
    of_mallory.post("/logout/")
    forged = Client()
    forged.cookies["known-browser"] = signing.dumps(["alice", "x"], salt="another")
    for n in range(MOST_PER_NAME + 1):
        try_log_in("alice", "guess", REMOTE_ADDR=f"10.1.{n}.1")
    assert try_log_in("alice", PASSWORD) == 429
    assert try_log_in("alice", PASSWORD, forged) == 429
    assert try_log_in("alice", PASSWORD, of_mallory) == 429
    assert try_log_in("alice", PASSWORD, known) == 302
    known.post("/logout/")
    cookie = known.cookies["known-browser"]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == ("/login/", True, "Lax")
    for _ in range(10):  # and it is no way to guess on
        assert try_log_in("alice", "guess", known) == 200
    assert try_log_in("alice", PASSWORD, known) == 429


@pytest.mark.row("A28")
def test_from_elsewhere_the_person_gets_in_while_one_address_guesses_on():
    make_person()
    for _ in range(15):
        try_log_in("alice", "guess", REMOTE_ADDR="10.6.6.6")
    assert try_log_in("alice", PASSWORD) == 302


def test_a_whole_office_logs_in_from_one_address_where_somebody_mistyped():
    make_person()
    assert try_log_in("alice", "guess") == 200
    for _ in range(MOST_PER_ADDRESS + 20):
        assert try_log_in("alice", PASSWORD) == 302


@pytest.mark.parametrize("addresses", [1, 60])
def test_a_flood_costs_a_question_per_attempt_and_no_write(addresses):
    make_person()
    for n in range(60):
        try_log_in("alice", "guess", REMOTE_ADDR=f"10.2.{n % addresses}.1")
    with CaptureQueriesContext(connection) as asked:
        assert try_log_in("alice", "guess", REMOTE_ADDR="10.2.0.1") == 429
    assert len(asked) == 1
    assert asked[0]["sql"].startswith("SELECT")


@pytest.mark.row("A28", "L12")
def test_all_who_guess_share_a_few_hashes_and_who_is_new_or_known_needs_none_of_them(
    hashed, monkeypatch
):
    """A flood from many addresses, each below its own limit, would take every core."""
    # Seconds may pass on a busy machine before the flood is sent.
    monkeypatch.setattr(log_in, "CROWD_WINDOW", timedelta(minutes=5))
    make_person("alice")
    make_person("bob")
    known = Client()
    assert try_log_in("bob", PASSWORD, known) == 302
    known.post("/logout/")
    hashed.clear()
    for n in range(300):
        try_log_in(f"nobody-{n}", "guess", REMOTE_ADDR=f"10.3.{n % 30}.1")
    try_log_in("bob", "guess", REMOTE_ADDR="10.3.0.2")
    assert len(hashed) == 30 + log_in.MOST_IN_CROWD + 1  # each address's first, and bob's name
    refused = Client().post("/login/", {"username": "x", "password": "y"}, REMOTE_ADDR="10.3.1.1")
    assert refused.status_code == 429
    assert refused["Retry-After"] == "300"
    assert "in some seconds" in refused.content.decode()
    assert try_log_in("alice", PASSWORD) == 302
    assert try_log_in("bob", PASSWORD, REMOTE_ADDR="10.4.0.1") == 429
    assert try_log_in("bob", PASSWORD, known, REMOTE_ADDR="10.3.1.1") == 302
    LogInBucket.objects.update(since=F("since") - timedelta(minutes=5))
    assert try_log_in("bob", PASSWORD, REMOTE_ADDR="10.4.0.1") == 302


def test_a_password_is_stored_as_argon2id_and_an_older_one_is_written_anew(settings):
    settings.PASSWORD_HASHERS = [
        "audit.config.password_hashing.Argon2id",
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    ]
    older = hashers.make_password(PASSWORD, hasher="pbkdf2_sha256")
    person = make_person()
    User.objects.update(password=older)
    assert try_log_in("alice", PASSWORD) == 302
    person.refresh_from_db()
    assert person.password.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
    assert try_log_in("alice", PASSWORD) == 302


@pytest.mark.django_db(transaction=True)
@pytest.mark.row("A28", "A49")
def test_fifty_attempts_at_one_moment_count_as_fifty():
    buckets = list_buckets("alice", "10.0.0.1")

    def attempt(_: int) -> bool:
        try:
            take_attempt(buckets)
        except TooManyAttemptsError:
            return False
        return True

    assert sum(in_threads(attempt, range(50))) == 10
    counted = LogInBucket.objects.filter(pk__in=[bucket.key for bucket in buckets])
    assert list(counted.values_list("n_used", flat=True)) == [10, 10, 10]


def test_names_are_folded_as_people_would_read_them():
    assert fold_name("Stra\u00dfe") == fold_name("STRASSE")
    assert fold_name("a\u200dl\u2060i") == "ali"


@pytest.mark.row("A28", "A44")
def test_a_name_longer_than_any_costs_neither_a_fold_nor_a_hash(hashed, monkeypatch):
    """Folded, one sign of these becomes eighteen: a request of a megabyte took five seconds."""
    folded = []
    monkeypatch.setattr(log_in, "fold_name", lambda name: folded.append(name) or name)
    assert try_log_in("\ufdfa" * 100_000, PASSWORD) == 200
    assert not hashed
    assert not folded
    assert not LogInBucket.objects.exists()
    assert try_log_in("a" * 150, PASSWORD) == 200
    assert (len(folded), len(hashed)) == (1, 1)


@pytest.mark.row("A29")
@pytest.mark.parametrize("state", ["closed", "no password"])
def test_a_wrong_password_and_an_unknown_name_are_answered_alike_with_the_same_work(state, hashed):
    """The work is counted, not timed: on a busy machine a clock says nothing of a difference.

    Where the same hash is computed as often, between the same questions to the database, there is
    nothing left that could take longer.
    """
    person = make_person("alice")
    if state == "closed":
        person.is_active = False
    else:
        person.set_unusable_password()
    make_person("bob")
    person.save()
    try_log_in("warm", "up")
    seen = []
    for name in ("alice", "bob", "erika"):
        hashed.clear()
        with CaptureQueriesContext(connection) as asked:
            answer = Client().post("/login/", {"username": name, "password": "guess"})
        page = answer.content.decode().replace(name, "NAME")
        page = page.replace(str(answer.context["csrf_token"]), "TOKEN")
        tables = [re.findall(r'^\w+|"(?:audit|auth|django)_\w+"', query["sql"]) for query in asked]
        seen.append((answer.status_code, sorted(answer.headers), page, tables, len(hashed)))
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][-1] == 1


class SlowHasher(PBKDF2PasswordHasher):
    """The hash of an installation, short enough for hundreds."""

    algorithm = "pbkdf2_short"
    iterations = 8000


def compare_ranks(first: list[float], second: list[float]) -> float:
    """Two-sided p value of Mann and Whitney's test, by the normal approximation."""
    n_first, n_second = len(first), len(second)
    ranks = np.argsort(np.argsort([*first, *second])) + 1
    u = ranks[:n_first].sum() - n_first * (n_first + 1) / 2
    spread = sqrt(n_first * n_second * (n_first + n_second + 1) / 12)
    return erfc(abs(u - n_first * n_second / 2) / spread / sqrt(2))


@pytest.mark.row("A29")
def test_an_unknown_name_takes_as_long_as_a_wrong_password(settings):
    """200 attempts, in turns, by the processor's clock of this thread: others keep it busy too.

    Each one costs a hash. By chance alone the ranks differ so much once in a thousand runs, so
    the middle times must differ as well, by a twentieth of what a hash takes.
    """
    settings.PASSWORD_HASHERS = [f"{__name__}.SlowHasher"]
    make_person()
    times: dict[str, list[float]] = {"alice": [], "erika": []}
    client = Client()
    for n in range(200):
        name = "alice" if (n + n // 2) % 2 else "erika"
        LogInBucket.objects.all().delete()
        started = time.thread_time()
        assert try_log_in(name, f"guess {n}", client) == 200
        times[name].append(time.thread_time() - started)
    started = time.thread_time()
    make_password("guess")
    hash_seconds = time.thread_time() - started
    gap = abs(np.median(times["alice"]) - np.median(times["erika"]))
    said = f"{gap:.6f} s apart, a hash takes {hash_seconds:.6f} s"
    assert np.median(times["erika"]) > hash_seconds / 2, said
    assert compare_ranks(*times.values()) > 0.001 or gap < hash_seconds / 20, said


def test_failures_are_logged_without_what_may_be_a_password_in_the_wrong_field():
    person = make_person()
    try_log_in("alice", "guess", REMOTE_ADDR="192.0.2.1")
    try_log_in("hunter2 hunter2", "alice")
    for _ in range(9):
        try_log_in("alice", "guess", REMOTE_ADDR="192.0.2.1")
    try_log_in("alice", PASSWORD)
    rows = list(LogEntry.objects.order_by("number").values_list("act", "person", "address"))
    assert rows[0] == ("log_in_failed", "alice", "192.0.2.1")
    assert rows[1] == ("log_in_failed", "", "127.0.0.1")
    assert rows[-2] == ("log_in_throttled", "alice", "192.0.2.1")
    assert rows[-1] == ("logged_in", "alice", "127.0.0.1")
    assert LogEntry.objects.filter(person_number=person.pk).count() == 12
    assert not LogEntry.objects.filter(subject__contains="hunter2").exists()


# ----- sessions


def logged_in(person: User) -> Client:
    client = Client()
    assert try_log_in(person.username, PASSWORD, client) == 302
    return client


def is_in(client: Client) -> bool:
    return client.get("/").status_code == 200


@pytest.mark.row("A36")
def test_a_log_in_gets_a_new_session_and_a_log_out_ends_it_on_the_server():
    person = make_person()
    client = Client()
    client.cookies["sessionid"] = "chosen-by-somebody-else-0123456"
    assert try_log_in("alice", PASSWORD, client) == 302
    cookie = client.cookies["sessionid"]
    assert cookie.value != "chosen-by-somebody-else-0123456"
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    copied = Client()
    copied.cookies["sessionid"] = cookie.value
    assert is_in(copied)
    client.post("/logout/")
    assert not is_in(copied)
    assert LogEntry.objects.filter(person=person.username, act="logged_out").count() == 1


@pytest.mark.row("A36")
def test_a_changed_password_ends_every_other_log_in_and_keeps_this_one():
    person = make_person()
    here, there = logged_in(person), logged_in(person)
    before = here.cookies["sessionid"].value
    new = "a quite different phrase"
    said = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert here.post("/password/", said).status_code == 302
    assert is_in(here)
    assert here.cookies["sessionid"].value != before
    assert not is_in(there)
    assert try_log_in("alice", PASSWORD) == 200
    assert try_log_in("alice", new) == 302
    assert LogEntry.objects.filter(act="password_changed", person="alice").count() == 1


@pytest.mark.row("A36")
@pytest.mark.parametrize(
    ("aged", "stays"),
    [
        ({"seen_at": 119 * 60}, True),
        ({"seen_at": 121 * 60}, False),
        ({"begun_at": 12 * 3600 - 60}, True),
        ({"begun_at": 12 * 3600 + 60}, False),
    ],
)
def test_log_ins_end_after_two_idle_hours_and_after_twelve_in_all(aged, stays, client):
    client.force_login(make_person())
    session = client.session
    for name, seconds in aged.items():
        session[name] -= seconds
    session.save()
    assert is_in(client) is stays
    assert is_in(client) is stays
    if "seen_at" in aged and stays:
        assert time.time() - client.session["seen_at"] < 60


@pytest.mark.row("A36")
def test_what_a_page_asks_for_by_itself_keeps_no_log_in_alive(client):
    client.force_login(make_person())
    session = client.session
    session["seen_at"] -= 3600
    session.save()
    assert client.get("/progress/").status_code in {200, 204}
    assert time.time() - client.session["seen_at"] > 3500


def test_an_ordinary_request_writes_no_session(client):
    client.force_login(make_person())
    with CaptureQueriesContext(connection) as asked:
        assert is_in(client)
    assert not [query for query in asked if query["sql"].startswith(("UPDATE", "INSERT"))]


@pytest.mark.row("A33")
@pytest.mark.parametrize(
    ("new", "status"),
    [
        ("", 422),
        ("short", 422),
        ("password123", 422),
        ("1234567890", 422),
        ("qwertyuiop", 422),
        ("alice-alice", 422),
        ("has\0a nul in it", 422),
        ("\N{SNOWMAN}" * 10, 302),
        ("correct horse battery 2", 302),
        ("x1 " * 1400, 302),
    ],
)
def test_weak_passwords_are_refused_and_long_ones_taken(new, status):
    client = logged_in(make_person("alice"))
    said = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    started = time.perf_counter()
    assert client.post("/password/", said).status_code == status
    assert time.perf_counter() - started < 5


@pytest.mark.row("A33")
def test_a_password_of_four_thousand_signs_is_hashed_as_fast_as_a_short_one(settings):
    settings.PASSWORD_HASHERS = ["audit.config.password_hashing.Argon2id"]
    started = time.process_time()
    make_password("x1 " * 1365)
    assert time.process_time() - started < 1


@pytest.mark.row("A28")
def test_whoever_found_an_open_log_in_cannot_guess_the_password_either():
    client = logged_in(make_person())
    said = {"old_password": "guess", "new_password1": PASSWORD, "new_password2": PASSWORD}
    answers = [client.post("/password/", said).status_code for _ in range(5)]
    answers += [client.post("/confirm/", {"password": "guess"}).status_code for _ in range(7)]
    assert answers == [422] * 10 + [429] * 2
    assert client.post("/confirm/", {"password": PASSWORD}).status_code == 429
    let_a_window_pass()
    assert client.post("/confirm/", {"password": PASSWORD}).status_code == 302


@pytest.mark.row("A41")
@pytest.mark.parametrize(
    "address",
    ["//evil.example", "/\\evil.example", "javascript:alert(1)", "https:evil.example",
     "https://evil.example/", "\\\\evil.example", "http:///evil.example", "/\t/evil.example",
     "///evil.example", " //evil.example", "data:text/html,x", "//testserver@evil.example"],
)  # fmt: skip
def test_nobody_is_led_off_the_site_after_a_log_in_or_a_confirmation(address):
    make_person()
    client = Client()
    said = {"username": "alice", "password": PASSWORD, "next": address}
    assert client.post(f"/login/?next={address}", said).url == "/"
    confirmed = client.post("/confirm/", {"password": PASSWORD, "next": address})
    assert confirmed.url == "/"
    asked = client.get("/confirm/", {"next": address}).content.decode()
    assert 'href="/">Back' in asked


def test_where_the_address_is_ours_it_is_kept():
    make_person()
    said = {"username": "alice", "password": PASSWORD, "next": "/audits/new/?dataset=1"}
    client = Client()
    assert client.post("/login/", said).url == said["next"]
    assert client.post("/confirm/", {"password": PASSWORD, "next": "/a/?b=c"}).url == "/a/?b=c"


@pytest.mark.row("A40")
@pytest.mark.parametrize(
    "address",
    ["signup", "register", "accounts/signup", "accounts/login", "password_reset", "password/reset",
     "reset/MQ/token", "accounts/google/login", "oauth/authorize", "admin", "user/signup"],
)  # fmt: skip
def test_nobody_makes_an_account_or_resets_a_password_by_themselves(address, client):
    for path in (f"/{address}/", f"/{address}"):
        assert client.get(path).status_code == 404
        assert client.post(path, {"email": "a@b.example"}).status_code in {403, 404}
    assert User.objects.count() == 0


@pytest.mark.row("A38")
@pytest.mark.parametrize(
    "headers",
    [{"HTTP_HOST": "evil.example"}, {"HTTP_HOST": "127.0.0.1.evil.example"},
     {"HTTP_HOST": "localhost.evil.example:8000"}, {"HTTP_HOST": "testserver@evil.example"},
     {"HTTP_HOST": "rebound.example:8000"}],
)  # fmt: skip
def test_a_name_that_is_not_ours_is_refused(headers, client):
    for path in ("/login/", "/", "/healthz"):
        assert client.get(path, **headers).status_code in {400, 302 if path == "/" else 400}
    answer = client.get("/login/", HTTP_X_FORWARDED_HOST="evil.example")
    assert answer.status_code == 200
    assert answer.wsgi_request.get_host() == "testserver"
    assert "evil" not in answer.content.decode()


PRODUCTION = """
import json
from django.conf import settings
print(json.dumps({name: getattr(settings, name) for name in (
    "SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE",
    "SESSION_COOKIE_HTTPONLY", "SESSION_COOKIE_SAMESITE", "SESSION_COOKIE_PATH",
    "SESSION_COOKIE_DOMAIN", "KNOWN_BROWSER_COOKIE", "DEBUG", "SESSION_SERIALIZER",
    "SECURE_CROSS_ORIGIN_OPENER_POLICY")}))
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "check", "--deploy", "--fail-level", "WARNING"])
"""


@pytest.mark.row("A36", "G06")
def test_django_finds_nothing_to_warn_of_in_the_settings_of_a_team(tmp_path):
    environment = {
        **{key: value for key, value in os.environ.items() if key != "DJANGO_ALLOW_ASYNC_UNSAFE"},
        "DJANGO_SETTINGS_MODULE": "audit.config.settings",
        "LABEL_AUDIT_HOME": str(tmp_path),
        "LABEL_AUDIT_HTTPS": "true",
        "LABEL_AUDIT_HOSTS": "audit.example.org",
        "LABEL_AUDIT_DATABASE": "",
    }
    done = subprocess.run(
        [sys.executable, "-c", PRODUCTION], cwd=ROOT, env=environment, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout
    assert json.loads(done.stdout.splitlines()[0]) == {
        "SESSION_COOKIE_NAME": "__Host-sessionid",
        "CSRF_COOKIE_NAME": "__Host-csrftoken",
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_PATH": "/",
        "SESSION_COOKIE_DOMAIN": None,
        "KNOWN_BROWSER_COOKIE": "__Secure-known-browser",
        "DEBUG": False,
        "SESSION_SERIALIZER": "django.contrib.sessions.serializers.JSONSerializer",
        "SECURE_CROSS_ORIGIN_OPENER_POLICY": "same-origin",
    }


def test_the_cookie_of_a_known_browser_is_signed_for_one_name():
    cookie = write_browser("Alice")
    assert len(list_buckets("ALICE", "10.0.0.1", cookie)) == 1
    assert len(list_buckets("bob", "10.0.0.1", cookie)) == 3
    assert len(list_buckets("ALICE", "10.0.0.1", cookie[:-2])) == 3
