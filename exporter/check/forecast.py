"""What refreshing a space will cost, foretold from its first page: requests, time and series."""

import math
from dataclasses import dataclass

from exporter.config.readers import Rate
from exporter.config.settings import Settings
from exporter.harness.errors import REASONS
from exporter.harness.page import Page
from exporter.inventory.refresh import SpaceStatus
from exporter.inventory.snapshot import Snapshot
from exporter.inventory.tally import Tally
from exporter.metrics.families import SPACE_FAMILIES, SpaceView

_FINDING_SERIES = 4
"""Series of a finding at most, besides one for each of its kinds: environments of both kinds, downloads, info."""

_MOST_KINDS = 2


@dataclass(frozen=True, slots=True)
class Series:
    """Time series that a space will have.

    Attributes:
        least: those of the first page, with all that a space always has; a page never takes back what another one
            brought.
        exact: the first page holds every artifact, so that there are no more.
        findings: the most that findings on further pages can add. What new registries there add is not foretold.
    """

    least: int
    exact: bool
    findings: int


def reported(page: Page) -> int | None:
    """Return the rows of the whole listing by the API's own count; None where it gave no usable one."""
    return None if page.item_count == 0 and page.rows else page.item_count


def requests_of_walk(page: Page, size: int) -> int | None:
    """Return how many requests a walk sends whose first page this is, retries aside.

    By the walk's own rules: a full page is followed by another one, and page 0 is read again at the end of walks of two
    pages or more.

    Args:
        page: page 0.
        size: rows that it was asked for.

    Returns:
        The number; None where only the walk itself can tell.
    """
    size = min(size, page.page_size or size)
    rows = reported(page)
    if page.rows == 0:
        return 1
    if rows is None:
        return 1 if page.page_size and page.rows < size else None
    # A server that sends less than it was asked for goes on like that.
    pages = max(rows, page.rows) // size + 1 if page.rows >= size else math.ceil(rows / page.rows)
    return pages + 1 if pages > 1 else 1


def least_seconds(requests: int, rate: Rate | None, latency: float, concurrency: int) -> float:
    """Return the time that so many requests take at least.

    Args:
        requests: how many are sent with one key to one host.
        rate: how many may be; None for no limit.
        latency: seconds of the quickest request so far.
        concurrency: how many are in flight at once.
    """
    return max(seconds_by_rate(requests, rate), math.ceil(requests / concurrency) * latency)


def seconds_by_rate(requests: int, rate: Rate | None) -> float:
    """Return the time until the last of so many requests may be sent: each window but the last is waited for."""
    return (max(requests, 1) - 1) // rate.requests * rate.seconds if rate else 0.0


def series_of_space(space: str, page: Page, settings: Settings, *, more_rows: int) -> Series:
    """Count the series of a space by what its first page holds.

    Args:
        space: the space.
        page: page 0.
        settings: which findings and ages of scans are exported.
        more_rows: rows that further pages hold.
    """
    tally = Tally(
        0.0,
        findings=settings.findings,
        findings_limit=settings.findings_limit,
        stale_ages=settings.stale_ages,
    )
    tally.add(page.artifacts)
    inventory = tally.inventory()
    snapshot = Snapshot(
        began=0.0,
        began_monotonic=0.0,
        inventory=inventory,
        pages=1,
        duplicates=0,
        rejected=page.rejected,
        reported=reported(page),
        complete=True,
    )
    failures = dict.fromkeys(REASONS, 0)
    status = SpaceStatus(space, "fresh", snapshot, up=True, refresh_seconds=0.0, failures=failures, last_failure=None)
    view = SpaceView(status, settings.cache_ttl, lambda _: "")
    more_findings = min(settings.findings_limit - len(inventory.findings), more_rows) if settings.findings else 0
    return Series(
        least=sum(1 for family in SPACE_FAMILIES for _ in family.samples(view)),
        exact=more_rows == 0,
        findings=more_findings * (_FINDING_SERIES + min(_MOST_KINDS, len(settings.findings))),
    )
