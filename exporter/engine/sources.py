"""Sources: the registries and violations of the entries of `spaces`, refreshed in the same states as artifacts.

The spaces below an entry that ends in `/**` are those that its registries name.
"""

import math
import random
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, wait
from dataclasses import replace
from typing import Any, TypeVar

from exporter.clock import Clock, Stopped
from exporter.config.settings import OnReload, Settings
from exporter.config.spaces import Space
from exporter.engine.clients import Clients
from exporter.engine.discovery import Discovery
from exporter.engine.entries import FIREWALL_MODES_TTL, Dated, Entries, is_unavailable
from exporter.engine.listed import Lists
from exporter.harness.errors import error_of
from exporter.inventory.firewall import FirewallModes
from exporter.inventory.journal import Journal
from exporter.inventory.refresh import Read, Refresher, Status, Submit
from exporter.inventory.registries import Registries
from exporter.inventory.sources import Reading
from exporter.inventory.violations import Violations
from exporter.labels import REGISTRIES, VIOLATIONS
from exporter.metrics.source_families import SourceView

_MODES = "firewall-modes"

T = TypeVar("T")


class Sources:
    """Registries and violations of all entries; safe to share between threads.

    Attributes:
        discovery: the spaces that the registries name; while reads fail, those that were found last.
    """

    def __init__(
        self,
        settings: Settings,
        clients: Clients,
        clock: Clock,
        *,
        on_found: Callable[[], None],
        on_tried: Callable[[], object],
        logged: bool = True,
    ) -> None:
        """Read nothing yet.

        Args:
            settings: valid settings.
            clients: the clients of all servers and keys.
            clock: source of time.
            on_found: called when other spaces were found below an entry than before.
            on_tried: called after each read of registries, well or not.
            logged: log what the reads of registries and violations found, or why they failed.

        Raises:
            SettingsError: a key file can no longer be used.
        """
        self.discovery = Discovery(on_found)
        self._clients, self._clock, self._on_tried = clients, clock, on_tried
        self._lock = threading.Lock()
        self._with_modes: Mapping[str, tuple[object, object, Registries]] = {}
        self._tried: frozenset[str] = frozenset()
        registries = Journal[Dated[Registries]](clock, _registries_facts, source=REGISTRIES, repeat_after=math.inf)
        violations = Journal[Dated[Violations]](clock, _violations_facts, source=VIOLATIONS, repeat_after=math.inf)
        self._record = registries.record if logged else _unlogged
        self._entries = entries = Entries(settings, clients, clock, self.discovery)
        self._registries = self._refresher(REGISTRIES, self._taken(entries), settings.registries_ttl, self._listed)
        modes = Journal[FirewallModes](clock, _modes_facts, source=_MODES, repeat_after=math.inf)
        self._modes = self._refresher(_MODES, entries.firewall_modes, FIREWALL_MODES_TTL, modes.record)
        record = violations.record if logged else _unlogged
        self._violations = self._refresher(VIOLATIONS, entries.violations, _fresh_for(settings), record)

    def start(self) -> list[Future[None]]:
        """Start the first read of everything, and return those that find spaces."""
        if not self._entries.registries:
            self._violations.start()
        return self._registries.start()

    def find(self) -> list[Future[None]]:
        """Start the first read of every entry whose spaces were not found yet, and return those that run."""
        return [read for entry in self.undiscovered() for read in self._registries.scrape(0.0, entry)]

    def refresh(self, budget: float = 0.0) -> list[Future[None]]:
        """Start every read that is due, and return those that a scrape should wait for.

        These are the short reads of violations: someone must act on them.

        Args:
            budget: seconds that the scrape has.
        """
        self._registries.scrape(0.0)
        # Before, there is nothing to place violations by.
        reads = [read for entry in self._tried for read in self._follow(entry, budget)]
        if not self._entries.registries:
            reads += self._violations.scrape(budget)
        # Those of more entries than the share of a source allows at once end one after the other, for minutes.
        return reads if self._entries.at_once else []

    def undiscovered(self) -> list[str]:
        """Return the entries that end in `/**` whose spaces were never found."""
        roots = (entry for entry, space in self._entries.spaces.items() if space.descendants)
        return [entry for entry in roots if entry not in self.discovery.found]

    def finish(self, *, firewall_modes: bool = True) -> None:
        """Wait until everything was read once.

        Args:
            firewall_modes: also read all firewall modes, which may take a minute for each 30 of them.

        Raises:
            Stopped: the process is shutting down.
        """
        wait(self._registries.scrape(math.inf))
        wait(self._violations.scrape(math.inf))
        if not firewall_modes:
            return
        wait(self._modes.scrape(math.inf))
        while any(map(self._lacks_modes, self._modes.statuses())):
            self._clock.wait(FIREWALL_MODES_TTL)
            wait(self._modes.scrape(math.inf))

    def reload(self, settings: Settings) -> None:
        """Apply other settings; what they do not change continues undisturbed.

        Raises:
            SettingsError: a key file can no longer be used.
        """
        before, after = self._entries, Entries(settings, self._clients, self._clock, self.discovery)
        self._entries = after
        # What another server listed says nothing of this one.
        self.discovery.forget(before.spaces.keys() - (after.registries.keys() - after.changed(before, OnReload.RESET)))
        with self._lock:
            self._tried = self._tried.intersection(after.spaces)
        self._apply(self._registries, before, REGISTRIES, self._taken(after), settings.registries_ttl)
        self._apply(self._modes, before, _MODES, after.firewall_modes, FIREWALL_MODES_TTL)
        violations = self._violations, before, VIOLATIONS, after.violations, _fresh_for(settings)
        self._apply(*violations, outdated=after.kept_otherwise(before))

    def require(self, root: Space) -> None:
        """Check that the spaces below a root were found; it waits for nothing.

        Args:
            root: the space of an entry that ends in `/**`.

        Raises:
            RefreshError: no read has succeeded yet, and the last one failed.
            Stopped: the first read has not ended yet.
        """
        entry = self._entries.above(root)
        if entry is None or entry in self.discovery.found:
            return
        self._registries.scrape(0.0, entry)
        for status in self._registries.statuses(entry):
            if status.last_failure:
                raise error_of(status.last_failure.reason, status.last_failure.message, status.last_failure.hint)
        raise Stopped

    def all_tried(self) -> bool:
        """Return whether the first read of the registries of every entry has ended, successful or not."""
        return self._tried >= self._entries.registries.keys()

    def lists(self) -> Lists:
        """Return what is served; the same objects while nothing changed."""
        modes = {status.space: status.snapshot for status in self._modes.statuses()}
        # Kept, so that unchanged lists stay the same object, and are not rendered again.
        self._with_modes = {
            status.space: self._merged(status.space, status.snapshot.data, modes.get(status.space))
            for status in self._registries.statuses()
            if status.snapshot
        }
        return Lists(
            {entry: merged for entry, (_, _, merged) in self._with_modes.items()},
            {status.space: status.snapshot.data for status in self._violations.statuses() if status.snapshot},
        )

    def views(self) -> tuple[SourceView, ...]:
        """Return what is exported of every source of every entry."""
        modes = {status.space: status for status in self._modes.statuses()}
        of_registries = (
            self._view_of_registries(status, modes[status.space])
            for status in self._registries.statuses()
            if status.space in modes
        )
        return (*of_registries, *(_view_of(VIOLATIONS, status) for status in self._violations.statuses()))

    def _refresher(
        self, source: str, reads: Mapping[str, Read[T]], ttl: float, on_refresh: Callable[[Status[T]], None]
    ) -> Refresher[T]:
        return Refresher(
            reads,
            submit=self._submit(source),
            clock=self._clock,
            cache_ttl=ttl,
            max_stale=self._entries.settings.max_stale,
            jitter=random.Random(),
            on_refresh=on_refresh,
        )

    def _apply(
        self,
        refresher: Refresher[T],
        before: Entries,
        source: str,
        reads: Mapping[str, Read[T]],
        ttl: float,
        *,
        outdated: Collection[str] = (),
    ) -> None:
        reset = self._entries.changed(before, OnReload.RESET)
        refresher.reload(
            reads,
            submit=self._submit(source),
            reset=reset,
            outdated=self._entries.changed(before, OnReload.REFRESH).union(outdated) - reset,
            cache_ttl=ttl,
            max_stale=self._entries.settings.max_stale,
        )

    def _submit(self, source: str) -> Submit:
        entries = self._entries
        return lambda read, entry: entries.workers(source, entry).submit(read, entry)

    def _taken(self, entries: Entries) -> Mapping[str, Read[Dated[Registries]]]:
        """Return reads of the registries whose results are taken note of before the read counts as ended."""

        def taking(entry: str, read: Read[Dated[Registries]]) -> Read[Dated[Registries]]:
            times_forgotten = self.discovery.times_forgotten(entry)

            def read_and_take(cancelled: threading.Event, last: Dated[Registries] | None) -> Dated[Registries]:
                listed, named = read(cancelled, last), frozenset[str]()
                if self.discovery.lacks(entry, listed.data):
                    # A listing that moves while it is read may leave out a row, so a space that is gone is looked for
                    # once more.
                    listed, named = read(cancelled, last), listed.data.found
                # Not taken either if the entry was forgotten in this moment.
                if cancelled.is_set() or not self.discovery.take(
                    entry, listed.data, named, times_forgotten=times_forgotten
                ):
                    raise Stopped
                return listed

            return read_and_take

        return {entry: taking(entry, read) for entry, read in entries.registries.items()}

    def _listed(self, status: Status[Dated[Registries]]) -> None:
        """Start the reads that need the registries of an entry, after they were read."""
        self._record(status)
        with self._lock:
            self._tried |= {status.space}
        self._follow(status.space)
        self._on_tried()

    def _follow(self, entry: str, budget: float = 0.0) -> list[Future[None]]:
        """Start the reads that need the registries of an entry, if due, and return those a scrape should wait for."""
        if self.discovery.registries(entry):
            self._modes.scrape(0.0, entry)
        return self._violations.scrape(budget, entry)

    def _lacks_modes(self, status: Status[FirewallModes]) -> bool:
        """Return whether there are firewall modes to ask for that were not asked for yet."""
        known = self.discovery.registries(status.space)
        # After a failed read the next one asks for others first.
        tried_again = sum(status.failures.values()) > 1
        return known is not None and not tried_again and len(status.snapshot or ()) < len(dict(known.upstream()))

    def _merged(
        self, entry: str, registries: Registries, modes: FirewallModes | None
    ) -> tuple[object, object, Registries]:
        known = self._with_modes.get(entry)
        if known and known[0] is registries and known[1] is modes:
            return known
        of_place = {place: mode.mode for place, mode in (modes or {}).items()}
        return registries, modes, registries.with_firewall_modes(of_place)

    def _view_of_registries(self, status: Status[Dated[Registries]], modes: Status[FirewallModes]) -> SourceView:
        found = self.discovery.found.get(status.space)
        return replace(
            _view_of(REGISTRIES, status),
            failures={reason: number + modes.failures[reason] for reason, number in status.failures.items()},
            spaces=None if found is None else len(found) - 1,
        )


def _unlogged(_status: Status[Any]) -> None:
    """Do nothing."""


def _view_of(source: str, status: Status[Dated[T]]) -> SourceView:
    return SourceView(
        source=source,
        entry=status.space,
        up=status.up,
        asked=status.snapshot.asked if status.snapshot else None,
        seconds=status.refresh_seconds,
        failures=status.failures,
        last_failure=status.last_failure,
        available=status.last_failure is None or not is_unavailable(status.last_failure),
    )


def _registries_facts(listed: Dated[Registries]) -> Mapping[str, Any]:
    spaces = listed.data.spaces
    return {
        "registries": sum(map(len, spaces.values())),
        "spaces": len(spaces),
        **_reading_facts(listed.data.reading),
    }


def _modes_facts(modes: FirewallModes) -> Mapping[str, Any]:
    return {"registries": len(modes), "unknown": sum(mode.mode is None for mode in modes.values())}


def _violations_facts(listed: Dated[Violations]) -> Mapping[str, Any]:
    reading = listed.data.reading
    return {"violations": reading.rows, **_reading_facts(reading)}


def _reading_facts(reading: Reading) -> Mapping[str, Any]:
    return {"pages": reading.pages, "rejected": reading.rejected.rows, "complete": reading.complete}


def _fresh_for(settings: Settings) -> float:
    """Return how long violations count as fresh, for scrapes that come `violations_ttl` after each other."""
    # A read begins a moment after its scrape, so the next scrape would find it a moment too young.
    return 0.9 * settings.violations_ttl
