"""Clock, which tests replace with a fake one."""

import threading
import time
from typing import Protocol


class Stopped(Exception):  # noqa: N818 - not an error: the process is asked to end
    """A wait was ended early because the process is shutting down."""


class Clock(Protocol):
    """Source of time for all other modules."""

    def monotonic(self) -> float:
        """Return seconds that never go backwards, for ages and deadlines."""
        ...

    def time(self) -> float:
        """Return seconds since the Unix epoch, for times that are exported."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait for some time.

        Raises:
            Stopped: the process is shutting down.
        """
        ...


class SystemClock:
    """Clocks of the operating system; `stop` ends all current and future waits."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def monotonic(self) -> float:
        """Return seconds of the monotonic clock."""
        return time.monotonic()

    def time(self) -> float:
        """Return seconds of the wall clock."""
        return time.time()

    def wait(self, seconds: float) -> None:
        """Sleep, unless the process is shutting down.

        Raises:
            Stopped: `stop` was called, before or during the wait.
        """
        # An event in place of time.sleep, which nothing can end early.
        if self._stopped.wait(max(0.0, seconds)):
            raise Stopped

    def stop(self) -> None:
        """End all waits."""
        self._stopped.set()
