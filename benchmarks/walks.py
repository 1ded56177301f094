"""Walks of 100,000 artifacts with 8 pages in flight: the exporter compared with other programs."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.contest import Measured, Spread, rounds, turn_of
from benchmarks.listing import Listing
from benchmarks.process import running
from benchmarks.table import Row, Section
from benchmarks.upstream import upstream

_CONNECTIONS = 8
_SOURCE = Path(__file__).with_name("walk.go")

OURS = "har-exporter"
NAIVE = "naive script"
CURL = "curl --parallel"
GO = "typed Go"
DRAIN = "drain"
DRAIN_IN_ORDER = "drain in order"
ADDING = "adding up"
FETCHING = "fetching"


class Course(NamedTuple):
    """Listing to walk through, and the targets.

    Attributes:
        listing: the listing.
        size: rows per page.
        repetitions: number of rounds that count.
        drain: how many times as long as the drain in order a walk may take; None for no target.
        go: the same of the Go program.
        naive: required speed-up over the naive script, which runs only without latency; None for no target.
    """

    listing: Listing
    size: int
    repetitions: int
    drain: float | None = None
    go: float | None = None
    naive: float | None = None

    @property
    def title(self) -> str:
        """Heading of the table."""
        rows = f"{self.listing.artifacts:,} artifacts, {self.size:,} per page"
        return f"Walk of {rows}, {self.listing.milliseconds} ms latency, {_CONNECTIONS} in flight"


COURSES = (
    Course(Listing(20, 100_000), 1_000, 7, drain=2.2, go=0.95),
    Course(Listing(20, 100_000), 100, 3, drain=1.1, go=1.05),
    Course(Listing(0, 100_000), 1_000, 5, naive=2.0),
    Course(Listing(0, 100_000), 100, 5),
)


def sections(courses: Sequence[Course] = COURSES) -> Iterator[Section]:
    """Run each course, with all contestants taking turns."""
    with _go_program() as go:
        for course in courses:
            with upstream() as url, _turns(course, url, go) as turns:
                measured = rounds(turns, course.repetitions)
            missing = tuple(f"Omitted: {name} is not installed." for name in (CURL, GO) if name not in turns)
            yield Section(course.title, tuple(_rows(course, measured)), missing)


@contextmanager
def _turns(course: Course, url: str, go: str | None) -> Iterator[Mapping[str, Callable[[], float]]]:
    size, connections = str(course.size), str(_CONNECTIONS)
    address = f"{url}/har/api/v1/spaces/{course.listing.space}/+/artifacts"
    artifacts, pages = course.listing.artifacts, course.listing.pages(course.size)
    python = [sys.executable, "-m"]
    contestants = {
        DRAIN: ([*python, "benchmarks.drain", address, size, connections, "at-once"], pages),
        DRAIN_IN_ORDER: ([*python, "benchmarks.drain", address, size, connections, "in-order"], pages + 1),
        ADDING: ([*python, "benchmarks.decoding", course.listing.space, size], artifacts),
        OURS: ([*python, "benchmarks.ours", url, course.listing.space, size, connections], artifacts),
    }
    if not course.listing.milliseconds:
        contestants[NAIVE] = ([*python, "benchmarks.naive", address, size], artifacts)
        contestants[FETCHING] = ([*python, "benchmarks.fetching", address, size], pages)
    if go:
        contestants[GO] = ([go, address, size, connections], artifacts)
    with ExitStack() as stack:

        def turn(command: Sequence[str], result: int) -> Callable[[], float]:
            return partial(turn_of, stack.enter_context(running(command)), result)

        turns = {name: turn(*contestant) for name, contestant in contestants.items()}
        if shutil.which("curl"):
            turns[CURL] = partial(_curl, f"{address}?page=[0-{pages - 1}]&size={size}")
        yield turns


def _curl(urls: str) -> float:
    began = time.perf_counter()
    command = ["curl", "--no-progress-meter", "--fail", "--parallel", "--parallel-max", str(_CONNECTIONS)]
    subprocess.run([*command, "--output", "/dev/null", urls], check=True)
    return time.perf_counter() - began


@contextmanager
def _go_program() -> Iterator[str | None]:
    """Build the Go program; yields its path, or None without Go."""
    if not shutil.which("go"):
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/walk"
        subprocess.run(["go", "build", "-o", program, str(_SOURCE)], check=True)
        yield program


def _rows(course: Course, measured: Measured) -> Iterator[Row]:
    if course.listing.milliseconds:
        for name, limit in ((DRAIN_IN_ORDER, course.drain), (GO, course.go), (CURL, None)):
            if name in measured.seconds:
                yield Row(f"{OURS} / {name}", measured.ratio(OURS, name), "x", *_target("at most", limit))
        yield Row(f"{ADDING} / {DRAIN_IN_ORDER}", measured.ratio(ADDING, DRAIN_IN_ORDER), "x")
    else:
        yield Row(f"{NAIVE} / {OURS}", measured.ratio(NAIVE, OURS), "x", *_target("at least", course.naive))
        yield Row(f"{NAIVE} / ({ADDING} + {FETCHING})", measured.ratio(NAIVE, ADDING, FETCHING), "x")
    yield _upstream_check(course, measured)
    for name, seconds in measured.seconds.items():
        yield Row(f"{name}, duration", Spread.of([1000 * second for second in seconds]), "ms")


def _target(bound: str, limit: float | None) -> tuple[str, float] | tuple[()]:
    return (bound, limit) if limit else ()


def _upstream_check(course: Course, measured: Measured) -> Row:
    """Return the row that shows whether the upstream is fast enough not to limit the contestants."""
    if not course.listing.milliseconds:
        return Row(f"check of the upstream: {DRAIN} / {OURS}", measured.ratio(DRAIN, OURS), "x", "at most", 0.33)
    distance = -(-course.listing.pages(course.size) // _CONNECTIONS) * course.listing.milliseconds / 1000
    over = Spread.of([second / distance for second in measured.seconds[DRAIN]])
    return Row(f"check of the upstream: {DRAIN} / latency only", over, "x", "at most", 1.2)
