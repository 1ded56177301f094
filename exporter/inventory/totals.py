"""Sums of one registry and package type."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, product

from exporter.harness.page import Artifact
from exporter.inventory.snapshot import Cell, RegistryTotals
from exporter.inventory.traits import Kind
from exporter.labels import RISKS, clean

# Statuses that are exported even at 0: an absent series could also mean missing data.
_ALWAYS_PRESENT = ("ALLOWED", "WARN", "BLOCKED")
_PRESENT_WHERE_SCANNED = (*_ALWAYS_PRESENT, "UNSCANNED")


class RegistrySums:
    """Running sums of the live rows of one registry and package type; a sum stays None if no row has the value."""

    __slots__ = (
        "_digests", "_downloads", "_files", "_image_downloads", "_newest", "_newest_scan", "_nonprod", "_oldest_scan",
        "_prod", "_scans_by_age", "_stale_before", "_stale_labels", "kinds",
    )  # fmt: skip

    def __init__(self, stale_before: Mapping[str, int]) -> None:
        """Start without rows.

        Args:
            stale_before: times in milliseconds since the epoch by the names of their ages, descending.
        """
        self.kinds: list[Kind] = []
        self._stale_labels = tuple(stale_before)
        self._stale_before = tuple(stale_before.values())[::-1]
        self._scans_by_age = [0] * (len(stale_before) + 1)
        self._newest_scan: float = -math.inf
        self._oldest_scan: float = math.inf
        self._newest = (0, "", "")
        self._downloads: int | None = None
        self._image_downloads: dict[int, int] = {}
        self._files: int | None = None
        self._digests: int | None = None
        self._prod: int | None = None
        self._nonprod: int | None = None

    def add(self, row: Artifact) -> None:
        """Add one new live row."""
        # A quarter of the time of a row: function calls would take longer than the additions.
        if (files := row.files) is not None:
            self._files = (self._files or 0) + files
        if (digests := row.digests) is not None:
            self._digests = (self._digests or 0) + digests
        if (deployments := row.deployments) is not None:
            if (prod := deployments.prod) is not None:
                self._prod = (self._prod or 0) + prod
            if (nonprod := deployments.nonprod) is not None:
                self._nonprod = (self._nonprod or 0) + nonprod
        if (scanned := row.scanned) is not None:
            if not self._oldest_scan <= scanned <= self._newest_scan:
                self._newest_scan, self._oldest_scan = max(self._newest_scan, scanned), min(self._oldest_scan, scanned)
            self._scans_by_age[bisect_right(self._stale_before, scanned)] += 1
        # Of rows with the same time the largest type and UUID count, so that the order of the rows has no effect.
        if (row.modified or 0) >= self._newest[0]:
            self._newest = max(self._newest, (row.modified or 0, row.registry_type or "", row.registry_uuid or ""))
        if (downloads := row.downloads) is not None:
            self._downloads = (self._downloads or 0) + self._new_downloads(row.uuid, downloads)

    def _new_downloads(self, image: str | None, downloads: int) -> int:
        """Return the downloads that a row adds."""
        # All rows of an image repeat its downloads, so only the largest number counts, once.
        if not image or not downloads:
            return downloads
        key = hash(image)
        before = self._image_downloads.get(key, 0)
        if downloads <= before:
            return 0
        self._image_downloads[key] = downloads
        return downloads - before

    def totals(self) -> RegistryTotals:
        """Return the totals, including zeros for the series that are always exported."""
        live = [kind for kind in self.kinds if kind.traits.live and kind.rows]
        modified, registry_type, registry_uuid = self._newest
        # Cumulative, from the oldest age on; the last number counts all scans.
        *stale, _ = accumulate(self._scans_by_age)
        environments = {"prod": self._prod, "nonprod": self._nonprod}
        return RegistryTotals(
            artifacts=_by_cell(live, live),
            quarantined=_by_cell(live, (kind for kind in live if kind.traits.quarantined)),
            deployed=_deployed(live),
            environments={to: number for to, number in environments.items() if number is not None},
            downloads=self._downloads,
            files=self._files,
            digests=self._digests,
            deleted=sum(kind.rows for kind in self.kinds if not kind.traits.live),
            stale_scans=dict(zip(self._stale_labels, reversed(stale), strict=True)),
            newest_modified=_seconds(modified),
            newest_scan=_seconds(self._newest_scan),
            oldest_scan=_seconds(self._oldest_scan),
            registry_type=clean(registry_type),
            registry_uuid=clean(registry_uuid),
        )


def _seconds(milliseconds: float) -> float | None:
    """Return a time in seconds; None for the initial values of the sums."""
    return milliseconds / 1000 if 0 < milliseconds < math.inf else None


def _by_cell(live: Sequence[Kind], counted: Iterable[Kind]) -> dict[Cell, int]:
    """Count rows by cell; every firewall mode of the live rows has all expected scan statuses, even at 0."""
    scanned = any(kind.traits.scanning_applies for kind in live)
    expected = _PRESENT_WHERE_SCANNED if scanned else _ALWAYS_PRESENT
    rows = Counter({Cell(status, kind.cell.firewall_mode): 0 for kind in live for status in expected})
    rows.update({kind.cell: 0 for kind in live})
    for kind in counted:
        rows[kind.cell] += kind.rows
    return dict(rows)


def _deployed(live: Sequence[Kind]) -> dict[tuple[str, str], int]:
    """Count deployed rows by environment and risk; all combinations are present if there are live rows."""
    rows = Counter(dict.fromkeys(product(("prod", "nonprod"), RISKS) if live else (), 0))
    for kind in live:
        rows["prod", kind.risk] += kind.rows * kind.traits.in_prod
        rows["nonprod", kind.risk] += kind.rows * kind.traits.in_nonprod
    return dict(rows)
