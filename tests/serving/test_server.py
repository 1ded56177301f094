"""Clients that misbehave, over raw sockets: malformed requests, too many of them, and those that do not read."""

import asyncio
import io
import re
import socket
import struct
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

import pytest
import structlog

from exporter import log
from exporter.serving.endpoints import _client_left
from exporter.serving.listener import listen
from exporter.serving.server import Server
from tests.support import threads
from tests.support.threads import wait_until

LARGE = 16_000_000
OK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Site:
    """Answers `/` at once, `/wait` never, `/large` with more than a socket's buffers hold."""

    def __init__(self, connections, request_timeout):
        sock = listen("127.0.0.1", 0)
        self.address = sock.getsockname()
        self.waiting = threading.Semaphore(0)
        self.server = Server(
            self._answer, sock, on_shutdown=int, connections=connections, request_timeout=request_timeout
        )

    async def _answer(self, scope, receive, send):
        body = b"x" * LARGE if scope["path"] == "/large" else b"fine\n"
        if scope["path"] == "/wait":
            self.waiting.release()
            await _client_left(receive)
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body[:1], "more_body": True})
        for start in range(1, len(body), 65_536):
            await send({"type": "http.response.body", "body": body[start : start + 65_536], "more_body": True})
        await send({"type": "http.response.body"})

    def connect(self, sent=b""):
        sock = socket.create_connection(self.address, timeout=10)
        sock.sendall(sent)
        return sock

    def exchange(self, sent):
        """Send bytes, and return the statuses of all answers until the connection is closed."""
        with self.connect(sent) as sock:
            received = drained(sock)
        return [int(status) for status in re.findall(rb"^HTTP/1\.1 (\d+)", received, re.MULTILINE)]


@contextmanager
def site(*, connections=1024, request_timeout=1.0):
    running = Site(connections, request_timeout)
    with threads.running(running.server):
        yield running


def drained(sock):
    """Return all that comes until the connection is closed."""
    received = bytearray()
    with suppress(ConnectionResetError):
        while data := sock.recv(65_536):
            received += data
    return bytes(received)


@pytest.fixture(scope="module")
def shared():
    with site() as running:
        yield running


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded: x\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/11\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1e9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000,
        b"GET /" + b"a" * 70_000,
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_closed(sent, shared):
    assert shared.exchange(sent) == [400]


@pytest.mark.parametrize(
    "rest", [b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n"]
)
@pytest.mark.parametrize("path", [b"/", b"/wait"])
def test_a_body_that_breaks_ends_the_connection_without_a_second_answer_to_it(rest, path, caplog, shared):
    assert len(shared.exchange(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n" + rest)) <= 2
    assert shared.exchange(OK + b"junk\r\n\r\n")[0] == 200
    assert caplog.records == []


def test_the_chunked_body_ends_where_its_chunks_do_whatever_a_length_says(shared):
    framing = b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"
    assert shared.exchange(b"GET / HTTP/1.1\r\nHost: x\r\n" + framing + b"GET / HTTP/9\r\n\r\n") == [200, 400]


def half_closed(site, sent):
    """Send bytes, close that side of the connection, and return the statuses of all answers."""
    with site.connect(sent) as sock:
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(4)  # before the end of an idle connection
        received = drained(sock)
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", received)]


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (OK, [200]),
        (OK * 3, [200] * 3),
        (b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n" + OK, [200] * 2),
        (b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" + OK, [200] * 2),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", [200]),
        (OK + b"GET / HT", [200, 400]),
        (b"GET / HT", [400]),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", [400]),
        (b"", []),
    ],
)
def test_a_client_that_sends_no_more_gets_all_of_its_answers(sent, statuses, shared, caplog):
    """As from Go's server, and then the end of the connection."""
    assert half_closed(shared, sent) == statuses
    assert caplog.records == []


def test_a_client_that_leaves_is_noticed_while_it_waits():
    with site(request_timeout=30.0) as running, running.connect(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n") as sock:
        assert running.waiting.acquire(timeout=10)
        sock.close()
        wait_until(lambda: not running.server.server_state.connections)


def test_clients_that_leave_in_the_middle_of_an_answer_write_no_line():
    stream = io.StringIO()
    log.configure("info", "logfmt", stream)
    with site() as running:
        for _ in range(20):
            with running.connect(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n") as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_until(lambda: not running.server.server_state.connections)
    assert stream.getvalue() == ""


def test_requests_in_a_row_are_answered_in_a_row(shared):
    assert shared.exchange(OK * 3 + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") == [200] * 4


@pytest.mark.parametrize("framing", [b"Transfer-Encoding: chunked", b"Content-Length: 9"])
def test_a_body_that_never_ends_is_closed_too(framing, shared):
    assert shared.exchange(b"GET / HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n") == [200]


def test_one_connection_too_many_is_refused():
    with site(connections=2) as running, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(running.connect(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"))
            assert running.waiting.acquire(timeout=10)
        assert running.exchange(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") == [503]


def test_connections_that_cannot_be_accepted_are_logged_once():
    """Asyncio repeats the error for each of them, several times a second."""
    with site() as running, structlog.testing.capture_logs() as logged:
        loop = asyncio.new_event_loop()
        context = {"message": "no resources", "exception": OSError(24, "Too many open files")}
        for _ in range(3):
            running.server._log_error(loop, context)
        running.server._log_error(loop, {"message": "another"})
        loop.close()
    assert [line["problem"] for line in logged] == ["Too many open files"]


def test_a_large_answer_is_whole_though_its_reader_is_slow_and_shutdown_begins():
    with site() as running, running.connect(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n") as sock:
        begin = sock.recv(1000)
        wait_until(lambda: any(client.flow.write_paused for client in tuple(running.server.server_state.connections)))
        running.server.stop()
        assert len(begin + drained(sock)) > LARGE


def test_a_reader_that_stopped_does_not_hold_the_shutdown(caplog):
    with site() as running, running.connect(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n") as sock:
        assert sock.recv(8) == b"HTTP/1.1"
        began = time.monotonic()
        running.server.stop()
        wait_until(lambda: not running.server.server_state.connections)
        assert time.monotonic() - began < 5
    assert caplog.records == []


def test_who_is_told_to_stop_before_it_runs_shuts_down_all_the_same():
    """A signal may come between the handlers and the loop."""
    ends = []
    serving = Server(None, listen("127.0.0.1", 0), on_shutdown=lambda: ends.append(True))
    serving.stop()
    serving.run()
    assert ends == [True]
