"""Walks of one server and key: which may run, so that large spaces keep no small one waiting."""

import math
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import NamedTuple

from exporter.workers import Lanes, Workers

_FEW_PAGES = 10
_SMALL, _LARGE = "small", "large"
"""Lanes of walks and of their pages."""


class _Walk(NamedTuple):
    space: str
    run: Callable[[], None]


class WalkQueue:
    """Order of the walks, oldest first; not safe to share between threads.

    A space is large while its last or present walk asked for more than a few pages. All walks that run but one may be
    of large spaces. Those that are found to be large beyond that wait for their turn with the few pages that they have
    read, and another walk runs in place of each, up to twice as many in all.
    """

    def __init__(self, concurrency: int) -> None:
        """Start empty.

        Args:
            concurrency: walks that run at the same time; two if it is one, so that a large one does not block the rest.
        """
        self._places = max(2, concurrency)
        self._waiting: Lanes[_Walk] = Lanes()
        self._running: Counter[str] = Counter()
        self._large: set[str] = set()
        self._found_large: set[str] = set()  # by a walk that runs

    def put(self, space: str, run: Callable[[], None]) -> None:
        """Add a walk."""
        self._waiting.put(self._lane(space), math.inf, _Walk(space, run))

    def take(self) -> Callable[[], None] | None:
        """Return the next walk that may run; None if there is none."""
        large = sum(number for space, number in self._running.items() if space in self._large)
        most_large = self._places - 1
        replaced = min(max(0, large - most_large), self._places)
        if self._running.total() - replaced >= self._places:
            return None
        walk = self._waiting.take(closed=() if large < most_large else (_LARGE,))
        if walk is None:
            return None
        self._running[walk.space] += 1
        return walk.run

    def lane(self, space: str, page: int) -> str:
        """Return the lane of a page, by its number, that the walk of a space asks for."""
        if page >= _FEW_PAGES:
            self._large.add(space)
            self._found_large.add(space)
        return self._lane(space)

    def ended(self, space: str) -> None:
        """Take note that a walk of a space has ended."""
        if space not in self._found_large:
            self._large.discard(space)
        self._found_large.discard(space)
        self._running -= Counter([space])

    def _lane(self, space: str) -> str:
        return _LARGE if space in self._large else _SMALL


class Walks:
    """Threads that walk through the spaces of one server and key; safe to share between threads."""

    def __init__(self, concurrency: int) -> None:
        """Start the threads.

        Args:
            concurrency: walks that run at the same time.
        """
        self._workers = Workers(2 * max(2, concurrency), "walk")
        self._lock = threading.Lock()
        self._queue = WalkQueue(concurrency)

    def submit(self, refresh: Callable[[str], None], space: str) -> Future[None]:
        """Queue a call that walks through a space; the future gets its exception, if any."""
        future: Future[None] = Future()
        with self._lock:
            self._queue.put(space, partial(self._run, refresh, space, future))
        self._start()
        return future

    def lane(self, space: str, page: int) -> str:
        """Return the lane of a page, by its number, that the walk of a space asks for."""
        with self._lock:
            lane = self._queue.lane(space, page)
        self._start()  # another walk may run in place of one that is found to be large
        return lane

    def _start(self) -> None:
        with self._lock:
            while run := self._queue.take():
                self._workers.submit(run)

    def _run(self, refresh: Callable[[str], None], space: str, future: Future[None]) -> None:
        try:
            refresh(space)
        except BaseException as error:  # noqa: BLE001 - raised again where the future is awaited
            future.set_exception(error)
            del future  # breaks the cycle of future, error and this frame
        else:
            future.set_result(None)
        finally:
            with self._lock:
                self._queue.ended(space)
            self._start()
