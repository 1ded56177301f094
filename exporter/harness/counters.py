"""Counts of the requests to the API."""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets of request durations, in seconds."""

CODES = ("200", "400", "401", "403", "404", "429", "500", "502", "503", "504", "error")
"""HTTP codes that are exported from the start, at 0; `error` is for requests without a response."""

RETRY_REASONS = ("connect", "server_error", "rate_limited", "auth", "forbidden")
"""Reasons for retries, all of them in `errors.REASONS`."""


@dataclass(frozen=True, slots=True)
class ApiCounts:
    """Counts at one moment.

    Attributes:
        requests: requests by HTTP code, or `error` if there was no response.
        durations: requests in each of `BUCKETS`, not cumulative; the last number counts those above all bounds.
        duration_sum: total duration of all requests, in seconds.
        retries: retries by reason.
        throttle_wait: seconds that requests waited for the rate limit.
    """

    requests: Mapping[str, int]
    durations: Sequence[int]
    duration_sum: float
    retries: Mapping[str, int]
    throttle_wait: float


class ApiCounters:
    """Counters of the requests of the whole process; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # A series that first appears at 1 has no increase in Prometheus, so the known ones start at 0.
        self._requests = Counter(dict.fromkeys(CODES, 0))
        self._durations = [0] * (len(BUCKETS) + 1)
        self._duration_sum = 0.0
        self._retries = Counter(dict.fromkeys(RETRY_REASONS, 0))
        self._throttle_wait = 0.0

    def count_request(self, code: str, seconds: float) -> None:
        """Count one finished request, by its HTTP code or `error`."""
        with self._lock:
            self._requests[code] += 1
            # bisect_left: a bucket includes its upper bound.
            self._durations[bisect_left(BUCKETS, seconds)] += 1
            self._duration_sum += seconds

    def count_retry(self, reason: str) -> None:
        """Count one retry."""
        with self._lock:
            self._retries[reason] += 1

    def count_throttle_wait(self, seconds: float) -> None:
        """Add the time that a request waited for the rate limit."""
        with self._lock:
            self._throttle_wait += seconds

    def read(self) -> ApiCounts:
        """Return the current counts."""
        with self._lock:
            return ApiCounts(
                dict(self._requests),
                tuple(self._durations),
                self._duration_sum,
                dict(self._retries),
                self._throttle_wait,
            )
