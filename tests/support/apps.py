"""Exporter over an upstream, without its server."""

from concurrent.futures import wait

from exporter.engine.app import App
from exporter.metrics.exposition import TEXT
from tests.support.clocks import FakeClock
from tests.support.commands import settings_for
from tests.support.settings import settings_of
from tests.support.upstream import Upstream


def app_of(upstream: Upstream, clock: FakeClock, **more: str) -> App:
    return App(settings_of(**settings_for(upstream, **more)), clock)


def settled(app: App) -> str:
    """Let everything that is due be read, with a clock that stands still, and return what a scrape then shows."""
    app.sources.refresh()
    app.sources.finish()
    refreshed(app)
    return b"".join(app.exposition.render(TEXT).parts).decode()


def refreshed(app: App) -> dict:
    """Let every refresh that is due end, and return the statuses by space."""
    wait(app.refresher.scrape(10.0), timeout=20)
    return {status.space: status for status in app.refresher.statuses()}
