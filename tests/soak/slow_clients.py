"""Stalled clients do not delay scrapes, and leak no resources."""

from collections.abc import Iterator

from tests.soak.crowd import crowd
from tests.soak.process import Exporter, exporter, until
from tests.soak.promise import Promise, at_most, exactly
from tests.soak.scrapes import p99, patience, request, scrape, scrape_for
from tests.support.upstream import Upstream, make_rows

_CLIENTS = 200
_SECONDS = 20.0
_HEADER_SECONDS = 6.0
_UNREAD_BYTES = 160 * 1024
_KINDS = {
    "never finish their headers": request(10)[:-2],
    "are idle": request(10, "/-/healthy", close=False),
    "do not read": request(10),
}


def rows() -> Iterator[Promise]:
    """Scrape a page of several megabytes next to 200 clients of each kind."""
    rows = make_rows(10_000, isQuarantined=True, quarantineReason="CVE " * 40)
    with Upstream(rows) as upstream, exporter(
        upstream.url, api_key=upstream.key, spaces=upstream.space, findings_limit="10000", cache_ttl="1h"
    ) as running:  # fmt: skip
        until(lambda: b'har_up{space="acct"} 1.0' in scrape(running.address).body)
        limit = patience(scrape_for(5.0, running.address))
        for kind, sent in _KINDS.items():
            yield from _promises(running, kind, sent, limit)


def _promises(running: Exporter, kind: str, sent: bytes, limit: float) -> Iterator[Promise]:
    before = running.usage()
    with crowd(running.address, _CLIENTS, sent, reads=kind != "do not read") as lives:
        scrapes = scrape_for(_SECONDS, running.address)
        memory = running.usage().memory - before.memory
    yield exactly(
        f"{_CLIENTS} clients {kind}: failed scrapes of {len(scrapes)}", sum(bool(done.fault) for done in scrapes), 0
    )
    yield at_most(f"{_CLIENTS} clients {kind}: 99th percentile of scrapes", p99(scrapes), limit, " s")
    if kind == "never finish their headers":
        yield at_most("they are closed within", max(lives, default=_SECONDS), _HEADER_SECONDS, " s")
    yield at_most(
        f"{_CLIENTS} clients {kind}: memory per client", memory / _CLIENTS / 1024, _UNREAD_BYTES / 1024, " KiB"
    )
    until(lambda: running.usage().descriptors <= before.descriptors)
    after = running.usage()
    yield at_most(f"{_CLIENTS} clients {kind}: descriptors afterwards", after.descriptors, before.descriptors)
    yield at_most(f"{_CLIENTS} clients {kind}: threads afterwards", after.threads, before.threads)
