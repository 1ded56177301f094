"""Plans for one large estate: the formulas for their duration and the age of data, and a simulation of each."""

import gc
import random
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any

from exporter.inventory.refresh import SpaceRefresher, Walk
from exporter.scopes import shard_of
from tools.simulation import LATENCY, MINUTE, Key, Slots, Turns, requests_of
from tools.timeline import Timeline

HOUR = 60 * MINUTE
LIMIT = 400
"""Requests per minute that the API allows a key."""

_SCRAPE_BUDGET = 9.5


def _estate() -> Iterator[tuple[str, int]]:
    """Yield spaces with their sizes: 10 large ones hold almost half of the artifacts, 900 small ones a tenth."""
    for number in range(1_000):
        sizes = {0: 460_000} if number % 100 == 0 else {0: 50_000}
        yield f"acct/org_{number // 50}/project_{number}", sizes.get(number % 10, 1_000)


ESTATE: Mapping[str, int] = dict(_estate())
"""Artifacts by space: 1,000 spaces, 10 million artifacts."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Settings of a plan, in seconds; the defaults are those of the exporter.

    Attributes:
        keys: number of keys that the spaces are distributed over; several shards use one each.
        shards: number of processes.
        rate: requests per minute for a key, in each process that uses it.
        kept: share of the artifacts that filters keep.
        probed: Prometheus probes each space separately, distributed over the interval.
    """

    keys: int = 1
    shards: int = 1
    rate: int = 300
    page_size: int = 100
    kept: float = 1.0
    concurrency: int = 4
    cache_ttl: float = 45.0
    max_stale: float = HOUR
    refresh_timeout: float = HOUR
    scrape_interval: float = 2 * MINUTE
    probed: bool = False
    estate: Mapping[str, int] = field(default_factory=lambda: ESTATE)

    @cached_property
    def requests(self) -> Mapping[str, int]:
        """Requests of a walk, by space."""
        return {space: requests_of(self.artifacts(space), self.page_size) for space in self.estate}

    def artifacts(self, space: str) -> int:
        """Return the number of artifacts of a space that the filters keep."""
        return round(self.estate[space] * self.kept)

    @cached_property
    def placed(self) -> Mapping[tuple[int, int], list[str]]:
        """Spaces by process and key: shards are assigned by hash, keys of one process by the smallest load."""
        placed: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
        load = Counter(dict.fromkeys(range(self.keys), 0))
        for space in sorted(self.estate, key=lambda space: (-self.requests[space], space)):
            shard = shard_of(space, self.shards)
            key = shard % self.keys if self.shards > 1 else min(load, key=lambda key: (load[key], key))
            load[key] += self.requests[space]
            placed[shard, key].append(space)
        # By name, as in a usual configuration.
        return {where: sorted(spaces) for where, spaces in placed.items()}

    @cached_property
    def lap(self) -> float:
        """Longest time that all walks of a key in a process take, one after the other."""
        return max(self._time_of(sum(self.requests[space] for space in spaces)) for spaces in self.placed.values())

    @cached_property
    def walk(self) -> float:
        """Longest time of one walk, if all concurrent walks are as long as the longest one."""
        longest = self._time_of(self.concurrency * max(self.requests.values()))
        return min(longest, self.lap)

    @property
    def warm_up(self) -> float:
        """Time until every space has been read, or the data of the first one has expired."""
        return min(self.lap, self.max_stale) + self.scrape_interval

    @property
    def promised(self) -> float:
        """Maximum age of scraped data if no refresh fails."""
        return self.cache_ttl + self.scrape_interval + self.lap + 2 * self.walk

    def _time_of(self, requests: int) -> float:
        """Return the seconds that requests take, if the first window is already used up."""
        # Requests that wait neither for a window nor for another request take their latency.
        return MINUTE * -(-requests // self.rate) + 3 * LATENCY


@dataclass(frozen=True)
class Outcome:
    """Outcome of a simulated plan.

    Attributes:
        sent: times of the requests of each key, in order.
        ages: ages of the data of each space at the scrapes after the warm-up; None if there was no data.
        alarming: number of ages above the limit of HarnessARSnapshotStale.
        failed: failed refreshes by reason.
        hours: duration of the simulation.
    """

    sent: Mapping[int, list[float]]
    ages: Mapping[str, list[float | None]]
    alarming: int
    failed: Counter[str]
    hours: float

    @cached_property
    def most_a_minute(self) -> int:
        """Largest number of requests of a key in any minute."""
        return max(
            number - bisect_left(sent, time - MINUTE + 1e-6) + 1
            for sent in self.sent.values()
            for number, time in enumerate(sent)
        )

    @cached_property
    def requests_an_hour(self) -> float:
        return sum(map(len, self.sent.values())) / self.hours

    @cached_property
    def gaps(self) -> float:
        """Share of spaces and scrapes without data."""
        ages = list(chain.from_iterable(self.ages.values()))
        return ages.count(None) / len(ages)

    def age(self, quantile: float) -> float:
        """Return a quantile of the ages, without scrapes that found no data."""
        ages = sorted(age for age in chain.from_iterable(self.ages.values()) if age is not None)
        return ages[min(int(quantile * len(ages)), len(ages) - 1)]


def turns(plan: Plan, timeline: Timeline, key: Key, space: str) -> Walk:
    """Return a walk through a space that only sends simulated requests."""
    return Turns(
        key, timeline, space, plan.artifacts(space),
        page_size=plan.page_size, concurrency=plan.concurrency, timeout=plan.refresh_timeout,
    )  # fmt: skip


def run(plan: Plan, walk_of: Callable[[Plan, Timeline, Key, str], Walk] = turns) -> Outcome:
    """Simulate a plan: the warm-up, and then the time in which data reaches its maximum age."""
    timeline = Timeline()
    keys: list[tuple[int, Key]] = []
    scrapers: list[Scraper] = []
    slots = {shard: Slots(plan.concurrency) for shard in range(plan.shards)}
    for (shard, number), spaces in plan.placed.items():
        key = Key(timeline, slots[shard], plan.rate, plan.concurrency)
        keys.append((number, key))
        groups = [[space] for space in spaces] if plan.probed else [spaces]
        for position, group in enumerate(groups):
            refresher = _refresher(plan, timeline, key, {space: walk_of(plan, timeline, key, space) for space in group})
            offset = plan.scrape_interval * position / len(groups)
            scrapers.append(Scraper(timeline, refresher, plan, offset))
            if not plan.probed:
                refresher.start()
    end = plan.warm_up + plan.cache_ttl + min(plan.warm_up, 2 * plan.walk) + plan.scrape_interval
    with _no_cycles():
        timeline.run(end)
        for _, key in keys:
            key.stop()
    sent: defaultdict[int, list[float]] = defaultdict(list)
    for number, key in keys:
        sent[number] = sorted([*sent[number], *key.sent])
    ages = {space: ages for scraper in scrapers for space, ages in scraper.ages.items()}
    failed = sum((scraper.failed for scraper in scrapers), Counter())
    alarming = sum(scraper.alarming for scraper in scrapers)
    return Outcome(sent=sent, ages=ages, alarming=alarming, failed=failed, hours=end / HOUR)


@contextmanager
def _no_cycles() -> Iterator[None]:
    """Disable the garbage collector, which would take longer than the simulation to traverse a million live objects."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _refresher(plan: Plan, timeline: Timeline, key: Key, walks: Mapping[str, Walk]) -> SpaceRefresher:
    return SpaceRefresher(
        walks,
        submit=key.submit,
        clock=timeline,
        cache_ttl=plan.cache_ttl,
        max_stale=plan.max_stale,
        jitter=random.Random(1),
    )


class Scraper:
    """Scraper that records the ages of all data.

    Attributes:
        ages: ages of the data of each space at the scrapes after the warm-up; None if there was no data.
        alarming: number of ages above the limit of HarnessARSnapshotStale.
    """

    def __init__(self, timeline: Timeline, refresher: SpaceRefresher, plan: Plan, offset: float) -> None:
        self.ages: defaultdict[str, list[float | None]] = defaultdict(list)
        self.alarming = 0
        self._timeline = timeline
        self._refresher = refresher
        self._plan = plan
        timeline.at(offset, self._scrape)

    @property
    def failed(self) -> Counter[str]:
        """Failed refreshes by reason."""
        return sum((Counter(status.failures) for status in self._refresher.statuses()), Counter())

    def _scrape(self) -> None:
        now = self._timeline.monotonic()
        waits = self._refresher.scrape(_SCRAPE_BUDGET)
        self._timeline.at(now + _SCRAPE_BUDGET if waits else now, self._read)
        self._timeline.at(now + self._plan.scrape_interval, self._scrape)

    def _read(self) -> None:
        if self._timeline.monotonic() < self._plan.warm_up:
            return
        now = self._timeline.time()
        for status in self._refresher.statuses():
            age = now - status.snapshot.began if status.snapshot else None
            self.ages[status.space].append(age)
            limit = max(3 * self._plan.cache_ttl + 2 * (status.refresh_seconds or 0.0), 10 * MINUTE)
            self.alarming += age is not None and age > limit


_SHARDED: dict[str, Any] = {"keys": 8, "shards": 8}
_FILTERED = {**_SHARDED, "kept": 0.2}

PLANS = {
    "defaults": Plan(),
    "one key, long `cache_ttl`": Plan(
        cache_ttl=6 * HOUR, max_stale=24 * HOUR, refresh_timeout=3 * HOUR, scrape_interval=5 * MINUTE
    ),
    "one key, pages of 1,000": Plan(page_size=1_000, cache_ttl=45 * MINUTE, max_stale=4 * HOUR),
    "8 shards share one key, pages of 1,000": Plan(
        shards=8, rate=37, page_size=1_000, cache_ttl=70 * MINUTE, max_stale=6 * HOUR, refresh_timeout=2 * HOUR
    ),
    "8 keys in one process": Plan(
        keys=8, concurrency=20, cache_ttl=45 * MINUTE, max_stale=4 * HOUR, refresh_timeout=2 * HOUR
    ),
    "8 shards, one key each": Plan(**_SHARDED, cache_ttl=80 * MINUTE, max_stale=7 * HOUR, refresh_timeout=2 * HOUR),
    "as above, filters keep a fifth": Plan(**_FILTERED, cache_ttl=20 * MINUTE, max_stale=2 * HOUR),
    "as above, pages of 1,000": Plan(**_FILTERED, page_size=1_000, cache_ttl=5 * MINUTE),
    "as above, probed every 5 minutes": Plan(
        **_FILTERED, page_size=1_000, cache_ttl=4 * MINUTE, scrape_interval=5 * MINUTE, probed=True
    ),
}
"""Plans by name; all except the first can read the estate."""
