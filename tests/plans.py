"""Ways to read one large estate: what each promises by arithmetic, and what a simulation makes of it."""

import gc
import random
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

from simulation import LATENCY, MINUTE, Key, Slots, Turns, requests_of
from timeline import Timeline

from exporter.inventory.refresh import Refresher, Walk
from exporter.scopes import shard_of

HOUR = 60 * MINUTE
LIMIT = 400
"""Requests that the API allows a key in a minute."""

_SCRAPE_BUDGET = 9.5


def _estate() -> Iterator[tuple[str, int]]:
    """10 large spaces hold almost half of it, 900 small ones a tenth."""
    for number in range(1_000):
        sizes = {0: 460_000} if number % 100 == 0 else {0: 50_000}
        yield f"acct/org_{number // 50}/project_{number}", sizes.get(number % 10, 1_000)


ESTATE: Mapping[str, int] = dict(_estate())
"""Artifacts by space: 1,000 spaces, 10 million artifacts."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an operator decides; defaults are the exporter's. Times are seconds.

    Attributes:
        keys: keys that the spaces are spread over; of several shards each has one of its own.
        shards: processes.
        rate: requests a minute for a key, in each process that uses it.
        kept: the share of artifacts that filters leave.
        probed: Prometheus asks for each space by itself, at moments that it spreads over the interval.
    """

    keys: int = 1
    shards: int = 1
    rate: int = 300
    page_size: int = 100
    kept: float = 1.0
    concurrency: int = 4
    cache_ttl: float = 5 * MINUTE
    max_stale: float = HOUR
    refresh_timeout: float = HOUR
    scrape_interval: float = 2 * MINUTE
    probed: bool = False
    estate: Mapping[str, int] = field(default_factory=lambda: ESTATE)

    @cached_property
    def requests(self) -> Mapping[str, int]:
        """The requests of a walk by space."""
        return {space: requests_of(self.artifacts(space), self.page_size) for space in self.estate}

    def artifacts(self, space: str) -> int:
        """Return how many artifacts of a space the filters leave."""
        return round(self.estate[space] * self.kept)

    @cached_property
    def placed(self) -> Mapping[tuple[int, int], list[str]]:
        """The spaces by process and key: shards by hash, several keys of one process by who has the least to do."""
        placed: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
        load = Counter(dict.fromkeys(range(self.keys), 0))
        for space in sorted(self.estate, key=lambda space: (-self.requests[space], space)):
            shard = shard_of(space, self.shards)
            key = shard % self.keys if self.shards > 1 else min(load, key=lambda key: (load[key], key))
            load[key] += self.requests[space]
            placed[shard, key].append(space)
        # As a configuration would have them, whose order is by name.
        return {where: sorted(spaces) for where, spaces in placed.items()}

    @cached_property
    def lap(self) -> float:
        """The longest that all walks of a key in a process take, one after the other."""
        return max(self._time_of(sum(self.requests[space] for space in spaces)) for spaces in self.placed.values())

    @cached_property
    def walk(self) -> float:
        """The longest that one walk takes where as many others as may run at once are as long as the longest."""
        longest = self._time_of(self.concurrency * max(self.requests.values()))
        return min(longest, self.lap)

    @property
    def warm_up(self) -> float:
        """How long it takes until every space was read, or the first one is gone again."""
        return min(self.lap, self.max_stale) + self.scrape_interval

    @property
    def promised(self) -> float:
        """How old data is at most when it is scraped, as long as no refresh fails."""
        return self.cache_ttl + self.scrape_interval + self.lap + 2 * self.walk

    def _time_of(self, requests: int) -> float:
        """A window that is used up already passes first; what waits neither for that nor for a turn has its latency."""
        return MINUTE * -(-requests // self.rate) + 3 * LATENCY


@dataclass(frozen=True)
class Outcome:
    """What came of a plan.

    Attributes:
        sent: for each key, when each of its requests was sent, in order.
        ages: by space, how old its data was at each scrape after the warm-up; None where there was none.
        alarming: how often a space was as old at a scrape as HarnessARSnapshotStale allows no space to be.
        failed: refreshes that failed, by reason.
        hours: how long it went on.
    """

    sent: Mapping[int, list[float]]
    ages: Mapping[str, list[float | None]]
    alarming: int
    failed: Counter[str]
    hours: float

    @cached_property
    def most_a_minute(self) -> int:
        """The most requests of any key in any minute."""
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
        """The share of spaces and scrapes without data."""
        ages = list(chain.from_iterable(self.ages.values()))
        return ages.count(None) / len(ages)

    def age(self, quantile: float) -> float:
        """A quantile of the ages of what there was."""
        ages = sorted(age for age in chain.from_iterable(self.ages.values()) if age is not None)
        return ages[min(int(quantile * len(ages)), len(ages) - 1)]


def turns(plan: Plan, timeline: Timeline, key: Key, space: str) -> Walk:
    """Return a walk through a space that only asks for its turns."""
    return Turns(
        key, timeline, plan.artifacts(space),
        page_size=plan.page_size, concurrency=plan.concurrency, timeout=plan.refresh_timeout,
    )  # fmt: skip


def run(plan: Plan, walk_of: Callable[[Plan, Timeline, Key, str], Walk] = turns) -> Outcome:
    """Let a plan warm up, and then go on for as long as data may be old."""
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
    """Keep the garbage collector from going through a million live objects: it takes longer than the simulation."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _refresher(plan: Plan, timeline: Timeline, key: Key, walks: Mapping[str, Walk]) -> Refresher:
    return Refresher(
        walks,
        submit=key.submit,
        clock=timeline,
        cache_ttl=plan.cache_ttl,
        max_stale=plan.max_stale,
        jitter=random.Random(1),
    )


class Scraper:
    """Scrapes again and again, and notes how old everything is.

    Attributes:
        ages: by space, its age at each scrape after the warm-up; None where there was no data.
        alarming: how many of them are over the limit of HarnessARSnapshotStale.
    """

    def __init__(self, timeline: Timeline, refresher: Refresher, plan: Plan, offset: float) -> None:
        self.ages: defaultdict[str, list[float | None]] = defaultdict(list)
        self.alarming = 0
        self._timeline = timeline
        self._refresher = refresher
        self._plan = plan
        timeline.at(offset, self._scrape)

    @property
    def failed(self) -> Counter[str]:
        """Refreshes that failed, by reason."""
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


_SHARDED: dict[str, int] = {"keys": 8, "shards": 8}
_FILTERED = {**_SHARDED, "kept": 0.2}

PLANS = {
    "defaults": Plan(),
    "one key, patient": Plan(
        cache_ttl=6 * HOUR, max_stale=24 * HOUR, refresh_timeout=3 * HOUR, scrape_interval=5 * MINUTE
    ),
    "one key, pages of 1,000": Plan(page_size=1_000, cache_ttl=45 * MINUTE, max_stale=4 * HOUR),
    "8 shards share one key, pages of 1,000": Plan(
        shards=8, rate=37, page_size=1_000, cache_ttl=70 * MINUTE, max_stale=6 * HOUR, refresh_timeout=2 * HOUR
    ),
    "8 keys in one process": Plan(
        keys=8, concurrency=20, cache_ttl=45 * MINUTE, max_stale=4 * HOUR, refresh_timeout=2 * HOUR
    ),
    "8 shards, a key each": Plan(**_SHARDED, cache_ttl=80 * MINUTE, max_stale=7 * HOUR, refresh_timeout=2 * HOUR),
    "the same, filters leave a fifth": Plan(**_FILTERED, cache_ttl=20 * MINUTE, max_stale=2 * HOUR),
    "the same, pages of 1,000": Plan(**_FILTERED, page_size=1_000),
    "the same, probed every 5 minutes": Plan(
        **_FILTERED, page_size=1_000, cache_ttl=4 * MINUTE, scrape_interval=5 * MINUTE, probed=True
    ),
    "the same, `cache_ttl` as long as the interval": Plan(
        **_FILTERED, page_size=1_000, cache_ttl=5 * MINUTE, scrape_interval=5 * MINUTE, probed=True
    ),
}
"""Ways to read the estate; all but the first can do it."""
