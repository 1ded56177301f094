"""HTTP/1.1 server on loopback that answers each request by one function."""

import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import NamedTuple
from urllib.parse import parse_qs

Query = Mapping[str, Sequence[str]]

_POLL = 0.05  # seconds until the server notices that it is stopped


class Request(NamedTuple):
    """Request of a client.

    Attributes:
        method: `GET` and others.
        path: still percent-encoded, without the query.
        query: decoded; every parameter with its values in order, empty ones included.
        headers: by lower-case name.
    """

    method: str
    path: str
    query: Query
    headers: Mapping[str, str]


class Response(NamedTuple):
    """Response as it is sent; only `Server` and `Date` are added.

    Attributes:
        status: the HTTP status.
        headers: names and values; a body needs its `Content-Length`.
        body: the bytes as sent.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def first(query: Query, name: str) -> str | None:
    """Return the first value of a parameter; None if it is absent."""
    return query[name][0] if name in query else None


class Listener(ThreadingTCPServer):
    """Server with one thread per connection."""

    # HTTPServer would look up the host name in the DNS before it listens.
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, answer: Callable[[Request], Response]) -> None:
        """Listen on a free port.

        Args:
            answer: makes the response to a request; an `OSError` closes the connection without one.
        """
        self.answer = answer
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        """Answer requests on a thread of its own."""
        threading.Thread(target=self.serve_forever, args=(_POLL,), name="demo-registry", daemon=True).start()

    def get_request(self) -> tuple[socket.socket, object]:
        """Accept a connection, to be ended by `close`."""
        connection, address = super().get_request()
        self.open.add(connection)
        return connection, address

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Ignore clients that disconnect; report bugs."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def close(self) -> None:
        """Stop, and end open connections too."""
        self.shutdown()
        self.server_close()
        for connection in tuple(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: Listener
    protocol_version = "HTTP/1.1"
    server_version = "har-demo"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1  # one write for head and body

    def do_GET(self) -> None:
        answer = self.server.answer(self._request())
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET  # noqa: N815

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        super().finish()

    def _request(self) -> Request:
        # An unread body would be parsed as the next request of the connection.
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, path, parse_qs(query, keep_blank_values=True), headers)

    def log_message(self, *_: object) -> None:
        """Log nothing: stderr belongs to the exporter."""
