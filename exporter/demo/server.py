"""Demo registry: an HTTP server on loopback that implements the listings of the API with their quirks.

It follows the open-source server of Harness if the API document is silent or wrong: pages count from 0, `page` without
`size` has no effect, an array is a repeated key, and an unknown filter returns an empty page, not an error.
"""

import gzip
import json
import re
import time
from collections.abc import Callable, Sequence
from typing import Self
from urllib.parse import unquote

from exporter.demo.artifacts import Row
from exporter.demo.estate import DEMO, Estate
from exporter.demo.filters import filtered, identity, ordered
from exporter.demo.listener import Listener, Query, Request, Response, first
from exporter.demo.pages import (
    RefusedError,
    bad_request,
    below,
    in_scope,
    listing_page,
    violations_error,
    violations_page,
    without,
)

PREFIX = "/har/api/v1"
"""Path prefix of the API."""

KEY = "pat.demo.demo-registry.not-a-secret"
"""Key of the demo registry; it is valid nowhere else."""

_PREFIX_3 = "/har/api/v3"
_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", re.IGNORECASE)
_SCOPE = "(?:[^/]+/){1,3}"
_PATH = re.compile(
    rf"{PREFIX}/spaces/(?P<artifacts>{_SCOPE})\+/artifacts|{PREFIX}/spaces/(?P<registries>{_SCOPE})\+/registries"
    rf"|{PREFIX}/registry/(?P<registry>{_SCOPE}[^/]+/)\+|{_PREFIX_3}/(?P<violations>scans)"
)


class Registry:
    """A registry to list, served over HTTP/1.1 on loopback inside its context.

    `answer` makes the response to every request; `page` makes the successful ones. A subclass may change either; an
    `OSError` raised there closes the connection without a response.

    Attributes:
        key: the `x-api-key` that is required.
    """

    def __init__(self, estate: Estate = DEMO, *, key: str = KEY, now: Callable[[], float] = time.time) -> None:
        """Serve the estate of the demo, or another one.

        Args:
            estate: what is listed.
            key: the `x-api-key` to require.
            now: seconds since the Unix epoch.
        """
        self.key = key
        self._estate = estate
        self._now = now
        self._server: Listener

    def __enter__(self) -> Self:
        self._server = Listener(self.answer)
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    @property
    def url(self) -> str:
        """Scheme, host and port, for the setting `base_url`; inside the context only."""
        return self._server.url

    def answer(self, request: Request) -> Response:
        """Return the response to a request, compressed if the client accepts that."""
        try:
            return _encoded(request, 200, self.page(request))
        except RefusedError as refused:
            newer = request.path.startswith(_PREFIX_3)
            return _encoded(request, refused.status, violations_error(refused) if newer else refused.envelope)

    def page(self, request: Request) -> Row:
        """Return the page that a request asks for, as JSON.

        Raises:
            RefusedError: the path, the method, the key, the space or a number is wrong.
        """
        subject, path = _asked(request)
        self._admit(request)
        match subject:
            case "artifacts":
                return self._artifacts(path, request.query)
            case "registries":
                return self._registries(path, request.query)
            case "registry":
                return self._registry(path)
            case _:
                return self._violations(request.query)

    def arrange(self, rows: Sequence[Row], query: Query) -> Sequence[Row]:
        """Return the artifacts that match the filters of a query, in the order it asks for."""
        return ordered(filtered(rows, query), query)

    def count(self, rows: Sequence[Row]) -> int:
        """Return the number of artifacts of some rows: one with several quarantine records has as many rows."""
        return len(set(map(identity, rows)))

    def _artifacts(self, space: str, query: Query) -> Row:
        rows = self._estate.artifacts(space, self._now())
        if rows is None:
            raise _unknown(space)
        arranged = self.arrange(rows, query)
        return listing_page("artifacts", arranged, self.count(arranged), query)

    def _registries(self, space: str, query: Query) -> Row:
        rows = in_scope(self._estate.registries(self._now()), space, query)
        self._check_space(space)
        active = [without(row, "config") for row in rows if "deletedAt" not in row]
        page = listing_page("registries", active, len(active), query)
        page["data"]["meta"] = {"activeCount": len(active), "deletedCount": len(rows) - len(active)}
        return page

    def _registry(self, path: str) -> Row:
        for row in self._estate.registries(self._now()):
            if row["path"] == path and "deletedAt" not in row:
                return {"data": row, "status": "SUCCESS"}
        raise RefusedError(404, {"code": "404", "message": f"registry not found: {path}"})

    def _violations(self, query: Query) -> Row:
        names = (first(query, f"{level}_identifier") for level in ("account", "org", "project"))
        space = "/".join(filter(None, names))
        rows = in_scope(self._estate.violations(self._now()), space, query)
        self._check_space(space)
        return violations_page([without(row, "path") for row in rows], query)

    def _check_space(self, space: str) -> None:
        """Raise RefusedError if nothing is known of a space."""
        now = self._now()
        if not below(self._estate.registries(now), space) and self._estate.artifacts(space, now) is None:
            raise _unknown(space)

    def _admit(self, request: Request) -> None:
        key = request.headers.get("x-api-key")
        if key is None:
            raise RefusedError(403, {"message": "Forbidden: no credentials"})
        if key != self.key:
            raise RefusedError(401, {"message": "Unauthorized: invalid token"})


def _asked(request: Request) -> tuple[str | None, str]:
    """Return the subject of a request, and the space or registry in its path."""
    match = _PATH.fullmatch(request.path)
    if match is None:
        raise RefusedError(404, {"code": "404", "message": "page not found"})
    if request.method != "GET":
        raise RefusedError(405, {"code": "405", "message": "method not allowed"})
    # An encoded slash within a segment is no separator, and no space has such a name.
    segments = (unquote(segment).replace("/", "%2F") for segment in match[match.lastgroup or 0].split("/"))
    return match.lastgroup, "/".join(segments).rstrip("/")


def _unknown(space: str) -> RefusedError:
    return bad_request(f"space not found: {space}")


def _encoded(request: Request, status: int, envelope: Row) -> Response:
    body = json.dumps(envelope).encode()
    headers = [("Content-Type", "application/json"), ("Vary", "Accept-Encoding")]
    if _GZIP.search(request.headers.get("accept-encoding", "")):
        body = gzip.compress(body, compresslevel=1, mtime=0)
        headers.append(("Content-Encoding", "gzip"))
    return Response(status, (*headers, ("Content-Length", str(len(body)))), body)
