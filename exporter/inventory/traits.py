"""Traits of a row, and the labels, risk and findings that follow from them."""

from collections.abc import Collection
from typing import NamedTuple, Self

from exporter.harness.page import Artifact
from exporter.inventory.snapshot import Cell
from exporter.inventory.sums import RegistrySums
from exporter.labels import FINDINGS, OTHER, RISKS, Label

SCANNED_PACKAGE_TYPES = frozenset({"CARGO", "COMPOSER", "GO", "HELM_HTTP", "MAVEN", "NPM", "NUGET", "PYTHON", "RPM"})
"""Package types whose UPSTREAM registries are scanned; from the API's public server, August 2026."""

UNSCANNED = "UNSCANNED"
"""Scan status of a row without one, if scanning applies to its registry."""

NOT_APPLICABLE = "NOT_APPLICABLE"
"""Scan status of a row without one, if scanning does not apply to its registry."""

NO_FIREWALL = "NONE"
"""Firewall mode of a row without one."""

KNOWN_STATUSES = ("ALLOWED", "WARN", "BLOCKED", UNSCANNED, NOT_APPLICABLE)
"""Scan statuses that have labels of their own, however many others there are."""

_MANY_LABELS = 1_000
_RISK_OF_SCAN_STATUS = {"BLOCKED": "blocked", "WARN": "warn", UNSCANNED: "unscanned"}


def shows_scanning(row: Artifact) -> bool:
    """Return whether a row shows that scanning applies to its registry: by what was scanned, or by its type."""
    if row.scan_status or (row.firewall_mode or "ALLOW").upper() != "ALLOW":
        return True
    return (row.registry_type or "").upper() == "UPSTREAM" and is_scanned(row.package_type or "")


def is_scanned(package_type: str) -> bool:
    """Return whether UPSTREAM registries of a package type are scanned."""
    return package_type.upper() in SCANNED_PACKAGE_TYPES


class Labels:
    """Label values of a space; those beyond a number that no listing should have are `OTHER`.

    They are not kept, so that a listing with a value of its own in every row does not take more memory.
    """

    def __init__(self, known: Collection[str], label: Label) -> None:
        """Start without labels.

        Args:
            known: labels that are never `OTHER`, in any case.
            label: makes a label value of a text.
        """
        self._known = known
        self._label = label
        self._labels: dict[str, str] = {}

    def of(self, text: str) -> str:
        """Return the label value of a text."""
        label = self._label(text)
        if len(self._labels) >= _MANY_LABELS and label not in self._labels and label.upper() not in self._known:
            return OTHER
        return self._labels.setdefault(label, label)


class Traits(NamedTuple):
    """Properties of an artifact version that decide how it is counted.

    Attributes:
        scan_status: as a label value; empty if the row has none.
        firewall_mode: as a label value.
        quarantined: whether it is quarantined.
        in_prod: whether it is deployed to an environment for production.
        in_nonprod: whether it is deployed to another environment.
        live: whether it is not deleted.
    """

    scan_status: str
    firewall_mode: str
    quarantined: bool
    in_prod: bool
    in_nonprod: bool
    live: bool

    @classmethod
    def of(cls, row: Artifact, status: Label, mode: Label) -> Self:
        """Return the traits of a row, with labels made by these functions."""
        deployments = row.deployments
        return cls(
            scan_status=status(row.scan_status or ""),
            firewall_mode=mode(row.firewall_mode or NO_FIREWALL),
            quarantined=bool(row.quarantined),
            in_prod=bool(deployments and deployments.prod),
            in_nonprod=bool(deployments and deployments.nonprod),
            live=row.deleted is None,
        )

    @property
    def scan_risk(self) -> str:
        """The risk of the scan status; `unscanned` if there is none, where scanning applies."""
        # The risk ignores case; the label keeps the text of the API.
        return _RISK_OF_SCAN_STATUS.get((self.scan_status or UNSCANNED).upper(), "none")

    def merged(self, again: Self) -> Self:
        """Return the traits of a row that is listed twice: quarantined if either is, with the worse scan status."""
        # By its text if two are equally severe, so that the order of the rows has no effect.
        worse = max(self, again, key=lambda traits: (-RISKS.index(traits.scan_risk), traits.scan_status))
        return self._replace(scan_status=worse.scan_status, quarantined=self.quarantined or again.quarantined)


class Kind:
    """Kind of rows: those of one registry with equal traits, and their number.

    Attributes:
        namespace: 64 bits; rows with the same namespace, name, version and key are one artifact.
        registry: the sums of their registry.
        traits: the common traits.
        live: whether they are not deleted.
        findings: the wanted kinds of findings that apply, the worst first; may be empty.
        rows: number of rows.
    """

    __slots__ = ("findings", "live", "namespace", "registry", "rows", "traits")

    def __init__(self, namespace: int, registry: RegistrySums, traits: Traits, wanted: Collection[str]) -> None:
        """Start without rows.

        Args:
            namespace: 64 bits of the identity.
            registry: the sums of the registry.
            traits: the common traits.
            wanted: the kinds of `FINDINGS` that are wanted.
        """
        self.namespace = namespace
        self.registry = registry
        self.traits = traits
        self.live = traits.live
        risks = {"quarantined" if traits.quarantined else "", traits.scan_risk} if traits.live else ()
        self.findings = tuple(finding for finding in FINDINGS if finding in wanted and finding in risks)
        self.rows = 0

    # Rows that show whether scanning applies may follow, so these two are certain after the last row only.
    @property
    def cell(self) -> Cell:
        """The labels within the registry."""
        missing = UNSCANNED if self.registry.scanned else NOT_APPLICABLE
        return Cell(self.traits.scan_status or missing, self.traits.firewall_mode)

    @property
    def risk(self) -> str:
        """The highest risk."""
        if self.traits.quarantined:
            return "quarantined"
        return self.traits.scan_risk if self.traits.scan_status or self.registry.scanned else "none"
