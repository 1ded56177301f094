"""Answers that are small on the wire and large once they are decoded take little memory, and delay no scrape."""

import gzip
import queue
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.soak.process import Exporter, exporter, until
from tests.soak.promise import Promise, at_most
from tests.soak.scrapes import scrape
from tests.support.amplified import KINDS, ON_EVERY_PAGE, body_of
from tests.support.faults import answer
from tests.support.listings import body_of as listing_of
from tests.support.rawserver import RawServer

_BODY = 16 * 2**20 - 2**10
_PATIENCE = 120.0
_MEBIBYTE = 2**20
_LIMITS = {1: 32, 4: 128}
"""Mebibytes by the number of spaces that get such an answer at once."""


def rows() -> Iterator[Promise]:
    """Answer spaces with each kind, one at a time and four at a time."""
    for spaces, limit in _LIMITS.items():
        growths, slowest = _measured(spaces)
        worst = max(growths, key=growths.__getitem__)
        text = f"{len(growths)} kinds of large answers, {spaces} at once"
        yield at_most(f"{text}: memory growth, most by {worst!r}", growths[worst], limit, " MiB")
        yield at_most(f"{text}: slowest scrape", slowest, 1.0, " s")


def _measured(spaces: int) -> tuple[dict[str, float], float]:
    """Return the growth of memory by kind, what stays of it included, and the time of the slowest scrape."""
    names = [f"acct/kind-{number}/space-{space}" for number in range(len(KINDS)) for space in range(spaces)]
    gate = _Gate()
    with RawServer(gate.behave) as server, exporter(
        f"http://{server.address}", api_key="pat.acct.id.soak-test", spaces=",".join(names), page_size="1000",
        concurrency="4", rate_limit="off", cache_ttl="1h",
    ) as running, _scraping(running) as seconds:  # fmt: skip
        growths = {}
        before = running.usage().memory
        for _ in KINDS:
            waiting = [gate.waiting.get(timeout=_PATIENCE) for _ in range(spaces)]
            running.forget_peak()
            for _, released in waiting:
                released.set()
            spaces_of_kind = [space for space, _ in waiting]
            until(lambda names=spaces_of_kind: _are_over(running, names), _PATIENCE)
            gate.over.update(spaces_of_kind)
            growths[_kind(waiting[0][0])] = (running.peak() - before) / _MEBIBYTE
    return growths, max(seconds)


def _kind(space: str) -> str:
    return KINDS[int(re.search(r"kind-(\d+)/", space)[1])]


def _are_over(running: Exporter, spaces: list[str]) -> bool:
    """Return whether the first refresh of each of these spaces is over."""
    page = scrape(running.address, timeout=0.6).body.decode()
    return all(
        f'har_up{{space="{space}"}} 1.0' in page or re.search(rf'failures_total{{.*space="{space}"}} 1', page)
        for space in spaces
    )


class _Gate:
    """Server's side: the first request of each space waits until it is released, and gets the answer of its kind.

    Attributes:
        waiting: the spaces whose first request has come, with the event that releases it.
        over: the spaces that get an empty listing from now on.
    """

    def __init__(self) -> None:
        self.waiting: queue.Queue[tuple[str, threading.Event]] = queue.Queue()
        self.over: set[str] = set()
        self._seen: set[str] = set()

    def behave(self, server, sock) -> None:
        space = re.search(rb"/spaces/(.+)/\+/", server.read(sock))[1].decode()
        if space in self.over or (space in self._seen and _kind(space) != ON_EVERY_PAGE):
            sock.sendall(answer(listing_of([])))
            return
        packed = gzip.compress(body_of(_kind(space), _BODY), 1)
        if space not in self._seen:
            self._seen.add(space)
            released = threading.Event()
            self.waiting.put((space, released))
            released.wait(_PATIENCE)
        sock.sendall(answer(packed, "Content-Encoding: gzip"))


@contextmanager
def _scraping(running: Exporter) -> Iterator[list[float]]:
    """Scrape all the time, and collect the seconds that each scrape takes."""
    over = threading.Event()
    seconds: list[float] = []

    def run() -> None:
        while not over.wait(0.02):
            seconds.append(scrape(running.address, timeout=0.6).seconds)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield seconds
    finally:
        over.set()
        thread.join()
