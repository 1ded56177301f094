"""Walk of the exporter, from settings to a snapshot, on new connections each time."""

import gc
import sys
from concurrent.futures import wait

from benchmarks.contest import take_turns
from exporter import log
from exporter.clock import SystemClock
from exporter.config.settings import Settings
from exporter.config.sources import load
from exporter.engine.app import App

KEY = "pat.AbCdEfGhIjKlMnOpQrStUv.64f1c2d3e4f5a6b7c8d9e0f1.Zk3mPq9sTvWxYz012345"
"""As long as a real key, because every response is searched for it."""


def settings(url: str, space: str, size: int, connections: int) -> Settings:
    """Return settings for the fastest walk through a listing."""
    flags = {
        "base_url": url,
        "spaces": space,
        "page_size": str(size),
        "concurrency": str(connections),
        "rate_limit": "off",
        "sources": "off",
    }
    return load(flags, {"HAR_EXPORTER_API_KEY": KEY})


def walk(settings: Settings) -> int:
    """Walk through a listing once, and return the number of artifacts."""
    app = App(settings, SystemClock())
    wait(app.refresher.start())
    (status,) = app.refresher.statuses()
    if status.snapshot is None or not status.snapshot.complete:
        raise RuntimeError(f"incomplete walk: {status.last_failure}")
    return status.snapshot.inventory.artifacts


if __name__ == "__main__":
    log.configure("error", "logfmt")
    url, space, size, connections = sys.argv[1:]
    configured = settings(url, space, int(size), int(connections))
    gc.freeze()  # as `serve` does
    take_turns(lambda: walk(configured))
