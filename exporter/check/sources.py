"""Questions of `har-exporter check` to the sources: which spaces there are, and which source is not available."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.clock import Clock
from exporter.config.settings import Settings
from exporter.config.spaces import Space
from exporter.engine.clients import Clients
from exporter.engine.entries import EntryReads, is_unavailable
from exporter.harness.envelope import ListingPage
from exporter.harness.errors import RefreshError
from exporter.harness.registries import RegistriesListing, decode_registries
from exporter.harness.violations import ViolationsListing, decode_violations
from exporter.inventory.registries import Registries
from exporter.labels import REGISTRIES

_MOST_SPACES = 1_000  # whose registries are counted


@dataclass(frozen=True, slots=True)
class Discovered:
    """Answers to the questions for spaces.

    Attributes:
        found: the registries below each entry that ends in `/**`.
        failed: why there is no answer, by such an entry.
    """

    found: Mapping[str, Registries]
    failed: Mapping[str, RefreshError]


class SourceQuestions:
    """Questions to the sources of all entries."""

    def __init__(self, settings: Settings, clients: Clients, clock: Clock) -> None:
        """Ask nothing yet.

        Raises:
            SettingsError: a key file can no longer be used.
        """
        self._settings = settings
        rate = settings.rate_limit
        # More would keep the command waiting for minutes.
        self._spaces_left = rate.tenth().requests // 2 if rate else _MOST_SPACES
        self._clients = clients
        self._clock = clock

    def discover(self) -> Discovered:
        """Ask for all registries below each entry that ends in `/**`."""
        found: dict[str, Registries] = {}
        failed: dict[str, RefreshError] = {}
        for entry in self._settings.asked_for_sources:
            if entry.descendants:
                try:
                    found[entry.entry] = self._reads(entry).registries(threading.Event(), None).data
                except RefreshError as error:
                    failed[entry.entry] = error
        return Discovered(found, failed)

    def number_of_registries(self, space: Space) -> int | None:
        """Return how many registries a space has; None if that is not known."""
        if REGISTRIES not in self._settings.sources or not self._spaces_left:
            return None
        self._spaces_left -= 1
        try:
            page = self._first_row(space, REGISTRIES)
        except RefreshError:
            return None
        return max(page.rows, page.item_count or 0)

    def warnings(self) -> Iterator[str]:
        """Ask one entry of each server and key for one row of each source, and return what is not available."""
        asked: set[tuple[object, ...]] = set()
        for entry in self._settings.asked_for_sources:
            if entry.upstream not in asked:
                asked.add(entry.upstream)
                yield from self._unavailable(entry)

    def _unavailable(self, entry: Space) -> Iterator[str]:
        for source in self._settings.sources:
            if source == REGISTRIES and entry.descendants:
                continue  # asked already
            try:
                self._first_row(entry, source)
            except RefreshError as error:
                # Others are those of the server, and of the artifacts too.
                if is_unavailable(error):
                    yield f"{entry.entry}: no {source}: {error}; leave {source} out of sources if there are none"

    def _first_row(self, space: Space, source: str) -> ListingPage[Any]:
        """Return a page of one row of a source; raises `RefreshError`."""
        ask, now = self._reads(space).asker(threading.Event()), self._clock.time()
        if source == REGISTRIES:
            return decode_registries(ask(RegistriesListing(space.ref), 0, 1), now, rows_asked=1)
        return decode_violations(ask(ViolationsListing(space.ref), 0, 1), now, rows_asked=1)

    def _reads(self, entry: Space) -> EntryReads:
        return EntryReads(entry, self._clients.of(entry, self._settings), self._settings, self._clock)
