"""HTTP: types of ASGI, complete responses, and the formats that a client accepts."""

import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, NamedTuple
from urllib.parse import unquote

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PLAIN = (b"content-type", b"text/plain; charset=utf-8")
"""Content-Type header of plain text."""

_ORIGIN = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/]*")
_WEIGHT = re.compile(r"\s*q\s*=\s*([01](?:\.[0-9]*)?)\s*", re.IGNORECASE)


class Response(NamedTuple):
    """Complete response; its Content-Length is added when it is sent.

    Attributes:
        status: the HTTP status.
        parts: the body in parts; parts that many responses share are in memory once, even if clients read slowly.
        headers: names and values.
    """

    status: int
    parts: tuple[bytes, ...]
    headers: tuple[tuple[bytes, bytes], ...] = (PLAIN,)


def path_of(scope: Scope) -> str:
    """Return the decoded path of a request, whose target may be a URL as for a proxy (RFC 9112, 3.2.2)."""
    raw: bytes = scope.get("raw_path", b"")
    origin = _ORIGIN.match(raw)
    return unquote(raw[origin.end() :].decode("ascii")) or "/" if origin else str(scope["path"])


def header_values(scope: Scope, name: bytes) -> list[str]:
    """Return the values of a header, whose name is in lower case."""
    return [value.decode("latin-1") for header, value in scope["headers"] if header == name]


def accepts_openmetrics(scope: Scope) -> bool:
    """Return whether a client prefers OpenMetrics to plain text."""
    # A header that is repeated is one list (RFC 9110, 5.3).
    accepted = _weights(",".join(header_values(scope, b"accept")))
    openmetrics = accepted.get("application/openmetrics-text", 0.0)
    text = next((accepted[media] for media in ("text/plain", "text/*", "*/*") if media in accepted), 0.0)
    return openmetrics > 0 and openmetrics >= text


def accepts_gzip(scope: Scope) -> bool:
    """Return whether a client accepts gzip."""
    accepted = _weights(",".join(header_values(scope, b"accept-encoding")))
    return accepted.get("gzip", accepted.get("*", 0.0)) > 0


def _weights(header: str) -> dict[str, float]:
    """Return the weight of each choice of a header, in lower case and without its parameters (RFC 9110, 12.4.2).

    A malformed weight is 1.
    """
    found: dict[str, float] = {}
    for choice, weight in _choices(header):
        # Prometheus repeats a media type with different versions; the largest weight counts.
        found[choice] = max(weight, found.get(choice, 0.0))
    return found


def _choices(header: str) -> Iterator[tuple[str, float]]:
    for element in header.split(","):
        choice, *parameters = element.split(";")
        given = (match for match in map(_WEIGHT.fullmatch, parameters) if match)
        yield choice.strip().lower(), next((float(match[1]) for match in given), 1.0)
