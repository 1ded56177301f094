"""Throttle of one key at one host."""

import threading
from collections import deque

from exporter.clock import Clock
from exporter.harness.counters import ApiCounters
from exporter.harness.errors import DeadlineError, RateLimitedError
from exporter.rates import Rate

LONGEST_PAUSE = 60.0
"""Seconds that a walk waits if the server asks for a pause; it fails if that is longer, which nobody would see else."""

_LONGEST_WAIT = 1.0
"""Seconds after which a waiting request looks again: a reload may have changed the rate."""


class Throttle:
    """Lets requests through at a rate, and none while the server asked for a pause; safe to share between threads.

    A window of exact counts and not a bucket of tokens: the API counts requests per minute, and a bucket would send
    twice as many in its first minute.
    """

    def __init__(self, rate: Rate | None, clock: Clock, counters: ApiCounters) -> None:
        """Start with an empty window.

        Args:
            rate: requests in any window; None for no limit.
            clock: source of time.
            counters: counts the waits.
        """
        self._rate = rate
        self._clock = clock
        self._counters = counters
        self._lock = threading.Lock()
        self._sent: deque[float] = deque(maxlen=rate.requests if rate else 0)
        self._held_until = 0.0

    def acquire(self, deadline: float) -> None:
        """Wait until a request may be sent.

        Args:
            deadline: monotonic time at which the request is of no more use.

        Raises:
            RateLimitedError: the server asked for a long pause; raised immediately.
            DeadlineError: it may be sent only after the deadline; raised immediately.
            Stopped: the process is shutting down.
        """
        while True:
            with self._lock:
                now = self._clock.monotonic()
                turn = self._next_turn(now)
                pause = self._held_until - now
                # Counted before the request is sent, so that concurrent requests do not share a turn.
                if turn <= now:
                    self._sent.append(now)
                    return
            if pause > LONGEST_PAUSE:
                raise RateLimitedError("the server asked for a pause", retry_after=pause)
            # Failing now leaves time for the reason to be seen; waiting would end as a timeout.
            if turn > deadline:
                raise self._too_late(now, deadline)
            # In pieces, so that a higher rate after a reload takes effect for waiting requests too.
            wait = min(turn - now, _LONGEST_WAIT)
            self._clock.wait(wait)
            self._counters.count_throttle_wait(wait)

    def limit(self, rate: Rate | None) -> None:
        """Change the rate, also for requests that wait; what was sent already counts.

        Args:
            rate: requests in any window; None for no limit.
        """
        with self._lock:
            self._rate = rate
            self._sent = deque(self._sent, maxlen=rate.requests if rate else 0)

    def hold(self, seconds: float) -> None:
        """Let nothing through for so many seconds: the server asked for it."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock.monotonic() + seconds)

    def _too_late(self, now: float, deadline: float) -> DeadlineError:
        if self._held_until > deadline:
            return DeadlineError(
                "the server asked for a pause until after the deadline of the refresh",
                hint=RateLimitedError.hint,
                retry_after=self._held_until - now,
            )
        return DeadlineError(
            "rate_limit allows the next request only after the deadline of the refresh",
            hint="raise rate_limit, page_size or refresh_timeout, or give this exporter a key of its own",
        )

    def _next_turn(self, now: float) -> float:
        full = self._rate is not None and len(self._sent) == self._rate.requests
        free = self._sent[0] + self._rate.seconds if self._rate is not None and full else now
        return max(free, self._held_until)
