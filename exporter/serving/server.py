"""The server that the endpoints are served by: uvicorn, with the deadlines that it lacks."""

import asyncio
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

import uvicorn

from exporter.serving.connections import Connection, connection
from exporter.serving.http import Application
from exporter.serving.listener import take_no_more

CONNECTIONS = 1024
"""How many connections of clients there may be at once."""

_QUEUE = 2048
_ACCEPTED_AT_ONCE = 16
_DRAIN_SECONDS = 0.5
_ARRIVAL_SECONDS = 0.5
_ANSWER_SECONDS = 2.5
_SHUTDOWN_SECONDS = 3
_CLOSE_SECONDS = 1
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Loop(asyncio.SelectorEventLoop):
    """Tells connections of their handshakes, which asyncio keeps to itself, and waits for no TLS goodbye for long."""

    async def create_server(self, *args: Any, **kwargs: Any) -> asyncio.Server:  # noqa: ANN401 - whatever uvicorn gives
        if kwargs.get("ssl") is not None:
            kwargs["ssl_shutdown_timeout"] = _CLOSE_SECONDS
        return await super().create_server(*args, **kwargs)

    def _make_ssl_transport(  # asyncio offers no other place; its name and arguments have stayed since Python 3.7
        self,
        rawsock: socket.socket,
        protocol: Connection,
        sslcontext: ssl.SSLContext,
        waiter: asyncio.Future[None],
        **kwargs: Any,  # noqa: ANN401 - whatever asyncio gives
    ) -> asyncio.Transport:
        transport: asyncio.Transport = super()._make_ssl_transport(  # type: ignore[misc] # not in typeshed
            rawsock, protocol, sslcontext, waiter, **kwargs
        )
        # Not before the transport has begun: until then it cannot be aborted.
        self.call_soon(protocol.handshake_began, transport, waiter)
        return transport


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
        connections: int = CONNECTIONS,
    ) -> None:
        """Serve nothing yet.

        Args:
            app: what to serve.
            sock: a socket that listens; it is closed at the end.
            on_shutdown: called on the event loop's thread when shutdown begins; `Endpoints.stop`, at least.
            tls: what to speak TLS with; None for plain HTTP.
            request_timeout: seconds until a connection is closed whose request has not come whole; the handshake of
                TLS and the first request have that time together.
            connections: how many connections there may be, handshakes included; one more takes the place of one that
                stalls.
        """
        config = uvicorn.Config(
            app,
            http=connection(request_timeout=request_timeout, limit=connections),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",  # its warnings are the clients' faults, as many as they like
            access_log=False,
            backlog=_ACCEPTED_AT_ONCE,  # not more, as the limit of connections is enforced only after that
            proxy_headers=False,
            server_header=False,
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

    def heed_signals(self, on_hangup: Callable[[], object]) -> None:
        """Let SIGTERM and SIGINT call `stop`, and SIGHUP something else until then; only for the main thread.

        These handlers stay: uvicorn raises the signals that it got once more when it is done, and they shall not decide
        the exit code.

        Args:
            on_hangup: called on the main thread, and on top of whatever that does.
        """
        signal.signal(signal.SIGHUP, lambda *_: self.should_exit or on_hangup())
        for number in _SIGNALS:
            signal.signal(number, self._stop_by_signal)

    def _stop_by_signal(self, *_: object) -> None:
        # The interpreter, as it ends, lets every handler go, and then a hangup would be what ends the process.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.stop()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `stop`, which may have been called already.

        Args:
            sockets: further sockets to listen on.
        """
        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(self.serve([self._sock, *(sockets or [])]))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        for sock in sockets or []:
            sock.listen(_QUEUE)  # the kernel's queue; asyncio has one figure for both
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what waits and what still comes for a moment, and end."""
        self._on_shutdown()
        # Whoever was told of this address only just now is answered too, and a load balancer sees that it is not ready.
        await asyncio.sleep(_DRAIN_SECONDS)
        take_no_more(sockets or [])
        await asyncio.sleep(_ARRIVAL_SECONDS)
        asyncio.get_running_loop().call_later(_ANSWER_SECONDS, self._cut)
        await super().shutdown(sockets)

    def _cut(self) -> None:
        """Leave those that did not read their answers by now."""
        for client in tuple(self.server_state.connections):
            client.transport.abort()
