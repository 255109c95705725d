"""gunicorn's threads, given whole requests only: whoever sends or reads slowly holds no thread.

gunicorn's own threads read requests from the socket and wait until the answer is taken. With eight
of them per process, sixteen people on a bad line, or one who means harm, would keep everybody else
out. Here slow clients hold buffers, which the loop that accepts connections fills and empties; when
there is no room left, whoever has waited the longest goes.
"""

from __future__ import annotations

import errno
import select
import selectors
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, BinaryIO

from gunicorn.workers.gthread import TConn, ThreadWorker

# So long a request may take to arrive, and an open connection may say nothing at all.
REQUEST_SECONDS = 60.0
# So long a thread waits for somebody who doesn't read an answer of more than MOST_UNSENT bytes.
SEND_SECONDS = 30.0
# So long the rest of an answer waits for somebody who has all the time in the world.
LEAVE_SECONDS = 300.0
# So long a closed connection is listened to: reset at once, its last answer might never be read.
LINGER_SECONDS = 2.0
MOST_HEAD = 1 << 16
MOST_PATH = 64  # of a request's first bytes, to see whom it is for
# Django refuses bodies over DATA_UPLOAD_MAX_MEMORY_SIZE by a page of the site: this lies above.
MOST_BODY = 2_000_000
# Of all requests that are still arriving, per process; of all answers that nobody reads, too.
MOST_WAITING = 64_000_000
# Of one answer; a thread waits with what is more.
MOST_UNSENT = 4_000_000
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
TOO_MANY_OPEN = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


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


class ClientSocket(socket.socket):
    """A client's socket: what the client doesn't take at once is kept, and sent by the loop."""

    def __init__(self, accepted: socket.socket) -> None:
        kind = (accepted.family, accepted.type, accepted.proto)
        super().__init__(*kind, fileno=accepted.detach())
        self.unsent = bytearray()
        # Nothing should wait in a call of the kernel; what does all the same ends.
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            self.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", int(SEND_SECONDS), 0))

    def sendall(self, data: Any, _flags: int = 0, /) -> None:
        """Send or keep all of it; called in a thread, which waits only with a very long answer."""
        self.unsent += data
        self.send_rest()
        end = time.monotonic() + SEND_SECONDS
        while len(self.unsent) > MOST_UNSENT:
            patience = end - time.monotonic()
            if patience <= 0:
                self.unsent.clear()
                raise BrokenPipeError(errno.EPIPE, "the client doesn't read")
            poll = select.poll()
            poll.register(self, select.POLLOUT)
            poll.poll(1000 * patience)
            self.send_rest()

    def sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int:  # type: ignore[override]
        """Send a file like anything else: the kernel's way would wait for the client for ever."""
        file.seek(offset)
        sent = 0
        while block := file.read(AT_ONCE if count is None else min(AT_ONCE, count - sent)):
            self.sendall(block)
            sent += len(block)
        return sent

    def send_rest(self) -> None:
        """Send what is kept as far as the client takes it now; OSError if it is gone."""
        try:
            while self.unsent:
                n_sent = self.send(self.unsent, socket.MSG_DONTWAIT)
                del self.unsent[:n_sent]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.unsent.clear()
            raise


class WholeRequestWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's worker of threads, but the loop that accepts connections also collects requests.

    A connection waits in one queue at a time (`conn.queue`), each of them in the order in which
    patience with it ends: in gunicorn's of pending ones until its request is whole, among those
    leaving until the client has the answer, among those lingering once all is said.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.leaving_conns: deque[TConn] = deque()
        self.lingering_conns: deque[TConn] = deque()

    def accept(self, listener: socket.socket) -> None:
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in TOO_MANY_OPEN:
                raise
            self._make_room()
            return
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections:
            self._make_room()
        self._collect(TConn(self.cfg, ClientSocket(client), address, listener.getsockname()))

    def on_client_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        """Collect the next request of a connection that was kept open."""
        if conn not in self.keepalived_conns:
            return  # it had to make room a moment ago
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._collect(conn)
        self._receive(conn, client)

    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        """See that the client gets the answer; then collect its next request, or close."""
        if conn.sock.unsent:
            self._wait(conn, self.leaving_conns, LEAVE_SECONDS, partial(self._send_rest, conn, fs))
            while sum(len(each.sock.unsent) for each in self.leaving_conns) > MOST_WAITING:
                self._drop(self.leaving_conns[0])
            return
        is_kept = not fs.cancelled() and fs.exception() is None and fs.result() is True
        if not is_kept:
            self._linger(conn)
        elif early := conn.parser.unreader.take_buffered():
            # Part of the next request came with the last one.
            self._collect(conn, early)
            self._go_on(conn)
        else:
            super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """Close what takes too long, and when the process ends all that has sent nothing yet."""
        now = time.monotonic()
        for queue in (self.pending_conns, self.leaving_conns, self.lingering_conns):
            while queue and queue[0].timeout <= now:
                self._drop(queue[0])
        if not self.alive:
            for conn in [each for each in self.pending_conns if not each.arriving.received]:
                self._drop(conn)

    def _wait(
        self, conn: TConn, queue: deque[TConn], seconds: float, call: Callable[[Any], None]
    ) -> None:
        conn.sock.settimeout(0)
        conn.timeout = time.monotonic() + seconds
        conn.queue = queue
        queue.append(conn)
        is_leaving = queue is self.leaving_conns
        event = selectors.EVENT_WRITE if is_leaving else selectors.EVENT_READ
        self.poller.register(conn.sock, event, call)

    def _stop_waiting(self, conn: TConn) -> None:
        self.poller.unregister(conn.sock)
        conn.queue.remove(conn)
        conn.queue = None

    def _make_room(self) -> None:
        """Close one connection that nobody is at work for, the one that has waited longest."""
        queues = (self.lingering_conns, self.pending_conns, self.keepalived_conns)
        for queue in (*queues, self.leaving_conns):
            if queue:
                queue[0].queue = queue
                self._drop(queue[0])
                return

    def _collect(self, conn: TConn, early: bytes = b"") -> None:
        conn.arriving = Arriving(early)
        self._wait(conn, self.pending_conns, REQUEST_SECONDS, partial(self._receive, conn))

    def _receive(self, conn: TConn, client: socket.socket) -> None:
        if conn.queue is None:
            return  # it had to make room a moment ago
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
        self._stop_waiting(conn)
        conn.init()
        conn.parser.unreader.unread(bytes(conn.arriving.received))
        conn.arriving = Arriving()
        self.enqueue_req(conn)

    def _send_rest(self, conn: TConn, fs: Future[Any], client: ClientSocket) -> None:
        if conn.queue is None:
            return  # it had to make room a moment ago
        try:
            client.send_rest()
        except OSError:
            self._drop(conn)
            return
        if not client.unsent:
            self._stop_waiting(conn)
            self.finish_request(conn, fs)

    def _refuse(self, conn: TConn, status: str) -> None:
        """Say why and listen no further; closed at once, the reply might never be read."""
        kind, words = explain(status, bytes(conn.arriving.received[:MOST_PATH]))
        conn.arriving = Arriving()
        conn.arriving.is_refused = True
        fields = f"Connection: close\r\nContent-Type: {kind}\r\nContent-Length: {len(words)}"
        reply = f"HTTP/1.1 {status}\r\n{fields}\r\n\r\n{words}"
        try:
            conn.sock.send(reply.encode("ascii"))
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            # Gone already. Raised, it would end the loop, and with it the process.
            self._drop(conn)

    def _linger(self, conn: TConn) -> None:
        """Say that all is said, and wait for the client to close; gunicorn would hold the loop."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.nr_conns -= 1
            conn.close()
            return
        conn.arriving = Arriving()
        conn.arriving.is_refused = True
        self._wait(conn, self.lingering_conns, LINGER_SECONDS, partial(self._receive, conn))

    def _drop(self, conn: TConn) -> None:
        if conn.queue is None:
            return
        self._stop_waiting(conn)
        self.nr_conns -= 1
        conn.close()
