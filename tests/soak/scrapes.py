"""Scrapes as Prometheus makes them, and what is wrong with their answers."""

import re
import socket
import time
from contextlib import suppress
from typing import NamedTuple

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)

REFUSED = "refused"
"""Nobody listens, or no more: not a broken answer, as nothing was asked."""


class Scrape(NamedTuple):
    """One scrape.

    Attributes:
        seconds: from the connection to the last byte.
        fault: what is wrong with the answer; empty for a whole page.
        body: the page.
    """

    seconds: float
    fault: str
    body: bytes = b""


def request(timeout: float, path: str = "/metrics", *, close: bool = True) -> bytes:
    """Return the bytes of a scrape's request; the timeout is the scraper's own, seconds."""
    end = "Connection: close\r\n\r\n" if close else "\r\n"
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Prometheus-Scrape-Timeout-Seconds: {timeout}\r\n{end}".encode()


def scrape(address: tuple[str, int], timeout: float = 10.0) -> Scrape:
    """Scrape once, over a connection of its own."""
    began = time.monotonic()
    try:
        sock = socket.create_connection(address, timeout=30)
    except (ConnectionRefusedError, ConnectionResetError):
        return Scrape(0.0, REFUSED)
    received = bytearray()
    with sock, suppress(OSError):
        sock.sendall(request(timeout))
        while data := sock.recv(1 << 20):
            received += data
    return _judged(time.monotonic() - began, bytes(received))


def _judged(seconds: float, received: bytes) -> Scrape:
    head, _, body = received.partition(b"\r\n\r\n")
    length = _LENGTH.search(head + b"\r\n")
    if not length:
        return Scrape(seconds, "no answer")
    if int(length[1]) != len(body):
        return Scrape(seconds, "half an answer")
    status = head.split()[1].decode()
    return Scrape(seconds, "" if status == "200" else status, body)


def p99(seconds: list[float]) -> float:
    """Return the time that 99 of 100 stay within."""
    return sorted(seconds)[int(len(seconds) * 0.99)]
