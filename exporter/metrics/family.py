"""Metric family: its declaration, the source of each label, and the collector of a table of families."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

T = TypeVar("T")

Sample = tuple[tuple[str, ...], float]
"""The values of a family's labels, in the family's order, and the sample's value."""


@dataclass(frozen=True, slots=True)
class Family(Generic[T]):
    """One metric family.

    Attributes:
        name: its name, with `_total` for a counter.
        type: `gauge`, `counter` or `histogram`.
        labels: the names of its labels; without the `le` of a histogram.
        help: its HELP text.
        samples: returns the samples of a source.
    """

    name: str
    type: str
    labels: tuple[str, ...]
    help: str
    samples: Callable[[T], Iterable[Sample]]


LABELS: Mapping[str, str] = {
    "space": "the configured scope without `/+`; never taken from an answer",
    "registry": "`registryIdentifier`",
    "package_type": "`packageType` as the API writes it; absent: `UNKNOWN`",
    "scan_status": "`scanStatus` as the API writes it; absent: `UNSCANNED` if scanning applies, else `NOT_APPLICABLE`",
    "firewall_mode": "`firewallMode` as the API writes it; absent: `NONE`",
    "deployed_to": "`prod` from `prodEnvCount`, `nonprod` from `nonProdEnvCount`",
    "risk": "one per artifact, the highest of `quarantined` (`isQuarantined`), `blocked`, `warn`, `unscanned` and "
    "`none` (`scanStatus`)",
    "older_than": "age of `lastScannedAt`, as written in the setting `stale_scan_after`",
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
    "one of a closed set",
    "purl": "`purl`",
    "uuid": "`uuid`",
    "source": "`fetched` or `reported` (`itemCount`)",
    "code": "HTTP status of the answer, `error` without one",
    "revision": "local part of the exporter's version",
    "python_version": "of the interpreter",
}
"""Source of the values of each label."""


class FamilyCollector(Collector, Generic[T]):
    """Collector that asks for its sources at each collection."""

    def __init__(self, families: Sequence[Family[T]], sources: Callable[[], Iterable[T]]) -> None:
        """Collect nothing yet.

        Args:
            families: rows of a table.
            sources: returns what to export.
        """
        self._families = families
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """Return every family with the samples of all sources."""
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
                # Strict: the library's own add_metric silently drops surplus values.
                metric.add_sample(family.name, dict(zip(family.labels, values, strict=True)), float(number))
    return metric
