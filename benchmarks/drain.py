"""Lower bound: downloads pages over raw sockets, and checks only their length."""

import re
import socket
import sys
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

from benchmarks.contest import take_turns
from benchmarks.listing import Listing

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def drain(url: str, size: int, connections: int, *, in_order: bool) -> int:
    """Download a listing once, and return the number of complete pages.

    Args:
        url: URL of the listing.
        size: rows per page.
        connections: number of connections.
        in_order: download page 0 before all others, and again after them, as a walk must, which learns the number of
            pages from it; otherwise download each page once, as soon as a connection is free.
    """
    address = urlsplit(url)
    pages = Listing.at(address.path).pages(size)
    clients = [_Client(address.hostname or "", address.port or 0, address.path, size) for _ in range(connections)]
    try:
        if in_order:
            return sum([clients[0].fetch(0), _all(clients, iter(range(1, pages))), clients[0].fetch(0)])
        return _all(clients, iter(range(pages)))
    finally:
        for client in clients:
            client.sock.close()


def _all(clients: list["_Client"], pages: Iterator[int]) -> int:
    whole: list[int] = []

    def run(client: _Client) -> None:
        # `next` of a range iterator is atomic, so no page goes to two clients.
        whole.extend(client.fetch(page) for page in pages)

    threads = [threading.Thread(target=run, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(whole)


class _Client:
    def __init__(self, host: str, port: int, path: str, size: int) -> None:
        self.sock = socket.create_connection((host, port))
        self._path = path
        self._size = size
        self._buffer = bytearray(2**21)

    def fetch(self, page: int) -> int:
        """Download one page, and return 1."""
        request = f"GET {self._path}?page={page}&size={self._size} HTTP/1.1\r\nHost: x\r\n\r\n"
        self.sock.sendall(request.encode())
        got = self.sock.recv_into(self._buffer)
        head = self._buffer.index(b"\r\n\r\n", 0, got) + 4
        length = _LENGTH.search(self._buffer, 0, head)
        left = head + int(length[1]) - got if length else 0
        while left:
            left -= self.sock.recv_into(self._buffer, left)
        return 1


if __name__ == "__main__":
    url, size, connections, order = sys.argv[1:]
    take_turns(lambda: drain(url, int(size), int(connections), in_order=order == "in-order"))
