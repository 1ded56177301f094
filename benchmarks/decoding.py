"""CPU time per artifact for pages in memory."""

import gc
import json
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from benchmarks.contest import Spread, rounds, take_turns
from benchmarks.listing import Listing
from benchmarks.table import Row, Section
from exporter.harness.page import decode_page
from exporter.inventory.tally import Tally
from exporter.labels import FINDINGS

_SIZE = 1_000
_REPETITIONS = 7
_DAY = 86_400.0
_STALE_AGES = (7 * _DAY, 30 * _DAY, 90 * _DAY)
_Sums = dict[tuple[str, str], dict[str, Any]]


def sections(artifacts: int = 50_000) -> Iterator[Section]:
    """Compare the exporter with plain dictionaries."""
    listing = Listing(0, artifacts)
    pages = [listing.body(page, _SIZE) for page in range(listing.pages(_SIZE))]
    now = time.time()
    ours, plain, alone = "har-exporter", "json.loads and a loop over dictionaries", "json.loads alone"
    turns: dict[str, Callable[[], object]] = {
        ours: partial(tallied, pages, now),
        plain: partial(looped, pages, now),
        alone: partial(_parsed, pages),
    }
    measured = rounds({name: partial(_processor_time, turn) for name, turn in turns.items()}, _REPETITIONS)
    rows = [
        Row(f"{ours} / {plain}", measured.ratio(ours, plain), "x", "at most", 0.5),
        *(
            Row(f"{name}, per artifact", Spread.of([second / artifacts * 1e6 for second in seconds]), "µs")
            for name, seconds in measured.seconds.items()
        ),
    ]
    yield Section(f"CPU time of decoding and adding up, {_SIZE:,} per page", tuple(rows))


def tallied(pages: Sequence[bytes], now: float) -> int:
    """Decode and add up pages as the exporter does, and return the number of artifacts."""
    tally = Tally(
        now,
        findings=FINDINGS,
        findings_limit=500,
        registries_limit=500,
        stale_ages={str(age): age for age in _STALE_AGES},
    )
    for page in pages:
        tally.add(decode_page(page, now, rows_asked=_SIZE).artifacts)
    return tally.inventory().artifacts


def looped(pages: Sequence[bytes], now: float) -> int:
    """Add up pages with plain dictionaries, without detecting duplicates or listing findings.

    Returns:
        The number of artifacts.
    """
    registries: _Sums = {}
    for page in pages:
        for row in json.loads(page)["data"]["artifacts"]:
            if row.get("deletedAt") is None:
                _add(registries, row, now)
    return sum(sum(sums["artifacts"].values()) for sums in registries.values())


def _add(registries: _Sums, row: dict[str, Any], now: float) -> None:
    key = (row["registryIdentifier"], row["packageType"])
    sums = registries.get(key)
    if sums is None:
        sums = registries[key] = _zeros()
    cell = (row.get("scanStatus"), row.get("firewallMode"), row["isQuarantined"])
    sums["artifacts"][cell] = sums["artifacts"].get(cell, 0) + 1
    images = sums["images"]
    images[row["uuid"]] = max(images.get(row["uuid"], 0), row["downloadsCount"])
    sums["files"] += row["fileCount"]
    sums["digests"] += row["digestCount"]
    deployments = row["deploymentMetadata"]
    sums["prod"] += deployments["prodEnvCount"]
    sums["nonprod"] += deployments["nonProdEnvCount"]
    sums["modified"] = max(sums["modified"], int(row["lastModified"]))
    scanned = int(row["lastScannedAt"]) / 1000
    sums["newest"] = max(sums["newest"], scanned)
    sums["oldest"] = min(sums["oldest"], scanned)
    sums["ages"][bisect_left(_STALE_AGES, now - scanned)] += 1


def _zeros() -> dict[str, Any]:
    numbers = dict.fromkeys(("files", "digests", "prod", "nonprod", "modified", "newest"), 0)
    return {"artifacts": {}, "images": {}, "oldest": float("inf"), "ages": [0] * (len(_STALE_AGES) + 1), **numbers}


def _parsed(pages: Sequence[bytes]) -> None:
    for page in pages:
        json.loads(page)


def _processor_time(turn: Callable[[], object]) -> float:
    began = time.thread_time()
    turn()
    return time.thread_time() - began


if __name__ == "__main__":
    space, page_size = sys.argv[1:]
    walked = Listing.at(f"/spaces/{space}/")
    bodies = [walked.body(page, int(page_size)) for page in range(walked.pages(int(page_size)))]
    gc.freeze()  # as `serve` does
    take_turns(lambda: tallied(bodies, time.time()))
