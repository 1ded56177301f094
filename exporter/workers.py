"""Threads that do not delay the exit of the process: a pool and its queue, and one that repeats a call."""

import heapq
import math
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from itertools import count
from queue import SimpleQueue
from typing import Generic, NamedTuple, ParamSpec, TypeVar

from exporter.clock import Clock, Stopped

P = ParamSpec("P")
T = TypeVar("T")


class Lanes(Generic[T]):
    """Queue of several lanes, which take turns while more than one has items; not safe to share between threads.

    In a lane the most urgent item is first, and the oldest one of equally urgent items.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._waiting: dict[str, list[tuple[float, int, T]]] = {}
        self._order = count(1)  # breaks ties of deadlines, as functions cannot be compared
        self._served: Counter[str] = Counter()  # when each lane had its last turn

    def put(self, lane: str, deadline: float, item: T) -> None:
        """Add an item.

        Args:
            lane: name of the lane; a lane exists once it has an item.
            deadline: items with an earlier one are more urgent.
            item: the item.
        """
        heapq.heappush(self._waiting.setdefault(lane, []), (deadline, next(self._order), item))

    def take(self, closed: Collection[str] = ()) -> T | None:
        """Remove and return the first item of the lane whose last turn is the longest ago; None if there is none.

        Args:
            closed: lanes whose items stay.
        """
        lanes = [lane for lane, items in self._waiting.items() if items and lane not in closed]
        if not lanes:
            return None
        lane = min(lanes, key=self._served.__getitem__)
        self._served[lane] = next(self._order)
        return heapq.heappop(self._waiting[lane])[-1]


class Workers:
    """Pool of daemon threads; calls wait in lanes that take turns, and in a lane the most urgent one is first.

    When the pool is garbage-collected, its threads end after the calls that are queued.
    """

    # The standard library's pool joins its threads when the interpreter exits: a call that hangs in the network, for
    # example in a name look-up, would block the exit.

    def __init__(self, threads: int, name: str) -> None:
        """Start the threads.

        Args:
            threads: number of calls that run at the same time.
            name: prefix of the names of the threads.
        """
        # The threads refer to the queue only: a reference to the pool would keep it alive forever.
        self._calls = _Calls()
        for number in range(threads):
            threading.Thread(target=_work, args=(self._calls,), name=f"{name}-{number}", daemon=True).start()
        weakref.finalize(self, self._calls.end, threads).atexit = False

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call that is not urgent; the future gets its result or exception."""
        return self.submit_in_turn("", math.inf, int, function, *args, **kwargs)

    def submit_in_turn(
        self,
        lane: str,
        deadline: float,
        wait: Callable[[], object],
        function: Callable[P, T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Future[T]:
        """Queue a call that begins after all more urgent ones of its lane have begun.

        Args:
            lane: name of the lane; calls that wait in other lanes delay this one by a turn each.
            deadline: calls with an earlier one are more urgent; the call must enforce it itself.
            wait: returns when the call may begin; no other call of the pool begins meanwhile.
            function: the call.
            args: its arguments.
            kwargs: its keyword arguments.

        Returns:
            The future of its result, or of the exception of either function.
        """
        future: Future[T] = Future()
        call = _Call(partial(_begin, future, wait), partial(_run, future, partial(function, *args, **kwargs)))
        self._calls.put(lane, deadline, call)
        return future


class _Call(NamedTuple):
    """Call in the queue: waits for its turn, and returns whether it still has to run; then runs."""

    begin: Callable[[], bool]
    run: Callable[[], None]


class _Calls:
    """Queue of the calls that wait for a thread."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        # Reentrant: a signal handler may submit a call while it interrupts this code.
        self._lock = threading.RLock()
        self._lanes: Lanes[_Call] = Lanes()
        self._ready: SimpleQueue[None] = SimpleQueue()

    def put(self, lane: str, deadline: float, call: _Call) -> None:
        with self._lock:
            self._lanes.put(lane, deadline, call)
        self._ready.put(None)

    def end(self, threads: int) -> None:
        """Let so many threads get None once no call waits."""
        for _ in range(threads):
            self._ready.put(None)

    def next(self) -> _Call | None:
        """Return the most urgent call when it may run."""
        while True:
            self._ready.get()
            with self._turn:
                with self._lock:
                    call = self._lanes.take()
                if call is None or call.begin():
                    return call


def repeat(call: Callable[[], object], seconds: float, clock: Clock, *, name: str) -> None:
    """Call a function again and again, on a thread of its own, until the process shuts down.

    Args:
        call: the function.
        seconds: the wait before each call.
        clock: source of time.
        name: name of the thread.
    """
    threading.Thread(target=_repeat, args=(call, seconds, clock), name=name, daemon=True).start()


def _repeat(call: Callable[[], object], seconds: float, clock: Clock) -> None:
    with suppress(Stopped):
        while True:
            clock.wait(seconds)
            call()


def _work(calls: _Calls) -> None:
    while call := calls.next():
        call.run()
        del call  # frees the objects that it refers to, as the next call may come much later


def _begin(future: Future[T], wait: Callable[[], object]) -> bool:
    if not future.set_running_or_notify_cancel():
        return False
    try:
        wait()
    except BaseException as error:  # noqa: BLE001 - raised again where the future is awaited
        future.set_exception(error)
        del future  # as below
        return False
    return True


def _run(future: Future[T], function: Callable[[], T]) -> None:
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001 - raised again where the future is awaited
        future.set_exception(error)
        del future  # breaks the cycle of future, error and this frame, which only the garbage collector would free
    else:
        future.set_result(result)
