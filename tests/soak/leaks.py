"""Scrapes and failing refreshes leak no resources."""

import itertools
import re
import threading
from collections.abc import Iterator

from tests.soak.process import Exporter, exporter, until
from tests.soak.promise import Promise, at_most, exactly
from tests.soak.scrapes import scrape
from tests.support.upstream import Upstream, cut, make_rows, redirect, reply, truncated

_SCRAPES = 20_000
_WARM_UP = 2_000
_FAILURES = 500
_SPACES = 100
_SCRAPERS = 4
_MEBIBYTE = 2**20


def rows() -> Iterator[Promise]:
    """Scrape while every refresh fails, in different ways."""
    names = [f"acct/org{number}" for number in range(_SPACES)]
    faults = itertools.cycle(
        [reply(500), reply(404), reply(200, "{"), truncated(b"{}"), redirect("http://x.invalid"), reply(401), cut()]
    )
    with Upstream(dict.fromkeys(names, make_rows(20))) as upstream, exporter(
        upstream.url, api_key=upstream.key, spaces=",".join(names), cache_ttl="1s", rate_limit="off", concurrency="1"
    ) as running:  # fmt: skip
        until(lambda: _sum(running, "har_up") == _SPACES)
        upstream.fault = lambda _: next(faults)
        failed = _scrapes(running, _WARM_UP)
        before, failures = running.usage(), _sum(running, "har_refresh_failures_total")
        done = _WARM_UP
        while done < _SCRAPES + _WARM_UP or _sum(running, "har_refresh_failures_total") - failures < _FAILURES:
            failed += _scrapes(running, _WARM_UP)
            done += _WARM_UP
        failures = _sum(running, "har_refresh_failures_total") - failures
        # The connection to the server may be open or closed, depending on the last fault.
        until(lambda: not _scrapes(running, _SCRAPERS) and running.usage().descriptors <= before.descriptors)
        after = running.usage()
    text = f"{done - _WARM_UP} scrapes, {failures:.0f} failed refreshes"
    yield exactly(f"{text}: failed scrapes", failed, 0)
    yield at_most(f"{text}: memory growth", (after.memory - before.memory) / _MEBIBYTE, 4, " MiB")
    yield at_most(f"{text}: descriptors", after.descriptors, before.descriptors)
    yield at_most(f"{text}: threads", after.threads, before.threads)


def _scrapes(running: Exporter, count: int) -> int:
    """Scrape a number of times, and return the number of failed scrapes."""
    failed: list[str] = []

    def run() -> None:
        faults = (scrape(running.address, timeout=0.6).fault for _ in range(count // _SCRAPERS))
        failed.extend(fault for fault in faults if fault)

    threads = [threading.Thread(target=run) for _ in range(_SCRAPERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(failed)


def _sum(running: Exporter, family: str) -> float:
    found = re.findall(rf"^{family}{{.*}} (\S+)$", scrape(running.address).body.decode(), re.MULTILINE)
    return sum(map(float, found))
