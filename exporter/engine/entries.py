"""Reads of one entry of `spaces`: its registries, their firewall modes, and the violations in them."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Generic, TypeVar

from exporter.clock import Clock, Stopped
from exporter.config.settings import OnReload, Settings
from exporter.config.spaces import Space, covers
from exporter.engine.clients import Clients, SharedClient
from exporter.engine.discovery import Discovery
from exporter.engine.listed import filter_of
from exporter.harness.client import Source
from exporter.harness.errors import BadShapeError, ForbiddenError, NotFoundError, RefreshError
from exporter.inventory.firewall import FirewallMode, FirewallModes, read_firewall_modes
from exporter.inventory.refresh import Failure
from exporter.inventory.registries import Filter, Place, Registries, read_registries
from exporter.inventory.snapshot import RegistryKey
from exporter.inventory.sources import AskPage, Reading
from exporter.inventory.violations import Violations, read_violations
from exporter.labels import REGISTRIES, VIOLATIONS
from exporter.workers import Workers

FIREWALL_MODES_TTL = 60.0
"""Seconds between two reads of firewall modes, each of which asks for those that are due."""

_UNLIMITED = 10_000
_FORBIDDEN = "name the spaces in spaces, or grant the key's service account artifact_artregistry_view on all of them"
_OF_ARTIFACTS = frozenset(
    {"registries", "package_types", "latest_version", "deployed_artifact", "search_term"}
    | {"findings", "findings_limit", "registries_limit", "stale_scan_after"}
)
"""Settings that do not change what is asked of the sources."""

_NOT_AVAILABLE = frozenset({error.reason for error in (BadShapeError, ForbiddenError, NotFoundError)})
_NOT_AVAILABLE_FOR = 900.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Dated(Generic[T]):
    """Data, and when it was asked for: seconds since the epoch."""

    asked: float
    data: T


class EntryReads:
    """Reads of one entry, each of them on one thread at a time."""

    def __init__(
        self,
        entry: Space,
        client: SharedClient,
        settings: Settings,
        clock: Clock,
        *,
        registries: Callable[[], Registries | None] = lambda: None,
        filters: Callable[[], Mapping[str, Filter]] = dict,
    ) -> None:
        """Ask for nothing yet.

        Args:
            entry: the entry.
            client: its client.
            settings: the settings.
            clock: source of time.
            registries: returns the registries of the entry that were read last, if any.
            filters: returns the filter of each space that its violations may be in, by its name in lower case.
        """
        self._entry = entry
        self._shared = client  # which ends with the last reference to it
        self._client = client.client
        self._settings = settings
        self._clock = clock
        self._known, self._filters = registries, filters
        self._placed_with: Mapping[str, Filter] = {}
        self._nothing = Registries(entry.ref, entry.descendants, {}, Reading())
        self._modes: dict[Place, FirewallMode] = {}
        self._placed_by: Registries | None = None
        self._whole_until = 0.0

    def registries(self, cancelled: threading.Event, _last: Dated[Registries] | None) -> Dated[Registries]:
        """Return the registries.

        Raises:
            RefreshError: they could not be read.
            Stopped: the read was cancelled.
        """
        asked = self._clock.time()
        try:
            listed = read_registries(
                self.asker(cancelled),
                self._entry.ref,
                asked,
                descendants=self._entry.descendants,
                label=self._client.label,
            )
        except RefreshError as error:
            raise self._of_registries(error) from None
        return Dated(asked, listed)

    def _of_registries(self, error: RefreshError) -> RefreshError:
        # Without them the spaces below an entry are not seen: this is nothing to do without.
        if not self._entry.descendants:
            return _unavailable(error)
        if isinstance(error, ForbiddenError):
            error.hint = _FORBIDDEN
        return error

    def firewall_modes(self, cancelled: threading.Event, last: FirewallModes | None) -> FirewallModes:
        """Return the firewall modes of the registries; asks for as many as are due, for a minute at most.

        Raises:
            RefreshError: they could not be read.
            Stopped: the read was cancelled.
        """
        rate, self._modes = self._settings.rate_limit, self._modes or dict(last or {})
        return read_firewall_modes(
            self.asker(cancelled),
            self._known() or self._nothing,
            self._modes,
            self._clock.monotonic,
            fresh_for=self._settings.registries_ttl,
            most=rate.tenth().requests if rate else _UNLIMITED,
            label=self._client.label,
        )

    def violations(self, cancelled: threading.Event, last: Dated[Violations] | None) -> Dated[Violations]:
        """Return the violations: all of them are read if the first page or the registries changed, or after a time.

        Raises:
            RefreshError: they could not be read.
            Stopped: the read was cancelled.
        """
        registries, now, asked = self._known() or self._nothing, self._clock.monotonic(), self._clock.time()
        known = last.data if last and registries is self._placed_by and now < self._whole_until else None
        if known is None:
            # Not at each read: an account may have thousands of spaces.
            self._placed_with = self._filters()
        try:
            found = read_violations(
                self.asker(cancelled),
                registries,
                asked,
                filters=self._placed_with,
                findings_limit=self._settings.findings_limit,
                last=known,
                label=self._client.label,
            )
        except RefreshError as error:
            raise _unavailable(error) from None
        if found is not known:
            self._placed_by, self._whole_until = registries, now + self._settings.registries_ttl
        return Dated(asked, found)

    def asker(self, cancelled: threading.Event) -> AskPage:
        """Return a function that asks for pages until the event is set, within one `refresh_timeout`."""
        deadline = self._clock.monotonic() + self._settings.refresh_timeout

        def ask(source: Source, page: int, size: int) -> bytes:
            if cancelled.is_set():
                raise Stopped
            self._client.wait_for_turn(deadline, source.source)
            return self._client.page(source, page, size, deadline)

        return ask


class Entries:
    """Entries that are asked under one set of settings.

    Attributes:
        settings: the settings.
        spaces: the entries by name as they were written.
        registries: the read of the registries of each; empty if they are not wanted.
        firewall_modes: the read of their firewall modes; likewise.
        violations: the read of the violations of each; likewise.
        at_once: whether the rate allows a request for each of them at once.
    """

    def __init__(self, settings: Settings, clients: Clients, clock: Clock, discovery: Discovery) -> None:
        """Ask for nothing yet.

        Args:
            settings: valid settings.
            clients: the clients of all servers and keys.
            clock: source of time.
            discovery: the registries that were read last, and the spaces that they name.

        Raises:
            SettingsError: a key file can no longer be used.
        """
        self.settings = settings
        self.spaces = {space.entry: space for space in settings.asked_for_sources}
        reads = {
            name: EntryReads(
                space,
                clients.of(space, settings),
                settings,
                clock,
                registries=partial(discovery.registries, name),
                filters=partial(_filters, settings, discovery, space),
            )
            for name, space in self.spaces.items()
        }
        listed = reads if REGISTRIES in settings.sources else {}
        self.registries = {name: read.registries for name, read in listed.items()}
        self.firewall_modes = {name: read.firewall_modes for name, read in listed.items()}
        wanted = reads if VIOLATIONS in settings.sources else {}
        self.violations = {name: read.violations for name, read in wanted.items()}
        rate = settings.rate_limit
        self.at_once = rate is None or len(wanted) <= rate.tenth().requests
        self._clients = clients
        # Kept, as the threads of a server and key end with the last reference to them.
        self._workers: dict[tuple[str, str], Workers] = {}

    def workers(self, source: str, entry: str) -> Workers:
        """Return the thread that reads a source of an entry."""
        return self._workers.setdefault((source, entry), self._clients.source_workers(self.spaces[entry], source))

    def above(self, space: Space) -> str | None:
        """Return the entry whose registries name the spaces below a space; None if none is asked for them."""
        if space.entry in self.registries:
            return space.entry
        roots = (name for name in self.registries if covers(self.spaces[name], space))
        return next(roots, None)

    def changed(self, before: "Entries", on_reload: OnReload) -> set[str]:
        """Return the entries that are asked otherwise, because settings with one effect on reload changed."""
        return self._differing(before, partial(Entries._asked_with, on_reload=on_reload))

    def kept_otherwise(self, before: "Entries") -> set[str]:
        """Return the entries of whose violations others are kept, because settings changed."""
        return self._differing(before, Entries._kept_by)

    def _differing(self, before: "Entries", settings: Callable[["Entries", str], object]) -> set[str]:
        """Return the entries of both for which these settings differ."""
        both = self.spaces.keys() & before.spaces.keys()
        return {name for name in both if settings(self, name) != settings(before, name)}

    def _kept_by(self, entry: str) -> tuple[object, ...]:
        settings, space = self.settings, self.spaces[entry]
        return settings.findings_limit, settings.shard, settings.shards, space.registries, space.package_types

    def _asked_with(self, entry: str, on_reload: OnReload) -> dict[str, object]:
        values = self.settings.values_of(self.spaces[entry], on_reload)
        return {name: value for name, value in values.items() if name not in _OF_ARTIFACTS}


# Not a method: the threads of entries that a reload replaces end with the last reference to them.
def _filters(settings: Settings, discovery: Discovery, entry: Space) -> Mapping[str, Filter]:
    """Return the filter of each space that an entry stands for, by its name in lower case."""
    if not entry.descendants:
        return {entry.ref.lower(): filter_of(entry)}
    spaces = settings.configured_and(discovery.found)
    return {space.ref.lower(): filter_of(space) if settings.serves(space) else _none for space in spaces}


def is_unavailable(error: RefreshError | Failure) -> bool:
    """Return whether an error means that the server does not have a source at all, or not for this key."""
    return error.reason in _NOT_AVAILABLE or error.status == HTTPStatus.NOT_IMPLEMENTED


def _unavailable(error: RefreshError) -> RefreshError:
    """Return an error with a long pause before the next try if a source is not available."""
    if is_unavailable(error):
        error.retry_after = max(error.retry_after or 0.0, _NOT_AVAILABLE_FOR)
    return error


def _none(_key: RegistryKey) -> bool:
    """Return false: the filter of a space that another shard serves."""
    return False
