"""Endpoints of one space over a real socket; the test decides when its walk ends."""

import random
import threading
from contextlib import contextmanager

import requests

from exporter.engine.probes import Probes, Targets
from exporter.harness.counters import ApiCounters
from exporter.harness.envelope import Rejected
from exporter.inventory.refresh import Refresher
from exporter.inventory.snapshot import Inventory, Snapshot
from exporter.metrics.exposition import Exposition
from exporter.metrics.process_families import ProcessView
from exporter.metrics.space_families import SpaceView
from exporter.serving.endpoints import Endpoints
from exporter.serving.listener import listen
from exporter.serving.server import Server
from exporter.workers import Workers
from tests.support import threads
from tests.support.clocks import FakeClock
from tests.support.settings import settings_of


def snapshot() -> Snapshot:
    return Snapshot(1.0, 1.0, Inventory({}, (), 0, 7), 1, 100, 0, Rejected(), 7, complete=True)


class Running:
    """A server whose one walk ends when the test lets it."""

    def __init__(self):
        self.clock = FakeClock()
        self.go = threading.Event()
        self.begun = threading.Event()
        self.walks = 0
        self.error = None
        self.result = snapshot
        self.refresher = refresher = Refresher(
            {"acct": self._walk}, submit=Workers(1, "walk").submit, clock=self.clock, cache_ttl=300.0,
            max_stale=3600.0, jitter=random.Random(1),
        )  # fmt: skip
        exposition = Exposition(
            lambda: tuple(SpaceView(status, 300.0, str) for status in refresher.statuses()),
            lambda: ProcessView("1", "r", ApiCounters().read(), refresher.cache_counts(), True, 1.0, 0, 1, 0),
        )
        settings = settings_of(spaces="acct", api_key="pat.acct.id.key")
        probes = Probes(
            Targets(settings, settings.configured), refresher,
            new_refresher=None, view=lambda _, status: SpaceView(status, 300.0, str), clock=self.clock,
            max_stale=3600.0,
        )  # fmt: skip
        self.endpoints = endpoints = Endpoints(
            refresher, exposition, probes, clock=self.clock, scrape_timeout_offset=lambda: 0.5
        )
        sock = listen("127.0.0.1", 0)
        self.address = sock.getsockname()
        self.url = "http://{}:{}".format(*self.address)
        self.server = Server(endpoints, sock, on_shutdown=endpoints.stop, request_timeout=1.0)

    def _walk(self, *_):
        self.walks += 1
        self.begun.set()
        self.go.wait(20)
        if self.error:
            raise self.error
        return self.result()

    def get(self, path="/metrics", **options):
        return requests.get(self.url + path, timeout=20, **options)


@contextmanager
def served():
    running = Running()
    with threads.running(running.server):
        try:
            yield running
        finally:
            running.go.set()
