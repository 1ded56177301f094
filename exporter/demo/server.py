"""Demo registry: an HTTP server on loopback that implements the List Artifacts API with its quirks.

It follows the open-source server of Harness if the API document is silent or wrong: pages count from 0, `page` without
`size` has no effect, an array is a repeated key, and an unknown filter returns an empty page, not an error.
"""

import gzip
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, unquote
from zlib import crc32

from exporter.demo.artifacts import Row, listing

PREFIX = "/har/api/v1"
"""Path prefix of the API."""

KEY = "pat.demo.demo-registry.not-a-secret"
"""Key of the demo registry; it is valid nowhere else."""

DEFAULT_PAGE_SIZE = 10
"""Rows of a page if the request has no `size`, as in the open-source server."""

Query = Mapping[str, Sequence[str]]

_POLL = 0.05  # seconds until the server notices that it is stopped
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", re.IGNORECASE)
_PATH = re.compile(rf"{PREFIX}/spaces/((?:[^/]+/){{1,3}})\+/artifacts")


class Request(NamedTuple):
    """Request of a client.

    Attributes:
        method: `GET` and others.
        path: still percent-encoded, without the query.
        query: decoded; every parameter with its values in order, empty ones included.
        headers: by lower-case name.
    """

    method: str
    path: str
    query: Query
    headers: Mapping[str, str]


class Response(NamedTuple):
    """Response as it is sent; only `Server` and `Date` are added.

    Attributes:
        status: the HTTP status.
        headers: names and values; a body needs its `Content-Length`.
        body: the bytes as sent.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class RefusedError(Exception):
    """A request that the API refuses.

    Attributes:
        status: the HTTP status of the response.
        envelope: the JSON of the response, which differs between errors.
    """

    def __init__(self, status: int, envelope: Row) -> None:
        super().__init__(status, envelope)
        self.status = status
        self.envelope = envelope


class Registry:
    """A registry to list, served over HTTP/1.1 on loopback inside its context.

    `answer` makes the response to every request; `page` makes the successful ones. A subclass may change either; an
    `OSError` raised there closes the connection without a response.

    Attributes:
        key: the `x-api-key` that is required.
    """

    def __init__(
        self,
        artifacts: Callable[[str, float], Sequence[Row] | None] = listing,
        *,
        key: str = KEY,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Serve the artifacts of the demo, or others.

        Args:
            artifacts: returns the rows of a space at a time; None for a space that does not exist.
            key: the `x-api-key` to require.
            now: seconds since the Unix epoch.
        """
        self.key = key
        self._artifacts = artifacts
        self._now = now
        self._server: _Server

    def __enter__(self) -> Self:
        self._server = _Server(self.answer)
        serve = threading.Thread(target=self._server.serve_forever, args=(_POLL,), name="demo-registry", daemon=True)
        serve.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    @property
    def url(self) -> str:
        """Scheme, host and port, for the setting `base_url`; inside the context only."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, request: Request) -> Response:
        """Return the response to a request, compressed if the client accepts that."""
        try:
            return _encoded(request, 200, self.page(request))
        except RefusedError as refused:
            return _encoded(request, refused.status, refused.envelope)

    def page(self, request: Request) -> Row:
        """Return the page that a request asks for, as JSON.

        Raises:
            RefusedError: the path, the method, the key, the space or a number is wrong.
        """
        space = _space(request)
        self._admit(request)
        rows = self._artifacts(space, self._now())
        if rows is None:
            raise RefusedError(400, {"code": "400", "message": f"space not found: {space}"})
        arranged = self.arrange(rows, request.query)
        return _envelope(arranged, self.count(arranged), request.query)

    def arrange(self, rows: Sequence[Row], query: Query) -> Sequence[Row]:
        """Return the rows that match the filters of a query, in the order it asks for."""
        return _ordered(_filtered(rows, query), query)

    def count(self, rows: Sequence[Row]) -> int:
        """Return the number of artifacts of some rows: one with several quarantine records has as many rows."""
        return len(set(map(_identity, rows)))

    def _admit(self, request: Request) -> None:
        key = request.headers.get("x-api-key")
        if key is None:
            raise RefusedError(403, {"message": "Forbidden: no credentials"})
        if key != self.key:
            raise RefusedError(401, {"message": "Unauthorized: invalid token"})


def _space(request: Request) -> str:
    match = _PATH.fullmatch(request.path)
    if match is None:
        raise RefusedError(404, {"code": "404", "message": "page not found"})
    if request.method != "GET":
        raise RefusedError(405, {"code": "405", "message": "method not allowed"})
    # An encoded slash within a segment is no separator, and no space has such a name.
    return "/".join(unquote(segment).replace("/", "%2F") for segment in match[1].split("/")[:-1])


def _filtered(rows: Sequence[Row], query: Query) -> Sequence[Row]:
    term = _first(query, "search_term") or ""
    kept = [
        row
        for row in rows
        if term in str(row.get("name", ""))
        and _wanted(row, "registryIdentifier", query, "reg_identifier")
        and _wanted(row, "packageType", query, "package_type")
        and (_first(query, "deployed_artifact") != "true" or _deployed(row))
    ]
    return _latest(kept) if _first(query, "latest_version") == "true" else kept


def _wanted(row: Row, field: str, query: Query, parameter: str) -> bool:
    """Return whether a filter includes a row; a comma list is a single value, which matches nothing."""
    return parameter not in query or row.get(field) in query[parameter]


def _deployed(row: Row) -> bool:
    counts = row.get("deploymentMetadata") or {}
    return any(counts.values())


def _latest(rows: Sequence[Row]) -> Sequence[Row]:
    """Return the rows of the last modified version of each artifact."""
    newest = {_artifact(row): row.get("version") for row in sorted(rows, key=_modified)}
    return [row for row in rows if row.get("version") == newest[_artifact(row)]]


def _artifact(row: Row) -> tuple[Any, ...]:
    return row.get("registryIdentifier"), row.get("packageType"), row.get("name")


def _ordered(rows: Sequence[Row], query: Query) -> Sequence[Row]:
    """Return rows in order: one column, no tie-break; an unknown column is the order of creation, else ascending."""
    descending = _first(query, "sort_order") == "DESC"
    match _first(query, "sort_field"):
        case "lastModified":
            return sorted(_mixed(rows, query), key=_modified, reverse=descending)
        case "name":
            return sorted(_mixed(rows, query), key=lambda row: str(row.get("name")), reverse=descending)
        case _:
            return rows[::-1] if descending else rows


def _mixed(rows: Sequence[Row], query: Query) -> Sequence[Row]:
    """Return rows in another order for each page: the API's database orders equal rows as it likes, query by query."""
    page = _first(query, "page")
    return sorted(rows, key=lambda row: crc32(f"{page} {_identity(row)}".encode(errors="replace")))


def _identity(row: Row) -> tuple[Any, ...]:
    return *_artifact(row), row.get("artifactType"), row.get("version")


def _modified(row: Row) -> int:
    text = str(row.get("lastModified"))
    return int(text) if _NUMBER.fullmatch(text) else 0


def _envelope(rows: Sequence[Row], count: int, query: Query) -> Row:
    page, size = _number(query, "page", 0), _number(query, "size", 1)
    limit = DEFAULT_PAGE_SIZE if size is None else size
    offset = 0 if page is None else page * (size or 0)
    data = {
        # Go, the language of the server, encodes an empty list as null.
        "artifacts": rows[offset : offset + limit] if rows else None,
        "itemCount": count,
        "pageCount": -(-count // limit),
        "pageIndex": 1 if page is None else page,  # the default in the API document, although this is the first page
        "pageSize": limit,
    }
    return {"data": data, "status": "SUCCESS"}


def _number(query: Query, name: str, least: int) -> int | None:
    text = _first(query, name)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text) or int(text) < least:
        raise RefusedError(400, {"code": "400", "message": f"Invalid format for parameter {name}"})
    return int(text)


def _first(query: Query, name: str) -> str | None:
    return query[name][0] if name in query else None


def _encoded(request: Request, status: int, envelope: Row) -> Response:
    body = json.dumps(envelope).encode()
    headers = [("Content-Type", "application/json"), ("Vary", "Accept-Encoding")]
    if _GZIP.search(request.headers.get("accept-encoding", "")):
        body = gzip.compress(body, compresslevel=1, mtime=0)
        headers.append(("Content-Encoding", "gzip"))
    return Response(status, (*headers, ("Content-Length", str(len(body)))), body)


class _Server(ThreadingTCPServer):
    """One thread per connection; `close` ends open connections too."""

    # HTTPServer would look up the host name in the DNS before it listens.
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, answer: Callable[[Request], Response]) -> None:
        self.answer = answer
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        self.open.add(connection)
        return connection, address

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Ignore clients that disconnect; report bugs."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in tuple(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "har-demo"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1  # one write for head and body

    def do_GET(self) -> None:
        answer = self.server.answer(self._request())
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET  # noqa: N815

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        super().finish()

    def _request(self) -> Request:
        # An unread body would be parsed as the next request of the connection.
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, path, parse_qs(query, keep_blank_values=True), headers)

    def log_message(self, *_: object) -> None:
        """Log nothing: stderr belongs to the exporter."""
