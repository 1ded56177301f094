"""A walk calls itself complete only if no row that was there throughout is missing, and heals what it can."""

import re
import threading
from collections import Counter
from concurrent.futures import Future
from typing import NamedTuple

import pytest

from exporter.harness.errors import PaginationError, ServerError
from exporter.inventory.walk import Walker
from tests.support.clocks import FakeClock
from tests.support.listings import body_of
from tests.support.memoryserver import Server, row, rows, walk, walker
from tests.support.places import DOCS
from tests.support.tiedserver import CHANGES, PUSHES, Names, TiedServer


class Answers(NamedTuple):
    """Answers that a server gives whatever the order asked for: count and rows of each page, then of page 0 again."""

    size: int
    pages: tuple[tuple[int, str], ...]
    again: tuple[int, str] | None
    complete: bool
    found: str


REPRODUCTIONS = {
    "a row that repeats hides one that was missed": Answers(
        2, ((5, "AB"), (5, "BC"), (5, "D")), (5, "AB"), complete=False, found="ABCD"
    ),
    "two quarantine records of one row": Answers(10, ((2, "AAB"),), None, complete=True, found="AB"),
    "a push during the walk": Answers(2, ((4, "AB"), (5, "BC"), (5, "D")), (5, "NA"), complete=True, found="ABCDN"),
    "pushes during a wait": Answers(
        2,
        ((6, "AB"), (12, "AB"), (12, "AB"), (12, "AB"), (12, "CD"), (12, "EF")),
        (12, "MN"),
        complete=False,  # four of the six are on pages that this server keeps
        found="ABCDEFMN",
    ),
    "a deleted row hides one that was missed": Answers(
        2, ((5, "AB"), (4, "DE")), (4, "AB"), complete=False, found="ABDE"
    ),
    "a push in the same moment hides the deletion": Answers(
        2, ((5, "AB"), (5, "CD")), (5, "NA"), complete=False, found="ABCDN"
    ),
    "a deleted row that was read, and none missed": Answers(
        2, ((4, "AB"), (4, "CD")), (3, "BC"), complete=True, found="ABCD"
    ),
    "fewer rows reported than listed": Answers(2, ((3, "AB"), (3, "CD")), (3, "AB"), complete=False, found="ABCD"),
}


def scripted(answers, *, timed):
    """Return what answers pages by a script; M and N are pushed while the walk runs."""
    told = []

    def fetch(query, _):
        first = query.page not in [page for page, _ in told]
        count, names = answers.pages[query.page] if query.page < len(answers.pages) else (answers.pages[-1][0], "")
        if told and query.page == 0:
            count, names = answers.again
        elif not first:
            count = told[-1][1]  # what happened stays so
        told.append((query.page, count))
        page = [
            {"name": name, "registryIdentifier": "one", "isQuarantined": True, "quarantineReason": f"reason {place}"}
            | ({"lastModified": 2_000 if name in "MN" else 1_000} if timed else {})
            for place, name in enumerate(names)
        ]
        body: Future[bytes] = Future()
        body.set_result(body_of(page, itemCount=count, pageSize=answers.size))
        return body

    return fetch


DOCUMENTED = re.findall(r"^\| (\d: .*) \| (.*) \| ([01]) \|", (DOCS / "guarantees.md").read_text(), re.MULTILINE)


def answer_of(text):
    """Return the count and the rows of a page, of which each letter is one."""
    count, _, rows = re.sub(r" |\(.*\)", "", text).partition(":")
    return int(count), rows


@pytest.mark.parametrize("row", DOCUMENTED, ids=lambda row: row[0])
def test_the_examples_of_the_docs_are_so(row):
    assert len(DOCUMENTED) == 5
    pages, again, complete = row
    size = 10 if "of ten" in pages else 2
    last = answer_of(again) if ":" in again else None
    answers = Answers(size, tuple(map(answer_of, pages.split(", "))), last, complete == "1", "")
    snapshot, _ = walked(scripted(answers, timed=True), size)
    assert snapshot.complete is answers.complete


def walked(fetch, page_size, concurrency=1):
    """Walk once, and return the snapshot and the names of the rows that were read."""
    tally = Names(0.0)
    walker = Walker(fetch, lambda *_: tally, FakeClock(), page_size=page_size, concurrency=concurrency, timeout=300.0)
    return walker.walk(threading.Event()), tally.names


@pytest.mark.parametrize("timed", [True, False], ids=["times", "no times"])
@pytest.mark.parametrize("case", REPRODUCTIONS)
def test_the_answers_tell_whether_a_row_may_be_missing(case, timed):
    """Each case is a sequence of answers that is easily judged wrongly."""
    answers = REPRODUCTIONS[case]
    snapshot, names = walked(scripted(answers, timed=timed), answers.size)
    assert (snapshot.complete, "".join(sorted(names))) == (answers.complete, answers.found)


def test_pages_next_to_a_fall_of_the_count_are_read_again():
    """The row that a deletion moved from page 3 to page 2 is found there."""
    server = Server(rows(100), before=lambda request: server.listing.pop(5) if request == 3 else None)
    snapshot = walk(server, page_size=20, concurrency=1)
    assert server.read == [0, 1, 2, 3, 4, 2, 3, 0]
    assert (snapshot.inventory.artifacts, snapshot.complete) == (100, True)


def test_a_fall_by_many_rows_leads_further_back():
    """To the pages that the rows behind those that are gone may be on now; page 4 was asked for before."""

    def purge(request):
        if request == 3:
            del server.listing[:45]

    server = Server(rows(200), before=purge)
    snapshot = walk(server, page_size=20, concurrency=1)
    assert server.read == [0, 1, 2, 3, 4, 0, 1, 2, 3, 5, 6, 7, 0]
    assert (snapshot.inventory.artifacts, snapshot.complete) == (200, True)


def hiding(number, *hidden):
    """Return a server that leaves rows out of the usual order, as an order without tie-break does."""
    listing = rows(number)
    server = Server(listing, count=lambda _: number)
    body = server.body

    def body_without(page, size, *, oldest_first):
        server.listing = listing if oldest_first else [listing[0 if n in hidden else n] for n in range(number)]
        return body(page, size, oldest_first=oldest_first)

    server.body = body_without
    return server


def test_a_second_pass_in_the_opposite_order_finds_what_ties_hide():
    """And it ends once nothing is missing, here on its third page of five."""
    server = hiding(100, 50)
    snapshot = walk(server, page_size=20, concurrency=1)
    assert (snapshot.inventory.artifacts, snapshot.complete, snapshot.duplicates) == (100, True, 1)
    assert server.read == [0, 1, 2, 3, 4, 5, 0, *(0, 1, 2), 0]


def test_a_second_pass_goes_on_over_pages_without_a_new_row():
    """Here its first and its last page have one."""
    snapshot = walk(hiding(200, 1, 190), page_size=20, concurrency=1)
    assert (snapshot.inventory.artifacts, snapshot.complete) == (200, True)


@pytest.mark.parametrize(
    ("gains", "second_passes"), [("11111111", "11111111"), ("00000000", "11000001"), ("01010101", "11111111")]
)
def test_a_second_pass_that_finds_nothing_twice_is_tried_once_an_hour(gains, second_passes):
    """Where the count is too high for ever, each walk would cost twice as much: here one every 10 minutes."""
    servers = {"1": hiding(100, 50), "0": Server(rows(100), count=lambda _: 101)}
    asked = []

    def fetch(query, deadline):
        asked.append(query)
        return server.fetch(query, deadline)

    walking = walker(servers["1"], page_size=20, fetch=fetch)
    passes = ""
    for server in map(servers.get, gains):  # noqa: B007 - `fetch` uses it
        asked.clear()
        walking.walk(threading.Event())
        passes += str(int(any(query.oldest_first for query in asked)))
        walking._clock.tick(600.0)
    assert passes == second_passes


def test_a_walk_costs_one_extra_pass_at_most():
    """Whatever happens to the listing: the pages of the pass, as many again, and page 0 after either."""
    server = Server(rows(200), count=lambda _: 1_000, before=lambda _: server.listing.pop())
    walk(server, page_size=10, concurrency=1)
    first_pass = server.read.index(0, 1)
    assert len(server.read) <= 2 * first_pass + 2


def test_the_pages_next_to_falls_are_read_twice_at_most():
    """Rows are deleted as fast as they are read."""
    server = Server(rows(200), before=lambda _: server.listing.pop())
    walk(server, page_size=10, concurrency=1)
    first_pass = server.read.index(max(server.read)) + 1
    assert first_pass <= 2 * (max(server.read) + 1)


def test_pushes_that_are_as_fast_as_the_walk_do_not_keep_it_from_ending():
    """Of the pages that they fill, after either pass, twice as many are read as the pass had."""
    times = iter(range(1_000, 10**9))

    def push(request):
        if request >= 11:
            server.listing[:0] = [row(next(times)) | {"lastModified": str(next(times))} for _ in range(25)][::-1]

    server = Server([row(number) | {"lastModified": str(900 - number)} for number in range(100)], before=push)
    walk(server, page_size=10, concurrency=1)
    assert server.read == [*range(11), *range(23), 0] * 2


def test_a_failure_of_the_second_pass_leaves_the_first():
    """Its rows are served, and called incomplete."""
    quiet = hiding(100, 50)
    walk(quiet, page_size=20)
    second = [reply.oldest_first for reply in quiet.replies].index(True)
    server = hiding(100, 50)
    server.fails = {second + 1: ServerError("broken")}
    snapshot = walk(server, page_size=20)
    assert (snapshot.inventory.artifacts, snapshot.complete) == (99, False)


def test_more_than_a_page_of_pushes_is_found():
    """The front is read until it is older than the walk, and again for what came meanwhile."""
    server = TiedServer(1, kinds=("push",), rows=300, page_size=10, concurrency=1, ties=1)
    server.latency, server.rate = 0.2, 10.0
    snapshot = server.walker().walk(threading.Event())
    assert server.changes > 100
    assert (server.unread, snapshot.complete) == (set(), True)


WALKS = 500


def measured(kinds, walks=WALKS, **knobs):
    """Return how many walks ended how, over listings drawn from seeds: rows missed, complete, failed."""
    ends = Counter()
    for seed in range(walks):
        server = TiedServer(seed, kinds=kinds, **knobs)
        try:
            snapshot = server.walker().walk(threading.Event())
        except PaginationError:
            ends["failed"] += 1
        else:
            ends[bool(server.missed), snapshot.complete, bool(server.unread)] += 1
    return ends


@pytest.mark.parametrize("kinds", [(), ("push",), PUSHES], ids=["still", "pushes", "pushes and records"])
@pytest.mark.simulation
def test_walks_over_ties_and_pushes_tell_exactly_whether_they_are_complete(kinds):
    """None says 1 that misses a row that was there throughout, none says 0 that misses no row, none fails."""
    too_much, too_little, ends = shares(kinds)
    assert too_much == too_little == ends["failed"] == 0
    assert ends[False, True, False] > WALKS / 2


@pytest.mark.parametrize("kinds", [("push", "touch"), ("push", "delete"), CHANGES], ids=["touches", "deletions", "all"])
@pytest.mark.simulation
def test_walks_over_touches_and_deletions_never_claim_too_much(kinds):
    """None says 1 that misses a row that was there throughout; how many say 0 that miss no row is printed."""
    too_much, _, ends = shares(kinds)
    assert too_much == 0
    assert ends[False, True, False] > WALKS / 4


@pytest.mark.parametrize("kinds", [(), PUSHES, CHANGES], ids=["still", "pushes", "all"])
@pytest.mark.parametrize(
    "knobs",
    [{"rows": 2_600, "page_size": 1_000}, {"rows": 2_600, "page_size": 1_000, "capped_after": 2}],
    ids=["1,000 a page", "100 from the third page on"],
)
@pytest.mark.simulation
def test_larger_pages_and_pages_that_shrink_in_mid_walk_claim_no_more(kinds, knobs):
    """None says 1 that misses a row that was there throughout; without deletions, none says 0 that misses none."""
    ends = measured(kinds, walks=60, **knobs)
    assert ends[True, True, True] == 0
    assert kinds == CHANGES or ends[False, False, False] == ends["failed"] == 0
    assert sum(ends.values()) == 60


def shares(kinds):
    """Return how many walks claim too much, how many too little, and how all ended."""
    ends = measured(kinds)
    too_much, too_little = ends[True, True, True], ends[False, False, False]
    changes = ", ".join(kinds) or "no changes"
    print(f"{WALKS} walks, {changes}: {too_much} claim too much, {too_little / WALKS:.1%} too little")  # noqa: T201 - shown by pytest -rP
    return too_much, too_little, ends
