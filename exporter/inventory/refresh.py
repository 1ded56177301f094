"""Refreshes of spaces, which scrapes start and share.

A space is in one of five states:

- `cold`: there was never a snapshot. A scrape starts a refresh and waits for it.
- `fresh`: the snapshot is younger than `cache_ttl`. A scrape is answered immediately.
- `due`: the snapshot is older, or outdated by a reload. A scrape starts a refresh, and waits only if the last walk was
  short enough.
- `failing`: the last refresh failed, and the last good snapshot is served. A scrape is answered immediately.
- `expired`: the last good snapshot is too old to be served. A scrape behaves as in `cold`.

A snapshot is fresh for a time that counts from the start of its walk, and is served for one that counts from its end.
After a failure the next refresh waits for a back-off.
"""

import random
import threading
import traceback
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Generic, TypeVar

from exporter.clock import Clock, Stopped
from exporter.harness.errors import REASONS, InternalError, RefreshError, forget_calls
from exporter.inventory.cache import SnapshotCache
from exporter.inventory.snapshot import Snapshot
from exporter.labels import clean

_FIRST_BACKOFF = 5.0
_LONGEST_BACKOFF = 300.0

T = TypeVar("T")

Read = Callable[[threading.Event, T | None], T]
"""Function that reads one space, until the event is set; it may compare what it reads with what it returned last.

Raises `RefreshError`, or `Stopped` if it was cancelled.
"""

Submit = Callable[[Callable[[str], None], str], Future[None]]
"""Queues a call for a space on a thread that a whole read may occupy."""

Walk = Read[Snapshot]
"""Function that reads the artifacts of one space."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Failure of a refresh.

    Attributes:
        reason: one of `errors.REASONS`.
        message: the error as one printable line.
        hint: what the operator can change; may be empty.
        status: the HTTP status of the response; None without a response.
        time: time of the failure, monotonic clock, for its age.
        pause: seconds from then until the next refresh may start.
        traceback: stack of a bug in the exporter, without the text of the exception; empty for other failures.
    """

    reason: str
    message: str
    hint: str
    time: float
    pause: float = 0.0
    traceback: str = ""
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Status(Generic[T]):
    """Status of one space at one moment.

    Attributes:
        space: the space.
        state: `cold`, `fresh`, `due`, `failing` or `expired`.
        snapshot: the snapshot that is served; None if there is none.
        up: whether the last refresh that ended succeeded.
        refresh_seconds: duration of the last walk; None before the first one ended.
        failures: failed refreshes by reason; every reason is present.
        last_failure: the failure of the last refresh; None if it succeeded or there was none.
    """

    space: str
    state: str
    snapshot: T | None
    up: bool
    refresh_seconds: float | None
    failures: Mapping[str, int]
    last_failure: Failure | None


SpaceStatus = Status[Snapshot]
"""Status of the artifacts of one space."""


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """Numbers of scrapes of a space, and of those that a fresh snapshot answered."""

    requests: int
    hits: int


@dataclass(slots=True)
class _Space(Generic[T]):
    walk: Read[T]
    cancelled: threading.Event = field(default_factory=threading.Event)
    running: Future[None] | None = None
    not_before: float = 0.0
    failures_in_a_row: int = 0
    was_good: bool = False
    refresh_seconds: float | None = None
    failures: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    last_failure: Failure | None = None
    requests: int = 0
    hits: int = 0


class Refresher(Generic[T]):
    """Refreshes spaces when scrapes ask for them, one walk per space at a time; safe to share between threads."""

    def __init__(
        self,
        walks: Mapping[str, Read[T]],
        *,
        submit: Submit,
        clock: Clock,
        cache_ttl: float,
        max_stale: float,
        jitter: random.Random,
        on_refresh: Callable[[Status[T]], None] = lambda _: None,
    ) -> None:
        """Start with every space cold.

        Args:
            walks: the walk of each space.
            submit: queues a call for a space on a thread that a whole walk may occupy.
            clock: source of time.
            cache_ttl: seconds that a snapshot counts as fresh, from the start of its walk.
            max_stale: seconds that it is served at all, from the end of its walk; `cache_ttl` if that is longer.
            jitter: spreads the back-off after a failure.
            on_refresh: called with a space after each refresh, and when a scrape finds its data expired.
        """
        self._spaces = {name: _Space(walk) for name, walk in walks.items()}
        self._submit = submit
        self._clock = clock
        self._cache = SnapshotCache[T](clock.monotonic, fresh_for=cache_ttl, served_for=max_stale)
        self._jitter = jitter
        self._on_refresh = on_refresh
        self._lock = threading.Lock()

    def start(self) -> list[Future[None]]:
        """Start the first refresh of every space, so that there is data before the first scrape."""
        with self._lock:
            for name, space in self._spaces.items():
                if space.refresh_seconds is None:
                    self._start_if_due(name, space)
            return [space.running for space in self._spaces.values() if space.running is not None]

    def reload(
        self,
        walks: Mapping[str, Read[T]],
        *,
        submit: Submit,
        reset: Collection[str],
        outdated: Collection[str],
        cache_ttl: float,
        max_stale: float,
    ) -> None:
        """Change the spaces; those that stay keep their data and their counters.

        Refreshes of spaces that are removed or named below are cancelled.

        Args:
            walks: the walk of each space.
            submit: queues a call for a space.
            reset: spaces that start cold; only their counters continue.
            outdated: spaces whose data stays but is due regardless of its age; a refresh starts immediately.
            cache_ttl: seconds that a snapshot counts as fresh, from the start of its walk.
            max_stale: seconds that it is served at all, from the end of its walk.
        """
        with self._lock:
            before = self._spaces
            self._submit = submit
            self._cache.change(fresh_for=cache_ttl, served_for=max_stale)
            self._spaces = {
                name: _successor(before.get(name, _Space(walk)), walk, reset=name in reset, outdated=name in outdated)
                for name, walk in walks.items()
            }
            for name, space in before.items():
                if space is not self._spaces.get(name):
                    space.cancelled.set()
                    if name in self._spaces and name in outdated:
                        self._cache.outdate(name)
                    else:
                        self._cache.drop(name)
            for name, space in self._spaces.items():
                if space is not before.get(name):
                    self._start_if_due(name, space)

    def drop_data(self) -> None:
        """Drop the snapshots; failures and their back-offs stay."""
        with self._lock:
            for name, space in self._spaces.items():
                self._cache.drop(name)
                space.was_good = False

    def cancel(self) -> None:
        """Cancel all refreshes; only for a refresher that is dropped."""
        with self._lock:
            for space in self._spaces.values():
                space.cancelled.set()

    def __contains__(self, space: str) -> bool:
        """Return whether a space belongs to this refresher."""
        return space in self._spaces

    def scrape(self, budget: float, space: str | None = None) -> list[Future[None]]:
        """Start every refresh that is due, and return those that the scrape should wait for.

        Args:
            budget: seconds that the scrape has.
            space: the only space of the scrape; None for all.
        """
        # Without the lock: the callback writes to the log, which may block.
        for status in self.statuses(space):
            if status.state == "expired":
                self._on_refresh(status)
        with self._lock:
            joined = [self._scrape_space(name, one, budget) for name, one in self._asked(space)]
            return [refresh for refresh in joined if refresh is not None]

    def statuses(self, space: str | None = None) -> tuple[Status[T], ...]:
        """Return the status of every space, in the configured order, or of one space."""
        with self._lock:
            return tuple(self._status(name, one) for name, one in self._asked(space))

    def refreshing(self) -> bool:
        """Return whether any refresh runs or is queued."""
        with self._lock:
            return any(space.running is not None for space in self._spaces.values())

    def cache_counts(self) -> dict[str, CacheCounts]:
        """Return the cache counts of each space."""
        with self._lock:
            return {name: CacheCounts(space.requests, space.hits) for name, space in self._spaces.items()}

    def all_tried(self) -> bool:
        """Return whether the first refresh of every space has ended, successful or not."""
        with self._lock:
            return all(space.refresh_seconds is not None for space in self._spaces.values())

    def _asked(self, space: str | None) -> list[tuple[str, _Space[T]]]:
        if space is None:
            return [*self._spaces.items()]
        return [(space, self._spaces[space])] if space in self._spaces else []

    def _scrape_space(self, name: str, space: _Space[T], budget: float) -> Future[None] | None:
        space.requests += 1
        state = self._state(name, space, self._cache.get(name))
        if state == "fresh":
            space.hits += 1
            return None
        self._start_if_due(name, space)
        if state in {"cold", "expired"}:
            return space.running
        # Waiting for a walk that takes longer than the budget would delay the scrape without newer data.
        short = state == "due" and (space.refresh_seconds or 0.0) <= budget
        return space.running if short else None

    def _start_if_due(self, name: str, space: _Space[T]) -> None:
        if space.running is None and self._clock.monotonic() >= space.not_before:
            space.running = self._submit(partial(self._refresh, space), name)

    def _refresh(self, space: _Space[T], name: str) -> None:
        if space.cancelled.is_set():
            return
        with self._lock:
            last = self._cache.get(name)
        began = self._clock.monotonic()
        where = ""
        try:
            result: T | RefreshError = space.walk(space.cancelled, last)
        except Stopped:
            with self._lock:
                space.running = None
            return
        except RefreshError as error:
            forget_calls(error)
            result = error
        except Exception as error:  # noqa: BLE001 - a bug in one space must not stop the others or the scrape
            # The stack only: the text of the exception may contain anything, including the key.
            where = "".join(traceback.format_tb(error.__traceback__))
            forget_calls(error)
            result = InternalError(type(error).__name__)
        with self._lock:
            # A reload has replaced or removed the space while it was read: the result belongs to old settings.
            if space.cancelled.is_set():
                return
            space.running = None
            space.refresh_seconds = self._clock.monotonic() - began
            if isinstance(result, RefreshError):
                self._failed(space, result, where)
            else:
                self._succeeded(name, space, result, began)
            status = self._status(name, space)
        self._on_refresh(status)

    def _succeeded(self, name: str, space: _Space[T], snapshot: T, began: float) -> None:
        self._cache.put(name, snapshot, began)
        space.was_good = True
        space.failures_in_a_row = 0
        space.last_failure = None

    def _failed(self, space: _Space[T], error: RefreshError, where: str) -> None:
        # Beyond 2 ** 10 every back-off is the longest one, and a huge power would overflow a float.
        backoff = min(_FIRST_BACKOFF * 2 ** min(space.failures_in_a_row, 10), _LONGEST_BACKOFF)
        # The jitter keeps spaces that failed together from being read together again.
        pause = max(backoff * self._jitter.uniform(0.5, 1), error.retry_after or 0.0)
        space.failures_in_a_row += 1
        space.not_before = self._clock.monotonic() + pause
        space.failures = {**space.failures, error.reason: space.failures[error.reason] + 1}
        space.last_failure = Failure(
            reason=error.reason,
            message=clean(str(error)),
            hint=error.hint,
            time=self._clock.monotonic(),
            pause=pause,
            traceback=where,
            status=error.status,
        )

    def _status(self, name: str, space: _Space[T]) -> Status[T]:
        snapshot = self._cache.get(name)
        return Status(
            space=name,
            state=self._state(name, space, snapshot),
            snapshot=snapshot,
            up=space.refresh_seconds is not None and space.last_failure is None,
            refresh_seconds=space.refresh_seconds,
            failures=space.failures,
            last_failure=space.last_failure,
        )

    def _state(self, name: str, space: _Space[T], snapshot: T | None) -> str:
        if snapshot is None:
            return "expired" if space.was_good else "cold"
        if self._cache.is_fresh(name):
            return "fresh"
        return "due" if space.last_failure is None else "failing"


SpaceRefresher = Refresher[Snapshot]
"""Refreshes the artifacts of spaces."""


def _successor(space: _Space[T], walk: Read[T], *, reset: bool, outdated: bool) -> _Space[T]:
    """Return a space as it continues after a reload; a new object ignores the refresh that runs."""
    if reset:
        return _Space(walk, failures=space.failures, requests=space.requests, hits=space.hits)
    if outdated:
        return replace(space, walk=walk, cancelled=threading.Event(), running=None, not_before=0.0)
    space.walk = walk
    return space
