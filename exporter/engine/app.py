"""Wiring: from settings to spaces that refresh themselves and a page that shows them."""

import random
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from functools import cache, partial

import structlog

from exporter import __version__
from exporter.clock import Clock
from exporter.config.settings import OnReload, Settings
from exporter.config.spaces import Space
from exporter.engine.clients import Clients
from exporter.engine.generation import Generation, OnPage, new_walker, view_of
from exporter.engine.listed import Listed
from exporter.engine.memory import return_large_blocks
from exporter.engine.probes import MOST_TARGETS, Probes
from exporter.engine.sources import Sources
from exporter.harness.counters import ApiCounters
from exporter.harness.errors import AuthError
from exporter.inventory.journal import Journal, facts_of
from exporter.inventory.refresh import SpaceRefresher, SpaceStatus, Submit, Walk
from exporter.inventory.snapshot import Snapshot
from exporter.metrics.exposition import Exposition
from exporter.metrics.process_families import ProcessView
from exporter.metrics.space_families import SpaceView
from exporter.texts import SettingsError

_log = structlog.get_logger()
_SWITCH_INTERVAL = 0.0002

_JOURNAL_OF_PROBES = 10 * MOST_TARGETS  # spaces, so that one that was dropped for a while is not logged as new


class App:
    """The exporter without its commands; lives as long as the process.

    Attributes:
        clients: the clients of all servers and keys.
        sources: the registries and violations of the entries.
        refresher: the spaces and their snapshots.
        exposition: renders /metrics.
        probes: the spaces that /probe asks for.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        on_page: OnPage = lambda *_: None,
        on_refresh: Callable[[SpaceStatus], None] | None = None,
        log_lines_dropped: Callable[[], int] = int,
    ) -> None:
        """Send nothing yet.

        Args:
            settings: valid settings.
            clock: source of time.
            on_page: called after each page of a walk.
            on_refresh: called with a space after each refresh; None to log what spaces and sources do.
            log_lines_dropped: returns how many lines of the log were dropped.

        Raises:
            SettingsError: a key file can no longer be used.
        """
        # With the default of 5 ms a scrape waits that long for the thread that adds up artifacts.
        sys.setswitchinterval(_SWITCH_INTERVAL)
        return_large_blocks()
        self._clock = clock
        self._on_page, self._on_refresh = on_page, on_refresh
        self._log_lines_dropped = log_lines_dropped
        self._counters = ApiCounters()
        self._journal = Journal(clock, facts_of)
        self._journal_of_probes = Journal(clock, facts_of, spaces=_JOURNAL_OF_PROBES)
        self._lock, self._changes = threading.Lock(), threading.Lock()
        self._reload_succeeded, self._reload_time = True, clock.time()
        self.clients = Clients(settings, clock, self._counters)
        # The state of a reload: replaced as a whole, never changed in place.
        self.sources = Sources(
            settings,
            self.clients,
            clock,
            on_found=self._spaces_found,
            on_tried=self._start_roots,
            logged=on_refresh is None,
        )
        self._now = self._generation(settings)
        self._listed: Mapping[str, Listed] = {}
        self.refresher = self._refresher(self._now.walks, self._now.submit, self._refreshed)
        self.exposition = Exposition(self.views, self._process_view, self.sources.views)
        self.probes = Probes(
            self._now.targets,
            self.refresher,
            new_refresher=self._refresher_of_probe,
            view=self._space_view,
            clock=clock,
            max_stale=max(settings.cache_ttl, settings.max_stale),
        )

    @property
    def settings(self) -> Settings:
        """The settings that are in force."""
        return self._now.settings

    def start(self) -> list[Future[None]]:
        """Start the first read of every source, and the first refresh of every space; return the refreshes."""
        self.sources.start()
        return self.refresher.start()

    def reload(self, load: Callable[[], Settings]) -> None:
        """Read the settings again and apply them; what they do not change continues undisturbed.

        Only for one thread at a time.

        Args:
            load: reads the settings; raises `SettingsError` if they are invalid.

        Raises:
            SettingsError: the settings are invalid; nothing has changed.
        """
        succeeded = False
        try:
            settings = load()
            with self._changes:
                self._apply(settings)
            succeeded = True
        finally:
            self._reload_succeeded = succeeded
        self._reload_time = self._clock.time()

    def _apply(self, settings: Settings) -> None:
        settings, need_restart = settings.running(self.settings)
        before, after = self._now, self._generation(settings)
        # Before the walks of the new settings start.
        self.clients.limit(settings)
        found = self.sources.discovery.found
        self.sources.reload(settings)
        if self.sources.discovery.found != found:
            after = self._generation(settings)
        # A view must not see new settings with old spaces, or old settings with new spaces.
        with self._lock:
            self._now = after
            reset = _apply_to(self.refresher, after.walks, after.submit, before, after, probed=False)
        added, removed = after.spaces.keys() - before.spaces.keys(), before.spaces.keys() - after.spaces.keys()
        self._journal.forget(removed | reset)
        self.probes.reload(
            after.targets,
            max_stale=max(settings.cache_ttl, settings.max_stale),
            apply_to=partial(self._apply_to_probe, before, after),
        )
        counts = {"spaces": len(after.spaces), "added": len(added), "removed": len(removed), "reset": len(reset)}
        _log.info("settings reloaded", **counts)
        if need_restart:
            _log.warning("changed settings require a restart", settings=",".join(need_restart))

    def _start_roots(self) -> None:
        """Start the first refresh of roots, which fails or not by what was found below them."""
        self.refresher.start()

    def _spaces_found(self) -> None:
        """Serve the spaces that were found, and no longer those that were not."""
        with self._changes:
            before = self._now
            after = self._generation(before.settings, before)
            failed = {status.space for status in self.refresher.statuses() if status.last_failure}
            with self._lock:
                self._now = after
                self.refresher.reload(
                    after.walks,
                    submit=after.submit,
                    reset=(),
                    # A root fails before its spaces are found.
                    outdated={ref for ref, space in after.spaces.items() if space.descendants and ref in failed},
                    cache_ttl=after.settings.cache_ttl,
                    max_stale=after.settings.max_stale,
                )
            self.probes.targets = after.targets
        added, removed = after.spaces.keys() - before.spaces.keys(), before.spaces.keys() - after.spaces.keys()
        self._journal.forget(removed)
        if added or removed:
            _log.info("spaces found or gone", spaces=len(after.spaces), added=len(added), removed=len(removed))

    def _generation(self, settings: Settings, before: Generation | None = None) -> Generation:
        return Generation.of(
            settings,
            self.sources,
            new_walk=partial(self._new_walk, settings),
            workers=lambda space: self.clients.walk_workers(space, settings),
            before=before,
        )

    def _new_walk(self, settings: Settings, space: Space) -> Walk:
        client = self.clients.of(space, settings)
        upstream = partial(self.sources.discovery.upstream, space.ref)
        return new_walker(client, space, settings, self._clock, self._on_page, upstream=upstream).walk

    def _refreshed(self, status: SpaceStatus) -> None:
        (self._on_refresh or self._journal.record)(status)
        now = self._now
        # A filter of all spaces below another names registries that each of them need not have.
        if status.space in now.named and status.space in now.spaces and status.up and status.snapshot:
            self._journal.record_registries(status.space, now.spaces[status.space].registries, status.snapshot)

    def _refresher(
        self, walks: Mapping[str, Walk], submit: Submit, on_refresh: Callable[[SpaceStatus], None]
    ) -> SpaceRefresher:
        return SpaceRefresher(
            walks,
            submit=submit,
            clock=self._clock,
            cache_ttl=self.settings.cache_ttl,
            max_stale=self.settings.max_stale,
            jitter=random.Random(),
            on_refresh=on_refresh,
        )

    def _refresher_of_probe(self, space: Space) -> SpaceRefresher:
        walks = {space.ref: self._walk_on_demand(self.settings, space)}
        workers = self.clients.walk_workers(space, self.settings)
        return self._refresher(walks, workers.submit, self._journal_of_probes.record)

    def _apply_to_probe(self, before: Generation, after: Generation, refresher: SpaceRefresher, space: Space) -> None:
        walks = {space.ref: self._walk_on_demand(after.settings, space)}
        workers = self.clients.walk_workers(space, after.settings)
        self._journal_of_probes.forget(_apply_to(refresher, walks, workers.submit, before, after, probed=True))

    def _walk_on_demand(self, settings: Settings, space: Space) -> Walk:
        """Return a walk that opens its client when it first runs: many spaces that may be probed never are."""

        @cache
        def opened() -> Walk:
            return self._new_walk(settings, space)

        def walk(cancelled: threading.Event, last: Snapshot | None) -> Snapshot:
            try:
                walk_opened = opened()
            except SettingsError:
                raise AuthError("the key file cannot be used", hint="check api_key_file of this space") from None
            return walk_opened(cancelled, last)

        return walk

    def views(self) -> tuple[SpaceView, ...]:
        """Return what is exported of every space of /metrics."""
        with self._lock:
            generation, statuses = self._now, self.refresher.statuses()
        # Kept, so that unchanged lists stay the same object, and are not rendered again.
        self._listed = listed = self._lists_of(generation.spaces.values(), statuses, self._listed)
        return tuple(
            view_of(generation.spaces[status.space], status, generation.settings, listed[status.space].lists)
            for status in statuses
        )

    def _space_view(self, space: Space, status: SpaceStatus) -> SpaceView:
        """Return what is exported of a space of /probe."""
        listed = self._lists_of([space], [status], {})
        return view_of(space, status, self.settings, listed[space.ref].lists)

    def _lists_of(
        self, spaces: Iterable[Space], statuses: Iterable[SpaceStatus], before: Mapping[str, Listed]
    ) -> Mapping[str, Listed]:
        first = {status.space: status.snapshot.inventory.registries for status in statuses if status.snapshot}
        return self.sources.lists().of_spaces(spaces, first, self.settings.registries_limit, before)

    def _process_view(self) -> ProcessView:
        version, _, revision = __version__.partition("+")
        return ProcessView(
            version=version,
            revision=revision or "unknown",
            api=self._counters.read(),
            cache=self.refresher.cache_counts(),
            reload_succeeded=self._reload_succeeded and self.clients.keys_usable(),
            reload_time=self._reload_time,
            shard=self.settings.shard,
            shards=self.settings.shards,
            log_lines_dropped=self._log_lines_dropped(),
        )


def _apply_to(
    refresher: SpaceRefresher,
    walks: Mapping[str, Walk],
    submit: Submit,
    before: Generation,
    after: Generation,
    *,
    probed: bool,
) -> set[str]:
    """Give a refresher the walks of other settings, and return the spaces that start cold because of them."""

    def changed(on_reload: OnReload) -> set[str]:
        return {name for name in walks if after.changed(before, name, on_reload, probed=probed)}

    reset = changed(OnReload.RESET)
    refresher.reload(
        walks,
        submit=submit,
        reset=reset,
        outdated=changed(OnReload.REFRESH) - reset,
        cache_ttl=after.settings.cache_ttl,
        max_stale=after.settings.max_stale,
    )
    return reset
