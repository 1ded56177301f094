"""Refresher whose walks run when the test says so."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from exporter.harness.envelope import Rejected
from exporter.inventory.refresh import Refresher, SpaceStatus, Walk
from exporter.inventory.snapshot import Inventory, Snapshot
from tests.support.clocks import FakeClock

TTL = 300.0
MAX_STALE = 3_600.0


def snapshot(began: float = 0.0) -> Snapshot:
    inventory = Inventory(registries={}, findings=(), findings_dropped=0, artifacts=7)
    return Snapshot(
        began, began, inventory, pages=1, page_size=100, duplicates=0, rejected=Rejected(), reported=7, complete=True
    )


class Walks:
    """Runs refreshes when the test says so, and lets it choose how each ends."""

    def __init__(self, *spaces: str, cache_ttl: float = TTL, max_stale: float = MAX_STALE) -> None:
        self.clock = FakeClock()
        self.queue: list[tuple[Future[None], Callable[[], None]]] = []
        self.outcome: Snapshot | Exception = snapshot()
        self.takes = 2.0
        self.meanwhile: Callable[[], None] = lambda: None
        self.queued: list[str] = []
        self.walked: list[str] = []
        self.events: list[threading.Event] = []
        self.lasts: list[Snapshot | None] = []
        self.told: list[SpaceStatus] = []
        self.refresher = Refresher(
            self._walks(*spaces or ("acct",)),
            submit=self._submit,
            clock=self.clock,
            cache_ttl=cache_ttl,
            max_stale=max_stale,
            jitter=random.Random(1),
            on_refresh=self.told.append,
        )

    def _walks(self, *spaces: str) -> dict[str, Walk]:
        return {space: partial(self._walk, space) for space in spaces}

    def _submit(self, refresh: Callable[[str], None], space: str) -> Future[None]:
        future: Future[None] = Future()
        self.queued.append(space)
        self.queue.append((future, partial(refresh, space)))
        return future

    def reload(self, *spaces: str, reset=(), outdated=(), cache_ttl: float = TTL, max_stale: float = MAX_STALE) -> None:
        """Have these spaces from now on."""
        self.refresher.reload(
            self._walks(*spaces),
            submit=self._submit,
            reset=reset,
            outdated=outdated,
            cache_ttl=cache_ttl,
            max_stale=max_stale,
        )

    def _walk(self, space: str, cancelled: threading.Event, last: Snapshot | None) -> Snapshot:
        self.walked.append(space)
        self.lasts.append(last)
        self.events.append(cancelled)
        self.clock.tick(self.takes)
        self.meanwhile()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def finish(self, outcome: Snapshot | Exception | None = None, which: int = 0) -> None:
        """Let the oldest queued refresh, or another one, run to its end."""
        self.outcome = outcome or snapshot(self.clock.time())
        future, refresh = self.queue.pop(which)
        refresh()
        future.set_result(None)

    def scrape(self, budget: float = 10.0) -> list[Future[None]]:
        return self.refresher.scrape(budget)

    @property
    def status(self):
        return self.refresher.statuses()[0]
