"""How many requests one key may send to one host."""

import threading
from collections import deque

from exporter.clock import Clock
from exporter.harness.counters import ApiCounters
from exporter.harness.errors import RateLimitedError, RequestTimeout

_LOOK_AGAIN = 1.0
"""Seconds that a request waits before it looks again when its turn is: a reload may have changed the rate."""


class Throttle:
    """Lets through so many requests in any window of time, and none while the server asked to be left alone."""

    def __init__(self, rate: tuple[int, float] | None, clock: Clock, counters: ApiCounters) -> None:
        """Start with an empty window.

        Args:
            rate: requests, and the seconds of the window that they may be sent in; None for no limit.
            clock: where the time comes from.
            counters: what the waits are added to.
        """
        self._rate = rate
        self._clock = clock
        self._counters = counters
        self._lock = threading.Lock()
        self._sent: deque[float] = deque(maxlen=rate[0] if rate else 0)
        self._held_until = 0.0

    def acquire(self, deadline: float) -> None:
        """Wait for the turn of one request.

        Args:
            deadline: monotonic time; a turn that comes later is not taken.

        Raises:
            RequestTimeout: the turn comes after the deadline; at once.
            Stopped: the process is shutting down.
        """
        while True:
            with self._lock:
                now = self._clock.monotonic()
                turn = self._next_turn(now)
                if turn <= now:
                    self._sent.append(now)
                    return
            if turn > deadline:
                raise self._too_late(now, deadline)
            piece = min(turn - now, _LOOK_AGAIN)
            self._clock.wait(piece)
            self._counters.count_throttle_wait(piece)

    def limit(self, rate: tuple[int, float] | None) -> None:
        """Let through so many from now on, also of what waits; what was sent already counts.

        Args:
            rate: as at the start.
        """
        with self._lock:
            self._rate = rate
            self._sent = deque(self._sent, maxlen=rate[0] if rate else 0)

    def hold(self, seconds: float) -> None:
        """Let nothing through for some time: the server asked for it."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock.monotonic() + seconds)

    def _too_late(self, now: float, deadline: float) -> RequestTimeout:
        if self._held_until > deadline:
            return RequestTimeout(
                "the server asked to be left alone until after the walk's deadline",
                hint=RateLimitedError.hint,
                retry_after=self._held_until - now,
            )
        return RequestTimeout(
            "the turn for the next request comes after the walk's deadline",
            hint="raise rate_limit, page_size or refresh_timeout, or give this exporter a key of its own",
        )

    def _next_turn(self, now: float) -> float:
        full = self._rate is not None and len(self._sent) == self._rate[0]
        free = self._sent[0] + self._rate[1] if self._rate is not None and full else now
        return max(free, self._held_until)
