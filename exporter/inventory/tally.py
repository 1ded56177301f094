"""Tally of the rows of one walk, which counts each artifact once.

Rows with equal traits share one `Kind`. A row costs a few look-ups, and only its identity, 64 bits, and a reference to
its kind are kept. If the row is listed again with another quarantine reason or a worse scan status, that reference
allows it to move to another kind.
"""

import math
from collections.abc import Collection, Iterable, Mapping

from exporter.harness.page import Artifact
from exporter.inventory.findings import Findings
from exporter.inventory.snapshot import Inventory, RegistryKey
from exporter.inventory.totals import RegistrySums
from exporter.inventory.traits import Kind, Traits


class Tally:
    """Counts of the rows that a walk has read so far."""

    def __init__(
        self, began: float, *, findings: Collection[str], findings_limit: int, stale_ages: Mapping[str, float]
    ) -> None:
        """Start without rows.

        Args:
            began: the start of the walk, wall clock, for the ages of scans.
            findings: the kinds of `FINDINGS` to list.
            findings_limit: maximum number of findings.
            stale_ages: ages in seconds by their names, ascending; older scans are counted.
        """
        self._wanted = findings
        self._limit = findings_limit
        # Milliseconds, as the API sends them: converting the few limits is cheaper than converting every row.
        self._stale_before = {label: math.ceil(1000 * (began - age)) for label, age in stale_ages.items()}
        self._kind_of: dict[int, Kind] = {}
        self._kinds: dict[tuple[object, ...], tuple[Kind, RegistrySums]] = {}
        self._sums: dict[RegistryKey, RegistrySums] = {}
        self._findings = Findings(findings_limit)

    def add(self, rows: Iterable[Artifact]) -> int:
        """Add rows, and return how many of them are new."""
        before = len(self._kind_of)
        for row in rows:
            kind, sums = self._kind(row)
            # A hash, because keeping the texts of every row would take much more memory.
            identity = hash((kind.namespace, row.name, row.version))
            known = self._kind_of.get(identity)
            if known is not None:
                kind = self._merged(known, kind)
                known.rows -= 1
            elif kind.traits.live:
                sums.add(row)
            self._kind_of[identity] = kind
            kind.rows += 1
            if kind.findings:
                self._findings.keep(identity, row, kind)
            elif known is not None or row.quarantine_reason:
                self._findings.drop(identity, row)
        return len(self._kind_of) - before

    def inventory(self) -> Inventory:
        """Return the totals and findings of all rows."""
        found = sum(kind.rows for kind, _ in self._kinds.values() if kind.findings)
        return Inventory(
            registries={key: self._sums[key].totals() for key in sorted(self._sums)},
            findings=self._findings.most_urgent(),
            findings_dropped=max(0, found - self._limit),
            artifacts=len(self._kind_of),
        )

    def _kind(self, row: Artifact) -> tuple[Kind, RegistrySums]:
        """Return the kind of a row, and the sums that it is added to."""
        # A plain tuple is the key, because creating a Traits for each row would take longer.
        deployments = row.deployments
        prod = deployments.prod if deployments is not None else None
        nonprod = deployments.nonprod if deployments is not None else None
        traits = (
            row.registry,
            row.registry_uuid,
            row.package_type,
            row.artifact_type,
            row.registry_type,
            row.scan_status,
            row.firewall_mode,
            row.quarantined,
            prod is not None and prod > 0,
            nonprod is not None and nonprod > 0,
            row.deleted is None,
        )
        return self._kinds.get(traits) or self._new_kind(Traits(*traits))

    def _new_kind(self, traits: Traits) -> tuple[Kind, RegistrySums]:
        kind = Kind(traits, self._wanted)
        key = RegistryKey.of(traits.registry, traits.package_type)
        sums = self._sums.setdefault(key, RegistrySums(self._stale_before))
        sums.kinds.append(kind)
        self._kinds[traits] = kind, sums
        return kind, sums

    def _merged(self, known: Kind, again: Kind) -> Kind:
        """Return the kind of a row that is listed twice: quarantined if either is, with the worse scan status."""
        if known is again:
            return known
        traits = known.traits._replace(
            scan_status=max(known, again, key=lambda kind: kind.scan_rank).traits.scan_status,
            quarantined=known.traits.quarantined or again.traits.quarantined,
        )
        kind, _ = self._kinds.get(traits) or self._new_kind(traits)
        return kind
