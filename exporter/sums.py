"""The running sums of one registry and package type, and the totals that they make."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

from exporter.artifact import Artifact, Deployments
from exporter.kinds import RISKS, Kind
from exporter.labels import clean
from exporter.snapshot import Cell, RegistryTotals

_ALWAYS_PRESENT = ("ALLOWED", "WARN", "BLOCKED")
_PRESENT_WHERE_SCANNED = (*_ALWAYS_PRESENT, "UNSCANNED")


class RegistrySums:
    """Adds up the live rows of one registry and package type; a number that no row has stays None."""

    __slots__ = (
        "_digests", "_downloads", "_files", "_image_downloads", "_newest", "_newest_scan", "_nonprod", "_oldest_scan",
        "_prod", "_scans_by_age", "_stale_ages", "_stale_labels", "kinds",
    )  # fmt: skip

    def __init__(self, stale_ages: Mapping[str, float]) -> None:
        """Start at nothing.

        Args:
            stale_ages: ages in seconds, ascending, that scans are counted by, by what they are called.
        """
        self.kinds: list[Kind] = []
        self._stale_labels = tuple(stale_ages)
        self._stale_ages = tuple(stale_ages.values())
        self._scans_by_age = [0] * (len(stale_ages) + 1)
        self._newest_scan: float | None = None
        self._oldest_scan: float | None = None
        self._newest = (0.0, "", "")
        self._downloads: int | None = None
        self._image_downloads: dict[int, int] = {}
        self._files: int | None = None
        self._digests: int | None = None
        self._prod: int | None = None
        self._nonprod: int | None = None

    def add(self, row: Artifact, now: float) -> None:
        """Add one live row.

        Args:
            row: a row that was not added before.
            now: the wall clock's time that the age of its scan is measured from.
        """
        if row.downloads is not None:
            self._downloads = (self._downloads or 0) + self._new_downloads(row.uuid, row.downloads)
        if row.files is not None:
            self._files = (self._files or 0) + row.files
        if row.digests is not None:
            self._digests = (self._digests or 0) + row.digests
        if row.deployments is not None:
            self._add_deployments(row.deployments)
        if row.scanned is not None:
            self._add_scan(row.scanned, now - row.scanned)
        modified = row.modified or 0.0
        if modified >= self._newest[0]:
            self._newest = max(self._newest, (modified, row.registry_type or "", row.registry_uuid or ""))

    def _new_downloads(self, image: str | None, downloads: int) -> int:
        """Return what a row adds: all rows of an image repeat its downloads, the largest number counts once."""
        if not image or not downloads:
            return downloads
        key = hash(image)
        before = self._image_downloads.get(key, 0)
        if downloads <= before:
            return 0
        self._image_downloads[key] = downloads
        return downloads - before

    def _add_deployments(self, deployments: Deployments) -> None:
        if deployments.prod is not None:
            self._prod = (self._prod or 0) + deployments.prod
        if deployments.nonprod is not None:
            self._nonprod = (self._nonprod or 0) + deployments.nonprod

    def _add_scan(self, time: float, age: float) -> None:
        # Calls of min and max would take longer than all the rest.
        if self._newest_scan is None or time > self._newest_scan:
            self._newest_scan = time
        if self._oldest_scan is None or time < self._oldest_scan:
            self._oldest_scan = time
        self._scans_by_age[bisect_left(self._stale_ages, age)] += 1

    def totals(self) -> RegistryTotals:
        """Return the sums so far, with zeros where a reader would expect a series."""
        live = [kind for kind in self.kinds if kind.traits.live and kind.rows]
        modified, registry_type, registry_uuid = self._newest
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
            stale_scans={label: sum(self._scans_by_age[i + 1 :]) for i, label in enumerate(self._stale_labels)},
            newest_modified=modified or None,
            newest_scan=self._newest_scan,
            oldest_scan=self._oldest_scan,
            registry_type=clean(registry_type),
            registry_uuid=clean(registry_uuid),
        )


def _by_cell(live: Sequence[Kind], counted: Iterable[Kind]) -> dict[Cell, int]:
    """Count rows by cell; every firewall mode of the live rows has its expected scan statuses, at 0 if need be."""
    scanned = any(kind.traits.scanning_applies for kind in live)
    expected = _PRESENT_WHERE_SCANNED if scanned else _ALWAYS_PRESENT
    rows = Counter({Cell(status, kind.cell.firewall_mode): 0 for kind in live for status in expected})
    rows.update({kind.cell: 0 for kind in live})
    for kind in counted:
        rows[kind.cell] += kind.rows
    return dict(rows)


def _deployed(live: Sequence[Kind]) -> dict[tuple[str, str], int]:
    """Count deployed rows by where to and by risk; all combinations are there once there is any live row."""
    rows = Counter(dict.fromkeys(product(("prod", "nonprod"), RISKS) if live else (), 0))
    for kind in live:
        rows["prod", kind.risk] += kind.rows * kind.traits.in_prod
        rows["nonprod", kind.risk] += kind.rows * kind.traits.in_nonprod
    return dict(rows)
