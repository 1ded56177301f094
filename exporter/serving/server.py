"""HTTP server: uvicorn, with the deadlines that it lacks."""

import asyncio
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
import uvicorn

from exporter.clock import SystemClock
from exporter.log import LoggedStates
from exporter.serving.connections import connection
from exporter.serving.http import Application

CONNECTIONS = 1024
"""Maximum number of client connections; requests on further ones get 503."""

_QUEUE = 2048  # uvicorn's default
_ACCEPTED_AT_ONCE = 16
# The phases of a shutdown; with them the process ends within the 5 s that `stop` promises.
_DRAIN_SECONDS = 0.5
_ANSWER_SECONDS = 2.5
_SHUTDOWN_SECONDS = 3  # longer than _ANSWER_SECONDS, so that uvicorn finds no open connection and logs no error

_CLOSE_SECONDS = 1  # asyncio waits 30 s for the close_notify of TLS
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_REPEAT_AFTER = 600.0

_log = structlog.get_logger()


class _Loop(asyncio.SelectorEventLoop):
    """Event loop that limits how long a TLS connection takes to open and to close; asyncio waits 60 s and 30 s."""

    def __init__(self, handshake_timeout: float) -> None:
        super().__init__()
        self._handshake_timeout = handshake_timeout

    async def create_server(self, *args: Any, **kwargs: Any) -> asyncio.Server:  # noqa: ANN401 - as uvicorn passes them
        if kwargs.get("ssl") is not None:
            kwargs |= {"ssl_handshake_timeout": self._handshake_timeout, "ssl_shutdown_timeout": _CLOSE_SECONDS}
        return await super().create_server(*args, **kwargs)


class Server(uvicorn.Server):
    """Serves an application until `stop` is called.

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
        connections: int = CONNECTIONS,
    ) -> None:
        """Prepare to serve.

        Args:
            app: the application.
            sock: a listening socket; it is closed at the end.
            on_shutdown: called on the event loop's thread when the shutdown begins; must call `Endpoints.stop`.
            tls: the TLS context; None for plain HTTP.
            request_timeout: seconds after which a TLS handshake or a request that is not complete ends its connection.
            connections: maximum number of connections; requests on further ones get 503.
        """
        config = _config(app, request_timeout, connections)
        config.load()
        config.ssl = tls  # load() would make one of its own
        super().__init__(config)
        self.ready = threading.Event()
        self._sock = sock
        self._request_timeout = request_timeout
        self._logged = LoggedStates(SystemClock(), repeat_after=_REPEAT_AFTER)
        self._on_shutdown = on_shutdown

    def stop(self, *_: object) -> None:
        """Begin the shutdown; `run` returns within 5 s, even if clients stall."""
        self.should_exit = True

    def handle_signals(self, on_hangup: Callable[[], object]) -> None:
        """Handle SIGTERM and SIGINT with `stop`, and SIGHUP with a callback until then; only for the main thread.

        Args:
            on_hangup: called on the main thread; it may interrupt any code there.
        """
        # These handlers stay installed: at its end uvicorn raises the signals that it caught again, and the default
        # handlers would then decide the exit code.
        signal.signal(signal.SIGHUP, lambda *_: self.should_exit or on_hangup())
        for number in _SIGNALS:
            signal.signal(number, self._stop_by_signal)

    def _stop_by_signal(self, *_: object) -> None:
        # The interpreter removes all handlers as it exits; after that a SIGHUP would kill the process.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.stop()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `stop`, which may have been called already.

        Args:
            sockets: additional listening sockets.
        """
        with asyncio.Runner(loop_factory=partial(_Loop, self._request_timeout)) as runner:
            runner.run(self.serve([self._sock, *(sockets or [])]))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections."""
        asyncio.get_running_loop().set_exception_handler(self._log_error)
        await super().startup(sockets)
        for sock in sockets or []:
            # asyncio has one number for both, and has set the kernel's queue to _ACCEPTED_AT_ONCE.
            sock.listen(_QUEUE)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer waiting and arriving requests for a moment, then close all connections."""
        self._on_shutdown()
        # Clients that have just looked up this address are still answered, and load balancers see that it is not ready.
        await asyncio.sleep(_DRAIN_SECONDS)
        asyncio.get_running_loop().call_later(_ANSWER_SECONDS, self._cut)
        await super().shutdown(sockets)

    def _log_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log an error of the event loop; asyncio repeats one for each connection that it cannot accept."""
        error = context.get("exception")
        if not isinstance(error, OSError):
            loop.default_exception_handler(context)
        elif self._logged.is_new("server", context["message"]):
            _log.error("connections cannot be accepted", problem=error.strerror)

    def _cut(self) -> None:
        """Abort the connections of clients that have not read their responses."""
        for client in tuple(self.server_state.connections):
            client.transport.abort()


def _config(app: Application, request_timeout: float, connections: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=connection(request_timeout=request_timeout),
        limit_concurrency=connections + 1,  # it counts the new connection too
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="error",  # its warnings report errors of clients, which could flood the log
        access_log=False,
        backlog=_ACCEPTED_AT_ONCE,  # asyncio logs as many errors in a row when no descriptor is free
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
