"""A fixed number of threads that never keep the process from ending."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """Runs calls on daemon threads, the oldest first.

    The standard library's pool is joined when the interpreter ends, so one call that hangs in the network, in a name
    look-up say, would hold the whole process.
    """

    def __init__(self, threads: int, name: str) -> None:
        """Start the threads.

        Args:
            threads: how many calls run at once.
            name: what the threads are called.
        """
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        for number in range(threads):
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True).start()

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

    def _run(self) -> None:
        while True:
            self._calls.get()()
