"""Traits of a row, and the labels, risk and findings that follow from them."""

from collections.abc import Collection
from typing import NamedTuple

from exporter.inventory.snapshot import Cell
from exporter.labels import FINDINGS, RISKS, clean

SCANNED_PACKAGE_TYPES = frozenset({"CARGO", "COMPOSER", "GO", "MAVEN", "NPM", "NUGET", "PYTHON", "RPM"})
"""Package types whose UPSTREAM registries are scanned; from the API's public server, August 2026."""

_UNSCANNED = "UNSCANNED"
_NOT_APPLICABLE = "NOT_APPLICABLE"
_NO_FIREWALL = "NONE"
_RISK_OF_SCAN_STATUS = {"BLOCKED": "blocked", "WARN": "warn", _UNSCANNED: "unscanned"}


class Traits(NamedTuple):
    """Properties that distinguish rows, except name and version, as the API writes them."""

    registry: str
    registry_uuid: str | None
    package_type: str | None
    artifact_type: str | None
    registry_type: str | None
    scan_status: str | None
    firewall_mode: str | None
    quarantined: bool | None
    in_prod: bool
    in_nonprod: bool
    live: bool

    @property
    def scanning_applies(self) -> bool:
        """Whether registries of this type are scanned, so that a missing status means unscanned."""
        upstream = (self.registry_type or "").upper() == "UPSTREAM"
        return upstream and (self.package_type or "").upper() in SCANNED_PACKAGE_TYPES


class Kind:
    """Kind of rows: their common traits, and the number of rows.

    Attributes:
        traits: the common traits.
        namespace: 64 bits; rows with the same namespace, name and version are one artifact.
        cell: the labels within a registry.
        risk: the highest risk.
        findings: the wanted kinds of findings that apply, the worst first; may be empty.
        scan_rank: sort key by severity of the scan status, and by its text if two are equally severe.
        rows: number of rows.
    """

    __slots__ = ("cell", "findings", "namespace", "risk", "rows", "scan_rank", "traits")

    def __init__(self, traits: Traits, findings: Collection[str]) -> None:
        """Start without rows.

        Args:
            traits: the common traits.
            findings: the kinds of `FINDINGS` that are wanted.
        """
        scan_status = traits.scan_status or (_UNSCANNED if traits.scanning_applies else _NOT_APPLICABLE)
        # The risk ignores case; the label keeps the text of the API.
        scan_risk = _RISK_OF_SCAN_STATUS.get(scan_status.upper(), "none")
        self.traits = traits
        # Not identified by `uuid`, as all tags of an image share it.
        self.namespace = hash(
            (traits.registry_uuid or traits.registry, traits.package_type, traits.artifact_type, traits.live)
        )
        self.cell = Cell(clean(scan_status), clean(traits.firewall_mode or _NO_FIREWALL))
        self.risk = "quarantined" if traits.quarantined else scan_risk
        self.findings = tuple(
            finding for finding in FINDINGS if traits.live and finding in findings and finding in {self.risk, scan_risk}
        )
        self.scan_rank = (-RISKS.index(scan_risk), scan_status != _NOT_APPLICABLE, scan_status)
        self.rows = 0
