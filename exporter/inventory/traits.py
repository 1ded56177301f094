"""What the statuses of a row mean: its labels, its risk, and whether someone must act on it."""

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
    """What tells rows apart but for name and version, as the API spells it."""

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
        """Whether the registry is of a kind that is scanned, so that a missing status means something."""
        upstream = (self.registry_type or "").upper() == "UPSTREAM"
        return upstream and (self.package_type or "").upper() in SCANNED_PACKAGE_TYPES


class Kind:
    """Rows that share all their traits: what follows from these, and how many rows there are.

    Attributes:
        traits: what the rows have in common.
        namespace: 64 bits that tell which rows of one name and version are one artifact.
        cell: their labels within a registry.
        risk: the worst that is wrong with them.
        findings: why someone must act on them, the worst first; empty where nobody must, or nobody wants to know.
        scan_rank: sorts kinds by how bad their scan status is; by its text where two are as bad.
        rows: how many there are.
    """

    __slots__ = ("cell", "findings", "namespace", "risk", "rows", "scan_rank", "traits")

    def __init__(self, traits: Traits, findings: Collection[str]) -> None:
        """Start without rows.

        Args:
            traits: what the rows have in common.
            findings: which of `FINDINGS` are wanted.
        """
        scan_status = traits.scan_status or (_UNSCANNED if traits.scanning_applies else _NOT_APPLICABLE)
        scan_risk = _RISK_OF_SCAN_STATUS.get(scan_status.upper(), "none")
        self.traits = traits
        # Without `uuid`, which all tags of an image share.
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
