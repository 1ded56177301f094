"""A fixed number of threads that never keep the process from ending."""

import heapq
import math
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from itertools import count
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """Runs calls on daemon threads, the most urgent first, and of these the oldest.

    The standard library's pool is joined when the interpreter ends, so one call that hangs in the network, in a name
    look-up say, would hold the whole process. Threads that nobody can give another call end after the last one.
    """

    def __init__(self, threads: int, name: str) -> None:
        """Start the threads.

        Args:
            threads: how many calls run at once.
            name: what the threads are called.
        """
        self._calls = _Calls()
        for number in range(threads):
            threading.Thread(target=_work, args=(self._calls,), name=f"{name}-{number}", daemon=True).start()
        weakref.finalize(self, _end, self._calls, threads).atexit = False

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call that has time; its result or its exception is the future's."""
        return self.submit_by(math.inf, function, *args, **kwargs)

    def submit_by(self, deadline: float, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call that goes before those with a later deadline; to keep it is the call's own affair."""
        future: Future[T] = Future()
        self._calls.put(deadline, partial(_call, future, partial(function, *args, **kwargs)))
        return future


class _Calls:
    """Calls that wait for a thread; None asks it to end."""

    def __init__(self) -> None:
        # Reentrant: a signal's handler may submit while the thread that it interrupts does.
        self._lock = threading.RLock()
        self._waiting: list[tuple[float, int, Callable[[], None] | None]] = []
        self._order = count()
        self._ready: SimpleQueue[None] = SimpleQueue()

    def put(self, deadline: float, call: Callable[[], None] | None) -> None:
        with self._lock:
            heapq.heappush(self._waiting, (deadline, next(self._order), call))
        self._ready.put(None)

    def get(self) -> Callable[[], None] | None:
        self._ready.get()
        with self._lock:
            return heapq.heappop(self._waiting)[-1]


def _work(calls: _Calls) -> None:
    while call := calls.get():
        call()
        del call  # and with it what it refers to, however long the next one is in coming


def _call(future: Future[T], function: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001 - it goes to whoever waits for the future
        future.set_exception(error)
        del future  # the error refers to this frame: all would live until the garbage collector comes by
    else:
        future.set_result(result)


def _end(calls: _Calls, threads: int) -> None:
    for _ in range(threads):
        calls.put(math.inf, None)
