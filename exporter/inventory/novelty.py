"""Novelty of findings: those that the snapshot before did not have count as new for an hour."""

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

_NEW_FOR = 3_600.0


class FirstSeen(NamedTuple):
    """Times at which the findings of a snapshot were first seen, including findings over the limit.

    Arrays, because a finding takes 16 bytes in them, and more than a hundred in a dictionary.

    Attributes:
        wanted: the kinds of findings that were looked for.
        identities: the findings, sorted.
        times: their times in the same order, monotonic clock; minus infinity for those of the first snapshot.
    """

    wanted: tuple[str, ...]
    identities: "array[int]"
    times: "array[float]"

    def of(self, identity: int) -> float | None:
        """Return the time of a finding; None if the snapshot did not have it."""
        place = bisect_left(self.identities, identity)
        found = place < len(self.identities) and self.identities[place] == identity
        return self.times[place] if found else None


class Novelty:
    """Comparison of findings with those of the last snapshot."""

    def __init__(self, wanted: Iterable[str], before: FirstSeen | None, now: float) -> None:
        """Compare with a snapshot; nothing is new if there is none, or it was made for other kinds of findings.

        Args:
            wanted: the kinds of findings that are looked for.
            before: the findings of the last snapshot; None if there is none.
            now: the monotonic clock's time.
        """
        self._wanted = tuple(wanted)
        self._before = before if before and before.wanted == self._wanted else None
        self._now = now

    def is_new(self, identity: int) -> bool:
        """Return whether a finding is new."""
        return self._now - self._first_seen(identity) < _NEW_FOR

    def first_seen(self, identities: Iterable[int]) -> FirstSeen:
        """Return when all findings were first seen, for the next snapshot."""
        ordered = array("q", sorted(identities))
        return FirstSeen(self._wanted, ordered, array("d", map(self._first_seen, ordered)))

    def _first_seen(self, identity: int) -> float:
        if self._before is None:
            return -math.inf
        known = self._before.of(identity)
        return self._now if known is None else known
