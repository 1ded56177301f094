"""Clocks that tests tick."""

import threading

from exporter.clock import Stopped, SystemClock


class FakeClock:
    """Stands still until it is ticked or waited on; a wait passes at once and is noted."""

    def __init__(self, time: float = 1_800_000_000.0) -> None:
        self._lock = threading.Lock()
        self._monotonic = 1_000.0
        self._time = time
        self.waits: list[float] = []
        self.stopped = False

    def monotonic(self) -> float:
        return self._monotonic

    def time(self) -> float:
        return self._time

    def wait(self, seconds: float) -> None:
        if self.stopped:
            raise Stopped
        self.waits.append(seconds)
        self.tick(max(0.0, seconds))

    def tick(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._monotonic += seconds
            self._time += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock."""
        self._time += seconds


class SkippingClock(SystemClock):
    """The machine's clocks, of which a test may skip a part."""

    def __init__(self) -> None:
        super().__init__()
        self._skipped = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._skipped

    def time(self) -> float:
        return super().time() + self._skipped

    def tick(self, seconds: float) -> None:
        """Skip some time."""
        self._skipped += seconds
