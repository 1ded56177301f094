"""The size of pages follows what the server gives, at the price of few requests."""

import threading

import pytest

from exporter.harness.errors import BadJsonError, ClientError, ConnectError, RequestTimeout, ServerError, TooLargeError
from tests.support.memoryserver import Server, rows, walker
from tests.support.tiedserver import TiedServer

DAY = 86_400.0


class Upstream(Server):
    """A server of many rows that are told apart by number, which refuses or caps large pages."""

    def __init__(self, number, *, refuses_above=10_000, error=None, cap=10_000, tell_size=True):
        super().__init__(rows(number), cap=cap, tell_size=tell_size)
        self.refuses_above, self.error = refuses_above, error or ServerError("no", status=500)

    def fetch(self, query, deadline):
        self.fails = {len(self.asked): self.error} if query.size > self.refuses_above else {}
        return super().fetch(query, deadline)


SERVERS = {
    "takes 1,000": {},
    "caps silently at 100": {"cap": 100},
    "caps silently at 100 and does not say so": {"cap": 100, "tell_size": False},
    "answers 500 above 994": {"refuses_above": 994},
    "answers 400 above 100": {"refuses_above": 100, "error": ClientError("no", status=400)},
    "is too slow above 100": {"refuses_above": 100, "error": RequestTimeout("no")},
    "sends too much above 100": {"refuses_above": 100, "error": TooLargeError("no")},
    "breaks off above 100": {"refuses_above": 100, "error": ConnectError("no")},
    "sends half a page above 100": {"refuses_above": 100, "error": BadJsonError("no")},
}


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(("number", "at_1000", "at_100"), [(10_000, 14, 104), (20_000, 24, 204)])
@pytest.mark.simulation
def test_a_walk_takes_so_many_requests(server, number, at_1000, at_100):
    """At most three more than its pages and page 0 again, whatever the server does with large pages."""
    upstream = Upstream(number, **SERVERS[server])
    snapshot = walker(upstream, page_size=None).walk(threading.Event())
    size, most = (1_000, at_1000) if server == "takes 1,000" else (100, at_100)
    assert (snapshot.inventory.artifacts, snapshot.complete, snapshot.page_size) == (number, True, size)
    assert len(upstream.asked) <= most


@pytest.mark.parametrize(("number", "size"), [(0, 100), (500, 100), (501, 1_000)])
def test_a_small_listing_is_read_in_small_pages(number, size):
    upstream = Upstream(number)
    assert walker(upstream, page_size=None).walk(threading.Event()).page_size == size
    assert max(upstream.asked_sizes) == size


def test_a_listing_without_a_count_is_read_in_small_pages():
    upstream = Upstream(3_000)
    upstream.count = lambda _: None
    assert walker(upstream, page_size=None).walk(threading.Event()).page_size == 100


@pytest.mark.parametrize(("page_size", "larger"), [(None, 1_000), (500, 500)])
def test_larger_pages_are_tried_again_after_a_day_and_not_before(page_size, larger):
    """The first one is asked for alone."""
    upstream = Upstream(2_000, refuses_above=100)
    walking = walker(upstream, page_size=page_size)
    for passed, tries in ((0.0, 1), (DAY - 1.0, 0), (2.0, 1), (DAY - 1.0, 0)):
        walking._clock.tick(passed)
        upstream.asked_sizes.clear()
        assert walking.walk(threading.Event()).complete
        assert upstream.asked_sizes.count(larger) == tries


def test_a_size_that_the_server_gave_begins_the_next_walk():
    upstream = Upstream(3_000)
    walking = walker(upstream, page_size=None)
    walking.walk(threading.Event())
    upstream.asked_sizes.clear()
    walking.walk(threading.Event())
    assert upstream.asked_sizes == [1_000] * 5


def test_a_cap_above_the_safe_size_is_used_for_a_day():
    upstream = Upstream(3_000, cap=400)
    walking = walker(upstream, page_size=None)
    assert walking.walk(threading.Event()).page_size == 400
    upstream.asked_sizes.clear()
    assert walking.walk(threading.Event()).inventory.artifacts == 3_000
    assert set(upstream.asked_sizes) == {400}


def test_a_fault_of_a_large_page_in_the_middle_leads_on_in_small_ones():
    """From the row after the last page; the next walks use small pages until a day has passed."""
    upstream = Upstream(5_000)
    upstream.before = lambda request: setattr(upstream, "refuses_above", 100 if request >= 4 else 10_000)
    walking = walker(upstream, page_size=None, concurrency=1)
    snapshot = walking.walk(threading.Event())
    assert (snapshot.inventory.artifacts, snapshot.complete, snapshot.page_size) == (5_000, True, 100)
    small = [page for page, size in zip(upstream.asked, upstream.asked_sizes, strict=True) if size == 100]
    assert small[1] == 40
    upstream.asked_sizes.clear()
    walking.walk(threading.Event())
    assert set(upstream.asked_sizes) == {100}


def test_a_fault_of_a_large_page_at_the_second_reading_of_page_0_leads_on_in_small_ones():
    upstream = Upstream(5_000)
    upstream.before = lambda request: setattr(upstream, "refuses_above", 100 if request >= 6 else 10_000)
    snapshot = walker(upstream, page_size=None, concurrency=1).walk(threading.Event())
    assert (snapshot.inventory.artifacts, snapshot.complete) == (5_000, True)
    assert [*zip(upstream.asked, upstream.asked_sizes, strict=True)][-2:] == [(0, 1_000), (0, 100)]


def test_an_outage_is_not_the_fault_of_the_size():
    """Where small pages fail as well the walk fails, and the next one begins with large pages."""
    upstream = Upstream(5_000)
    walking = walker(upstream, page_size=None)
    walking.walk(threading.Event())
    upstream.refuses_above = 0
    with pytest.raises(ServerError):
        walking.walk(threading.Event())
    upstream.refuses_above = 10_000
    assert walking.walk(threading.Event()).page_size == 1_000


@pytest.mark.parametrize("kinds", [(), ("push",)])
@pytest.mark.simulation
def test_completeness_is_told_over_a_change_of_the_size(kinds):
    """As with one size: over ties and pushes, with a fault of a large page in mid-walk."""
    for seed in range(60):
        server = TiedServer(seed, kinds=kinds, rows=3_000, page_size=None, rate=5.0)
        fetch, limit = server.fetch, server.random.randrange(2, 8)

        def refusing(query, deadline, server=server, fetch=fetch, limit=limit):
            reply = fetch(query, deadline)
            if query.size > 100 and server.requests > limit:
                server.waiting.remove(reply)
                reply.set_exception(ServerError("no", status=500))
            return reply

        server.fetch, server.page_size = refusing, None
        snapshot = server.walker().walk(threading.Event())
        assert not (snapshot.complete and server.missed)
        assert snapshot.complete or server.unread
