"""What the log tells of spaces: one line for each change of a space, and not one more while nothing changes."""

import math
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from cachetools import LRUCache

from exporter.clock import Clock
from exporter.inventory.refresh import Failure, SpaceStatus
from exporter.inventory.snapshot import Snapshot

_log = structlog.get_logger()

_TELL_AGAIN = 600.0


@dataclass(frozen=True, slots=True)
class _Told:
    """What was told of a space: that it is well, that its data expired, and when each reason was told since then."""

    well: bool = False
    expired: bool = False
    reasons: Mapping[str, float] = field(default_factory=dict)


class Journal:
    """Logs what becomes of spaces; safe to share between threads.

    A failure is told when the space was up or its reason was not told in the last ten minutes.
    """

    def __init__(self, clock: Clock, spaces: float = math.inf) -> None:
        """Start with nothing told.

        Args:
            clock: where the time comes from.
            spaces: how many spaces it remembers; those that it was told of last.
        """
        self._clock = clock
        self._lock = threading.Lock()
        self._told: LRUCache[str, _Told] = LRUCache(spaces)

    def tell(self, status: SpaceStatus) -> None:
        """Log what is new about a space, if anything is.

        Args:
            status: the space after a refresh ended, or when a scrape found its data expired.
        """
        well = status.up and status.snapshot is not None
        expired = status.state == "expired"
        with self._lock:
            told = self._told.get(status.space, _Told())
            reasons = {} if well else self._with_failure(told.reasons, status.last_failure)
            self._told[status.space] = _Told(well, expired, reasons)
        # Outside the lock: whoever reads the log may be slow.
        if status.last_failure and reasons != told.reasons:
            _log.warning("refresh failed", space=status.space, **_of_failure(status.last_failure), **_duration(status))
        if expired and not told.expired:
            _log.warning("data is too old to be served", space=status.space)
        if well and not told.well and status.snapshot:
            _log.info("space is up", space=status.space, **_of_snapshot(status.snapshot), **_duration(status))

    def forget(self, spaces: Iterable[str]) -> None:
        """Take spaces for new ones from now on."""
        with self._lock:
            for space in spaces:
                self._told.pop(space, None)

    def _with_failure(self, reasons: Mapping[str, float], failure: Failure | None) -> Mapping[str, float]:
        """Note the time of a failure that is news."""
        now = self._clock.monotonic()
        if failure is None or now - reasons.get(failure.reason, -math.inf) < _TELL_AGAIN:
            return reasons
        return {**reasons, failure.reason: now}


def _of_failure(failure: Failure) -> Mapping[str, Any]:
    optional = {"hint": failure.hint, "exception": failure.traceback}
    return {
        "reason": failure.reason,
        "problem": failure.message,
        **{name: text for name, text in optional.items() if text},
        "next_try_in": round(failure.pause, 1),
    }


def _of_snapshot(snapshot: Snapshot) -> Mapping[str, Any]:
    return {
        "artifacts": snapshot.inventory.artifacts,
        "findings": len(snapshot.inventory.findings),
        "pages": snapshot.pages,
        "complete": snapshot.complete,
    }


def _duration(status: SpaceStatus) -> Mapping[str, Any]:
    return {"duration": round(status.refresh_seconds or 0.0, 3)}
