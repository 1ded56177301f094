"""One HTTP exchange that ends in time, whatever the other side does.

No timeout of requests or urllib3 bounds a whole call: each address, the handshake and every read has its own, and a
name look-up has none. The connections here carry one deadline through all of them.
"""

import http.client
import io
import ipaddress
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidProxyURL, InvalidSchema
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.exceptions import ProxyError as UrllibProxyError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Timeout
from urllib3.util.connection import create_connection

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
from exporter.labels import clean

MAX_BODY = 16 * 2**20
"""Bytes of the largest body that is read, before and after decompression."""

_MAX_ERROR_BODY = 64 * 2**10
# Small, because the library holds many times what it is asked for where chunks are tiny.
_STEP = 2**16
_GZIP = 31
_LATE = 0.02  # seconds that a read may go on beyond its deadline


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

    def without(self, secret: str) -> "Response":
        """Return the response with a secret removed: some servers echo the key that they refuse."""
        body = self.body.replace(secret.encode(), b"(key)")
        return replace(self, content_type=self.content_type.replace(secret.lower(), "(key)"), body=body)


class Transport:
    """A pool of connections to one server; safe to share between threads."""

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
            connections: how many connections are kept open.
            ca_file: certificate authorities to trust in place of the public ones.
            client_cert: files of the certificate and the key to show; without a key file the first holds both.
            proxy_url: the proxy for every request; None for what the environment says.
        """
        self._base_url = base_url
        self._origin = urlsplit(base_url)._replace(path="", query="", fragment="").geturl()
        self._adapter = _DeadlineAdapter(pool_connections=1, pool_maxsize=connections)
        self._pool: HTTPConnectionPool | None = None
        self._verify = str(ca_file) if ca_file else True
        # Without a key file of its own OpenSSL would ask the terminal for the key's password, if it has one.
        self._cert = (str(client_cert[0]), str(client_cert[1] or client_cert[0])) if client_cert else None
        self._proxies = _proxies(base_url, proxy_url)

    def get(self, url: str, headers: dict[str, str], timeout: float) -> Response:
        """Send one GET and read the whole answer; redirects are not followed.

        Args:
            url: what to get.
            headers: what to send along.
            timeout: seconds that the whole exchange may take, name look-up included.

        Raises:
            RefreshError: there was no whole answer; the subclass says why.
        """
        try:
            self._pool = self._pool or self._opened_pool()
            # Not through requests, which takes longer over a request than all the rest over a page of 100 rows, and
            # whose session follows redirects and reads ~/.netrc.
            response = self._pool.urlopen(
                "GET",
                url if self._pool.proxy and self._pool.scheme == "http" else url.removeprefix(self._origin),
                headers={"Accept-Encoding": "gzip", **headers},
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=_WholeTimeout(timeout),
                preload_content=False,
                decode_content=False,
            )
            with response:
                return _read_response(response)
        except (requests.RequestException, HTTPError, OSError) as error:
            try:
                raise _translated(error) from None
            finally:
                forget_calls(error)

    def _opened_pool(self) -> HTTPConnectionPool:
        """Let requests decide on proxy and certificates; the same pool for every thread that asks."""
        request = requests.Request("GET", self._base_url).prepare()
        pool = self._adapter.get_connection_with_tls_context(request, self._verify, self._proxies, self._cert)
        self._adapter.cert_verify(pool, self._base_url, self._verify, self._cert)  # type: ignore[no-untyped-call]
        return cast("HTTPConnectionPool", pool)


def _read_response(response: BaseHTTPResponse) -> Response:
    encoding = response.headers.get("Content-Encoding", "").lower()
    pieces: list[bytes] = []
    if response.status == HTTPStatus.OK:
        if encoding not in {"", "identity", "gzip"}:
            raise BadShapeError("the answer has a Content-Encoding that was not asked for")
        pieces.extend(_body(response, encoding, MAX_BODY))
    else:
        # The status tells what is wrong, whatever becomes of the text.
        with suppress(BadJsonError, TooLargeError):
            pieces.extend(_body(response, encoding, _MAX_ERROR_BODY))
    return Response(
        status=response.status,
        content_type=response.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
        retry_after=response.headers.get("Retry-After"),
        body=b"".join(pieces),
    )


def _body(response: BaseHTTPResponse, encoding: str, limit: int) -> Iterator[bytes]:
    """Yield a body piece by piece; neither as it was sent nor decompressed it goes beyond the limit.

    Raises:
        BadJsonError: it is not the gzip that it claims to be.
        TooLargeError: there is more of it.
    """
    step = _STEP
    if not encoding and response.length_remaining:
        # At one stroke, for after each step the thread may have to wait for the one that decodes.
        step = min(response.length_remaining, limit + 1)
    sent = _within(limit, iter(lambda: response.read(step, decode_content=False), b""))
    return _within(limit, _decompressed(sent)) if encoding == "gzip" else sent


def _within(limit: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise TooLargeError(f"the answer is larger than {limit} bytes")
        yield piece


def _decompressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    gzip = zlib.decompressobj(_GZIP)
    try:
        for piece in pieces:
            yield gzip.decompress(piece, _STEP)
            # A small piece can hold an endless text.
            while gzip.unconsumed_tail and not gzip.eof:
                yield gzip.decompress(gzip.unconsumed_tail, _STEP)
            if gzip.unused_data:
                break
    except zlib.error:
        raise BadJsonError("the answer is not the gzip that it claims to be") from None
    if not gzip.eof or gzip.unused_data:
        raise BadJsonError("the answer's gzip does not end where the answer does")


def _proxies(base_url: str, proxy_url: str | None) -> dict[str, str]:
    if proxy_url is not None:
        return {"all": proxy_url}
    return {} if _is_loopback(urlsplit(base_url).hostname or "") else requests.utils.get_environ_proxies(base_url)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_ERRORS: tuple[tuple[type[Exception], type[RefreshError], str], ...] = (
    (NameResolutionError, DnsError, "the name of the host cannot be resolved"),
    (UrllibProxyError, ProxyError, "the proxy refused the connection or cannot be reached"),
    (SSLError, TlsError, "no TLS connection"),
    (NewConnectionError, ConnectError, "no connection"),
    (ConnectTimeoutError, RequestTimeout, "no connection in time"),
    (ReadTimeoutError, RequestTimeout, "no whole answer in time"),
    (HTTPError, ConnectError, "the connection broke"),
    (InvalidProxyURL, ProxyError, "the address of the proxy cannot be used"),
    (InvalidSchema, ProxyError, "proxies of this kind cannot be used"),
    (requests.RequestException, ConnectError, "the request could not be sent"),
    (OSError, TlsError, "a certificate file cannot be used"),
)
"""What the libraries raise, and what it means; the first row that fits decides."""


def _translated(error: Exception) -> RefreshError:
    """Say in this program's words why there was no answer."""
    cause = _cause(error)
    kind, text = next((kind, text) for caught, kind, text in _ERRORS if isinstance(cause, caught))
    root = _root(cause)
    if root is cause:
        return kind(text)
    # The system's texts are its own; those of libraries quote what came, or was sent.
    return kind(f"{text}: {clean(str(root)) if isinstance(root, OSError) else type(root).__name__}")


def _cause(error: Exception) -> Exception:
    """Unpack what requests and urllib3 wrap around the error that tells."""
    inner = error.reason if isinstance(error, MaxRetryError) else None
    if isinstance(error, requests.RequestException):
        inner = next((arg for arg in error.args if isinstance(arg, HTTPError | OSError)), None)
    return _cause(inner) if inner else error


def _root(error: BaseException) -> BaseException:
    """Follow an error to the one that it began with."""
    inner = error.__cause__ or next((arg for arg in reversed(error.args) if isinstance(arg, Exception)), None)
    return _root(inner) if inner else error


class _WholeTimeout(Timeout):
    """One timeout for a whole exchange, which starts at once: the way through a proxy counts too."""

    def __init__(self, seconds: float) -> None:
        super().__init__(total=seconds)
        super().start_connect()

    def clone(self) -> Self:
        return self

    def start_connect(self) -> float:
        return time.monotonic()


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until the time that is left on it has passed, however slowly bytes come.

    Attributes:
        in_head: status and headers are being read, which must not end with the connection.
    """

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        self._deadline = time.monotonic() + (sock.gettimeout() or 0.0)
        self.in_head = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - as the base class has it
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        # Not each time: that lets other threads go first, and this one waits for its turn again.
        if (self._sock.gettimeout() or 0.0) - left > _LATE:
            self._sock.settimeout(left)
        read = self._raw.readinto(buffer)
        if read == 0 and self.in_head:
            raise ConnectionResetError("the other side hung up before its answer began")
        return read

    def close(self) -> None:
        self._raw.close()
        super().close()


class _DeadlineResponse(http.client.HTTPResponse):
    """Reads its status, headers and body within the time that was left once the request had been sent."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(sock, *args, **kwargs)
        self._reader = _DeadlineReader(self.fp.detach(), sock)
        self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        # The library takes headers that break off for whole ones, and what they say of the body for all there is.
        self._reader.in_head = True
        super().begin()
        self._reader.in_head = False

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if size < 0:
            # The library would read to the end, without any limit.
            raise ValueError("a chunk of a negative size")
        return size


class _DeadlineConnection(HTTPConnection):
    """Looks up its host, connects, and talks to a proxy, all within its one timeout."""

    response_class = _DeadlineResponse

    def _new_conn(self) -> socket.socket:
        self._deadline = time.monotonic() + cast("float", self.timeout)
        addresses = self._look_up()
        error: HTTPError | None = None
        for number, address in enumerate(addresses):
            try:
                # A share for each address, so that one that swallows packets leaves time for the next.
                share = self._left() / (len(addresses) - number)
                sock = create_connection((address, self.port), share, socket_options=self.socket_options)
            except TimeoutError as problem:
                error = ConnectTimeoutError(self, f"{address} does not answer")
                error.__cause__ = problem
            except OSError as problem:
                error = NewConnectionError(self, f"{address} refuses")
                error.__cause__ = problem
            else:
                sock.settimeout(self._left())
                return sock
        raise error or NewConnectionError(self, "the host has no address")

    def _look_up(self) -> list[str]:
        answer: Future[list[Any]] = Future()
        host = self._dns_host.strip("[]")  # a proxy's IPv6 address comes with them

        def look_up() -> None:
            try:
                answer.set_result(socket.getaddrinfo(host, self.port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:
                answer.set_exception(socket.gaierror(str(error)))

        # On a thread of its own: a look-up cannot be told when to give up.
        threading.Thread(target=look_up, name="name-lookup", daemon=True).start()
        try:
            return list(dict.fromkeys(info[4][0] for info in answer.result(self._left())))
        except TimeoutError:
            raise ConnectTimeoutError(self, "the name look-up does not end") from None
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error

    def _tunnel(self) -> None:
        self.sock.settimeout(self._left())
        try:
            super()._tunnel()
        except (OSError, http.client.HTTPException) as error:
            raise UrllibProxyError("no tunnel", error) from error
        self.sock.settimeout(self._left())

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise ConnectTimeoutError(self, "the time is up")
        return left


class _DeadlineTlsConnection(_DeadlineConnection, HTTPSConnection):
    """The same with TLS; a handshake that does not end is a fault of TLS, one that is hung up on is not."""

    def connect(self) -> None:
        try:
            super().connect()
        except ssl.SSLEOFError as error:
            raise ConnectionResetError("the other side hung up during the TLS handshake") from error
        except (TimeoutError, FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise SSLError(error) from error


class _DeadlinePool(HTTPConnectionPool):
    ConnectionCls = _DeadlineConnection


class _DeadlineTlsPool(HTTPSConnectionPool):
    ConnectionCls = _DeadlineTlsConnection


class _DeadlineAdapter(HTTPAdapter):
    """Makes requests use these connections, to the server and through a proxy alike."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as the base class has it
        super().init_poolmanager(*args, **kwargs)
        _use_deadlines(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> urllib3.ProxyManager:  # noqa: ANN401
        manager = cast("urllib3.ProxyManager", super().proxy_manager_for(proxy, **kwargs))
        _use_deadlines(manager)
        return manager


def _use_deadlines(manager: urllib3.PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _DeadlinePool, "https": _DeadlineTlsPool}
