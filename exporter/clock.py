"""Time, as a value that is handed in: tests tick their own."""

import threading
import time
from typing import Protocol


class Stopped(Exception):  # noqa: N818 - not an error: the process is asked to end
    """A wait was cut short because the process is shutting down."""


class Clock(Protocol):
    """Where every other module gets the time from."""

    def monotonic(self) -> float:
        """Seconds that only move forward, for ages and deadlines."""
        ...

    def time(self) -> float:
        """Seconds since the Unix epoch, for times that are exported."""
        ...

    def wait(self, seconds: float) -> None:
        """Let that much time pass.

        Raises:
            Stopped: the process is shutting down.
        """
        ...


class SystemClock:
    """The machine's clocks; `stop` ends every wait, present and future."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def monotonic(self) -> float:
        """Seconds of the machine's monotonic clock."""
        return time.monotonic()

    def time(self) -> float:
        """Seconds of the machine's wall clock."""
        return time.time()

    def wait(self, seconds: float) -> None:
        """Sleep, unless the process is shutting down.

        Raises:
            Stopped: `stop` was called, before or meanwhile.
        """
        if self._stopped.wait(max(0.0, seconds)):
            raise Stopped

    def stop(self) -> None:
        """End all waits."""
        self._stopped.set()
