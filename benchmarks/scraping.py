"""Scrapes of /metrics with 10,000 series, compared with the pushgateway, and during a walk."""

import re
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from benchmarks.contest import Measured, Spread, rounds
from benchmarks.exporters import Scraper, serving, until
from benchmarks.listing import Listing
from benchmarks.process import running
from benchmarks.table import Row, Section
from benchmarks.upstream import upstream

_SERIES = Listing(0, 10_000, registries=330)
_LARGE = Listing(0, 1_000_000)
_PUSHGATEWAY = "prometheus-pushgateway"
_REPETITIONS = 100
_WALKS = 3
_IDLE_SCRAPES = 200
_PAUSE = 0.005
_OF_SPACES = re.compile(rb"(?:# (?:HELP|TYPE) )?har_(?!exporter_)")


def sections(series: Listing = _SERIES, large: Listing = _LARGE, repetitions: int = _REPETITIONS) -> Iterator[Section]:
    """Scrape the exporter in turns with the pushgateway, and then during a walk."""
    with upstream() as url:
        with serving(url, series.space) as served, _ready(served.port) as scraper:
            page = scraper.get()
            number = sum(not line.startswith(b"#") for line in page.splitlines())
            yield _beside_pushgateway(served.port, page, f"/metrics with {number:,} series", repetitions)
        # One walk in advance, so that the upstream has prepared all pages.
        with serving(url, large.space) as served, _ready(served.port):
            pass
        yield _while_walking(url, series, large)


def _beside_pushgateway(port: int, page: bytes, title: str, repetitions: int) -> Section:
    with ExitStack() as stack:
        ports = {"har-exporter": port}
        if shutil.which(_PUSHGATEWAY):
            ports[_PUSHGATEWAY] = stack.enter_context(_pushgateway(page))
        turns = {
            f"{name}, {encoding}": stack.enter_context(closing(Scraper(port, gzip=encoding == "gzip"))).seconds
            for name, port in ports.items()
            for encoding in ("plain", "gzip")
        }
        measured = rounds(turns, repetitions)
    missing = () if _PUSHGATEWAY in ports else (f"Omitted: {_PUSHGATEWAY} is not installed.",)
    return Section(title, tuple(_rows(measured)), missing)


def _rows(measured: Measured) -> Iterator[Row]:
    for encoding in ("plain", "gzip"):
        ours, peer = f"har-exporter, {encoding}", f"{_PUSHGATEWAY}, {encoding}"
        if peer in measured.seconds:
            yield Row(f"{_PUSHGATEWAY} / har-exporter, {encoding}", measured.ratio(peer, ours), "x", "at least", 5.0)
    for name, seconds in measured.seconds.items():
        yield Row(f"{name}, duration", Spread.of([1000 * second for second in seconds]), "ms")


@contextmanager
def _pushgateway(page: bytes) -> Iterator[int]:
    """Run a pushgateway with the series of the spaces; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with running([_PUSHGATEWAY, f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]):
        series = b"".join(line for line in page.splitlines(keepends=True) if _OF_SPACES.match(line))
        request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics/job/benchmark", series, method="PUT")
        until(lambda: _sent(request))
        yield port


def _sent(request: urllib.request.Request) -> bool:
    try:
        with urllib.request.urlopen(request, timeout=10):
            return True
    except urllib.error.HTTPError:
        raise
    except urllib.error.URLError:
        return False


def _while_walking(url: str, series: Listing, large: Listing) -> Section:
    walking: list[float] = []
    idle: list[float] = []
    for _ in range(_WALKS):
        with serving(url, f"{series.space},{large.space}") as served, closing(Scraper(served.port)) as scraper:
            until(lambda: _known(series) in scraper.get())
            while _known(large) not in scraper.get():
                walking.append(scraper.seconds())
                time.sleep(_PAUSE)
            for _ in range(_IDLE_SCRAPES):
                idle.append(scraper.seconds())
                time.sleep(_PAUSE)
    text = "99th percentile of {} scrapes"
    rows = (
        Row(text.format(len(walking)), _once(_p99(walking)), "ms", "at most", max(15.0, 10 * _p99(idle))),
        Row(f"{text.format(len(idle))} without a walk", _once(_p99(idle)), "ms"),
    )
    return Section(f"/metrics during a walk of {large.artifacts:,} artifacts, 0 ms latency", rows)


def _known(listing: Listing) -> bytes:
    """Return text that a page contains after the first walk through a listing."""
    return f'har_snapshot_artifacts{{source="fetched",space="{listing.space}"}} '.encode()


@contextmanager
def _ready(port: int) -> Iterator[Scraper]:
    with closing(Scraper(port)) as scraper:
        until(lambda: scraper.get("/-/ready") == b"OK\n")
        yield scraper


def _p99(seconds: list[float]) -> float:
    """Return the 99th percentile, in milliseconds."""
    return sorted(seconds)[int(len(seconds) * 0.99)] * 1000


def _once(figure: float) -> Spread:
    return Spread(figure, figure, figure)
