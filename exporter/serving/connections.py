"""A client's connection: how long it may take over a request, and when it has to make room for another one."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 22\r\nConnection: close\r\n\r\nToo many connections.\n"
)


class Connection(H11Protocol):
    """Speaks HTTP with one client, and trusts it with neither time nor room, where uvicorn waits for ever.

    A connection whose request does not come whole in time is closed. One connection more than the limit closes the one
    that waits for its client longest, be it for the handshake of TLS, for a request or for an answer to be read: which
    connection brings a health check is not known before its request is there, so places kept for those would be taken
    by whoever stalls. Only where every connection is being answered the new one is refused.

    Attributes:
        request_timeout: seconds that a request may take to come whole, the first one together with the handshake.
        limit: how many connections there may be.
        waiting: the connections that wait for their clients, longest first; one table for all of a server.
    """

    request_timeout: float
    limit: int
    waiting: dict["Connection", None]
    _deadline: asyncio.TimerHandle | None = None

    def handshake_began(self, transport: asyncio.Transport, over: asyncio.Future[None]) -> None:
        """Begin to wait for the handshake of TLS; only where there is one, before `connection_made`.

        Args:
            transport: what the connection will be made over.
            over: done when the handshake has ended, well or not.
        """
        self.transport = transport
        self.connections.add(self)
        self._come_in()
        over.add_done_callback(self._handshake_ended)

    def _handshake_ended(self, _: asyncio.Future[None]) -> None:
        if self.flow is None:  # `connection_made` was not called, so that nobody will call `connection_lost`
            self.connection_lost(None)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in the base class
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._come_in()

    def _come_in(self) -> None:
        if not self._deadline:
            self._set_deadline()
        self._note()
        if len(self.connections) > self.limit:
            next(iter(self.waiting))._make_room(self)  # noqa: SLF001 - of this class

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        super().connection_lost(exc)
        self.waiting.pop(self, None)
        self._drop_deadline()

    def data_received(self, data: bytes) -> None:
        """Take what came of a request."""
        super().data_received(data)
        whole = self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)
        if whole:
            self._drop_deadline()
        elif not self._deadline:
            self._set_deadline()
        self._note()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._note()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._note()

    def resume_writing(self) -> None:
        """Go on with the answer."""
        super().resume_writing()
        self._note()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request; where it is the rest of one whose answer began, there is no room for another."""
        if self.conn.our_state is h11.IDLE:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _note(self) -> None:
        """Note whether it is the client's turn."""
        if self.conn.our_state in {h11.SEND_RESPONSE, h11.SEND_BODY} and not self.flow.write_paused:
            self.waiting.pop(self, None)
        else:
            self.waiting.setdefault(self)

    def _make_room(self, newest: "Connection") -> None:
        # The transport tells of its end only later, and by then others may have come.
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
    """Return the class for the connections of one server; uvicorn makes them itself, and hands no figures on."""
    figures = {"request_timeout": request_timeout, "limit": limit, "waiting": {}}
    return type("Connection", (Connection,), figures)
