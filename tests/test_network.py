"""Tests keep off the network, here and in the processes that they start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.network import guard

ROOT = Path(__file__).parents[1]
ELSEWHERE = "192.0.2.1"  # set aside for documentation: nobody answers


@pytest.fixture
def expected(off_the_network):
    """What the test is refused on purpose; the guard has nothing else to say of it."""
    yield guard.refused
    del guard.refused[:]


def connect(family=socket.AF_INET, address=(ELSEWHERE, 9)):
    with socket.socket(family) as sock:
        sock.settimeout(0.2)
        sock.connect(address)


def send():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"", (ELSEWHERE, 9))


WAYS_OUT = {
    "a connection": connect,
    "by IPv6": lambda: connect(socket.AF_INET6, ("2001:db8::1", 9, 0, 0)),
    "a datagram": send,
    "a name": lambda: socket.getaddrinfo("label-audit.example", 80),
    "an old way to a name": lambda: socket.gethostbyname("label-audit.example"),
    "through a library": lambda: urllib.request.urlopen("http://label-audit.example/"),
}


@pytest.mark.row("G09")
@pytest.mark.parametrize("way", WAYS_OUT)
def test_g09_no_test_gets_out(way, expected):
    with pytest.raises(guard.NetworkRefusedError, match="keep off the network"):
        WAYS_OUT[way]()
    assert len(expected) == 1


CAUGHT = """
import contextlib, socket

def test_quiet():
    with contextlib.suppress(Exception):
        socket.create_connection(("192.0.2.1", 9), timeout=0.2)
"""


def test_g09_a_test_that_gets_over_the_refusal_fails_all_the_same(tmp_path):
    (tmp_path / "test_caught.py").write_text(CAUGHT)
    plain = ["-p", "tests.network", "-p", "no:django", "-p", "no:cacheprovider", "-c", os.devnull]
    command = [sys.executable, "-m", "pytest", *plain, "--rootdir", tmp_path, tmp_path]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "1 passed, 1 error" in run.stdout
    assert "reached for the network: " in run.stdout
    assert "192.0.2.1" in run.stdout.partition("reached for the network: ")[2]


def test_g09_processes_of_a_test_do_not_get_out_either():
    code = f"import socket; socket.create_connection(({ELSEWHERE!r}, 9), timeout=0.2)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert "NetworkRefusedError" in run.stderr


@pytest.mark.parametrize(
    ("host", "is_here"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("::ffff:127.0.0.1", True),
     ("localhost", True), (b"LOCALHOST.", True), (None, True), ("0.0.0.0", True),  # noqa: S104
     ("10.0.0.1", False), ("169.254.169.254", False), ("::ffff:10.0.0.1", False),
     ("localhost.example.org", False), ("2130706433", False), ("fe80::1%eth0", False)],
)  # fmt: skip
def test_only_this_machine_is_here(host, is_here):
    assert guard.is_here(host) is is_here


def test_a_datagram_socket_that_only_asks_for_its_own_address_is_let_be():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((ELSEWHERE, 9))
        except OSError:
            pytest.skip("no route: this machine has no address but loopback")
        own = sock.getsockname()[0]
    assert guard.is_here(own)


def test_sockets_of_this_machine_are_open(tmp_path):
    connect_refused = pytest.raises(ConnectionRefusedError)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with connect_refused:
        connect(address=("127.0.0.1", port))
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://localhost:{port}/")
