"""Journal of spaces in the log: one line per change, and none while nothing changes."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Generic, TypeVar

import structlog

from exporter.clock import Clock
from exporter.inventory.refresh import Failure, Status
from exporter.inventory.snapshot import Snapshot
from exporter.labels import clean
from exporter.log import LoggedStates

_log = structlog.get_logger()

_REPEAT_AFTER = 600.0

T = TypeVar("T")


class Journal(Generic[T]):
    """Logs the changes of spaces; safe to share between threads.

    A failure is logged if the space was up before, or if its reason was not logged for some time.
    """

    def __init__(
        self,
        clock: Clock,
        facts: Callable[[T], Mapping[str, Any]],
        *,
        spaces: float = math.inf,
        repeat_after: float = _REPEAT_AFTER,
        source: str = "",
    ) -> None:
        """Start with nothing logged.

        Args:
            clock: source of time.
            facts: returns what to log of new data.
            spaces: how many spaces are remembered; the least recently used ones are forgotten first.
            repeat_after: seconds after which a failure for the same reason is logged again.
            source: what is read of the spaces; empty for artifacts.
        """
        self._facts = facts
        self._source = {"source": source} if source else {}
        self._states = LoggedStates(subjects=spaces)
        self._failures = LoggedStates(clock, repeat_after=repeat_after, subjects=spaces)

    def record(self, status: Status[T]) -> None:
        """Log what is new about a space, if anything is.

        Args:
            status: the space after a refresh ended, or when a scrape found its data expired.
        """
        space, snapshot, failure = status.space, status.snapshot, status.last_failure
        # After a reload with a shorter max_stale a space may be up without data.
        up = status.up and snapshot is not None
        expired = status.state == "expired"
        # The next failure is news, even with the same reason.
        if up:
            self._failures.forget(space)
        elif failure and self._failures.is_new(space, failure.reason):
            _log.warning("refresh failed", space=space, **self._source, **_failure_fields(failure), **_duration(status))
        # Asked even if it is not expired, so that the end of this state is remembered.
        if self._states.is_new(space, "expired", expired) and expired:
            _log.warning("data is too old to be served", space=space, **self._source)
        if self._states.is_new(space, "up", up) and snapshot and up:
            kind = "source" if self._source else "space"
            _log.info(f"{kind} is up", space=space, **self._source, **self._facts(snapshot), **_duration(status))

    def record_registries(self, space: str, configured: Collection[str], snapshot: Snapshot) -> None:
        """Log the configured registries of a space that are not listed, if they changed.

        The API returns an empty page for an unknown registry, not an error. A snapshot does not name the registries
        over the limit, so that nothing is known if there are any.
        """
        if snapshot.inventory.registries_dropped:
            return
        listed = {key.registry for key in snapshot.inventory.registries}
        missing = tuple(sorted(set(map(clean, configured)) - listed))
        if self._states.is_new(space, "missing", missing) and missing:
            _log.warning("configured registries are not listed", space=space, registries=",".join(missing))

    def forget(self, spaces: Iterable[str]) -> None:
        """Treat spaces as new from now on."""
        for space in spaces:
            self._states.forget(space)
            self._failures.forget(space)


def _failure_fields(failure: Failure) -> Mapping[str, Any]:
    optional = {"hint": failure.hint, "exception": failure.traceback}
    return {
        "reason": failure.reason,
        "problem": failure.message,
        **{name: text for name, text in optional.items() if text},
        "next_try_in": round(failure.pause, 1),
    }


def facts_of(snapshot: Snapshot) -> Mapping[str, Any]:
    """Return what to log of a snapshot."""
    return {
        "artifacts": snapshot.inventory.artifacts,
        "findings": len(snapshot.inventory.findings),
        "pages": snapshot.pages,
        "complete": snapshot.complete,
    }


def _duration(status: Status[Any]) -> Mapping[str, Any]:
    return {"duration": round(status.refresh_seconds or 0.0, 3)}
