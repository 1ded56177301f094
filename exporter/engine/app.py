"""Wiring: from settings to spaces that refresh themselves and a page that shows them."""

import random
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache, partial

import structlog

from exporter import __version__
from exporter.clock import Clock, Stopped
from exporter.config import effects
from exporter.config.settings import Settings, SettingsError, Space
from exporter.engine.clients import Upstream, Upstreams, listing_of
from exporter.engine.probes import MOST_TARGETS, Probes, Targets
from exporter.harness.client import Listing
from exporter.harness.counters import ApiCounters
from exporter.harness.errors import AuthError
from exporter.inventory.journal import Journal
from exporter.inventory.refresh import Refresher, SpaceStatus, Walk
from exporter.inventory.snapshot import Snapshot
from exporter.inventory.tally import Tally
from exporter.inventory.walk import FetchPage, Walker
from exporter.labels import clean
from exporter.metrics.exposition import Exposition
from exporter.metrics.families import ProcessView, SpaceView
from exporter.metrics.links import RegistryLink
from exporter.workers import Workers

_log = structlog.get_logger()
_TURN_SECONDS = 0.0002

_PROBES_REMEMBERED = 10 * MOST_TARGETS  # by the journal, which so tells no space anew that was dropped for a while

OnPage = Callable[[str, int, int | None], None]
"""Told of each page of a walk: the space, the rows so far, and the rows that the API reports, where it does."""


@dataclass(frozen=True, slots=True)
class _Generation:
    """What lives as long as one set of settings.

    Attributes:
        settings: the settings.
        spaces: the spaces of /metrics by name.
        targets: the spaces that /probe may ask for.
        walks: how to walk through each space of /metrics.
        workers: the threads that do so.
    """

    settings: Settings
    spaces: Mapping[str, Space]
    targets: Targets
    walks: Mapping[str, Walk]
    workers: Mapping[str, Workers]

    def submit(self, refresh: Callable[[str], None], space: str) -> Future[None]:
        """Queue a call for a space of /metrics."""
        return self.workers[space].submit(refresh, space)

    def values(self, name: str, names: frozenset[str], *, probed: bool) -> tuple[object, ...]:
        """Return what settings of these names are for a space of /metrics, or of /probe; nothing where it is none."""
        space = self.targets.named(name) if probed else self.spaces.get(name)
        return effects.values(self.settings, space, names) if space else ()


class App:
    """The exporter without its commands: what lives as long as the process.

    Attributes:
        upstreams: the servers and keys.
        refresher: the spaces and their snapshots.
        exposition: renders /metrics.
        probes: the spaces that /probe asks for.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        on_page: OnPage = lambda *_: None,
        tell: Callable[[SpaceStatus], None] | None = None,
    ) -> None:
        """Send nothing yet.

        Args:
            settings: valid settings.
            clock: where the time comes from.
            on_page: told of each page that a walk reads.
            tell: told of a space whenever its walk ended; None for the log.

        Raises:
            SettingsError: a key file cannot be used any more.
        """
        # Otherwise a scrape, and a thread that fetches pages, may wait 5 ms each time for the thread that adds them up.
        sys.setswitchinterval(_TURN_SECONDS)
        self._clock = clock
        self._on_page = on_page
        self._counters = ApiCounters()
        self._journal = Journal(clock)
        self._journal_of_probes = Journal(clock, spaces=_PROBES_REMEMBERED)
        self._lock = threading.Lock()
        self._reload_succeeded = True
        self._reload_time = clock.time()
        self.upstreams = Upstreams(settings, clock, self._counters)
        self._now = self._generation(settings)
        self.refresher = self._refresher(self._now.walks, self._now.submit, tell or self._journal.tell)
        self.exposition = Exposition(self._space_views, self._process_view)
        self.probes = Probes(
            self._now.targets,
            self.refresher,
            new_refresher=self._refresher_of_probe,
            show=self._space_view,
            clock=clock,
            max_stale=max(settings.cache_ttl, settings.max_stale),
        )

    @property
    def settings(self) -> Settings:
        """The settings that hold now."""
        return self._now.settings

    def reload(self, load: Callable[[], Settings]) -> None:
        """Read the settings again, and go on by them; what they leave as it is goes on undisturbed.

        Only for one thread at a time.

        Args:
            load: reads them; raises `SettingsError` where they cannot be used.

        Raises:
            SettingsError: they cannot be used; nothing has changed.
        """
        succeeded = False
        try:
            self._go_on_by(load())
            succeeded = True
        finally:
            self._reload_succeeded = succeeded
        self._reload_time = self._clock.time()

    def _go_on_by(self, settings: Settings) -> None:
        settings, waiting = effects.kept(settings, self.settings)
        before, after = self._now, self._generation(settings)
        self.upstreams.limit(settings)
        with self._lock:
            self._now = after
            anew = _follow(self.refresher, after.walks, after.submit, before, after, probed=False)
        new, gone = after.spaces.keys() - before.spaces.keys(), before.spaces.keys() - after.spaces.keys()
        self._journal.forget(gone | anew)
        self.probes.follow(
            after.targets,
            max_stale=max(settings.cache_ttl, settings.max_stale),
            renew=partial(self._renew_probe, before, after),
        )
        _log.info("settings read again", spaces=len(after.spaces), new=len(new), gone=len(gone), anew=len(anew))
        if waiting:
            _log.warning("settings take effect after a restart only", settings=",".join(waiting))

    def _generation(self, settings: Settings) -> _Generation:
        spaces = {space.ref: space for space in settings.served}
        walks = {
            name: _telling_of_missing_registries(space, self._walk(settings, space, probed=False))
            for name, space in spaces.items()
        }
        workers = {name: self.upstreams.walks_of(space, settings) for name, space in spaces.items()}
        return _Generation(settings, spaces, Targets(settings), walks, workers)

    def _refresher(
        self,
        walks: Mapping[str, Walk],
        submit: Callable[[Callable[[str], None], str], Future[None]],
        tell: Callable[[SpaceStatus], None],
    ) -> Refresher:
        return Refresher(
            walks,
            submit=submit,
            clock=self._clock,
            cache_ttl=self.settings.cache_ttl,
            max_stale=self.settings.max_stale,
            jitter=random.Random(),
            tell=tell,
        )

    def _refresher_of_probe(self, space: Space) -> Refresher:
        walks = {space.ref: self._walk_when_needed(self.settings, space)}
        workers = self.upstreams.walks_of(space, self.settings)
        return self._refresher(walks, workers.submit, self._journal_of_probes.tell)

    def _renew_probe(self, before: _Generation, after: _Generation, refresher: Refresher, space: Space) -> None:
        walks = {space.ref: self._walk_when_needed(after.settings, space)}
        workers = self.upstreams.walks_of(space, after.settings)
        self._journal_of_probes.forget(_follow(refresher, walks, workers.submit, before, after, probed=True))

    def _walk_when_needed(self, settings: Settings, space: Space) -> Walk:
        """Open server and key of a space with its first walk: those of other shards' spaces may never be needed."""
        opened = cache(partial(self._walk, settings, space, probed=True))

        def walk() -> Snapshot:
            try:
                through = opened()
            except SettingsError:
                raise AuthError("the key file cannot be used", hint="check api_key_file of this space") from None
            return through()

        return walk

    def _walk(self, settings: Settings, space: Space, *, probed: bool) -> Walk:
        names = effects.ANEW | effects.AGAIN
        read_by = effects.values(settings, space, names)
        return Walker(
            _fetch_page(
                self.upstreams.of(space, settings),
                listing_of(space),
                wanted=lambda: self._now.values(space.ref, names, probed=probed) == read_by,
            ),
            partial(
                Tally,
                findings=settings.findings,
                findings_limit=settings.findings_limit,
                stale_ages=settings.stale_ages,
            ),
            self._clock,
            page_size=settings.page_size,
            concurrency=settings.concurrency,
            timeout=settings.refresh_timeout,
            on_page=partial(self._on_page, space.ref),
        ).walk

    def _space_views(self) -> tuple[SpaceView, ...]:
        with self._lock:
            spaces = self._now.spaces
            return tuple(self._space_view(spaces[status.space], status) for status in self.refresher.statuses())

    def _space_view(self, space: Space, status: SpaceStatus) -> SpaceView:
        settings = self.settings
        return SpaceView(
            status=status,
            refresh_interval=settings.cache_ttl,
            link=RegistryLink(settings.link_template, space.base_url, space.ref),
        )

    def _process_view(self) -> ProcessView:
        version, _, revision = __version__.partition("+")
        return ProcessView(
            version=version,
            revision=revision or "unknown",
            api=self._counters.read(),
            cache=self.refresher.cache_counts(),
            reload_succeeded=self._reload_succeeded and self.upstreams.keys_usable(),
            reload_time=self._reload_time,
        )


def _follow(
    refresher: Refresher,
    walks: Mapping[str, Walk],
    submit: Callable[[Callable[[str], None], str], Future[None]],
    before: _Generation,
    after: _Generation,
    *,
    probed: bool,
) -> set[str]:
    """Let a refresher have other walks, and return the spaces that it had and that start anew."""

    def differing(names: frozenset[str]) -> set[str]:
        old, new = ({name: each.values(name, names, probed=probed) for name in walks} for each in (before, after))
        return {name for name in walks if old[name] and old[name] != new[name]}

    anew = differing(effects.ANEW)
    refresher.replace(
        walks,
        submit=submit,
        anew=anew,
        again=differing(effects.AGAIN) - anew,
        cache_ttl=after.settings.cache_ttl,
        max_stale=after.settings.max_stale,
    )
    return anew


def _fetch_page(upstream: Upstream, listing: Listing, wanted: Callable[[], bool]) -> FetchPage:
    def fetch_page(page: int, size: int, deadline: float) -> Future[bytes]:
        if not wanted():
            raise Stopped
        # The oldest walk first: walks that shared the turns of a key evenly would all end late, or all time out.
        return upstream.workers.submit_by(deadline, upstream.client.page, listing, page, size, deadline)

    return fetch_page


def _telling_of_missing_registries(space: Space, walk: Walk) -> Walk:
    """Warn when a registry that is asked for is not listed: the API answers a misspelt name with nothing."""
    wanted = {clean(registry) for registry in space.registries}
    told: frozenset[str] = frozenset()

    def walk_and_tell() -> Snapshot:
        nonlocal told
        snapshot = walk()
        missing = frozenset(wanted - {key.registry for key in snapshot.inventory.registries})
        if missing - told:
            _log.warning("configured registries are not listed", space=space.ref, registries=",".join(sorted(missing)))
        told = missing
        return snapshot

    return walk_and_tell
