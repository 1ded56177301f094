"""Process that reads a registry of any size, over hours of virtual time.

Refresher, throttle, queues and paging rules are the exporter's own. A walk is as many turns of the throttle as it has
requests: one page first, then several in flight, the first one again at the end; `tests/docs/test_simulation.py`
compares it with the real walker. All spaces have the same key.
"""

import math
import threading
from array import array
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from exporter.engine.walks import WalkQueue
from exporter.harness.counters import ApiCounters
from exporter.harness.envelope import Rejected
from exporter.harness.errors import RefreshError, RequestTimeout
from exporter.harness.throttle import Throttle
from exporter.inventory.paging import requests_of_walk
from exporter.inventory.snapshot import Inventory, Snapshot
from exporter.rates import Rate
from exporter.workers import Lanes
from tools.timeline import Task, Timeline

MINUTE = 60.0
LATENCY = 0.2
_AHEAD = 2
_MOMENT = 1e-6
_NOTHING = Inventory(registries={}, findings=(), findings_dropped=0, artifacts=0)

Answer = Callable[[RefreshError | None], None]


def requests_of(artifacts: int, page_size: int) -> int:
    """Return the requests of one walk through a listing that stands still."""
    return requests_of_walk(artifacts, min(artifacts, page_size), page_size)


@dataclass(slots=True)
class Asked:
    """A page that is asked for."""

    deadline: float
    answer: Answer
    cancelled: bool = False


class Key:
    """One key: its throttle, and the threads that fetch its pages and walk its spaces.

    Attributes:
        sent: when each request was sent.
    """

    def __init__(self, timeline: Timeline, rate: int, concurrency: int) -> None:
        self.sent = array("d")
        self._timeline = timeline
        self._throttle = Throttle(Rate(rate, MINUTE), timeline, ApiCounters())
        self._idle = concurrency
        self._pages: Lanes[Asked] = Lanes()
        self._waiting: deque[Asked] = deque()
        self._walks = WalkQueue(concurrency)
        self._last_start = -math.inf
        self._tasks: set[Task] = set()

    def ask(self, space: str, page: int, deadline: float, answer: Answer) -> Asked:
        """Queue a page."""
        asked = Asked(deadline, answer)
        self._pages.put(self._walks.lane(space, page), deadline, asked)
        self._timeline.soon(self._walk)
        self._fetch()
        return asked

    def _fetch(self) -> None:
        while self._idle and (asked := self._pages.take()):
            if not asked.cancelled:
                self._idle -= 1
                self._waiting.append(asked)
                if len(self._waiting) == 1:
                    self._timeline.soon(self._take_turns)

    def _take_turns(self) -> None:
        """Let pages be sent whose turn has come; the throttle itself says whether it has."""
        while self._waiting:
            asked, now = self._waiting[0], self._timeline.monotonic()
            turn = self._throttle._next_turn(now)  # noqa: SLF001 - the exporter only ever waits for it
            if now < turn <= asked.deadline:
                self._timeline.at(turn, self._take_turns)
                return
            self._waiting.popleft()
            try:
                self._throttle.acquire(asked.deadline)
            except RequestTimeout as error:
                self._timeline.soon(partial(self._end, asked, error))
            else:
                self.sent.append(now)
                self._timeline.at(now + LATENCY, partial(self._end, asked, None))

    def _end(self, asked: Asked, error: RefreshError | None) -> None:
        self._idle += 1
        self._fetch()
        if not asked.cancelled:
            asked.answer(error)

    def submit(self, refresh: Callable[[str], None], space: str) -> Future[None]:
        """Queue a refresh, as the refresher wants it."""
        future: Future[None] = Future()

        def run() -> None:
            refresh(space)
            future.set_result(None)
            self._tasks.discard(Task.current())
            self._walks.ended(space)
            self._timeline.soon(self._walk)

        self._walks.put(space, run)
        self._timeline.soon(self._walk)
        return future

    def _walk(self) -> None:
        """Start a walk that may, unless one has just started: no two of them have the same deadline."""
        if self._timeline.monotonic() < self._last_start + _MOMENT:
            self._timeline.at(self._last_start + _MOMENT, self._walk)
        elif run := self._walks.take():
            self._last_start = self._timeline.monotonic()
            task = Task(run)
            self._tasks.add(task)
            task.start()
            self._timeline.soon(self._walk)

    def stop(self) -> None:
        """End the walks that go on."""
        for task in tuple(self._tasks):
            task.stop()


class Turns:
    """A walk that asks for its pages and does not look at them."""

    def __init__(
        self, key: Key, timeline: Timeline, space: str, artifacts: int,
        *, page_size: int, concurrency: int, timeout: float,
    ) -> None:  # fmt: skip
        self._key = key
        self._space = space
        self._timeline = timeline
        self._requests = requests_of(artifacts, page_size)
        self._concurrency = concurrency
        self._timeout = timeout

    def __call__(self, _cancelled: threading.Event, _last: Snapshot | None) -> Snapshot:
        """Ask for all pages, and return what says no more than when the walk began."""
        began, began_monotonic = self._timeline.time(), self._timeline.monotonic()
        self._deadline = began_monotonic + self._timeout
        self._task = Task.current()
        self._read = 0
        self._asked: list[Asked] = []
        self._refused: dict[int, RefreshError] = {}
        self._ask()
        self._task.park()
        if self._refused:
            raise self._refused[self._read]
        return Snapshot(
            began=began,
            began_monotonic=began_monotonic,
            inventory=_NOTHING,
            pages=self._requests,
            page_size=100,
            duplicates=0,
            rejected=Rejected(),
            reported=None,
            complete=True,
        )

    def _ask(self) -> None:
        number = len(self._asked)
        page = 0 if number == self._requests - 1 else number
        self._asked.append(self._key.ask(self._space, page, self._deadline, partial(self._answer, number)))

    def _answer(self, number: int, error: RefreshError | None) -> None:
        """Read pages in their order: one that was refused ends the walk once those before it are there."""
        if error is None:
            self._read += 1
            if self._read < self._requests:
                self._ask_ahead()
        else:
            self._refused[number] = error
        if self._read == self._requests or self._read in self._refused:
            for asked in self._asked[self._read :]:
                asked.cancelled = True
            if number <= self._read:
                self._task.resume()

    def _ask_ahead(self) -> None:
        last = self._requests - 1
        end = min(last, self._read + _AHEAD * self._concurrency)
        for _ in range(len(self._asked), self._requests if self._read == last else end):
            self._ask()
