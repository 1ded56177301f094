"""Metric families of the sources: registries and violations of each space, and the state of each source."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from exporter.inventory.refresh import Failure
from exporter.inventory.registries import Registry
from exporter.inventory.violations import ViolationTotals
from exporter.metrics.family import Family, Sample, by_one, number_of, numbers_of
from exporter.metrics.space_families import SpaceView


@dataclass(frozen=True, slots=True)
class SourceView:
    """State of one source of one entry at one moment.

    Attributes:
        source: one of `SOURCES`.
        entry: the entry as it was written.
        up: whether the last read that ended succeeded.
        asked: when the data that is served was asked for, seconds since the epoch; None without data.
        seconds: duration of the last read; None before the first one ended.
        failures: failed reads by reason; every reason is present.
        last_failure: why the last read failed; None if it succeeded.
        available: whether the server has the source at all, and for this key, as far as the last read showed.
        spaces: how many spaces were found below the entry; None if it does not end in `/**`, or none was found yet.
    """

    source: str
    entry: str
    up: bool
    asked: float | None
    seconds: float | None
    failures: Mapping[str, int]
    last_failure: Failure | None = None
    available: bool = True
    spaces: int | None = None


def _registries(view: SpaceView) -> Iterator[tuple[tuple[str, ...], Registry]]:
    for key, registry in view.listed.registries.items():
        yield (view.space, *key), registry


def _per_registry(number: Callable[[Registry], float | None]) -> Callable[[SpaceView], Iterator[Sample]]:
    return number_of(_registries, number)


def _firewall(registry: Registry) -> Iterable[Sample]:
    return () if registry.firewall_mode is None else [((registry.firewall_mode,), 1)]


def _violations(view: SpaceView) -> Iterator[tuple[tuple[str, ...], ViolationTotals]]:
    if view.listed.violations:
        for key, totals in view.listed.violations.registries.items():
            yield (view.space, *key), totals


def _violation_info(view: SpaceView) -> Iterator[Sample]:
    if view.listed.violations:
        for one in view.listed.violations.named:
            texts = (*one.verdict, one.categories, one.policy_sets, one.purl)
            yield (view.space, *one.key, one.artifact, one.version, *texts), 1


def _dropped(view: SpaceView) -> Iterator[Sample]:
    if view.listed.violations:
        yield (view.space,), view.listed.violations.dropped


def _per_source(number: Callable[[SourceView], float | None]) -> Callable[[SourceView], Iterator[Sample]]:
    return number_of(lambda view: [((view.source, view.entry), view)], number)


_SPACE = ("space",)
_REGISTRY = (*_SPACE, "registry", "package_type")
_SOURCE = ("source", "space")

# Not formatted, so that each family starts with its name, type and labels on one line.
LISTED_FAMILIES: tuple[Family[SpaceView], ...] = (
    Family(
        "har_registry_firewall", "gauge", (*_REGISTRY, "firewall_mode"),
        "Firewall mode that an UPSTREAM registry is configured with; always 1 (cached)",
        numbers_of(_registries, _firewall),
    ),
    Family(
        "har_registry_public", "gauge", _REGISTRY,
        "1 if anyone may read the registry without a key, else 0 (cached)",
        _per_registry(lambda registry: registry.public),
    ),
    Family(
        "har_registry_packages", "gauge", _REGISTRY,
        "Packages in the registry, each with all its versions (cached)",
        _per_registry(lambda registry: registry.packages),
    ),
    Family(
        "har_registry_size_bytes", "gauge", _REGISTRY,
        "Size of the registry, as rounded by the API; absent if the API shows none (cached)",
        _per_registry(lambda registry: registry.size),
    ),
    Family(
        "har_firewall_violations", "gauge", (*_REGISTRY, "scan_status", "exemption"),
        "Package versions that the firewall blocked or warned of, including those that never entered (cached)",
        numbers_of(_violations, lambda totals: totals.violations.items()),
    ),
    Family(
        "har_firewall_violations_by_category", "gauge", (*_REGISTRY, "category"),
        "Firewall violations by category; one with several categories counts once in each (cached)",
        numbers_of(_violations, lambda totals: by_one(totals.categories)),
    ),
    Family(
        "har_firewall_violation_info", "gauge",
        (*_REGISTRY, "artifact", "version", "scan_status", "exemption", "categories", "policy_sets", "purl"),
        "Firewall violation, the newest ones up to findings_limit; always 1 (cached)",
        _violation_info,
    ),
    Family(
        "har_firewall_violations_dropped", "gauge", _SPACE,
        "Firewall violations over findings_limit, which have no series of their own (cached)",
        _dropped,
    ),
    Family(
        "har_firewall_violation_newest_timestamp_seconds", "gauge", _REGISTRY,
        "Unix time at which the firewall last judged a version that it blocked or warned of (cached)",
        number_of(_violations, lambda totals: totals.newest),
    ),
)  # fmt: skip
"""Families of every space that the sources list, on /metrics only."""

SOURCE_FAMILIES: tuple[Family[SourceView], ...] = (
    Family(
        "har_source_up", "gauge", _SOURCE,
        "1 if the last read of the source succeeded; 0 before the first one and after a failure.",
        _per_source(lambda view: view.up),
    ),
    Family(
        "har_source_timestamp_seconds", "gauge", _SOURCE,
        "Unix time at which the served data of the source was asked for; absent without data.",
        _per_source(lambda view: view.asked),
    ),
    Family(
        "har_source_duration_seconds", "gauge", _SOURCE,
        "Duration of the last read of the source, successful or not.",
        _per_source(lambda view: view.seconds),
    ),
    Family(
        "har_source_failures_total", "counter", (*_SOURCE, "reason"),
        "Failed reads of the source.",
        numbers_of(lambda view: [((view.source, view.entry), view)], lambda view: by_one(view.failures)),
    ),
    Family(
        "har_discovered_spaces", "gauge", _SPACE,
        "Spaces found below an entry of spaces that ends in /**, on this shard or another.",
        number_of(lambda view: [((view.entry,), view)], lambda view: view.spaces),
    ),
)  # fmt: skip
"""Families of every source of every entry, on /metrics only."""
