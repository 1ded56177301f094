"""What one walk of a space found: totals by registry, and the artifacts that someone must act on. Frozen and pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from exporter.harness.page import Rejected
from exporter.labels import clean


class RegistryKey(NamedTuple):
    """What every total is by: a registry of the space and a package type in it, both fit to be labels."""

    registry: str
    package_type: str

    @classmethod
    def of(cls, registry: str, package_type: str | None) -> Self:
        """Return the key of texts as the API spells them; a package type that is absent is UNKNOWN."""
        return cls(clean(registry), clean(package_type or "UNKNOWN"))


class Cell(NamedTuple):
    """What artifact versions are counted by within a registry, both fit to be labels."""

    scan_status: str
    firewall_mode: str


@dataclass(frozen=True, slots=True)
class RegistryTotals:
    """The numbers of one registry and package type.

    Attributes:
        artifacts: live artifact versions; empty where the listing has only deleted ones.
        quarantined: those that are quarantined; the same keys as `artifacts`.
        deployed: versions that are deployed, by (`prod` or `nonprod`, risk); all ten keys, or none without artifacts.
        environments: environments by `prod` and `nonprod`; empty where the API sends no counts.
        downloads: sum over images and versions; None where the API sends no counts.
        files: sum; None where the API sends no counts.
        digests: sum; None where the API sends no counts.
        deleted: listed versions that are deleted, which count nowhere else.
        stale_scans: for each configured age, as the user spells it, the scanned versions whose last scan is older.
        newest_modified: seconds since the epoch; None where no time is known, as with the next two.
        newest_scan: seconds since the epoch.
        oldest_scan: seconds since the epoch.
        registry_type: of the newest version, fit to be a label.
        registry_uuid: of the newest version, fit to be a label.
    """

    artifacts: Mapping[Cell, int]
    quarantined: Mapping[Cell, int]
    deployed: Mapping[tuple[str, str], int]
    environments: Mapping[str, int]
    downloads: int | None
    files: int | None
    digests: int | None
    deleted: int
    stale_scans: Mapping[str, int]
    newest_modified: float | None
    newest_scan: float | None
    oldest_scan: float | None
    registry_type: str
    registry_uuid: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One artifact version that someone must act on, its texts fit to be labels.

    Attributes:
        key: its registry and package type.
        artifact: its name.
        version: its version.
        kinds: why: `quarantined`, `blocked`, `warn`; at least one.
        environments: environments by `prod` and `nonprod`; only what the API sends.
        downloads: None where the API sends no count.
        scan_status: as spelled by the API, or what its absence means.
        firewall_mode: as spelled by the API, or what its absence means.
        reason: why it is quarantined; empty where the API does not say.
        purl: its package URL; may be empty.
        uuid: its identity in the API; may be empty.
    """

    key: RegistryKey
    artifact: str
    version: str
    kinds: tuple[str, ...]
    environments: Mapping[str, int]
    downloads: int | None
    scan_status: str
    firewall_mode: str
    reason: str
    purl: str
    uuid: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the rows of a listing add up to.

    Attributes:
        registries: totals by registry and package type, in sorted order.
        findings: the artifacts to act on, the most urgent first, at most the configured number.
        findings_dropped: artifacts to act on beyond that number.
        artifacts: rows without duplicates, deleted ones included.
    """

    registries: Mapping[RegistryKey, RegistryTotals]
    findings: tuple[Finding, ...]
    findings_dropped: int
    artifacts: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Inventory of a space as one whole walk found it.

    Attributes:
        began: when the walk began, wall clock, seconds since the epoch.
        began_monotonic: the same moment on the monotonic clock, for ages.
        inventory: sums and findings of all rows.
        pages: pages that were read, the second reading of page 0 included.
        page_size: rows per page in force.
        duplicates: rows that repeat an earlier one, without those of the second reading of page 0.
        rejected: rows and values that could not be used.
        reported: rows by the API's own count (`itemCount`), the last usable one; None if it gave none.
        complete: the walk read as many rows as the API reported, and that number did not change.
    """

    began: float
    began_monotonic: float
    inventory: Inventory
    pages: int
    page_size: int
    duplicates: int
    rejected: Rejected
    reported: int | None
    complete: bool
