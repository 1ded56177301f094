"""Scrapes as Prometheus makes them, and what is wrong with their answers."""

import re
import socket
import ssl
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


def scrape(address: tuple[str, int], timeout: float = 10.0, tls: ssl.SSLContext | None = None) -> Scrape:
    """Scrape once, over a connection of its own."""
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


def scrape_for(seconds: float, address: tuple[str, int], tls: ssl.SSLContext | None = None) -> list[Scrape]:
    """Scrape one after another for some time."""
    end = time.monotonic() + seconds
    done = []
    while time.monotonic() < end:
        done.append(scrape(address, tls=tls))
        time.sleep(0.02)
    return done


def _judged(seconds: float, received: bytes) -> Scrape:
    head, _, body = received.partition(b"\r\n\r\n")
    length = _LENGTH.search(head + b"\r\n")
    if not length:
        return Scrape(seconds, "no answer")
    if int(length[1]) != len(body):
        return Scrape(seconds, "half an answer")
    status = head.split()[1].decode()
    return Scrape(seconds, "" if status == "200" else status, body)


def p99(scrapes: list[Scrape]) -> float:
    """Return the seconds that 99 of 100 scrapes stay within."""
    return sorted(scrape.seconds for scrape in scrapes)[int(len(scrapes) * 0.99)]


def patience(idle: list[Scrape]) -> float:
    """Return the seconds that scrapes may take beside clients that misbehave: little more than without."""
    return max(3 * p99(idle), 0.1)
