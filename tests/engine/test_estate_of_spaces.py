"""An account of 300 spaces of which some come and go: every space counts, and every request is one that was planned."""

from collections import Counter

import pytest

from exporter.metrics.exposition import TEXT
from tests.support.apps import app_of, refreshed
from tests.support.sources import registry_row, violation_row
from tests.support.upstream import Upstream, make_row

SPACES, COMING, GOING = 300, 20, 20
TTL, ROUNDS = 61.0, 15


class Estate:
    """An account whose projects come and go.

    Attributes:
        spaces: number of artifacts by space.
    """

    def __init__(self):
        self.spaces = {f"acct/org{n % 7}/p{n:03}": n % 5 + 1 for n in range(SPACES - 1)} | {"acct": 3}

    def change(self):
        """Remove some projects, and add as many."""
        for space in [space for space in self.spaces if space != "acct"][:GOING]:
            del self.spaces[space]
        newest = max(int(space[-3:]) for space in self.spaces if space != "acct")
        self.spaces |= {f"acct/org{n % 7}/p{n:03}": n % 5 + 1 for n in range(newest + 1, newest + 1 + COMING)}

    def rows(self):
        return {
            space: [make_row(n, registryIdentifier="npm") for n in range(rows)] for space, rows in self.spaces.items()
        }

    def registries(self):
        return [registry_row(n, identifier="npm", uuid=f"u-{s}", path=f"{s}/npm") for n, s in enumerate(self.spaces)]

    def violations(self):
        return [violation_row(1, registryId=f"u-{space}", path=f"{space}/npm") for space in list(self.spaces)[:1]]


def kind_of(request):
    if "/scans" in request.path:
        return "violations"
    return "artifacts" if request.path.endswith("/artifacts") else "registries"


def counted(app):
    """Return the number of artifacts of every space, once everything that is due was read."""
    app.sources.refresh()
    app.sources.finish()
    return {space: status.snapshot.inventory.artifacts for space, status in refreshed(app).items()}


@pytest.mark.simulation
def test_300_spaces_of_which_20_come_and_go_are_counted_exactly_by_the_requests_of_the_plan(clock):
    estate = Estate()
    with Upstream(estate.rows(), registries=estate.registries, violations=estate.violations) as upstream:
        app = app_of(upstream, clock, spaces="acct/**", sources="registries,violations", rate_limit="off")
        assert counted(app) == estate.spaces
        for _ in range(2):
            estate.change()
            upstream.spaces = estate.rows()
            clock.tick(901)
            assert counted(app) == estate.spaces
        before = len(upstream.requests)
        for _ in range(ROUNDS):
            clock.tick(TTL)
            assert counted(app) == estate.spaces
        page = b"".join(app.exposition.render(TEXT).parts)
        sent = Counter(map(kind_of, upstream.requests[before:]))
    # As docs/sources.md says: 301 registries are three full pages and a short one, each of them has a firewall mode.
    per_read = -(-SPACES // 100) + 1 + SPACES
    assert sent["artifacts"] == SPACES * ROUNDS
    # 15 rounds of 61 seconds are one `registries_ttl`.
    assert sent["registries"] == per_read
    assert sent["violations"] == ROUNDS
    assert page.count(b"har_snapshot_artifacts{") == 2 * SPACES
    assert b'har_discovered_spaces{space="acct/**"} 299.0' in page
