"""A server whose answers are followed by others that nobody asked for; what it lists names the space it belongs to."""

import contextlib
import random
import re
import threading
import time

from tests.support.listings import body_of
from tests.support.rawserver import HEAD
from tests.support.upstream import make_rows

SPACES = tuple(f"acct/space-{number}" for number in range(8))

_ROWS = 250
_LATE = 0.3  # seconds; most answers come much sooner


def registry_of(space):
    """Return the registry of all rows of a space."""
    return space.replace("/", "-")


def full_answer(space, page=0, size=100):
    """Return a complete response with a page of a space."""
    rows = make_rows(_ROWS, registryIdentifier=registry_of(space))[page * size :][:size]
    body = body_of(rows, itemCount=_ROWS, pageSize=size)
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


class _Connection:
    """Socket that several threads send answers over."""

    def __init__(self, sock):
        self._sock = sock
        self._lock = threading.Lock()

    def send(self, *parts):
        with self._lock:
            for part in parts:
                self._sock.sendall(part)

    def send_late(self, part):
        timer = threading.Timer(_LATE * random.random() ** 4, self._send_if_open, [part])
        timer.daemon = True
        timer.start()

    def _send_if_open(self, part):
        with contextlib.suppress(OSError):
            self.send(part)


def _interim(status):
    return lambda connection, answer: connection.send(b"HTTP/1.1 %d Wait\r\nLink: </x>\r\n\r\n" % status * 2, answer)


def _no_content(connection, answer):
    connection.send(b"HTTP/1.1 204 None\r\nContent-Length: %d\r\n\r\n" % len(answer), answer)


def _late(connection, answer):
    if random.random() < 0.1:
        time.sleep(2 * _LATE)
    connection.send(answer)
    connection.send_late(answer)


FAULTS = {
    "103": (0.5, _interim(103)),
    "102": (0.5, _interim(102)),
    "204": (0.1, _no_content),
    "304": (0.1, lambda connection, answer: connection.send(b"HTTP/1.1 304 Same\r\n\r\n", answer)),
    "surplus": (0.5, lambda connection, answer: connection.send(answer + answer[: len(answer) // 2])),
    "late": (0.5, _late),
    "doubled": (0.5, lambda connection, answer: connection.send(answer, answer)),
}
"""Shares of the answers, and what is sent in their place; by name. Refreshes fail by 204 and 304."""


def answers(fault):
    """Return the behaviour of a server with a fault."""
    share, send_with_fault = FAULTS[fault]

    def behave(server, sock):
        connection = _Connection(sock)
        while head := server.read(sock):
            space, page, size = re.search(rb"/spaces/(.+)/\+/.*[?&]page=(\d+)&size=(\d+)", head).groups()
            answer = full_answer(space.decode(), int(page), int(size))
            if random.random() < share:
                send_with_fault(connection, answer)
            else:
                connection.send(answer)

    return behave
