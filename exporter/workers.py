"""Threads that do not delay the exit of the process: a pool, and one that repeats a call."""

import heapq
import math
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from itertools import count
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

from exporter.clock import Clock, Stopped

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """Pool of daemon threads that runs the most urgent call first, and the oldest one of equally urgent calls.

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
        weakref.finalize(self, _end, self._calls, threads).atexit = False

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call that is not urgent; the future gets its result or exception."""
        return self.submit_by(math.inf, function, *args, **kwargs)

    def submit_by(self, deadline: float, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call that runs before those with a later deadline; the call must enforce the deadline itself."""
        future: Future[T] = Future()
        self._calls.put(deadline, partial(_call, future, partial(function, *args, **kwargs)))
        return future


class _Calls:
    """Queue of the calls that wait for a thread; None ends the thread that gets it."""

    def __init__(self) -> None:
        # Reentrant: a signal handler may submit a call while it interrupts this code.
        self._lock = threading.RLock()
        self._waiting: list[tuple[float, int, Callable[[], None] | None]] = []
        self._order = count()  # breaks ties of deadlines, as functions cannot be compared
        self._ready: SimpleQueue[None] = SimpleQueue()

    def put(self, deadline: float, call: Callable[[], None] | None) -> None:
        with self._lock:
            heapq.heappush(self._waiting, (deadline, next(self._order), call))
        self._ready.put(None)

    def get(self) -> Callable[[], None] | None:
        self._ready.get()
        with self._lock:
            return heapq.heappop(self._waiting)[-1]


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
    while call := calls.get():
        call()
        del call  # frees the objects that it refers to, as the next call may come much later


def _call(future: Future[T], function: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001 - raised again where the future is awaited
        future.set_exception(error)
        del future  # breaks the cycle of future, error and this frame, which only the garbage collector would free
    else:
        future.set_result(result)


def _end(calls: _Calls, threads: int) -> None:
    for _ in range(threads):
        calls.put(math.inf, None)
