"""What a first page foretells is what happens: requests, time and series."""

import math
import random
import threading
from concurrent.futures import Future
from functools import partial
from types import SimpleNamespace
from typing import NamedTuple

from hypothesis import example, given
from hypothesis import strategies as st

from exporter.check.checked import CheckedSpace
from exporter.check.forecast import least_seconds, seconds_by_rate
from exporter.check.report import report_on
from exporter.engine.generation import new_walker, view_of
from exporter.harness.counters import ApiCounters
from exporter.harness.throttle import Throttle
from exporter.inventory.refresh import Refresher
from exporter.metrics.space_families import SPACE_FAMILIES
from exporter.rates import Rate
from exporter.texts import format_duration, read_duration
from tests.support.clocks import FakeClock
from tests.support.listings import body_of, listings
from tests.support.memoryserver import Server, rows, walk, walker
from tests.support.settings import settings_of
from tests.support.upstream import ABSENT, make_row

RATES = st.builds(Rate, st.integers(1, 50), st.sampled_from((1.0, 60.0, 3600.0)))


@given(
    number=st.integers(0, 450) | st.sampled_from((0, 1, 99, 100, 101, 200, 400)),
    page_size=st.integers(40, 200) | st.just(100),
    cap=st.integers(20, 300),
    tell_size=st.booleans(),
    concurrency=st.integers(1, 6),
    count=st.sampled_from((int, lambda _: ABSENT, lambda _: 0)),
)
@example(number=100, page_size=100, cap=10_000, tell_size=True, concurrency=4, count=int)
@example(number=150, page_size=100, cap=50, tell_size=False, concurrency=4, count=int)
def test_a_walk_sends_as_many_requests_as_its_first_page_foretells(
    number, page_size, cap, tell_size, concurrency, count
):
    server = Server(rows(number), count=count, cap=cap, tell_size=tell_size)
    foretold = walker(server, page_size=page_size, concurrency=concurrency).first_page(threading.Event()).requests
    assert server.asked == [0]
    server.asked.clear()
    walk(server, page_size=page_size, concurrency=concurrency)
    assert foretold in {len(server.asked), None}
    if foretold is None:
        assert count(number) in {0, ABSENT}, "only a listing without a count is a riddle"


def test_a_server_that_lists_less_than_it_counts_costs_another_page():
    """And a second pass, which is not foretold."""
    server = Server(rows(3), count=lambda _: 5)
    foretold = walker(server).first_page(threading.Event()).requests
    server.asked.clear()
    walk(server)
    assert (foretold, server.asked) == (3, [0, 1, 0, *(0, 1), 0])


@given(st.integers(1, 60), RATES)
def test_requests_take_as_long_as_the_throttle_makes_them_wait(requests, rate):
    clock = FakeClock()
    throttle = Throttle(rate, clock, ApiCounters())
    began = clock.monotonic()
    for _ in range(requests):
        throttle.acquire(math.inf)
    assert clock.monotonic() - began == seconds_by_rate(requests, rate)


def test_a_slow_server_takes_longer_than_the_limit_of_requests():
    assert least_seconds(9, None, 2.0, 4) == 6.0
    assert least_seconds(9, Rate(300, 60.0), 2.0, 4) == 6.0
    assert least_seconds(9, Rate(4, 60.0), 2.0, 4) == 120.0
    assert least_seconds(0, Rate(4, 60.0), 2.0, 4) == 0.0


class Forecast(NamedTuple):
    """What the first page of a listing says of its series."""

    least: int
    exact: bool
    findings: int


def series_of(listed, *, more_rows=0, **variables):
    settings = settings_of(**{"spaces": "acct", "api_key": "pat.acct.id.key", "sources": "off", **variables})
    first = FirstPageOf(body_of(listed, itemCount=len(listed) + more_rows), settings)
    (verdict,) = report_on([first.checked], settings).spaces
    return Forecast(verdict.series, verdict.series_exact, verdict.finding_series)


class FirstPageOf:
    """The report's input for a space whose first page has this body."""

    def __init__(self, body, settings):
        (space,) = settings.served
        fetched = Future()
        fetched.set_result(body)
        walks = new_walker(
            SimpleNamespace(
                workers=SimpleNamespace(submit_in_turn=lambda *_: fetched),
                walks=SimpleNamespace(lane=lambda *_: ""),
                client=SimpleNamespace(page=int, wait_for_turn=int, label=str),
            ),
            space,
            settings,
            FakeClock(),
        )
        first = walks.first_page(threading.Event())
        queued = []

        def submit(refresh, space):
            queued.append(partial(refresh, space))
            return Future()

        refresher = Refresher(
            {space.ref: lambda *_: first.snapshot},
            submit=submit,
            clock=FakeClock(),
            cache_ttl=60.0,
            max_stale=60.0,
            jitter=random.Random(1),
        )
        refresher.start()
        queued.pop()()
        (status,) = refresher.statuses()
        series = sum(1 for family in SPACE_FAMILIES for _ in family.samples(view_of(space, status, settings)))
        self.checked = CheckedSpace(space, status, 0, "acct", first.requests, series)


_ROWS = st.lists(
    st.builds(
        dict,
        registryIdentifier=st.sampled_from("abc"),
        packageType=st.sampled_from(("NPM", "DOCKER")),
        registryType=st.sampled_from(("UPSTREAM", "VIRTUAL")),
        firewallMode=st.sampled_from(("BLOCK", "WARN")),
        scanStatus=st.sampled_from(("BLOCKED", "WARN", "ALLOWED", "ODD")),
        isQuarantined=st.booleans(),
        deploymentMetadata=st.sampled_from((None, {"prodEnvCount": 1}, {"prodEnvCount": 0, "nonProdEnvCount": 2})),
    ),
    min_size=1,
    max_size=12,
)


@given(_ROWS, st.integers(0, 12))
def test_further_pages_add_no_more_than_is_foretold_unless_they_bring_new_registries(fields, first):
    """The bounds hold for every listing and every place where its first page may end."""
    listed = [make_row(number, **row) for number, row in enumerate(fields)]
    page, rest = listed[:first], listed[first:]
    foretold, found = series_of(page, more_rows=len(rest)), series_of(listed).least
    assert foretold.least <= found
    known = {(row["registryIdentifier"], row["packageType"]) for row in page}
    new = {(row["registryIdentifier"], row["packageType"]) for row in rest} - known
    modes_and_statuses = 2 * 2 * 5 * len({(row["registryIdentifier"], row["packageType"]) for row in listed})
    assert found <= foretold.least + foretold.findings + 25 * len(new) + modes_and_statuses + 2 * len(known)


@given(listings())
def test_a_page_that_is_all_there_is_foretells_no_more(listed):
    foretold = series_of(listed)
    assert (foretold.exact, foretold.findings) == (True, 0)


def test_findings_that_are_still_to_come_are_bounded_by_the_rows_and_by_the_limit():
    blocked = [make_row(number, scanStatus="BLOCKED") for number in range(3)]
    assert series_of(blocked, more_rows=10).findings == 10 * 6
    assert series_of(blocked, more_rows=10, findings="blocked").findings == 10 * 5
    assert series_of(blocked, more_rows=10, findings_limit="4").findings == 1 * 6
    assert series_of(blocked, more_rows=10, findings="off").findings == 0


@given(st.floats(0, 3650 * 86_400.0))
def test_a_duration_is_spelled_as_a_setting_reads_it(seconds):
    assert abs(read_duration(format_duration(seconds)) - seconds) <= (0.0501 if seconds < 10 else 0.5)


def test_durations_are_spelled_in_units():
    spelled = [format_duration(seconds) for seconds in (0, 0.04, 0.3, 9.96, 60, 5400, 86_400, 93_784)]
    assert spelled == ["0s", "0s", "0.3s", "10s", "1m", "1h30m", "1d", "1d2h3m4s"]
