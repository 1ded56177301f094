"""Listing of a server without tie-break, which moves while it is read; the truth is kept beside it."""

import bisect
import random
from concurrent.futures import Future

from exporter.inventory.tally import Tally
from exporter.inventory.walk import Walker
from tests.support.clocks import FakeClock
from tests.support.listings import body_of

CHANGES = ("push", "touch", "delete", "retag", "quarantine")
PUSHES = ("push", "quarantine")
"""Changes that remove no row and move none to the front: quarantining lists a row once more, in its place."""


class Names(Tally):
    """Tally that remembers the names of all rows."""

    def __init__(self, *began):
        super().__init__(*began, findings=(), findings_limit=0, registries_limit=500, stale_ages={})
        self.names = set()

    def add(self, rows):
        rows = list(rows)
        self.names.update(row.name for row in rows)
        return super().add(rows)


class Late(Future[bytes]):
    """A page in flight, which is answered when it is waited for, or before."""

    def __init__(self, server, query):
        super().__init__()
        self.server = server
        self.query = query

    def result(self, timeout=None):
        self.server.answer_until(self)
        return super().result(timeout)


class TiedServer:
    """Server that orders rows by their times only: rows with equal times come in another order for each page.

    Its pages are answered in any order among those in flight. Between two answers there are changes at random.

    Attributes:
        entries: negative time and name of each row, in order; a row with several quarantine records has several.
        standing: names of the rows that were there throughout the walk.
        requests: pages that were asked for.
        capped_after: number of pages after which the server gives 100 rows at most on each; None for never.
    """

    def __init__(
        self, seed, *, kinds=(), rate=20.0, rows=None, concurrency=None, page_size=None, ties=None, capped_after=None
    ):
        self.random = random.Random(seed)
        choose = self.random.choice
        number = rows if rows is not None else self.random.randint(0, 400)
        self.page_size = page_size or choose((10, 10, 20, 37, 100, 1_000))
        self.concurrency = concurrency or choose((1, 4, 8))
        self.latency = choose((0.02, 0.2))
        self.rate, self.kinds = rate, kinds
        self.group = ties or choose((1, 3, 20, 1_000))
        self.clock = FakeClock()
        self.began = self.clock.time()
        self.entries = [(-self._time(-1.0 - i // self.group), f"row-{i}") for i in range(number)]
        self.records = dict.fromkeys((name for _, name in self.entries), 1)
        self.standing = set(self.records)
        self.next_change = self.clock.monotonic()
        self.waiting = []
        self.requests = 0
        self.answered = 0
        self.changes = 0
        self.capped_after = capped_after
        self.names = iter(f"row-{i}" for i in range(number, 10**9))

    def _time(self, offset):
        return int(1000 * (self.began + offset))

    @property
    def now(self):
        # Times of two changes may be equal, too.
        return self._time(self.clock.time() - self.began) // 10 * 10

    def fetch(self, query, _):
        """Ask for one page."""
        self.requests += 1
        assert self.requests < 10_000, "asks for ever"
        self.waiting.append(Late(self, query))
        return self.waiting[-1]

    def answer_until(self, wanted):
        """Answer pages in flight, in any order, until one is there."""
        while not wanted.done():
            reply = self.waiting.pop(self.random.randrange(min(len(self.waiting), self.concurrency)))
            if reply.set_running_or_notify_cancel():
                self._pass_time(self.latency / self.concurrency * self.random.uniform(0.5, 1.5))
                reply.set_result(self._body(*reply.query))

    def _pass_time(self, seconds):
        end = self.clock.monotonic() + seconds
        while self.next_change < end:
            self.clock.tick(max(0.0, self.next_change - self.clock.monotonic()))
            self.next_change += self.random.expovariate(self.rate)
            if self.kinds and self.requests > 1:
                self._change(self.random.choice(self.kinds))
        self.clock.tick(end - self.clock.monotonic())

    def _change(self, kind):
        self.changes += 1
        if kind == "push" or not self.records:
            self._insert(next(self.names), 1)
            return
        name = self.random.choice(list(self.records))
        if kind == "quarantine":
            self.records[name] += 1
            time = next(time for time, other in self.entries if other == name)
            bisect.insort(self.entries, (time, name))
            return
        records = self.records.pop(name)
        self.entries = [entry for entry in self.entries if entry[1] != name]
        if kind == "touch":
            self._insert(name, records)
            return
        self.standing.discard(name)
        if kind == "retag":
            self._insert(next(self.names), 1)

    def _insert(self, name, records):
        self.records[name] = records
        for _ in range(records):
            bisect.insort(self.entries, (-self.now, name))

    def _body(self, page, size, oldest_first):
        self.answered += 1
        if self.capped_after and self.answered > self.capped_after:
            size = min(size, 100)
        entries = self.entries[::-1] if oldest_first else self.entries
        start, end = page * size, min((page + 1) * size, len(entries))
        if start >= end:
            window = []
        else:
            # Only rows whose times occur on this page can come onto it.
            times = {entries[start][0], entries[end - 1][0]}
            first = next(i for i, (time, _) in enumerate(entries) if time in times)
            last = next(i for i in range(len(entries), 0, -1) if entries[i - 1][0] in times)
            shuffled = sorted(
                entries[first:last], key=lambda entry: (entry[0] * (-1 if oldest_first else 1), self.random.random())
            )
            window = shuffled[start - first : end - first]
        rows = [
            {
                "name": name,
                "version": "1",
                "registryIdentifier": "one",
                "packageType": "NPM",
                "lastModified": str(-time),
            }
            for time, name in window
        ]
        return body_of(rows, itemCount=len(self.records), pageSize=size)

    def walker(self):
        """Return a walker through this listing."""

        def new_tally(*began):
            self.tally = Names(*began)
            return self.tally

        return Walker(
            self.fetch, new_tally, self.clock, page_size=self.page_size, concurrency=self.concurrency, timeout=3_600.0
        )

    @property
    def missed(self):
        """Names of rows that were there throughout, and were not read."""
        return self.standing - self.tally.names

    @property
    def unread(self):
        """Names of all rows that are there now and were not read, those pushed during the walk among them."""
        return self.records.keys() - self.tally.names
