"""Metric families: the row of a table, the source of each label, and the collector."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

T = TypeVar("T")
Item = TypeVar("Item")

Sample = tuple[tuple[str, ...], float]
"""Label values in the order of the family's labels, and the value of the sample."""


@dataclass(frozen=True, slots=True)
class Family(Generic[T]):
    """Metric family.

    Attributes:
        name: the name, with `_total` for a counter.
        type: `gauge`, `counter` or `histogram`.
        labels: the names of the labels; without the `le` of a histogram.
        help: the HELP text.
        samples: returns the samples of a source.
    """

    name: str
    type: str
    labels: tuple[str, ...]
    help: str
    samples: Callable[[T], Iterable[Sample]]


LABELS: Mapping[str, str] = {
    "space": "the scope without `/+`: configured, or found in the `path` of a registry; of a source: the entry of "
    "`spaces` as written",
    "registry": "`registryIdentifier`; `(other)` [over a limit](#limits)",
    "package_type": "`packageType` as the API writes it; absent: `UNKNOWN`; `(other)` over a limit",
    "scan_status": "`scanStatus` as the API writes it; absent: `UNSCANNED` if [scanning applies](#scan-status), else "
    "`NOT_APPLICABLE`; `(other)` over a limit",
    "firewall_mode": "`firewallMode` as the API writes it; absent: `NONE`; `(other)` over a limit",
    "deployed_to": "`prod` from `prodEnvCount`, `nonprod` from `nonProdEnvCount`",
    "risk": "one per artifact, the highest of `quarantined` (`isQuarantined`), `blocked`, `warn`, `unscanned` and "
    "`none` (`scanStatus`)",
    "older_than": "age of `lastScannedAt`, as written in the setting `stale_scan_after`",
    "registry_type": "`type` of the registry, else `registryType` of the newest row",
    "registry_uuid": "`uuid` of the registry, else `registryUUID` of the newest row",
    "exemption": "`exemptionStatus` of a violation as the API writes it; absent: `NONE`; `(other)` over a limit",
    "category": "one of `securityViolationCategories`; `(other)` over a limit",
    "categories": "`securityViolationCategories`, sorted, separated by commas",
    "policy_sets": "`policySets[].policySetName`, sorted, separated by commas",
    "url": "the setting `link_template`, filled in",
    "account": "first segment of the space",
    "org": "second segment of the space, empty if there is none",
    "owner": "who answers for the space, from the setting `owner`; empty if nobody does",
    "project": "third segment of the space, empty if there is none",
    "artifact": "`name`",
    "version": "`version`; in `har_exporter_build_info` the version of the exporter",
    "finding": "`quarantined` from `isQuarantined`, `blocked` and `warn` from `scanStatus`",
    "reason": "of a finding: `quarantineReason`; of rejected values: `row`, `count`, `time`; of failures and retries: "
    "one of a closed set",
    "purl": "`purl`",
    "uuid": "`uuid`",
    "tags": "`metadata.tags`, sorted, separated by commas",
    "source": "of artifacts: `fetched` or `reported` (`itemCount`); else `registries` or `violations`",
    "code": "HTTP status of the response, `error` without one",
    "shard": "the setting `shard`",
    "revision": "local part of the exporter's version",
    "python_version": "version of the Python interpreter",
}
"""Source of the values of each label."""


def number_of(
    items: Callable[[T], Iterable[tuple[tuple[str, ...], Item]]], number: Callable[[Item], float | None]
) -> Callable[[T], Iterator[Sample]]:
    """Return a function that exports one number of every item that has it.

    Args:
        items: returns labels and items of a source.
        number: returns the number of an item; None if it has none.
    """

    def samples(source: T) -> Iterator[Sample]:
        for labels, item in items(source):
            value = number(item)
            if value is not None:
                yield labels, value

    return samples


def numbers_of(
    items: Callable[[T], Iterable[tuple[tuple[str, ...], Item]]],
    numbers: Callable[[Item], Iterable[tuple[tuple[str, ...], float]]],
) -> Callable[[T], Iterator[Sample]]:
    """Return a function that exports numbers of every item, by further labels.

    Args:
        items: returns labels and items of a source.
        numbers: returns the further labels and the numbers of an item.
    """

    def samples(source: T) -> Iterator[Sample]:
        for labels, item in items(source):
            for by, value in numbers(item):
                yield (*labels, *by), value

    return samples


def by_one(numbers: Mapping[str, float]) -> Iterator[Sample]:
    """Return numbers by one label."""
    return (((label,), number) for label, number in numbers.items())


class FamilyCollector(Collector, Generic[T]):
    """Collector of a table of families, which fetches its sources at each collection."""

    def __init__(self, families: Sequence[Family[T]], sources: Callable[[], Iterable[T]]) -> None:
        """Start without samples.

        Args:
            families: the rows of a table.
            sources: returns the views to export.
        """
        self._families = families
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """Return every family with the samples of all sources."""
        # Fetched once, so that all families show the same state.
        sources = tuple(self._sources())
        for family in self._families:
            yield _metric(family, sources)


def _metric(family: Family[T], sources: Iterable[T]) -> Metric:
    # The renderers of the library append `_total` to the name of a counter.
    metric = Metric(family.name.removesuffix("_total"), family.help, family.type)
    for source in sources:
        for values, number in family.samples(source):
            if family.type == "histogram":
                suffix, *bound = values
                metric.add_sample(family.name + suffix, dict(zip(("le",), bound, strict=False)), float(number))
            else:
                # Strict: the library's own add_metric silently drops surplus values.
                metric.add_sample(family.name, dict(zip(family.labels, values, strict=True)), float(number))
    return metric
