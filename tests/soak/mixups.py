"""No space shows rows of another one, whatever answers nobody asked for."""

import re
import time
from collections.abc import Iterator

from tests.soak.process import exporter, until
from tests.soak.promise import Promise, exactly
from tests.soak.scrapes import scrape
from tests.support.mixups import FAULTS, SPACES, answers, registry_of
from tests.support.rawserver import RawServer

_SECONDS = 30.0
_REGISTRY = re.compile(r'^har_artifacts{.*registry="([^"]+)".*space="([^"]+)"}', re.MULTILINE)


def rows() -> Iterator[Promise]:
    """Scrape while half of the answers have a fault."""
    for fault in FAULTS:
        with RawServer(answers(fault)) as server, exporter(
            f"http://{server.address}", api_key="pat.acct.id.soak-test", spaces=",".join(SPACES), cache_ttl="1s",
            rate_limit="off", request_timeout="1s",
        ) as running:  # fmt: skip
            until(lambda running=running: b" 1.0\n" in scrape(running.address).body)
            pages = []
            end = time.monotonic() + _SECONDS
            while time.monotonic() < end:
                pages.append(scrape(running.address, timeout=1.0).body.decode())
                time.sleep(0.05)
            requests, connections = len(server.requests), server.connections
        shown = [found for page in pages for found in _REGISTRY.findall(page)]
        strange = [space for registry, space in shown if registry != registry_of(space)]
        text = f"{fault}, {requests} requests on {connections} connections, {len(pages)} scrapes"
        yield exactly(f"{text}: series of another space", len(strange), 0)
        yield exactly(f"{text}: spaces with data", len({space for _, space in shown}), len(SPACES))
