"""The server that the endpoints are served by: uvicorn, with the deadlines that it lacks."""

import asyncio
import errno
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from exporter.asgi import Application

_CONNECTIONS = 1024
_UNREAD_MILLISECONDS = 30_000
_SHUTDOWN_SECONDS = 4
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: a name or an address; empty for every interface, by IPv6 too where the host has it.
        port: 0 for any that is free.

    Raises:
        OSError: the address cannot be used.
    """
    if host in ("", "::") and socket.has_dualstack_ipv6():
        sock = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    else:
        family, address = _resolve(host, port)
        sock = socket.create_server(address, family=family)
    # Otherwise a client that does not read its answer keeps it in memory for ever; accepted sockets inherit this.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MILLISECONDS)
    return sock


def _resolve(host: str, port: int) -> tuple[int, Any]:
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)  # noqa: S104 - see `listen`
    except UnicodeError:
        raise OSError(errno.EINVAL, "not a host name") from None
    return found[0][0], found[0][4]


class _Protocol(H11Protocol):
    """Closes a connection whose request does not come whole in time, where uvicorn waits for ever."""

    request_timeout: float
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in the base class
        super().connection_made(transport)
        self._set_deadline()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        whole = self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)
        if whole and self._deadline:
            self._deadline.cancel()
            self._deadline = None
        elif not whole and not self._deadline:
            self._set_deadline()

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.request_timeout, self.transport.abort)


class Server(uvicorn.Server):
    """Serves an application until it is told to stop.

    Attributes:
        ready: set once requests are answered.
    """

    def __init__(
        self,
        app: Application,
        sock: socket.socket,
        *,
        on_shutdown: Callable[[], None],
        tls: ssl.SSLContext | None = None,
        request_timeout: float = 5.0,
    ) -> None:
        """Serve nothing yet.

        Args:
            app: what to serve.
            sock: a socket that listens; it is closed at the end.
            on_shutdown: called on the event loop's thread when shutdown begins; `Endpoints.stop`, at least.
            tls: what to speak TLS with; None for plain HTTP.
            request_timeout: seconds until a connection is closed whose request has not come whole.
        """
        protocol = type("Protocol", (_Protocol,), {"request_timeout": request_timeout})
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )
        config.load()
        config.ssl = tls
        super().__init__(config)
        self.ready = threading.Event()
        self._sock = sock
        self._on_shutdown = on_shutdown

    def stop(self, *_: object) -> None:
        """Begin the shutdown; `run` returns soon after, within 5 s whatever the clients do."""
        self.should_exit = True

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `stop`, or until SIGTERM or SIGINT where this is the main thread.

        The handlers of these signals stay: uvicorn raises the signals that it got once more when it is done, and they
        shall not decide the exit code.

        Args:
            sockets: further sockets to listen on.
        """
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                signal.signal(number, self.stop)
        super().run([self._sock, *(sockets or [])])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what waits, and end."""
        self._on_shutdown()
        await super().shutdown(sockets)
