"""Clients that send slowly, nothing or too much: everybody else is served by a real web server."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.request import urlopen

import psutil
import pytest

from audit.config.web_worker import SEND_SECONDS, WholeRequestWorker
from audit.management.commands.serve import gunicorn_command, server_environment
from tests.faults.installation import end_tree, wait_until

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
        address = f"http://127.0.0.1:{self.port}{path}"
        with urlopen(address, timeout=30) as answer:
            assert answer.status == 200
        return time.monotonic() - started

    def answer_to(self, sent: bytes) -> bytes:
        """Return the first line of what comes back."""
        with self.connect() as client:
            with suppress(ConnectionError):  # refused before all of it was sent
                client.sendall(sent)
            return client.makefile("rb").readline()

    def page_for(self, sent: bytes) -> bytes:
        """Return all that comes back."""
        with self.connect() as client:
            client.sendall(sent)
            return client.makefile("rb").read()

    def memory(self) -> int:
        """Return the bytes that all processes hold."""
        parent = psutil.Process(self.pid)
        return sum(each.memory_info().rss for each in [parent, *parent.children(recursive=True)])


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    (home / "static").mkdir()
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


POST = b"POST /healthz HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


def test_b147_slow_and_silent_clients_leave_the_others_served(server):
    """Of 16 threads none waits for the 100 who send a byte now and then, or for the 500 silent."""
    with ExitStack() as stack:
        slow = [stack.enter_context(server.connect()) for _ in range(100)]
        for _ in range(500):
            stack.enter_context(server.connect())
        for number, client in enumerate(slow):
            client.sendall(GET if number % 2 else POST + b"Content-Length: 1000\r\n\r\nuser")
        times = []
        for _ in range(20):
            for client in slow:
                client.sendall(b"X")
            times.append(server.time_request())
        assert sorted(times)[18] < 1
        # Slow isn't lost: whoever ends a request is answered.
        slow[1].sendall(b": y\r\n\r\n")
        assert slow[1].makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"


def test_a_request_in_pieces_two_at_once_and_one_after_the_other_are_answered(server):
    with server.connect() as client:
        answers = client.makefile("rb")
        for byte in GET + b"\r\n":
            client.sendall(bytes([byte]))
        assert read_answer(answers) == (b"HTTP/1.1 200 OK\r\n", b"ok\n")
        client.sendall((GET + b"\r\n") * 2 + GET)
        assert [read_answer(answers)[1] for _ in range(2)] == [b"ok\n"] * 2
        client.sendall(b"\r\n")
        assert read_answer(answers)[1] == b"ok\n"
        client.sendall(POST + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert answers.readline() == b"HTTP/1.1 100 Continue\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (GET + b"X: " + b"x" * 65_536 + b"\r\n\r\n", b"431"),
        (GET + b"X: " + b"x" * 200_000, b"431"),
        (GET + b"".join(b"X%d: y\r\n" % number for number in range(200)) + b"\r\n", b"431"),
        (b"GET /?" + b"&".join(b"a%d=1" % n for n in range(10_000)) + GET[12:] + b"\r\n", b"4"),
        (POST + b"Content-Length: 2000001\r\n\r\n", b"413"),
        (POST + b"Content-Length: 9999999999999999999\r\n\r\n", b"4"),
        (POST + b"Content-Length: -1\r\n\r\n", b"400"),
        (POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", b"400"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", b"411"),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"400"),
        (b"GET\r\n\r\n", b"400"),
    ],
    ids=["64 KB of a field", "no end", "200 fields", "10,000 parameters", "2 MB", "2^63", "-1",
         "two lengths", "chunked", "TLS", "no request"],
)  # fmt: skip
@pytest.mark.row("B145")
def test_requests_that_are_too_much_or_none_are_refused_by_status(server, sent, status):
    assert server.answer_to(sent).split(b" ")[1].startswith(status)
    assert server.time_request() < 2


@pytest.mark.row("B145")
def test_what_is_too_large_to_be_taken_at_all_is_answered_by_a_page_and_in_the_apis_shape(server):
    too_large = b"Content-Length: 2000001\r\n\r\n"
    page = server.page_for(POST + too_large).decode()
    head, _, body = page.partition("\r\n\r\n")
    assert "Content-Type: text/html" in head
    assert f"Content-Length: {len(body)}" in head
    assert "<h1>Too much at once</h1>" in body
    refusal = server.page_for(b"POST /api/v1/audits HTTP/1.1\r\nHost: localhost\r\n" + too_large)
    body = json.loads(refusal.partition(b"\r\n\r\n")[2])
    assert body == {"code": "too_large", "message": "the body is larger than 1 MB"}


@pytest.mark.row("B146")
def test_ten_megabytes_of_blanks_in_a_multipart_body_cost_neither_time_nor_memory(server):
    part = b"--x\r\nContent-Disposition: form-data; name=a; filename=b\r\n"
    part += b"Content-Transfer-Encoding: base64\r\n\r\n" + b" " * 10_000_000 + b"\r\n--x--\r\n"
    kind = b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: %d\r\n\r\n" % len(
        part
    )
    before, started = server.memory(), time.monotonic()
    for _ in range(3):
        assert server.answer_to(POST + kind + part).startswith(b"HTTP/1.1 413")
    assert time.monotonic() - started < 2
    assert server.memory() - before < 100_000_000


def test_who_never_reads_the_answer_holds_a_thread_for_a_while_only():
    with socket.socket(socket.AF_INET) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        worker = WholeRequestWorker.__new__(WholeRequestWorker)
        worker.nr_conns, taken = 0, []
        worker.cfg, worker._collect = None, taken.append
        with socket.create_connection(listener.getsockname()):
            worker.accept(listener)
            (conn,) = taken
            waits = conn.sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, 16)
            assert struct.unpack("ll", waits) == (SEND_SECONDS, 0)
            conn.close()


def read_answer(answers: BinaryIO) -> tuple[bytes, bytes]:
    """Return the status line and the body of the next answer on a connection."""
    status, length = answers.readline(), 0
    while (line := answers.readline()) not in {b"\r\n", b""}:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return status, answers.read(length)
