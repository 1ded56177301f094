"""Server of a listing in memory, without HTTP, and walks through it."""

import math
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from exporter.inventory.tally import Tally
from exporter.inventory.walk import Walker
from tests.support.clocks import FakeClock
from tests.support.listings import STALE_AGES, body_of
from tests.support.upstream import ABSENT

MOST_REQUESTS = 1_000  # more than any of the listings has pages
Row = Any


def row(number):
    """Return a row that is told from all others, and found in the inventory, by the name of its registry."""
    return {"name": "a", "version": "1", "packageType": "NPM", "registryIdentifier": f"{number:05}", "fileCount": 1}


def rows(number):
    """Return that many different rows."""
    return [row(i) for i in range(number)]


class Reply(Future[bytes]):
    """A page in flight, which tells the server when it is read."""

    def __init__(self, server, page, oldest_first=False):
        super().__init__()
        self.server = server
        self.page = page
        self.oldest_first = oldest_first
        self.unread = True

    def cancel(self):
        self.unread = False
        return super().cancel()

    def result(self, timeout=None):
        assert self.done(), f"waits for ever for page {self.page}"
        self.server.read.append(self.page)
        self.unread = False
        return super().result(timeout)


@dataclass
class Server:
    """Answers pages at once, and notes what is asked of it.

    Attributes:
        listing: the rows, newest first; may change while it is read.
        count: what `itemCount` says of the true number; ABSENT leaves it out.
        tell_size: whether `pageSize` is told.
        cap: rows of a page at most, whatever is asked.
        first: the number of the first page; 1 where page 0 is page 1 as well.
        serve: makes the rows of a page instead.
        before: called before each answer with the number of requests before it.
        fails: what goes wrong, by request; those that are asked later never get an answer.
    """

    listing: list[Row]
    count: Callable[[int], object] = int
    tell_size: bool = True
    cap: int = 10_000
    first: int = 0
    serve: Callable[[int, int], list[Row]] | None = None
    before: Callable[[int], object] = int
    fails: dict[int, Exception | bytes] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    asked_sizes: list[int] = field(default_factory=list)
    deadlines: list[float] = field(default_factory=list)
    read: list[int] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    told: list[tuple[list[Row], object]] = field(default_factory=list)
    most_unread: int = 0

    def fetch(self, query, deadline):
        """Answer one request."""
        page, size, oldest_first = query
        number = len(self.asked)
        assert number < MOST_REQUESTS, "asks for ever"
        self.before(number)
        self.asked.append(page)
        self.asked_sizes.append(size)
        self.deadlines.append(deadline)
        reply = Reply(self, page, oldest_first)
        self.replies.append(reply)
        self.most_unread = max(self.most_unread, sum(reply.unread for reply in self.replies))
        failure = self.fails.get(number)
        if isinstance(failure, Exception):
            reply.set_exception(failure)
        elif isinstance(failure, bytes):
            reply.set_result(failure)
        elif number < min(self.fails, default=math.inf):
            reply.set_result(self.body(page, size, oldest_first=oldest_first))
        return reply

    def body(self, page, size, *, oldest_first=False):
        """Return a page."""
        size = min(size, self.cap)
        start = max(page - self.first, 0) * size
        listing = self.listing[::-1] if oldest_first else self.listing
        rows = self.serve(page, size) if self.serve else listing[start : start + size]
        data = {"itemCount": self.count(len(self.listing)), "pageSize": size if self.tell_size else ABSENT}
        self.told.append((rows, data["itemCount"]))
        return body_of(rows, **{name: value for name, value in data.items() if value is not ABSENT})


def walker(server, *, page_size=100, concurrency=4, fetch=None, **options):
    """Return a walker of a server."""
    return Walker(
        fetch or server.fetch,
        lambda *began: Tally(*began, findings=(), findings_limit=0, registries_limit=100_000, stale_ages=STALE_AGES),
        FakeClock(),
        page_size=page_size,
        concurrency=concurrency,
        timeout=300.0,
        **options,
    )


def walk(server, **options):
    """Walk through a server once."""
    return walker(server, **options).walk(threading.Event())


def found(snapshot):
    """Return the numbers of the rows that a snapshot has."""
    return {int(key.registry) for key in snapshot.inventory.registries}


def numbers(listing):
    """Return the numbers of rows."""
    return {int(each["registryIdentifier"]) for each in listing}
