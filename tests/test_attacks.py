"""Attacks that a client alone can try (A01-A52), where no other test holds them already."""

from __future__ import annotations

import csv
import io
import itertools
import os
import platform
import re
import socket
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core import signing
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from kombu.exceptions import ContentDisallowed
from kombu.serialization import dumps, loads, registry
from PIL import Image

from audit.config.environment import KNOWN_BAD_KEYS, SettingError, read_secret_key
from audit.image_files import UnusableImage, read_file
from audit.models import ApiToken, Audit, Item, Role
from reviews.models import Judgment, ReviewSlot
from reviews.people import describe_people
from reviews.policies import PolicyError
from reviews.services.leases import TICKET, claim_slots, write_ticket
from reviews.services.releases import save_policy
from tests.api.test_injection import CORPUS
from tests.factories import (
    PASSWORD,
    make_dataset,
    make_member,
    make_project,
    make_ready_audit,
    make_sample,
)
from tests.test_access import NEEDED, NOT_MEASURED, VERBS, all_patterns, hash_rows, make_scene
from tests.test_docs import ROOT

pytestmark = pytest.mark.django_db
MARK = "zqx\"'><img src=x onerror=alert(1)>{{7*7}}%s{0.__class__}"
RAW = "zqx\"'><img"
# Every name that some page reads from its address.
NAMES = [
    *("page", "k", "bin", "first", "label", "proposed", "agree", "subject", "method", "methods"),
    *("order", "q", "by", "side", "least", "expert", "policy", "before", "after", "shown"),
    *("dataset", "next", "small", "large", "arm", "denominator", "source", "truth", "verdict"),
    *("score_sets", "other_experts", "n_bins", "seed", "size", "unflagged", "votes_per_item"),
    *("table", "labels", "split"),
]
# Names by which a careless page would filter or sort.
HIDDEN = [
    "owner__password__startswith", "created_by__password__startswith", "password__startswith",
    "annotator__password__startswith", "dataset__project__memberships__user__password__startswith",
    "_connector", "__class__", "sort", "order_by", "ordering", "filter", "fields",
]  # fmt: skip
BEGINNING, WORD = "md5$", "zzz$"  # every hash of a password here begins like the first
KEPT_A_WHILE = {"readyz", "metrics"}  # asked anew every few seconds, whoever asks
HOSTILE = [
    "owner__password__startswith",
    "__class__",
    "' OR 1=1 --",
    "1; DROP TABLE audit_item; --",
    "1) UNION SELECT password FROM auth_user --",
    "\\' OR '1'='1",
    "99999999999999999999",
    "-1",
    "\u0661\u0662",
    "a\x00b",
    "\ud83d\ude00" * 400,
    "(a+)+$" * 200,
    "x " * 10_000,
]


@pytest.fixture(scope="module")
def pages():
    """The addresses that are read, by name."""
    return {name: route for name, route in all_patterns().items() if "get" in VERBS[name]}


def admin_of(scene) -> Client:
    client = Client()
    client.force_login(scene.admin)
    return client


def with_every_name(address: str, value: str, *more: str) -> str:
    sign = "&" if "?" in address else "?"
    return address + sign + urlencode(dict.fromkeys((*NAMES, *more), value))


@pytest.mark.row("A05", "A06", "A44", "A45")
def test_no_value_in_an_address_reaches_sql_breaks_a_page_or_costs_another_question(pages):
    """One value for every name at once: the answer is the page's or a refusal, never an error.

    A hidden column can't be asked for: whatever isn't among the fixed choices asks the database
    exactly what any other word does that means nothing, and shows a page of the same length. All
    strings of the corpus come by, some on each page.
    """
    scene = make_scene()
    client, before = admin_of(scene), hash_rows()
    client.get("/")
    others, n_tried = itertools.cycle([*HOSTILE[1:], *CORPUS]), 0
    for name, route in pages.items():
        address, seen = scene.fill(name, route), {}
        # The first fills what is kept.
        for value in [WORD, WORD, BEGINNING, HOSTILE[0], *itertools.islice(others, 4)]:
            sent = value.encode("utf-8", "replace").decode()
            started = time.monotonic()
            with CaptureQueriesContext(connection) as queries:
                answer = client.get(with_every_name(address, sent, *HIDDEN))
            n_tried += 1
            assert answer.status_code < 500, f"{address}: {value[:40]!r}"
            assert time.monotonic() - started < 3, f"{address}: {value[:40]!r}"
            said = [query["sql"] for query in queries]
            for sql in said:
                condition = sql.partition(" WHERE ")[2]
                assert "password" not in condition.replace(value, ""), f"{address}: {sql}"
                assert "DROP TABLE" not in sql.replace("''", "").split("'")[0]
            length = len(b"".join(answer) if answer.streaming else answer.content)
            seen[value] = (answer.status_code, len(said), length)
        if name not in KEPT_A_WHILE:
            assert seen[BEGINNING] == seen[WORD], address
            assert seen[HOSTILE[0]][:2] == seen[WORD][:2], address
    assert n_tried - len(pages) * 4 > len(CORPUS) + len(HOSTILE)
    assert hash_rows() == before


# What a form needs to get as far as its texts, which are hostile then.
WHOLE_FORMS = {
    "change_members": {"act": "add", "role": "1"},
    "gold": {"act": "hand", "use": "gold", "verdict": "label_correct"},
    "adjudicate_item": {"verdict": "label_correct", "seen_adjudication": "0",
                        "seen_judgment": "0", "labels": "0", "main": ""},
    "save_policy": {"name": "mine"},
    "audit_new": {"n_bins": "3", "seed": "0", "bins_over": "disputed", "calibrator": "temperature"},
    "api_tokens": {"scopes": "read", "days": "30", "password": PASSWORD, "project": ""},
    "login": {"next": "/"},
    "releases": {"policy": "lenient"},
    "draw_sample": {"size": "4"},
}  # fmt: skip


@pytest.mark.row("A45")
def test_no_value_in_a_form_reaches_sql_or_breaks_a_page():
    """Strings of the corpus in every field of every form, or in those that take any text."""
    scene = make_scene()
    assert set(WHOLE_FORMS) <= set(all_patterns())
    client, others = admin_of(scene), itertools.cycle(CORPUS)
    for name, route in all_patterns().items():
        if "post" not in VERBS[name] or name in {"logout", "audit_cancel"}:
            continue
        whole = WHOLE_FORMS.get(name, {})
        for value in itertools.islice(others, 6 if whole else 2):
            said = {**dict.fromkeys(FIELDS, value), "dataset": scene.audit.dataset_id, **whole}
            kind = {}
            if NEEDED[name] == Role.ANNOTATOR:  # the desk's script sends JSON
                kind = {"content_type": "application/json"}
            started = time.monotonic()
            answer = client.post(scene.fill(name, route), said, **kind)
            assert answer.status_code < 500, f"{name}: {value!r}"
            assert time.monotonic() - started < 3, f"{name}: {value!r}"
    assert {scene.audit.pk} == set(Audit.objects.values_list("pk", flat=True))
    assert scene.admin.check_password(PASSWORD)
    assert ApiToken.objects.count() > 1  # some got as far as that


@pytest.mark.row("A14", "A46")
def test_what_a_client_sends_comes_back_escaped_on_every_page_and_error(pages):
    scene = make_scene()
    client = admin_of(scene)
    headers = {
        "HTTP_REFERER": f"http://testserver/{MARK}", "HTTP_USER_AGENT": MARK, "HTTP_ACCEPT": MARK,
        "HTTP_X_REQUEST_ID": MARK, "HTTP_HX_CURRENT_URL": MARK, "HTTP_HX_TARGET": MARK,
    }  # fmt: skip
    answers = []
    for name, route in pages.items():
        answers.append(client.get(with_every_name(scene.fill(name, route), MARK), **headers))
    for name, route in all_patterns().items():
        if "post" in VERBS[name] and name not in {"logout", "audit_cancel"}:
            fields = dict.fromkeys(
                (*NAMES, "act", "username", "role", "name", "password", "key"), MARK
            )
            answers.append(client.post(scene.fill(name, route), fields, **headers))
            answers.append(client.post(scene.fill(name, route), MARK, MARK, **headers))
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(scene.admin)
    answers += [
        client.get(f"/no/such/{MARK}", **headers),
        client.get(f"/audits/{MARK}/", **headers),
        client.put("/login/", MARK, MARK, **headers),
        client.get(f"/tokens/1/revoke/?{MARK}", **headers),
        client.get("/", HTTP_HOST=MARK),
        client.get("/", HTTP_HOST="evil.example"),
        strict.post("/tokens/", {"name": MARK}, **headers),
        client.post("/tokens/", {"name": "x" * 1_100_000}, **headers),
        client.post("/tokens/", {f"{MARK}{n}": "x" for n in range(600)}, **headers),
        client.get(f"/confirm/?next=/{MARK}", **headers),
    ]
    kinds = set()
    for answer in answers:
        body = b"".join(answer) if answer.streaming else answer.content
        kinds.add(answer.status_code)
        if answer["Content-Type"].startswith("text/html"):
            assert RAW.encode() not in body, answer.request["PATH_INFO"]
        assert b"zqx49" not in body
        assert b"&gt;49" not in body
        assert answer.status_code < 500
        for value in answer.headers.values():
            assert "<img" not in value
    assert {200, 400, 403, 404, 405, 422} <= kinds


@pytest.mark.row("A12", "A42", "A43")
def test_every_answer_carries_the_headers_that_hold_browsers_back(pages):
    scene = make_scene()
    client = admin_of(scene)
    kinds = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
    for name, route in {**pages, "nowhere": "/no/such/page"}.items():
        answer = client.get(scene.fill(name, route), HTTP_ACCEPT="text/html")
        assert answer["X-Content-Type-Options"] == "nosniff", name
        assert answer["Referrer-Policy"] == "same-origin", name
        assert answer["Cross-Origin-Opener-Policy"] == "same-origin", name
        assert answer["X-Frame-Options"] == "DENY", name
        policy = dict(
            part.strip().partition(" ")[::2]
            for part in answer["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == "'none'", name
        if "image" in answer["Content-Type"]:
            assert "sandbox" in policy
            assert answer["Content-Disposition"].startswith("inline; filename="), name
        else:
            ours = ("script-src", "style-src", "connect-src", "form-action")
            wanted = dict.fromkeys(ours, "'self'")
            wanted |= dict.fromkeys(("base-uri", "frame-ancestors"), "'none'")
            assert {key: policy[key] for key in wanted} == wanted, name
        suffix = route.rpartition(".")[2]
        if suffix in kinds and name not in NOT_MEASURED:
            assert answer["Content-Type"] == kinds[suffix], name
        if answer["Content-Type"].startswith("text/csv"):
            assert answer["Content-Disposition"].startswith("attachment"), name
        assert "Server" not in answer


@pytest.mark.row("A11")
@pytest.mark.parametrize(
    "query", ["", "?type=text/html", "?format=html&content_type=image/svg%2Bxml"]
)
def test_nothing_that_a_client_says_changes_the_kind_of_a_picture(query):
    audit = make_ready_audit()
    client, item = Client(), audit.dataset.items.first()
    client.force_login(make_member(audit.dataset.project))
    for accept in ("text/html", "image/svg+xml", "*/*"):
        answer = client.get(
            f"/items/{item.pk}/image/{query}", HTTP_ACCEPT=accept, CONTENT_TYPE="text/html"
        )
        assert answer["Content-Type"] == "image/png"
        assert Image.open(io.BytesIO(answer.content), formats=("PNG",)).size == (28, 28)


TRAVERSALS = [
    "../../etc/hostname", "%2e%2e/%2e%2e/etc/hostname", "..%2f..%2fetc%2fhostname",
    "..%252f..%252fetc%252fhostname", "..\\..\\etc\\hostname", "..%5c..%5cetc%5chostname",
    "....//....//etc/hostname", ".;/../etc/hostname", "/etc/hostname", "//etc/hostname",
    "%2fetc%2fhostname", "etc/hostname%00.css", "..%c0%af..%c0%afetc/hostname",
    "..%ef%bc%8f..%ef%bc%8fetc/hostname", "css/../../secret_key", "%2e%2e/secret_key",
    "../label-audit.sqlite3", "../backups/manifest.json", ".env", "../.git/config",
    "%23/../secret_key", "css/base.css/../../../secret_key", "file:///etc/hostname",
]  # fmt: skip


OURS = ["secret_key", "label-audit.sqlite3", ".env", "backups/manifest.json", ".git/config",
        "audit/config/settings.py", "manage.py", "pyproject.toml", "audits/1/top1.npy",
        f"{ROOT}/manage.py"]  # fmt: skip


@pytest.mark.row("A15", "A25")
def test_no_path_leads_out_of_what_is_served(fresh_home):
    scene = make_scene()
    client = admin_of(scene)
    canary = "canary-3f9c0a"
    for name in ("secret_key", "label-audit.sqlite3", ".env"):
        (fresh_home / name).write_text(canary)
    hostname = platform.node() or canary
    (fresh_home / "backups").mkdir()
    (fresh_home / "backups" / "manifest.json").write_text(canary)
    (fresh_home / "static" / "base.css").write_text("a {}")
    starts = ["/static/", f"/releases/{scene.release.pk}/", "/items/", "/media/", "/"]
    paths = [start + end for start in starts for end in TRAVERSALS]
    for path in [
        *paths,
        *(start + name for start in ("/", "/static/", "/media/") for name in OURS),
    ]:
        answer = client.get(path)
        body = b"".join(answer) if answer.streaming else answer.content
        assert answer.status_code in {301, 302, 400, 404, 405}, path
        assert canary.encode() not in body, path
        assert body.strip() != hostname.encode(), path


@pytest.mark.row("A17")
@pytest.mark.parametrize(
    "name",
    ["../../settings", "/etc/passwd", "a/b", "..", "lenient", "", "x" * 51, "a\n", "\uff0e\uff0e"],
)
def test_no_name_that_a_person_gives_becomes_a_path(name):
    project = make_project()
    with pytest.raises(PolicyError):
        save_policy(project, name, {})
    if not name.isalnum():
        with pytest.raises(CommandError, match="a name has letters"):
            call_command("import_dataset", name, "/nowhere", format="imagefolder")


@pytest.mark.row("A18")
def test_a_file_swapped_for_a_link_between_check_and_open_is_refused(tmp_path, monkeypatch):
    root = tmp_path / "root"
    (root / "inner").mkdir(parents=True)
    (tmp_path / "secret.png").write_text("secret")
    (root / "a.png").write_bytes(b"picture")
    (root / "c.png").write_bytes(b"picture")
    (root / "inner" / "b.png").write_bytes(b"picture")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "b.png").write_text("secret")
    real = os.path.realpath

    def swap(path, **options):
        """Resolve as ever; then the attacker is faster than what comes next."""
        resolved = real(path, **options)
        if str(path).endswith("a.png"):
            (root / "a.png").unlink(missing_ok=True)
            (root / "a.png").symlink_to(tmp_path / "secret.png")
        if str(path).endswith("b.png"):
            (root / "inner").rename(root / "moved")
            (root / "inner").symlink_to(tmp_path / "outside")
        return resolved

    look = os.stat

    def swap_later(path, **options):
        """The same between the last look at what it is and the opening."""
        looked = look(path, **options)
        if path == "c.png" and "dir_fd" in options:
            (root / "c.png").unlink()
            (root / "c.png").symlink_to(tmp_path / "secret.png")
        return looked

    monkeypatch.setattr(os.path, "realpath", swap)
    monkeypatch.setattr(os, "stat", swap_later)
    for name in ("a.png", "inner/b.png", "c.png"):
        with pytest.raises(UnusableImage) as refusal:
            read_file(root, name)
        assert refusal.value.code in {"outside_root", "not_regular", "missing", "unreadable"}


@pytest.mark.row("A21")
def test_a_worker_takes_no_message_that_is_not_json(tmp_path):
    from audit.config.celery import app

    assert app.conf.accept_content == ["json"]
    registry.enable("pickle")  # as a careless library might
    try:
        content_type, encoding, body = dumps(
            {"canary": os}.get("nothing", [1]), serializer="pickle"
        )
        with pytest.raises(ContentDisallowed):
            loads(body, content_type, encoding, accept=app.conf.accept_content)
        with pytest.raises(ContentDisallowed):
            loads(body, "application/x-python-serialize", "binary", accept=app.conf.accept_content)
    finally:
        registry.disable("pickle")


@pytest.mark.row("A30")
def test_keys_that_are_known_or_short_sign_nothing_and_start_nothing(settings, tmp_path):
    audit = make_ready_audit()
    person = make_member(audit.dataset.project, Role.ADMIN)
    known = ["django-insecure-" + "x" * 50, "secret" * 10, "changeme" * 8, "x", "0" * 39,
             "v=^y1#z3r" + "secret_key_of_somebody_else_0123456789"]  # fmt: skip
    for key in known:
        with pytest.raises(SettingError):
            read_secret_key({"LABEL_AUDIT_SECRET_KEY": key}, tmp_path)
    slot = claim_slots(make_sample(audit, 2), person)[0]
    client = Client()
    client.force_login(person)
    content = f"{slot.pk}.{slot.epoch}.{person.pk}"
    assert signing.Signer(salt=TICKET).sign(content) == write_ticket(slot, person)
    for key, status in [*((key, 422) for key in known), (settings.SECRET_KEY, 200)]:
        forged = signing.Signer(key=key, salt=TICKET).sign(content)
        said = {"key": str(uuid4()), "ticket": forged, "verdict": "label_correct",
                "mode": "quick", "milliseconds": 1}  # fmt: skip
        answer = client.post(f"/audits/{audit.pk}/review/judgments/", said, "application/json")
        assert answer.status_code == status, key
    assert len(KNOWN_BAD_KEYS) >= 4


@pytest.mark.row("A31", "A32")
def test_two_fresh_installations_have_other_keys_for_their_owner_alone_and_no_account(tmp_path):
    keys = [read_secret_key({}, tmp_path) for _ in range(2)]
    assert keys[0] == keys[1]
    other = tmp_path / "other"
    other.mkdir()
    assert read_secret_key({}, other) != keys[0]
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600
    assert len(keys[0]) >= 60
    assert User.objects.count() == 0
    client = Client()
    for name, password in [("admin", "admin"), ("admin", "password"), ("root", "root"),
                           ("admin", "changeme"), ("demo", "demo"), ("test", "test")]:  # fmt: skip
        assert client.post("/login/", {"username": name, "password": password}).status_code == 200
    assert "_auth_user_id" not in client.session


@pytest.mark.row("A31")
def test_the_repository_holds_no_secret():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    secret = re.compile(
        rb"-----BEGIN [A-Z ]*PRIVATE KEY|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|"
        rb"xox[abp]-[0-9A-Za-z-]{20,}|hf_[A-Za-z]{34}|sk-[A-Za-z0-9]{40,}|laudit_[A-Za-z0-9_-]{43}"
    )
    for name in listed.stdout.split(b"\0"):
        path = ROOT / name.decode()
        if name and path.is_file():
            found = secret.search(path.read_bytes())
            # Only what is plainly made up: one letter again and again.
            assert not found or len(set(found[0][-20:])) < 8, name


@pytest.mark.row("A35", "A50")
def test_a_ticket_of_somebody_else_or_with_a_changed_signature_is_refused():
    audit = make_ready_audit()
    sample = make_sample(audit, 4)
    mine, theirs = (make_member(audit.dataset.project) for _ in range(2))
    slot = claim_slots(sample, mine)[0]
    ticket, client = write_ticket(slot, mine), Client()
    client.force_login(theirs)
    own = Client()
    own.force_login(mine)
    tried = [
        (client, ticket, 403),
        (own, ticket[:-1], 422),
        (own, ticket.replace(f"{slot.pk}.", f"{slot.pk + 1}.", 1), 422),
        (own, "", 422),
        (own, ticket, 200),
        (own, ticket, 409),  # once is once: the item has its verdict
    ]
    for caller, sent, expected in tried:
        said = {"key": str(uuid4()), "ticket": sent, "verdict": "label_correct", "mode": "quick",
                "milliseconds": 1500}  # fmt: skip
        answer = caller.post(f"/audits/{audit.pk}/review/judgments/", said, "application/json")
        assert answer.status_code == expected, sent
    # What has expired and was given to somebody else meanwhile is good for nothing.
    other = claim_slots(sample, mine)[1]
    expired = write_ticket(other, mine)
    ReviewSlot.objects.filter(pk=other.pk).update(annotator=theirs, epoch=other.epoch + 1)
    said = {"key": str(uuid4()), "ticket": expired, "verdict": "label_correct", "mode": "quick",
            "milliseconds": 1500}  # fmt: skip
    answer = own.post(f"/audits/{audit.pk}/review/judgments/", said, "application/json")
    assert answer.status_code == 409
    assert Judgment.objects.count() == 1


@pytest.mark.row("A37")
@pytest.mark.parametrize("address", ["/", "/audits/1/", "/login/"])
def test_an_error_tells_nothing_of_what_broke(address, monkeypatch, settings):
    settings.DEBUG = False
    from django.contrib.auth.middleware import AuthenticationMiddleware

    def broken(_self, request):
        raise RuntimeError("SELECT secret FROM /srv/label-audit/db.sqlite3 password=hunter2")

    monkeypatch.setattr(AuthenticationMiddleware, "process_request", broken)
    answer = Client(raise_request_exception=False).get(address)
    assert answer.status_code == 500
    page = answer.content.decode()
    for word in ("SELECT", "sqlite", "hunter2", "/srv", "Traceback", "RuntimeError", "Django"):
        assert word not in page
    assert answer["X-Request-ID"] in page


@pytest.mark.row("A50")
def test_a_script_that_judges_shows_by_the_servers_clock_whatever_it_claims():
    audit = make_ready_audit(make_dataset(n_items=40), n_flags=6)
    sample = make_sample(audit, 40)
    person, careful = (make_member(audit.dataset.project, name=name) for name in ("bot", "ann"))
    admin, client = make_member(audit.dataset.project, Role.ADMIN), Client()
    client.force_login(person)
    while items := client.post(f"/audits/{audit.pk}/review/lease/", {}, "application/json").json()[
        "items"
    ]:
        for item in items:
            said = {"key": str(uuid4()), "ticket": item["ticket"], "verdict": "label_correct",
                    "mode": "quick", "milliseconds": 6000}  # fmt: skip
            client.post(f"/audits/{audit.pk}/review/judgments/", said, "application/json")
    assert sample.slots.filter(annotator=person, state="judged").count() == 40
    by_name = {each.name: each for each in describe_people(audit.dataset.project)}
    assert by_name["bot"].pace.n_under_a_second == 0  # as it claims
    assert by_name["bot"].is_too_fast
    assert not by_name[careful.username].is_too_fast
    client.force_login(admin)
    page = client.get(f"/projects/{audit.dataset.project_id}/people/").content.decode()
    assert page.count("faster than anybody looks") == 1


ADDRESSES = [
    "http://169.254.169.254/latest/meta-data/", "http://127.0.0.1:6379/", "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL", "//rebound.example/a", "http://[::1]:5432/",
    "timm:hf-hub:evil/model", "transformers:https://evil.example/model", "endpoint:http://evil/v1",
]  # fmt: skip
FIELDS = [
    *NAMES,
    *("act", "username", "role", "name", "password", "member", "key", "note", "reason", "source"),
    *("formats", "why", "use", "take_from", "n_items", "base", "scopes", "days"),
]


@pytest.mark.row("A01")
def test_no_address_that_a_person_types_is_ever_called(monkeypatch):
    scene = make_scene()
    client, called = admin_of(scene), []

    def note(*arguments, **options):
        called.append(arguments[1:])
        raise OSError("nobody may be called")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, note)
    for name in ("getaddrinfo", "create_connection", "gethostbyname"):
        monkeypatch.setattr(socket, name, note)
    with pytest.raises(OSError, match="nobody"):
        socket.create_connection(("127.0.0.1", 9))
    called.clear()
    for name, route in all_patterns().items():
        if "post" not in VERBS[name] or name in {"logout", "audit_cancel"}:
            continue
        for address in ADDRESSES:
            said = {**dict.fromkeys(FIELDS, address), "dataset": scene.audit.dataset_id}
            if NEEDED[name] == Role.ANNOTATOR:  # the desk's script sends JSON
                said |= {"mode": "full", "slots": [1], "slot": 1, "labels": [0]}
                answer = client.post(scene.fill(name, route), said, "application/json")
            else:
                answer = client.post(scene.fill(name, route), said)
            assert answer.status_code < 500, name
    assert called == []


@pytest.mark.row("A16")
@pytest.mark.parametrize(
    "path", ["../../etc/passwd", "/etc/passwd", "a/../../secret.png", "link.png"]
)
def test_a_path_out_of_the_folder_is_set_aside_and_no_export_follows_it(path, tmp_path):
    root = tmp_path / "pictures"
    root.mkdir()
    Image.new("RGB", (80, 80)).save(root / "0.png")
    (tmp_path / "secret.png").write_bytes((root / "0.png").read_bytes())
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    manifest = root / "manifest.csv"
    manifest.write_text(f"key,image,label\ngood,0.png,0\n../../evil,{path},1\n")
    (root / "classes.txt").write_text("zero\none\n")
    call_command(
        "import_dataset", "odd", str(manifest), format="manifest",
        classes=root / "classes.txt", root=root,
    )  # fmt: skip
    item = Item.objects.get(position=1)
    assert item.quarantine_code in {"bad_name", "outside_root"}
    assert item.content_sha256 == ""
    client = Client()
    client.force_login(make_member(item.dataset.project, Role.ADMIN))
    assert client.get(f"/items/{item.pk}/image/").status_code == 404
    assert client.get(f"/items/{Item.objects.get(position=0).pk}/image/").status_code == 200


FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@pytest.mark.row("A19")
def test_no_cell_of_any_table_is_computed_by_a_spreadsheet():
    """Keys, classes and names that would be formulas: in every table they are text."""
    scene = make_scene()
    starts = itertools.cycle(FORMULAS)
    dataset, client = scene.audit.dataset, admin_of(scene)
    for row in (*dataset.items.all(), *dataset.classes.all()):
        text = f"{next(starts)}1+1|{row.pk}"
        field = "key" if isinstance(row, Item) else "name"
        type(row).objects.filter(pk=row.pk).update(**{field: text})
    for person in User.objects.all():
        User.objects.filter(pk=person.pk).update(username=f"{next(starts)}cmd|{person.pk}")
    seen = Counter()
    for name, route in all_patterns().items():
        if not route.endswith(".csv") or name in NOT_MEASURED:
            continue
        answer = client.get(scene.fill(name, route))
        assert answer.status_code == 200, name
        body = b"".join(answer) if answer.streaming else answer.content
        cells = [cell for row in csv.reader(io.StringIO(body.decode(), newline="")) for cell in row]
        for cell in cells:
            is_number = re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", cell)
            assert is_number or not cell.startswith(FORMULAS), f"{name}: {cell!r}"
        seen[name] = sum(cell.startswith("'") for cell in cells)
    assert len(seen) >= 9
    texts = ("ledger_csv", "queue_csv", "queue_pairs_csv", "people_csv", "class_calibration_csv")
    assert all(seen[name] for name in texts), seen


@pytest.mark.django_db(transaction=True)
@pytest.mark.row("A44")
def test_who_asks_for_a_hundred_fresh_pictures_and_deep_pages_at_once_keeps_nobody_waiting(
    live_server,
):
    """Six connections, as a browser has, ask for all; another person goes on reading meanwhile."""
    audit = make_ready_audit(make_dataset(n_items=100))
    picture = io.BytesIO()
    Image.effect_mandelbrot((900, 700), (-2, -1, 1, 1), 20).convert("RGB").save(picture, "JPEG")
    for item in audit.dataset.items.all():  # of one look, yet each to be made anew
        content = picture.getvalue() + bytes([item.position])
        (audit.dataset.folder / item.image).write_bytes(content)
        item.content_sha256, item.width, item.height = sha256(content).hexdigest(), 900, 700
        item.save()
    scene_of = {}
    for who in ("greedy", "other"):
        client = Client()
        client.force_login(make_member(audit.dataset.project, Role.MAINTAINER, who))
        scene_of[who] = f"sessionid={client.cookies['sessionid'].value}"
    queue = f"/audits/{audit.pk}/queue/"
    greedy = [f"/items/{pk}/thumb/" for pk in audit.dataset.items.values_list("pk", flat=True)]
    greedy += [f"{queue}?page={10**n}" for n in range(1, 18)]
    greedy += [f"{queue}?method=" + "x+" * 10_000, f"{queue}?subject=" + "(a%2B)%2B$" * 200] * 5

    def ask(path: str, who: str = "greedy") -> tuple[int, float]:
        started = time.monotonic()
        request = Request(live_server.url + path, headers={"Cookie": scene_of[who]})  # noqa: S310
        with suppress(HTTPError), urlopen(request, timeout=30) as answer:  # noqa: S310
            answer.read()
            return answer.status, time.monotonic() - started
        return 0, time.monotonic() - started

    alone = [ask(queue, "other")[1] for _ in range(3)]
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(ask, path) for path in greedy]
        answers = []
        while not all(each.done() for each in asked):
            answers.append(ask(queue, "other"))
    assert {status for status, _ in answers} == {200}
    assert [each.result()[0] for each in asked[:100]] == [200] * 100
    times = sorted(seconds for _, seconds in answers)
    # A second, unless the machine is so busy that the page alone takes a tenth of it.
    alone += [ask(queue, "other")[1] for _ in range(3)]
    assert times[int(len(times) * 0.95)] < max(1, 10 * sorted(alone)[4])
