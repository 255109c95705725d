"""Clients that send or read slowly, nothing or too much: a real web server serves the others."""

from __future__ import annotations

import json
import resource
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import BinaryIO
from urllib.request import urlopen

import psutil
import pytest

from audit.config.web_worker import MOST_UNSENT, ClientSocket
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
    (home / "static" / "large.bin").write_bytes(bytes(LARGE_BYTES))
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
LARGE = b"GET /static/large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE_BYTES = 3_000_000


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


def test_no_header_says_where_the_site_lies(server):
    said = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nSCRIPT_NAME: /healthz\r\n\r\n"
    assert server.answer_to(said).startswith(b"HTTP/1.1 200")


def test_who_never_reads_the_answer_holds_no_thread(server):
    """Of 16 threads none waits for the 24 who ask for 36 MB each and read nothing of it."""
    with ExitStack() as stack:
        for _ in range(24):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.connect(("127.0.0.1", server.port))
            client.sendall(LARGE * 12)
        times = [server.time_request() for _ in range(20)]
        assert sorted(times)[18] < 1
        with server.connect() as patient:
            patient.sendall(LARGE)
            time.sleep(0.5)
            answer = read_answer(patient.makefile("rb"))
            assert answer == (b"HTTP/1.1 200 OK\r\n", bytes(LARGE_BYTES))


def test_an_answer_of_more_than_is_kept_reaches_whoever_reads_it():
    ours, theirs = socket.socketpair()
    with ClientSocket(ours) as client, theirs:
        theirs.settimeout(0.05)  # all of it may be read before the thread has ended
        sent = Thread(target=client.sendall, args=(b"x" * (2 * MOST_UNSENT),))
        sent.start()
        received = 0
        while sent.is_alive():
            with suppress(TimeoutError):
                received += len(theirs.recv(1 << 20))
        assert len(client.unsent) <= MOST_UNSENT
        theirs.settimeout(10)
        while client.unsent:
            client.send_rest()
            received += len(theirs.recv(1 << 20))
        client.close()
        while data := theirs.recv(1 << 20):
            received += len(data)
    assert received == 2 * MOST_UNSENT


def test_a_thread_waits_for_a_while_only_with_more_than_is_kept(monkeypatch):
    monkeypatch.setattr("audit.config.web_worker.SEND_SECONDS", 0.1)
    ours, theirs = socket.socketpair()
    with ClientSocket(ours) as client, theirs:
        with pytest.raises(BrokenPipeError):
            client.sendall(b"x" * (MOST_UNSENT + 4_000_000))
        assert not client.unsent


def test_who_is_gone_before_the_refusal_takes_no_process_along(server):
    """Refused and reset at the same moment, a client once ended the process that served it."""
    processes = psutil.Process(server.pid).children()
    for _ in range(20):
        client = server.connect()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        client.close()
        assert server.time_request() < 2
    assert psutil.Process(server.pid).children() == processes


def test_who_asks_to_be_closed_and_stays_holds_nobody_up(server):
    with ExitStack() as stack:
        for _ in range(10):
            client = stack.enter_context(server.connect())
            client.sendall(GET + b"Connection: close\r\n\r\n")
            assert client.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"
        times = [server.time_request() for _ in range(10)]
        assert max(times) < 1


def test_more_silent_connections_than_there_is_room_for_leave_room(server):
    """The one that has been silent the longest goes, so whoever asks for something is served."""
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, most), most))
    try:
        with ExitStack() as stack:
            for _ in range(2100):
                stack.enter_context(server.connect())
            times = [server.time_request() for _ in range(10)]
            assert sorted(times)[8] < 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (usual, most))


def read_answer(answers: BinaryIO) -> tuple[bytes, bytes]:
    """Return the status line and the body of the next answer on a connection."""
    status, length = answers.readline(), 0
    while (line := answers.readline()) not in {b"\r\n", b""}:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return status, answers.read(length)
