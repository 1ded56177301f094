"""The snapshot of each space over time: who may start a walk, who waits for it, and how long its result counts.

A space is, at any moment, in one of five states:

- `cold`: there never was a snapshot. A scrape starts a refresh and waits for it.
- `fresh`: the snapshot is younger than the time to live. A scrape is answered at once.
- `due`: it is older, or was read by settings that hold no more. A scrape starts a refresh, and waits only if the last
  walk was short enough.
- `failing`: the last refresh failed; the last good snapshot is still served. A scrape is answered at once.
- `expired`: the last good snapshot is older than it may be served. As `cold`.

After a failure the next refresh has to wait for a back-off. Ages count from the end of a walk.
"""

import random
import threading
import traceback
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial

from exporter.clock import Clock, Stopped
from exporter.harness.errors import REASONS, InternalError, RefreshError, forget_calls
from exporter.inventory.snapshot import Snapshot
from exporter.labels import clean

_FIRST_BACKOFF = 5.0
_LONGEST_BACKOFF = 300.0

Walk = Callable[[], Snapshot]
"""Walks through one space; raises `RefreshError`, or `Stopped` at shutdown or where nobody wants its outcome."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a refresh failed.

    Attributes:
        reason: one of `errors.REASONS`.
        message: what happened, one printable line.
        hint: what the operator can change; empty where there is nothing.
        time: when, monotonic clock, for its age.
        pause: seconds from then until the next refresh may begin.
        traceback: where in the exporter it happened, without the error's own text, which may hold anything; only for a
            fault of its own.
    """

    reason: str
    message: str
    hint: str
    time: float
    pause: float = 0.0
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class SpaceStatus:
    """What is known of one space at one moment.

    Attributes:
        space: the space.
        state: `cold`, `fresh`, `due`, `failing` or `expired`.
        snapshot: what is served; None where there is nothing.
        up: the last refresh that ended succeeded.
        refresh_seconds: how long the last walk took; None before the first one ended.
        failures: refreshes that failed, by reason; every reason is there.
        last_failure: the failure of the last refresh; None if it succeeded or there was none.
    """

    space: str
    state: str
    snapshot: Snapshot | None
    up: bool
    refresh_seconds: float | None
    failures: Mapping[str, int]
    last_failure: Failure | None


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """How often scrapes asked for a space, and how often a fresh snapshot answered them."""

    requests: int
    hits: int


@dataclass(slots=True)
class _Space:
    walk: Walk
    running: Future[None] | None = None
    not_before: float = 0.0
    failures_in_a_row: int = 0
    snapshot: Snapshot | None = None
    good_since: float | None = None
    outdated: bool = False
    refresh_seconds: float | None = None
    failures: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    last_failure: Failure | None = None
    requests: int = 0
    hits: int = 0


class Refresher:
    """Refreshes spaces when scrapes ask for them, one walk of a space at a time."""

    def __init__(
        self,
        walks: Mapping[str, Walk],
        *,
        submit: Callable[[Callable[[str], None], str], Future[None]],
        clock: Clock,
        cache_ttl: float,
        max_stale: float,
        jitter: random.Random,
        tell: Callable[[SpaceStatus], None] = lambda _: None,
    ) -> None:
        """Start with every space cold.

        Args:
            walks: how to walk through each space.
            submit: queues a call for a space on a thread that may be kept busy for the length of a walk.
            clock: where the time comes from.
            cache_ttl: seconds that a snapshot counts as fresh.
            max_stale: seconds that a snapshot is served at all; never less than `cache_ttl`.
            jitter: spreads the back-off after a failure.
            tell: told of a space whenever a refresh ended, or a scrape finds its data expired.
        """
        self._spaces = {name: _Space(walk) for name, walk in walks.items()}
        self._submit = submit
        self._clock = clock
        self._cache_ttl = cache_ttl
        self._max_stale = max_stale
        self._jitter = jitter
        self._tell = tell
        self._lock = threading.Lock()

    def start(self) -> list[Future[None]]:
        """Begin the first refresh of every space, so that there is data before the first scrape."""
        with self._lock:
            for name, space in self._spaces.items():
                self._start_if_due(name, space)
            return [space.running for space in self._spaces.values() if space.running is not None]

    def replace(
        self,
        walks: Mapping[str, Walk],
        *,
        submit: Callable[[Callable[[str], None], str], Future[None]],
        anew: Collection[str],
        again: Collection[str],
        cache_ttl: float,
        max_stale: float,
    ) -> None:
        """Have other spaces from now on; those that stay keep all that is known of them.

        Refreshes of spaces that go, or are named below, still come to their ends, of which no notice is taken.

        Args:
            walks: how to walk through each space.
            submit: as at the start.
            anew: spaces that stay by name only: they are cold again, and just what counters count goes on.
            again: spaces whose data stays but counts as due, however young it is; a refresh begins at once.
            cache_ttl: as at the start.
            max_stale: as at the start.
        """
        with self._lock:
            before = self._spaces
            for space in before.values():
                self._state(space)  # what has expired stays so, for whatever longer time data may be served from now on
            self._submit, self._cache_ttl, self._max_stale = submit, cache_ttl, max_stale
            self._spaces = {
                name: _successor(before.get(name, _Space(walk)), walk, anew=name in anew, again=name in again)
                for name, walk in walks.items()
            }
            for name, space in self._spaces.items():
                if space is not before.get(name):
                    self._start_if_due(name, space)

    def __contains__(self, space: str) -> bool:
        """Return whether it is one of the spaces."""
        return space in self._spaces

    def scrape(self, budget: float, space: str | None = None) -> list[Future[None]]:
        """Begin whatever refresh is due, and return those that are worth waiting for.

        Args:
            budget: seconds that the scrape has.
            space: the one space that it asks for; None for all of them.
        """
        for status in self.statuses(space):
            if status.state == "expired":
                self._tell(status)
        with self._lock:
            joined = [self._scrape_space(name, one, budget) for name, one in self._asked(space)]
            return [refresh for refresh in joined if refresh is not None]

    def statuses(self, space: str | None = None) -> tuple[SpaceStatus, ...]:
        """Return what is known of every space, in the order of the configuration, or of one space."""
        with self._lock:
            return tuple(self._status(name, one) for name, one in self._asked(space))

    def refreshing(self) -> bool:
        """Return whether any refresh runs, or waits for its turn to."""
        with self._lock:
            return any(space.running is not None for space in self._spaces.values())

    def cache_counts(self) -> dict[str, CacheCounts]:
        """Return how often each space was asked for."""
        with self._lock:
            return {name: CacheCounts(space.requests, space.hits) for name, space in self._spaces.items()}

    def all_tried(self) -> bool:
        """Return whether the first refresh of every space has ended, well or not."""
        with self._lock:
            return all(space.refresh_seconds is not None for space in self._spaces.values())

    def _asked(self, space: str | None) -> list[tuple[str, _Space]]:
        return [(name, one) for name, one in self._spaces.items() if space in {None, name}]

    def _scrape_space(self, name: str, space: _Space, budget: float) -> Future[None] | None:
        space.requests += 1
        state = self._state(space)
        if state == "fresh":
            space.hits += 1
            return None
        self._start_if_due(name, space)
        if state in {"cold", "expired"}:
            return space.running
        short = state == "due" and (space.refresh_seconds or 0.0) <= budget
        return space.running if short else None

    def _start_if_due(self, name: str, space: _Space) -> None:
        if space.running is None and self._clock.monotonic() >= space.not_before:
            space.running = self._submit(partial(self._refresh, space), name)

    def _refresh(self, space: _Space, name: str) -> None:
        if self._spaces.get(name) is not space:
            return
        began = self._clock.monotonic()
        where = ""
        try:
            result: Snapshot | RefreshError = space.walk()
        except Stopped:
            with self._lock:
                space.running = None
            return
        except RefreshError as error:
            forget_calls(error)
            result = error
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in one space, the others and the scrape go on
            where = "".join(traceback.format_tb(error.__traceback__))
            forget_calls(error)
            result = InternalError(type(error).__name__)
        with self._lock:
            if self._spaces.get(name) is not space:
                return
            space.running = None
            space.refresh_seconds = self._clock.monotonic() - began
            if isinstance(result, Snapshot):
                self._succeeded(space, result)
            else:
                self._failed(space, result, where)
            status = self._status(name, space)
        self._tell(status)

    def _succeeded(self, space: _Space, snapshot: Snapshot) -> None:
        space.snapshot = snapshot
        space.good_since = self._clock.monotonic()
        space.outdated = False
        space.failures_in_a_row = 0
        space.last_failure = None

    def _failed(self, space: _Space, error: RefreshError, where: str) -> None:
        longest = min(self._cache_ttl, _LONGEST_BACKOFF)
        backoff = min(_FIRST_BACKOFF * 2 ** min(space.failures_in_a_row, 10), longest)
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
        )

    def _status(self, name: str, space: _Space) -> SpaceStatus:
        return SpaceStatus(
            space=name,
            state=self._state(space),
            snapshot=space.snapshot,
            up=space.refresh_seconds is not None and space.last_failure is None,
            refresh_seconds=space.refresh_seconds,
            failures=space.failures,
            last_failure=space.last_failure,
        )

    def _state(self, space: _Space) -> str:
        if space.good_since is None:
            return "cold"
        age = self._clock.monotonic() - space.good_since
        if age >= max(self._cache_ttl, self._max_stale):
            space.snapshot = None
        if space.snapshot is None:
            return "expired"
        if age < self._cache_ttl and not space.outdated:
            return "fresh"
        return "due" if space.last_failure is None else "failing"


def _successor(space: _Space, walk: Walk, *, anew: bool, again: bool) -> _Space:
    """Return what a space goes on as; another object takes no notice of a refresh that runs."""
    if anew:
        return _Space(walk, failures=space.failures, requests=space.requests, hits=space.hits)
    if again:
        return replace(space, walk=walk, running=None, not_before=0.0, outdated=True)
    space.walk = walk
    return space
