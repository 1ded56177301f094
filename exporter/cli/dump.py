"""`har-exporter dump`: one refresh of every space."""

from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import dataclass
from math import inf

from exporter.clock import Clock
from exporter.config.settings import Settings
from exporter.engine.app import App
from exporter.engine.generation import OnPage
from exporter.inventory.refresh import SpaceStatus


@dataclass(frozen=True, slots=True)
class Dump:
    """Result of refreshing every space once.

    Attributes:
        exposition: the families of the spaces and the version, as text; a space that failed has `har_up` 0 and no data.
        statuses: the status of every space.
        seconds: how long it took.
    """

    exposition: bytes
    statuses: tuple[SpaceStatus, ...]
    seconds: float

    @property
    def whole(self) -> bool:
        """Whether every space succeeded."""
        return all(status.up for status in self.statuses)


def dump_spaces(settings: Settings, clock: Clock, *, on_page: OnPage, on_end: Callable[[SpaceStatus], None]) -> Dump:
    """Refresh every space, several at once.

    Args:
        settings: valid settings.
        clock: source of time.
        on_page: called after each page.
        on_end: called with each space after its refresh, successful or not.

    Raises:
        SettingsError: a key file can no longer be used.
    """
    began = clock.monotonic()
    # The data of the first space must not expire while the last space is refreshed.
    settings = settings.model_copy(update={"max_stale": inf})
    app = App(settings, clock, on_page, on_refresh=on_end)
    wait(app.refresher.start())
    exposition = app.exposition.render_spaces() + app.exposition.render_version()
    return Dump(exposition, app.refresher.statuses(), clock.monotonic() - began)
