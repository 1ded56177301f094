"""Connection of a client, with a deadline for requests and a limit on the number of connections."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 22\r\nConnection: close\r\n\r\nToo many connections.\n"
)


class Connection(H11Protocol):
    """HTTP connection of one client, with deadlines; uvicorn alone waits without limit.

    A connection without a complete request at its deadline is closed. If a new connection exceeds the limit, the one
    that has waited longest for its client is closed: for a TLS handshake, for a request, or for a response to be read.
    If all connections are being answered, the new one is refused.

    Attributes:
        request_timeout: seconds that a request may take to arrive; the first one shares them with the handshake.
        limit: maximum number of connections.
        waiting: the connections that wait for their clients, the longest first; shared by all connections of a server.
    """

    # Places reserved for health checks would not help: a stalled client takes them before it has sent a request.

    request_timeout: float
    limit: int
    waiting: dict["Connection", None]
    _deadline: asyncio.TimerHandle | None = None

    def handshake_began(self, transport: asyncio.Transport, over: asyncio.Future[None]) -> None:
        """Start to wait for the TLS handshake; called before `connection_made`, and only with TLS.

        Args:
            transport: the transport of the connection.
            over: done when the handshake has ended, successful or not.
        """
        self.transport = transport
        self.connections.add(self)
        self._come_in()
        over.add_done_callback(self._handshake_ended)

    def _handshake_ended(self, _: asyncio.Future[None]) -> None:
        # Set by `connection_made`: without that call asyncio never calls `connection_lost`.
        if self.flow is None:
            self.connection_lost(None)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in the base class
        """Start to wait for a request."""
        super().connection_made(transport)
        self._come_in()

    def _come_in(self) -> None:
        if not self._deadline:
            self._set_deadline()
        self._note()
        if len(self.connections) > self.limit:
            next(iter(self.waiting))._make_room(self)  # noqa: SLF001 - of this class

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting the connection."""
        super().connection_lost(exc)
        self.waiting.pop(self, None)
        self._drop_deadline()

    def data_received(self, data: bytes) -> None:
        """Handle received data, and set or drop the deadline of the request."""
        super().data_received(data)
        whole = self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)
        if whole:
            self._drop_deadline()
        elif not self._deadline:
            self._set_deadline()
        self._note()

    def on_response_complete(self) -> None:
        """Start to wait for the next request."""
        super().on_response_complete()
        self._note()

    def pause_writing(self) -> None:
        """Start to wait for the client to read."""
        super().pause_writing()
        self._note()

    def resume_writing(self) -> None:
        """Continue with the response."""
        super().resume_writing()
        self._note()

    def send_400_response(self, msg: str) -> None:
        """Answer 400 to an invalid request."""
        # If a response to its valid beginning has started, h11 refuses a second one.
        if self.conn.our_state is h11.IDLE:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _note(self) -> None:
        """Record whether the connection waits for its client."""
        if self.conn.our_state in {h11.SEND_RESPONSE, h11.SEND_BODY} and not self.flow.write_paused:
            self.waiting.pop(self, None)
        else:
            self.waiting.setdefault(self)

    def _make_room(self, newest: "Connection") -> None:
        # Not left to `connection_lost`, which is called later: until then more connections may arrive.
        self.waiting.pop(self, None)
        self.connections.discard(self)
        if self is newest:
            self.transport.write(_REFUSAL)
            self.transport.close()
        else:
            self.transport.abort()

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.request_timeout, self.transport.abort)

    def _drop_deadline(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None


def connection(*, request_timeout: float, limit: int) -> type[Connection]:
    """Return the class for the connections of one server."""
    # A class, because uvicorn creates the connections itself and passes no arguments for them.
    figures = {"request_timeout": request_timeout, "limit": limit, "waiting": {}}
    return type("Connection", (Connection,), figures)
