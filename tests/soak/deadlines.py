"""Scrapes are answered before their timeout even if the upstream hangs."""

import time
from collections.abc import Iterator, Sequence

from tests.soak.process import exporter, until
from tests.soak.promise import Promise, at_most, exactly
from tests.soak.scrapes import Scrape, scrape, scrape_for
from tests.support.upstream import Upstream, make_rows

_OFFSET = 0.5
_MARGIN = 0.05
_TIMEOUTS = {0.1: 20, 0.5: 20, 1: 6, 2: 4, 10: 2}  # with the number of scrapes


def rows() -> Iterator[Promise]:
    """Scrape while the upstream hangs: without a snapshot, and with one that is due."""
    with Upstream(make_rows(300)) as upstream:
        settings = {"api_key": upstream.key, "spaces": upstream.space, "cache_ttl": "1s", "request_timeout": "1h"}
        upstream.hold = _Forever()
        with exporter(upstream.url, **settings) as running:
            yield from _promises_of_all("cold", running.address)
        upstream.hold = None
        with exporter(upstream.url, **settings) as running:
            until(lambda: b'har_up{space="acct"} 1.0' in scrape(running.address).body)
            upstream.hold = _Forever()
            # No pause: after an idle second even 1 ms of Python can take 50 ms on a virtual machine.
            yield from _promises("becoming due", 0.1, scrape_for(1.5, running.address, timeout=0.1))
            yield from _promises_of_all("due", running.address)


class _Forever:
    """Event that is never set, so that no response is sent."""

    def wait(self, _: float) -> None:
        time.sleep(120)


def _promises_of_all(state: str, address: tuple[str, int]) -> Iterator[Promise]:
    for timeout, times in _TIMEOUTS.items():
        yield from _promises(state, timeout, [scrape(address, timeout) for _ in range(times)])


def _promises(state: str, timeout: float, scrapes: Sequence[Scrape]) -> Iterator[Promise]:
    worst = max(scrape.seconds for scrape in scrapes)
    limit = timeout - _MARGIN if timeout > _OFFSET else _MARGIN
    yield at_most(f"{state}, upstream hangs, timeout {timeout} s: answered within", worst, limit, " s")
    yield exactly(f"{state}, timeout {timeout} s: failed scrapes", sum(bool(scrape.fault) for scrape in scrapes), 0)
