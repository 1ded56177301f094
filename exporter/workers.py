"""A fixed number of threads that never keep the process from ending."""

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """Runs calls on daemon threads, the oldest first.

    The standard library's pool is joined when the interpreter ends, so one call that hangs in the network, in a name
    look-up say, would hold the whole process. Threads that nobody can give another call end after the last one.
    """

    def __init__(self, threads: int, name: str) -> None:
        """Start the threads.

        Args:
            threads: how many calls run at once.
            name: what the threads are called.
        """
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        for number in range(threads):
            threading.Thread(target=_work, args=(self._calls,), name=f"{name}-{number}", daemon=True).start()
        weakref.finalize(self, _end, self._calls, threads).atexit = False

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call; its result or its exception is the future's."""
        future: Future[T] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - it goes to whoever waits for the future
                future.set_exception(error)
            else:
                future.set_result(result)

        self._calls.put(call)
        return future


def _work(calls: SimpleQueue[Callable[[], None] | None]) -> None:
    while call := calls.get():
        call()
        del call  # and with it what it refers to, however long the next one is in coming


def _end(calls: SimpleQueue[Callable[[], None] | None], threads: int) -> None:
    for _ in range(threads):
        calls.put(None)
