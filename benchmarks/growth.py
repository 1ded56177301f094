"""Time and memory of the real process as the listing grows."""

import re
import statistics
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from typing import NamedTuple

from benchmarks.contest import Spread
from benchmarks.exporters import Scraper, serving, until
from benchmarks.listing import Listing
from benchmarks.table import Bound, Row, Section
from benchmarks.upstream import upstream

_SIZES = (10_000, 100_000, 1_000_000)
_MEMORY: dict[int, tuple[Bound, float]] = {100_000: ("at most", 110.0), 1_000_000: ("at most", 300.0)}
_REPETITIONS = 3
_ARTIFACTS = re.compile(r"^har_artifacts\{.* (\S+)$", re.MULTILINE)
_SECONDS = re.compile(r"^har_refresh_duration_seconds\{.* (\S+)$", re.MULTILINE)


class Walked(NamedTuple):
    """Result of the first walk of a process.

    Attributes:
        seconds: its duration.
        peak: peak memory of the process, MiB.
        artifacts: number of artifacts in its metrics.
    """

    seconds: float
    peak: float
    artifacts: int


def sections(sizes: Sequence[int] = _SIZES, repetitions: int = _REPETITIONS) -> Iterator[Section]:
    """Walk through listings of increasing size, each in a new process."""
    walked: dict[int, list[Walked]] = {size: [] for size in sizes}
    with upstream() as url:
        for _ in range(repetitions + 1):
            for size in sizes:
                walked[size].append(walk(url, Listing(0, size)))
    # The first round warms up the upstream.
    yield Section(
        "Growth, 0 ms latency, 1,000 per page, 8 in flight", tuple(_rows({n: w[1:] for n, w in walked.items()}))
    )


def walk(url: str, listing: Listing) -> Walked:
    """Walk through a listing once, in a new process."""
    with serving(url, listing.space) as served, closing(Scraper(served.port)) as scraper:
        until(lambda: scraper.get("/-/ready") == b"OK\n")
        page = scraper.get().decode()
        seconds = float(_SECONDS.findall(page)[0])
        return Walked(seconds, served.process.peak(), int(sum(map(float, _ARTIFACTS.findall(page)))))


def _rows(walked: dict[int, list[Walked]]) -> Iterator[Row]:
    sizes = sorted(walked)
    an_artifact = {size: [walk.seconds / size * 1e6 for walk in walked[size]] for size in sizes}
    for size in sizes:
        yield Row(f"walk of {size:,}, per artifact", Spread.of(an_artifact[size]), "µs")
    for smaller, larger in pairwise(sizes):
        ratios = [b / a for a, b in zip(an_artifact[smaller], an_artifact[larger], strict=True)]
        yield Row(f"per artifact, {larger:,} / {smaller:,}", Spread.of(ratios), "x", "at most", 1.2)
    for size in sizes:
        peaks = Spread.of([walk.peak for walk in walked[size]])
        yield Row(f"peak memory at {size:,}", peaks, "MiB", *_MEMORY.get(size, ()))
    for size in sizes:
        off = statistics.mean(abs(walk.artifacts - size) for walk in walked[size])
        yield Row(f"error of the count in /metrics at {size:,}", Spread(off, off, off), "", "at most", 0)
