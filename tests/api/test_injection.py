"""Strings made to break out of queries do nothing that any unknown word doesn't do."""

from __future__ import annotations

import itertools
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.models import Role
from tests.api.callers import caller, send
from tests.factories import make_member, make_ready_audit, make_sample

pytestmark = pytest.mark.django_db
UNKNOWN = "zzz"
QUOTES = ["'", '"', "`", "')", '")', "'))", "\\'", "%27", "''"]
TAILS = [
    "", " OR 1=1--", " OR '1'='1", "; DROP TABLE audit_audit;--", " UNION SELECT NULL,NULL--",
    " AND SLEEP(3)--", "||pg_sleep(3)--", " AND 1=(SELECT COUNT(*) FROM auth_user)--",
    " ORDER BY 99#", "/**/OR/**/TRUE", "; ATTACH DATABASE '/tmp/x' AS x;--", " LIKE '%",
    " AND randomblob(100000000)--", "\r\nX: y", "${jndi:x}", "{{7*7}}", "%s%s%n", "\u2019 OR 1=1",
    "') RETURNING 1--", " COLLATE NOCASE--", "::int", "*/", "--", ");--",
]  # fmt: skip
CORPUS = ["".join(pair) for pair in itertools.product(QUOTES, TAILS)][:200]
PLACES = [
    "/audits/{audit}/report?truth={said}",
    "/audits/{audit}/report?policy={said}",
    "/audits/{audit}/queue?method={said}",
    "/audits/{audit}/queue?subject={said}",
    "/audits/{audit}/queue?verdict={said}",
    "/projects/{project}/policies/{said}",
]


@pytest.mark.row("A45", "A05")
def test_no_string_asks_the_database_more_than_any_unknown_word():
    audit = make_ready_audit()
    make_sample(audit, 4)
    calls = caller(make_member(audit.dataset.project, Role.MAINTAINER))
    send(calls, "GET", "/me")

    def ask(place: str, said: str):
        numbers = {"audit": audit.pk, "project": audit.dataset.project_id}
        with CaptureQueriesContext(connection) as asked:
            answer = send(calls, "GET", place.format(said=quote(said, safe=""), **numbers))
        return answer.status_code, len(asked)

    for place in PLACES:
        usual = ask(place, UNKNOWN)
        assert usual[0] in {200, 404, 422}
        # Each place gets every seventh of them, another seventh than the place before it.
        for said in CORPUS[PLACES.index(place) :: 7]:
            status, n_queries = ask(place, said)
            assert status == usual[0], f"{place}: {said!r}"
            # Fewer where a slash leads to no address at all.
            assert n_queries <= usual[1], f"{place}: {said!r}"
