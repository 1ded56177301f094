"""Time to start."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing

from benchmarks.contest import Spread, rounds
from benchmarks.exporters import Scraper, serving
from benchmarks.listing import Listing
from benchmarks.process import environment
from benchmarks.table import Row, Section
from benchmarks.upstream import upstream

_REPETITIONS = 7


def sections(repetitions: int = _REPETITIONS) -> Iterator[Section]:
    """Start the exporter, ask for its help, and start Python alone, in turns."""
    with upstream() as url:
        turns = {"healthy": lambda: _healthy(url), "help": lambda: _run("-m", "exporter", "--help"),
                 "python": lambda: _run("-c", "")}  # fmt: skip
        measured = rounds(turns, repetitions)
    spreads = {name: Spread.of(seconds) for name, seconds in measured.seconds.items()}
    rows = (
        Row("start to the first response of /-/healthy", spreads["healthy"], "s", "at most", 0.7),
        Row("har-exporter --help", spreads["help"], "s", "at most", 0.5),
        Row("Python alone", spreads["python"], "s"),
    )
    yield Section("Start", rows)


def _healthy(url: str) -> float:
    began = time.perf_counter()
    with serving(url, Listing(0, 1_000).space) as served, closing(Scraper(served.port)) as scraper:
        scraper.get("/-/healthy")
        return time.perf_counter() - began


def _run(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment())
    return time.perf_counter() - began
