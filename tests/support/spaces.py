"""Spaces in every state, and the exporter's page that shows them."""

from contextlib import contextmanager
from types import SimpleNamespace

from exporter.harness.envelope import Rejected
from exporter.harness.errors import REASONS, AuthError, RequestTimeout
from exporter.inventory.refresh import Failure, Status
from exporter.inventory.snapshot import Finding, Inventory, RegistryKey, Snapshot
from exporter.serving.endpoints import Endpoints
from exporter.serving.listener import listen
from exporter.serving.server import Server
from tests.support import threads
from tests.support.clocks import FakeClock

NOW = FakeClock().monotonic()
"""The time on the monotonic clock when the page is shown."""


FOUND = (
    ("org.apache.commons:commons-text", "1.9", ("quarantined", "blocked")),
    ("lodash", "4.17.20", ("blocked",)),
    ("github.com/dgrijalva/jwt-go", "v3.2.0", ("blocked",)),
)
"""Findings: name, version and kinds."""


def snapshot(*, age=0.0, artifacts=1_234, findings=0, found=FOUND, dropped=0, reported=1_234, complete=True):
    listed = tuple(
        Finding(RegistryKey("npm", "NPM"), *found[number % len(found)], {}, None, "BLOCKED", "", "", "", "", "")
        for number in range(findings)
    )
    inventory = Inventory({}, findings=listed, findings_dropped=dropped, artifacts=artifacts)
    return Snapshot(
        1.0, NOW - age, inventory, pages=1, page_size=100, duplicates=0, rejected=Rejected(), reported=reported,
        complete=complete,
    )  # fmt: skip


def failure(reason, message, hint="", ago=0.0):
    return Failure(reason, message, hint, NOW - ago)


def failed(error, ago):
    return failure(error.reason, str(error), error.hint, ago)


def status(space="acct", state="fresh", snapshot=None, failure=None):
    failures = dict.fromkeys(REASONS, 0)
    return Status(space, state, snapshot, failure is None, 1.0, failures, failure)


REVOKED = failed(AuthError("the server returned 401: Token is not valid"), ago=125)
SILENT = failed(RequestTimeout("no whole answer in time"), ago=7_300)

TYPICAL = (
    status("acme", "fresh", snapshot(age=42, artifacts=14_811, findings=12)),
    status("acme/platform", "fresh", snapshot(age=66, artifacts=3_204, findings=3)),
    status("acme/platform/payments", "failing", snapshot(age=931, artifacts=1_812, findings=4), REVOKED),
    status("acme/platform/search", "due", snapshot(age=303, artifacts=977)),
    status("acme/data", "expired", failure=SILENT),
    status("acme/data/warehouse", "fresh", snapshot(age=12, artifacts=512_345, findings=500, dropped=1_500,
                                                    reported=512_347, complete=False)),
    status("acme/mobile", "cold"),
    status("acme/web", "fresh", snapshot(age=200, artifacts=88, reported=None)),
)  # fmt: skip
"""A space in each state."""


@contextmanager
def shown(statuses):
    """Serve the exporter's page about spaces; returns its URL."""
    refresher = SimpleNamespace(statuses=lambda: statuses)
    endpoints = Endpoints(refresher, None, None, clock=FakeClock(), scrape_timeout_offset=lambda: 0.5)
    sock = listen("127.0.0.1", 0)
    with threads.running(Server(endpoints, sock, on_shutdown=endpoints.stop)):
        yield "http://{}:{}/".format(*sock.getsockname())
