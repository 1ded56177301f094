"""A server that writes bytes as a test gives them: for what no HTTP library would send.

A behaviour is a function of the server and of a connection's socket; the connection is closed when it returns.
"""

import contextlib
import socket
import threading

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

_PACE = 0.05  # seconds between two drops


class RawServer:
    """Answers each connection with its behaviour.

    Attributes:
        behave: the behaviour; may be changed while the server runs, as the next one may.
        context: how to speak TLS; None for none.
        address: host and port, inside the context.
        elsewhere: the address of another server, for behaviours that name it.
        connections: how many there were.
        requests: the heads of all requests, as they came.
        over: set when the server ends.
    """

    def __init__(self, behave, context=None):
        self.behave, self.context = behave, context
        self.over = threading.Event()
        self.connections = 0
        self.requests = []
        self.elsewhere = ""

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Refuse connections from now on."""
        self.over.set()
        # Only this wakes the thread that accepts, which would take one more connection.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def read(self, sock):
        """Read and note the head of a request; raises where the client hung up, which ends the behaviour."""
        head = b""
        while b"\r\n\r\n" not in head:
            chunk = sock.recv(65536)
            if not chunk:
                raise ConnectionAbortedError
            head += chunk
        self.requests.append(head)
        return head

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with contextlib.suppress(OSError), sock:
            if self.context:
                sock = self.context.wrap_socket(sock, server_side=True)
            with sock:
                self.behave(self, sock)


def sends(*parts):
    """Return the behaviour that reads a request and sends these bytes."""

    def behave(server, sock):
        server.read(sock)
        for part in parts:
            sock.sendall(part)

    return behave


def drips(first, drop):
    """Return the behaviour that sends something and then drops for ever."""

    def behave(server, sock):
        server.read(sock)
        sock.sendall(first)
        while not server.over.wait(_PACE):
            sock.sendall(drop)

    return behave


def hangs(server, sock):
    """Read a request and answer nothing."""
    server.read(sock)
    server.over.wait(10)


def stalls(server, _):
    """Accept and do nothing at all."""
    server.over.wait(10)
