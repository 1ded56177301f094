"""A List Artifacts server for tests: the demo registry's contract over any listing, with every fault of the real one.

with Upstream(make_rows(250), serve_size=capped(100)) as upstream:
    upstream.faults.append(reply(503))
    ...  # whatever is under test asks upstream.url for upstream.space with upstream.key
    assert [request.query["page"] for request in upstream.requests] == [["0"], ["0"], ["1"], ["2"], ["0"]]

All knobs are attributes too and may be turned while the server runs.
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager

from exporter.demo.artifacts import Row
from exporter.demo.estate import Estate
from exporter.demo.listener import Query, Request, Response
from exporter.demo.pages import RefusedError
from exporter.demo.server import KEY, Registry

SPACE = "acct"
"""The space of an upstream that was given one listing."""

ABSENT = object()
"""Leaves the field out of the answer."""

PATIENCE = 60.0  # seconds until a wait gives up on a test that hangs

Rows = Sequence[Row] | Callable[[], Sequence[Row] | None]
Fault = Response | Exception | None


def make_row(number: int = 0, **fields: object) -> Row:
    """Return a row that is valid in every respect; rows of different numbers are different artifacts.

    The row of the lower number was modified later, so that newest first is by number.
    """
    row = {
        "name": f"artifact-{number:06}",
        "version": "1.0.0",
        "packageType": "NPM",
        "registryIdentifier": "npm-remote",
        "registryType": "UPSTREAM",
        "registryUUID": "registry-uuid",
        "registryPath": f"{SPACE}/npm-remote",
        "latestVersion": "1.0.0",
        "uuid": f"uuid-{number:06}",
        "lastModified": str(1_790_000_000_000 - number * 1000),
        "isQuarantined": False,
        "scanStatus": "ALLOWED",
        "downloadsCount": 1,
    }
    return {field: value for field, value in (row | fields).items() if value is not ABSENT}


def make_rows(count: int, **fields: object) -> list[Row]:
    """Return that many different rows, newest first."""
    return [make_row(number, **fields) for number in range(count)]


def reply(status: int = 200, body: object = b"", headers: Iterable[tuple[str, str]] = ()) -> Response:
    """Return an answer for `fault` or `faults`: bytes and text go as they are, anything else as JSON.

    `Content-Type` and `Content-Length` are added where `headers` has neither them nor `Transfer-Encoding`.
    """
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    sent = list(headers)
    names = {name.lower() for name, _ in sent}
    if "content-type" not in names:
        sent.append(("Content-Type", "application/json"))
    if not names & {"content-length", "transfer-encoding"}:
        sent.append(("Content-Length", str(len(body))))
    return Response(status, tuple(sent), body)


def redirect(url: str, status: int = 302) -> Response:
    """Return an answer that sends the client elsewhere."""
    return reply(status, headers=[("Location", url)])


def truncated(body: bytes, missing: int = 10) -> Response:
    """Return an answer that promises more than it sends before it closes the connection."""
    return reply(200, body, [("Content-Length", str(len(body) + missing)), ("Connection", "close")])


def cut() -> Exception:
    """Return the fault that closes the connection without an answer."""
    return ConnectionResetError("cut by the test")


def capped(limit: int) -> Callable[[int], int]:
    """For `serve_size`: never more than so many rows, and offsets in pages of that size."""
    return lambda size: min(size, limit)


def one_based(page: int) -> int:
    """For `serve_page`: page 0 and page 1 are both the first."""
    return max(page - 1, 0)


def _current(rows: Rows | None) -> Sequence[Row] | None:
    return rows() if callable(rows) else rows


class Upstream(Registry):
    """The registry that a test needs; the attributes are its knobs.

    Attributes:
        spaces: listing of each space; a listing is rows or a function that returns them, None for an unknown space.
        registries: those of all spaces, or a function that returns them.
        violations: those of all spaces, each with the `path` of its registry, or a function that returns them.
        bearer: serve at `/api/v1` and want `Authorization: Bearer`, as the open-source server.
        serve_page: from the page asked to the page served (`one_based`, `lambda page: 0` for the first one for ever).
            `pageIndex` stays what was asked.
        serve_size: from the size asked to the size served, which moves the offset too (`capped(50)`).
        page_size: what `pageSize` says: None for the size served, ABSENT, or any value.
        item_count: what `itemCount` says: None for the truth, ABSENT, any value, or a function of the true number.
        refuse_above: the largest size that is not refused.
        refuse_status: the status of that refusal.
        fault: decides on each request: an answer, an exception to raise (`cut()`), or None for the regular answer.
        faults: such answers for the next requests, used up one by one, before `fault` is asked.
        before: called before each regular answer, one at a time; may change the listing.
        hold: an Event that each answer waits for, once its request is logged.
    """

    def __init__(
        self,
        rows: Rows | Mapping[str, Rows] = (),
        *,
        registries: Sequence[Row] | Callable[[], Sequence[Row]] = (),
        violations: Sequence[Row] | Callable[[], Sequence[Row]] = (),
        key: str = KEY,
        bearer: bool = False,
        serve_page: Callable[[int], int] = int,
        serve_size: Callable[[int], int] = int,
        page_size: object = None,
        item_count: object = None,
        refuse_above: int | None = None,
        refuse_status: int = 400,
        fault: Callable[[Request], Fault] | None = None,
        before: Callable[[Request], object] | None = None,
        hold: threading.Event | None = None,
        ssl_context=None,
    ) -> None:
        super().__init__(
            Estate(self._rows, lambda _: _current(self.registries), lambda _: _current(self.violations)), key=key
        )
        self.spaces: dict[str, Rows] = dict(rows) if isinstance(rows, Mapping) else {SPACE: rows}
        self.registries, self.violations = registries, violations
        self.bearer = bearer
        self.serve_page, self.serve_size = serve_page, serve_size
        self.page_size, self.item_count = page_size, item_count
        self.refuse_above, self.refuse_status = refuse_above, refuse_status
        self.fault, self.before, self.hold = fault, before, hold
        self.faults: deque[Fault] = deque()
        self._ssl_context = ssl_context
        self._log: list[Request] = []
        self._changed = threading.Condition(threading.RLock())
        self._in_flight = self._most_in_flight = 0

    def __enter__(self):
        super().__enter__()
        if self._ssl_context:
            # The handshake is left to the connection's own thread, where a client that stalls it harms nobody.
            self._server.socket = self._ssl_context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        return self

    @property
    def url(self) -> str:
        """For `base_url`."""
        return super().url.replace("http:", "https:") if self._ssl_context else super().url

    @property
    def space(self) -> str:
        """The first space that is served."""
        return next(iter(self.spaces))

    @property
    def requests(self) -> list[Request]:
        """Every request so far, in order of arrival, as it came over the wire."""
        with self._changed:
            return self._log.copy()

    @property
    def most_in_flight(self) -> int:
        """The largest number of requests that were being answered at once."""
        with self._changed:
            return self._most_in_flight

    def wait_for_requests(self, count: int) -> list[Request]:
        """Return all requests once there are that many; fails the test after `PATIENCE` seconds."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._log) >= count, PATIENCE), f"{len(self._log)} requests only"
            return self._log.copy()

    def answer(self, request: Request) -> Response:
        """Log the request, hold it, and answer with the fault that is due or as the registry would."""
        with self._logged(request):
            if self.hold:
                self.hold.wait(PATIENCE)
            fault = self._fault(request)
            if isinstance(fault, Exception):
                raise fault
            return fault or super().answer(self._translated(request))

    def page(self, request: Request) -> Row:
        """Serve another page or size than was asked, and tell other figures than the true ones, by the knobs."""
        with self._changed:
            if self.before:
                self.before(request)
            envelope = super().page(request._replace(query=self._served(request.query)))
        listing = envelope["data"] if "status" in envelope else envelope
        if "itemCount" in listing:
            self._dress(listing, request.query)
        return envelope

    def count(self, rows: Sequence[Row]) -> int:
        """Return the number of rows, which may be no rows at all."""
        return len(rows)

    def _rows(self, space: str, _now: float) -> Sequence[Row] | None:
        return _current(self.spaces.get(space))

    @contextmanager
    def _logged(self, request: Request):
        with self._changed:
            self._log.append(request)
            self._in_flight += 1
            self._most_in_flight = max(self._most_in_flight, self._in_flight)
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= 1

    def _fault(self, request: Request) -> Fault:
        with self._changed:
            if self.faults:
                return self.faults.popleft()
        return self.fault(request) if self.fault else None

    def _translated(self, request: Request) -> Request:
        if not self.bearer:
            return request
        headers = {name: value for name, value in request.headers.items() if name != "x-api-key"}
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme == "Bearer":
            headers["x-api-key"] = token
        return request._replace(path="/har" + request.path, headers=headers)

    def _served(self, query: Query) -> Query:
        changed = dict(query)
        if self.refuse_above and "size" in query and int(query["size"][0]) > self.refuse_above:
            raise RefusedError(self.refuse_status, {"code": str(self.refuse_status), "message": "size is too large"})
        for name, serve in ("page", self.serve_page), ("size", self.serve_size):
            if name in query:
                changed[name] = [str(serve(int(query[name][0])))]
        return changed

    def _dress(self, data: Row, query: Query) -> None:
        if "page" in query:
            data["pageIndex"] = int(query["page"][0])
        count = self.item_count(data["itemCount"]) if callable(self.item_count) else self.item_count
        for field, value in ("itemCount", count), ("pageSize", self.page_size):
            if value is ABSENT:
                del data[field]
            elif value is not None:
                data[field] = value
