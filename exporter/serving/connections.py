"""Connection of a client, with a deadline for its requests."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """HTTP connection of one client; one without a complete request at its deadline is closed.

    uvicorn alone waits for a request without a limit.

    Attributes:
        request_timeout: seconds that a request may take to arrive.
    """

    request_timeout: float
    _deadline: asyncio.TimerHandle | None = None

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
