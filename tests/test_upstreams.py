"""Servers and keys: what is shared among those who open them."""

import threading

from clocks import FakeClock

from exporter.counters import ApiCounters
from exporter.settings import load
from exporter.throttle import Throttle
from exporter.upstreams import Upstreams

PATIENCE = 0.2  # enough for a server to be opened, where nothing holds that up


def settings(key: str):
    return load({}, {"HAR_EXPORTER_SPACES": "acct", "HAR_EXPORTER_API_KEY": key})


def test_limits_change_while_walks_of_probes_open_servers(monkeypatch):
    """What is opened meanwhile waits, and does not disturb."""
    upstreams = Upstreams(settings("a"), FakeClock(), ApiCounters())
    opened = [upstreams.of(*settings(key).served, settings(key)) for key in "ab"]
    late = settings("c")
    opening = threading.Thread(target=lambda: opened.append(upstreams.of(*late.served, late)))
    limit = Throttle.limit

    def limit_slowly(throttle, rate):
        if opening.ident is None:
            opening.start()
            opening.join(PATIENCE)
        limit(throttle, rate)

    monkeypatch.setattr(Throttle, "limit", limit_slowly)
    upstreams.limit(late)
    opening.join(20)
    assert len(opened) == 3
