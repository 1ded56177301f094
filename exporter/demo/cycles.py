"""Cycles of the demo: what comes and goes, by the wall clock alone."""

from typing import NamedTuple


class Cycle(NamedTuple):
    """Something that is there for a part of each period; periods are counted from the Unix epoch.

    Attributes:
        period: seconds.
        duration: seconds of each period in which it is there.
        start: seconds of the period before it comes.
    """

    period: float
    duration: float
    start: float = 0.0

    def includes(self, now: float) -> bool:
        """Return whether it is there at a time, in seconds since the Unix epoch."""
        return (now - self.start) % self.period < self.duration

    def began(self, now: float) -> float:
        """Return when it came last, or would have come."""
        return now - (now - self.start) % self.period


QUARANTINE = Cycle(period=600.0, duration=360.0)
"""Quarantine of a version in production; for the rest of the time its status is WARN."""

REFUSAL = Cycle(period=600.0, duration=300.0, start=120.0)
"""Violation of a package that was refused."""

PREVIEW = Cycle(period=1800.0, duration=900.0)
"""Project that is added and removed."""

WEAKENING = Cycle(period=1800.0, duration=600.0, start=900.0)
"""Firewall that warns instead of blocking."""
