"""Cache of the snapshots of spaces: fresh for one time, good enough to serve for another."""

import math
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from cachetools import TLRUCache

T = TypeVar("T")


class _Entry(NamedTuple, Generic[T]):
    snapshot: T
    began: float
    ended: float
    outdated: bool = False


class SnapshotCache(Generic[T]):
    """Two time-aware caches over one timer; not safe to share between threads.

    A snapshot that is in neither of them has expired; nothing else evicts one.
    """

    def __init__(self, timer: Callable[[], float], *, fresh_for: float, served_for: float) -> None:
        """Hold nothing yet.

        Args:
            timer: source of monotonic time.
            fresh_for: seconds that a snapshot counts as fresh, from the start of its walk.
            served_for: seconds that it is served at all, from the end of its walk; `fresh_for` if that is longer.
        """
        self._timer = timer
        self._fresh_for = fresh_for
        self._served_for = served_for
        # The times are attributes, as a reload may change them; it re-inserts what the caches hold.
        # Without the snapshots, which it would keep in memory after they have expired.
        self._fresh: TLRUCache[str, float] = TLRUCache(
            math.inf, lambda _space, began, _now: began + self._fresh_for, timer
        )
        self._served: TLRUCache[str, _Entry[T]] = TLRUCache(
            math.inf, lambda _space, entry, _now: entry.ended + max(self._fresh_for, self._served_for), timer
        )

    def put(self, space: str, snapshot: T, began: float) -> None:
        """Hold a new snapshot of a space in place of the old one.

        Args:
            space: the space.
            snapshot: the snapshot; its walk ends now.
            began: time of the timer when its walk began.
        """
        self._insert(space, _Entry(snapshot, began, self._timer()))

    def get(self, space: str) -> T | None:
        """Return the snapshot to serve; None if there is none, or it has expired."""
        self._served.expire()
        entry = self._held(space)
        return entry.snapshot if entry else None

    def is_fresh(self, space: str) -> bool:
        """Return whether the snapshot of a space is fresh."""
        return space in self._fresh

    def outdate(self, space: str) -> None:
        """Let the snapshot of a space, if there is one, count as fresh no longer."""
        if entry := self._held(space):
            self._insert(space, entry._replace(outdated=True))

    def drop(self, space: str) -> None:
        """Drop the snapshot of a space, if there is one."""
        self._fresh.pop(space, None)
        self._served.pop(space, None)

    def change(self, *, fresh_for: float, served_for: float) -> None:
        """Change the times, also for snapshots that are held; expired ones stay expired.

        Args:
            fresh_for: seconds that a snapshot counts as fresh, from the start of its walk.
            served_for: seconds that it is served at all, from the end of its walk.
        """
        held = [(space, entry) for space in self._served if (entry := self._held(space))]
        self._fresh_for, self._served_for = fresh_for, served_for
        for space, entry in held:
            self._insert(space, entry)

    def _held(self, space: str) -> _Entry[T] | None:
        try:
            return self._served[space]
        except KeyError:
            return None

    def _insert(self, space: str, entry: _Entry[T]) -> None:
        # Dropped first: older releases of cachetools keep the old entry if the new one has already expired.
        self.drop(space)
        self._served[space] = entry
        if not entry.outdated:
            self._fresh[space] = entry.began
