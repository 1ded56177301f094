"""The endpoints, as an ASGI application.

A scrape begins what is due, waits for it as long as its deadline and shutdown let it, and gets what there is. Nothing
that takes long happens on the event loop: pages are rendered and compressed on a thread of their own.
"""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from exporter.clock import Clock
from exporter.engine.probes import Probes
from exporter.inventory.refresh import Refresher
from exporter.metrics.exposition import Exposition, Rendering
from exporter.serving import landing
from exporter.serving.asgi import Receive, Scope, Send
from exporter.serving.compression import Gzip
from exporter.serving.negotiation import weights
from exporter.workers import Workers

_TIMEOUT_HEADER = b"x-prometheus-scrape-timeout-seconds"
_DEFAULT_TIMEOUT = 10.0
_READY_AFTER = 30.0
_SCRAPES = 64
_PIECE = 131_072

_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")


class Answer(NamedTuple):
    """A whole answer; its Content-Length is added when it is sent.

    Attributes:
        status: the HTTP status.
        parts: the body; parts that many answers have in common are in memory once, however slowly these are read.
        headers: names and values.
    """

    status: int
    parts: tuple[bytes, ...]
    headers: tuple[tuple[bytes, bytes], ...] = (_TEXT,)


class Route(NamedTuple):
    """What answers a path.

    Attributes:
        methods: the methods that it answers; any other gets 405.
        handler: what makes the answer.
    """

    methods: tuple[str, ...]
    handler: Callable[[Scope, Receive], Awaitable[Answer]]


_OK = Answer(200, (b"OK\n",))
_NOT_FOUND = Answer(404, (b"There is nothing at this path; / lists what there is.\n",))
_NO_TARGET = Answer(400, (b"A probe asks for one space that this exporter may ask for, as /probe?space=REF.\n",))
_NO_ROOM = Answer(503, (b"Too many spaces are being walked through already.\n",))
_NO_LIFECYCLE = Answer(403, (b"The lifecycle API is not enabled: set web_enable_lifecycle to true.\n",))
_SHUTTING_DOWN = Answer(503, (b"Shutting down.\n",))
_BUSY = Answer(503, (b"Too many scrapes wait already.\n",))


class Endpoints:
    """The endpoints as an ASGI application."""

    def __init__(
        self,
        refresher: Refresher,
        exposition: Exposition,
        probes: Probes,
        *,
        clock: Clock,
        scrape_timeout_offset: Callable[[], float],
        version: str,
        reload: Callable[[], Future[tuple[str, ...]] | None] = lambda: None,
    ) -> None:
        """Begin to serve; the time to become ready starts here.

        Args:
            refresher: what scrapes begin and wait for.
            exposition: what they get.
            probes: the spaces that probes ask for one by one.
            clock: where the time comes from.
            scrape_timeout_offset: returns the seconds that an answer is made before the scraper gives up.
            version: the exporter's version.
            reload: has the settings read again, which comes to what is wrong with them; None where nobody may ask.
        """
        self._refresher = refresher
        self._exposition = exposition
        self._probes = probes
        self._clock = clock
        self._offset = scrape_timeout_offset
        self._version = version
        self._reload = reload
        self._started = clock.monotonic()
        self._stopping = asyncio.Event()
        self._scrapes = 0
        self._ends: WeakKeyDictionary[Future[None], asyncio.Event] = WeakKeyDictionary()
        self._renderer = Workers(1, "render")
        self._gzips: dict[str, Gzip] = {}
        read = ("GET", "HEAD")
        self._routes = {
            "/": Route(read, self._landing_page),
            "/metrics": Route(read, partial(self._counted, self._metrics)),
            "/probe": Route(read, partial(self._counted, self._probe)),
            "/-/healthy": Route(read, self._healthy),
            "/-/ready": Route(read, self._ready),
            "/-/reload": Route(("POST",), self._read_settings_again),
        }

    def stop(self) -> None:
        """Let waiting scrapes be answered at once, and be ready no more. Only for the event loop's own thread."""
        self._stopping.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        status, parts, headers = await self._answer(scope, receive)
        headers = (*headers, (b"content-length", str(sum(map(len, parts))).encode()), _NO_SNIFFING)
        if self._stopping.is_set():
            headers = (*headers, (b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for piece in _pieces(parts):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        route = self._routes.get(scope["path"])
        if route is None:
            return _NOT_FOUND
        if scope["method"] not in route.methods:
            allow = (b"allow", ", ".join(route.methods).encode())
            return Answer(405, (b"This path does not answer that method.\n",), (_TEXT, allow))
        return await route.handler(scope, receive)

    async def _healthy(self, _scope: Scope, _receive: Receive) -> Answer:
        return _OK

    async def _ready(self, _scope: Scope, _receive: Receive) -> Answer:
        if self._stopping.is_set():
            return _SHUTTING_DOWN
        if self._refresher.all_tried() or self._clock.monotonic() - self._started >= _READY_AFTER:
            return _OK
        return Answer(503, (b"The first refresh of a space has not ended yet.\n",))

    async def _read_settings_again(self, _scope: Scope, _receive: Receive) -> Answer:
        if self._stopping.is_set():
            return _SHUTTING_DOWN
        asked = self._reload()
        if asked is None:
            return _NO_LIFECYCLE
        # Others may wait for the same one: a request that is given up must not call it off.
        faults = await asyncio.shield(asyncio.wrap_future(asked))
        if not faults:
            return _OK
        lines = ("The settings cannot be used, those so far still hold:", *faults, "")
        return Answer(500, ("\n".join(lines).encode(errors="replace"),))

    async def _landing_page(self, _scope: Scope, _receive: Receive) -> Answer:
        body = await asyncio.wrap_future(self._renderer.submit(self._render_landing_page))
        policy = (b"content-security-policy", landing.CONTENT_SECURITY_POLICY.encode())
        return Answer(200, (body,), ((b"content-type", b"text/html; charset=utf-8"), policy))

    def _render_landing_page(self) -> bytes:
        return landing.page(self._refresher.statuses(), version=self._version, now=self._clock.monotonic())

    async def _counted(
        self, handler: Callable[[Scope, Receive], Awaitable[Answer]], scope: Scope, receive: Receive
    ) -> Answer:
        if self._scrapes >= _SCRAPES:
            return _BUSY
        self._scrapes += 1
        try:
            return await handler(scope, receive)
        finally:
            self._scrapes -= 1

    async def _metrics(self, scope: Scope, receive: Receive) -> Answer:
        self._probes.forget_idle()
        return await self._scrape(scope, receive, self._refresher.scrape, self._exposition.render, self._gzips)

    async def _probe(self, scope: Scope, receive: Receive) -> Answer:
        if self._probes.targets.off:
            return _NOT_FOUND
        space = self._probes.targets.asked(scope["query_string"])
        if space is None:
            return _NO_TARGET
        probe = self._probes.open(space)
        if probe is None:
            return _NO_ROOM
        return await self._scrape(
            scope, receive, probe.scrape, lambda accept: self._exposition.render_only(probe.views(), accept), {}
        )

    async def _scrape(
        self,
        scope: Scope,
        receive: Receive,
        begin: Callable[[float], Sequence[Future[None]]],
        render: Callable[[str], Rendering],
        gzips: dict[str, Gzip],
    ) -> Answer:
        """Begin what is due, wait for it as long as there is time, and answer with what there is."""
        budget = _budget(_values(scope, _TIMEOUT_HEADER), self._offset())
        await self._wait(begin(budget), budget, receive)
        accept = _text(scope, b"accept")
        gzip = _takes_gzip(_text(scope, b"accept-encoding"))
        return await asyncio.wrap_future(self._renderer.submit(_answer, render, accept, gzips if gzip else None))

    async def _wait(self, refreshes: Sequence[Future[None]], budget: float, receive: Receive) -> None:
        """Wait until the refreshes ended, the budget is spent, the client left or shutdown begins."""
        if not refreshes:
            return
        waits: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(_all(map(self._end_of, refreshes))),
            asyncio.ensure_future(_left(receive)),
            asyncio.ensure_future(self._stopping.wait()),
        ]
        try:
            await asyncio.wait(waits, timeout=budget, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _end_of(self, refresh: Future[None]) -> asyncio.Event:
        """Return what is set when a refresh ends; one for all scrapes, for a future forgets no callback before."""
        end = self._ends.get(refresh)
        if end is None:
            self._ends[refresh] = end = asyncio.Event()
            refresh.add_done_callback(partial(_tell, asyncio.get_running_loop(), end))
        return end


def _answer(render: Callable[[str], Rendering], accept: str, gzips: dict[str, Gzip] | None) -> Answer:
    """Render a page, and compress it where there is something to compress with."""
    content_type, parts = render(accept)
    vary = (b"vary", b"accept, accept-encoding")
    headers = ((b"content-type", content_type.encode()), vary)
    if gzips is None:
        return Answer(200, parts, headers)
    compressed = gzips.setdefault(content_type, Gzip()).compress(b"".join(parts))
    return Answer(200, compressed, (*headers, (b"content-encoding", b"gzip")))


async def _all(events: Iterable[asyncio.Event]) -> None:
    for event in events:
        await event.wait()


def _tell(loop: asyncio.AbstractEventLoop, ended: asyncio.Event, _: Future[None]) -> None:
    # A refresh that outlives the server finds the loop closed.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(ended.set)


def _pieces(parts: Iterable[bytes]) -> Iterator[memoryview]:
    """Cut a body into few pieces, for after each this thread may have to wait for one that adds up artifacts.

    They are not larger, for what a client does not take of one, the server copies.
    """
    for part in _joined(parts):
        for start in range(0, len(part), _PIECE):
            yield memoryview(part)[start : start + _PIECE]


def _joined(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Join small parts as far as they fit into one piece; a large one stays the object that it is."""
    small: list[bytes] = []
    for part in parts:
        if sum(map(len, small)) + len(part) > _PIECE:
            yield b"".join(small)
            small.clear()
        small.append(part)
    yield b"".join(small)


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
    accepted = weights(accept_encoding)
    return accepted.get("gzip", accepted.get("*", 0.0)) > 0
