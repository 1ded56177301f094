"""The demo registry implements the contract of the API."""

import gzip
import http.client
import json
import socket
import threading
import time

import pytest
import requests

from exporter.demo.artifacts import ZERO_TIME, listing
from exporter.demo.catalogue import SPACES
from exporter.demo.server import KEY, PREFIX, Registry
from tests.support.asking import NEWEST_FIRST, asked, milliseconds, names
from tests.support.upstream import ABSENT, PATIENCE, SPACE, Upstream, cut, make_row, make_rows

NOW = 1_795_000_000.0


@pytest.fixture(scope="module")
def demo():
    """The demo registry at a time that stands still."""
    with Registry(now=lambda: NOW) as registry:
        yield registry


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
        *(
            f"{PREFIX}/spaces/{rest}"
            for rest in (
                "demo/%2B/artifacts", "demo/+/artifacts/", "demo/artifacts", "+/artifacts", "/+/artifacts",
                "demo/a/b/c/+/artifacts", "demo/+/scans",
            )
        ),
        "/api/v1/spaces/demo/+/artifacts", "/gateway/har/api/v1/spaces/demo/+/artifacts", "/",
        f"{PREFIX}/registry/demo/+", f"{PREFIX}/registry/demo/npm-remote", f"{PREFIX}/scans",
    ],
)  # fmt: skip
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


def artifacts(rows):
    """Count rows without further quarantine records of the same version."""
    fields = ("registryIdentifier", "packageType", "artifactType", "name", "version")
    return len({tuple(row.get(field) for field in fields) for row in rows})


def test_rows_with_equal_times_come_in_another_order_for_each_page(get):
    """As from a database without tie-break: pages of the same size lose rows of the listing, which a count shows."""
    pages = [get(page=page, size=5, **NEWEST_FIRST).json()["data"] for page in range(50)]
    (count,) = {page["itemCount"] for page in pages}
    assert artifacts([row for page in pages for row in page["artifacts"]]) < count == artifacts(listing("demo", NOW))


def test_pages_count_from_zero_and_cover_the_listing_exactly(get):
    """Pages of a size that divides nothing have as many rows as the listing, in order of time, then come empty."""
    listed = sorted(listing("demo", NOW), key=milliseconds, reverse=True)
    pages = [get(page=page, size=37, **NEWEST_FIRST).json()["data"] for page in range(len(listed) // 37 + 2)]
    assert [milliseconds(row) for page in pages for row in page["artifacts"]] == [*map(milliseconds, listed)]
    assert pages[-1]["artifacts"] == []
    assert {(page["itemCount"], page["pageSize"]) for page in pages} == {(artifacts(listed), 37)}
    assert {page["pageCount"] for page in pages} == {-(-artifacts(listed) // 37)}
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
    assert data["itemCount"] == artifacts(expected)


def test_a_search_term_is_part_of_the_name(get):
    """Part of a name finds it, an empty term everything, a strange one nothing."""
    found = get(page=0, size=1000, search_term="log4j").json()["data"]
    assert set(names(found)) == {"org.apache.logging.log4j:log4j-core"}
    assert get(search_term="").json()["data"]["itemCount"] == artifacts(listing("demo", NOW))
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
        *((accepted, "gzip") for accepted in ("gzip", "br, GZIP;q=0.5", "gzip;q=0.01, deflate")),
        *((refused, None) for refused in ("identity", "", "gzip;q=0", "gzip; q=0.0, br")),
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
