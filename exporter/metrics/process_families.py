"""Metric families of the process, as rows of a table."""

import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from exporter.harness.counters import BUCKETS, ApiCounts
from exporter.inventory.refresh import CacheCounts
from exporter.metrics.family import Family, Sample, by_one


@dataclass(frozen=True, slots=True)
class ProcessView:
    """State of the process at one moment.

    Attributes:
        version: the exporter's version.
        revision: the source revision that it was built from.
        api: counts of the requests to the API.
        cache: scrapes and cache hits by space.
        reload_succeeded: whether settings and key files could be used when they were last read.
        reload_time: time of the last successful read of the settings, wall clock, seconds since the epoch.
        shard: number of this shard.
        shards: number of all shards.
        log_lines_dropped: lines of the log that were dropped.
    """

    version: str
    revision: str
    api: ApiCounts
    cache: Mapping[str, CacheCounts]
    reload_succeeded: bool
    reload_time: float
    shard: int
    shards: int
    log_lines_dropped: int


def _build_info(view: ProcessView) -> Iterator[Sample]:
    yield (view.version, view.revision, platform.python_version()), 1


def _api_durations(view: ProcessView) -> Iterator[Sample]:
    bounds = [*map(str, BUCKETS), "+Inf"]
    counts = list(accumulate(view.api.durations))  # buckets of a histogram are cumulative
    for bound, count in zip(bounds, counts, strict=True):
        yield ("_bucket", bound), count
    yield ("_count",), counts[-1]
    yield ("_sum",), view.api.duration_sum


# Not formatted, so that each family starts with its name, type and labels on one line.
VERSION: Family[ProcessView] = Family(
    "har_exporter_build_info", "gauge", ("version", "revision", "python_version"),
    "Version of the exporter and of Python; always 1.",
    _build_info,
)  # fmt: skip
"""Family of the exporter's version, by which rules recognize the exporter."""

PROCESS_FAMILIES: tuple[Family[ProcessView], ...] = (
    VERSION,
    Family(
        "har_exporter_shard_info", "gauge", ("shard",),
        "Shard that this process serves; always 1.",
        lambda view: [((str(view.shard),), 1)],
    ),
    Family(
        "har_exporter_shards", "gauge", (),
        "Number of shards.",
        lambda view: [((), view.shards)],
    ),
    Family(
        "har_exporter_log_lines_dropped_total", "counter", (),
        "Lines of the log that were dropped because nobody read them.",
        lambda view: [((), view.log_lines_dropped)],
    ),
    Family(
        "har_exporter_api_requests_total", "counter", ("code",),
        "Requests to the API, including retries, by HTTP status; error if there was no response.",
        lambda view: by_one(view.api.requests),
    ),
    Family(
        "har_exporter_api_request_duration_seconds", "histogram", (),
        "Duration of requests to the API, without waits between them.",
        _api_durations,
    ),
    Family(
        "har_exporter_api_retries_total", "counter", ("reason",),
        "Requests to the API that were sent again.",
        lambda view: by_one(view.api.retries),
    ),
    Family(
        "har_exporter_api_throttle_wait_seconds_total", "counter", (),
        "Time that requests to the API waited for rate_limit.",
        lambda view: [((), view.api.throttle_wait)],
    ),
    Family(
        "har_exporter_cache_requests_total", "counter", ("space",),
        "Scrapes of a space.",
        lambda view: by_one({space: counts.requests for space, counts in view.cache.items()}),
    ),
    Family(
        "har_exporter_cache_hits_total", "counter", ("space",),
        "Scrapes of a space that a fresh snapshot answered.",
        lambda view: by_one({space: counts.hits for space, counts in view.cache.items()}),
    ),
    Family(
        "har_exporter_config_last_reload_successful", "gauge", (),
        "1 if the settings and the key files could be used when they were last read.",
        lambda view: [((), view.reload_succeeded)],
    ),
    Family(
        "har_exporter_config_last_reload_success_timestamp_seconds", "gauge", (),
        "Unix time of the last successful reload of the settings.",
        lambda view: [((), view.reload_time)],
    ),
)  # fmt: skip
"""Families of the process, on /metrics only."""
