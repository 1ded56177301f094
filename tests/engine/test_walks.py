"""Walks that share a key: no large space keeps a small one waiting, and no small ones a large one."""

import threading
from collections import defaultdict
from itertools import pairwise

import pytest

from exporter.engine.app import App
from exporter.engine.walks import WalkQueue, Walks
from tests.support.clocks import FakeClock
from tests.support.commands import settings_for
from tests.support.settings import settings_of
from tests.support.upstream import Upstream, make_rows

PATIENCE = 60
SMALL = [f"acct/small_{number}" for number in range(8)]
LARGE = [f"acct/large_{number}" for number in range(3)]
SCRAPE_INTERVAL, CACHE_TTL = 60, 45
SLOW = {"page_size": "10", "rate_limit": "60/m", "refresh_timeout": "10h", "max_stale": "10h"}


class Minutes:
    """Exporter that is scraped each minute of its clock, which its waits for the rate move.

    Attributes:
        began: when each space was asked for its first page.
        ended: when the first refresh of each space ended.
    """

    def __init__(self):
        self.clock = FakeClock()
        self.began = defaultdict(list)
        self.ended = {}
        self._next_scrape = 0.0
        self._done = threading.Event()

    def run(self, large, **settings):
        """Run until each of these spaces was read once."""
        self._large = set(large)
        rows = dict.fromkeys(large, make_rows(2_000)) | dict.fromkeys(SMALL, make_rows(5))
        with Upstream(rows, before=self._request) as upstream:
            settings = settings_of(**settings_for(upstream, spaces=",".join(rows), **SLOW, **settings))
            self._app = App(settings, self.clock, on_refresh=self._refreshed)
            self._app.refresher.start()
            assert self._done.wait(PATIENCE)
            self.clock.stopped = True

    def _request(self, request):
        if request.query["page"] == ["0"]:
            self.began[request.path.partition("/spaces/")[2].partition("/+/")[0]].append(self.clock.monotonic())
        if self.clock.monotonic() >= self._next_scrape:
            self._next_scrape = self.clock.monotonic() + SCRAPE_INTERVAL
            self._app.refresher.scrape(0.0)

    def _refreshed(self, status):
        assert status.up
        self.ended.setdefault(status.space, self.clock.monotonic())
        if self._large <= self.ended.keys():
            self._done.set()


@pytest.mark.simulation
@pytest.mark.parametrize(
    ("large", "concurrency"),
    [(LARGE[:1], 4), (LARGE[:1], 1), (LARGE, 2)],
    ids=["one large space", "one page at a time", "more large spaces than walks"],
)
def test_a_small_space_never_waits_longer_than_two_of_its_intervals_for_a_large_one(large, concurrency):
    """Between two of its refreshes lie the scrape that finds it due and the wait; the first one waits, too."""
    minutes = Minutes()
    begin = minutes.clock.monotonic()
    minutes.run(large, concurrency=str(concurrency))
    end = minutes.clock.monotonic()
    assert end - begin > 150 * len(large)
    for space in SMALL:
        times = [begin - SCRAPE_INTERVAL, *minutes.began[space], end]
        assert max(later - earlier for earlier, later in pairwise(times)) <= SCRAPE_INTERVAL + 2 * CACHE_TTL


@pytest.fixture
def queue():
    """Queue of four walks at once, in which six spaces were found to be large."""
    queue = WalkQueue(4)
    for space in "abcdef":
        queue.put(space, space.upper)
        assert queue.take() == space.upper
        queue.lane(space, 10)
    for space in "abcdef":
        queue.ended(space)
    return queue


def taken(queue):
    return "".join(run() for run in iter(queue.take, None))


def test_all_walks_but_one_may_be_of_large_spaces(queue):
    for space in "abcdeuvwx":
        queue.put(space, space.upper)
    assert taken(queue) == "AUBV"
    queue.ended("u")
    assert taken(queue) == "C"
    queue.ended("v")
    assert taken(queue) == "W"


def test_a_walk_that_is_found_to_be_one_large_too_many_is_replaced_by_another():
    """There are twice as many at most: the deadline of each runs."""
    queue = WalkQueue(4)
    for space in "abcdefghijk":
        queue.put(space, space.upper)
    assert taken(queue) == "ABCD"
    replacements = []
    for space in "abcdefgh":
        queue.lane(space, 10)
        replacements.append(taken(queue))
    assert replacements == ["", "", "", "E", "F", "G", "H", ""]
    for space in "abcde":
        queue.ended(space)
    assert taken(queue) == "I"


def test_a_space_is_large_until_a_walk_asks_for_few_pages(queue):
    assert [queue.lane("a", page) for page in (0, 9)] == ["large", "large"]
    queue.ended("a")
    assert [queue.lane("a", page) for page in (0, 9, 10, 0)] == ["small", "small", "large", "large"]


def test_an_error_of_a_walk_is_the_futures_and_leaves_its_place_to_others():
    walks = Walks(1)
    for _ in range(10):
        with pytest.raises(ValueError, match="no-number"):
            walks.submit(int, "no-number").result(PATIENCE)
    assert walks.submit(int, "7").result(PATIENCE) is None
