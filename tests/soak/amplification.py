"""Answers that are small on the wire and large once they are decoded take little memory, and delay no scrape."""

import gzip
import queue
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from exporter.harness.envelope import largest_body
from exporter.inventory.sources import PAGE_SIZE
from exporter.labels import REGISTRIES, VIOLATIONS
from tests.soak.process import Exporter, exporter, until
from tests.soak.promise import Promise, at_most
from tests.soak.scrapes import scrape
from tests.support.amplified import KINDS, ON_EVERY_PAGE, body_of
from tests.support.faults import answer
from tests.support.listings import body_of as listing_of
from tests.support.rawserver import RawServer
from tests.support.sources import registries_body, violations_body

_ROWS = {"artifacts": 1_000, REGISTRIES: PAGE_SIZE, VIOLATIONS: PAGE_SIZE}
"""Rows that the exporter asks for, which limit the size of an answer."""
_PATIENCE = 120.0
_MEBIBYTE = 2**20
_ANSWERED = (("artifacts", 1, 32), ("artifacts", 4, 128), (REGISTRIES, 1, 32), (VIOLATIONS, 1, 32))
"""Listing that is answered so, number of spaces that get such an answer at once, and mebibytes allowed."""
_EMPTY = {"artifacts": listing_of([]), REGISTRIES: registries_body([]), VIOLATIONS: violations_body([])}


def rows() -> Iterator[Promise]:
    """Answer with each kind: artifacts of one space and of four at a time, and each of the sources."""
    for listing, spaces, limit in _ANSWERED:
        growths, slowest = _measured(listing, spaces)
        worst = max(growths, key=growths.__getitem__)
        text = f"{len(growths)} kinds of large answers for {listing}, {spaces} at once"
        yield at_most(f"{text}: memory growth, most by {worst!r}", growths[worst], limit, " MiB")
        yield at_most(f"{text}: slowest scrape", slowest, 1.0, " s")


def _measured(listing: str, spaces: int) -> tuple[dict[str, float], float]:
    """Return the growth of memory by kind, what stays of it included, and the time of the slowest scrape."""
    names = [f"acct/kind-{number}/space-{space}" for number in range(len(KINDS)) for space in range(spaces)]
    gate = _Gate(listing)
    with RawServer(gate.behave) as server, exporter(
        f"http://{server.address}", api_key="pat.acct.id.soak-test", spaces=",".join(names), page_size="1000",
        concurrency="4", rate_limit="off", cache_ttl="1h", sources=f"{REGISTRIES},{VIOLATIONS}",
    ) as running, _scraping(running) as seconds:  # fmt: skip
        growths = {}
        before = running.usage().memory
        for _ in KINDS:
            waiting = [gate.waiting.get(timeout=_PATIENCE) for _ in range(spaces)]
            running.forget_peak()
            for _, released in waiting:
                released.set()
            spaces_of_kind = [space for space, _ in waiting]
            until(lambda names=spaces_of_kind: _are_over(running, listing, names), _PATIENCE)
            gate.over.update(spaces_of_kind)
            growths[_kind(waiting[0][0])] = (running.peak() - before) / _MEBIBYTE
    return growths, max(seconds)


def _kind(space: str) -> str:
    return KINDS[int(re.search(r"kind-(\d+)/", space)[1])]


def _are_over(running: Exporter, listing: str, spaces: list[str]) -> bool:
    """Return whether the first read of each of these spaces is over."""
    page = scrape(running.address, timeout=0.6).body.decode()
    if listing == "artifacts":
        up, failed = "har_up{{", "har_refresh_failures_total{{.*"
    else:
        up, failed = (f'{name}source="{listing}",' for name in ("har_source_up{{", "har_source_failures_total{{.*"))
    return all(
        f'{up.format()}space="{space}"}} 1.0' in page or re.search(rf'{failed.format()}space="{space}"}} 1', page)
        for space in spaces
    )


class _Gate:
    """Server's side: the first request of each space waits until it is released, and gets the answer of its kind.

    Attributes:
        waiting: the spaces whose first request has come, with the event that releases it.
        over: the spaces that get an empty listing from now on.
    """

    def __init__(self, listing: str) -> None:
        self._listing = listing
        self.waiting: queue.Queue[tuple[str, threading.Event]] = queue.Queue()
        self.over: set[str] = set()
        self._seen: set[str] = set()

    def behave(self, server, sock) -> None:
        listing, space = _asked(server.read(sock).decode())
        if listing != self._listing or space in self.over or (space in self._seen and _kind(space) != ON_EVERY_PAGE):
            sock.sendall(answer(_EMPTY[listing]))
            return
        packed = gzip.compress(body_of(_kind(space), largest_body(_ROWS[listing]) - 2**10, listing), 1)
        if space not in self._seen:
            self._seen.add(space)
            released = threading.Event()
            self.waiting.put((space, released))
            released.wait(_PATIENCE)
        sock.sendall(answer(packed, "Content-Encoding: gzip"))


def _asked(request: str) -> tuple[str, str]:
    """Return the listing that a request asks for, and the space."""
    if found := re.search(r"/spaces/(.+)/\+/(artifacts|registries)", request):
        return found[2], found[1]
    return VIOLATIONS, "/".join(re.findall(r"_identifier=([^&]+)", request))


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
