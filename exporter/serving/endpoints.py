"""Endpoints, as an ASGI application.

A scrape starts the refreshes that are due, waits for them until its deadline or the shutdown, and returns the data that
is there. Nothing slow runs on the event loop: pages are rendered and compressed on a thread.
"""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from exporter import __version__
from exporter.clock import Clock
from exporter.engine.probes import Probes
from exporter.engine.sources import Sources
from exporter.inventory.refresh import SpaceRefresher
from exporter.metrics.exposition import OPENMETRICS, TEXT, Exposition, Rendering
from exporter.serving import landing
from exporter.serving.compression import Gzip
from exporter.serving.http import (
    PLAIN,
    Receive,
    Response,
    Scope,
    Send,
    accepts_gzip,
    accepts_openmetrics,
    header_values,
    path_of,
)
from exporter.workers import Workers

_TIMEOUT_HEADER = b"x-prometheus-scrape-timeout-seconds"
_DEFAULT_TIMEOUT = 10.0  # Prometheus's default
_LONGEST_TIMEOUT = 300.0  # clients that ask for more must not hold the places of others
_READY_AFTER = 30.0  # so that a slow first refresh does not keep the other spaces from being scraped
_STILL_SLOW = 0.9  # of a page that took long: those between in which nothing changed are rendered fast
_SCRAPES = 64  # that wait at a time; each costs tasks and timers
_PIECE = 131_072

_READ = ("GET", "HEAD")
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")


class Route(NamedTuple):
    """Route to a handler.

    Attributes:
        methods: the methods that it accepts; any other gets 405.
        handler: returns the response.
    """

    methods: tuple[str, ...]
    handler: Callable[[Scope, Receive], Awaitable[Response]]


_OK = Response(200, (b"OK\n",))
_NOT_FOUND = Response(404, (b"Not found. See / for a list of endpoints.\n",))
_NO_TARGET = Response(400, (b"Unknown or malformed space. Use /probe?space=SPACE with a configured space.\n",))
_NO_ROOM = Response(503, (b"Too many spaces are being refreshed.\n",))
_NO_LIFECYCLE = Response(403, (b"The lifecycle API is not enabled: set web_enable_lifecycle to true.\n",))
_SHUTTING_DOWN = Response(503, (b"Shutting down.\n",))
_NOT_READY = Response(503, (b"The first refresh of a space has not finished.\n",))


class Endpoints:
    """Endpoints as an ASGI application."""

    def __init__(
        self,
        refresher: SpaceRefresher,
        exposition: Exposition,
        probes: Probes,
        *,
        clock: Clock,
        scrape_timeout_offset: Callable[[], float],
        sources: Sources | None = None,
        reload: Callable[[], Future[tuple[str, ...]] | None] = lambda: None,
    ) -> None:
        """Create the endpoints; `/-/ready` counts its 30 seconds from here.

        Args:
            refresher: the spaces of /metrics.
            exposition: renders the pages.
            probes: the spaces of /probe.
            clock: source of time.
            scrape_timeout_offset: returns the seconds to subtract from the scrape timeout.
            sources: read in addition to the spaces, when a scrape finds them due; None for none.
            reload: reloads the settings, and returns their errors; None if that is not enabled.
        """
        self._refresher = refresher
        self._exposition = exposition
        self._probes = probes
        self._clock = clock
        self._offset = scrape_timeout_offset
        self._sources = sources
        self._reload = reload
        self._started = clock.monotonic()
        self._stopping = asyncio.Event()
        self._waiting: dict[asyncio.Event, None] = {}
        self._ends: WeakKeyDictionary[Future[None], asyncio.Event] = WeakKeyDictionary()
        # A single thread, because a Gzip is not safe to share between threads.
        self._renderer = Workers(1, "render")
        self._gzips: dict[str, Gzip] = {}
        self._rendering = 0.0  # seconds that a page may take, which no scrape may spend on waiting
        self._routes = self._all_routes()

    def _all_routes(self) -> dict[str, Route]:
        return {
            "/": Route(_READ, self._landing_page),
            "/metrics": Route(_READ, self._metrics),
            "/probe": Route(_READ, self._probe),
            "/-/healthy": Route(_READ, self._healthy),
            "/-/ready": Route(_READ, self._ready),
            "/-/reload": Route(("POST",), self._reload_settings),
        }

    def stop(self) -> None:
        """Answer waiting scrapes immediately, and report not ready. Only for the thread of the event loop."""
        self._stopping.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        status, parts, headers = await self._respond(scope, receive)
        headers = (*headers, (b"content-length", str(sum(map(len, parts))).encode()), _NO_SNIFFING)
        # A client that reused the connection would send its next request while it is being closed.
        if self._stopping.is_set():
            headers = (*headers, (b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for piece in _pieces(parts):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        route = self._routes.get(path_of(scope))
        if route is None:
            return _NOT_FOUND
        if scope["method"] not in route.methods:
            allow = (b"allow", ", ".join(route.methods).encode())
            return Response(405, (b"Method not allowed.\n",), (PLAIN, allow))
        return await route.handler(scope, receive)

    async def _healthy(self, _scope: Scope, _receive: Receive) -> Response:
        return _OK

    async def _ready(self, _scope: Scope, _receive: Receive) -> Response:
        if self._stopping.is_set():
            return _SHUTTING_DOWN
        found = self._sources is None or self._sources.all_tried()
        if (found and self._refresher.all_tried()) or self._clock.monotonic() - self._started >= _READY_AFTER:
            return _OK
        return _NOT_READY

    async def _reload_settings(self, _scope: Scope, _receive: Receive) -> Response:
        if self._stopping.is_set():
            return _SHUTTING_DOWN
        reload = self._reload()
        if reload is None:
            return _NO_LIFECYCLE
        # Other clients may wait for the same reload, so one that leaves must not cancel it.
        faults = await asyncio.shield(asyncio.wrap_future(reload))
        if not faults:
            return _OK
        lines = ("Reload failed, keeping the current settings:", *faults, "")
        return Response(500, ("\n".join(lines).encode(errors="replace"),))

    async def _landing_page(self, _scope: Scope, _receive: Receive) -> Response:
        body = await asyncio.wrap_future(self._renderer.submit(self._render_landing_page))
        policy = (b"content-security-policy", landing.CONTENT_SECURITY_POLICY.encode())
        return Response(200, (body,), ((b"content-type", b"text/html; charset=utf-8"), policy))

    def _render_landing_page(self) -> bytes:
        return landing.page(self._refresher.statuses(), version=__version__, now=self._clock.monotonic())

    async def _metrics(self, scope: Scope, receive: Receive) -> Response:
        self._probes.forget_idle()
        return await self._scrape(scope, receive, self._refresher.scrape, self._exposition.render, self._gzips)

    async def _probe(self, scope: Scope, receive: Receive) -> Response:
        if self._probes.targets.off:
            return _NOT_FOUND
        space = self._probes.targets.asked(scope["query_string"])
        if space is None:
            return _NO_TARGET
        probe = self._probes.open(space)
        if probe is None:
            return _NO_ROOM
        render = partial(self._exposition.render_only, probe.views)
        # A new dictionary, so that no compressor is kept: the next probe may be of another space.
        return await self._scrape(scope, receive, probe.scrape, render, {})

    async def _scrape(
        self,
        scope: Scope,
        receive: Receive,
        start: Callable[[float], Sequence[Future[None]]],
        render: Callable[[str], Rendering],
        gzips: dict[str, Gzip],
    ) -> Response:
        """Start the refreshes that are due, wait for them within the budget, and return the current data."""
        budget = max(0.0, _budget(header_values(scope, _TIMEOUT_HEADER), self._offset()) - self._rendering)
        deadline = self._clock.monotonic() + budget
        finding = self._sources.find() if self._sources else []
        reads = self._sources.refresh(budget) if self._sources else []
        await self._wait([*finding, *reads, *start(budget)], budget, receive)
        if finding:
            # The first scrape shows the spaces that were found meanwhile, too.
            budget = max(0.0, deadline - self._clock.monotonic())
            await self._wait(start(budget), budget, receive)
        content_type = OPENMETRICS if accepts_openmetrics(scope) else TEXT
        gzip = gzips.setdefault(content_type, Gzip()) if accepts_gzip(scope) else None
        began = self._clock.monotonic()
        page = await asyncio.wrap_future(self._renderer.submit(_page, render, content_type, gzip))
        self._rendering = max(self._clock.monotonic() - began, self._rendering * _STILL_SLOW)
        return page

    async def _wait(self, refreshes: Sequence[Future[None]], budget: float, receive: Receive) -> None:
        """Wait until the refreshes end, the budget is spent, the client leaves or the shutdown starts.

        If too many scrapes wait, the one that has waited longest stops waiting.
        """
        if not refreshes:
            return
        hurry = asyncio.Event()
        self._waiting[hurry] = None
        if len(self._waiting) > _SCRAPES:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            oldest.set()
        waits: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(_all(map(self._end_of, refreshes))),
            asyncio.ensure_future(_client_left(receive)),
            asyncio.ensure_future(self._stopping.wait()),
            asyncio.ensure_future(hurry.wait()),
        ]
        try:
            await asyncio.wait(waits, timeout=budget, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting.pop(hurry, None)
            for wait in waits:
                wait.cancel()

    def _end_of(self, refresh: Future[None]) -> asyncio.Event:
        """Return the event that is set when a refresh ends."""
        # Shared by all scrapes: a future keeps every callback until it is done, and a refresh may hang for long.
        end = self._ends.get(refresh)
        if end is None:
            self._ends[refresh] = end = asyncio.Event()
            refresh.add_done_callback(partial(_set_from_thread, asyncio.get_running_loop(), end))
        return end


def _page(render: Callable[[str], Rendering], content_type: str, gzip: Gzip | None) -> Response:
    """Render a page, and compress it if the client accepts that."""
    content_type, parts = render(content_type)
    headers = ((b"content-type", content_type.encode()), (b"vary", b"accept, accept-encoding"))
    if gzip is None:
        return Response(200, parts, headers)
    return Response(200, gzip.compress(b"".join(parts)), (*headers, (b"content-encoding", b"gzip")))


async def _all(events: Iterable[asyncio.Event]) -> None:
    for event in events:
        await event.wait()


def _set_from_thread(loop: asyncio.AbstractEventLoop, ended: asyncio.Event, _: Future[None]) -> None:
    # The loop is closed if the refresh outlives the server.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(ended.set)


def _pieces(parts: Iterable[bytes]) -> Iterator[memoryview]:
    """Split a body into pieces."""
    # Few, because the event loop may have to wait for other threads after each; small, because the server copies unsent
    # data, which a client that does not read would hold in memory.
    for part in _joined(parts):
        for start in range(0, len(part), _PIECE):
            yield memoryview(part)[start : start + _PIECE]


def _joined(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Join small parts up to the size of a piece; a large part stays the same object."""
    small: list[bytes] = []
    for part in parts:
        if sum(map(len, small)) + len(part) > _PIECE:
            yield b"".join(small)
            small.clear()
        small.append(part)
    yield b"".join(small)


async def _client_left(receive: Receive) -> None:
    """Wait until the client closes its side of the connection: it has left, or waits for what there is."""
    while (await receive()).get("more_body"):
        pass
    # The message after those of the request: the connection is closed, or `Connection` has received its end.
    await receive()


def _budget(timeouts: Sequence[str], offset: float) -> float:
    # Clients control the header: it may be missing, repeated, malformed, infinite or negative.
    try:
        (timeout,) = map(float, timeouts)
    except ValueError:
        timeout = _DEFAULT_TIMEOUT
    if not (math.isfinite(timeout) and timeout > 0):
        timeout = _DEFAULT_TIMEOUT
    return max(0.0, min(timeout, _LONGEST_TIMEOUT) - offset)
