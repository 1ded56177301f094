"""What the requests to the API amount to: plain numbers, counted where they happen and read where they are exported."""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the request durations that are told apart, in seconds."""

CODES = ("200", "400", "401", "403", "404", "429", "500", "502", "503", "504", "error")
"""HTTP codes that are counted from the start; `error` is for requests without an answer."""

RETRY_REASONS = ("connect", "server_error", "rate_limited", "auth", "forbidden")
"""Why requests are tried again: reasons of `errors`."""


@dataclass(frozen=True, slots=True)
class ApiCounts:
    """The counts at one moment.

    Attributes:
        requests: requests sent, by HTTP code, or `error` where there was no answer.
        durations: for each of `BUCKETS` and beyond, the requests that took that long and no longer.
        duration_sum: seconds of all requests together.
        retries: requests that were tried again, by the reason.
        throttle_wait: seconds that requests waited for their turn.
    """

    requests: Mapping[str, int]
    durations: Sequence[int]
    duration_sum: float
    retries: Mapping[str, int]
    throttle_wait: float


class ApiCounters:
    """Counts the requests of the whole process; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests = Counter(dict.fromkeys(CODES, 0))
        self._durations = [0] * (len(BUCKETS) + 1)
        self._duration_sum = 0.0
        self._retries = Counter(dict.fromkeys(RETRY_REASONS, 0))
        self._throttle_wait = 0.0

    def count_request(self, code: str, seconds: float) -> None:
        """Count one request that ended, with its HTTP code or `error`."""
        with self._lock:
            self._requests[code] += 1
            self._durations[bisect_left(BUCKETS, seconds)] += 1
            self._duration_sum += seconds

    def count_retry(self, reason: str) -> None:
        """Count one request that is tried again."""
        with self._lock:
            self._retries[reason] += 1

    def count_throttle_wait(self, seconds: float) -> None:
        """Add up the time that a request waits for its turn."""
        with self._lock:
            self._throttle_wait += seconds

    def read(self) -> ApiCounts:
        """Return the counts as they are now."""
        with self._lock:
            return ApiCounts(
                dict(self._requests),
                tuple(self._durations),
                self._duration_sum,
                dict(self._retries),
                self._throttle_wait,
            )
