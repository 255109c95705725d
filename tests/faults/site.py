"""The web site of an installation under a fault, and somebody who uses it."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from audit.demo.tour import TOKEN, Visitor
from tests.faults.installation import ROOT, Installation, end_tree, wait_until

NAME, PASSWORD = "ada", "correct horse battery staple"
ADD_USER = f"""
from django.contrib.auth.models import User
from audit.models import Membership, Project, Role
user, is_new = User.objects.get_or_create(username="{NAME}")
user.set_password("{PASSWORD}")
user.save()
role = {{"role": Role.MAINTAINER}}
for project in Project.objects.all():
    Membership.objects.get_or_create(user=user, project=project, defaults=role)
"""


class Person(Visitor):
    """A logged-in maintainer whose requests are timed; `pid` is the web server's."""

    pid = 0

    def ask(self, path: str, body: dict[str, Any] | None = None) -> tuple[int, float, str]:
        """Return status, seconds and text of the answer, whatever it is."""
        request = urllib.request.Request(self.base + path)  # noqa: S310 - loopback
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
            request.add_header("X-CSRFToken", self.token)
        return self._timed(request)

    def submit(self, path: str, fields: dict[str, Any]) -> tuple[int, float, str]:
        """Send a form."""
        fields = {**fields, "csrfmiddlewaretoken": self.token}
        encoded = urllib.parse.urlencode(fields, doseq=True).encode()
        request = urllib.request.Request(self.base + path, data=encoded)  # noqa: S310 - loopback
        return self._timed(request)

    def _timed(self, request: urllib.request.Request) -> tuple[int, float, str]:
        request.add_header("Referer", self.base + "/")
        started = time.monotonic()
        try:
            with self._opener.open(request, timeout=60) as answer:
                status, text = answer.status, answer.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode("utf-8", "replace")
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            status, text = 0, str(error)
        return status, time.monotonic() - started, text

    @cached_property
    def token(self) -> str:
        found = TOKEN.search(self.get("/audits/new/"))
        assert found is not None
        return found[1]


@contextmanager
def site(installation: Installation) -> Iterator[Person]:
    """Serve the site; yield a maintainer who is logged in."""
    installation.run("shell", "-c", ADD_USER)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (installation.home / "web.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "manage.py", "serve", "--port", str(port)],
        cwd=ROOT,
        env=installation.environment,
        stderr=log,
        stdout=log,
    )
    try:
        base = f"http://127.0.0.1:{port}"
        person = Person(base)
        person.pid = process.pid
        wait_until(lambda: person.ask("/login/")[0] == 200, "the site answers")
        person.log_in(NAME, PASSWORD)
        assert person.token
        yield person
    finally:
        end_tree(process.pid)
        process.wait()
        log.close()
