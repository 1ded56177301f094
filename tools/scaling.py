"""Generated tables of docs/scaling.md: `make scaling` writes them, and a test compares them with the code."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from tools.plans import HOUR, Outcome, Plan, run
from tools.simulation import MINUTE
from tools.tables import render, table

PAGE = Path(__file__).parent.parent / "docs" / "scaling.md"

SERIES_OF_SPACE = 35
SERIES_OF_REGISTRY = 23
SERIES_OF_CELL = 2
SERIES_OF_FINDING = 5
BYTES_OF_ARTIFACT = 110
BYTES_OF_IMAGE = 230
BASE_MEBIBYTES = 85

PAGE_SIZES = (1_000, 100)


def _equal(spaces: int, artifacts: int) -> Mapping[str, int]:
    return {f"account/org/project_{number}": artifacts for number in range(spaces)}


ESTATES: Mapping[str, Mapping[str, int]] = {
    "10,000 in one space": _equal(1, 10_000),
    "10,000 in 200 spaces": _equal(200, 50),
    "100,000 in one space": _equal(1, 100_000),
    "1,000,000 in one space": _equal(1, 1_000_000),
    "1,000,000 in 10 spaces": _equal(10, 100_000),
    "10,000,000 in 10 spaces": _equal(10, 1_000_000),
}
"""Artifacts by space, all with the same key, by the name of the row."""


def series_of_space(cells: Sequence[int], findings: int = 0, second_reasons: int = 0) -> int:
    """Return the series of one space whose artifacts have every field.

    Args:
        cells: pairs of scan status and firewall mode of each registry and package type, including those at 0.
        findings: number of findings.
        second_reasons: findings of two kinds: quarantined, and blocked or warn.
    """
    registries = sum(SERIES_OF_REGISTRY + SERIES_OF_CELL * number for number in cells)
    return SERIES_OF_SPACE + registries + SERIES_OF_FINDING * findings + second_reasons


def plan_of(estate: str, page_size: int) -> Plan:
    """Return the plan of a row with the default settings."""
    return Plan(estate=ESTATES[estate], page_size=page_size)


@cache
def outcome_of(estate: str, page_size: int) -> Outcome:
    """Return the outcome of a row, simulated once."""
    return run(plan_of(estate, page_size))


def mebibytes_of(plan: Plan) -> float:
    """Return the memory that a process needs at most: while as many walks as may run read the most images."""
    largest = sorted(plan.estate.values(), reverse=True)[: plan.concurrency]
    return BASE_MEBIBYTES + BYTES_OF_IMAGE * sum(largest) / 2**20


def _time(seconds: float) -> str:
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE:.0f} min" if seconds < 2 * HOUR else f"{seconds / HOUR:.1f} h"


def sizes() -> str:
    def cells(estate: str, page_size: int) -> Iterator[str]:
        plan = plan_of(estate, page_size)
        requests = f"{sum(plan.requests.values()):,}"
        if not plan.fits:
            yield from ("too old", requests, "")
            return
        outcome = outcome_of(estate, page_size)
        yield from (_time(outcome.known_within(0.95)), requests, f"{outcome.requests_an_hour:,.0f}")

    def row(estate: str) -> Iterator[str]:
        yield estate
        for page_size in PAGE_SIZES:
            yield from cells(estate, page_size)
        yield f"{mebibytes_of(plan_of(estate, 100)):,.0f} MiB"

    heads = ("{:,} per page: known within", "requests of a lap", "an hour")
    head = ("artifacts", *(head.format(size) for size in PAGE_SIZES for head in heads), "memory")
    return table(head, map(row, ESTATES))


def series() -> str:
    """List the series of spaces with 5 scanned registries of one firewall mode each, and 50 findings."""

    def rows() -> Iterator[tuple[str, ...]]:
        for spaces in (10, 100, 1_000):
            number = spaces * series_of_space([4] * 5, findings=50)
            samples = number / 60
            gigabytes = samples * 86_400 * 15 * 1.5 / 1e9
            yield f"{spaces:,}", f"{number:,}", f"{samples:,.0f}", f"{gigabytes:.1f} GB"

    return table(("spaces", "series", "samples per second at 1m", "disk for 15 days"), rows())


PARTS: Mapping[str, Callable[[], str]] = {"sizes": sizes, "series": series}

if __name__ == "__main__":
    PAGE.write_text(render(PAGE, PARTS))
