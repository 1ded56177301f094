"""Clients that stall do not keep scrapes from their answers, and leave nothing behind."""

import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from soak.process import Exporter, exporter, until
from soak.promise import Promise, at_most, exactly
from soak.scrapes import p99, request, scrape
from upstream import Upstream, make_rows

_CLIENTS = 200
_SECONDS = 20.0
_HEADER_SECONDS = 6.0
_UNREAD_BYTES = 160 * 1024
_KINDS = {
    "never finish their headers": request(10)[:-2],
    "are idle": request(10, "/-/healthy", close=False),
    "do not read": request(10),
}


def rows() -> Iterator[Promise]:
    """Scrape a page of some megabytes beside 200 clients of each kind."""
    rows = make_rows(2000, isQuarantined=True, quarantineReason="CVE " * 40)
    with Upstream(rows) as upstream, exporter(
        upstream.url, api_key=upstream.key, spaces=upstream.space, findings_limit="5000", cache_ttl="1h"
    ) as running:  # fmt: skip
        until(lambda: b'har_up{space="acct"} 1.0' in scrape(running.address).body)
        idle = p99(_scrapes(running, 5.0)[0])
        for kind, sent in _KINDS.items():
            yield from _promises(running, kind, sent, max(3 * idle, 0.1))


def _promises(running: Exporter, kind: str, sent: bytes, limit: float) -> Iterator[Promise]:
    before = running.usage()
    with _crowd(running.address, sent, reads=kind != "do not read") as lives:
        seconds, failed = _scrapes(running, _SECONDS)
        memory = running.usage().memory - before.memory
    yield exactly(f"{_CLIENTS} clients {kind}: failed scrapes of {len(seconds)}", failed, 0)
    yield at_most(f"{_CLIENTS} clients {kind}: 99 of 100 scrapes within", p99(seconds), limit, " s")
    if kind == "never finish their headers":
        yield at_most("they are closed within", max(lives, default=_SECONDS), _HEADER_SECONDS, " s")
    yield at_most(f"{_CLIENTS} clients {kind}: memory of each", memory / _CLIENTS / 1024, _UNREAD_BYTES / 1024, " KiB")
    until(lambda: running.usage().descriptors <= before.descriptors)
    after = running.usage()
    yield at_most(f"{_CLIENTS} clients {kind}: descriptors afterwards", after.descriptors, before.descriptors)
    yield at_most(f"{_CLIENTS} clients {kind}: threads afterwards", after.threads, before.threads)


def _scrapes(running: Exporter, seconds: float) -> tuple[list[float], int]:
    end = time.monotonic() + seconds
    times, failed = [], 0
    while time.monotonic() < end:
        done = scrape(running.address)
        times.append(done.seconds)
        failed += bool(done.fault)
        time.sleep(0.02)
    return times, failed


@contextmanager
def _crowd(address: tuple[str, int], sent: bytes, *, reads: bool) -> Iterator[list[float]]:
    """Keep so many clients, who come again when they are closed; yields how long each closed one lived."""
    lives: list[float] = []
    stop = threading.Event()
    thread = threading.Thread(target=_stall, args=(address, sent, lives, stop), kwargs={"reads": reads})
    thread.start()
    try:
        yield lives
    finally:
        stop.set()
        thread.join()


def _stall(
    address: tuple[str, int], sent: bytes, lives: list[float], stop: threading.Event, *, reads: bool
) -> None:  # fmt: skip
    with ExitStack() as stack, selectors.DefaultSelector() as selector:

        def come() -> None:
            sock = stack.enter_context(socket.create_connection(address, timeout=10))
            sock.sendall(sent)
            selector.register(sock, selectors.EVENT_READ if reads else selectors.EVENT_WRITE, time.monotonic())

        for _ in range(_CLIENTS):
            come()
        while not stop.wait(0.05):
            for key, _ in selector.select(0) if reads else ():
                if not _received(key.fileobj):
                    lives.append(time.monotonic() - key.data)
                    selector.unregister(key.fileobj)
                    come()


def _received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(1000)
    except ConnectionResetError:
        return b""
