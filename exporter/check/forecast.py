"""Estimate of what refreshing a space costs, from its first page."""

import math

from exporter.config.settings import Settings
from exporter.rates import Rate

_FINDING_SERIES = 4
"""Series of a finding at most, without one for each of its kinds: environments of both kinds, downloads, info."""

_MOST_KINDS = 2


def least_seconds(requests: int, rate: Rate | None, latency: float, concurrency: int) -> float:
    """Return the least time that requests take.

    Args:
        requests: how many are sent with one key to one host.
        rate: how many may be sent; None for no limit.
        latency: seconds of the fastest request so far.
        concurrency: how many are in flight.
    """
    return max(seconds_by_rate(requests, rate), math.ceil(requests / concurrency) * latency)


def seconds_by_rate(requests: int, rate: Rate | None) -> float:
    """Return the seconds until the last of so many requests may be sent."""
    return rate.least_seconds(requests) if rate else 0.0


def most_finding_series(settings: Settings, *, found: int, more_rows: int) -> int:
    """Return the most series that findings on further pages can add.

    Args:
        settings: which findings are exported.
        found: findings on the first page.
        more_rows: rows on further pages.
    """
    if not settings.findings:
        return 0
    # Findings beyond the limit have no series.
    findings = min(settings.findings_limit - found, more_rows)
    return findings * (_FINDING_SERIES + min(_MOST_KINDS, len(settings.findings)))
