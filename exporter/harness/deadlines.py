"""Connections with one deadline for a whole exchange, from the name look-up to the last byte of the body.

The timeouts of requests and urllib3 apply to a single address, handshake or read, and a name look-up has none. Here a
watchdog shuts down the socket of an exchange when its time is over, which ends any read or write.
"""

import heapq
import http.client
import io
import socket
import ssl
import threading
import time
import weakref
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


class Watchdog:
    """Thread that ends exchanges whose time is over; it stops when the last reference to this object is gone."""

    def __init__(self) -> None:
        self._waiting = _Waiting()
        threading.Thread(target=_watch, args=(self._waiting,), name="watchdog", daemon=True).start()
        weakref.finalize(self, self._waiting.add, 0.0, None).atexit = False

    def exchange(self, timeout: float) -> "Exchange":
        """Return an exchange to run in a `with` block; its seconds start now."""
        exchange = Exchange(time.monotonic() + timeout)
        self._waiting.add(exchange.deadline, exchange)
        return exchange


class _Waiting:
    """Exchanges by deadline; None stops the watchdog."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may run the finalizer of a watchdog in a thread that holds the lock.
        self.changed = threading.Condition(threading.RLock())
        self.heap: list[tuple[float, int, weakref.ref[Exchange] | None]] = []
        self._order = count()

    def add(self, deadline: float, exchange: "Exchange | None") -> None:
        with self.changed:
            entry = (deadline, next(self._order), weakref.ref(exchange) if exchange else None)
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
        if exchange := reference():
            exchange.expire()


class Exchange:
    """One request and its response.

    Attributes:
        deadline: monotonic time at which it ends.
        expired: whether it was ended because its time was over.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.expired = False
        self._lock = threading.Lock()
        self._connection: HTTPConnection | None = None

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

    def use(self, connection: HTTPConnection | None) -> None:
        """Note the connection that the exchange runs over; None when it is over."""
        with self._lock:
            self._connection = connection

    def expire(self) -> None:
        """Shut down the socket of the exchange, if it is still running."""
        with self._lock:
            sock = self._connection.sock if self._connection is not None else None
            if sock is None:
                return
            self.expired = True
            # Not SSLSocket.shutdown, which drops TLS first: a concurrent send would leave in clear text.
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close_connection(self) -> None:
        """Close the connection, so that no other exchange uses it."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()


class _RawReader(io.RawIOBase):
    """Reads from a socket.

    Attributes:
        in_head: status and headers are being read; the connection must not end there.
        stopped: nothing more may be read.
    """

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self.in_head = False
        self.stopped = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - as in the base class
        if self.stopped:
            return 0
        read = self._raw.readinto(buffer)
        if read == 0 and self.in_head:
            raise ConnectionResetError("the other side closed the connection before its response")
        return read

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Reader(io.BufferedReader):
    """Buffer of a response, which closes the connection after anything but a clean 200.

    Attributes:
        status: the HTTP status of the response; 0 before it is known.
    """

    def __init__(self, raw: _RawReader, exchange: Exchange) -> None:
        super().__init__(raw)
        self.status = 0
        self._exchange = exchange

    def read(self, size: int | None = -1, /) -> bytes:
        if (
            size is None or size < 0
        ):  # http.client passes on the negative size of a chunk: all there is, without a limit
            raise ValueError("a chunk of a negative size")
        return super().read(size)

    def close(self) -> None:
        cast("_RawReader", self.raw).stopped = True
        surplus = not self.closed and bool(self.peek(1))
        # Before the connection returns to the pool: nothing of this response may be read as the next one.
        if surplus or self.status != http.client.OK:
            self._exchange.close_connection()
        super().close()


class _Response(http.client.HTTPResponse):
    """Response that is read through the reader of its exchange."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as in the base class
        super().__init__(sock, *args, **kwargs)
        exchange = _CURRENT.get()
        self._raw_reader = _RawReader(self.fp.detach())
        self.fp = self._reader = _Reader(self._raw_reader, exchange)

    def begin(self) -> None:
        """Read status and headers; interim responses (1xx) come before the real one and are skipped."""
        # http.client takes headers that break off for complete ones, and what they say about the body for all of it.
        self._raw_reader.in_head = True
        super().begin()
        while http.client.CONTINUE <= self.status < http.client.OK and self.status != http.client.SWITCHING_PROTOCOLS:
            self.headers = self.msg = None  # type: ignore[assignment] # begin() does nothing while headers are set
            super().begin()
        self._raw_reader.in_head = False
        self._reader.status = self.status


class _Connection(HTTPConnection):
    """Connection that registers with the exchange in progress."""

    response_class = _Response
    exchange: Exchange | None = None

    def request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as in the base class
        """Send a request of the exchange in progress."""
        if self.exchange is not None:
            self.exchange.use(None)  # it may not have ended yet, and must not shut down this request
        self.exchange = _CURRENT.get()
        self.exchange.use(self)
        super().request(*args, **kwargs)

    def connect(self) -> None:
        """Connect within the time of the exchange.

        Raises:
            ConnectTimeoutError: the time is over.
            ProxyError: the proxy refused the tunnel.
            SSLError: the TLS handshake failed or stalled.
        """
        exchange = _CURRENT.get()
        exchange.use(None)  # the wait below ends in time, and knows how far the connection got
        tunnels = bool(self.proxy) and not self.proxy_is_forwarding
        try:
            _within(super().connect, exchange, self.close)
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


class _TlsConnection(_Connection, HTTPSConnection):
    """The same with TLS."""


def _within(connect: Any, exchange: Exchange, close: Any) -> None:  # noqa: ANN401 - two functions without arguments
    """Run `connect` on a thread, as nothing can interrupt a name look-up, and wait for it until the deadline.

    Raises:
        TimeoutError: it did not end in time; it is closed when it does.
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
            close()

    threading.Thread(target=copy_context().run, args=(run,), name="connect", daemon=True).start()
    try:
        outcome.result(exchange.left)
    except BaseException:
        abandoned.set()
        raise


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


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
