"""Exporter over an upstream, without its server."""

from concurrent.futures import wait

from exporter.config.sources import load
from exporter.engine.app import App
from tests.support.clocks import FakeClock
from tests.support.upstream import Upstream


def app_of(upstream: Upstream, clock: FakeClock, **more: str) -> App:
    settings = {"base_url": upstream.url, "api_key": upstream.key, "spaces": upstream.space, **more}
    return App(load({}, {f"HAR_EXPORTER_{name.upper()}": value for name, value in settings.items()}), clock)


def refreshed(app: App) -> dict:
    """Let every refresh that is due end, and return the statuses by space."""
    wait(app.refresher.scrape(10.0), timeout=20)
    return {status.space: status for status in app.refresher.statuses()}
