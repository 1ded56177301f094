"""`har-exporter dump`: walks through every space once."""

from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import dataclass
from math import inf

from exporter.clock import Clock
from exporter.config.settings import Settings
from exporter.engine.app import App, OnPage
from exporter.inventory.refresh import SpaceStatus


@dataclass(frozen=True, slots=True)
class Dump:
    """What came of walking through every space.

    Attributes:
        exposition: the families of the spaces, as text; a space that failed has `har_up` 0 and no data.
        statuses: what is known of every space.
        seconds: how long it took.
    """

    exposition: bytes
    statuses: tuple[SpaceStatus, ...]
    seconds: float

    @property
    def whole(self) -> bool:
        """Whether there is data of every space."""
        return all(status.up for status in self.statuses)


def dump_spaces(settings: Settings, clock: Clock, *, on_page: OnPage, on_end: Callable[[SpaceStatus], None]) -> Dump:
    """Walk through every space, several at once.

    Args:
        settings: valid settings.
        clock: where the time comes from.
        on_page: told of each page.
        on_end: told of each space once its walk has ended, well or not.

    Raises:
        SettingsError: a key file cannot be used any more.
    """
    began = clock.monotonic()
    # The walk of the last space may take longer than the data of the first one would be served.
    settings = settings.model_copy(update={"max_stale": inf})
    app = App(settings, clock, on_page, tell=on_end)
    wait(app.refresher.start())
    return Dump(app.exposition.render_spaces(), app.refresher.statuses(), clock.monotonic() - began)
