"""Clients that stall, as many as wanted all the time."""

import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_PAUSE = 0.01  # between two who come, as they are to stall and not to storm


@contextmanager
def crowd(address: tuple[str, int], clients: int, sent: bytes, *, reads: bool) -> Iterator[list[float]]:
    """Keep so many clients, who come again when they are closed; yields how long each closed one lived."""
    lives: list[float] = []
    stop = threading.Event()
    with ExitStack() as stack, selectors.DefaultSelector() as selector:

        def come() -> None:
            sock = stack.enter_context(socket.create_connection(address, timeout=10))
            sock.sendall(sent)
            if reads:
                selector.register(sock, selectors.EVENT_READ, time.monotonic())

        def come_again() -> None:
            while not stop.wait(_PAUSE):
                for key, _ in selector.select(0):
                    if not _received(key.fileobj):
                        lives.append(time.monotonic() - key.data)
                        selector.unregister(key.fileobj)
                        come()

        for _ in range(clients):
            come()
            time.sleep(_PAUSE)
        thread = threading.Thread(target=come_again)
        thread.start()
        try:
            yield lives
        finally:
            stop.set()
            thread.join()


def _received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(1000)
    except ConnectionResetError:
        return b""
