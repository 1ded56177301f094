"""Processes of `har-exporter serve`, and a client that scrapes them."""

import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from benchmarks.ours import KEY
from benchmarks.process import Process, environment, running

_PATIENCE = 120.0
_LISTENS = re.compile(r"msg=listening.* port=(\d+)")
_LARGEST = 2**24
_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Served(NamedTuple):
    """Program that serves metrics.

    Attributes:
        process: the program.
        port: its port on 127.0.0.1.
    """

    process: Process
    port: int


@contextmanager
def serving(url: str, spaces: str, **settings: str) -> Iterator[Served]:
    """Run the exporter against an upstream until the block ends; settings have the names of its file."""
    settings = {
        "base_url": url,
        "api_key": KEY,
        "spaces": spaces,
        "listen_address": "127.0.0.1:0",
        "rate_limit": "off",
        "concurrency": "8",
        "page_size": "1000",
        "sources": "off",
        **settings,
    }
    variables = {f"HAR_EXPORTER_{name.upper()}": value for name, value in settings.items()}
    inherited = {name: value for name, value in environment().items() if not name.startswith("HAR_EXPORTER_")}
    # The log goes to stderr, and stdout is empty, so both can share one pipe.
    command = ["/bin/sh", "-c", 'exec "$0" -m exporter serve 2>&1', sys.executable]
    with running(command, inherited | variables) as process:
        while not (found := _LISTENS.search(process.line())):
            pass
        yield Served(process, int(found[1]))


class Scraper:
    """Scraper that uses one connection, as Prometheus does, and one buffer, so that it costs little itself."""

    def __init__(self, port: int, *, gzip: bool = False) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        encoding = "gzip" if gzip else "identity"
        # Too short for a scrape to wait for a walk.
        self._headers = f"Host: x\r\nAccept-Encoding: {encoding}\r\nX-Prometheus-Scrape-Timeout-Seconds: 0.1\r\n\r\n"
        self._buffer = bytearray(_LARGEST)
        self._received = 0

    def get(self, path: str = "/metrics") -> bytes:
        """Return the body of a response as it was sent."""
        start = self._read(path)
        return bytes(memoryview(self._buffer)[start : self._received])

    def _read(self, path: str) -> int:
        """Read a response, and return the position of its body in the buffer."""
        self._sock.sendall(f"GET {path} HTTP/1.1\r\n{self._headers}".encode())
        self._received = 0
        while (end := self._buffer.find(_END, 0, self._received)) < 0:
            self._receive()
        start = end + len(_END)
        found = _LENGTH.search(self._buffer, 0, end)
        # Without a length the body is chunked: it ends with an empty chunk. Nothing follows before the next request.
        while self._received < start + int(found[1]) if found else not self._ends_in(b"0\r\n\r\n"):
            self._receive()
        return start

    def _receive(self) -> None:
        received = self._sock.recv_into(memoryview(self._buffer)[self._received :])
        if not received:
            raise ConnectionResetError("the response is incomplete")
        self._received += received

    def _ends_in(self, end: bytes) -> bool:
        return self._buffer.endswith(end, 0, self._received)

    def seconds(self, path: str = "/metrics") -> float:
        """Return the duration of a scrape."""
        began = time.perf_counter()
        self._read(path)
        return time.perf_counter() - began

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()


def until(true: Callable[[], object]) -> None:
    """Poll until a condition is true.

    Raises:
        TimeoutError: it did not become true in time.
    """
    deadline = time.monotonic() + _PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError("a walk did not end in time")
        time.sleep(0.02)
