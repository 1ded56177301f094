"""Plans: spaces that share a key, with their settings, and a simulation of what a scraper sees of them."""

import gc
import math
import random
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from exporter.inventory.refresh import SpaceRefresher, Walk
from tools.simulation import LATENCY, MINUTE, Key, Turns, requests_of
from tools.timeline import Timeline

HOUR = 60 * MINUTE

_SCRAPE_BUDGET = 9.5
_CHANGES = 1_000


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Settings of a plan, in seconds; the defaults are those of the exporter.

    Attributes:
        estate: artifacts by space.
        rate: requests per minute.
    """

    estate: Mapping[str, int]
    rate: int = 300
    page_size: int = 100
    concurrency: int = 4
    cache_ttl: float = 45.0
    max_stale: float = HOUR
    refresh_timeout: float = HOUR
    scrape_interval: float = MINUTE

    @cached_property
    def requests(self) -> Mapping[str, int]:
        """Requests of a walk, by space."""
        return {space: requests_of(artifacts, self.page_size) for space, artifacts in self.estate.items()}

    @cached_property
    def lap(self) -> float:
        """Time that all walks take, one after the other."""
        return self._time_of(sum(self.requests.values()))

    @cached_property
    def walk(self) -> float:
        """Longest time of one walk, if as many run as may be of large spaces, all as long as the longest one."""
        return min(self._time_of(max(1, self.concurrency - 1) * max(self.requests.values())), self.lap)

    @property
    def fits(self) -> bool:
        """Whether each walk ends within `refresh_timeout`, with a third in reserve."""
        return 1.5 * self.walk <= self.refresh_timeout

    @property
    def promised(self) -> float:
        """Maximum age of scraped data if no refresh fails."""
        return self.cache_ttl + self.scrape_interval + self.lap + 2 * self.walk

    def _time_of(self, requests: int) -> float:
        """Return the seconds that requests take, if the first window is already used up."""
        # Requests that wait neither for a window nor for another request take their latency.
        return MINUTE * (requests // self.rate) + LATENCY * (requests % self.rate / self.concurrency + 3)


class Seen(NamedTuple):
    """Data of a space that a scrape showed.

    Attributes:
        time: when the scrape ended.
        began: when the walk began.
        seconds: how long the walk took.
    """

    time: float
    began: float
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """Outcome of a simulated plan.

    Attributes:
        sent: times of the requests, in order.
        seen: what the scrapes showed of each space.
        gaps: scrapes of a space after the first lap that showed nothing.
        failed: failed refreshes by reason.
        since: the end of the first lap.
        hours: duration of the simulation.
    """

    sent: Sequence[float]
    seen: Mapping[str, Sequence[Seen]]
    gaps: int
    failed: Counter[str]
    since: float
    hours: float

    @cached_property
    def most_a_minute(self) -> int:
        """Largest number of requests in any minute."""
        return max(number - bisect_left(self.sent, time - MINUTE + 1e-6) + 1 for number, time in enumerate(self.sent))

    @cached_property
    def requests_an_hour(self) -> float:
        return len(self.sent) / self.hours

    def known_within(self, share: float) -> float:
        """Return the seconds within which this share of changes is known, at random moments, spaces and rows.

        A walk reads its rows evenly over its time.
        """
        known = sorted(chain.from_iterable(map(self._known, self.seen)))
        return known[math.ceil(share * len(known)) - 1]

    def _known(self, space: str) -> Iterator[float]:
        dice, seen = random.Random(space), self.seen[space]
        for _ in range(_CHANGES):
            change, position = dice.uniform(self.since, seen[-1].began - seen[-1].seconds), dice.random()
            yield next(one.time for one in seen if one.began + position * one.seconds >= change) - change


def turns(plan: Plan, timeline: Timeline, key: Key, space: str) -> Walk:
    """Return a walk through a space that only sends simulated requests."""
    return Turns(
        key, timeline, space, plan.estate[space],
        page_size=plan.page_size, concurrency=plan.concurrency, timeout=plan.refresh_timeout,
    )  # fmt: skip


def run(plan: Plan, walk_of: Callable[[Plan, Timeline, Key, str], Walk] = turns) -> Outcome:
    """Simulate a plan: the first lap, and then several more."""
    timeline = Timeline()
    key = Key(timeline, plan.rate, plan.concurrency)
    refresher = _refresher(plan, timeline, key, {space: walk_of(plan, timeline, key, space) for space in plan.estate})
    scraper = Scraper(timeline, refresher, plan)
    refresher.start()
    since = plan.lap + plan.scrape_interval
    end = since + 4 * max(since, 5 * MINUTE)
    with _no_cycles():
        timeline.run(end)
        key.stop()
    gaps = scraper.gaps
    failed = sum((Counter(status.failures) for status in refresher.statuses()), Counter())
    return Outcome(key.sent, scraper.seen, gaps, failed, since, hours=end / HOUR)


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
    """Scraper that records what it sees.

    Attributes:
        seen: the data that each scrape showed, by space.
        gaps: scrapes of a space after the first lap that showed nothing.
    """

    def __init__(self, timeline: Timeline, refresher: SpaceRefresher, plan: Plan) -> None:
        self.seen: defaultdict[str, list[Seen]] = defaultdict(list)
        self.gaps = 0
        self._timeline = timeline
        self._refresher = refresher
        self._plan = plan
        timeline.at(0.0, self._scrape)

    def _scrape(self) -> None:
        now = self._timeline.monotonic()
        refreshes = self._refresher.scrape(_SCRAPE_BUDGET)
        pending, answers = set(refreshes), [self._read]

        def answer() -> None:
            if answers:
                answers.pop()()

        def ended(refresh: Future[None]) -> None:
            pending.discard(refresh)
            if not pending:
                self._timeline.soon(answer)

        for refresh in refreshes:
            refresh.add_done_callback(ended)
        self._timeline.at(now + _SCRAPE_BUDGET if refreshes else now, answer)
        self._timeline.at(now + self._plan.scrape_interval, self._scrape)

    def _read(self) -> None:
        now = self._timeline.monotonic()
        for status in self._refresher.statuses():
            if status.snapshot:
                began = status.snapshot.began_monotonic
                self.seen[status.space].append(Seen(now, began, status.refresh_seconds or 0.0))
            else:
                self.gaps += now > self._plan.lap + self._plan.scrape_interval
