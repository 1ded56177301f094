"""Findings of a walk: the artifacts that someone must act on, the most urgent ones only."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from exporter.harness.page import Artifact
from exporter.inventory.novelty import Novelty
from exporter.inventory.snapshot import Finding, RegistryKey
from exporter.inventory.traits import Kind
from exporter.labels import FINDINGS, Label

_Found = tuple[Artifact, Kind]
_Urgency = tuple[bool | int | str, ...]


class Findings:
    """Collection of the most urgent findings; holds at most twice the limit."""

    def __init__(self, limit: int, label: Label, novelty: Novelty) -> None:
        self._limit = limit
        self._label = label
        self._novelty = novelty
        self._found: dict[int, _Found] = {}
        self._reasons: dict[int, str] = {}
        # As many findings as the limit are at least as urgent; None if that is not known.
        self._least_urgency: _Urgency | None = None

    def keep(self, identity: int, row: Artifact, kind: Kind) -> None:
        """Keep a row; if it is already kept, replace its kind and add a missing reason."""
        kept, _ = self._found.get(identity, (row, kind))
        kept.quarantine_reason = self._reasons.get(identity) or kept.quarantine_reason or row.quarantine_reason
        if self._least_urgency is not None and self._urgency((identity, (kept, kind))) > self._least_urgency:
            return
        self._found[identity] = (kept, kind)
        # Twice the limit, so that the sorting is not repeated for every row.
        if len(self._found) > 2 * self._limit:
            most_urgent = self._within_limit()
            self._found = dict(most_urgent)
            self._least_urgency = self._urgency(most_urgent[-1]) if most_urgent else ()

    def drop(self, identity: int, row: Artifact) -> None:
        """Drop a row that is not a finding, or no longer one: blocked now, for example, if only `warn` is wanted."""
        # Its quarantine reason is kept: if the row is listed again, it may become a finding of another kind.
        if identity in self._found:
            kept, _ = self._found.pop(identity)
            row = kept if kept.quarantine_reason else row
            self._least_urgency = None
        if row.quarantine_reason:
            self._reasons.setdefault(identity, row.quarantine_reason)

    def most_urgent(self) -> tuple[Finding, ...]:
        """Return the findings in order of urgency; rows with equal labels are one finding."""
        alike: defaultdict[tuple[RegistryKey, str, str], list[_Found]] = defaultdict(list)
        for _, (row, kind) in self._within_limit():
            alike[kind.registry.key, self._label(row.name), self._label(row.version or "")].append((row, kind))
        return tuple(_finding(*labels, found, self._label) for labels, found in alike.items())

    def _within_limit(self) -> list[tuple[int, _Found]]:
        return sorted(self._found.items(), key=self._urgency)[: self._limit]

    def _urgency(self, item: tuple[int, _Found]) -> _Urgency:
        """Return the sort key: production first, then new findings, then the kind of finding, then names."""
        identity, (row, kind) = item
        in_prod = kind.traits.in_prod
        # Names make the order independent of the listing, so that every walk keeps the same findings.
        return (
            not in_prod,
            not in_prod and not self._novelty.is_new(identity),
            FINDINGS.index(kind.findings[0]),
            row.name,
            row.version or "",
            row.registry,
            row.package_type or "",
            row.artifact_type or "",
            row.registry_uuid or "",
            row.artifact_key or "",
        )


def _finding(key: RegistryKey, artifact: str, version: str, alike: Sequence[_Found], label: Label) -> Finding:
    """Return one finding for rows with equal labels; its texts are those of the first row by name."""
    row, kind = min(alike, key=lambda found: (found[0].name, found[0].version or ""))
    kinds = {finding for _, kind in alike for finding in kind.findings}
    scan_status, firewall_mode = kind.cell
    return Finding(
        key=key,
        artifact=artifact,
        version=version,
        kinds=tuple(finding for finding in FINDINGS if finding in kinds),
        environments=dict(_environments(row)),
        downloads=row.downloads,
        scan_status=scan_status,
        firewall_mode=firewall_mode,
        reason=label(row.quarantine_reason or ""),
        purl=label(row.purl or ""),
        uuid=label(row.uuid or ""),
        tags=label(",".join(row.tags)),
    )


def _environments(row: Artifact) -> Iterator[tuple[str, int]]:
    if row.deployments is not None:
        if row.deployments.prod is not None:
            yield "prod", row.deployments.prod
        if row.deployments.nonprod is not None:
            yield "nonprod", row.deployments.nonprod
