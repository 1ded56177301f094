"""A page beyond the size cap costs a bounded amount of memory, measured at the real process."""

import gzip
import random
import re
import time
from pathlib import Path

import pytest
import requests

from tests.support.amplified import body_of
from tests.support.commands import served
from tests.support.faults import GOOD, MEGABYTE, endless, says
from tests.support.rawserver import HEAD, RawServer

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells peaks of memory")

EMPTY = gzip.compress(b"")
NOISE = random.Random(1).randbytes(16 * MEGABYTE - 100_000)

OVERSIZED = {
    "gzip bomb": says(gzip.compress(bytes(200 * MEGABYTE), 1), "Content-Encoding: gzip"),
    "gzip that is as large as its content": says(gzip.compress(NOISE + bytes(MEGABYTE), 1), "Content-Encoding: gzip"),
    "endless": endless(HEAD + b"\r\n", b" " * MEGABYTE),
    "endless empty gzip": endless(HEAD + b"Content-Encoding: gzip\r\n\r\n" + EMPTY[:10], b"\0\0\0\xff\xff" * 10_000),
}

AMPLIFIED = ("rows: {}", "rows: []", "message", "status", "version: surrogates")

TINY_CHUNKS = endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 10_000)


def kilobytes(pid, name):
    return int(re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def scraped_until(url, series):
    """Scrape until a series has its value, and return the page."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        text = requests.get(url, timeout=30).text
        if series in text:
            return text
        time.sleep(0.1)
    raise AssertionError(f"never {series}")


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        *((behave, "too_large") for behave in OVERSIZED.values()),
        # Too large for the page of 100 rows that is asked for after one of 1,000 has failed.
        *((says(gzip.compress(body_of(kind, 16 * MEGABYTE)), "Content-Encoding: gzip"), "too_large")
          for kind in AMPLIFIED),
        (TINY_CHUNKS, "timeout"),
    ],
    ids=[*OVERSIZED, *AMPLIFIED, "endless tiny chunks"],
)  # fmt: skip
def test_a_page_that_is_too_large_or_too_slow_costs_32_mib_at_most(behave, reason):
    """Of 1,000 rows, which may be larger than one of 100."""
    settings = {"page_size": "1000", "api_key": "pat.acct.id.key", "spaces": "acct"}
    settings |= {"cache_ttl": "1s", "request_timeout": "3s"}
    with RawServer(says(GOOD)) as server, served(base_url=f"http://{server.address}", **settings) as (process, url):
        scraped_until(f"{url}/metrics", 'har_up{space="acct"} 1.0')
        # The peak so far is forgotten.
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")
        before = kilobytes(process.pid, "VmHWM")
        server.behave = behave
        page = scraped_until(f"{url}/metrics", 'har_up{space="acct"} 0.0')
        assert f'har_refresh_failures_total{{reason="{reason}",space="acct"}} 1.0' in page
        assert kilobytes(process.pid, "VmHWM") - before <= 32 * 1024
