"""Virtual time that one thing at a time happens in, so that a day takes seconds and is the same on every machine."""

import heapq
import threading
from collections.abc import Callable
from itertools import count

from exporter.clock import Stopped

_EPOCH = 1_800_000_000.0


class Timeline:
    """A clock that moves from call to call."""

    def __init__(self) -> None:
        self._now = 0.0
        self._calls: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()

    def monotonic(self) -> float:
        return self._now

    def time(self) -> float:
        return _EPOCH + self._now

    def wait(self, seconds: float) -> None:
        """Refuse: what would wait comes again by `at`."""
        raise AssertionError(f"something waits for {seconds} s")

    def at(self, when: float, call: Callable[[], object]) -> None:
        """Make a call at a time, after those that were planned for the same time before."""
        heapq.heappush(self._calls, (when, next(self._order), call))

    def soon(self, call: Callable[[], object]) -> None:
        """Make a call now, once what is happening has happened."""
        self.at(self._now, call)

    def run(self, until: float) -> None:
        """Make all calls up to a time."""
        while self._calls and self._calls[0][0] <= until:
            self._now, _, call = heapq.heappop(self._calls)
            call()
        self._now = until


class Task(threading.Thread):
    """A call that may stop in its middle; it runs only while whoever let it run waits."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._turn = threading.Semaphore(0)
        self._back = threading.Semaphore(0)
        self._stopped = False

    @staticmethod
    def current() -> "Task":
        """Return the task that runs."""
        task = threading.current_thread()
        assert isinstance(task, Task)
        return task

    def start(self) -> None:
        """Run until the task parks or ends."""
        super().start()
        self._back.acquire()

    def park(self) -> None:
        """Stop in the middle, until `resume`.

        Raises:
            Stopped: by `stop`.
        """
        self._back.release()
        self._turn.acquire()
        if self._stopped:
            raise Stopped

    def resume(self) -> None:
        """Go on until the task parks again or ends."""
        self._turn.release()
        self._back.acquire()

    def stop(self) -> None:
        """End a task that is parked."""
        self._stopped = True
        self.resume()
        self.join()

    def run(self) -> None:
        self._call()
        self._back.release()
