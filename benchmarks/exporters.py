"""`har-exporter serve` as a user runs it, and scrapes of it."""

import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from benchmarks.ours import KEY
from benchmarks.process import Process, running

_PATIENCE = 120.0
_LISTENS = re.compile(r"msg=listening.* port=(\d+)")
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Served(NamedTuple):
    """A program that serves metrics.

    Attributes:
        process: the program.
        port: where it listens on 127.0.0.1.
    """

    process: Process
    port: int


@contextmanager
def serving(url: str, spaces: str, **settings: str) -> Iterator[Served]:
    """Run the exporter over an upstream until the block ends; settings are named as in its file."""
    settings = {
        "base_url": url,
        "api_key": KEY,
        "spaces": spaces,
        "listen_address": "127.0.0.1:0",
        "rate_limit": "off",
        "concurrency": "8",
        "page_size": "1000",
        **settings,
    }
    variables = {f"HAR_EXPORTER_{name.upper()}": value for name, value in settings.items()}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HAR_EXPORTER_")}
    # Its log goes to the error output, which is joined to what it prints: nothing.
    command = ["/bin/sh", "-c", 'exec "$0" -m exporter serve 2>&1', sys.executable]
    with running(command, inherited | variables) as process:
        while not (found := _LISTENS.search(process.line())):
            pass
        yield Served(process, int(found[1]))


class Scraper:
    """Scrapes over one connection, as Prometheus does."""

    def __init__(self, port: int, *, gzip: bool = False) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        encoding = "gzip" if gzip else "identity"
        # So little time that no scrape waits for a walk.
        self._headers = f"Host: x\r\nAccept-Encoding: {encoding}\r\nX-Prometheus-Scrape-Timeout-Seconds: 0.1\r\n\r\n"

    def get(self, path: str = "/metrics") -> bytes:
        """Return the body of an answer, as it was sent."""
        self._sock.sendall(f"GET {path} HTTP/1.1\r\n{self._headers}".encode())
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._receive()
        found = _LENGTH.search(received, 0, end)
        if found is None:
            return self._chunked(received, end + 4)
        while len(received) < end + 4 + int(found[1]):
            received += self._receive()
        return bytes(received[end + 4 :])

    def _receive(self) -> bytes:
        received = self._sock.recv(2**20)
        if not received:
            raise ConnectionResetError("the answer breaks off")
        return received

    def _chunked(self, received: bytearray, start: int) -> bytes:
        # Sent in chunks; the last one is empty, and nothing follows it before the next request.
        while not received.endswith(b"0\r\n\r\n"):
            received += self._receive()
        return bytes(received[start:])

    def seconds(self, path: str = "/metrics") -> float:
        """Return how long a scrape takes."""
        began = time.perf_counter()
        self.get(path)
        return time.perf_counter() - began

    def close(self) -> None:
        """End the connection."""
        self._sock.close()


def until(true: Callable[[], object]) -> None:
    """Poll until something is true.

    Raises:
        TimeoutError: it did not become so.
    """
    deadline = time.monotonic() + _PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError("a walk does not end")
        time.sleep(0.02)
