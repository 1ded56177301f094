"""Any bytes of a client end in answers or in a close, without an error; and only a login lets them past the guard.

The connection is the real one, over a transport in memory. The bytes come at once, and in pieces, after which the
client is silent; and in pieces that the client ends, to the endpoints behind a web config file with a user.
"""

import asyncio
import base64
import logging
import re
from concurrent.futures import wait
from functools import cache

from uvicorn.server import ServerState

from exporter.serving.server import _config
from exporter.webconfig.file import WebConfigFile
from exporter.webconfig.guard import Guard
from tests.fuzz.files import written
from tests.support.clocks import FakeClock
from tests.support.endpoints import Running

USER, PASSWORD, HASH = "alice", "cAnArY7f3", "$2b$04$abcdefghijklmnopqrstuueI5subXQBYUbYiZhQDEmxURHImNGdoy"
# A multiple of three bytes, so that it has one form only.
LOGIN = base64.b64encode(f"{USER}:{PASSWORD}".encode())

_TIMEOUT = 5.0
_LONGER = 60.0
_PIECE = 16
_SCRAPES = [["GET", "/metrics"], ["HEAD", "/metrics"]]
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2}) [^\r\n]*\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)

TOKENS = (
    *b"GET HEAD POST OPTIONS CONNECT TRACE HTTP/1.1 HTTP/1.0 HTTP/2.0 ?space= %00 %ff %2F".split(),
    *b"* / //x /metrics /probe /-/healthy /-/ready /-/reload /probe?space=acct /probe?space=acct/%2B&a=b".split(),
    *(b"\r\n\r\n", b"\n\n", b"\r\n", b"\r\n ", b" ", b"\t", b": ", b"\x00", b"\xff", b"\x16\x03\x01\x02\x00"),
    *(b"5\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffff\r\n", b"PRI * HTTP/2.0\r\n\r\n", b"http://x/metrics", LOGIN),
    *(b"\r\nContent-Length: %s" % length for length in (b"0", b"5", b"-1", b"9" * 20)),
    *(b"\r\nTransfer-Encoding: %s" % coding for coding in (b"chunked", b"gzip, chunked")),
    *(b"\r\nConnection: %s" % option for option in (b"close", b"keep-alive", b"upgrade\r\nUpgrade: websocket")),
    *(b"\r\nAccept: %s" % media for media in (b"*/*;q=x", b"application/openmetrics-text;q=0.5,text/plain;q=0.3")),
    *(b"\r\nX-Prometheus-Scrape-Timeout-Seconds: %s" % text for text in b"10 nan inf -1 1e309 1_0".split()),
    *(b"\r\nAuthorization: Basic %s" % text for text in (LOGIN, base64.b64encode(b"alice:\0"), b"====", b"8J+YgDo6")),
    *(b"\r\nHost: x", b"\r\nExpect: 100-continue", b"\r\nAccept-Encoding: gzip;q=0.5, *;q=0", b"\r\na: " + b"x" * 300),
)


def check(data):
    """Send the bytes, at once and in pieces."""
    pieces = [data[start : start + _PIECE] for start in range(0, len(data), _PIECE)]
    opened, guarded = _configs()
    # The event loop never passes on an empty piece.
    at_once, in_pieces = _answers(opened, pieces and [data]), _answers(opened, pieces)
    assert at_once == in_pieces[: len(at_once)], f"{at_once} {in_pieces}"
    assert all(status == 200 for status, *request in in_pieces if request in _SCRAPES), in_pieces
    assert LOGIN in data or not any(status == 200 for status, *_ in _answers(guarded, pieces, ends=True)), "no login"


@cache
def _configs():
    """Return the configurations of a server of the endpoints, and of one behind a guard."""
    running = Running()
    running.server._sock.close()
    running.go.set()
    wait(running.refresher.scrape(_LONGER), timeout=_LONGER)
    file = WebConfigFile(written("users.yml", f"basic_auth_users: {{{USER}: {HASH}}}\n".encode()))
    configs = [_config(app, _TIMEOUT, 9) for app in (running.endpoints, Guard(running.endpoints, file, FakeClock()))]
    for config in configs:
        config.load()
    return configs


class _Loop(asyncio.SelectorEventLoop):
    """Event loop whose time a test may skip."""

    skipped = 0.0

    def time(self):
        return super().time() + self.skipped


@cache
def _loop():
    # One for all: the endpoints have events that belong to it.
    return _Loop()


class _Transport(asyncio.Transport):
    """Connection in memory, which keeps what is written."""

    def __init__(self, loop, protocol):
        super().__init__()
        self.loop, self.protocol = loop, protocol
        self.written = bytearray()
        self.closed = False

    def write(self, data):
        self.written += b"" if self.closed else data

    def close(self):
        if not self.closed:
            self.loop.call_soon(self.protocol.connection_lost, None)
        self.closed = True

    abort = close

    def is_closing(self):
        return self.closed

    def pause_reading(self):
        pass

    resume_reading = pause_reading


class _Errors(logging.Handler):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.records = []

    def emit(self, record):
        self.records.append(logging.Formatter().format(record))


def _answers(config, pieces, *, ends=False):
    """Return status, method and path of each answer to the bytes of a client."""
    loop, errors, requests = _loop(), _Errors(), []
    loop.set_exception_handler(lambda _, context: errors.records.append(str(context)))
    state = ServerState()
    connection = config.http_protocol_class(config=config, server_state=state, app_state={}, _loop=loop)
    connection.logger = logging.Logger("connection")  # noqa: LOG001 - of this connection only
    connection.logger.addHandler(errors)
    transport = _Transport(loop, connection)
    app = connection.app

    async def noted(scope, receive, send):
        requests.append((scope["method"], scope["path"]))
        await app(scope, receive, send)

    connection.app = noted
    loop.run_until_complete(_exchange(connection, transport, state, pieces, ends=ends))
    assert not errors.records, errors.records
    assert transport.closed, "the connection stays open"
    assert not state.connections
    return list(_read(bytes(transport.written), requests))


async def _exchange(connection, transport, state, pieces, *, ends):
    """Send the pieces, and wait for the answers; then end what is sent, or wait until the client has been too slow."""
    connection.connection_made(transport)
    for piece in pieces:
        if not transport.closed:
            connection.data_received(piece)
        if not ends:
            await _answered(state)
    if not ends:
        transport.loop.skipped += _LONGER
    elif not transport.closed and not connection.eof_received():
        transport.close()
    await _answered(state)


async def _answered(state):
    for _ in range(3):
        await asyncio.sleep(0)
        while state.tasks:
            _, hanging = await asyncio.wait(state.tasks, timeout=_LONGER)
            assert not hanging, "no answer"
            await asyncio.sleep(0)


def _read(written, requests):
    """Read the answers: those of the application have a length, and the connection's own is the last."""
    for method, path in [*requests, ("", "")]:
        found = _STATUS.match(written)
        if not found:
            assert not written, written
            return
        head, _, written = written.partition(b"\r\n\r\n")
        yield int(found[1]), method, path
        if not method:
            assert int(found[1]) == 400, head
            return
        length = int(_LENGTH.search(head + b"\r\n")[1])
        body, written = (b"", written) if method == "HEAD" else (written[:length], written[length:])
        assert method == "HEAD" or len(body) == length, head
