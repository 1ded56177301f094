"""The demo registry keeps the API's contract, and its listing holds at any time what the demo promises."""

import gzip
import http.client
import json
import socket
import ssl
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import trustme
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.demo.artifacts import PUSH_INTERVAL, PUSHES_KEPT, QUARANTINE_CYCLE, QUARANTINED_FOR, ZERO_TIME, listing
from exporter.demo.catalogue import CYCLING, SPACES
from exporter.demo.server import KEY, PREFIX, Registry
from tests.support.upstream import (
    ABSENT,
    PATIENCE,
    SPACE,
    Upstream,
    capped,
    cut,
    make_row,
    make_rows,
    one_based,
    redirect,
    reply,
    truncated,
)

NOW = 1_795_000_000.0
DAY = 86_400.0
TIMES = st.floats(min_value=1_600_000_000, max_value=4_000_000_000)
SCANNED_TYPES = {"CARGO", "COMPOSER", "GO", "MAVEN", "NPM", "NUGET", "PYTHON", "RPM"}
NEWEST_FIRST = {"sort_field": "lastModified", "sort_order": "DESC"}


def at_any_time(test):
    """Run a test of the listing with `now` all over the years."""
    return settings(max_examples=25)(given(now=TIMES)(test))


@pytest.fixture(scope="module")
def demo():
    """The demo registry at a time that stands still."""
    with Registry(now=lambda: NOW) as registry:
        yield registry


@pytest.fixture(scope="module")
def session():
    """A client that keeps its connections and takes nothing from the environment."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def get(demo, session):
    """Ask the demo registry: `get(space, page=0, size=10)`."""

    def ask(space="demo", **query):
        return asked(session, demo, space, **query)

    return ask


@pytest.fixture
def small(session):
    """Ask a registry of given rows, which lives for that question only."""

    def ask(rows, **query):
        with Upstream(rows) as upstream:
            return asked(session, upstream, upstream.space, **query).json()["data"]

    return ask


def asked(session, registry, space, *, prefix=PREFIX, headers=None, **query):
    """Ask a registry for a page of a space, with its own key unless there are headers."""
    headers = {"x-api-key": registry.key} if headers is None else headers
    url = f"{registry.url}{prefix}/spaces/{space}/+/artifacts"
    return session.get(url, params=query, headers=headers, timeout=PATIENCE, allow_redirects=False)


def names(data):
    """Return the names on a page, in order."""
    return [row["name"] for row in data["artifacts"] or []]


def milliseconds(row, field="lastModified"):
    """Return a row's time as a number, however it is spelled."""
    return int(row[field])


def everything(now):
    """Return the rows of all spaces."""
    return [row for space in SPACES for row in listing(space, now)]


def identity(row):
    """Return what tells one version from all others."""
    return row["registryIdentifier"], row["packageType"], row["name"], row["version"]


# Paths, methods and keys


@pytest.mark.parametrize("space", SPACES)
def test_each_scope_lists_its_own_registries_only(get, space):
    """A scope lists what `listing` says of it, and nothing of the scopes below."""
    answer = get(space, page=0, size=1000)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["status"] == "SUCCESS"
    assert answer.json()["data"]["artifacts"] == listing(space, NOW)
    assert {row["registryIdentifier"] for row in listing(space, NOW)}.isdisjoint(
        row["registryIdentifier"] for other in SPACES if other != space for row in listing(other, NOW)
    )


@pytest.mark.parametrize(
    "path",
    [
        f"{PREFIX}/spaces/demo/%2B/artifacts",
        f"{PREFIX}/spaces/demo/+/artifacts/",
        f"{PREFIX}/spaces/demo/artifacts",
        f"{PREFIX}/spaces/+/artifacts",
        f"{PREFIX}/spaces//+/artifacts",
        f"{PREFIX}/spaces/demo/a/b/c/+/artifacts",
        f"{PREFIX}/spaces/demo/+/registries",
        "/api/v1/spaces/demo/+/artifacts",
        "/gateway/har/api/v1/spaces/demo/+/artifacts",
        "/",
    ],
)
def test_any_other_path_is_not_found(demo, session, path):
    """The plus is a literal one, nothing may follow, and there is one prefix."""
    answer = session.get(demo.url + path, headers={"x-api-key": KEY}, timeout=PATIENCE)
    assert answer.status_code == 404
    assert answer.json()["code"] == "404"


def test_segments_are_decoded_one_by_one(get):
    """An encoded letter is that letter; an encoded slash does not separate."""
    assert get("demo/%70latform").status_code == 200
    assert get("demo%2Fplatform").status_code == 400


def test_an_unknown_space_is_refused_with_a_code_in_text(get):
    """The envelope of a 400 has its code as text."""
    answer = get("demo/nowhere")
    assert answer.status_code == 400
    assert answer.json()["code"] == "400"
    assert "demo/nowhere" in answer.json()["message"]


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_only_get_is_allowed(demo, session, method):
    """Another method is refused, and its body does not disturb the connection's next request."""
    url = f"{demo.url}{PREFIX}/spaces/demo/+/artifacts"
    headers = {"x-api-key": KEY}
    assert session.request(method, url, data=b"GET / HTTP/1.1\r\n", headers=headers, timeout=10).status_code == 405
    assert session.get(url, headers=headers, timeout=PATIENCE).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 403), ({"Authorization": f"Bearer {KEY}"}, 403), ({"x-api-key": KEY + "x"}, 401), ({"x-api-key": ""}, 401)],
)
def test_the_key_is_asked_for(demo, session, headers, status):
    """No key is forbidden, a wrong one unauthorized; both say so in a message alone."""
    answer = asked(session, demo, "demo", headers=headers)
    assert answer.status_code == status
    assert list(answer.json()) == ["message"]


# Paging


def test_pages_count_from_zero_and_cover_the_listing_exactly(get):
    """Pages of a size that divides nothing join to the whole listing, in order, then come empty."""
    listed = sorted(listing("demo", NOW), key=milliseconds, reverse=True)
    pages = [get(page=page, size=37, **NEWEST_FIRST).json()["data"] for page in range(len(listed) // 37 + 2)]
    assert [row for page in pages for row in page["artifacts"]] == listed
    assert pages[-1]["artifacts"] == []
    assert {(page["itemCount"], page["pageSize"]) for page in pages} == {(len(listed), 37)}
    assert {page["pageCount"] for page in pages} == {len(pages) - 1}
    assert [page["pageIndex"] for page in pages] == list(range(len(pages)))


def test_a_page_without_a_size_is_the_first_for_ever(get):
    """Without `size` or `page` the offset is 0; ten rows come by default."""
    first = get().json()["data"]
    assert (len(first["artifacts"]), first["pageSize"], first["pageIndex"]) == (10, 10, 1)
    assert get(page=3).json()["data"]["artifacts"] == first["artifacts"]
    assert get(page=3).json()["data"]["pageIndex"] == 3
    assert get(size=10).json()["data"]["artifacts"] == first["artifacts"]


@pytest.mark.parametrize("query", [{"page": -1}, {"page": "x"}, {"size": 0}, {"size": ""}, {"size": "9" * 5000}])
def test_numbers_that_are_none_are_refused(get, query):
    """A page below 0, a size below 1 and what is no number make a bad request."""
    answer = get(**query)
    assert answer.status_code == 400
    assert answer.json()["code"] == "400"


def test_an_empty_listing_is_null_and_a_page_beyond_the_end_an_empty_list(small):
    """Both spellings of nothing occur."""
    assert small([], page=0, size=10)["artifacts"] is None
    assert small([], page=0, size=10)["pageCount"] == 0
    assert small(make_rows(3), page=1, size=10)["artifacts"] == []


# Order and filters


def test_order_needs_the_exact_words(get):
    """DESC in upper case descends, anything else ascends; an unknown field is the order of creation."""
    rows = listing("demo", NOW)
    oldest_first = [milliseconds(row) for row in sorted(rows, key=milliseconds)]

    def times(**query):
        return [milliseconds(row) for row in get(page=0, size=1000, **query).json()["data"]["artifacts"]]

    assert times(sort_field="lastModified", sort_order="DESC") == oldest_first[::-1]
    for order in "desc", "ASC", "", "newest":
        assert times(sort_field="lastModified", sort_order=order) == oldest_first
    assert times(sort_field="lastModified") == oldest_first
    assert times() == times(sort_field="lastmodified") == [milliseconds(row) for row in rows]
    assert times(sort_order="DESC") == [milliseconds(row) for row in rows][::-1]


def test_sorting_by_name(small):
    """Names sort as texts."""
    rows = [make_row(name=name) for name in ("b", "c", "a")]
    assert names(small(rows, sort_field="name")) == ["a", "b", "c"]
    assert names(small(rows, sort_field="name", sort_order="DESC")) == ["c", "b", "a"]


@pytest.mark.parametrize("odd", [ABSENT, None, "soon", "", "-", True, "9" * 5000, {}])
def test_a_time_that_is_none_sorts_as_zero(small, odd):
    """What a test makes of `lastModified` does not break the server, and text and numbers sort alike."""
    rows = [make_row(1, lastModified="2"), make_row(2, lastModified=odd), make_row(3, lastModified=1)]
    rows.append(make_row(4, lastModified=ZERO_TIME))
    assert names(small(rows, **NEWEST_FIRST)) == [rows[number]["name"] for number in (0, 2, 1, 3)]


@pytest.mark.parametrize(
    ("query", "registries"),
    [
        ({"reg_identifier": "npm-remote"}, {"npm-remote"}),
        ({"reg_identifier": ["npm-remote", "docker-prod"]}, {"npm-remote", "docker-prod"}),
        ({"reg_identifier": ["npm-remote", "unknown"]}, {"npm-remote"}),
        ({"package_type": ["NPM", "MAVEN"]}, {"npm-remote", "maven-central"}),
        ({"package_type": "NPM", "reg_identifier": "docker-prod"}, set()),
        ({"reg_identifier": "unknown"}, set()),
        ({"reg_identifier": "npm-remote,docker-prod"}, set()),
        ({"reg_identifier": ""}, set()),
        ({"package_type": "npm"}, set()),
        ({"package_type": "NPM,MAVEN"}, set()),
    ],
)
def test_filters_by_registry_and_type_are_repeated_keys(get, query, registries):
    """Repeated keys add up; an unknown name or a comma list is an empty answer, not an error."""
    answer = get(page=0, size=1000, **query)
    assert answer.status_code == 200
    data = answer.json()["data"]
    expected = [row for row in listing("demo", NOW) if row["registryIdentifier"] in registries]
    assert data["artifacts"] == (expected or None)
    assert data["itemCount"] == len(expected)


def test_a_search_term_is_part_of_the_name(get):
    """Part of a name finds it, an empty term everything, a strange one nothing."""
    found = get(page=0, size=1000, search_term="log4j").json()["data"]
    assert set(names(found)) == {"org.apache.logging.log4j:log4j-core"}
    assert get(search_term="").json()["data"]["itemCount"] == len(listing("demo", NOW))
    assert get(search_term="no+such & thing").json()["data"]["itemCount"] == 0


def test_deployed_artifacts_alone(small):
    """Rows that run anywhere are kept; rows without counts do not."""
    rows = [
        make_row(1, deploymentMetadata={"prodEnvCount": 1, "nonProdEnvCount": 0}),
        make_row(2, deploymentMetadata={"prodEnvCount": 0, "nonProdEnvCount": 2}),
        make_row(3, deploymentMetadata={"prodEnvCount": 0, "nonProdEnvCount": 0}),
        make_row(4),
    ]
    assert names(small(rows, deployed_artifact="true")) == ["artifact-000001", "artifact-000002"]
    assert len(names(small(rows, deployed_artifact="false"))) == 4


def test_latest_versions_alone(small):
    """The version modified last is kept, with all of its rows, for each artifact of each registry."""
    rows = [
        make_row(name="a", version="1", lastModified="10"),
        make_row(name="a", version="2", lastModified="20", quarantineReason="x"),
        make_row(name="a", version="2", lastModified="20", quarantineReason="y"),
        make_row(name="a", version="1", lastModified="5", registryIdentifier="other"),
    ]
    assert small(rows, latest_version="true")["artifacts"] == rows[1:]
    assert small(rows, latest_version="false")["artifacts"] == rows


# The connection


def test_one_connection_serves_many_requests(demo):
    """Connections are kept, errors included, and every answer has its length."""
    connection = http.client.HTTPConnection("127.0.0.1", int(demo.url.rpartition(":")[2]), timeout=PATIENCE)
    sockets = set()
    for path, status in ((f"{PREFIX}/spaces/demo/+/artifacts", 200), ("/", 404)) * 3:
        connection.request("GET", path, headers={"x-api-key": KEY})
        answer = connection.getresponse()
        assert (answer.status, answer.version) == (status, 11)
        assert len(answer.read()) == int(answer.headers["Content-Length"])
        sockets.add(connection.sock)
    assert len(sockets) == 1
    connection.close()


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("br, GZIP;q=0.5", "gzip"),
        ("gzip;q=0.01, deflate", "gzip"),
        ("identity", None),
        ("", None),
        ("gzip;q=0", None),
        ("gzip; q=0.0, br", None),
    ],
)
def test_answers_are_compressed_on_demand(demo, session, accepted, encoding):
    """Gzip comes to those who accept it and says the same."""
    headers = {"x-api-key": KEY, "Accept-Encoding": accepted}
    url = f"{demo.url}{PREFIX}/spaces/demo/+/artifacts"
    with session.get(url, headers=headers, timeout=PATIENCE, stream=True) as answer:
        assert answer.headers.get("Content-Encoding") == encoding
        body = answer.raw.read(decode_content=False)
    document = json.loads(gzip.decompress(body) if encoding else body)
    assert document["data"]["artifacts"] == listing("demo", NOW)[:10]


def test_it_listens_on_loopback_only(demo):
    """The server cannot be reached from elsewhere."""
    assert demo.url.startswith("http://127.0.0.1:")


def test_it_says_nothing_on_stderr(session, capfd):
    """Requests, refusals, garbage and clients that leave are not logged."""
    with Registry() as registry:
        asked(session, registry, "demo")
        asked(session, registry, "demo", headers={})
        port = int(registry.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
            client.sendall(b"garbage\r\n\r\n")
            assert client.recv(1)
        with Upstream(fault=lambda _: cut()) as upstream, pytest.raises(requests.ConnectionError):
            asked(session, upstream, SPACE)
    assert capfd.readouterr() == ("", "")


def test_a_fault_of_the_program_is_told(session, capfd):
    """Only clients that went away are passed over in silence."""
    with Upstream(fault=lambda _: ZeroDivisionError("a bug")) as upstream, pytest.raises(requests.ConnectionError):
        asked(session, upstream, SPACE)
    assert "ZeroDivisionError: a bug" in capfd.readouterr().err


def test_leaving_the_context_ends_connections_and_threads(session):
    """Nothing is left of a server but the port's number."""
    before = set(threading.enumerate())
    with Registry() as registry:
        url = registry.url
        idle = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=PATIENCE)
        asked(session, registry, "demo")
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)
    assert set(threading.enumerate()) <= before
    with idle:
        assert idle.recv(1) == b""
    with pytest.raises(requests.ConnectionError):
        session.get(url, timeout=PATIENCE)


def test_the_wall_clock_is_the_default(session):
    """Without a time of its own the demo shows what is listed now."""
    before = time.time()
    with Registry() as registry:
        rows = asked(session, registry, "demo", page=0, size=1000, **NEWEST_FIRST).json()["data"]["artifacts"]
    newest_pushes = (max(map(milliseconds, listing("demo", now))) for now in (before, time.time()))
    assert milliseconds(rows[0]) in newest_pushes


# The listing


@at_any_time
def test_the_same_time_gives_the_same_rows(now):
    """The listing is a function of space and time; what a caller does to its rows stays there."""
    for space in SPACES:
        rows = listing(space, now)
        for row in listing(space, now):
            row.clear()
        assert listing(space, now) == rows
    assert listing("demo/nowhere", now) is None


@at_any_time
def test_the_inventory_hovers(now):
    """There are 400 to 600 artifacts in about ten registries, and as many pushes as announced, give or take one."""
    rows = everything(now)
    assert 400 <= len({identity(row) for row in rows}) <= 600
    assert len({row["registryIdentifier"] for row in rows}) == 12
    window = PUSHES_KEPT * PUSH_INTERVAL * 1000
    pushes = [row for row in rows if milliseconds(row) > now * 1000 - window]
    assert PUSHES_KEPT - 1 <= len([row for row in pushes if milliseconds(row) <= now * 1000]) <= PUSHES_KEPT + 1


@at_any_time
def test_every_status_mode_and_risk_is_there(now):
    """Whatever the time, there is something to see of everything that the metrics tell apart."""
    rows = everything(now)
    scanned = [row for row in rows if row["packageType"] in SCANNED_TYPES and row.get("registryType") == "UPSTREAM"]
    assert {row.get("scanStatus") for row in scanned} == {"ALLOWED", "WARN", "BLOCKED", None}
    assert {row.get("scanStatus") for row in rows if row not in scanned} == {None}
    assert {row.get("registryType") for row in rows} == {"VIRTUAL", "UPSTREAM", None}
    assert {row.get("firewallMode") for row in rows} == {"ENABLED", "QUARANTINE", "ALLOW", "WARN", "BLOCK", None}
    quarantined = [row for row in rows if row.get("isQuarantined")]
    assert {bool(row.get("quarantineReason")) for row in quarantined} == {True, False}
    assert {row["packageType"] in SCANNED_TYPES for row in quarantined} == {True, False}
    for risky in quarantined, [row for row in rows if row.get("scanStatus") == "BLOCKED" and row not in quarantined]:
        assert any(row["deploymentMetadata"]["prodEnvCount"] for row in risky if "deploymentMetadata" in row)
    assert {"deploymentMetadata" in row for row in rows} == {True, False}


@at_any_time
def test_a_firewall_quarantines_what_it_should(now):
    """Modes that enforce quarantine what is blocked; those that do not let it through; one registry only allows."""
    modes = {}
    for row in everything(now):
        modes.setdefault(row["registryIdentifier"], set()).add(row.get("firewallMode"))
        if row.get("scanStatus") == "BLOCKED":
            assert row["isQuarantined"] is (row.get("firewallMode") in {"ENABLED", "QUARANTINE", "BLOCK"})
    assert all(len(mode) == 1 for mode in modes.values())
    assert modes["nuget-org"] == {"ALLOW"}
    assert modes["crates-io"] == {None}


@at_any_time
def test_the_quirks_of_real_answers_are_there(now):
    """Everything that a client of the real API must survive occurs in the demo."""
    rows = everything(now)
    for field in "latestVersion", "registryPath", "uuid", "registryUUID":
        assert {"full" if row.get(field) else row.get(field) for row in rows} >= {"full", ""}
    for field in "latestVersion", "uuid", "registryUUID", "registryPath", "isQuarantined", "registryType":
        assert any(field not in row for row in rows)
    assert all(row["name"] and row["registryIdentifier"] and row["version"] for row in rows)
    assert {type(row["lastModified"]) for row in rows} == {str, int}
    assert {type(row.get("lastScannedAt")) for row in rows} == {str, int, type(None)}
    assert [row["lastModified"] for row in rows].count(ZERO_TIME) == 1
    assert sum("deletedAt" in row for row in rows) == 1
    assert any(row["labels"] is None for row in rows)
    assert any("scannedDigest" in row for row in rows)
    assert any("tags" in row.get("metadata", ()) for row in rows)
    assert any(row.get("artifactType") == "model" for row in rows)
    assert "TERRAFORM" in {row["packageType"] for row in rows}
    assert any("fileCount" in row for row in rows)
    assert any("digestCount" in row for row in rows)
    assert any(row.get("purl") == "pkg:npm/lodash@4.17.21" for row in rows)
    assert any(row.get("purl", "").startswith("pkg:npm/%40types/node@") for row in rows)
    assert any(row["pullCommand"] == "docker pull pkg.example.com/demo/docker-prod/storefront:4.8.0" for row in rows)


@at_any_time
def test_versions_fan_out_by_the_reasons_of_their_quarantine(now):
    """Rows of one version differ in the reason alone, and only quarantined ones come more than once."""
    rows = everything(now)
    several = {key for key, count in Counter(map(identity, rows)).items() if count > 1}
    assert len(several) == 2
    for key in several:
        again = [dict(row) for row in rows if identity(row) == key]
        assert len({row.pop("quarantineReason", None) for row in again}) == len(again)
        assert all(row == again[0] for row in again)
        assert again[0]["isQuarantined"]


@at_any_time
def test_the_tags_of_an_image_share_uuid_and_downloads(now):
    """One uuid and one count for each image, one of each for every version elsewhere."""
    shared, own = {}, Counter()
    for row in everything(now):
        if row["packageType"] in {"DOCKER", "HELM"}:
            shared.setdefault(identity(row)[:3], set()).add((row["uuid"], row["downloadsCount"]))
        elif row.get("uuid") and not row["isQuarantined"]:
            own[row["uuid"]] += 1
    assert all(len(values) == 1 for values in shared.values())
    assert set(own.values()) == {1}


@at_any_time
def test_scans_are_fresh_and_stale_and_never_before_the_push_or_ahead(now):
    """Between any two of 0, 7, 30 and 90 days there is a scan; no time lies ahead."""
    rows = everything(now)
    scans = [row for row in rows if "lastScannedAt" in row]
    assert all(milliseconds(row) <= milliseconds(row, "lastScannedAt") <= now * 1000 for row in scans)
    assert all(milliseconds(row) <= now * 1000 for row in rows)
    ages = [now - milliseconds(row, "lastScannedAt") / 1000 for row in scans]
    for youngest, oldest in ((0, 7), (7, 30), (30, 90), (90, 366)):
        assert any(youngest * DAY < age <= oldest * DAY for age in ages)


@at_any_time
@example(now=QUARANTINE_CYCLE * 3e6)
@example(now=QUARANTINE_CYCLE * 3e6 + QUARANTINED_FOR)
def test_a_quarantine_in_production_comes_and_goes(now):
    """For the announced part of each cycle the announced artifact is quarantined, otherwise warned of."""
    quarantined = now % QUARANTINE_CYCLE < QUARANTINED_FOR
    (row,) = [row for row in listing("demo", now) if identity(row) == (CYCLING[0], "MAVEN", *CYCLING[1:])]
    assert row["deploymentMetadata"]["prodEnvCount"] > 0
    assert row["isQuarantined"] is quarantined
    assert row["scanStatus"] == ("BLOCKED" if quarantined else "WARN")
    assert ("quarantineReason" in row) is quarantined


@at_any_time
def test_pushes_come_one_by_one(now):
    """Two minutes later one to three artifacts are new, one to three are gone, and all else is still there."""
    before, after = ({identity(row) for row in everything(moment)} for moment in (now, now + 2 * PUSH_INTERVAL))
    assert 1 <= len(after - before) <= 3
    assert 1 <= len(before - after) <= 3


def test_pushes_reach_every_space():
    """Within an hour each of the spaces sees a push, and a scanned registry one without a verdict yet."""
    moments = [NOW + minute * PUSH_INTERVAL for minute in range(60)]
    for space in SPACES:
        assert len({max(map(milliseconds, listing(space, moment))) for moment in moments}) > 1
    canaries = [row for moment in moments for row in listing("demo", moment) if "canary" in row["version"]]
    assert {row.get("scanStatus") for row in canaries} == {"ALLOWED", None}


def test_some_downloads_grow_one_of_a_quarantined_artifact():
    """Counts of a few artifacts grow with time, all others stand still, and none falls."""
    before, after = ({identity(row): row for row in everything(moment)} for moment in (NOW, NOW + QUARANTINE_CYCLE))
    grown = {key: after[key]["downloadsCount"] - row["downloadsCount"] for key, row in before.items() if key in after}
    assert {key[2] for key, growth in grown.items() if growth} == {
        "storefront",
        "lodash",
        "org.apache.logging.log4j:log4j-core",
    }
    assert all(growth >= 0 for growth in grown.values())
    assert any(growth and before[key]["isQuarantined"] for key, growth in grown.items())


# The test server's own knobs


@pytest.fixture
def ask(session):
    """Ask an upstream for a page of its first space."""

    def page(upstream, page=0, size=10, **query):
        return asked(session, upstream, upstream.space, page=page, size=size, **query)

    return page


def test_upstream_serves_any_listing_of_any_space(ask, session):
    """Rows, functions of rows, several spaces; a listing may change while it is served."""
    rows = make_rows(3)
    with Upstream({"acct": rows, "acct/org": lambda: rows[:1]}) as upstream:
        assert ask(upstream).json()["data"]["artifacts"] == rows
        rows.append(make_row(3))
        assert ask(upstream).json()["data"]["itemCount"] == 4
        assert asked(session, upstream, "acct/org").json()["data"]["itemCount"] == 1
        assert asked(session, upstream, "acct/other").status_code == 400


def test_upstream_caps_silently(ask):
    """The cap moves the offset too, and is told or not."""
    with Upstream(make_rows(25), serve_size=capped(4)) as upstream:
        data = ask(upstream, page=1, size=10).json()["data"]
        assert names(data) == [f"artifact-{number:06}" for number in range(4, 8)]
        assert data["pageSize"] == 4
        upstream.page_size = ABSENT
        assert "pageSize" not in ask(upstream).json()["data"]


def test_upstream_counts_pages_from_one_or_as_it_likes(ask):
    """Pages 0 and 1 are the same, page 2 follows; any other mapping works as well."""
    with Upstream(make_rows(25), serve_page=one_based) as upstream:
        first, again, second = (ask(upstream, page=page).json()["data"] for page in range(3))
        assert first["artifacts"] == again["artifacts"] != second["artifacts"]
        assert [first["pageIndex"], again["pageIndex"], second["pageIndex"]] == [0, 1, 2]
        upstream.serve_page = lambda page: page % 2
        assert ask(upstream, page=4).json()["data"]["artifacts"] == first["artifacts"]


def test_upstream_refuses_a_size(ask):
    """Sizes above the largest one are refused with the status of choice."""
    with Upstream(make_rows(3), refuse_above=100, refuse_status=413) as upstream:
        assert ask(upstream, size=101).status_code == 413
        assert ask(upstream, size=100).status_code == 200


@pytest.mark.parametrize(("says", "said"), [(0, 0), (-1, -1), (2**80, 2**80), ("many", "many"), (lambda n: n + 1, 4)])
def test_upstream_miscounts(ask, says, said):
    """`itemCount` says anything, or nothing."""
    with Upstream(make_rows(3), item_count=says) as upstream:
        assert ask(upstream).json()["data"]["itemCount"] == said
        upstream.item_count = ABSENT
        assert "itemCount" not in ask(upstream).json()["data"]


def test_upstream_wants_a_bearer_at_another_prefix(session):
    """As the open-source server it ignores `x-api-key`."""
    with Upstream(make_rows(3), bearer=True) as upstream:
        bearer = {"Authorization": f"Bearer {KEY}"}
        assert asked(session, upstream, SPACE, prefix="/api/v1", headers=bearer).status_code == 200
        assert asked(session, upstream, SPACE, prefix="/api/v1").status_code == 403
        assert asked(session, upstream, SPACE, headers=bearer).status_code == 404


def test_upstream_fails_as_it_is_told(ask):
    """Queued faults come first and once, then those that the function decides on, then the regular answer."""
    with Upstream(make_rows(3)) as upstream, Upstream() as other:
        upstream.fault = lambda request: reply(500, "oh") if request.query["page"] == ["7"] else None
        upstream.faults.extend([reply(429, {"message": "slow"}, [("Retry-After", "1")]), None, redirect(other.url)])
        limited = ask(upstream)
        assert (limited.status_code, limited.headers["Retry-After"], limited.json()) == (429, "1", {"message": "slow"})
        assert ask(upstream).status_code == 200
        assert ask(upstream).headers["Location"] == other.url
        assert ask(upstream, page=7).text == "oh"
        upstream.faults.extend([cut(), truncated(b'{"status":')])
        with pytest.raises(requests.ConnectionError):
            ask(upstream)
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            ask(upstream)
        assert ask(upstream).status_code == 200
        assert other.requests == []


def test_upstream_calls_between_pages(ask):
    """The hook may change the listing that the same request then sees."""
    with Upstream(make_rows(3)) as upstream:
        upstream.before = lambda _: upstream.spaces[SPACE].pop()
        assert [ask(upstream).json()["data"]["itemCount"] for _ in range(2)] == [2, 1]


def test_upstream_serves_rows_as_given(ask):
    """Rows that are no objects come through untouched."""
    rows = [1, None, "x", {"name": "\ud800"}]
    with Upstream(rows, arranged=False) as upstream:
        assert ask(upstream, **NEWEST_FIRST).json()["data"]["artifacts"] == rows


def test_upstream_holds_answers_and_logs_requests(ask):
    """Requests are logged when they come, and answered when the test says so."""
    with Upstream(make_rows(3), hold=threading.Event()) as upstream, ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(ask, upstream, page=page) for page in range(3)]
        seen = upstream.wait_for_requests(3)
        assert not any(answer.done() for answer in answers)
        upstream.hold.set()
        assert [answer.result().status_code for answer in answers] == [200] * 3
        assert upstream.most_in_flight == 3
    assert sorted(request.query["page"] for request in seen) == [["0"], ["1"], ["2"]]
    assert {request.path for request in seen} == {f"{PREFIX}/spaces/{SPACE}/+/artifacts"}
    assert {request.headers["x-api-key"] for request in seen} == {KEY}


def test_upstream_speaks_tls(tmp_path, session):
    """With a context of its own it serves HTTPS, and a stalled handshake holds up nobody."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with Upstream(make_rows(3), ssl_context=context) as upstream:
        url = f"{upstream.url}{PREFIX}/spaces/{SPACE}/+/artifacts"
        with socket.create_connection(("127.0.0.1", int(upstream.url.rpartition(":")[2])), timeout=PATIENCE):
            answer = session.get(url, headers={"x-api-key": KEY}, verify=str(tmp_path / "ca.pem"), timeout=PATIENCE)
        assert answer.json()["data"]["itemCount"] == 3
        with pytest.raises(requests.exceptions.SSLError):
            session.get(url, timeout=PATIENCE)
