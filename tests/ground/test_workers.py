"""Threads that run calls: in which order, and what becomes of results and errors."""

import signal
import threading
import weakref
from functools import partial
from types import SimpleNamespace

import pytest

from exporter.config.sources import load
from exporter.engine.generation import _fetch_page
from exporter.engine.walks import Walks
from exporter.inventory.passes import PageQuery
from exporter.workers import Workers

PATIENCE = 20
MINIMUM = {"HAR_EXPORTER_SPACES": "old,young", "HAR_EXPORTER_API_KEY": "pat.acct.id.key"}


@pytest.fixture
def busy():
    """One thread, busy until the event is set."""
    workers, busy, free = Workers(1, "test"), threading.Event(), threading.Event()
    workers.submit(lambda: busy.set() or free.wait(PATIENCE))
    assert busy.wait(PATIENCE)
    yield workers, free
    free.set()


def test_calls_run_by_their_deadlines_and_of_equal_ones_the_oldest_first(busy):
    workers, free = busy
    ran = []
    calls = [
        workers.submit(ran.append, "last"),
        *(
            workers.submit_in_turn("", deadline, int, ran.append, name)
            for deadline, name in ((3.0, "c"), (1.0, "a"), (2.0, "b"))
        ),
        workers.submit_in_turn("", 1.0, int, ran.append, "a again"),
        workers.submit(ran.append, "very last"),
    ]
    free.set()
    for call in calls:
        call.result(PATIENCE)
    assert ran == ["a", "a again", "b", "c", "last", "very last"]


def test_lanes_take_turns_beginning_with_the_one_that_had_none_for_the_longest_time(busy):
    workers, free = busy
    ran = []
    lanes = {"a": range(5), "b": range(2), "c": range(1)}
    calls = [
        workers.submit_in_turn(lane, float(number), int, ran.append, (lane, number))
        for lane, numbers in lanes.items()
        for number in numbers
    ]
    free.set()
    for call in calls:
        call.result(PATIENCE)
    assert ran == [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("b", 1), ("a", 2), ("a", 3), ("a", 4)]


def test_a_call_that_was_cancelled_does_not_run(busy):
    workers, free = busy
    ran = []
    cancelled, other = (workers.submit(ran.append, name) for name in ("cancelled", "other"))
    assert cancelled.cancel()
    free.set()
    other.result(PATIENCE)
    assert ran == ["other"]


def test_an_error_is_the_futures_and_ends_no_thread(busy):
    workers, free = busy
    free.set()
    with pytest.raises(ZeroDivisionError):
        workers.submit(lambda: 1 / 0).result(PATIENCE)
    assert workers.submit(lambda: 7).result(PATIENCE) == 7


def test_calls_begin_one_by_one_in_order_and_then_run_side_by_side():
    """While one waits for its turn, as for a limit of requests, no other begins."""
    workers, begun, together = Workers(4, "test"), [], threading.Barrier(4)

    def wait(number):
        begun.append(number)
        sum(range(500_000))  # long enough for other threads to begin meanwhile
        begun.append(number)

    calls = [workers.submit_in_turn("", 0.0, partial(wait, number), together.wait, PATIENCE) for number in range(4)]
    for call in calls:
        call.result(PATIENCE)
    assert begun == [0, 0, 1, 1, 2, 2, 3, 3]


def test_an_error_of_the_wait_is_the_futures_and_the_call_does_not_run():
    workers, ran = Workers(1, "test"), []
    call = workers.submit_in_turn("", 0.0, lambda: 1 / 0, ran.append, "never")
    with pytest.raises(ZeroDivisionError):
        call.result(PATIENCE)
    assert workers.submit(lambda: 7).result(PATIENCE) == 7
    assert ran == []


class _Asked:
    """What a call is handed."""


def _fail(_: _Asked) -> None:
    raise ZeroDivisionError


@pytest.mark.usefixtures("no_collector")
def test_nothing_of_a_call_that_failed_outlives_its_future(busy):
    workers, free = busy
    asked = _Asked()
    handed = weakref.ref(asked)
    future = workers.submit(_fail, asked)
    del asked
    free.set()
    assert isinstance(future.exception(PATIENCE), ZeroDivisionError)
    workers.submit(int).result(PATIENCE)  # the one thread is done with the call before
    assert handed() is not None
    del future
    assert handed() is None


def test_the_pages_of_the_walk_that_began_first_go_first(busy):
    """Walks that share a key so end one after the other, by their deadlines, and not all at the end."""
    workers, free = busy
    asked = []
    client = SimpleNamespace(
        page=lambda listing, page, _size, _deadline: asked.append((listing.space, page)), wait_for_turn=int
    )
    upstream = SimpleNamespace(workers=workers, client=client, walks=Walks(1))
    old, young = (_fetch_page(upstream, space) for space in load({}, MINIMUM).served)
    pages = [
        fetch(PageQuery(page, 100, oldest_first=False), deadline)
        for page in range(3)
        for fetch, deadline in ((young, 3_700.0), (old, 3_600.0))
    ]
    free.set()
    for page in pages:
        page.result(PATIENCE)
    assert asked == [*(("old", page) for page in range(3)), *(("young", page) for page in range(3))]


class _Interrupting:
    """The numbers of another iterator; a signal comes in the midst of the first one."""

    def __init__(self, numbers):
        self._numbers = numbers
        self._came = False

    def __next__(self):
        if not self._came:
            self._came = True
            signal.raise_signal(signal.SIGUSR1)
        return next(self._numbers)


def _hang(*_):
    raise TimeoutError


def test_a_signals_handler_may_submit_while_the_thread_that_it_interrupts_does(busy):
    workers, free = busy
    by_handler = []
    workers._calls._lanes._order = _Interrupting(workers._calls._lanes._order)
    handlers = {
        signal.SIGUSR1: lambda *_: by_handler.append(workers.submit(lambda: "by the handler")),
        signal.SIGALRM: _hang,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    signal.alarm(PATIENCE)
    try:
        interrupted = workers.submit(lambda: "interrupted")
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)
    free.set()
    assert interrupted.result(PATIENCE) == "interrupted"
    assert by_handler[0].result(PATIENCE) == "by the handler"
