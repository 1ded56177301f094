"""The endpoints, as an ASGI application, and the server that they are served by.

A scrape begins what is due, waits for it as long as its deadline and shutdown let it, and gets what there is. Nothing
that takes long happens on the event loop: pages are rendered and compressed on a thread of their own.
"""

import asyncio
import contextlib
import errno
import math
import re
import signal
import socket
import ssl
import struct
import threading
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from exporter import landing
from exporter.clock import Clock
from exporter.exposition import Exposition
from exporter.refresh import Refresher
from exporter.workers import Workers

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
"""What the server serves: `Endpoints`, or something around them."""

_TIMEOUT_HEADER = b"x-prometheus-scrape-timeout-seconds"
_DEFAULT_TIMEOUT = 10.0
_READY_AFTER = 30.0
_SCRAPES = 64
_CONNECTIONS = 1024
_UNREAD_MILLISECONDS = 30_000
_SHUTDOWN_SECONDS = 4
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
_NOT_THIS_CODING = re.compile(r"\s*q\s*=\s*0(\.0*)?\s*")

_BLOCK = 65_536
_GZIP_LEVEL = 6
_GZIP_HEADER = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
_DEFLATE_END = b"\x03\x00"


class Answer(NamedTuple):
    """A whole answer; its Content-Length is added when it is sent."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = (_TEXT,)


class Route(NamedTuple):
    """What answers a path.

    Attributes:
        methods: the methods that it answers; any other gets 405.
        handler: what makes the answer.
    """

    methods: tuple[str, ...]
    handler: Callable[[Scope, Receive], Awaitable[Answer]]


_NOT_FOUND = Answer(404, b"There is nothing at this path; / lists what there is.\n")
_BUSY = Answer(503, b"Too many scrapes wait already.\n")


class Endpoints:
    """The endpoints as an ASGI application."""

    def __init__(
        self, refresher: Refresher, exposition: Exposition, *, clock: Clock, scrape_timeout_offset: float, version: str
    ) -> None:
        """Begin to serve; the time to become ready starts here.

        Args:
            refresher: what scrapes begin and wait for.
            exposition: what they get.
            clock: where the time comes from.
            scrape_timeout_offset: seconds that an answer is made before the scraper gives up.
            version: the exporter's version.
        """
        self._refresher = refresher
        self._exposition = exposition
        self._clock = clock
        self._offset = scrape_timeout_offset
        self._version = version
        self._started = clock.monotonic()
        self._stopping = asyncio.Event()
        self._scrapes = 0
        self._renderer = Workers(1, "render")
        self._gzips: dict[str, _Gzip] = {}
        read = ("GET", "HEAD")
        self._routes = {
            "/": Route(read, self._landing_page),
            "/metrics": Route(read, self._metrics),
            "/-/healthy": Route(read, self._healthy),
            "/-/ready": Route(read, self._ready),
        }

    def stop(self) -> None:
        """Let waiting scrapes be answered at once, and be ready no more. Only for the event loop's own thread."""
        self._stopping.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            NotImplementedError: this is no request; servers take it as the word that lifespans mean nothing here.
        """
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            raise NotImplementedError
        status, body, headers = await self._answer(scope, receive)
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [*headers, length, _NO_SNIFFING]})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        route = self._routes.get(scope["path"])
        if route is None:
            return _NOT_FOUND
        if scope["method"] not in route.methods:
            allow = (b"allow", ", ".join(route.methods).encode())
            return Answer(405, b"This path does not answer that method.\n", (_TEXT, allow))
        return await route.handler(scope, receive)

    async def _healthy(self, _scope: Scope, _receive: Receive) -> Answer:
        return Answer(200, b"OK\n")

    async def _ready(self, _scope: Scope, _receive: Receive) -> Answer:
        if self._stopping.is_set():
            return Answer(503, b"Shutting down.\n")
        if self._refresher.all_tried() or self._clock.monotonic() - self._started >= _READY_AFTER:
            return Answer(200, b"OK\n")
        return Answer(503, b"The first refresh of a space has not ended yet.\n")

    async def _landing_page(self, _scope: Scope, _receive: Receive) -> Answer:
        body = await asyncio.wrap_future(self._renderer.submit(self._render_landing_page))
        policy = (b"content-security-policy", landing.CONTENT_SECURITY_POLICY.encode())
        return Answer(200, body, ((b"content-type", b"text/html; charset=utf-8"), policy))

    def _render_landing_page(self) -> bytes:
        return landing.page(self._refresher.statuses(), version=self._version, now=self._clock.time())

    async def _metrics(self, scope: Scope, receive: Receive) -> Answer:
        if self._scrapes >= _SCRAPES:
            return _BUSY
        self._scrapes += 1
        try:
            budget = _budget(_values(scope, _TIMEOUT_HEADER), self._offset)
            await self._wait(self._refresher.scrape(budget), budget, receive)
            accept = _text(scope, b"accept")
            gzip = _takes_gzip(_text(scope, b"accept-encoding"))
            return await asyncio.wrap_future(self._renderer.submit(self._render_metrics, accept, gzip=gzip))
        finally:
            self._scrapes -= 1

    async def _wait(self, refreshes: Sequence[Future[None]], budget: float, receive: Receive) -> None:
        """Wait until the refreshes ended, the budget is spent, the client left or shutdown begins."""
        if not refreshes:
            return
        waits: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(_ended(refreshes)),
            asyncio.ensure_future(_left(receive)),
            asyncio.ensure_future(self._stopping.wait()),
        ]
        try:
            await asyncio.wait(waits, timeout=budget, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _render_metrics(self, accept: str, *, gzip: bool) -> Answer:
        content_type, body = self._exposition.render(accept)
        vary = (b"vary", b"accept, accept-encoding")
        headers = ((b"content-type", content_type.encode()), vary)
        if not gzip:
            return Answer(200, body, headers)
        compressed = self._gzips.setdefault(content_type, _Gzip()).compress(body)
        return Answer(200, compressed, (*headers, (b"content-encoding", b"gzip")))


async def _ended(refreshes: Iterable[Future[None]]) -> None:
    """Wait for refreshes; unlike `asyncio.wrap_future`, giving up does not cancel them for everybody else."""
    loop = asyncio.get_running_loop()
    for refresh in refreshes:
        ended = asyncio.Event()
        refresh.add_done_callback(partial(_tell, loop, ended))
        await ended.wait()


def _tell(loop: asyncio.AbstractEventLoop, ended: asyncio.Event, _: Future[None]) -> None:
    # A refresh that outlives the server finds the loop closed.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(ended.set)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for header, value in scope["headers"] if header == name]


def _text(scope: Scope, name: bytes) -> str:
    return ",".join(_values(scope, name))


def _budget(timeouts: Sequence[str], offset: float) -> float:
    try:
        (timeout,) = map(float, timeouts)
    except ValueError:
        timeout = _DEFAULT_TIMEOUT
    if not (math.isfinite(timeout) and timeout > 0):
        timeout = _DEFAULT_TIMEOUT
    return max(0.0, timeout - offset)


def _takes_gzip(accept_encoding: str) -> bool:
    codings = {}
    for part in accept_encoding.lower().split(","):
        coding, _, weight = part.partition(";")
        codings[coding.strip()] = weight
    weight = codings.get("gzip", codings.get("*", "q=0"))
    return not _NOT_THIS_CODING.fullmatch(weight)


class _Gzip:
    """Compresses one page over and over; blocks that did not change since the last time are not compressed again."""

    def __init__(self) -> None:
        self._blocks: list[tuple[bytes, bytes]] = []

    def compress(self, body: bytes) -> bytes:
        """Return the body as one gzip member."""
        self._blocks = list(self._compressed(body))
        trailer = struct.pack("<LL", zlib.crc32(body), len(body) % 2**32)
        return b"".join([_GZIP_HEADER, *(compressed for _, compressed in self._blocks), _DEFLATE_END, trailer])

    def _compressed(self, body: bytes) -> Iterator[tuple[bytes, bytes]]:
        for number, start in enumerate(range(0, len(body), _BLOCK)):
            block = body[start : start + _BLOCK]
            before = self._blocks[number : number + 1]
            if before and before[0][0] == block:
                yield before[0]
            else:
                yield block, _deflate(block)


def _deflate(block: bytes) -> bytes:
    """Compress one block so that it ends on a whole byte and refers to none before it."""
    deflater = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(block) + deflater.flush(zlib.Z_FULL_FLUSH)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: a name or an address; empty for every interface, by IPv6 too where the host has it.
        port: 0 for any that is free.

    Raises:
        OSError: the address cannot be used.
    """
    if host in ("", "::") and socket.has_dualstack_ipv6():
        sock = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    else:
        family, address = _resolve(host, port)
        sock = socket.create_server(address, family=family)
    # Otherwise a client that does not read its answer keeps it in memory for ever; accepted sockets inherit this.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MILLISECONDS)
    return sock


def _resolve(host: str, port: int) -> tuple[int, Any]:
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)  # noqa: S104 - see `listen`
    except UnicodeError:
        raise OSError(errno.EINVAL, "not a host name") from None
    return found[0][0], found[0][4]


class _Protocol(H11Protocol):
    """Closes a connection whose request does not come whole in time, where uvicorn waits for ever."""

    request_timeout: float
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in the base class
        super().connection_made(transport)
        self._set_deadline()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        whole = self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)
        if whole and self._deadline:
            self._deadline.cancel()
            self._deadline = None
        elif not whole and not self._deadline:
            self._set_deadline()

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.request_timeout, self.transport.abort)


class Server(uvicorn.Server):
    """Serves an application until it is told to stop.

    Attributes:
        ready: set once requests are answered.
    """

    def __init__(
        self,
        app: Application,
        sock: socket.socket,
        *,
        on_shutdown: Callable[[], None],
        tls: ssl.SSLContext | None = None,
        request_timeout: float = 5.0,
    ) -> None:
        """Serve nothing yet.

        Args:
            app: what to serve.
            sock: a socket that listens; it is closed at the end.
            on_shutdown: called on the event loop's thread when shutdown begins; `Endpoints.stop`, at least.
            tls: what to speak TLS with; None for plain HTTP.
            request_timeout: seconds until a connection is closed whose request has not come whole.
        """
        protocol = type("Protocol", (_Protocol,), {"request_timeout": request_timeout})
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )
        config.load()
        config.ssl = tls
        super().__init__(config)
        self.ready = threading.Event()
        self._sock = sock
        self._on_shutdown = on_shutdown

    def stop(self, *_: object) -> None:
        """Begin the shutdown; `run` returns soon after, within 5 s whatever the clients do."""
        self.should_exit = True

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `stop`, or until SIGTERM or SIGINT where this is the main thread.

        The handlers of these signals stay: uvicorn raises the signals that it got once more when it is done, and they
        shall not decide the exit code.

        Args:
            sockets: further sockets to listen on.
        """
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                signal.signal(number, self.stop)
        super().run([self._sock, *(sockets or [])])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what waits, and end."""
        self._on_shutdown()
        await super().shutdown(sockets)
