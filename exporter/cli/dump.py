"""`har-exporter dump`: one refresh of every space."""

from collections.abc import Callable
from dataclasses import dataclass

from exporter.clock import Clock
from exporter.config.settings import Settings
from exporter.engine.app import App
from exporter.engine.generation import OnPage
from exporter.engine.once import read_once
from exporter.inventory.refresh import SpaceStatus
from exporter.metrics.source_families import SourceView


@dataclass(frozen=True, slots=True)
class Dump:
    """Result of refreshing every space once.

    Attributes:
        exposition: the families of the spaces and sources and the version, as text; a space that failed has `har_up` 0
            and no data.
        statuses: the status of every space.
        sources: the view of every source of every entry.
        seconds: how long it took.
        undiscovered: entries that end in `/**` whose spaces were not found.
    """

    exposition: bytes
    statuses: tuple[SpaceStatus, ...]
    sources: tuple[SourceView, ...]
    seconds: float
    undiscovered: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether every space succeeded, and those below every entry were found."""
        return all(status.up for status in self.statuses) and not self.undiscovered


def dump_spaces(
    settings: Settings,
    clock: Clock,
    *,
    on_page: OnPage,
    on_end: Callable[[SpaceStatus], None],
    on_start: Callable[[App], None] = lambda _: None,
) -> Dump:
    """Refresh every space; the arguments are those of `read_once`.

    Raises:
        SettingsError: a key file can no longer be used.
    """
    began = clock.monotonic()
    app = read_once(settings, clock, on_page=on_page, on_end=on_end, on_start=on_start)
    exposition = app.exposition.render_spaces() + app.exposition.render_version()
    undiscovered = tuple(app.sources.undiscovered())
    seconds = clock.monotonic() - began
    return Dump(exposition, app.refresher.statuses(), app.sources.views(), seconds, undiscovered)
