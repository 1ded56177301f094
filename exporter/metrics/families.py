"""All metric families as rows of two tables, and the pages that are rendered from them.

Adding a family is adding a row: its name, type, labels and help, and a pure function from what is known to its samples.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from exporter.config.readers import parts_of
from exporter.harness.counters import BUCKETS, ApiCounts
from exporter.inventory.refresh import CacheCounts, SpaceStatus
from exporter.inventory.snapshot import Finding, RegistryTotals, Snapshot

T = TypeVar("T")

Sample = tuple[tuple[str, ...], float]
"""The values of a family's labels, in the family's order, and the sample's value."""


@dataclass(frozen=True, slots=True)
class Family(Generic[T]):
    """One metric family.

    Attributes:
        name: its name, with `_total` for a counter.
        type: `gauge`, `counter` or `histogram`.
        labels: the names of its labels; a histogram's `le` and suffix come on top.
        help: its HELP text.
        samples: what is exported of a source.
    """

    name: str
    type: str
    labels: tuple[str, ...]
    help: str
    samples: Callable[[T], Iterable[Sample]]


@dataclass(frozen=True, slots=True)
class SpaceView:
    """One space, and what the configuration adds to it.

    Attributes:
        status: what is known of the space.
        refresh_interval: seconds that a snapshot counts as fresh.
        link: the address of a registry's page.
    """

    status: SpaceStatus
    refresh_interval: float
    link: Callable[[str], str]

    @property
    def space(self) -> str:
        """The label `space`."""
        return self.status.space

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """The snapshot that is served, or nothing."""
        return (self.status.snapshot,) if self.status.snapshot else ()

    @property
    def registries(self) -> Iterator[tuple[tuple[str, str, str], RegistryTotals]]:
        """The labels and the totals of every registry."""
        for snapshot in self.snapshots:
            for key, totals in snapshot.inventory.registries.items():
                yield (self.space, *key), totals

    @property
    def findings(self) -> Iterator[tuple[tuple[str, str, str, str, str], Finding]]:
        """The labels and the rest of every finding."""
        for snapshot in self.snapshots:
            for finding in snapshot.inventory.findings:
                yield (self.space, *finding.key, finding.artifact, finding.version), finding


@dataclass(frozen=True, slots=True)
class ProcessView:
    """The process as a whole.

    Attributes:
        version: the exporter's version.
        revision: the source revision that it was built from.
        api: what the requests to the API amount to.
        cache: by space, how often it was asked for.
        reload_succeeded: settings and key files could be used when they were last read.
        reload_time: when the settings were last read with success, wall clock, seconds since the epoch.
    """

    version: str
    revision: str
    api: ApiCounts
    cache: Mapping[str, CacheCounts]
    reload_succeeded: bool
    reload_time: float


def _per_registry(number: Callable[[RegistryTotals], float | None]) -> Callable[[SpaceView], Iterator[Sample]]:
    """Export one number of every registry that has it."""

    def samples(view: SpaceView) -> Iterator[Sample]:
        for labels, totals in view.registries:
            value = number(totals)
            if value is not None:
                yield labels, value

    return samples


def _per_registry_by(
    numbers: Callable[[RegistryTotals], Iterable[tuple[tuple[str, str], int]]],
) -> Callable[[SpaceView], Iterator[Sample]]:
    """Export numbers of every registry, by two labels."""

    def samples(view: SpaceView) -> Iterator[Sample]:
        for labels, totals in view.registries:
            for by, value in numbers(totals):
                yield (*labels, *by), value

    return samples


def _per_snapshot(number: Callable[[Snapshot], float]) -> Callable[[SpaceView], Iterator[Sample]]:
    """Export one number of the snapshot, while there is one."""
    return lambda view: (((view.space,), number(snapshot)) for snapshot in view.snapshots)


def _environments(view: SpaceView) -> Iterator[Sample]:
    for labels, totals in view.registries:
        for deployed_to, number in totals.environments.items():
            yield (*labels, deployed_to), number


def _stale_scans(view: SpaceView) -> Iterator[Sample]:
    for labels, totals in view.registries:
        if totals.artifacts:
            for older_than, number in totals.stale_scans.items():
                yield (*labels, older_than), number


def _registry_info(view: SpaceView) -> Iterator[Sample]:
    for labels, totals in view.registries:
        _, registry, _ = labels
        if totals.artifacts:
            yield (*labels, totals.registry_type, totals.registry_uuid, view.link(registry)), 1


def _space_info(view: SpaceView) -> Iterator[Sample]:
    yield (view.space, *parts_of(view.space)), 1


def _findings(view: SpaceView) -> Iterator[Sample]:
    for labels, finding in view.findings:
        for kind in finding.kinds:
            yield (*labels, kind), 1


def _finding_environments(view: SpaceView) -> Iterator[Sample]:
    for labels, finding in view.findings:
        for deployed_to, number in finding.environments.items():
            yield (*labels, deployed_to), number


def _finding_downloads(view: SpaceView) -> Iterator[Sample]:
    for labels, finding in view.findings:
        if finding.downloads is not None:
            yield labels, finding.downloads


def _finding_info(view: SpaceView) -> Iterator[Sample]:
    for labels, finding in view.findings:
        texts = (finding.scan_status, finding.firewall_mode, finding.reason, finding.purl, finding.uuid)
        yield (*labels, *texts, view.link(finding.key.registry)), 1


def _snapshot_artifacts(view: SpaceView) -> Iterator[Sample]:
    for snapshot in view.snapshots:
        yield (view.space, "fetched"), snapshot.inventory.artifacts
        if snapshot.reported is not None:
            yield (view.space, "reported"), snapshot.reported


def _snapshot_rejected(view: SpaceView) -> Iterator[Sample]:
    for snapshot in view.snapshots:
        for reason, number in zip(("row", "count", "time"), snapshot.rejected, strict=True):
            yield (view.space, reason), number


def _refresh_duration(view: SpaceView) -> Iterator[Sample]:
    if view.status.refresh_seconds is not None:
        yield (view.space,), view.status.refresh_seconds


def _refresh_failures(view: SpaceView) -> Iterator[Sample]:
    for reason, number in view.status.failures.items():
        yield (view.space, reason), number


LABELS: Mapping[str, str] = {
    "space": "the configured scope without `/+`; never taken from an answer",
    "registry": "`registryIdentifier`",
    "package_type": "`packageType` as spelled; absent: `UNKNOWN`",
    "scan_status": "`scanStatus` as spelled; absent: `UNSCANNED` where scanning applies, else `NOT_APPLICABLE`",
    "firewall_mode": "`firewallMode` as spelled; absent: `NONE`",
    "deployed_to": "`prod` from `prodEnvCount`, `nonprod` from `nonProdEnvCount`",
    "risk": "one per artifact, the worst of `quarantined` (`isQuarantined`), `blocked`, `warn`, `unscanned` and `none` "
    "(`scanStatus`), in this order",
    "older_than": "age of `lastScannedAt`, as the setting `stale_scan_after` spells it",
    "registry_type": "`registryType` of the newest row",
    "registry_uuid": "`registryUUID` of the newest row",
    "url": "the setting `link_template`, filled in",
    "account": "first segment of the space",
    "org": "second segment of the space, empty where there is none",
    "project": "third segment of the space, empty where there is none",
    "artifact": "`name`",
    "version": "`version`; of `har_exporter_build_info` the exporter's own",
    "finding": "`quarantined` from `isQuarantined`, `blocked` and `warn` from `scanStatus`",
    "reason": "of a finding: `quarantineReason`; of rejected values: `row`, `count`, `time`; of failures and retries: "
    "why, from a closed set",
    "purl": "`purl`",
    "uuid": "`uuid`",
    "source": "`fetched` or `reported` (`itemCount`)",
    "code": "HTTP status of the answer, `error` without one",
    "revision": "local part of the exporter's version",
    "python_version": "of the interpreter",
}
"""Where the values of each label come from."""

_SPACE = ("space",)
_REGISTRY = (*_SPACE, "registry", "package_type")
_STATUSES = ("scan_status", "firewall_mode")
_ARTIFACT = (*_REGISTRY, "artifact", "version")
_CACHED = " Values are cached: har_snapshot_timestamp_seconds tells their age."

SPACE_FAMILIES: tuple[Family[SpaceView], ...] = (
    Family(
        "har_artifacts", "gauge", (*_REGISTRY, *_STATUSES),
        "Live artifact versions, images by tag or by digest." + _CACHED,
        _per_registry_by(lambda totals: totals.artifacts.items()),
    ),
    Family(
        "har_artifacts_quarantined", "gauge", (*_REGISTRY, *_STATUSES),
        "Live artifact versions that are quarantined." + _CACHED,
        _per_registry_by(lambda totals: totals.quarantined.items()),
    ),
    Family(
        "har_artifacts_deployed", "gauge", (*_REGISTRY, "deployed_to", "risk"),
        "Artifact versions deployed to at least one environment of that kind, by the worst that is wrong with them."
        + _CACHED,
        _per_registry_by(lambda totals: totals.deployed.items()),
    ),
    Family(
        "har_artifact_environments", "gauge", (*_REGISTRY, "deployed_to"),
        "Environments that artifact versions are deployed to, summed over versions; absent where the API sends no "
        "counts." + _CACHED,
        _environments,
    ),
    Family(
        "har_artifact_downloads", "gauge", _REGISTRY,
        "Downloads so far, an image's once however many tags it has; falls when artifacts are deleted." + _CACHED,
        _per_registry(lambda totals: totals.downloads),
    ),
    Family(
        "har_artifact_files", "gauge", _REGISTRY,
        "Files of all artifact versions." + _CACHED,
        _per_registry(lambda totals: totals.files),
    ),
    Family(
        "har_artifact_digests", "gauge", _REGISTRY,
        "Digests of all artifact versions." + _CACHED,
        _per_registry(lambda totals: totals.digests),
    ),
    Family(
        "har_artifacts_deleted", "gauge", _REGISTRY,
        "Artifact versions that are listed though deleted; they count nowhere else." + _CACHED,
        _per_registry(lambda totals: totals.deleted),
    ),
    Family(
        "har_artifacts_stale_scan", "gauge", (*_REGISTRY, "older_than"),
        "Scanned artifact versions whose last scan is older than that; cumulative." + _CACHED,
        _stale_scans,
    ),
    Family(
        "har_artifact_newest_modified_timestamp_seconds", "gauge", _REGISTRY,
        "When an artifact version was last modified." + _CACHED,
        _per_registry(lambda totals: totals.newest_modified),
    ),
    Family(
        "har_artifact_newest_scan_timestamp_seconds", "gauge", _REGISTRY,
        "When an artifact version was last scanned; absent where none was." + _CACHED,
        _per_registry(lambda totals: totals.newest_scan),
    ),
    Family(
        "har_artifact_oldest_scan_timestamp_seconds", "gauge", _REGISTRY,
        "When the artifact version that waits longest for another scan was last scanned; absent where none was."
        + _CACHED,
        _per_registry(lambda totals: totals.oldest_scan),
    ),
    Family(
        "har_registry_info", "gauge", (*_REGISTRY, "registry_type", "registry_uuid", "url"),
        "A registry's type, identity and page, to join with; always 1." + _CACHED,
        _registry_info,
    ),
    Family(
        "har_space_info", "gauge", (*_SPACE, "account", "org", "project"),
        "The parts of a configured space, to join with; always 1.",
        _space_info,
    ),
    Family(
        "har_artifact_finding", "gauge", (*_ARTIFACT, "finding"),
        "An artifact version that someone must act on, and why; always 1." + _CACHED,
        _findings,
    ),
    Family(
        "har_artifact_finding_environments", "gauge", (*_ARTIFACT, "deployed_to"),
        "Environments that a finding is deployed to; absent where the API sends no counts." + _CACHED,
        _finding_environments,
    ),
    Family(
        "har_artifact_finding_downloads", "gauge", _ARTIFACT,
        "Downloads of a finding so far, of the whole image where it is one." + _CACHED,
        _finding_downloads,
    ),
    Family(
        "har_artifact_finding_info", "gauge", (*_ARTIFACT, *_STATUSES, "reason", "purl", "uuid", "url"),
        "What else is known of a finding, to join with; always 1." + _CACHED,
        _finding_info,
    ),
    Family(
        "har_findings_dropped", "gauge", _SPACE,
        "Artifact versions that someone must act on but that are over the limit of findings." + _CACHED,
        _per_snapshot(lambda snapshot: snapshot.inventory.findings_dropped),
    ),
    Family(
        "har_up", "gauge", _SPACE,
        "1 if the last refresh that ended succeeded; 0 before the first and after a failure.",
        lambda view: [((view.space,), view.status.up)],
    ),
    Family(
        "har_snapshot_timestamp_seconds", "gauge", _SPACE,
        "When the walk began whose values are served; absent while there are none.",
        _per_snapshot(lambda snapshot: snapshot.began),
    ),
    Family(
        "har_snapshot_complete", "gauge", _SPACE,
        "1 if the walk read as many rows as the API reported and that number stood still, or none was reported.",
        _per_snapshot(lambda snapshot: snapshot.complete),
    ),
    Family(
        "har_snapshot_artifacts", "gauge", (*_SPACE, "source"),
        "Rows of the listing: fetched, without duplicates, and as the API reported; the latter absent without a "
        "usable report.",
        _snapshot_artifacts,
    ),
    Family(
        "har_snapshot_pages", "gauge", _SPACE,
        "Pages that the walk read, the second reading of page 0 included.",
        _per_snapshot(lambda snapshot: snapshot.pages),
    ),
    Family(
        "har_snapshot_duplicates", "gauge", _SPACE,
        "Rows of the walk that repeat another one, the second reading of page 0 aside.",
        _per_snapshot(lambda snapshot: snapshot.duplicates),
    ),
    Family(
        "har_snapshot_rejected", "gauge", (*_SPACE, "reason"),
        "Rows, counts and times of the walk that could not be used.",
        _snapshot_rejected,
    ),
    Family(
        "har_refresh_duration_seconds", "gauge", _SPACE,
        "How long the last walk took that ended, well or not.",
        _refresh_duration,
    ),
    Family(
        "har_refresh_interval_seconds", "gauge", _SPACE,
        "How long values count as fresh: the cache's time to live.",
        lambda view: [((view.space,), view.refresh_interval)],
    ),
    Family(
        "har_refresh_failures_total", "counter", (*_SPACE, "reason"),
        "Refreshes that failed.",
        _refresh_failures,
    ),
)  # fmt: skip
"""What is exported of every space."""


def _build_info(view: ProcessView) -> Iterator[Sample]:
    yield (view.version, view.revision, platform.python_version()), 1


def _by_key(numbers: Callable[[ProcessView], Mapping[str, float]]) -> Callable[[ProcessView], Iterator[Sample]]:
    """Export numbers by one label."""
    return lambda view: (((key,), number) for key, number in numbers(view).items())


def _api_durations(view: ProcessView) -> Iterator[Sample]:
    bounds = [*map(str, BUCKETS), "+Inf"]
    counts = list(accumulate(view.api.durations))
    for bound, count in zip(bounds, counts, strict=True):
        yield ("_bucket", bound), count
    yield ("_count",), counts[-1]
    yield ("_sum",), view.api.duration_sum


PROCESS_FAMILIES: tuple[Family[ProcessView], ...] = (
    Family(
        "har_exporter_build_info", "gauge", ("version", "revision", "python_version"),
        "What the exporter was built from; always 1.",
        _build_info,
    ),
    Family(
        "har_exporter_api_requests_total", "counter", ("code",),
        "Requests to the API, retries included, by HTTP code, or error where there was no answer.",
        _by_key(lambda view: view.api.requests),
    ),
    Family(
        "har_exporter_api_request_duration_seconds", "histogram", (),
        "How long requests to the API took, waits between them aside.",
        _api_durations,
    ),
    Family(
        "har_exporter_api_retries_total", "counter", ("reason",),
        "Requests to the API that were sent again.",
        _by_key(lambda view: view.api.retries),
    ),
    Family(
        "har_exporter_api_throttle_wait_seconds_total", "counter", (),
        "How long requests to the API waited for their turn under rate_limit.",
        lambda view: [((), view.api.throttle_wait)],
    ),
    Family(
        "har_exporter_cache_requests_total", "counter", _SPACE,
        "How often scrapes asked for a space.",
        _by_key(lambda view: {space: counts.requests for space, counts in view.cache.items()}),
    ),
    Family(
        "har_exporter_cache_hits_total", "counter", _SPACE,
        "How often a fresh snapshot answered them.",
        _by_key(lambda view: {space: counts.hits for space, counts in view.cache.items()}),
    ),
    Family(
        "har_exporter_config_last_reload_successful", "gauge", (),
        "1 if the settings and the key files could be used when they were last read.",
        lambda view: [((), view.reload_succeeded)],
    ),
    Family(
        "har_exporter_config_last_reload_success_timestamp_seconds", "gauge", (),
        "When the settings were last read and could be used.",
        lambda view: [((), view.reload_time)],
    ),
)  # fmt: skip
"""What is exported of the process, on /metrics only."""


class FamilyCollector(Collector, Generic[T]):
    """Fills families from sources that are asked for at each collection."""

    def __init__(self, families: Sequence[Family[T]], sources: Callable[[], Iterable[T]]) -> None:
        """Collect nothing yet.

        Args:
            families: the rows of a table above.
            sources: returns what to export.
        """
        self._families = families
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """Yield every family with the samples of all sources."""
        sources = tuple(self._sources())
        for family in self._families:
            yield _metric(family, sources)


def _metric(family: Family[T], sources: Iterable[T]) -> Metric:
    metric = Metric(family.name.removesuffix("_total"), family.help, family.type)
    for source in sources:
        for values, number in family.samples(source):
            if family.type == "histogram":
                suffix, *bound = values
                metric.add_sample(family.name + suffix, dict(zip(("le",), bound, strict=False)), float(number))
            else:
                # Strict, since the library's own add_metric drops surplus values without a word.
                metric.add_sample(family.name, dict(zip(family.labels, values, strict=True)), float(number))
    return metric
