"""Walks over generated listings that move while they are read, in numbers large enough to state a share.

`test_walk.py` holds the properties of each single walk; here are the promises that only many walks can show, over real
refreshes where it matters what is published. All is drawn from seeds, so that every run sees the same walks.
"""

import math
import random
import threading
from collections import Counter
from contextlib import contextmanager
from functools import partial

import pytest
import requests

from exporter.harness import errors
from exporter.harness.errors import PaginationError
from exporter.inventory.tally import Tally
from exporter.inventory.walk import Walker
from exporter.metrics.exposition import Exposition
from exporter.metrics.space_families import SpaceView
from tests.support.endpoints import served
from tests.support.memoryserver import Server, found, numbers, rows, walk
from tests.support.pages import process_view, samples
from tests.support.upstream import ABSENT
from tests.support.walks import TTL, Walks

LONG = pytest.mark.long


QUIRKS = {
    "one page for ever": lambda listing, _, size: listing[:size],
    "two pages in turns": lambda listing, page, size: listing[page % 2 * size :][:size],
    "the last page for ever": lambda listing, page, size: listing[min(page, 3) * size :][:size],
    "always a full page": lambda listing, page, size: [listing[(page * size + i) % len(listing)] for i in range(size)],
    "more rows than asked": lambda listing, page, size: listing[page * size :][: size + (page == 2)],
}
COUNTS = {
    "right": int,
    "absent": lambda _: ABSENT,
    "zero": lambda _: 0,
    "negative": lambda _: -7,
    "huge": lambda _: 2**53,
    "lying": lambda number: number // 3 + 1,
}


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("quirk", QUIRKS)
def test_pages_that_lead_nowhere_end_within_three_surplus_pages(quirk, count):
    """Whatever the count says, whatever the size: 3 pages read beyond the last one with news."""
    for seed in range(20):
        chance = random.Random(seed)
        size, concurrency = chance.randint(5, 40), chance.randint(1, 6)
        listing = rows(4 * size + chance.randint(0, 3) * size)
        server = Server(
            listing, count=COUNTS[count], serve=lambda page, size, all_=listing: QUIRKS[quirk](all_, page, size)
        )
        with pytest.raises(PaginationError):
            walk(server, page_size=size, concurrency=concurrency)
        seen, news = set(), 0
        for place, page in enumerate(server.read, 1):
            now = numbers(QUIRKS[quirk](listing, page, size))
            if now - seen:
                news = place
            seen |= now
        assert len(server.read) - news <= 3


@pytest.mark.parametrize("count", COUNTS)
def test_a_quiet_listing_is_read_whole_whatever_the_count(count):
    """Exactly, at any page size; the count decides only whether the walk calls itself complete."""
    for seed in range(100):
        chance = random.Random(seed)
        number = chance.randint(0, 200)
        server = Server(rows(number), count=COUNTS[count], tell_size=chance.random() < 0.5)
        snapshot = walk(server, page_size=chance.randint(5, 40), concurrency=chance.randint(1, 6))
        assert found(snapshot) == set(range(number))
        claimed = COUNTS[count](number)
        usable = isinstance(claimed, int) and claimed >= 0 and not (claimed == 0 and number)
        assert snapshot.complete is (not usable or claimed == number)


def walker_of(server, clock):
    """Return what reads a server in pages of three."""
    return Walker(
        server.fetch,
        lambda *began: Tally(*began, findings=(), findings_limit=0, registries_limit=100_000, stale_ages={}),
        clock,
        page_size=3,
        concurrency=3,
        timeout=300.0,
    )


@contextmanager
def in_process():
    """Yield what takes a walk and returns the page after it, by a refresh on this thread and a rendering."""
    walks = Walks()
    exposition = Exposition(
        lambda: tuple(SpaceView(status, TTL, str) for status in walks.refresher.statuses()), process_view
    )

    def refresh(server, _):
        walks.clock.tick(1_000.0)
        walks.scrape()
        walks.finish(outcome(walker_of(server, walks.clock).walk))
        return exposition.render_spaces().decode()

    yield refresh


def outcome(walk):
    """Return what a walk found, or what it failed with."""
    try:
        return walk(threading.Event())
    except Exception as error:  # noqa: BLE001 - raised again in the refresh that it is the outcome of
        return error


@contextmanager
def over_a_socket():
    """Yield what takes a walk and returns the page after it, by scrapes that get 200 from the time it begins."""
    with served() as running, requests.Session() as session:
        running.go.set()

        def refresh(server, up):
            running.result = partial(walker_of(server, running.clock).walk, threading.Event())
            running.clock.tick(1_000.0)
            # A failing space is answered at once, before its refresh has ended.
            for _ in range(1_000):
                answer = session.get(running.url + "/metrics", timeout=20)
                assert answer.status_code == 200
                if f'har_up{{space="acct"}} {up}' in answer.text:
                    return answer.text
            raise AssertionError("the refresh never ended")

        yield refresh


def published(page):
    """Return the lines of a page that tell of the listing."""
    return [line for line in page.splitlines() if line.startswith(("har_artifact", "har_registry", "har_snapshot"))]


@pytest.mark.parametrize(
    ("refreshing", "walks"),
    [
        (in_process, 100),
        (over_a_socket, 50),
        pytest.param(in_process, 1_000, marks=LONG),
        pytest.param(over_a_socket, 100, marks=LONG),
    ],
)
def test_a_failure_at_any_page_publishes_no_mixture(refreshing, walks):
    """After a good walk over one listing and a bad one over another, what is served is the good one's to the letter."""
    failed_at = Counter()
    with refreshing() as refresh:
        for seed in range(walks):
            chance = random.Random(seed)
            before, after = chance.randint(0, 18), chance.randint(0, 18)
            page = refresh(Server(rows(before)), "1.0")
            assert sum(samples(page.encode(), "har_artifacts{").values()) == before
            failing = chance.randrange(math.ceil(after / 3) + 1 if after > 3 else 1)
            failures = [*(kind("broken") for kind in errors.RefreshError.__subclasses__()), KeyError("a bug"), b"{"]
            now = refresh(Server(rows(after), fails={failing: chance.choice(failures)}), "0.0")
            assert 'har_up{space="acct"} 0.0' in now
            assert published(now) == published(page)
            failed_at[failing] += 1
    assert set(failed_at) == set(range(7))
