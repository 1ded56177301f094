"""What all requests of the process are held to, whatever settings come and go: none of it begins anew with them."""

import threading
from urllib.parse import urlsplit

from cachetools import LRUCache

from exporter.clock import Clock
from exporter.harness.counters import ApiCounters
from exporter.harness.retry import RetryBudget
from exporter.harness.slots import Slots
from exporter.harness.throttle import Throttle

_KEYS = 4_096  # far more than are in use; those that were rotated away go at last


class Limits:
    """Limits that live as long as the process.

    Attributes:
        budget: how many retries it may send.
        slots: how many requests it may have in flight.
    """

    def __init__(
        self, clock: Clock, counters: ApiCounters, *, rate: tuple[int, float] | None, concurrency: int
    ) -> None:
        """Start with nothing sent.

        Args:
            clock: where the time comes from.
            counters: what the waits are added to.
            rate: as `Throttle` has it, for each key and host.
            concurrency: requests in flight.
        """
        self.budget = RetryBudget()
        self.slots = Slots(concurrency)
        self._clock = clock
        self._counters = counters
        self._rate = rate
        self._lock = threading.Lock()
        self._throttles: LRUCache[tuple[str, str], Throttle] = LRUCache(_KEYS)

    def throttle(self, base_url: str, key: str) -> Throttle:
        """Return how many requests a key may send to the host of a URL: one object, however often they come and go."""
        identity = (urlsplit(base_url).netloc, key)
        with self._lock:
            if identity not in self._throttles:
                self._throttles[identity] = Throttle(self._rate, self._clock, self._counters)
            return self._throttles[identity]

    def change(self, *, rate: tuple[int, float] | None, concurrency: int) -> None:
        """Set other numbers; what was sent, is in flight or on hold still counts.

        Args:
            rate: as at the start.
            concurrency: as at the start.
        """
        self.slots.limit(concurrency)
        with self._lock:
            self._rate = rate
            for throttle in self._throttles.values():
                throttle.limit(rate)
