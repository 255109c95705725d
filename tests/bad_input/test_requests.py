"""Requests that no page of ours would send: forms, addresses and texts; on either database."""

from __future__ import annotations

import json
import re
import time
from urllib.parse import urlencode

import psutil
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from audit.models import Audit, DatasetClass, Role
from reviews.models import Adjudication, Judgment
from tests.factories import make_dataset, make_member, make_project, make_ready_audit, make_sample
from tests.test_access import all_patterns

pytestmark = pytest.mark.django_db
PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")


@pytest.fixture
def audit() -> Audit:
    audit = make_ready_audit(make_dataset(make_project(), n_items=12), n_flags=6)
    make_sample(audit, 4)
    return audit


@pytest.fixture
def admin(audit) -> Client:
    client = Client()
    client.force_login(make_member(audit.dataset.project, Role.ADMIN))
    return client


def test_b145_more_fields_or_files_than_any_form_has_are_refused(admin):
    fields = {f"field{number}": "1" for number in range(1001)}
    files = {f"file{number}": SimpleUploadedFile("a", b"x") for number in range(101)}
    for sent in (fields, files):
        assert admin.post(reverse("audit:audit_new"), sent).status_code == 413
    assert admin.get(f"{reverse('audit:audit_new')}?{urlencode(fields)}").status_code == 400


BOUNDARY = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="n_bins"\r\n'


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", PART + b"\r\n15\r\n--x--\r\n"),
        ("multipart/form-data; boundary=", b"x"),
        ("multipart/form-data; boundary=\x00", b"x"),
        (f"multipart/form-data; boundary={'x' * 5000}", b"x"),
        (BOUNDARY, PART + b"Content-Transfer-Encoding: base64\r\n\r\n!!!!\r\n--x--\r\n"),
        (BOUNDARY, PART * 500),
        (
            BOUNDARY,
            PART + b"Content-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\nz\r\n--y--",
        ),
        (
            BOUNDARY,
            PART[:-2] + b'; filename="a"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
            + b" " * 10_000_000 + b"\r\n--x--\r\n",
        ),
        (
            BOUNDARY,
            PART[:-2] + b'; filename="a"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
            + b"\r\n".join([b"Q  " * 24] * 26_000) + b"\r\n--x--\r\n",
        ),
    ],
    ids=["no boundary", "empty", "NUL", "long", "base64", "no end", "nested", "10 MB of blanks",
         "base64 between blanks"],
)  # fmt: skip
def test_b146_multipart_bodies_that_are_none_are_refused_at_once(admin, kind, body):
    started, before = time.process_time(), psutil.Process().memory_info().rss
    answer = admin.post(reverse("audit:audit_new"), body, content_type=kind)
    assert answer.status_code in {400, 422}
    assert time.process_time() - started < 2
    assert psutil.Process().memory_info().rss - before < 100_000_000
    assert not Audit.objects.exclude(state="ready").exists()


HOSTILE = (
    "\0", "-1", "0", "1e3", "\u0661", str(2**63), str(2**64), "%", "'", "x" * 5_000, "\u202e",
    "\ud800",
)  # fmt: skip
PARAMETERS = (
    "page", "k", "n", "bin", "label", "proposed", "agree", "subject", "method", "policy", "q",
    "expert", "by", "order", "side", "least", "size", "again", "seed", "unflagged", "shown",
    "dataset", "number", "wait", "before", "after", "corrected", "truth", "verdict", "confidence",
    "precision", "a", "b", "votes:x", "table", "next",
)  # fmt: skip
OURS = {
    name: route
    for name, route in all_patterns().items()
    if name != "logout" and "/api/" not in route
}


def fill(route: str, audit: Audit, **numbers: int) -> str:
    """Return the address of the audit's own rows; some numbers may be others."""
    own = {
        "pk": audit.pk,
        "item_pk": audit.dataset.items.first().pk,
        "name": "labels.csv",
        **numbers,
    }
    if route.startswith("/items/"):
        own["pk"] = numbers.get("pk", own["item_pk"])
    if route.startswith("/projects/"):
        own["pk"] = numbers.get("pk", audit.dataset.project_id)
    return PARAMETER.sub(lambda found: str(own.get(found[2], own["pk"])), route)


@pytest.mark.parametrize("turn", range(0, len(HOSTILE), 4))
def test_b143_b144_b148_no_page_breaks_on_what_an_address_says(audit, admin, turn):
    """Every parameter meets every fourth hostile value: the others are of the same kinds."""
    values = {name: HOSTILE[(place + turn) % len(HOSTILE)] for place, name in enumerate(PARAMETERS)}
    said = urlencode(values, errors="surrogatepass")
    for route in OURS.values():
        address = fill(route, audit)
        assert admin.get(f"{address}?{said}").status_code < 500, address


@pytest.mark.parametrize("number", [2**63, int("9" * 400)], ids=["2^63", "400 digits"])
def test_b143_no_page_breaks_on_a_number_that_nothing_has(audit, admin, number):
    for route in OURS.values():
        if "<int:" in route:
            address = fill(route, audit, pk=number)
            for method in (admin.get, admin.post):
                assert method(address).status_code in {404, 405}, address


NAMES = ["50%_off", "50x_off", r"a\b", "it's", "[x]+", "x", "(", "ﬁ", "Straße", "İ"]


@pytest.mark.parametrize("typed", ["%", "_", "\\", "'", "[x]+", "(", ".*", "ss", "x" * 5_000, ""])
def test_b148_a_search_is_for_what_is_typed(admin, audit, typed):
    audit.dataset.classes.all().delete()
    DatasetClass.objects.bulk_create(
        DatasetClass(dataset=audit.dataset, index=index, name=name)
        for index, name in enumerate(NAMES)
    )
    address = reverse("audit:class_calibration", args=[audit.pk])
    started = time.process_time()
    answer = admin.get(address, {"q": typed})
    assert time.process_time() - started < 2
    assert answer.status_code == 200
    if len(typed) > 200:
        assert "at most 200 characters" in answer.content.decode()
        return
    found = [row.name for row in answer.context["page"]]
    assert sorted(found) == sorted(
        name for name in NAMES[: audit.dataset.n_classes] if typed.casefold() in name.casefold()
    )


LONG = "x" * 900_000


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"verdict": "seventh"}, "verdict"),
        ({"verdict": ""}, "verdict"),
        ({"reason": "a\0b"}, "reason"),
        ({"reason": LONG}, "reason"),
        ({"other_class": "\0"}, "other_class"),
        ({"main": "²"}, "main"),
        ({"labels": "99"}, "labels"),
        ({"labels": "9" * 400}, "labels"),
    ],
)
def test_b150_what_is_no_decision_is_refused_by_its_field(audit, admin, changes, field):
    item = audit.dataset.items.first()
    sent = {
        "verdict": "wrong_label",
        "labels": "1",
        "reason": "seen",
        "seen_adjudication": 0,
        "seen_judgment": 0,
    }
    address = reverse("reviews:adjudicate_item", args=[audit.pk, item.pk])
    answer = admin.post(address, sent | changes)
    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    assert not Adjudication.objects.exists()


@pytest.mark.parametrize(
    ("note", "status"), [("a\0b", 422), (LONG, 422), ("x" * 2001, 422), ("\ud800", 400)]
)
def test_b150_a_note_that_can_not_be_stored_is_refused_at_the_desk(audit, note, status):
    client = Client()
    client.force_login(make_member(audit.dataset.project))
    lease = client.post(
        reverse("reviews:lease", args=[audit.pk]), "{}", content_type="application/json"
    )
    item = lease.json()["items"][0]
    sent = {
        "key": "6a1c8d0e-52e5-4c0e-a5a4-5f0c4f7f2a10",
        "ticket": item["ticket"],
        "mode": "quick",
        "verdict": "unsure",
        "note": note,
        "milliseconds": 800,
    }
    answer = client.post(
        reverse("reviews:judge", args=[audit.pk]), json.dumps(sent), content_type="application/json"
    )
    assert answer.status_code == status
    assert status == 400 or list(answer.json()["fields"]) == ["note"]
    assert not Judgment.objects.exists()


def decide(client: Client, audit: Audit, **headers: str):
    item = audit.dataset.items.first()
    address = reverse("reviews:adjudicate_item", args=[audit.pk, item.pk])
    sent = {
        "verdict": "wrong_label",
        "labels": "1",
        "reason": "Two </textarea><script>dogs</script>, one cat.",
        "seen_adjudication": 0,
        "seen_judgment": 0,
        "csrfmiddlewaretoken": "z" * 32,
    }
    return client.post(address, sent, headers=headers)


def test_b151_a_form_whose_token_has_gone_saves_nothing_and_loses_no_word(audit):
    admin = make_member(audit.dataset.project, Role.ADMIN)
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin)
    for token in (None, "wrong", "y" * 32):  # none, no token, that of another session
        client.cookies.pop("csrftoken", None)
        if token is not None:
            client.cookies["csrftoken"] = token
        answer = decide(client, audit, sec_fetch_site="same-origin")
        page = answer.content.decode()
        assert answer.status_code == 403
        assert "nothing was saved" in page
        assert "Two &lt;/textarea&gt;&lt;script&gt;dogs&lt;/script&gt;, one cat." in page
        assert "z" * 32 not in page
    assert not Adjudication.objects.exists()


@pytest.mark.parametrize("sender", ["cross-site", "same-site", "none", ""])
def test_b151_what_another_site_sends_is_refused_and_not_shown(audit, sender):
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_member(audit.dataset.project, Role.ADMIN))
    answer = decide(client, audit, sec_fetch_site=sender)
    assert answer.status_code == 403
    assert "one cat" not in answer.content.decode()


def test_b151_a_password_is_never_shown_again():
    sent = {"username": "ada", "password": "correct horse battery staple", "act": "add"}
    client = Client(enforce_csrf_checks=True)
    answer = client.post(reverse("login"), sent, headers={"sec-fetch-site": "same-origin"})
    assert answer.status_code == 403
    assert "ada" in answer.content.decode()
    assert "battery" not in answer.content.decode()
    # Nor what a form says by itself.
    assert [name for name, _ in answer.context["written"]] == ["username"]
