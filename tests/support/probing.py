"""The exporter inside the test's process, asked for one space after the other."""

import contextlib

import requests

from exporter.config.settings import Settings
from exporter.engine.app import App
from tests.support import whole
from tests.support.clocks import FakeClock
from tests.support.commands import settings_for
from tests.support.settings import settings_of
from tests.support.upstream import Upstream

TIMEOUT = "X-Prometheus-Scrape-Timeout-Seconds"


class Probed:
    """What is asked.

    Attributes:
        app: its inside.
        clock: its clock.
        url: where it listens.
    """

    def __init__(self, front: whole.Front, settings: Settings) -> None:
        self.clock = FakeClock()
        self.app = App(settings, self.clock)
        self.endpoints = front.endpoints = whole.endpoints_of(self.app, self.clock)
        self.url = front.url

    @property
    def kept(self) -> list[str]:
        """The targets that are kept, the one first that was not asked for longest."""
        return list(self.app.probes._kept)

    def ask(self, space: str, timeout: float = whole.PATIENCE, **headers: str) -> requests.Response:
        """Ask for one space."""
        headers = {TIMEOUT: str(timeout), **headers}
        return requests.get(f"{self.url}/probe", params={"space": space}, headers=headers, timeout=whole.PATIENCE)

    def probe(self, space: str, timeout: float = whole.PATIENCE) -> whole.Scrape:
        """Return the series of one space."""
        answer = self.ask(space, timeout)
        assert answer.status_code == 200
        return whole.Scrape(answer.text)

    def metrics(self, timeout: float = whole.PATIENCE) -> whole.Scrape:
        """Return the series of /metrics."""
        return whole.Scrape(requests.get(f"{self.url}/metrics", headers={TIMEOUT: str(timeout)}, timeout=20).text)


def probed(front: whole.Front, upstream: Upstream, **more: str) -> Probed:
    """Run the exporter over an upstream, with more settings as texts."""
    return Probed(front, settings_of(**settings_for(upstream, **{"spaces": "acct", "rate_limit": "off", **more})))


@contextlib.contextmanager
def held(upstream: Upstream, gate):
    """Let no answer of an upstream go before the block ends."""
    upstream.hold = gate
    try:
        yield
    finally:
        gate.set()
