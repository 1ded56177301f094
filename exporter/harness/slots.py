"""How many requests the process may have in flight."""

import threading


class Slots:
    """Lets so many requests be in flight at once; the number may change meanwhile."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._changed = threading.Condition()

    def acquire(self, timeout: float) -> bool:
        """Take a slot, and return whether there was one.

        Args:
            timeout: seconds to wait for one at most.
        """
        with self._changed:
            free = self._changed.wait_for(lambda: self._taken < self._limit, timeout)
            self._taken += free
            return free

    def release(self) -> None:
        """Give a slot back."""
        with self._changed:
            self._taken -= 1
            self._changed.notify()

    def limit(self, limit: int) -> None:
        """Have so many slots from now on; what is in flight beyond them comes to its end."""
        with self._changed:
            self._limit = limit
            self._changed.notify_all()
