"""One refresh of every space and one read of every source, for commands that end."""

from collections.abc import Callable
from concurrent.futures import wait
from math import inf

from exporter.clock import Clock
from exporter.config.settings import Settings
from exporter.engine.app import App
from exporter.engine.generation import OnPage
from exporter.inventory.refresh import SpaceStatus


def read_once(
    settings: Settings,
    clock: Clock,
    *,
    on_page: OnPage = lambda *_: None,
    on_end: Callable[[SpaceStatus], None] = lambda _: None,
    on_start: Callable[[App], None] = lambda _: None,
    firewall_modes: bool = True,
) -> App:
    """Refresh every space, several at once, and return the exporter that holds what was read.

    Args:
        settings: valid settings.
        clock: source of time.
        on_page: called after each page.
        on_end: called with each space after its refresh, successful or not.
        on_start: called with the exporter once the spaces below entries were found, before any is refreshed.
        firewall_modes: also read all firewall modes, which takes a request for each UPSTREAM registry.

    Raises:
        SettingsError: a key file can no longer be used, or `on_start` raised it.
        Stopped: the process is shutting down.
    """
    # The data of the first space must not expire while the last space is refreshed, and nothing is read again: a space
    # that is found meanwhile would stay unread.
    endless = dict.fromkeys(("max_stale", "registries_ttl", "violations_ttl"), inf)
    app = App(settings.model_copy(update=endless), clock, on_page, on_refresh=on_end)
    wait(app.sources.start())
    on_start(app)
    wait(app.refresher.scrape(inf))
    app.sources.finish(firewall_modes=firewall_modes)
    return app
