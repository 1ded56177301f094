"""Time to know: from a change of one row in the upstream until a scrape of the exporter shows it."""

import gzip
import http.client
import json
import math
import random
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.changing import page_of
from benchmarks.contest import Spread
from benchmarks.exporters import serving
from benchmarks.process import Process, running
from benchmarks.table import Bound, Row, Section

_LATENCY = 200  # ms
_MINUTE = 60.0
_SCRAPE_TIMEOUT = 10.0
_QUARANTINED = re.compile(
    r'^har_artifact_finding\{artifact="([^"]*)",finding="quarantined",.*,space="([^"]*)",version="([^"]*)"',
    re.MULTILINE,
)
_VIOLATIONS = re.compile(
    r'^har_firewall_violation_info\{artifact="([^"]*)",.*,space="([^"]*)",version="([^"]*)"', re.MULTILINE
)


class Course(NamedTuple):
    """One row of the benchmark.

    Attributes:
        artifacts: artifacts of each space.
        page: rows per page that the server gives at most.
        target: seconds within which 95 % of the changes must be known; None for no target.
        spaces: number of spaces.
        minutes: the changes happen within so many minutes.
        changes: number of changes.
        scrape_interval: seconds.
        cache_ttl: the setting.
        violations_ttl: the setting.
        violations: whether the changes are violations of the dependency firewall, below an entry that ends in `/**`.
    """

    artifacts: int
    page: int
    target: float | None = None
    spaces: int = 1
    minutes: float = 6.0
    changes: int = 30
    scrape_interval: float = _MINUTE
    cache_ttl: str = "45s"
    violations_ttl: str = "1m"
    violations: bool = False

    @property
    def title(self) -> str:
        """The heading of its table."""
        what = "Time to know a firewall violation" if self.violations else "Time to know"
        spaces = f"{self.spaces} spaces of " if self.spaces > 1 else ""
        return f"{what}, {spaces}{self.artifacts:,} artifacts, {self.page:,} per page"

    @property
    def entries(self) -> str:
        """The setting `spaces`."""
        return "account/**" if self.violations else ",".join(map(self.space, range(self.spaces)))

    def space(self, number: int) -> str:
        """Return the name of a space."""
        return f"account/{self.artifacts}/{number}"


COURSES = {
    "10k": Course(10_000, 1_000, 75.0),
    "100k": Course(100_000, 1_000, 100.0),
    "spaces": Course(50, 1_000, 100.0, spaces=200),
    "1m": Course(1_000_000, 1_000, 480.0, minutes=15.0),
    "violations": Course(1_000_000, 1_000, 75.0, violations=True),
    "10k-100": Course(10_000, 100),
    "100k-100": Course(100_000, 100, minutes=15.0),
    "1m-100": Course(1_000_000, 100, minutes=33.0),
}
"""Courses by their names on the command line; the last one takes more than an hour."""


class Artifact(NamedTuple):
    """Artifact as `/metrics` names it."""

    name: str
    space: str
    version: str


@dataclass
class Changes:
    """Changes that were made; safe to share between threads.

    Attributes:
        seconds: how long those that are known took to be.
    """

    seconds: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _pending: dict[Artifact, tuple[float, bool]] = field(default_factory=dict)

    def made(self, artifact: Artifact, *, quarantined: bool) -> None:
        """Add a change that was made just now."""
        with self._lock:
            self._pending[artifact] = time.monotonic(), quarantined

    def pending(self, artifact: Artifact) -> bool:
        """Return whether a change of an artifact is not known yet."""
        with self._lock:
            return artifact in self._pending

    def scraped(self, quarantined: Iterable[Artifact], now: float) -> None:
        """Note which changes are known by the findings of a scrape."""
        found = set(quarantined)
        with self._lock:
            for artifact, (made, quarantine) in list(self._pending.items()):
                if (artifact in found) == quarantine:
                    self.seconds.append(now - made)
                    del self._pending[artifact]


def sections(names: Sequence[str]) -> Iterator[Section]:
    """Measure courses at the same time: nearly all of it is waiting."""
    with ThreadPoolExecutor(len(names)) as threads:
        yield from threads.map(lambda name: section(COURSES[name]), names)


def section(course: Course) -> Section:
    """Measure one course."""
    seconds, refused, failed = measured(course)
    at_95 = _quantile(seconds, 0.95)
    return Section(
        course.title,
        (
            Row("half of the changes known", Spread.of([_quantile(seconds, 0.5)]), "s"),
            Row("95 % of the changes known", Spread.of([at_95]), "s", *_at_most(course.target)),
            Row("all changes known", Spread.of([max(seconds)]), "s"),
            Row("responses with 429 after the first minute", Spread.of([refused]), "", "at most", 0),
            Row("scrapes that failed", Spread.of([failed]), "", "at most", 0),
        ),
    )


def measured(course: Course) -> tuple[list[float], int, int]:
    """Return the seconds until each change was known, and how many requests were refused and scrapes failed since."""
    upstream = [sys.executable, "-m", "benchmarks.changing", str(course.page), str(_LATENCY), course.space(0)]
    defaults = {"page_size": "auto", "concurrency": "4", "rate_limit": "300/m", "sources": "registries,violations"}
    settings = {**defaults, "cache_ttl": course.cache_ttl, "violations_ttl": course.violations_ttl}
    with running(upstream) as process, serving(process.line().strip(), course.entries, **settings) as exporter:
        scrapes = _scrapes(exporter.port, course.scrape_interval)
        next(scrapes)  # the first minute
        process.line("refused")
        changes, failed = Changes(), 0
        threading.Thread(target=_change, args=(course, process, changes), daemon=True).start()
        while len(changes.seconds) < course.changes:
            page = next(scrapes)
            failed += page is None
            if page:
                findings = (_VIOLATIONS if course.violations else _QUARANTINED).findall(page)
                changes.scraped((Artifact(*found) for found in findings), time.monotonic())
        return changes.seconds, int(process.line("refused")), failed


def _scrapes(port: int, interval: float) -> Iterator[str | None]:
    """Scrape at fixed times, with the headers and the timeout of Prometheus; yields pages, None after a timeout."""
    headers = {
        "Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        "Accept-Encoding": "gzip",
        "X-Prometheus-Scrape-Timeout-Seconds": f"{_SCRAPE_TIMEOUT:g}",
    }
    due = time.monotonic() + interval
    while True:
        time.sleep(max(0.0, due - time.monotonic()))
        due += interval
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SCRAPE_TIMEOUT)
        with suppress(TimeoutError), closing(connection):
            connection.request("GET", "/metrics", headers=headers)
            yield gzip.decompress(connection.getresponse().read()).decode()
            continue
        yield None


def _change(course: Course, upstream: Process, changes: Changes) -> None:
    """Change rows at random moments: each is put into quarantine, and some are released again."""
    dice = random.Random(course.artifacts)
    began = time.monotonic()
    quarantined: dict[Artifact, str] = {}
    for after in sorted(dice.uniform(0, course.minutes * _MINUTE) for _ in range(course.changes)):
        time.sleep(max(0.0, began + after - time.monotonic()))
        if course.violations:
            artifact = Artifact(f"package-{after}", course.space(0), "1.0.0")
            upstream.line(f"violation {artifact.name}")
            changes.made(artifact, quarantined=True)
            continue
        known = [artifact for artifact in quarantined if not changes.pending(artifact)]
        if known and dice.random() < 0.5:  # noqa: PLR2004 - a share
            artifact = dice.choice(known)
            row, now_quarantined = quarantined.pop(artifact), False
        else:
            artifact, row = _any_row(course, dice)
            quarantined[artifact], now_quarantined = row, True
        upstream.line(f"change {row}")
        changes.made(artifact, quarantined=now_quarantined)


def _any_row(course: Course, dice: random.Random) -> tuple[Artifact, str]:
    """Return an artifact, and its space, page and row."""
    space = course.space(dice.randrange(course.spaces))
    page, row = divmod(dice.randrange(course.artifacts), course.page)
    found = json.loads(page_of(course.artifacts, page, course.page))["data"]["artifacts"][row]
    return Artifact(found["name"], space, found["version"]), f"{space} {page} {row}"


def _at_most(target: float | None) -> tuple[Bound, float] | tuple[()]:
    return () if target is None else ("at most", target)


def _quantile(seconds: Sequence[float], share: float) -> float:
    return sorted(seconds)[math.ceil(share * len(seconds)) - 1]
