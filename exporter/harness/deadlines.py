"""Connections with one deadline for a whole exchange, from the name look-up to the last byte of the body.

The timeouts of requests and urllib3 apply to a single address, handshake or read, and a name look-up has none. Here the
connection is made on a thread that is waited for until the deadline; from then on a watchdog shuts down the socket of
an exchange when its time is over, which ends any read or write. So sockets need no timeout of their own, which would
cost two system calls for each read instead of one.

A connection is used again only after a response that ended where it said, with nothing behind it, and only for the same
space: a response that the server sends twice, or too late, is never taken for one of another space. It may have died
without a word meanwhile, so it is not used again after some time, and if it gives no byte, the request is sent once
more over a new one.
"""

import heapq
import http.client
import io
import math
import queue
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import ContextVar, copy_context
from itertools import count
from typing import Any, Self, cast

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, ProxyError, SSLError

_CURRENT: ContextVar["Exchange"] = ContextVar("exchange")
_FEW = 1_000  # entries that are not worth pruning
_MOST_IDLE = 90.0  # seconds; load balancers forget idle connections after some minutes, without a word
_OLDEST = 600.0  # seconds that a connection is used, so that a change in the DNS is followed
_SILENCE = 1 / 3  # of the time of an exchange, until a connection that was used before counts as dead
_READ_HEADERS = {
    *(b"connection", b"content-encoding", b"content-length", b"content-type", b"keep-alive", b"proxy-connection"),
    *(b"retry-after", b"transfer-encoding"),
}
_LISTS = {b"content-length", b"transfer-encoding"}


class Watchdog:
    """Thread that ends exchanges in time; it stops when the last reference to this object is gone."""

    def __init__(self) -> None:
        self._waiting = _Waiting()
        threading.Thread(target=_watch, args=(self._waiting,), name="watchdog", daemon=True).start()
        weakref.finalize(self, self._waiting.add, 0.0, None).atexit = False

    def exchange(self, timeout: float, space: str, *, over_new: bool = False) -> "Exchange":
        """Return an exchange about a space, to run in a `with` block; its seconds start now.

        Args:
            timeout: seconds that it may take.
            space: the space.
            over_new: use a new connection.
        """
        now = time.monotonic()
        exchange = Exchange(now + timeout, space, over_new=over_new)
        self._waiting.add(now + timeout * _SILENCE, exchange)
        return exchange


class _Waiting:
    """Exchanges by the time at which to look at them; None stops the watchdog."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may run the finalizer of a watchdog in a thread that holds the lock.
        self.changed = threading.Condition(threading.RLock())
        self.heap: list[tuple[float, int, weakref.ref[Exchange] | None]] = []
        self._order = count()
        self._prune_at = _FEW

    def add(self, when: float, exchange: "Exchange | None") -> None:
        with self.changed:
            # Exchanges that are over stay in the heap; without pruning they would stay until their times.
            if len(self.heap) >= self._prune_at:
                self.heap[:] = [entry for entry in self.heap if entry[2] is None or entry[2]() is not None]
                heapq.heapify(self.heap)
                self._prune_at = max(_FEW, 2 * len(self.heap))
            entry = (when, next(self._order), weakref.ref(exchange) if exchange else None)
            heapq.heappush(self.heap, entry)
            if self.heap[0] is entry:
                self.changed.notify()


def _watch(waiting: _Waiting) -> None:
    while True:
        with waiting.changed:
            while not waiting.heap or waiting.heap[0][0] > time.monotonic():
                waiting.changed.wait(waiting.heap[0][0] - time.monotonic() if waiting.heap else None)
            _, _, reference = heapq.heappop(waiting.heap)
        if reference is None:
            return
        if (exchange := reference()) and not exchange.end_if_due():
            waiting.add(exchange.deadline, exchange)
        del exchange  # else it would live, with its socket, until the next one


class Exchange:
    """One request and its response.

    Attributes:
        deadline: monotonic time at which it ends.
        space: the space that it is about.
        over_new: whether it needs a new connection.
        over_used: whether its connection was used before.
        answered: whether a byte of the response has arrived.
        expired: whether its time is over.
        found_dead: whether its connection, which was used before, gave no byte for too long.
    """

    def __init__(self, deadline: float, space: str, *, over_new: bool = False) -> None:
        self.deadline = deadline
        self.space = space
        self.over_new = over_new
        self.over_used = self.answered = False
        self.expired = self.found_dead = False
        self._lock = threading.Lock()
        self._connection: HTTPConnection | None = None
        self._sock: socket.socket | None = None

    def __enter__(self) -> Self:
        self._token = _CURRENT.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _CURRENT.reset(self._token)
        self.use(None)

    @property
    def left(self) -> float:
        """Seconds until the deadline, at least 0."""
        return max(0.0, self.deadline - time.monotonic())

    @property
    def ended(self) -> bool:
        """Whether the watchdog ended it."""
        return self.expired or self.found_dead

    def use(self, connection: HTTPConnection | None) -> None:
        """Note the connection that the exchange runs over; None while it has none, and when it is over."""
        with self._lock:
            self._connection = connection
            # The socket itself: http.client takes it from the connection if the response ends with the connection.
            self._sock = _plain(connection.sock) if connection is not None else None
            if self.expired:  # between two connections, when there was nothing to shut down
                _shut_down(self._sock)

    def end_if_due(self) -> bool:
        """End the exchange if its time is over, or its connection seems dead; return whether it was ended.

        For the watchdog, which calls it after a part of the time, and again when all of it is over.
        """
        with self._lock:
            self.expired = not self.left
            self.found_dead = self.over_used and not self.answered
            if self.ended:
                _shut_down(self._sock)
        return self.ended

    def close_connection(self) -> None:
        """Close the connection, so that no other exchange uses it."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()


def _plain(sock: Any) -> Any:  # noqa: ANN401 - a socket, or urllib3's TLS over the TLS of a proxy, which wraps one
    return getattr(sock, "socket", sock)


def _unread(sock: Any) -> int:  # noqa: ANN401 - a socket, or urllib3's TLS over the TLS of a proxy
    """Return how many bytes TLS has received that nobody has read: waiting for the socket does not show them."""
    if isinstance(sock, ssl.SSLSocket):
        return sock.pending()
    return sock.sslobj.pending() + sock.incoming.pending + _unread(sock.socket) if hasattr(sock, "sslobj") else 0


def _shut_down(sock: socket.socket | None) -> None:
    # Not SSLSocket.shutdown, which drops TLS first: a concurrent send would leave in clear text.
    if sock is not None:
        with suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _RawReader(io.RawIOBase):
    """Reads from a socket.

    Attributes:
        in_head: status and headers are being read; the connection must not end there.
        stopped: nothing more may be read.
    """

    def __init__(self, raw: io.RawIOBase, exchange: Exchange) -> None:
        self._raw = raw
        self._exchange = exchange
        # http.client takes headers that break off for complete ones, and what they say about the body for all of it.
        self.in_head = True
        self.stopped = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - as in the base class
        if self.stopped:
            return 0
        read = self._raw.readinto(buffer)
        if read:
            self._exchange.answered = True
        elif self.in_head:
            raise ConnectionResetError("the other side closed the connection before its response")
        return read

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Reader(io.BufferedReader):
    """Buffer of a response, which closes the connection unless that can be used again.

    Attributes:
        in_head: status and headers are being read.
        reusable: the connection can be used again if the response ends where it should.
    """

    def __init__(self, raw: _RawReader, exchange: Exchange) -> None:
        super().__init__(raw)
        self.in_head = True
        self.reusable = False
        self._exchange = exchange
        self._at_status = True

    def read(self, size: int | None = -1, /) -> bytes:
        # http.client passes on the negative size of a chunk, which would read without a limit.
        if size is None or size < 0:
            raise ValueError("a chunk of a negative size")
        return super().read(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next line; of a head only what is read, as http.client takes no more than 100 headers."""
        line = super().readline(size)
        if not self.in_head or len(line) == size:  # http.client refuses lines that are too long
            return line
        if self._at_status:
            self._at_status = False
            # Without the reason phrase: that of a proxy may echo its password.
            return b" ".join(line.split(None, 2)[:2]) + b"\r\n"
        while len(line) != size:
            self._at_status = not line.strip(b"\r\n")  # of the response after an interim one
            if header := line if self._at_status else _header(line):
                return header
            line = super().readline(size)
        return line

    def close(self) -> None:
        cast("_RawReader", self.raw).stopped = True
        surplus = not self.closed and bool(self.peek(1))
        # Before the connection returns to the pool: nothing of this response may be read as the next one.
        if surplus or not self.reusable:
            self._exchange.close_connection()
        super().close()


def _header(line: bytes) -> bytes:
    """Return a header without unusual blanks and capitals; empty if nobody reads it."""
    name, _, value = line.partition(b":")
    name = name.rstrip().lower()
    if name not in _READ_HEADERS:
        return b""
    if name in _LISTS:
        # A list that names one thing repeatedly, or nothing beside it, is that thing.
        values = {item.strip().lower() for item in value.split(b",")} - {b"", b"identity"}
        value = b",".join(sorted(values))
    return b"%s: %s\r\n" % (name, value.strip()) if value.strip() else b""


class _Response(http.client.HTTPResponse):
    """Response that is read through the reader of its exchange."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as in the base class
        super().__init__(sock, *args, **kwargs)
        exchange = _CURRENT.get()
        self._raw_reader = _RawReader(self.fp.detach(), exchange)
        self.fp = self._reader = _Reader(self._raw_reader, exchange)

    def begin(self) -> None:
        """Read status and headers; interim responses (1xx) come before the real one and are skipped."""
        super().begin()
        while http.client.CONTINUE <= self.status < http.client.OK and self.status != http.client.SWITCHING_PROTOCOLS:
            self.headers = self.msg = None  # type: ignore[assignment] # begin() does nothing while headers are set
            super().begin()
        self._raw_reader.in_head = self._reader.in_head = False
        self._reader.reusable = self.status == http.client.OK and self._ends_in_one_way()

    def _ends_in_one_way(self) -> bool:
        """Return whether the headers say once, and without doubt, where the body ends."""
        lengths = self.headers.get_all("content-length", [])
        codings = self.headers.get_all("transfer-encoding", [])
        if codings:
            return codings == ["chunked"] and not lengths
        return len(lengths) == 1 and lengths[0].isdigit()


class _Connection(HTTPConnection):
    """Connection that registers with the exchange in progress.

    Attributes:
        exchange: the exchange that used it last.
        space: the space of all its exchanges; None before the first one.
    """

    response_class = _Response
    exchange: Exchange | None = None
    space: str | None = None
    made = used = -math.inf

    @property
    def is_connected(self) -> bool:
        """Whether the connection is open and not too old, and the other side sent nothing since the last response."""
        now = time.monotonic()
        fresh = now - self.used < _MOST_IDLE and now - self.made < _OLDEST
        return fresh and super().is_connected and not _unread(self.sock)

    def request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as in the base class
        """Send a request of the exchange in progress."""
        if self.exchange is not None:
            self.exchange.use(None)  # it may not have ended yet, and must not shut down this request
        self.exchange = _CURRENT.get()
        self.space = self.exchange.space
        self.exchange.use(self)
        self.exchange.over_used = self.sock is not None
        self.used = time.monotonic()
        super().request(*args, **kwargs)

    @property
    def sock(self) -> Any:  # noqa: ANN401 - as in the base class
        """The socket; None without a connection."""
        return self._current_sock

    @sock.setter
    def sock(self, sock: Any) -> None:  # noqa: ANN401
        self._current_sock = sock
        # Each address has a share of the time to connect; tunnel and handshake have all that is left.
        if sock is not None:
            sock.settimeout(None)

    def connect(self) -> None:
        """Connect within the time of the exchange.

        Raises:
            ConnectTimeoutError: the time is over.
            ProxyError: the proxy refused the tunnel.
            SSLError: the TLS handshake failed or stalled.
        """
        exchange = _CURRENT.get()
        self.made = time.monotonic()
        exchange.use(None)  # the wait below ends in time, and knows how far the connection got
        tunnels = bool(self.proxy) and not self.proxy_is_forwarding
        try:
            self._within(super().connect, exchange.left)
        except ssl.SSLEOFError as error:
            raise ConnectionResetError("the other side closed the connection during the TLS handshake") from error
        except (TimeoutError, FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise self._stalled(error, tunnels=tunnels) from error
        except (OSError, http.client.HTTPException) as error:
            if tunnels and not isinstance(error, ssl.SSLError):
                raise ProxyError("no tunnel", error) from error
            raise
        exchange.use(self)

    def _stalled(self, error: Exception, *, tunnels: bool) -> Exception:
        """Return the error for a connection that was not ready in time."""
        if self.sock is None:
            return ConnectTimeoutError(self, "no connection in time")
        return ProxyError("no tunnel in time", error) if tunnels else SSLError(error)

    def _within(self, connect: Callable[[], None], seconds: float) -> None:
        """Connect on a thread, as nothing can interrupt a name look-up, and wait for it.

        Raises:
            TimeoutError: it did not end in time; whatever it has opened by then, or opens later, is closed.
        """
        outcome: Future[None] = Future()
        abandoned = threading.Event()

        def run() -> None:
            try:
                connect()
            except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
                outcome.set_exception(error)
            else:
                outcome.set_result(None)
            if abandoned.is_set():
                self.close()

        threading.Thread(target=copy_context().run, args=(run,), name="connect", daemon=True).start()
        try:
            outcome.result(seconds)
        except BaseException:
            abandoned.set()
            _shut_down(_plain(self.sock))
            raise


class _TlsConnection(_Connection, HTTPSConnection):
    """The same with TLS."""


class _Idle(queue.LifoQueue[_Connection | None]):
    """Idle connections, and nothing in the places that are free; hands out only connections of the same space."""

    def _get(self) -> _Connection | None:
        current = _CURRENT.get(None)  # there is none when the pool is closed
        spaces = [connection and connection.space for connection in self.queue]
        if current and current.space in spaces and not current.over_new:
            return cast("_Connection", self.queue.pop(spaces.index(current.space)))
        # A free place, or that of the connection that has been idle for longest.
        if oldest := self.queue.pop(0):
            oldest.close()
        return oldest


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection
    QueueCls = _Idle  # type: ignore[assignment] # its type there is a variable


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
    QueueCls = _Idle  # type: ignore[assignment] # its type there is a variable


class DeadlineAdapter(HTTPAdapter):
    """Adapter of requests that uses these connections, to the server and through a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as in the base class
        """Make the pools of connections to servers."""
        super().init_poolmanager(*args, **kwargs)
        _use_deadlines(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> urllib3.ProxyManager:  # noqa: ANN401
        """Return the pools of connections through a proxy."""
        manager = cast("urllib3.ProxyManager", super().proxy_manager_for(proxy, **kwargs))
        _use_deadlines(manager)
        return manager


def _use_deadlines(manager: urllib3.PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
