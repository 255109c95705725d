"""Clients that send slowly, nothing or too much: everybody else is served by a real web server."""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from audit.management.commands.serve import gunicorn_command, server_environment
from tests.faults.installation import end_tree, wait_until
from tests.servers import run_manage

pytestmark = [pytest.mark.service, pytest.mark.timeout(200)]
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Server:
    """A web server of two processes; every connection is one of the test's own."""

    port: int
    pid: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def time_request(self, path: str = "/healthz") -> float:
        started = time.monotonic()
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            assert answer.status == 200
        return time.monotonic() - started

    def answer_to(self, sent: bytes) -> bytes:
        """Return the first line of what comes back."""
        with self.connect() as client:
            client.sendall(sent)
            return client.makefile("rb").readline()

    def memory(self) -> int:
        """Return the bytes that all processes hold."""
        parent = psutil.Process(self.pid)
        return sum(each.memory_info().rss for each in [parent, *parent.children(recursive=True)])


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        gunicorn_command("audit.config.wsgi:application", f"127.0.0.1:{port}", 2),
        cwd=ROOT,
        env=server_environment() | {"LABEL_AUDIT_HOME": str(home), "LABEL_AUDIT_DATABASE": ""},
    )
    found = Server(port, process.pid)

    def answers() -> bool:
        try:
            return found.time_request() < 30
        except OSError:
            return False

    try:
        wait_until(answers, "the site answers")
        yield found
    finally:
        end_tree(process.pid)
        process.wait()


HEAD = b"POST /login/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"


def test_b147_slow_clients_leave_the_others_served(server):
    slow = [server.connect() for _ in range(100)]
    idle = [server.connect() for _ in range(500)]
    for number, client in enumerate(slow):
        client.sendall(HEAD if number % 2 else HEAD + b"Content-Length: 1000\r\n\r\nuser")
    try:
        times = []
        for _ in range(15):
            for client in slow:
                client.sendall(b"X" )
            times.append(server.time_request())
            time.sleep(0.1)
        times.sort()
        print(times)
        assert times[int(0.95 * len(times))] < 1
    finally:
        for client in slow + idle:
            client.close()
