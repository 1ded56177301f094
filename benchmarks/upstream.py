"""Static upstream server in a separate process, with prepared responses and the latency of their space."""

import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

from benchmarks.listing import Listing
from benchmarks.process import running

_PAGE = re.compile(r"[?&]page=(\d+)")
_SIZE = re.compile(r"[?&]size=(\d+)")


@contextmanager
def upstream() -> Iterator[str]:
    """Run the server; yields its URL."""
    with running([sys.executable, "-m", "benchmarks.upstream"]) as process:
        yield process.line().strip()


def main() -> None:
    """Serve until the process is killed."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        print("http://{}:{}".format(*server.getsockname()), flush=True)
        while True:
            client, _ = server.accept()
            threading.Thread(target=_serve, args=[client], daemon=True).start()


def _serve(client: socket.socket) -> None:
    # Blocking calls on a thread for each client, so that the kernel sends a page while other threads run.
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with suppress(ConnectionError), client, client.makefile("rb") as requests:
        while request := requests.readline():
            while requests.readline() not in (b"\r\n", b""):
                pass
            milliseconds, answer = _answer(request.split()[1].decode())
            if milliseconds:
                time.sleep(milliseconds / 1000)
            client.sendall(answer)


@cache
def _answer(target: str) -> tuple[int, bytes]:
    listing = Listing.at(target)
    page, size = (int(found[1]) if (found := parameter.search(target)) else 0 for parameter in (_PAGE, _SIZE))
    body = listing.body(page, size)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return listing.milliseconds, head.encode() + body


if __name__ == "__main__":
    main()
