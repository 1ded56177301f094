"""Scrapes as Prometheus sends them, and the faults of their responses."""

import re
import socket
import ssl
import time
from contextlib import suppress
from typing import NamedTuple

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)

REFUSED = "refused"
"""Fault of a refused connection; not a broken response, because no request was sent."""

RESET = "no response"
"""Fault of a connection that ended before its response; the kernel resets those that nobody has accepted."""


class Scrape(NamedTuple):
    """Result of one scrape.

    Attributes:
        seconds: time from the connection to the last byte.
        fault: the fault of the response; empty for a complete page.
        body: the page.
    """

    seconds: float
    fault: str
    body: bytes = b""


def request(timeout: float, path: str = "/metrics", *, close: bool = True) -> bytes:
    """Return the bytes of a request; the timeout is that of the scraper, in seconds."""
    end = "Connection: close\r\n\r\n" if close else "\r\n"
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Prometheus-Scrape-Timeout-Seconds: {timeout}\r\n{end}".encode()


def scrape(address: tuple[str, int], timeout: float = 10.0, tls: ssl.SSLContext | None = None) -> Scrape:
    """Scrape once, over a new connection."""
    began = time.monotonic()
    try:
        sock = socket.create_connection(address, timeout=30)
    except (ConnectionRefusedError, ConnectionResetError):
        return Scrape(0.0, REFUSED)
    received = bytearray()
    with suppress(OSError), tls.wrap_socket(sock, server_hostname=address[0]) if tls else sock as stream:
        stream.sendall(request(timeout))
        while data := stream.recv(1 << 20):
            received += data
    return _judged(time.monotonic() - began, bytes(received))


def scrape_for(
    seconds: float, address: tuple[str, int], tls: ssl.SSLContext | None = None, timeout: float = 10.0
) -> list[Scrape]:
    """Scrape repeatedly for some time."""
    end = time.monotonic() + seconds
    done = []
    while time.monotonic() < end:
        done.append(scrape(address, timeout, tls))
        time.sleep(0.02)
    return done


def _judged(seconds: float, received: bytes) -> Scrape:
    head, _, body = received.partition(b"\r\n\r\n")
    length = _LENGTH.search(head + b"\r\n")
    if not length:
        return Scrape(seconds, RESET if not received else "incomplete head")
    if int(length[1]) != len(body):
        return Scrape(seconds, "incomplete response")
    status = head.split()[1].decode()
    return Scrape(seconds, "" if status == "200" else status, body)


def p99(scrapes: list[Scrape]) -> float:
    """Return the 99th percentile of the durations, in seconds."""
    return sorted(scrape.seconds for scrape in scrapes)[int(len(scrapes) * 0.99)]


def patience(idle: list[Scrape]) -> float:
    """Return the limit for scrapes next to stalling clients, calculated from scrapes without them."""
    return max(3 * p99(idle), 0.1)
