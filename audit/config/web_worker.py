"""gunicorn's threads, given whole requests only: whoever sends slowly holds a buffer, no thread.

gunicorn's own threads read requests from the socket. With eight of them per process, sixteen people
on a bad line, or one who means harm, would keep everybody else out.
"""

from __future__ import annotations

import selectors
import socket
import struct
import time
from concurrent.futures import Future
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

# So long a request may take to arrive, and an open connection may say nothing at all.
REQUEST_SECONDS = 60.0
# So long a thread waits for somebody who doesn't read the answer.
SEND_SECONDS = 30
MOST_HEAD = 1 << 16
MOST_PATH = 64  # of a request's first bytes, to see whom it is for
# Django refuses bodies over DATA_UPLOAD_MAX_MEMORY_SIZE by a page of the site: this lies above.
MOST_BODY = 2_000_000
# Of all requests that are still arriving, per process.
MOST_WAITING = 64_000_000
AT_ONCE = 1 << 16
END_OF_HEAD = b"\r\n\r\n"
# A browser shows a page of its own where a reply is empty, and that one blames the site.
TOO_LARGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Too much at once - Label audit</title>
<h1>Too much at once</h1>
<p>A form takes 1 MB. Nothing was changed: go back, and what you wrote is still there.</p>
<p><a href="/">To the start page</a></p>
</html>
"""
TOO_LARGE_FOR_API = '{"code": "too_large", "message": "the body is larger than 1 MB"}'


class Refusal(Exception):  # noqa: N818 - a reply, not a failure
    """What can't be taken whole; the reply's status line says why."""


class Arriving:
    """The part of a request that is there so far."""

    def __init__(self, received: bytes = b"") -> None:
        self.received = bytearray(received)
        self.is_refused = False
        self._total: int | None = None
        self._invites = False

    def is_whole(self) -> bool:
        """Whether everything has arrived. Raises ``Refusal`` for what isn't waited for."""
        if self._total is None:
            self._read_head()
        return self._total is not None and len(self.received) >= self._total

    def take_invitation(self) -> bool:
        """Whether the client waits to be told that it may send the body; True once."""
        invites, self._invites = self._invites, False
        return invites

    def _read_head(self) -> None:
        end = self.received.find(END_OF_HEAD)
        if end < 0 or end > MOST_HEAD:
            if len(self.received) > MOST_HEAD:
                raise Refusal("431 Request Header Fields Too Large")
            return
        fields = self.received[:end].split(b"\r\n")[1:]
        named = [field.partition(b":")[::2] for field in fields]
        lengths = [value.strip() for name, value in named if name.lower() == b"content-length"]
        if any(name.lower() == b"transfer-encoding" for name, _ in named):
            raise Refusal("411 Length Required")
        # What is no length, or two of them, gunicorn refuses before it reads a body.
        digits = lengths[0].decode("ascii", "replace") if len(lengths) == 1 else ""
        n_body = int(digits[-16:]) if digits.isascii() and digits.isdigit() else 0
        if n_body > MOST_BODY or len(digits) > 16:
            raise Refusal("413 Content Too Large")
        self._total = end + len(END_OF_HEAD) + n_body
        self._invites = len(self.received) < self._total and any(
            name.lower() == b"expect" and value.strip().lower() == b"100-continue"
            for name, value in named
        )


def explain(status: str, start: bytes) -> tuple[str, str]:
    """Return the type and the text of a refusal, in the API's shape where the API is asked."""
    if not status.startswith("413"):
        return "text/plain; charset=utf-8", ""
    if start.partition(b" ")[2].startswith(b"/api/"):
        return "application/json", TOO_LARGE_FOR_API
    return "text/html; charset=utf-8", TOO_LARGE


class WholeRequestWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's worker of threads, but the loop that accepts connections also collects requests.

    A connection is in gunicorn's queue of pending ones until its request is whole.
    """

    def accept(self, listener: socket.socket) -> None:
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.nr_conns += 1
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            client.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", SEND_SECONDS, 0))
        self._collect(TConn(self.cfg, client, address, listener.getsockname()))

    def on_client_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        """Collect the next request of a connection that was kept open."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._collect(conn)
        self._receive(conn, client)

    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        """Collect the rest where part of the next request came with the last one."""
        is_kept = not fs.cancelled() and fs.exception() is None and fs.result() is True
        if is_kept and (early := conn.parser.unreader.take_buffered()):
            self._collect(conn, early)
            self._go_on(conn)
        else:
            super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """Close what takes too long, and when the process ends all that has sent nothing yet."""
        super().murder_pending()
        if not self.alive:
            for conn in [each for each in self.pending_conns if not each.arriving.received]:
                self._drop(conn)

    def _collect(self, conn: TConn, early: bytes = b"") -> None:
        conn.sock.settimeout(0)
        conn.arriving = Arriving(early)
        conn.timeout = time.monotonic() + REQUEST_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._receive, conn))

    def _receive(self, conn: TConn, client: socket.socket) -> None:
        try:
            data = client.recv(AT_ONCE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._drop(conn)
        elif not conn.arriving.is_refused:
            conn.arriving.received += data
            self._go_on(conn)

    def _go_on(self, conn: TConn) -> None:
        arriving: Arriving = conn.arriving
        try:
            if arriving.is_whole():
                self._hand_over(conn)
            elif arriving.take_invitation():
                conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            elif len(arriving.received) > MOST_HEAD and self._n_waiting() > MOST_WAITING:
                self._refuse(conn, "503 Service Unavailable")
        except Refusal as refusal:
            self._refuse(conn, str(refusal))
        except OSError:
            self._drop(conn)

    def _n_waiting(self) -> int:
        return sum(len(each.arriving.received) for each in self.pending_conns)

    def _hand_over(self, conn: TConn) -> None:
        self.poller.unregister(conn.sock)
        self.pending_conns.remove(conn)
        conn.init()
        conn.parser.unreader.unread(bytes(conn.arriving.received))
        conn.arriving = Arriving()
        self.enqueue_req(conn)

    def _refuse(self, conn: TConn, status: str) -> None:
        """Say why and listen no further; closed at once, the reply might never be read."""
        kind, words = explain(status, bytes(conn.arriving.received[:MOST_PATH]))
        conn.arriving = Arriving()
        conn.arriving.is_refused = True
        fields = f"Connection: close\r\nContent-Type: {kind}\r\nContent-Length: {len(words)}"
        reply = f"HTTP/1.1 {status}\r\n{fields}\r\n\r\n{words}"
        conn.sock.send(reply.encode("ascii"))
        conn.sock.shutdown(socket.SHUT_WR)

    def _drop(self, conn: TConn) -> None:
        self.poller.unregister(conn.sock)
        self.pending_conns.remove(conn)
        self.nr_conns -= 1
        conn.close()
