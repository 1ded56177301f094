"""Snapshot of a space: totals by registry, and the findings. All classes are immutable."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from exporter.harness.envelope import Rejected
from exporter.inventory.novelty import FirstSeen
from exporter.labels import OTHER, Label, clean


class RegistryKey(NamedTuple):
    """Key of all totals: a registry of the space and a package type in it, as label values."""

    registry: str
    package_type: str

    @classmethod
    def of(cls, registry: str, package_type: str | None, label: Label = clean) -> Self:
        """Return the key for texts as the API writes them; an absent package type is UNKNOWN."""
        # Cleaned before counting: registries with equal labels are added up instead of exported twice.
        # Interned, as many registries have the same package type.
        return cls(label(registry), sys.intern(label(package_type or "UNKNOWN")))


OTHERS = RegistryKey(OTHER, OTHER)
"""Key of the totals of all registries over the limit together."""


class Cell(NamedTuple):
    """Labels that artifact versions are counted by within a registry."""

    scan_status: str
    firewall_mode: str


@dataclass(frozen=True, slots=True)
class RegistryTotals:
    """Totals of one registry and package type.

    Attributes:
        artifacts: live artifact versions; empty if the listing has only deleted ones.
        quarantined: the quarantined ones; the same keys as `artifacts`.
        deployed: deployed versions by (`prod` or `nonprod`, risk); all ten keys, or none without artifacts.
        environments: environments by `prod` and `nonprod`; empty if the API sends no counts.
        downloads: sum over images and versions; None if the API sends no counts.
        files: sum; None if the API sends no counts.
        digests: sum; None if the API sends no counts.
        deleted: deleted versions that are still listed; not counted in any other attribute.
        stale_scans: scanned versions whose last scan is older, for each configured age as the user writes it.
        newest_modified: seconds since the epoch; None if no time is known, as for the next two.
        newest_scan: seconds since the epoch.
        oldest_scan: seconds since the epoch.
        registry_type: type of the registry in the newest row, as a label value.
        registry_uuid: UUID of the registry in the newest row, as a label value.
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
    """Artifact version that someone must act on, with texts as label values.

    Attributes:
        key: its registry and package type.
        artifact: its name.
        version: its version.
        kinds: one or more of `quarantined`, `blocked` and `warn`.
        environments: environments by `prod` and `nonprod`, as far as the API sends them.
        downloads: None if the API sends no count.
        scan_status: as the API writes it, or the value for an absent one.
        firewall_mode: as the API writes it, or the value for an absent one.
        reason: the reason of the quarantine; empty if the API sends none.
        purl: its package URL; may be empty.
        uuid: its UUID in the API; may be empty.
        tags: its tags, sorted, separated by commas, if the API lists images by digest; may be empty.
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
    tags: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """Totals and findings of a listing.

    Attributes:
        registries: totals by registry and package type, in sorted order; those over the limit are one entry.
        findings: the findings, the most urgent first, at most the configured number.
        findings_dropped: number of findings beyond that number.
        artifacts: number of rows, without duplicates, including deleted ones.
        registries_dropped: number of registries and package types over the limit.
        first_seen: times at which the findings were first seen, for the next snapshot.
    """

    registries: Mapping[RegistryKey, RegistryTotals]
    findings: tuple[Finding, ...]
    findings_dropped: int
    artifacts: int
    registries_dropped: int = 0
    first_seen: FirstSeen | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Inventory of a space, read by one complete walk.

    Attributes:
        began: when the walk began, wall clock, seconds since the epoch.
        began_monotonic: the same moment on the monotonic clock, for ages.
        inventory: totals and findings of all rows.
        pages: pages that were read, those that were read again included.
        page_size: rows per page in force.
        duplicates: rows that repeat an earlier one, without those of pages that were read again.
        rejected: rows and values that could not be used.
        reported: rows as counted by the API (`itemCount`), its last usable count; None if there was none.
        complete: nothing in the answers leaves room for a missing row, or the API gave no usable count.
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
