"""Limits on all requests of the process: rate, requests in flight, retries. No reload starts them from zero."""

import random
import threading
from urllib.parse import urlsplit

from cachetools import LRUCache

from exporter.clock import Clock
from exporter.harness.counters import ApiCounters
from exporter.harness.throttle import Throttle
from exporter.rates import Rate, TokenBucket

TRIES = 3
"""Times that a request is sent at most, its retries included."""

_KEYS = 4_096  # far more than are in use; keys that were rotated away are dropped first
_FIRST_BACKOFF = 0.5
_RETRIES_PER_REQUEST = 0.45  # under half, so that an outage makes at most 1.5 times the normal traffic
_FIRST_RETRIES = 2.0
_MOST_RETRIES = 10.0


class RetryBudget:
    """Keeps the retries of the process below half of its normal traffic; safe to share between threads.

    A small reserve allows a single request to be tried again immediately.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._retries = TokenBucket(_MOST_RETRIES, _FIRST_RETRIES)

    def earn(self) -> None:
        """Count a request that is sent for the first time."""
        with self._lock:
            self._retries.add(_RETRIES_PER_REQUEST)

    def spend(self) -> bool:
        """Take one retry, and return whether there was one."""
        with self._lock:
            return self._retries.take()


def backoff(retry: int, jitter: random.Random) -> float:
    """Return the seconds to wait before a retry, counted from 0: up to 0.5 s x 2^retry, with full jitter."""
    return jitter.uniform(0, _FIRST_BACKOFF * 2**retry)


class Limits:
    """Limits that live as long as the process; safe to share between threads.

    Attributes:
        budget: retries that may be sent.
        slots: requests that may be in flight.
    """

    def __init__(self, clock: Clock, counters: ApiCounters, *, rate: Rate | None, concurrency: int) -> None:
        """Start with nothing sent.

        Args:
            clock: source of time.
            counters: counts the waits.
            rate: requests per key and host; None for no limit.
            concurrency: requests in flight.
        """
        self.budget = RetryBudget()
        self.slots = threading.Semaphore(concurrency)
        self._concurrency = concurrency
        self._clock = clock
        self._counters = counters
        self._rate = rate
        self._lock = threading.Lock()
        self._throttles: LRUCache[tuple[str, str, str], Throttle] = LRUCache(_KEYS)

    def throttle(self, base_url: str, key: str, source: str = "") -> Throttle:
        """Return the throttle of a key at the host of a URL; the same object after a reload or a rotation and back.

        Args:
            base_url: the URL.
            key: the key.
            source: one that may take a tenth of the rate, for the throttle of its requests only.
        """
        # The API counts requests per key and host, for every path.
        identity = (urlsplit(base_url).netloc, key, source)
        with self._lock:
            if identity not in self._throttles:
                self._throttles[identity] = Throttle(self._rate_of(source), self._clock, self._counters)
            return self._throttles[identity]

    def change(self, *, rate: Rate | None, concurrency: int) -> None:
        """Set other numbers; what was sent or is on hold still counts.

        Args:
            rate: requests per key and host; None for no limit.
            concurrency: requests in flight; those under way keep the slots they have.
        """
        if concurrency != self._concurrency:
            self._concurrency, self.slots = concurrency, threading.Semaphore(concurrency)
        with self._lock:
            self._rate = rate
            for (_, _, source), throttle in self._throttles.items():
                throttle.limit(self._rate_of(source))

    def _rate_of(self, source: str) -> Rate | None:
        return self._rate.tenth() if self._rate and source else self._rate
