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
from typing import NamedTuple, ParamSpec, TypeVar

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
        return self.submit_in_turn(math.inf, int, function, *args, **kwargs)

    def submit_in_turn(
        self,
        deadline: float,
        wait: Callable[[], object],
        function: Callable[P, T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Future[T]:
        """Queue a call that begins after all more urgent ones have begun.

        Args:
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
        self._calls.put(deadline, call)
        return future


class _Call(NamedTuple):
    """Call in the queue: waits for its turn, and returns whether it still has to run; then runs."""

    begin: Callable[[], bool]
    run: Callable[[], None]


class _Calls:
    """Queue of the calls that wait for a thread; None ends the thread that gets it."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        # Reentrant: a signal handler may submit a call while it interrupts this code.
        self._lock = threading.RLock()
        self._waiting: list[tuple[float, int, _Call | None]] = []
        self._order = count()  # breaks ties of deadlines, as functions cannot be compared
        self._ready: SimpleQueue[None] = SimpleQueue()

    def put(self, deadline: float, call: _Call | None) -> None:
        with self._lock:
            heapq.heappush(self._waiting, (deadline, next(self._order), call))
        self._ready.put(None)

    def next(self) -> _Call | None:
        """Return the most urgent call when it may run."""
        with self._turn:
            call = self._pop()
            while call and not call.begin():
                call = self._pop()
            return call

    def _pop(self) -> _Call | None:
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


def _end(calls: _Calls, threads: int) -> None:
    for _ in range(threads):
        calls.put(math.inf, None)
