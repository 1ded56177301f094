"""Tally of the rows of one walk, which counts each artifact once.

Rows with equal traits share one `Kind`. A row costs a few look-ups, and only its identity, 64 bits, and a reference to
its kind are kept. If the row is listed again with another quarantine reason or a worse scan status, that reference
allows it to move to another kind.
"""

import math
from collections.abc import Collection, Iterable, Mapping

from exporter.harness.page import Artifact
from exporter.inventory.findings import Findings
from exporter.inventory.novelty import FirstSeen, Novelty
from exporter.inventory.snapshot import Inventory, RegistryKey
from exporter.inventory.sums import RegistrySums
from exporter.inventory.totals import registry_totals
from exporter.inventory.traits import KNOWN_STATUSES, NO_FIREWALL, Kind, Labels, Traits, is_scanned, shows_scanning
from exporter.labels import Label, clean


class Tally:
    """Counts of the rows that a walk has read so far."""

    def __init__(
        self,
        began: float,
        began_monotonic: float = 0.0,
        before: FirstSeen | None = None,
        *,
        findings: Collection[str],
        findings_limit: int,
        registries_limit: int,
        stale_ages: Mapping[str, float],
        upstream: Collection[RegistryKey] = (),
        label: Label = clean,
    ) -> None:
        """Start without rows.

        Args:
            began: the start of the walk, wall clock, for the ages of scans.
            began_monotonic: the same moment on the monotonic clock, for the ages of findings.
            before: findings of the last snapshot; None if there is none.
            findings: the kinds of `FINDINGS` to list.
            findings_limit: maximum number of findings.
            registries_limit: maximum number of registries and package types with totals of their own.
            stale_ages: ages in seconds by their names, ascending; older scans are counted.
            upstream: registries that are known to be UPSTREAM, whatever their rows say.
            label: makes a label value of a text of the API.
        """
        self._wanted = findings
        self._findings_limit = findings_limit
        self._registries_limit = registries_limit
        self._stale_ages = tuple(stale_ages)
        # Milliseconds, as the API sends them: converting the few limits is cheaper than converting every row.
        self._stale_before = tuple(math.ceil(1000 * (began - age)) for age in reversed([*stale_ages.values()]))
        self._kind_of: dict[int, Kind] = {}
        self._kinds: dict[int, Kind] = {}
        self._registries: dict[RegistryKey, RegistrySums] = {}
        self._images: dict[int, int] = {}
        self._traits: dict[Traits, Traits] = {}
        self._statuses, self._modes = Labels(("", *KNOWN_STATUSES), label), Labels((NO_FIREWALL,), label)
        self._novelty = Novelty(findings, before, began_monotonic)
        self._findings = Findings(findings_limit, label, self._novelty)
        self._found: list[int] = []  # identities of all findings
        self._upstream = upstream
        self._label = label

    def add(self, rows: Iterable[Artifact]) -> int:
        """Add rows, and return how many of them are new."""
        kinds, kind_of, wanted = self._kinds, self._kind_of, self._wanted
        before = number = len(kind_of)
        for row in rows:
            deployments = row.deployments
            if deployments is None:
                prod = nonprod = None
            else:
                prod, nonprod = deployments.prod, deployments.nonprod
            # Hashes, because keeping the texts of every row and every kind would take much more memory.
            key = hash((
                row.registry, row.registry_uuid, row.package_type, row.artifact_type, row.registry_type,
                row.scan_status, row.firewall_mode, row.quarantined, not prod, not nonprod, row.deleted is None,
            ))  # fmt: skip
            try:
                kind = kinds[key]
            except KeyError:
                kind = self._new_kind(key, row)
            identity = hash((kind.namespace, row.name, row.version, row.artifact_key))
            known = kind_of.setdefault(identity, kind)
            if new := len(kind_of) > number:
                number += 1
                kind.rows += 1
                if kind.live:
                    kind.registry.add(row, prod, nonprod)
            elif known is not kind:
                kind = self._merge(identity, known, kind)
            if kind.findings:
                if new or not known.findings:
                    self._found.append(identity)
                self._findings.keep(identity, row, kind)
            elif known.findings or (wanted and row.quarantine_reason):
                self._findings.drop(identity, row)
        return number - before

    def inventory(self) -> Inventory:
        """Return the totals and findings of all rows."""
        kinds = [kind for kind in self._kinds.values() if kind.rows]
        found = sum(kind.rows for kind in kinds if kind.findings)
        return Inventory(
            registries=registry_totals(self._registries, kinds, self._stale_ages, self._registries_limit, self._label),
            registries_dropped=max(0, len(self._registries) - self._registries_limit),
            findings=self._findings.most_urgent(),
            findings_dropped=max(0, found - self._findings_limit),
            artifacts=len(self._kind_of),
            first_seen=self._novelty.first_seen(
                identity for identity in self._found if self._kind_of[identity].findings
            ),
        )

    def _new_kind(self, key: int, row: Artifact) -> Kind:
        traits, registry = Traits.of(row, self._statuses.of, self._modes.of), self._registry(row)
        registry.scanned = registry.scanned or shows_scanning(row)
        # Not identified by `uuid`, as all tags of an image share it.
        namespace = hash((row.registry_uuid or row.registry, row.package_type, row.artifact_type, traits.live))
        return self._kind(key, namespace, registry, traits)

    def _registry(self, row: Artifact) -> RegistrySums:
        key = RegistryKey.of(row.registry, row.package_type, self._label)
        known = self._registries.get(key)
        if known is None:
            self._registries[key] = known = RegistrySums(key, self._stale_before, self._images)
            known.scanned = key in self._upstream and is_scanned(key.package_type)
        return known

    def _kind(self, key: int, namespace: int, registry: RegistrySums, traits: Traits) -> Kind:
        traits = self._traits.setdefault(traits, traits)
        return self._kinds.setdefault(key, Kind(namespace, registry, traits, self._wanted))

    def _merge(self, identity: int, known: Kind, again: Kind) -> Kind:
        """Move a row that is listed twice to the kind that has the traits of both, and return that kind."""
        traits = known.traits.merged(again.traits)
        if traits == known.traits:
            return known
        kind = self._kind(hash((known.namespace, known.registry.key, traits)), known.namespace, known.registry, traits)
        self._kind_of[identity] = kind
        known.rows -= 1
        kind.rows += 1
        return kind
