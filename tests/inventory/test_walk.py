"""A walk reads all that a listing has, tells when it may not have, and always comes to an end."""

import itertools
import math
import threading
from concurrent.futures import Future
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.harness import errors
from exporter.harness.errors import (
    AuthError,
    BadJsonError,
    BadShapeError,
    ClientError,
    DeadlineError,
    ForbiddenError,
    NotFoundError,
    PaginationError,
    RateLimitedError,
    RequestTimeout,
    ServerError,
)
from exporter.inventory.tally import Tally
from exporter.inventory.walk import Walker
from tests.support.clocks import FakeClock
from tests.support.listings import STALE_AGES
from tests.support.memoryserver import Reply, Server, found, numbers, row, rows, walk, walker
from tests.support.upstream import ABSENT

SIZES = (0, 1, 99, 100, 101, 468)
NO_COUNT = [ABSENT, None, -1, "many", 0]


def assert_whole(snapshot, number):
    """Compare a snapshot with a listing of that many rows: each counted once."""
    assert found(snapshot) == set(range(number))
    assert snapshot.inventory.artifacts == number
    assert sum(totals.files for totals in snapshot.inventory.registries.values()) == number


# Sizes and counts


@pytest.mark.parametrize("number", SIZES)
@pytest.mark.parametrize("tell_size", [True, False])
@pytest.mark.parametrize("page_size", [1000, 100, 50, 37])
@pytest.mark.parametrize("concurrency", [1, 4, 64])
def test_a_right_count_costs_no_superfluous_page(number, tell_size, page_size, concurrency):
    """Every row once, in at most ceil(N/size)+2 requests, at most one page asked beyond the count."""
    server = Server(rows(number), tell_size=tell_size)
    snapshot = walk(server, page_size=page_size, concurrency=concurrency)
    assert_whole(snapshot, number)
    pages = math.ceil(number / page_size)
    assert len(server.asked) <= pages + 2
    assert max(server.asked) <= pages
    assert sorted(server.asked) == sorted(server.read)
    assert (snapshot.reported, snapshot.complete, snapshot.duplicates) == (number, True, 0)
    assert snapshot.pages == len(server.asked)


@pytest.mark.parametrize("number", SIZES)
@pytest.mark.parametrize("tell_size", [True, False])
@pytest.mark.parametrize("count", NO_COUNT, ids=lambda count: "absent" if count is ABSENT else str(count))
@pytest.mark.parametrize("concurrency", [1, 4, 64])
def test_without_a_usable_count_the_pages_tell_the_end(number, tell_size, count, concurrency):
    """Every row once, and no more than `concurrency` pages asked beyond the last; complete as far as one can tell."""
    server = Server(rows(number), count=lambda _: count, tell_size=tell_size)
    snapshot = walk(server, concurrency=concurrency)
    assert_whole(snapshot, number)
    assert max(server.asked) <= max(math.ceil(number / 100) - 1, 0) + concurrency
    usable = 0 if (number, count) == (0, 0) else None
    assert (snapshot.reported, snapshot.complete) == (usable, True)


@pytest.mark.parametrize("number", SIZES)
@pytest.mark.parametrize("wrong", [-468, -100, -1, 1, 100, 10_000, 2**52])
@pytest.mark.parametrize("tell_size", [True, False])
def test_a_wrong_count_never_ends_a_walk(number, wrong, tell_size):
    """Every row once; `complete` tells that the count is another."""
    count = max(1, number + wrong)
    server = Server(rows(number), count=lambda _: str(count), tell_size=tell_size)
    snapshot = walk(server)
    assert_whole(snapshot, number)
    assert (snapshot.reported, snapshot.complete) == (count, count == number)
    # Beyond the count the walk goes on page by page.
    assert max(server.asked) <= max(math.ceil(count / 100), len(server.read))


@pytest.mark.parametrize("number", SIZES)
@pytest.mark.parametrize("count", [int, lambda _: ABSENT, lambda _: 0, lambda _: 1], ids=["right", "absent", "0", "1"])
@pytest.mark.parametrize("cap", [50, 99, 1])
def test_a_silent_cap_loses_nothing(number, count, cap):
    """A server that sends fewer rows than asked for, whether it says so or not."""
    for tell_size in (True, False):
        if tell_size is False and count(number) == 1:
            continue  # a short page with all reported rows seen is the last one
        server = Server(rows(number), count=count, cap=cap, tell_size=tell_size)
        snapshot = walk(server)
        assert_whole(snapshot, number)
        assert snapshot.complete is (count(number) is ABSENT or count(number) in {number, 0})


@pytest.mark.parametrize("number", SIZES)
@pytest.mark.parametrize("count", [int, lambda _: ABSENT, lambda _: 0], ids=["right", "absent", "0"])
@pytest.mark.parametrize("page_size", [100, 37])
@pytest.mark.parametrize("tell_size", [True, False])
def test_a_server_that_counts_pages_from_one_loses_nothing(number, count, page_size, tell_size):
    """Page 1 repeats page 0 row for row: it is no duplicate, and the walk goes on."""
    server = Server(rows(number), count=count, first=1, tell_size=tell_size)
    snapshot = walk(server, page_size=page_size)
    assert_whole(snapshot, number)
    assert (snapshot.duplicates, snapshot.complete) == (0, True)
    assert len(server.read) <= math.ceil(number / page_size) + 3


@pytest.mark.parametrize("tell_size", [True, False])
def test_a_short_page_is_not_the_last_one_while_more_rows_are_reported(tell_size):
    """As where a server leaves rows out of a page after it was cut."""
    listing = rows(240)
    pages = [listing[:100], listing[100:140], listing[140:]]
    server = Server(listing, tell_size=tell_size, serve=lambda page, _: pages[page] if page < len(pages) else [])
    snapshot = walk(server)
    assert (snapshot.inventory.artifacts, snapshot.complete) == (240, True)


def test_a_page_size_of_nothing_says_nothing():
    """Like one that is absent, `pageSize: 0` makes a short page no last page."""
    server = Server(rows(120), cap=50, count=lambda _: ABSENT, tell_size=False)
    body = server.body
    server.body = lambda *page, **order: body(*page, **order).replace(b'"artifacts"', b'"pageSize": 0, "artifacts"')
    assert_whole(walk(server), 120)


def test_a_count_that_comes_and_goes_is_the_last_usable_one():
    """An unusable one, 0 beside rows among them, leaves the one before and does not count as a change."""
    counts = iter([None, 250, 0, 250])
    snapshot = walk(Server(rows(250), count=lambda _: next(counts)), concurrency=1)
    assert (snapshot.reported, snapshot.complete) == (250, True)
    counts = iter([250, -1, ABSENT])
    snapshot = walk(Server(rows(250), count=lambda _: next(counts, 251)), concurrency=1)
    assert (snapshot.reported, snapshot.complete) == (251, False)


def test_a_count_that_moved_and_came_back_is_told():
    """The right number at the end does not undo a change on the way."""
    counts = iter([250, 251])
    snapshot = walk(Server(rows(250), count=lambda _: next(counts, 250)), concurrency=1)
    assert (snapshot.reported, snapshot.complete) == (250, False)


def test_an_empty_page_ends_a_walk_whatever_the_count():
    """Rows that the count promises beyond it are missing, which is told."""
    server = Server(
        [], count=lambda _: 500, serve=lambda page, size: rows(500)[page * size :][:size] if page < 2 else []
    )
    snapshot = walk(server)
    assert_whole(snapshot, 200)
    assert snapshot.complete is False


# Pages in flight


@given(
    number=st.integers(0, 120),
    page_size=st.integers(5, 30),
    concurrency=st.integers(1, 8),
    count=st.sampled_from([int, lambda _: ABSENT, lambda _: 0, lambda number: number // 2, lambda number: number * 3]),
    tell_size=st.booleans(),
    first=st.sampled_from([0, 1]),
)
def test_pages_are_asked_in_order_and_within_bounds(number, page_size, concurrency, count, tell_size, first):
    """Page 0 alone, then each page once, few ahead of the one that is read; page 0 again after two pages or more."""
    server = Server(rows(number), count=count, tell_size=tell_size, first=first)
    alone = []
    server.before = lambda request: alone.append(len(server.read)) if request == 1 else None
    snapshot = walk(server, page_size=page_size, concurrency=concurrency)
    assert_whole(snapshot, number)
    assert alone in ([], [1])
    assert server.most_unread <= 2 * concurrency
    assert snapshot.pages == len(server.read)
    pages = [*server.read, 0].index(0, 1)
    asked = [*server.asked, 0].index(0, 1)
    assert server.read[: pages + 1] == [*range(pages), 0][: len(server.read)]
    assert server.asked[: asked + 1] == [*range(asked), 0][: len(server.asked)]
    assert asked - pages < 2 * concurrency
    usable = count(number) if isinstance(count(number), int) and count(number) else None
    if usable is not None:
        assert max(server.asked) <= max(math.ceil(usable / page_size) + first, pages - 1)


def test_a_walk_of_one_page_does_not_read_it_again():
    """Two requests would be twice as many."""
    server = Server(rows(99))
    assert walk(server).pages == 1
    assert server.asked == [0]


def test_the_second_reading_of_page_0_finds_what_moved_to_the_front():
    """Its rows are found, and tell nothing of the number of rows."""
    server = Server(rows(250))
    server.before = lambda request: server.listing.insert(0, row(250)) if request == 3 else None
    snapshot = walk(server, concurrency=3)
    assert found(snapshot) == set(range(251))
    assert (snapshot.pages, snapshot.duplicates, snapshot.reported, snapshot.complete) == (4, 0, 251, True)


@pytest.mark.parametrize("apart", [0, 1])
def test_page_0_alone_is_read_again_if_nothing_moved(apart):
    """Whether all rows have one time, or each has its own."""
    listing = [{**each, "lastModified": 1_700_000_000_000 - apart * i} for i, each in enumerate(rows(350))]
    server = Server(listing)
    assert_whole(walk(server), 350)
    assert server.asked == [0, 1, 2, 3, 0]


def test_each_walk_has_its_own_deadline():
    """Every page must be there by the time that the walk may take, measured from its beginning."""
    server = Server(rows(250))
    walking = walker(server)
    clock = walking._clock
    walking.walk(threading.Event())
    assert server.deadlines == [clock.monotonic() + 300.0] * 4
    clock.tick(60.0)
    snapshot = walking.walk(threading.Event())
    assert server.deadlines[4:] == [clock.monotonic() + 300.0] * 4
    assert (snapshot.began, snapshot.began_monotonic) == (clock.time(), clock.monotonic())


def test_times_are_judged_by_the_beginning_of_the_walk():
    """A day ahead of it is the most that a time may be."""
    clock = FakeClock()
    ahead = int((clock.time() + 86_400) * 1000)
    listing = [row(0) | {"lastModified": ahead}, row(1) | {"lastModified": ahead + 1}]
    assert walk(Server(listing)).rejected == (0, 0, 1)


def test_ages_of_scans_are_measured_from_the_beginning_of_the_walk():
    """Whatever time its pages take."""
    clock = FakeClock()
    scanned = [int((clock.time() - STALE_AGES["7d"] - late) * 1000) for late in (-1, 0, 1)]
    listing = [row(number) | {"lastScannedAt": time} for number, time in enumerate(scanned)]
    walking = walker(Server(listing, before=lambda _: walking._clock.tick(60.0)))
    registries = walking.walk(threading.Event()).inventory.registries.values()
    assert [totals.stale_scans["7d"] for totals in registries] == [0, 0, 1]


def test_findings_are_new_by_the_snapshot_before():
    """For an hour from the walk that found them first."""
    server = Server([row(number) | {"scanStatus": "BLOCKED"} for number in range(3)])
    clock = FakeClock()

    def new_tally(*began):
        return Tally(*began, findings=("blocked",), findings_limit=1, registries_limit=9, stale_ages={})

    walking = Walker(server.fetch, new_tally, clock, page_size=100, concurrency=1, timeout=300.0)
    last, names = None, []
    for number, seconds in ((3, 60.0), (4, 60.0), (4, 3_599.0), (4, 1.0)):
        server.listing = [row(number) | {"scanStatus": "BLOCKED"} for number in range(number)]
        clock.tick(seconds)
        last = walking.walk(threading.Event(), last)
        names.append(last.inventory.findings[0].key.registry)
    assert names == ["00000", "00003", "00003", "00000"]
    assert walking.walk(threading.Event()).inventory.findings[0].key.registry == "00000"


def test_progress_is_told_page_by_page():
    """How many rows so far, and of how many, as far as the API says; page 0 is read twice."""
    told = []
    walk(Server(rows(250)), on_page=lambda *progress: told.append(progress))
    assert told == [(100, 250), (200, 250), (250, 250), (250, 250)]
    told.clear()
    walk(Server(rows(1), count=lambda _: ABSENT), on_page=lambda *progress: told.append(progress))
    assert told == [(1, None)]


# Page sizes that are refused


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_page_size_that_is_refused_falls_back_for_a_day(status):
    """100 is used then, in every later walk at once."""
    server = Server(rows(250), fails={0: ClientError("no", status=status)})
    walking = walker(server, page_size=500)
    server.before = lambda request: server.fails.clear() if request == 1 else None
    assert_whole(walking.walk(threading.Event()), 250)
    assert server.asked_sizes == [500, 100, 100, 100, 100]
    walking.walk(threading.Event())
    assert server.asked_sizes[5:] == [100] * 4
    assert len(set(server.deadlines)) == 1


def test_an_unknown_scope_is_refused_at_both_sizes():
    """The refusal is the walk's, and the page size is innocent: the next walk tries it again."""
    server = Server([], fails=dict.fromkeys(range(99), ClientError("unknown space", status=400)))
    walking = walker(server, page_size=500)
    for _ in range(2):
        with pytest.raises(ClientError, match="unknown space"):
            walking.walk(threading.Event())
    assert server.asked_sizes == [500, 100, 500, 100]


@pytest.mark.parametrize(
    "error", [kind("no") for kind in (AuthError, ForbiddenError, NotFoundError, RateLimitedError, DeadlineError)]
)
def test_other_refusals_are_no_matter_of_the_page_size(error):
    """They are not tried again."""
    server = Server([], fails={0: error})
    with pytest.raises(type(error)) as raised:
        walk(server, page_size=500)
    assert raised.value is error
    assert server.asked_sizes == [500]


@pytest.mark.parametrize("page_size", [1, 99, 100])
def test_a_small_page_size_that_is_refused_is_not_tried_again(page_size):
    """100 would be no smaller."""
    server = Server([], fails={0: ClientError("no", status=400)})
    with pytest.raises(ClientError):
        walk(server, page_size=page_size)
    assert server.asked_sizes == [page_size]


def test_the_least_page_size_above_100_falls_back():
    """101 is above 100."""
    server = Server(rows(1), fails={0: ClientError("no", status=400)})
    server.before = lambda request: server.fails.clear() if request == 1 else None
    assert_whole(walk(server, page_size=101), 1)


# Pages that lead nowhere


@pytest.mark.parametrize("count", [int, lambda _: ABSENT, lambda _: 10_000], ids=["right", "absent", "huge"])
@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize(
    ("serve", "news"),
    [
        (lambda _, size: rows(500)[:size], 1),
        (lambda page, size: rows(500)[page % 2 * size :][:size], 2),
        (lambda page, size: rows(500)[min(page, 4) * size :][:size], 5),
        (lambda page, size: rows(500)[page % 5 * size :][:size], 5),
        (lambda page, size: [*rows(1), *[None] * (size - 1)] if page else rows(500)[:size], 1),
    ],
    ids=["one for ever", "two in turns", "always full", "from the start again", "one row for ever"],
)
def test_pages_that_repeat_end_the_walk_soon(count, concurrency, serve, news):
    """Three pages in a row without a new row are enough, whatever the count."""
    server = Server(rows(500), count=count, serve=serve, tell_size=False)
    with pytest.raises(PaginationError, match=f"3 in a row, up to page {news + 2}, hold no new row"):
        walk(server, concurrency=concurrency, page_size=20)
    assert server.read == list(range(news + 3))
    assert max(server.asked) <= news + 2 + 2 * concurrency


def test_a_push_allows_only_as_many_pages_without_news_as_its_rows_fill():
    """Pages that repeat for ever end the walk, though the count grows with each of them."""
    counts = itertools.count(500)
    server = Server([], count=lambda _: next(counts), serve=lambda _, size: rows(500)[:size])
    with pytest.raises(PaginationError, match="4 in a row, up to page 4, hold no new row"):
        walk(server, concurrency=1, page_size=20)


def test_two_pages_without_news_are_no_loop():
    """A new row on the third proves that the listing goes on."""
    pages = [rows(10), rows(20)[10:], rows(10), rows(20)[10:], rows(30)[20:], rows(10), rows(10), *[[]] * 9]
    snapshot = walk(Server([], count=lambda _: ABSENT, serve=lambda page, _: pages[page]), page_size=10)
    assert found(snapshot) == set(range(30))
    assert (snapshot.duplicates, snapshot.inventory.artifacts) == (40, 30)


@pytest.mark.parametrize("page", [0, 1, 2])
def test_more_rows_than_asked_for_end_the_walk(page):
    """A server that heeds no size cannot be paged."""
    server = Server(rows(60), serve=lambda asked, size: rows(100)[asked * size :][: size + (asked == page)])
    with pytest.raises(PaginationError, match="more rows than the 20 that were requested"):
        walk(server, page_size=20)


@pytest.mark.parametrize(("count", "complete"), [(150, True), (300, False)])
def test_rows_that_repeat_are_counted_as_duplicates(count, complete):
    """Only distinct rows count: a walk with 150 of them lacks 150 of 300."""
    twice = [row(number // 2) for number in range(300)]
    snapshot = walk(Server(twice, count=lambda _: count))
    assert (snapshot.duplicates, snapshot.inventory.artifacts, snapshot.complete) == (150, 150, complete)


@pytest.mark.parametrize(("number", "last"), [(399, 3), (400, 4), (401, 4)])
def test_all_pages_that_the_count_calls_for_are_asked_for_at_once(number, last):
    """After page 0, up to one with less than a page of rows: where the count leaves none, that is an empty one."""
    server = Server(rows(number))
    walk(server, concurrency=8)
    assert server.asked == [*range(last + 1), 0]
    assert server.most_unread == last


def test_twice_as_many_pages_are_asked_for_as_are_fetched_at_once():
    """A connection has its next page at once, whatever comes of adding up the last one."""
    server = Server(rows(1_000))
    walk(server, page_size=20, concurrency=3)
    assert server.most_unread == 6


@pytest.mark.parametrize(("megabytes", "ahead"), [(1, 8), (5, 3), (9, 1), (15, 1)])
def test_fewer_pages_are_asked_for_ahead_if_they_are_large(megabytes, ahead):
    """All that arrived take memory until their turn."""
    filled = [row(number) | {"pullCommand": "x" * (megabytes * 10_000)} for number in range(1_000)]
    server = Server(filled)
    assert walk(server).inventory.artifacts == 1_000
    assert server.most_unread == ahead


# Failures


@given(
    number=st.integers(0, 60),
    page_size=st.integers(5, 20),
    concurrency=st.integers(1, 6),
    count=st.sampled_from([int, lambda _: ABSENT]),
    error=st.sampled_from([kind("broken") for kind in errors.RefreshError.__subclasses__()] + [KeyError("a bug")]),
    data=st.data(),
)
def test_a_failure_of_any_page_fails_the_walk(number, page_size, concurrency, count, error, data):
    """With that very error, the second reading of page 0 included; what is still in flight is cancelled."""
    quiet = Server(rows(number), count=count, tell_size=False)
    walk(quiet, page_size=page_size, concurrency=concurrency)
    needed = [request for request, page in enumerate(quiet.asked) if page in quiet.read]
    failing = data.draw(st.sampled_from(needed))
    server = Server(rows(number), count=count, tell_size=False, fails={failing: error})
    with pytest.raises(type(error)) as raised:
        walk(server, page_size=page_size, concurrency=concurrency)
    assert raised.value is error
    assert all(reply.cancelled() for reply in server.replies[failing + 1 :])
    assert len(server.asked) <= failing + 2 * concurrency


class Hanging(Future[bytes]):
    """A page in flight that never comes, however long it is waited for."""

    def result(self, timeout=None):
        assert timeout is not None, "waits for ever"
        assert 300.0 <= timeout < 310.0
        raise TimeoutError


@pytest.mark.parametrize("request_number", [0, 1, 2, 3])
def test_a_page_that_never_comes_fails_the_walk_by_its_deadline(request_number):
    """As where the file system hangs that a certificate lies on."""
    server = Server(rows(250))

    def fetch(query, deadline):
        reply = server.fetch(query, deadline)
        return Hanging() if len(server.asked) == request_number + 1 else reply

    hanging = walker(server)
    hanging._fetch_page = fetch
    with pytest.raises(RequestTimeout) as raised:
        hanging.walk(threading.Event())
    assert str(raised.value) == "a page did not arrive before the deadline of the refresh"
    assert raised.value.hint == "check the file systems of ca_file and client_cert_file, or raise refresh_timeout"


@pytest.mark.parametrize("request_number", [0, 1, 2, 3])
def test_a_page_that_is_none_fails_the_walk(request_number):
    """Good pages around it do not help."""
    for body, error in ((b"<html>", BadJsonError), (b"{}", BadShapeError)):
        with pytest.raises(error):
            walk(Server(rows(250), fails={request_number: body}))


def test_what_the_server_says_of_a_failure_is_made_into_a_label():
    """It may hold the key."""
    server = Server([], fails={0: b'{"status":"ERROR","message":"no canary"}'})
    with pytest.raises(BadShapeError, match=r"no \*"):
        walk(server, label=lambda text: text.replace("canary", "*"))


def test_pages_asked_beyond_the_end_are_cancelled():
    """They are of no interest, and neither are their failures."""
    server = Server(rows(150), count=lambda _: ABSENT)
    server.fails = {2: ServerError("beyond the end")}
    server.before = lambda request: server.fails.clear() if request == 5 else None
    assert_whole(walk(server, concurrency=4), 150)
    assert [reply.cancelled() for reply in server.replies] == [False, False, False, True, True, False]


def test_a_fetch_that_cannot_start_fails_the_walk():
    """What is in flight is cancelled then, too."""
    server = Server(rows(950), fails={3: b""})

    def refuse(request):
        if request == 4:
            raise NotFoundError("stopped")

    server.before = refuse
    with pytest.raises(NotFoundError):
        walk(server, concurrency=9)
    assert [reply.cancelled() for reply in server.replies] == [False, False, False, False]
    server = Server(rows(950), fails={1: b""})
    server.before = refuse
    with pytest.raises(NotFoundError):
        walk(server, concurrency=9)
    assert [reply.cancelled() for reply in server.replies] == [False, False, True, True]


# Rows that cannot be used


@pytest.mark.parametrize(
    ("number", "rejected", "passes"),
    [
        (1000, 100, True),
        (101, 100, True),
        (100, 100, True),
        (1000, 101, False),
        (10_100, 101, True),
        (10_099, 101, False),
    ],
)
@pytest.mark.parametrize("at_the_end", [True, False])
def test_too_many_rejected_rows_are_no_listing(number, rejected, passes, at_the_end):
    """More than 1 % and more than 100: fewer are counted, at whatever place they are."""
    good = rows(number - rejected)
    server = Server([*good, *[None] * rejected] if at_the_end else [*[None] * rejected, *good])
    if not passes:
        with pytest.raises(BadShapeError, match=f"{rejected} of {number} rows cannot be used"):
            walk(server)
        return
    snapshot = walk(server)
    assert snapshot.rejected == (rejected, 0, 0)
    assert_whole(snapshot, number - rejected)
    assert (snapshot.complete, snapshot.duplicates) == (True, 0)


@pytest.mark.parametrize("page_size", [5, 10, 20])
def test_pages_of_nothing_but_rejected_rows_are_no_loop(page_size):
    """They cannot be told apart, but their number is no more than may be; at the front as in the middle."""
    for listing in ([*[{}] * 100, *rows(50)], [*rows(50), *[{}] * 100, *({"name": 1} for _ in range(0))]):
        snapshot = walk(Server(listing, first=0), page_size=page_size)
        assert_whole(snapshot, 50)
        assert (snapshot.rejected.rows, snapshot.complete, snapshot.duplicates) == (100, True, 0)


@pytest.mark.parametrize(("page_size", "rejected"), [(20, 120), (100, 300)])
def test_pages_of_rejected_rows_for_ever_are_no_listing(page_size, rejected):
    """The walk ends as soon as there are too many of them in a row, after three pages at the soonest."""
    server = Server([], serve=lambda _, size: [None] * size, count=lambda _: ABSENT)
    with pytest.raises(BadShapeError, match=f"{rejected} of {rejected} rows cannot be used"):
        walk(server, page_size=page_size)


def test_rejected_values_of_all_pages_add_up():
    """Rows, counts and times; those of the second reading of page 0 are not counted twice."""
    bad = [row(0) | {"fileCount": -1}, row(1) | {"lastModified": "0", "digestCount": -1}, None]
    snapshot = walk(Server([*bad, *rows(30)[2:], *({**each, "name": "b"} for each in bad[:2])]), page_size=10)
    assert snapshot.rejected == (1, 4, 2)


# Listings that move while they are read


@dataclass(frozen=True)
class Change:
    """Something that happens to the listing before a request."""

    request: int
    kind: str
    place: float


def moving(number, changes, **knobs):
    """Return a server whose listing, newest first, changes between the answers."""
    server = Server(rows(number), **knobs)
    names = iter(range(number, number + len(changes)))

    def change(request):
        for each in changes:
            if each.request == request:
                here = int(each.place * len(server.listing))
                if each.kind == "push":
                    server.listing.insert(0, row(next(names)))
                elif here < len(server.listing):
                    moved = server.listing.pop(here)
                    if each.kind == "update":
                        server.listing.insert(0, moved)

    server.before = change
    return server


def changes_of(*kinds, most):
    """Strategy: changes of these kinds."""
    return st.lists(
        st.builds(
            Change,
            st.integers(1, 14),
            st.sampled_from(kinds),
            st.floats(0, 1, exclude_max=True),
        ),
        max_size=most,
    )


PAGE_SIZE = st.integers(8, 20)
CONCURRENCY = st.integers(1, 6)


@given(st.integers(0, 120), PAGE_SIZE, CONCURRENCY, changes_of("push", "update", most=8), st.booleans())
@example(40, 10, 4, [Change(1, "push", 0.0)] * 10, True)
def test_pushes_and_updates_lose_no_row(number, page_size, concurrency, changes, counted):
    """As long as no more of them happen than fit on page 0, every row that was there throughout is found."""
    server = moving(number, changes, count=int if counted else lambda _: ABSENT)
    snapshot = walk(server, page_size=page_size, concurrency=concurrency)
    assert found(snapshot) >= set(range(number))
    assert found(snapshot) <= numbers(server.listing)
    assert snapshot.inventory.artifacts == len(found(snapshot))
    if not counted or {change.kind for change in changes} <= {"push"}:
        assert snapshot.complete


@given(st.integers(0, 120), PAGE_SIZE, CONCURRENCY, changes_of("push", "update", "delete", most=8), st.booleans())
def test_a_walk_is_off_by_no_more_than_the_changes(number, page_size, concurrency, changes, counted):
    """Deletions too; it calls itself complete only if no row that was there throughout is missing."""
    server = moving(number, changes, count=int if counted else lambda _: ABSENT)
    snapshot = walk(server, page_size=page_size, concurrency=concurrency)
    happened = len([each for each in changes if each.request < len(server.asked)])
    now = numbers(server.listing)
    assert len(now - found(snapshot)) <= happened
    assert abs(snapshot.inventory.artifacts - len(now)) <= happened
    assert found(snapshot) <= set(range(number + len(changes)))
    if not happened:
        assert_whole(snapshot, number)
    if counted and snapshot.complete:
        assert found(snapshot) >= set(range(number)) & now


@given(st.integers(0, 120), PAGE_SIZE, CONCURRENCY, changes_of("push", "update", "delete", most=8), st.randoms())
def test_pages_that_are_answered_out_of_order_cost_little_more(number, page_size, concurrency, changes, seed):
    """Pages in flight reach the server in any order, so that one change can fall between several pairs of pages."""
    server = moving(number, changes)
    waiting = []

    def answer(wanted):
        while not wanted.done():
            request, reply, page, size, oldest_first = waiting.pop(seed.randrange(min(len(waiting), concurrency)))
            if reply.set_running_or_notify_cancel():
                change(request)
                reply.set_result(server.body(page, size, oldest_first=oldest_first))

    change, server.before = server.before, int

    class Late(Reply):
        def result(self, timeout=None):
            answer(self)
            return super().result(timeout)

    def fetch(query, _):
        reply = Late(server, query.page)
        waiting.append((len(server.asked), reply, *query))
        server.asked.append(query.page)
        return reply

    server.fetch = fetch
    snapshot = walk(server, page_size=page_size, concurrency=concurrency)
    assert len(numbers(server.listing) - found(snapshot)) <= len(changes) * concurrency
    if not changes:
        assert_whole(snapshot, number)
        assert snapshot.complete
