"""Wiring: from settings to spaces that refresh themselves and a page that shows them."""

import random
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import cache, partial

import structlog

from exporter import __version__
from exporter.client import Listing
from exporter.clock import Clock
from exporter.counters import ApiCounters
from exporter.errors import AuthError
from exporter.exposition import Exposition
from exporter.journal import Journal
from exporter.labels import clean
from exporter.links import RegistryLink
from exporter.metrics import ProcessView, SpaceView
from exporter.probe import MOST_TARGETS, Probes, Targets
from exporter.refresh import Refresher, SpaceStatus, Walk
from exporter.settings import Settings, Space
from exporter.snapshot import Snapshot
from exporter.tally import Tally
from exporter.upstreams import Upstream, Upstreams, listing_of
from exporter.walk import FetchPage, Walker

_log = structlog.get_logger()

_PROBES_REMEMBERED = 10 * MOST_TARGETS  # by the journal, which so tells no space anew that was dropped for a while

OnPage = Callable[[str, int, int | None], None]
"""Told of each page of a walk: the space, the rows so far, and the rows that the API reports, where it does."""


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
            OSError: a key file cannot be read any more.
            ValueError: a key file holds no key any more.
        """
        self._settings = settings
        self._clock = clock
        self._started = clock.time()
        self._counters = ApiCounters()
        self._spaces = {space.ref: space for space in settings.targets}
        self.upstreams = Upstreams(settings, clock, self._counters)
        self.refresher = self._refresher(
            {
                space.ref: _telling_of_missing_registries(space, self._walk(space, on_page))
                for space in self._spaces.values()
            },
            self._spaces.__getitem__,
            tell or Journal(clock).tell,
        )
        self.exposition = Exposition(self._space_views, self._process_view)
        tell_of_probes = Journal(clock, spaces=_PROBES_REMEMBERED).tell
        self.probes = Probes(
            Targets(settings),
            self.refresher,
            new_refresher=lambda space: self._refresher(
                {space.ref: self._walk_when_needed(space)}, lambda _: space, tell_of_probes
            ),
            show=self._space_view,
            clock=clock,
            max_stale=max(settings.cache_ttl, settings.max_stale),
        )

    def _refresher(
        self, walks: Mapping[str, Walk], named: Callable[[str], Space], tell: Callable[[SpaceStatus], None]
    ) -> Refresher:
        def submit(refresh: Callable[[str], None], name: str) -> Future[None]:
            return self.upstreams.walks_of(named(name)).submit(refresh, name)

        return Refresher(
            walks,
            submit=submit,
            clock=self._clock,
            cache_ttl=self._settings.cache_ttl,
            max_stale=self._settings.max_stale,
            jitter=random.Random(),
            tell=tell,
        )

    def _walk_when_needed(self, space: Space) -> Walk:
        """Open server and key of a space with its first walk: those of other shards' spaces may never be needed."""
        opened = cache(partial(self._walk, space))

        def walk() -> Snapshot:
            try:
                through = opened()
            except (OSError, ValueError):
                raise AuthError("the key file cannot be used", hint="check api_key_file of this space") from None
            return through()

        return walk

    def _walk(self, space: Space, on_page: OnPage = lambda *_: None) -> Walk:
        settings = self._settings
        return Walker(
            _fetch_page(self.upstreams.of(space), listing_of(space)),
            partial(
                Tally,
                findings=settings.findings,
                findings_limit=settings.findings_limit,
                stale_ages=[threshold.seconds for threshold in settings.stale_scan_after],
            ),
            self._clock,
            page_size=settings.page_size,
            concurrency=settings.concurrency,
            timeout=settings.refresh_timeout,
            on_page=partial(on_page, space.ref),
        ).walk

    def _space_views(self) -> tuple[SpaceView, ...]:
        return tuple(self._space_view(self._spaces[status.space], status) for status in self.refresher.statuses())

    def _space_view(self, space: Space, status: SpaceStatus) -> SpaceView:
        settings = self._settings
        return SpaceView(
            status=status,
            refresh_interval=settings.cache_ttl,
            stale_labels=tuple(threshold.label for threshold in settings.stale_scan_after),
            link=RegistryLink(settings.link_template, space.base_url, space.ref),
        )

    def _process_view(self) -> ProcessView:
        version, _, revision = __version__.partition("+")
        return ProcessView(
            version=version,
            revision=revision or "unknown",
            api=self._counters.read(),
            cache=self.refresher.cache_counts(),
            reload_succeeded=self.upstreams.keys_usable(),
            reload_time=self._started,
        )


def _fetch_page(upstream: Upstream, listing: Listing) -> FetchPage:
    def fetch_page(page: int, size: int, deadline: float) -> Future[bytes]:
        return upstream.workers.submit(upstream.client.page, listing, page, size, deadline)

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
