"""Generation: everything that lives as long as one set of settings."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial

from exporter.clock import Clock
from exporter.config.settings import OnReload, Settings
from exporter.config.spaces import Space
from exporter.engine.clients import Clients, SharedClient, listing_of
from exporter.engine.probes import Targets
from exporter.inventory.passes import PageQuery
from exporter.inventory.refresh import SpaceStatus, Walk
from exporter.inventory.tally import Tally
from exporter.inventory.walk import FetchPage, Walker
from exporter.labels import clean
from exporter.metrics.links import RegistryLink
from exporter.metrics.space_families import SpaceView
from exporter.workers import Workers

OnPage = Callable[[str, int, int | None], None]
"""Called after each page of a walk with the space, the rows so far, and the reported rows, if any."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What lives as long as one set of settings.

    Attributes:
        settings: the settings.
        spaces: the spaces of /metrics by name.
        targets: the spaces that /probe may ask for.
        walks: the walk of each space of /metrics.
        workers: the threads that each of these walks runs on.
    """

    settings: Settings
    spaces: Mapping[str, Space]
    targets: Targets
    walks: Mapping[str, Walk]
    workers: Mapping[str, Workers]

    @classmethod
    def of(cls, settings: Settings, clients: Clients, clock: Clock, on_page: OnPage) -> "Generation":
        """Return the generation of some settings.

        Raises:
            SettingsError: a key file can no longer be used.
        """
        spaces = {space.ref: space for space in settings.served}
        return cls(
            settings,
            spaces,
            Targets(settings),
            walks={
                name: new_walker(clients.of(space, settings), space, settings, clock, on_page).walk
                for name, space in spaces.items()
            },
            workers={name: clients.walk_workers(space, settings) for name, space in spaces.items()},
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


def new_walker(
    client: SharedClient,
    space: Space,
    settings: Settings,
    clock: Clock,
    on_page: OnPage = lambda *_: None,
    *,
    tally: Callable[..., Tally] | None = None,
) -> Walker:
    """Return a walker through a space."""
    return Walker(
        _fetch_page(client, space),
        partial(
            tally or Tally,
            findings=settings.findings,
            findings_limit=settings.findings_limit,
            registries_limit=settings.registries_limit,
            stale_ages=settings.stale_ages,
            label=client.client.label,
        ),
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
        # The oldest walk first: walks that shared the rate evenly would all end late, or all time out.
        wait = partial(client.client.wait_for_turn, deadline)
        return client.workers.submit_in_turn(
            deadline, wait, client.client.page, listing, query.page, query.size, deadline
        )

    return fetch_page


def view_of(space: Space, status: SpaceStatus, settings: Settings) -> SpaceView:
    """Return what is exported of a space."""
    return SpaceView(
        status=status,
        refresh_interval=settings.cache_ttl,
        link=RegistryLink(settings.link_template, space.base_url, space.ref),
        owner=clean(space.owner),
    )
