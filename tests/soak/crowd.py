"""Crowd of stalling clients, constant in number."""

import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_PAUSE = 0.01  # between two new clients, as they should stall, not flood, the server


@contextmanager
def crowd(address: tuple[str, int], clients: int, sent: bytes, *, reads: bool) -> Iterator[list[float]]:
    """Keep a number of clients connected, and reconnect those that are closed; yields the lifetimes of closed ones."""
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
