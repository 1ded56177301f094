"""Metric families of spaces, as rows of a table.

To add a family, add a row: name, type, labels, help, and a pure function from a space to its samples.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from exporter.inventory.listed import NOT_LISTED, SpaceLists
from exporter.inventory.refresh import SpaceStatus
from exporter.inventory.snapshot import OTHERS, Finding, RegistryKey, RegistryTotals, Snapshot
from exporter.metrics.family import Family, Sample, by_one, number_of, numbers_of
from exporter.scopes import parts_of


@dataclass(frozen=True, slots=True)
class SpaceView:
    """State of a space at one moment: its status, and the settings that are exported.

    Attributes:
        status: the status of the space.
        refresh_interval: seconds that a snapshot counts as fresh.
        link: returns the URL of a registry's page.
        owner: who answers for the space; empty if nobody does.
        listed: what the sources listed of it.
    """

    status: SpaceStatus
    refresh_interval: float
    link: Callable[[str], str]
    owner: str = ""
    listed: SpaceLists = NOT_LISTED

    @property
    def space(self) -> str:
        """The label `space`."""
        return self.status.space

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """The served snapshot, if there is one."""
        return (self.status.snapshot,) if self.status.snapshot else ()

    @property
    def registries(self) -> Iterator[tuple[tuple[str, str, str], RegistryTotals]]:
        """Labels and totals of every registry."""
        for snapshot in self.snapshots:
            for key, totals in snapshot.inventory.registries.items():
                yield (self.space, *key), totals

    @property
    def findings(self) -> Iterator[tuple[tuple[str, str, str, str, str], Finding]]:
        """Labels and details of every finding."""
        for snapshot in self.snapshots:
            for finding in snapshot.inventory.findings:
                yield (self.space, *finding.key, finding.artifact, finding.version), finding


def _per_registry(number: Callable[[RegistryTotals], float | None]) -> Callable[[SpaceView], Iterator[Sample]]:
    return number_of(lambda view: view.registries, number)


def _per_registry_by(numbers: Callable[[RegistryTotals], Iterable[Sample]]) -> Callable[[SpaceView], Iterator[Sample]]:
    return numbers_of(lambda view: view.registries, numbers)


def _per_finding_by(numbers: Callable[[Finding], Iterable[Sample]]) -> Callable[[SpaceView], Iterator[Sample]]:
    return numbers_of(lambda view: view.findings, numbers)


def _per_snapshot(number: Callable[[Snapshot], float]) -> Callable[[SpaceView], Iterator[Sample]]:
    """Return a function that exports one number of the snapshot, if there is one."""
    return lambda view: (((view.space,), number(snapshot)) for snapshot in view.snapshots)


def _registries_dropped(view: SpaceView) -> Iterator[Sample]:
    # The larger number, as the same registries are over the limit for artifacts and for what the sources listed.
    for snapshot in view.snapshots:
        yield (view.space,), max(snapshot.inventory.registries_dropped, view.listed.dropped)


def _stale_scans(totals: RegistryTotals) -> Iterable[Sample]:
    # A registry with only deleted rows has no artifacts to scan.
    return by_one(totals.stale_scans) if totals.artifacts else ()


def _registry_info(view: SpaceView) -> Iterator[Sample]:
    # Type and UUID are those of live rows.
    infos = {
        RegistryKey(*key): (totals.registry_type, totals.registry_uuid)
        for (_, *key), totals in view.registries
        if totals.artifacts
    }
    for key, registry in view.listed.registries.items():
        of_row = infos.get(key, ("", ""))
        infos[key] = registry.registry_type or of_row[0], registry.uuid or of_row[1]
    for key, info in sorted(infos.items()):
        # The others together have no page. Their info is exported for joins, which would lose them otherwise.
        yield (view.space, *key, *info, "" if key == OTHERS else view.link(key.registry)), 1


def _space_info(view: SpaceView) -> Iterator[Sample]:
    yield (view.space, *parts_of(view.space), view.owner), 1


# Details have a family of their own: as labels of a finding, a change of one would start a new series and a new alert.
def _finding_info(view: SpaceView) -> Iterator[Sample]:
    for labels, finding in view.findings:
        texts = (finding.scan_status, finding.firewall_mode, finding.reason, finding.purl, finding.uuid, finding.tags)
        yield (*labels, *texts, view.link(finding.key.registry)), 1


def _snapshot_artifacts(view: SpaceView) -> Iterator[Sample]:
    for snapshot in view.snapshots:
        yield (view.space, "fetched"), snapshot.inventory.artifacts
        if snapshot.reported is not None:
            yield (view.space, "reported"), snapshot.reported


def _snapshot_rejected(view: SpaceView) -> Iterator[Sample]:
    for snapshot in view.snapshots:
        # In the order of the attributes of Rejected.
        for reason, number in zip(("row", "count", "time"), snapshot.rejected, strict=True):
            yield (view.space, reason), number


_SPACE = ("space",)
_REGISTRY = (*_SPACE, "registry", "package_type")
_STATUSES = ("scan_status", "firewall_mode")
_ARTIFACT = (*_REGISTRY, "artifact", "version")

# Not formatted, so that each family starts with its name, type and labels on one line.
SPACE_FAMILIES: tuple[Family[SpaceView], ...] = (
    Family(
        "har_artifacts", "gauge", (*_REGISTRY, *_STATUSES),
        "Live artifact versions; images by tag or by digest (cached)",
        _per_registry_by(lambda totals: totals.artifacts.items()),
    ),
    Family(
        "har_artifacts_quarantined", "gauge", (*_REGISTRY, *_STATUSES),
        "Live artifact versions that are quarantined (cached)",
        _per_registry_by(lambda totals: totals.quarantined.items()),
    ),
    Family(
        "har_artifacts_deployed", "gauge", (*_REGISTRY, "deployed_to", "risk"),
        "Artifact versions deployed to at least one environment of that kind, by highest risk (cached)",
        _per_registry_by(lambda totals: totals.deployed.items()),
    ),
    Family(
        "har_artifact_environments", "gauge", (*_REGISTRY, "deployed_to"),
        "Environments that artifact versions are deployed to, summed over versions; absent if the API sends "
        "no counts (cached)",
        # The API sends these counts only if the account has the module that counts deployments: absent is not 0.
        _per_registry_by(lambda totals: by_one(totals.environments)),
    ),
    Family(
        "har_artifact_downloads", "gauge", _REGISTRY,
        "Downloads so far, once per image however many tags it has; falls when artifacts are deleted (cached)",
        _per_registry(lambda totals: totals.downloads),
    ),
    Family(
        "har_artifact_files", "gauge", _REGISTRY,
        "Files of all artifact versions (cached)",
        _per_registry(lambda totals: totals.files),
    ),
    Family(
        "har_artifact_digests", "gauge", _REGISTRY,
        "Digests of all artifact versions (cached)",
        _per_registry(lambda totals: totals.digests),
    ),
    Family(
        "har_artifacts_deleted", "gauge", _REGISTRY,
        "Deleted artifact versions that the API still lists; not counted in any other family (cached)",
        _per_registry(lambda totals: totals.deleted),
    ),
    Family(
        "har_artifacts_stale_scan", "gauge", (*_REGISTRY, "older_than"),
        "Scanned artifact versions whose last scan is older than that age; cumulative (cached)",
        _per_registry_by(_stale_scans),
    ),
    Family(
        "har_artifact_newest_modified_timestamp_seconds", "gauge", _REGISTRY,
        "Unix time of the latest modification of an artifact version (cached)",
        _per_registry(lambda totals: totals.newest_modified),
    ),
    Family(
        "har_artifact_newest_scan_timestamp_seconds", "gauge", _REGISTRY,
        "Unix time of the latest scan; absent if nothing was scanned (cached)",
        _per_registry(lambda totals: totals.newest_scan),
    ),
    Family(
        "har_artifact_oldest_scan_timestamp_seconds", "gauge", _REGISTRY,
        "Unix time of the last scan of the version that was scanned longest ago; absent if nothing was "
        "scanned (cached)",
        _per_registry(lambda totals: totals.oldest_scan),
    ),
    Family(
        "har_registry_info", "gauge", (*_REGISTRY, "registry_type", "registry_uuid", "url"),
        "Type, UUID and link of a registry, for joins; always 1 (cached)",
        _registry_info,
    ),
    Family(
        "har_space_info", "gauge", (*_SPACE, "account", "org", "project", "owner"),
        "Account, organization, project and owner of a space, for joins; always 1.",
        _space_info,
    ),
    Family(
        "har_artifact_finding", "gauge", (*_ARTIFACT, "finding"),
        "Artifact version that someone must act on, and why; always 1 (cached)",
        _per_finding_by(lambda finding: (((kind,), 1) for kind in finding.kinds)),
    ),
    Family(
        "har_artifact_finding_environments", "gauge", (*_ARTIFACT, "deployed_to"),
        "Environments that a finding is deployed to; absent if the API sends no counts (cached)",
        _per_finding_by(lambda finding: by_one(finding.environments)),
    ),
    Family(
        "har_artifact_finding_downloads", "gauge", _ARTIFACT,
        "Downloads of a finding so far; of the whole image if it is a tag (cached)",
        number_of(lambda view: view.findings, lambda finding: finding.downloads),
    ),
    Family(
        "har_artifact_finding_info", "gauge", (*_ARTIFACT, *_STATUSES, "reason", "purl", "uuid", "tags", "url"),
        "Details of a finding, for joins; always 1 (cached)",
        _finding_info,
    ),
    Family(
        "har_findings_dropped", "gauge", _SPACE,
        "Findings over findings_limit, which have no series of their own (cached)",
        _per_snapshot(lambda snapshot: snapshot.inventory.findings_dropped),
    ),
    Family(
        "har_registries_dropped", "gauge", _SPACE,
        "Registries and package types over registries_limit, which are added up as (other) (cached)",
        _registries_dropped,
    ),
    Family(
        "har_up", "gauge", _SPACE,
        "1 if the last finished refresh succeeded; 0 before the first one and after a failure.",
        lambda view: [((view.space,), view.status.up)],
    ),
    Family(
        "har_snapshot_timestamp_seconds", "gauge", _SPACE,
        "Unix time at which the served snapshot started; absent without a snapshot.",
        _per_snapshot(lambda snapshot: snapshot.began),
    ),
    Family(
        "har_snapshot_complete", "gauge", _SPACE,
        "1 if nothing in the API's responses leaves room for a missing row, or if they report no number of rows; "
        "else 0.",
        _per_snapshot(lambda snapshot: snapshot.complete),
    ),
    Family(
        "har_snapshot_artifacts", "gauge", (*_SPACE, "source"),
        "Rows of the listing: fetched (without duplicates) and reported by the API (absent without a usable count).",
        _snapshot_artifacts,
    ),
    Family(
        "har_snapshot_pages", "gauge", _SPACE,
        "Pages that the refresh read, including those that it read again.",
        _per_snapshot(lambda snapshot: snapshot.pages),
    ),
    Family(
        "har_snapshot_page_size", "gauge", _SPACE,
        "Rows per page in force.",
        _per_snapshot(lambda snapshot: snapshot.page_size),
    ),
    Family(
        "har_snapshot_duplicates", "gauge", _SPACE,
        "Rows that repeat an earlier one, without those of pages that were read again.",
        _per_snapshot(lambda snapshot: snapshot.duplicates),
    ),
    Family(
        "har_snapshot_rejected", "gauge", (*_SPACE, "reason"),
        "Rows, counts and times that could not be used.",
        _snapshot_rejected,
    ),
    Family(
        "har_refresh_duration_seconds", "gauge", _SPACE,
        "Duration of the last refresh, successful or not.",
        # Absent before the first refresh has ended: 0 would look like a very fast one.
        number_of(lambda view: [((view.space,), view.status)], lambda status: status.refresh_seconds),
    ),
    Family(
        "har_refresh_interval_seconds", "gauge", _SPACE,
        "How long a snapshot counts as fresh (cache_ttl).",
        lambda view: [((view.space,), view.refresh_interval)],
    ),
    Family(
        "har_refresh_failures_total", "counter", (*_SPACE, "reason"),
        "Failed refreshes.",
        numbers_of(lambda view: [((view.space,), view.status)], lambda status: by_one(status.failures)),
    ),
)  # fmt: skip
"""Families of every space."""
