"""Connection of a client, with a deadline for its requests."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle


class Connection(H11Protocol):
    """HTTP connection of one client; one without a complete request at its deadline is closed.

    uvicorn alone waits for a request without a limit.

    Attributes:
        request_timeout: seconds that a request may take to arrive.
    """

    request_timeout: float
    _deadline: asyncio.TimerHandle | None = None
    _half_closed = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in the base class
        """Start to wait for a request."""
        super().connection_made(transport)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        super().connection_lost(exc)
        self._drop_deadline()

    def data_received(self, data: bytes) -> None:
        """Handle received data, and set or drop the deadline of the request."""
        super().data_received(data)
        whole = self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)
        if whole:
            self._drop_deadline()
        elif not self._deadline:
            self._set_deadline()

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio uses what it returns
        """Answer the requests of a client that sends no more; TLS has no connections that are open in one direction."""
        self._half_closed = True
        if self._is_answering():
            self.cycle.message_event.set()
        self._close_if_answered()
        return self.scheme == "http"

    def on_response_complete(self) -> None:
        """Handle the next request, or close the connection if there is none."""
        super().on_response_complete()
        if self._half_closed:
            self._close_if_answered()

    def _close_if_answered(self) -> None:
        if self._is_answering():
            return
        begun, _ = self.conn.trailing_data
        if begun and self.conn.their_state is h11.IDLE:
            self.send_400_response("Incomplete HTTP request received.")
        else:
            self.transport.close()

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def send_400_response(self, msg: str) -> None:
        """Answer 400 to an invalid request."""
        # If a response to its valid beginning has started, h11 refuses a second one.
        if self.conn.our_state is h11.IDLE:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.request_timeout, self.transport.abort)

    def _drop_deadline(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None


def connection(*, request_timeout: float) -> type[Connection]:
    """Return the class for the connections of one server."""
    # A class, because uvicorn creates the connections itself and passes no arguments for them.
    return type("Connection", (Connection,), {"request_timeout": request_timeout})
