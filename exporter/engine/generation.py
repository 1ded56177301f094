"""Generation: everything that lives as long as one set of settings."""

import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from exporter.clock import Clock
from exporter.config.settings import OnReload, Settings
from exporter.config.spaces import Space
from exporter.engine.clients import SharedClient, listing_of
from exporter.engine.probes import Targets
from exporter.engine.sources import Sources
from exporter.engine.walks import Walks
from exporter.inventory.listed import NOT_LISTED, SpaceLists
from exporter.inventory.passes import PageQuery
from exporter.inventory.refresh import SpaceStatus, Walk
from exporter.inventory.snapshot import RegistryKey, Snapshot
from exporter.inventory.tally import Tally
from exporter.inventory.walk import FetchPage, Walker
from exporter.labels import clean
from exporter.metrics.links import RegistryLink
from exporter.metrics.space_families import SpaceView

OnPage = Callable[[str, int, int | None], None]
"""Called after each page of a walk with the space, the rows so far, and the reported rows, if any."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What lives as long as one set of settings.

    Attributes:
        settings: the settings.
        spaces: the spaces of /metrics by name.
        named: the names of those that have an entry of their own.
        targets: the spaces that /probe may ask for.
        walks: the walk of each space of /metrics.
        workers: the threads that each of these walks runs on.
    """

    settings: Settings
    spaces: Mapping[str, Space]
    named: Collection[str]
    targets: Targets
    walks: Mapping[str, Walk]
    workers: Mapping[str, Walks]

    @classmethod
    def of(
        cls,
        settings: Settings,
        sources: Sources,
        *,
        new_walk: Callable[[Space], Walk],
        workers: Callable[[Space], Walks],
        before: "Generation | None" = None,
    ) -> "Generation":
        """Return the generation of some settings, with the spaces that were found.

        Args:
            settings: the settings.
            sources: which find spaces.
            new_walk: returns a walk through a space.
            workers: returns the threads that walk through a space.
            before: the generation of the same settings before others were found; None after a reload.

        Raises:
            SettingsError: a key file can no longer be used.
        """
        configured = settings.configured_and(sources.discovery.found)
        spaces = {space.ref: space for space in configured if settings.serves(space)}

        def walk(space: Space) -> Walk:
            # Kept, because a walk remembers what the server's answers have shown.
            if before and before.spaces.get(space.ref) == space:
                return before.walks[space.ref]
            return _after_discovery(space, sources, new_walk(space))

        return cls(
            settings,
            spaces,
            settings.named,
            Targets(settings, configured),
            walks={ref: walk(space) for ref, space in spaces.items()},
            workers={ref: workers(space) for ref, space in spaces.items()},
        )

    def submit(self, refresh: Callable[[str], None], space: str) -> Future[None]:
        """Queue a call for a space of /metrics."""
        return self.workers[space].submit(refresh, space)

    def changed(self, before: "Generation", name: str, on_reload: OnReload, *, probed: bool) -> bool:
        """Return whether settings with one effect on reload changed for a space of /metrics, or of /probe."""
        old, new = before._space(name, probed=probed), self._space(name, probed=probed)  # noqa: SLF001 - same class
        # A space that is added or removed has no data that a setting could affect.
        if old is None or new is None:
            return False
        return before.settings.values_of(old, on_reload) != self.settings.values_of(new, on_reload)

    def _space(self, name: str, *, probed: bool) -> Space | None:
        return self.targets.named(name) if probed else self.spaces.get(name)


def _after_discovery(space: Space, sources: Sources, walk: Walk) -> Walk:
    """Return a walk that fails until the spaces below its own were found, if it is the root of some."""
    if not space.descendants:
        return walk

    def walk_after_discovery(cancelled: threading.Event, last: Snapshot | None) -> Snapshot:
        sources.require(space)
        return walk(cancelled, last)

    return walk_after_discovery


def new_walker(
    client: SharedClient,
    space: Space,
    settings: Settings,
    clock: Clock,
    on_page: OnPage = lambda *_: None,
    *,
    tally: Callable[..., Tally] = Tally,
    upstream: Callable[[], Collection[RegistryKey]] = tuple,
) -> Walker:
    """Return a walker through a space.

    Args:
        client: its client.
        space: the space.
        settings: the settings.
        clock: source of time.
        on_page: called after each page.
        tally: makes the tally of a walk.
        upstream: returns the registries of the space that are known to be UPSTREAM.
    """

    def new_tally(*times: Any) -> Tally:  # noqa: ANN401 - those of Tally
        return tally(
            *times,
            findings=settings.findings,
            findings_limit=settings.findings_limit,
            registries_limit=settings.registries_limit,
            stale_ages=settings.stale_ages,
            upstream=upstream(),
            label=client.client.label,
        )

    return Walker(
        _fetch_page(client, space),
        new_tally,
        clock,
        page_size=settings.page_size,
        concurrency=settings.concurrency,
        timeout=settings.refresh_timeout,
        on_page=partial(on_page, space.ref),
        label=client.client.label,
    )


def _fetch_page(client: SharedClient, space: Space) -> FetchPage:
    newest_first = listing_of(space)
    oldest_first = replace(newest_first, oldest_first=True)

    def fetch_page(query: PageQuery, deadline: float) -> Future[bytes]:
        listing = oldest_first if query.oldest_first else newest_first
        wait = partial(client.client.wait_for_turn, deadline)
        # The oldest walk first: walks that shared the rate evenly would all end late, or all time out.
        lane = client.walks.lane(space.ref, query.page)
        return client.workers.submit_in_turn(
            lane, deadline, wait, client.client.page, listing, query.page, query.size, deadline
        )

    return fetch_page


def view_of(space: Space, status: SpaceStatus, settings: Settings, listed: SpaceLists = NOT_LISTED) -> SpaceView:
    """Return what is exported of a space."""
    return SpaceView(
        status=status,
        refresh_interval=settings.cache_ttl,
        link=RegistryLink(settings.link_template, space.base_url, space.ref),
        owner=clean(space.owner),
        listed=listed,
    )
