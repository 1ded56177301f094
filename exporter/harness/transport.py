"""One HTTP exchange with a server: a GET through requests, read whole, in time, or an error with its reason."""

import io
import ipaddress
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

import requests
from requests.exceptions import InvalidProxyURL, InvalidSchema
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    SSLError,
)
from urllib3.exceptions import ProxyError as UrllibProxyError
from urllib3.response import BaseHTTPResponse

from exporter.harness.deadlines import DeadlineAdapter, Exchange, Watchdog
from exporter.harness.errors import (
    BadJsonError,
    BadShapeError,
    ConnectError,
    DnsError,
    ProxyError,
    RefreshError,
    RequestTimeout,
    TlsError,
    TooLargeError,
    forget_calls,
)
from exporter.harness.trust import authorities
from exporter.labels import clean

_MAX_ERROR_BODY = 64 * 2**10
# Small, because the library holds many times what it is asked for if chunks are tiny.
_STEP = 2**16
_GZIP = 31
_TOO_LATE = "no complete response in time"
_KEPT_CONNECTIONS = 32  # one for each space, unless there are many
_ADDRESSES = 3  # a share of the time for each address, so that one that swallows packets leaves time for the next


@dataclass(frozen=True, slots=True)
class Response:
    """Response of the server.

    Attributes:
        status: the HTTP status.
        content_type: the Content-Type without its parameters, in lower case; empty if there is none.
        retry_after: the Retry-After as it was sent; None if it was not.
        body: the whole body, decompressed; of an error only its first 64 KiB.
    """

    status: int
    content_type: str
    retry_after: str | None
    body: bytes


class Transport:
    """Session with one server; safe to share between threads."""

    def __init__(
        self,
        base_url: str,
        *,
        connections: int,
        ca_file: Path | None = None,
        client_cert: tuple[Path, Path | None] | None = None,
        proxy_url: str | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            base_url: the server that all URLs belong to.
            connections: how many requests are sent at once at most.
            ca_file: certificate authorities to trust instead of the usual ones.
            client_cert: files of the certificate and the key to present; without a key file the first holds both.
            proxy_url: the proxy for every request; None for what the environment says.
        """
        self._session = requests.Session()
        self._session.trust_env = False  # else ~/.netrc adds credentials, and REQUESTS_CA_BUNDLE replaces ca_file
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # spaces share the session
        for scheme in ("http://", "https://"):
            kept = max(connections, _KEPT_CONNECTIONS)
            self._session.mount(scheme, DeadlineAdapter(pool_connections=1, pool_maxsize=kept))
        self._watchdog = Watchdog()
        self._verify = authorities(ca_file).path
        # Without a key file of its own OpenSSL would ask the terminal for the password of the key, if it has one.
        self._cert = (str(client_cert[0]), str(client_cert[1] or client_cert[0])) if client_cert else None
        self._proxies = _proxies(base_url, proxy_url)

    def get(self, url: str, headers: dict[str, str], timeout: float, *, space: str, max_body: int) -> Response:
        """Send one GET and read the whole response; redirects are not followed.

        Args:
            url: what to get; valid, and quoted where that is necessary.
            headers: headers to send.
            timeout: seconds that the whole exchange may take, name look-up included.
            space: the space that it is about; a connection is used for one only.
            max_body: bytes of the largest body that is read, as it was sent and decompressed.

        Raises:
            RefreshError: there was no whole response; the subclass is the reason.
        """
        exchange = self._watchdog.exchange(timeout, space)
        try:
            return self._exchanged(exchange, url, headers, max_body)
        except RefreshError:
            if not exchange.found_dead:
                raise
        again = self._watchdog.exchange(exchange.left, space, over_new=True)
        return self._exchanged(again, url, headers, max_body)

    def _exchanged(self, exchange: Exchange, url: str, headers: dict[str, str], max_body: int) -> Response:
        with exchange:
            if not exchange.left:
                raise RequestTimeout(_TOO_LATE)
            try:
                response = self._session.send(
                    _prepared(url, headers),
                    timeout=(exchange.left / _ADDRESSES, None),
                    allow_redirects=False,
                    stream=True,
                    verify=self._verify,
                    cert=self._cert,
                    proxies=self._proxies,
                )
                with response:
                    whole = _read(response.raw, max_body)
            except (requests.RequestException, HTTPError, OSError, ValueError) as error:
                try:
                    raise _translated(error, expired=exchange.expired) from None
                finally:
                    forget_calls(error)
            except RefreshError:
                if exchange.expired:  # what was cut off looks like a malformed body
                    raise RequestTimeout(_TOO_LATE) from None
                raise
        if exchange.ended:  # a body without a length that was cut off looks complete
            raise RequestTimeout(_TOO_LATE)
        return whole


def _prepared(url: str, headers: dict[str, str]) -> requests.PreparedRequest:
    """Return a GET of a URL as it is, with these headers only: this session has nothing to add to a request."""
    request = requests.PreparedRequest()
    request.method, request.url = "GET", url
    request.prepare_headers({"Accept-Encoding": "gzip", **headers})
    return request


def _read(raw: BaseHTTPResponse, max_body: int) -> Response:
    encoding = _encoding(raw.headers.get("Content-Encoding", ""))
    body = b""
    if raw.status == HTTPStatus.OK:
        if encoding not in {"", "gzip"}:
            raise BadShapeError("the response has a Content-Encoding that was not requested")
        body = _joined(_body(raw, encoding, max_body))
    else:
        # The status is the reason, even if the text cannot be read.
        with suppress(BadJsonError, TooLargeError):
            body = _joined(_body(raw, encoding, _MAX_ERROR_BODY))
    return Response(
        status=raw.status,
        content_type=raw.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
        retry_after=raw.headers.get("Retry-After"),
        body=body,
    )


def _encoding(header: str) -> str:
    """Return the encodings of a body other than none, in lower case; `x-gzip` is an older name of gzip."""
    encodings = (encoding.strip().lower() for encoding in header.split(","))
    return ",".join(encoding.removeprefix("x-") for encoding in encodings if encoding not in {"", "identity"})


def _joined(pieces: Iterator[bytes]) -> bytes:
    # A buffer that grows, and becomes the body without a copy, as does a single piece.
    buffer = io.BytesIO(next(pieces, b""))
    buffer.seek(0, io.SEEK_END)
    buffer.writelines(pieces)
    return buffer.getvalue()


def _body(raw: BaseHTTPResponse, encoding: str, limit: int) -> Iterator[bytes]:
    """Return a body in pieces; neither as it was sent nor decompressed it exceeds the limit.

    Raises:
        BadJsonError: it is not the gzip that it claims to be.
        TooLargeError: it exceeds the limit.
    """
    step = _STEP
    if not encoding and raw.length_remaining:
        # In one piece: after each one the thread may have to wait for the thread that decodes.
        step = min(raw.length_remaining, limit + 1)
    sent = _within(limit, iter(lambda: raw.read(step, decode_content=False), b""))
    return _within(limit, _decompressed(sent)) if encoding == "gzip" else sent


def _within(limit: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise TooLargeError(f"the response is larger than {limit} bytes")
        yield piece


def _decompressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    gzip = zlib.decompressobj(_GZIP)
    try:
        for piece in pieces:
            rest = piece
            while rest:
                if gzip.eof:  # another member follows
                    gzip = zlib.decompressobj(_GZIP)
                # A small piece can decompress to an endless text.
                yield gzip.decompress(rest, _STEP)
                rest = gzip.unused_data or gzip.unconsumed_tail
    except zlib.error:
        raise BadJsonError("the response is not the gzip that it claims to be") from None
    if not gzip.eof:
        raise BadJsonError("the gzip of the response does not end where the response does")


def _proxies(base_url: str, proxy_url: str | None) -> dict[str, str]:
    if proxy_url is not None:
        return {"all": proxy_url}
    if _is_loopback(urlsplit(base_url).hostname or ""):
        return {}
    direct = getproxies().get("no", "")
    # requests knows .example.com, but not *.example.com.
    return requests.utils.get_environ_proxies(base_url, no_proxy=direct.replace("*.", ".") or None)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_ERRORS: tuple[tuple[type[Exception], type[RefreshError], str], ...] = (
    (NameResolutionError, DnsError, "the name of the host cannot be resolved"),
    (LocationParseError, DnsError, "the name of the host is malformed"),
    (UrllibProxyError, ProxyError, "the proxy refused the connection or cannot be reached"),
    (SSLError, TlsError, "no TLS connection"),
    (NewConnectionError, ConnectError, "no connection"),
    (ConnectTimeoutError, RequestTimeout, "no connection in time"),
    (HTTPError, ConnectError, "the connection broke"),
    (InvalidProxyURL, ProxyError, "the address of the proxy cannot be used"),
    (InvalidSchema, ProxyError, "proxies of this kind cannot be used"),
    (requests.RequestException, ConnectError, "the request could not be sent"),
    (ValueError, ConnectError, "the response is malformed"),
    (OSError, TlsError, "a certificate file cannot be used"),
)
"""Errors of the libraries, and what they mean; the first row that matches counts."""


def _translated(error: Exception, *, expired: bool = False) -> RefreshError:
    """Return the error of this program that an error of the libraries stands for."""
    cause = _cause(error)
    root = _root(cause)
    # A connection that was not made in time has a reason of its own: name look-up, tunnel or handshake.
    if expired and not isinstance(root, TimeoutError):
        return RequestTimeout(_TOO_LATE)
    kind, text = next((kind, text) for caught, kind, text in _ERRORS if isinstance(cause, caught))
    if root is cause or isinstance(root, TimeoutError):
        return kind(text)
    # Texts of the system are safe to show; those of libraries quote what was received or sent.
    return kind(f"{text}: {clean(str(root).strip()) if isinstance(root, OSError) else type(root).__name__}")


def _cause(error: Exception) -> Exception:
    """Return the error that requests and urllib3 wrapped."""
    inner = error.reason if isinstance(error, MaxRetryError) else None
    if isinstance(error, requests.RequestException):
        inner = next((arg for arg in error.args if isinstance(arg, HTTPError | OSError)), None)
    return _cause(inner) if inner else error


def _root(error: BaseException) -> BaseException:
    """Return the error that another one began with."""
    inner = error.__cause__ or next((arg for arg in reversed(error.args) if isinstance(arg, Exception)), None)
    return _root(inner) if inner else error
