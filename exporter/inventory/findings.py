"""Findings of a walk: the artifacts that someone must act on, the most urgent ones only."""

import heapq
from collections import defaultdict
from collections.abc import Iterator

from exporter.harness.page import Artifact
from exporter.inventory.snapshot import Finding, RegistryKey
from exporter.inventory.traits import Kind
from exporter.labels import FINDINGS, clean


class Findings:
    """Collection of the most urgent findings; holds at most twice the limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._found: dict[int, tuple[Artifact, Kind]] = {}
        self._reasons: dict[int, str] = {}

    def keep(self, identity: int, row: Artifact, kind: Kind) -> None:
        """Keep a row; if it is already kept, replace its kind and add a missing reason."""
        kept, _ = self._found.get(identity, (row, kind))
        kept.quarantine_reason = self._reasons.get(identity) or kept.quarantine_reason or row.quarantine_reason
        self._found[identity] = (kept, kind)
        # Twice the limit, so that the sorting is not repeated for every row.
        if len(self._found) > 2 * self._limit:
            self._found = dict(heapq.nsmallest(self._limit, self._found.items(), key=_urgency))

    def drop(self, identity: int, row: Artifact) -> None:
        """Drop a row that is not a finding, or no longer one: blocked now, for example, if only `warn` is wanted."""
        # Its quarantine reason is kept: if the row is listed again, it may become a finding of another kind.
        kept, _ = self._found.pop(identity, (row, None))
        if reason := kept.quarantine_reason or row.quarantine_reason:
            self._reasons.setdefault(identity, reason)

    def most_urgent(self) -> tuple[Finding, ...]:
        """Return the findings in order of urgency; rows with equal labels are one finding."""
        alike: defaultdict[tuple[RegistryKey, str, str], list[tuple[Artifact, Kind]]] = defaultdict(list)
        for _, (row, kind) in heapq.nsmallest(self._limit, self._found.items(), key=_urgency):
            key = RegistryKey.of(row.registry, row.package_type)
            alike[key, clean(row.name), clean(row.version or "")].append((row, kind))
        return tuple(_finding(*labels, rows) for labels, rows in alike.items())


def _urgency(item: tuple[int, tuple[Artifact, Kind]]) -> tuple[bool | int | str, ...]:
    """Return the sort key: production first, then the kind of finding, then names."""
    # Names make the order independent of the listing, so that every walk keeps the same findings.
    _, (row, kind) = item
    worst = FINDINGS.index(kind.findings[0])
    texts = (row.name, row.version, row.registry, row.package_type, row.artifact_type, row.registry_uuid)
    return (not kind.traits.in_prod, worst, *(text or "" for text in texts))


def _finding(key: RegistryKey, artifact: str, version: str, rows: list[tuple[Artifact, Kind]]) -> Finding:
    """Return one finding for rows with equal labels; its texts are those of the first row by name."""
    row, kind = min(rows, key=lambda row_and_kind: (row_and_kind[0].name, row_and_kind[0].version or ""))
    found = {finding for _, kind in rows for finding in kind.findings}
    return Finding(
        key=key,
        artifact=artifact,
        version=version,
        kinds=tuple(finding for finding in FINDINGS if finding in found),
        environments=dict(_environments(row)),
        downloads=row.downloads,
        scan_status=kind.cell.scan_status,
        firewall_mode=kind.cell.firewall_mode,
        reason=clean(row.quarantine_reason or ""),
        purl=clean(row.purl or ""),
        uuid=clean(row.uuid or ""),
    )


def _environments(row: Artifact) -> Iterator[tuple[str, int]]:
    if row.deployments is not None:
        if row.deployments.prod is not None:
            yield "prod", row.deployments.prod
        if row.deployments.nonprod is not None:
            yield "nonprod", row.deployments.nonprod
