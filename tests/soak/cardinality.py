"""A space with a label value of its own in every row costs a bounded page and memory, and delays no other space."""

import json
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.soak.process import Exporter, exporter, until
from tests.soak.promise import Promise, at_most, exactly
from tests.soak.scrapes import scrape
from tests.support.upstream import Upstream, make_row, make_rows, reply

_ROWS = 100_000
_PAGE = 1_000
_SECONDS = 60.0
_MEBIBYTE = 2**20
_LARGE, _SMALL = "acct/large", "acct/small"
_REFRESH = re.compile(rb'^har_(snapshot_timestamp|refresh_duration)_seconds{space="acct/small"} (\S+)$', re.MULTILINE)


class _Measured(NamedTuple):
    """What a process with a large and a small space needs.

    Attributes:
        seconds: durations of the refreshes of the small space.
        page: size of the page, bytes.
        peak: peak memory of the process, bytes.
        artifacts: live artifact versions of the large space.
        dropped: its registries over the limit.
    """

    seconds: Sequence[float]
    page: int
    peak: int
    artifacts: float
    dropped: float


def rows() -> Iterator[Promise]:
    """Refresh a small space beside a large one, which has few label values, and then as many as it has rows."""
    few, many = _measured(_few), _measured(_many)
    text = f"{_ROWS:,} registries, package types, statuses and modes"
    yield exactly(f"{text}: artifacts in all series", many.artifacts, float(_ROWS))
    yield exactly(f"{text}: registries dropped", many.dropped, float(_ROWS - 500))
    yield at_most(f"{text}: page", many.page / _MEBIBYTE, 5, " MiB")
    yield at_most(f"{text}: peak memory", many.peak / _MEBIBYTE, 256, " MiB")
    longer = statistics.median(many.seconds) - statistics.median(few.seconds)
    yield at_most(f"{text}: a small space is refreshed later by, median of {len(many.seconds)}", longer, 0.02, " s")


def _few(number: int) -> Mapping[str, Any]:
    registry = f"registry-{number % 40:06}"
    return {
        "registryIdentifier": registry,
        "registryUUID": registry,
        "packageType": ("NPM", "MAVEN", "DOCKER", "PYTHON")[number % 4],
        "scanStatus": ("ALLOWED", "WARN", "BLOCKED")[number % 3],
        "firewallMode": ("ALLOW", "WARN", "BLOCK")[number % 3],
    }


def _many(number: int) -> Mapping[str, Any]:
    return {
        "registryIdentifier": f"registry-{number:06}",
        "registryUUID": f"9f0c1f5e-6a3f-4c56-9d2e-{number:012}",
        "packageType": f"TYPE_{number}",
        "scanStatus": f"STATUS_{number * 7_919 % _ROWS}",
        "firewallMode": f"MODE_{number * 104_729 % _ROWS}",
    }


def _measured(fields: Callable[[int], Mapping[str, Any]]) -> _Measured:
    pages = [_body(range(start, start + _PAGE), fields) for start in range(0, _ROWS, _PAGE)] + [_body((), fields)]

    def page(request: Any) -> Any:
        # Prepared: a server that sorts the listing for each page would be slower than the exporter.
        return reply(200, pages[int(request.query["page"][0])]) if "large" in request.path else None

    with Upstream({_LARGE: (), _SMALL: make_rows(100)}, fault=page) as upstream, exporter(
        upstream.url, api_key=upstream.key, spaces=f"{_LARGE},{_SMALL}", cache_ttl="1s", page_size=str(_PAGE),
        rate_limit="off",
    ) as running:  # fmt: skip
        until(lambda: b'har_up{space="acct/large"} 1.0' in scrape(running.address).body, 120)
        seconds = _refreshes(running)
        body = scrape(running.address).body
        return _Measured(
            seconds,
            len(body),
            running.peak(),
            _sum(body, "har_artifacts"),
            _sum(body, "har_registries_dropped"),
        )


def _body(numbers: Sequence[int], fields: Callable[[int], Mapping[str, Any]]) -> bytes:
    counts = {"fileCount": 1_000, "digestCount": 2, "deploymentMetadata": {"prodEnvCount": 1, "nonProdEnvCount": 2}}
    artifacts = [
        make_row(
            number,
            lastScannedAt=1_700_000_000_000 + number,
            isQuarantined=number % 100 == 0,
            **counts,
            **fields(number),
        )
        for number in numbers
    ]
    data = {"artifacts": artifacts, "itemCount": _ROWS, "pageSize": _PAGE}
    return json.dumps({"status": "SUCCESS", "data": data}).encode()


def _refreshes(running: Exporter) -> list[float]:
    """Scrape for some time, and return the durations of the refreshes of the small space."""
    seconds: dict[float, float] = {}
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        found = dict(_REFRESH.findall(scrape(running.address, timeout=0.6).body))
        if len(found) == 2:
            seconds[float(found[b"snapshot_timestamp"])] = float(found[b"refresh_duration"])
        time.sleep(0.2)
    return list(seconds.values())


def _sum(body: bytes, family: str) -> float:
    found = re.findall(rf'^{family}{{.*space="{_LARGE}".*}} (\S+)$'.encode(), body, re.MULTILINE)
    return sum(map(float, found))
