"""The demo registry implements the contract of the API's listings of registries and violations."""

from collections import Counter

import pytest

from exporter.demo.server import KEY, PREFIX
from exporter.harness.registries import RegistryConfiguration, decode_firewall_mode
from exporter.inventory.registries import read_registries
from exporter.inventory.violations import read_violations
from tests.support.asking import ask_page
from tests.support.sources import NOW, passing, registry_row, violation_row
from tests.support.upstream import PATIENCE, Upstream

SCANS = "/har/api/v3/scans"
LEVELS = ("acct", "acct/org", "acct/org/p0", "acct/org/p1", "acct/org2/p0")


def path_of(number):
    return f"{LEVELS[number % len(LEVELS)]}/registry-{number % 130}"


def violation(number, **fields):
    """Return a violation of a registry of `ESTATE`."""
    registry = number % 130
    path = path_of(registry)
    return violation_row(number, registryId=f"uuid-{registry}", registryName=f"registry-{registry}", path=path) | fields


REGISTRIES = [registry_row(number, path=path_of(number)) for number in range(130)]
VIOLATIONS = [violation(number) for number in range(260)]


@pytest.fixture(scope="module")
def estate():
    """A registry with 130 registries and 260 violations in five spaces; only the account lists artifacts."""
    with Upstream(registries=REGISTRIES, violations=VIOLATIONS) as upstream:
        yield upstream


@pytest.fixture
def get(estate, session):
    """Ask the estate: `get("spaces/acct/+/registries", size=10)`."""

    def ask(path, *, method="GET", headers=None, **query):
        url = estate.url + (path if path.startswith("/") else f"{PREFIX}/{path}")
        headers = {"x-api-key": KEY} if headers is None else headers
        return session.request(method, url, params=query, headers=headers, timeout=PATIENCE)

    return ask


def is_listed(path, space, descendants):
    """Return whether a registry belongs to a listing."""
    return path.startswith(f"{space}/") and (descendants or path.count("/") == space.count("/") + 1)


@pytest.mark.parametrize("descendants", [False, True])
@pytest.mark.parametrize("space", LEVELS)
def test_both_listings_have_what_a_space_has_and_what_is_below_if_asked(estate, session, space, descendants):
    """What is read page by page over HTTP equals a plain count of the estate, by space."""
    ask = ask_page(session, estate)
    registries = read_registries(ask, space, NOW, descendants=descendants)
    violations = read_violations(ask, registries, NOW, filters=passing(*registries.found), findings_limit=500)
    expected = [
        Counter(row["path"].rpartition("/")[0] for row in rows if is_listed(row["path"], space, descendants))
        for rows in (REGISTRIES, VIOLATIONS)
    ]
    assert {name: len(found) for name, found in registries.spaces.items()} == expected[0]
    assert {name: len(found.named) for name, found in violations.spaces.items() if found.named} == expected[1]
    assert registries.reading.complete
    assert violations.reading.complete
    assert violations.reading.rejected.rows == registries.reading.rejected.rows == 0


def test_registries_are_counted_and_deleted_ones_left_out(session):
    """Deleted registries are in no page and no count but their own, and cannot be asked for."""
    rows = [registry_row(0, path="acct/a"), registry_row(1, path="acct/b", deletedAt="1780000000000")]
    with Upstream(registries=rows) as upstream:
        headers = {"x-api-key": KEY}
        listed = session.get(f"{upstream.url}{PREFIX}/spaces/acct/+/registries", headers=headers).json()
        deleted = session.get(f"{upstream.url}{PREFIX}/registry/acct/b/+", headers=headers)
    assert listed["data"]["registries"] == rows[:1]
    assert listed["data"]["itemCount"] == 1
    assert listed["data"]["meta"] == {"activeCount": 1, "deletedCount": 1}
    assert deleted.status_code == 404


def test_the_configuration_is_served_with_the_registry_itself_only(session):
    """The firewall mode is in the answer for one registry, as the hosted service names it, and in no listing."""
    rows = [registry_row(0, path="acct/org/a", config={"firewallMode": "BLOCK"}), registry_row(1, path="acct/org/b")]
    with Upstream(registries=rows) as upstream:
        ask = ask_page(session, upstream)
        modes = [decode_firewall_mode(ask(RegistryConfiguration("acct/org", name), 0, 1)) for name in ("a", "b")]
        url = f"{upstream.url}{PREFIX}/spaces/acct/+/registries"
        listed = session.get(url, params={"scope": "descendants"}, headers={"x-api-key": KEY}).json()
    assert modes == ["BLOCK", None]
    assert [row["path"] for row in listed["data"]["registries"]] == ["acct/org/a", "acct/org/b"]
    assert all("config" not in row for row in listed["data"]["registries"])


def test_pages_of_registries_have_the_quirks_of_the_artifact_listing(get):
    """Pages count from 0, `page` without `size` is the first one, ten rows come by default."""
    everything = {"scope": "descendants"}
    pages = [get("spaces/acct/+/registries", page=page, size=60, **everything).json()["data"] for page in range(4)]
    assert [len(page["registries"]) for page in pages] == [60, 60, 10, 0]
    assert {(page["itemCount"], page["pageCount"], page["pageSize"]) for page in pages} == {(130, 3, 60)}
    without_size = get("spaces/acct/+/registries", page=3, **everything).json()["data"]
    assert without_size["registries"] == pages[0]["registries"][:10]


def test_pages_of_violations_have_at_most_a_hundred_rows(get):
    """A larger size is cut without an error, which moves the pages; the counts are those of the whole listing."""
    query = {"account_identifier": "acct", "scope": "descendants"}
    pages = [get(SCANS, page=page, size=1000, **query).json() for page in range(4)]
    assert [len(page["data"]) for page in pages] == [100, 100, 60, 0]
    assert len({row["id"] for page in pages for row in page["data"]}) == 260
    assert all("path" not in row for page in pages for row in page["data"])
    assert [page["pageIndex"] for page in pages] == [0, 1, 2, 3]
    assert {(page["itemCount"], page["pageCount"], page["pageSize"]) for page in pages} == {(260, 3, 100)}
    assert pages[0]["meta"] == {"totalCount": 260, "blockedCount": 260, "warnCount": 0}
    assert "status" not in pages[0]
    assert get(SCANS, **query).json()["pageSize"] == 10


@pytest.mark.parametrize(
    ("sort", "order"),
    [("lastEvaluatedAt:desc", "bca"), ("lastEvaluatedAt:asc", "acb"), ("lastEvaluatedAt", "abc"), ("id:desc", "abc")],
)
def test_violations_come_in_the_order_that_is_asked_for(session, sort, order):
    """The time of the last evaluation orders, whether number or text; an unknown order is that of creation."""
    times = {"a": None, "b": 1_790_000_000_000, "c": "1780000000000"}
    rows = [violation_row(id=name, lastEvaluatedAt=time, path="acct/r") for name, time in times.items()]
    with Upstream(violations=rows) as upstream:
        query = {"account_identifier": "acct", "sort": sort}
        found = session.get(upstream.url + SCANS, params=query, headers={"x-api-key": KEY}, timeout=PATIENCE).json()
    assert "".join(row["id"] for row in found["data"]) == order


def test_a_space_with_neither_has_empty_listings(session):
    """An estate that was given artifacts alone has no registries and no violations."""
    with Upstream() as upstream:
        ask = ask_page(session, upstream)
        registries = read_registries(ask, "acct", NOW, descendants=True)
        violations = read_violations(ask, registries, NOW, filters=passing("acct"), findings_limit=5)
    assert registries.spaces == {}
    assert not violations.spaces["acct"].registries


REGISTRIES_PATH = "spaces/acct/+/registries"


@pytest.mark.parametrize(
    ("path", "changes", "status"),
    [
        (REGISTRIES_PATH, {"headers": {}}, 403),
        (REGISTRIES_PATH, {"headers": {"x-api-key": "x"}}, 401),
        (REGISTRIES_PATH, {"method": "POST"}, 405),
        (REGISTRIES_PATH, {"scope": "x"}, 400),
        (REGISTRIES_PATH, {"page": "-1"}, 400),
        ("spaces/nowhere/+/registries", {}, 400),
        ("spaces/acct/or/+/registries", {"scope": "descendants"}, 400),
        ("registry/acct/registry-0/+", {"headers": {}}, 403),
        ("registry/acct/nothing/+", {}, 404),
        (SCANS, {"headers": {}}, 403),
        (SCANS, {"headers": {"x-api-key": "x"}}, 401),
        (SCANS, {"method": "POST"}, 405),
        (SCANS, {"scope": "x"}, 400),
        (SCANS, {"page": "-1"}, 400),
        (SCANS, {"size": "0"}, 400),
        (SCANS, {"account_identifier": "nowhere"}, 400),
        (SCANS, {"account_identifier": "nowhere", "scope": "descendants"}, 400),
        (f"{SCANS}/1", {}, 404),
    ],
)
def test_errors_have_the_envelope_of_their_version(get, path, changes, status):
    """Version 1 has a message, version 3 an error with type, code and message."""
    query = {"account_identifier": "acct"} if path == SCANS else {}
    answer = get(path, **(query | changes))
    assert answer.status_code == status
    error = answer.json()
    if path.startswith(SCANS):
        (error,) = error.values()
        assert error.keys() == {"type", "code", "message"}
        assert (error["type"] == "PERMISSION_ERROR") is (status in {401, 403})
    assert error["message"]
