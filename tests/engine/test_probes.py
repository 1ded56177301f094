"""One space at a time, over real sockets: what /probe shows, shares, keeps and refuses."""

import gzip
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
import requests
import structlog
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.engine import probes as probe
from exporter.metrics.space_families import SPACE_FAMILIES
from exporter.serving.listener import listen
from exporter.serving.server import Server
from tests.support import threads, whole
from tests.support.commands import settings_for
from tests.support.guarded import PASSWORD, USERS, Guarded
from tests.support.probing import Probed, held, probed
from tests.support.settings import settings_from, settings_of
from tests.support.stack import eventually
from tests.support.upstream import Upstream, make_row, make_rows, reply

ORG = make_rows(120, isQuarantined=True, scanStatus="BLOCKED")
SPACES = {"acct": make_rows(3), "acct/org": ORG, "acct/org/proj": make_rows(7), "other": make_rows(5)}


@pytest.fixture
def upstream():
    with Upstream(SPACES) as upstream:
        yield upstream


def artifacts(scrape: whole.Scrape, space: str) -> float | None:
    return scrape[f'har_snapshot_artifacts{{source="fetched",space="{space}"}}']


@pytest.mark.parametrize(
    ("setting", "status"),
    [
        (None, {"acct": 200, "acct/org": 200, "acct/org/proj": 400, "other": 400}),
        ("configured", {"acct": 200, "acct/org": 200, "acct/org/proj": 400, "other": 400}),
        ("any", {"acct": 200, "acct/org": 200, "acct/org/proj": 200, "other": 400}),
        ("off", {"acct": 404, "acct/org": 404, "acct/org/proj": 404, "other": 404}),
    ],
)
def test_the_setting_says_which_spaces_may_be_asked_for(setting, status, front, upstream):
    more = {"probe": setting} if setting else {}
    asked = probed(front, upstream, spaces="acct,acct/org", **more)
    assert {space: asked.ask(space).status_code for space in SPACES} == status


def test_where_it_is_off_there_is_nothing_at_the_path(front, upstream):
    asked = probed(front, upstream, probe="off")
    assert asked.ask("acct").content == requests.get(f"{asked.url}/nothing", timeout=10).content


@pytest.mark.parametrize("spelling", ["acct/org", "acct/org/+", "acct/org/%2B", "acct%2Forg", "%61cct/org/%2b"])
def test_a_space_may_be_spelled_as_in_the_settings(spelling, front, upstream):
    asked = probed(front, upstream, spaces="acct/org")
    answer = requests.get(f"{asked.url}/probe?space={spelling}", timeout=20)
    assert 'har_up{space="acct/org"} 1.0' in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "", "space", "space=", "space=nowhere", "space=acct&space=acct", "space=acct&space=other", "space=acct&",
        "space=acct&target=acct", "target=acct", "Space=acct", "space=acct;space=acct", "space=acct/", "space=/acct",
        "space=acct%00", "space[]=acct", "space=acct" + "&space=acct" * 5_000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("setting", ["configured", "any"])
def test_anything_but_one_space_is_refused_with_a_constant_text(query, setting, front, upstream):
    asked = probed(front, upstream, probe=setting)
    answer = requests.get(f"{asked.url}/probe?{query}", timeout=20)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert answer.text == "Unknown or malformed space. Use /probe?space=SPACE with a configured space.\n"
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("accept", "parse"), [("text/plain", parse_text), ("application/openmetrics-text", parse_openmetrics)]
)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize("space", ["acct", "acct/org"], ids=["served", "not served"])
def test_the_page_has_the_families_of_that_space_and_nothing_else(space, accept, parse, encoding, front, upstream):
    asked = probed(front, upstream, probe="any")
    url = f"{asked.url}/probe?space={space}"
    answer = requests.get(url, headers={"Accept": accept, "Accept-Encoding": encoding}, stream=True, timeout=20)
    body = answer.raw.read(decode_content=False)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(accept)
    assert answer.headers["Vary"] == "accept, accept-encoding"
    assert int(answer.headers["Content-Length"]) == len(body)
    assert answer.headers.get("Content-Encoding") == (encoding if encoding == "gzip" else None)
    families = list(parse((gzip.decompress(body) if encoding == "gzip" else body).decode()))
    assert {family.name for family in families} == {family.name.removesuffix("_total") for family in SPACE_FAMILIES}
    assert {sample.labels["space"] for family in families for sample in family.samples} == {space}
    head = requests.head(url, headers={"Accept": accept, "Accept-Encoding": encoding}, timeout=20)
    assert (head.content, head.headers["Content-Length"]) == (b"", answer.headers["Content-Length"])


def test_a_probe_shows_what_metrics_would_show(front, upstream):
    lists = [
        probed(front, upstream, probe="any", spaces=spaces).ask("acct/org").text.splitlines()
        for spaces in ("acct", "acct/org")
    ]
    assert [line for line in lists[0] if "duration" not in line] == [
        line for line in lists[1] if "duration" not in line
    ]
    assert sum(line.startswith("har_artifact_finding{") for line in lists[0]) == 240


def test_another_method_is_refused(front, upstream):
    asked = probed(front, upstream)
    answer = requests.post(f"{asked.url}/probe?space=acct", timeout=10)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("space", ["acct", "acct/org"], ids=["served", "not served"])
def test_probes_and_scrapes_at_once_make_one_walk(space, front, upstream):
    """Twenty probes, and scrapes of /metrics among them where it serves the space: one walk, one timestamp."""
    gate = threading.Event()
    asked = probed(front, upstream, probe="any", spaces=space if space == "acct" else "acct/org/proj")
    began = f'har_snapshot_timestamp_seconds{{space="{space}"}}'
    with ThreadPoolExecutor(25) as pool, held(upstream, gate):
        pages = [pool.submit(asked.probe, space) for _ in range(20)]
        if space == "acct":
            pages += [pool.submit(asked.metrics) for _ in range(5)]
        upstream.wait_for_requests(1)
        gate.set()
        times = {page.result()[began] for page in pages}
    assert len(times) == 1
    assert None not in times
    (page,) = [request for request in upstream.requests if request.query["page"] == ["0"]][:1]
    assert page.path == f"/har/api/v1/spaces/{space}/+/artifacts"
    walks = sum(request.query["page"] == ["1"] or len(SPACES[space]) < 100 for request in upstream.requests)
    assert walks == 1


def test_of_several_spaces_that_are_served_one_alone_is_walked_through_and_shown(front, upstream):
    asked = probed(front, upstream, spaces="acct,acct/org")
    page = asked.probe("acct")
    assert artifacts(page, "acct") == 3
    assert 'space="acct/org"' not in page.text
    assert [request.path for request in upstream.requests] == ["/har/api/v1/spaces/acct/+/artifacts"]
    counted = 'har_exporter_cache_requests_total{space="acct/org"}'
    assert asked.metrics()[counted] == 1


def test_a_space_that_is_served_is_counted_as_asked_for_and_another_one_is_nowhere_on_metrics(front, upstream):
    asked = probed(front, upstream, probe="any")
    before = asked.metrics()
    asked.probe("acct")
    asked.probe("acct/org")
    after = asked.metrics()
    for name, more in (("requests", 2), ("hits", 2)):
        counter = f'har_exporter_cache_{name}_total{{space="acct"}}'
        assert after[counter] == before[counter] + more
    assert 'space="acct/org"' not in after.text
    requested = 'har_exporter_api_requests_total{code="200"}'
    assert after[requested] == before[requested] + 3
    assert "acct/org" not in requests.get(asked.url, timeout=10).text


def test_every_shard_answers_for_every_configured_space(front, upstream):
    """Two pods, as the chart runs them: acct is on 1, a on 0, and each is asked for both."""
    upstream.spaces |= {"a": make_rows(4)}
    for shard, served, other in (("0", "a", "acct"), ("1", "acct", "a")):
        asked = probed(front, upstream, spaces="acct,a", shard=shard, shards="2")
        assert [artifacts(asked.probe(space), space) for space in ("acct", "a")] == [3, 4]
        assert asked.kept == [other]
        assert f'space="{other}"' not in asked.metrics().text
        assert asked.metrics()[f'har_up{{space="{served}"}}'] == 1


def test_the_snapshot_of_a_target_is_kept_and_refreshed_like_any_other(front, upstream):
    asked = probed(front, upstream, probe="any", max_stale="10m", cache_ttl="5m")
    space, series = "acct/org/proj", 'har_up{space="acct/org/proj"}'
    assert artifacts(asked.probe(space), space) == 7
    asked.clock.tick(299)
    asked.probe(space)
    assert len(upstream.requests) == 1
    upstream.spaces[space] = make_rows(8)
    asked.clock.tick(2)
    assert artifacts(asked.probe(space), space) == 8
    upstream.fault = lambda _: reply(404)
    asked.clock.tick(301)
    eventually(lambda: asked.probe(space)[series] == 0)
    failed = asked.probe(space)
    assert (artifacts(failed, space), failed.failures(space)) == (8, {"not_found": 1})
    assert len(upstream.requests) == 3
    asked.clock.tick(300)
    eventually(lambda: asked.probe(space).failures(space) == {"not_found": 2})
    assert artifacts(asked.probe(space), space) is None


def test_a_target_that_never_was_well_waits_for_its_back_off_too(front, upstream):
    asked = probed(front, upstream, probe="any")
    for _ in range(5):
        assert asked.probe("acct/nowhere").failures("acct/nowhere") == {"client_error": 1}
    assert len(upstream.requests) == 1


def test_a_probe_is_answered_before_its_timeout_though_the_walk_hangs(front, upstream):
    asked = probed(front, upstream, probe="any")
    with held(upstream, threading.Event()):
        for space in ("acct", "acct/org"):
            began = time.monotonic()
            assert asked.probe(space, timeout=0.7)[f'har_up{{space="{space}"}}'] == 0
            assert time.monotonic() - began < 0.7


def test_probes_count_among_the_scrapes_that_are_answered_at_once(front, upstream):
    asked = probed(front, upstream, probe="any")
    gate = threading.Event()
    with ThreadPoolExecutor(65) as pool, held(upstream, gate):
        answers = [pool.submit(asked.ask, space) for space in ("acct", "acct/org") for _ in range(32)]
        eventually(lambda: len(asked.endpoints._waiting) == 64)
        answers.append(pool.submit(requests.get, f"{asked.url}/metrics", timeout=20))
        eventually(lambda: any(answer.done() for answer in answers))
        assert len(asked.endpoints._waiting) == 64
        gate.set()
        assert {answer.result().status_code for answer in answers} == {200}


def test_walks_of_targets_share_the_places_key_and_budget_of_all_the_others(front, upstream):
    """Four walks of two places: one request in flight for each place, and one upstream for all."""
    asked = probed(front, upstream, probe="any", concurrency="2", spaces="acct,other")
    with ThreadPoolExecutor(4) as pool, held(upstream, threading.Event()) as _:
        answers = [pool.submit(asked.ask, space) for space in SPACES]
        upstream.wait_for_requests(2)
        eventually(lambda: len(asked.endpoints._waiting) == 4)
        assert len(upstream.requests) == 2
        upstream.hold.set()
        wait(answers)
    assert upstream.most_in_flight == 2
    assert len(asked.app.clients._opened) == 1


@pytest.fixture
def three(monkeypatch):
    """Keep six targets at most, and thus three that are not configured."""
    monkeypatch.setattr(probe, "MOST_TARGETS", 6)


@pytest.mark.usefixtures("three")
def test_the_target_makes_room_that_was_not_asked_for_longest(front, upstream):
    asked = probed(front, upstream, probe="any")
    with structlog.testing.capture_logs() as lines:
        for name in ("a", "b", "c", "a", "d", "e"):
            asked.probe(f"acct/{name}")
    assert asked.kept == ["acct/a", "acct/d", "acct/e"]
    assert [line["kept"] for line in lines if line["event"].startswith("more spaces are probed")] == [3]


@pytest.mark.usefixtures("three")
def test_a_target_with_a_walk_makes_no_room_and_one_too_many_is_told_so(front, upstream):
    asked = probed(front, upstream, probe="any", concurrency="1")
    names = ["acct/a", "acct/b", "acct/c"]
    with held(upstream, threading.Event()):
        for name in names:
            asked.probe(name, timeout=0.1)
        answer = asked.ask("acct/d", timeout=0.1)
        assert (answer.status_code, answer.text) == (503, "Too many spaces are being refreshed.\n")
        assert int(answer.headers["Content-Length"]) == len(answer.content)
        assert asked.ask("acct", timeout=0.1).status_code == 200
        assert asked.ask("acct/b", timeout=0.1).status_code == 200
        assert asked.kept == ["acct/a", "acct/c", "acct/b"]
        upstream.hold.set()
        eventually(lambda: asked.ask("acct/d").status_code == 200)
    assert len(asked.kept) == 3


@pytest.mark.usefixtures("three")
def test_targets_that_are_not_configured_leave_half_of_the_places_to_those_that_are(front, upstream, tmp_path):
    """Of another shard, as anyone can ask for any number of the others; both share the places that are left."""
    names = [f"acct/{number}" for number in range(12)]
    text = f"base_url: {upstream.url}\napi_key: {upstream.key}\nprobe: any\nshards: 2\nspaces: {names}"
    asked = Probed(front, settings_from(tmp_path, text))
    others = [name for name in names if name not in asked.app.refresher][:4]
    with held(upstream, threading.Event()):
        codes = [asked.ask(name, timeout=0.1).status_code for name in ("acct/a", "acct/b", "acct/c", "acct/d", *others)]
    assert codes == [200, 200, 200, 503, 200, 200, 200, 503]


@pytest.mark.usefixtures("three")
def test_a_target_that_fails_has_its_back_off_though_others_took_its_place(front, upstream):
    """Otherwise whoever asks for many in turns would have the API asked each time; a good one starts again."""
    asked = probed(front, upstream, probe="any", cache_ttl="5m")
    upstream.spaces |= {"acct/a": make_rows(2), "acct/b": make_rows(2)}
    asked.probe("acct/a")
    asked.clock.tick(301)
    upstream.fault = lambda request: None if "acct/b" in request.path else reply(404)
    eventually(lambda: asked.probe("acct/a").failures("acct/a") == {"not_found": 1})
    requested = len(upstream.requests)
    for _ in range(3):
        for name in "bcd":
            asked.probe(f"acct/{name}")
        assert "acct/a" not in asked.kept
        page = asked.probe("acct/a")
        assert (page.failures("acct/a"), artifacts(page, "acct/a")) == ({"not_found": 1}, None)
    assert len(upstream.requests) == requested + len("bcdbb")
    asked.clock.tick(301)
    assert asked.probe("acct/a").failures("acct/a") == {"not_found": 2}


@pytest.mark.usefixtures("three")
def test_a_target_that_made_room_has_the_settings_of_a_reload_that_came_meanwhile(front, upstream):
    asked = probed(front, upstream, probe="any")
    for name in "abcd":
        asked.probe(f"acct/{name}")
    more = {"probe": "any", "rate_limit": "off", "spaces": "acct", "package_types": "NPM"}
    asked.app.reload(lambda: settings_of(**settings_for(upstream, **more)))
    # The others are being refreshed, as the reload has reset them.
    eventually(lambda: asked.ask("acct/a").status_code == 200)
    assert [request.query.get("package_type") for request in upstream.requests if "acct/a/" in request.path] == [
        None,
        ["NPM"],
    ]


@pytest.mark.parametrize(("length", "status"), [(128, 200), (129, 400)])
def test_a_segment_that_is_longer_than_identifiers_are_is_refused(length, status, front, upstream):
    asked = probed(front, upstream, probe="any")
    assert asked.ask(f"acct/{'x' * length}/proj").status_code == status
    assert len(upstream.requests) == (status == 200)


@pytest.mark.parametrize("max_stale", ["1h", "0"])
def test_a_target_that_nobody_asks_for_is_dropped(max_stale, front, upstream):
    """After `max_stale`, and not before any hold that the API asked for can be over."""
    asked = probed(front, upstream, probe="any", max_stale=max_stale)
    asked.probe("acct/org")
    asked.clock.tick(3_599 if max_stale == "1h" else 899)
    asked.metrics()
    assert asked.kept == ["acct/org"]
    asked.clock.tick(1)
    asked.metrics()
    assert asked.kept == []


def test_a_target_whose_walk_runs_is_not_dropped(front, upstream):
    asked = probed(front, upstream, probe="any")
    with held(upstream, threading.Event()):
        asked.probe("acct/org", timeout=0.1)
        asked.clock.tick(5_000)
        asked.metrics(timeout=0.1)
        assert asked.kept == ["acct/org"]


def test_what_becomes_of_a_target_is_logged_once_even_after_it_was_dropped(front, upstream):
    asked = probed(front, upstream, probe="any")
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            asked.probe("acct/org")
            asked.clock.tick(4_000)
            asked.metrics()
    told = [(line["event"], line["space"]) for line in lines if "event" in line and line["space"] != "acct"]
    assert told == [("space is up", "acct/org")]


@pytest.mark.usefixtures("three")
def test_the_log_remembers_so_many_targets_and_no_more(front, upstream):
    asked = probed(front, upstream, probe="any")
    for number in range(20):
        asked.probe(f"acct/{number}")
    journal = asked.app.probes._new_refresher(asked.app.probes.targets.asked(b"space=acct/x"))._on_refresh.__self__
    assert len(journal._states._logged) == 20
    assert journal._states._logged.maxsize == journal._failures._logged.maxsize == 1_000


def test_a_key_file_of_another_shard_is_read_with_the_first_probe(front, upstream, tmp_path):
    """One that went since the start fails the refresh, and is read once it is back."""
    for name in ("acct", "a"):
        (tmp_path / name).write_text(upstream.key)
    text = f"""
        base_url: {upstream.url}
        shard: 0
        shards: 2
        spaces: [{{ref: acct, api_key_file: {tmp_path}/acct}}, {{ref: a, api_key_file: {tmp_path}/a}}]
    """
    asked = Probed(front, settings_from(tmp_path, text))
    (tmp_path / "acct").unlink()
    assert asked.probe("acct").failures("acct") == {"auth": 1}
    (tmp_path / "acct").write_text(upstream.key)
    asked.clock.tick(6)
    assert artifacts(asked.probe("acct"), "acct") == 3


def test_a_key_of_another_account_is_told_once_for_all_scopes_of_an_account(front, upstream):
    asked = probed(front, upstream, probe="any", api_key="pat.else.id.secret", spaces="acct,other")
    with structlog.testing.capture_logs() as lines:
        asked.probe("acct/org")
        asked.probe("acct/org/proj")
    assert [line for line in lines if "another account" in line["event"]] == []


def test_a_page_size_that_is_refused_is_asked_for_once_as_long_as_the_target_is_kept(front, upstream):
    upstream.refuse_above = 100
    asked = probed(front, upstream, probe="any", page_size="500")
    asked.probe("acct/org")
    asked.clock.tick(301)
    asked.probe("acct/org")
    assert [request.query["size"] for request in upstream.requests].count(["500"]) == 1


def test_filters_of_an_entry_are_those_of_its_space_alone(front, upstream, tmp_path):
    upstream.spaces = {"acct": [make_row(0), make_row(1, registryIdentifier="b")], "acct/org": make_rows(2)}
    text = f"""
        base_url: {upstream.url}
        api_key: {upstream.key}
        probe: any
        package_types: [NPM]
        spaces: [{{ref: acct, registries: [b]}}]
    """
    asked = Probed(front, settings_from(tmp_path, text))
    assert (artifacts(asked.probe("acct"), "acct"), artifacts(asked.probe("acct/org"), "acct/org")) == (1, 2)
    own, common = (request.query for request in upstream.requests)
    assert (own["reg_identifier"], own["package_type"]) == (["b"], ["NPM"])
    assert "reg_identifier" not in common
    assert common["package_type"] == ["NPM"]


def test_the_guard_stands_before_probes_too(front, upstream, tmp_path):
    asked = probed(front, upstream)
    with Guarded(tmp_path).serving(USERS, asked.endpoints) as guarded:
        path = "/probe?space=acct"
        assert guarded.get(path).status_code == 401
        assert guarded.get("/probe?space=nowhere").status_code == 401
        assert upstream.requests == []
        assert guarded.get(path, auth=("alice", PASSWORD)).status_code == 200


def test_shutdown_answers_a_waiting_probe_at_once(front, upstream):
    asked = probed(front, upstream, probe="any")
    sock = listen("127.0.0.1", 0)
    asked.url = "http://{}:{}".format(*sock.getsockname())
    server = Server(asked.endpoints, sock, on_shutdown=asked.endpoints.stop)
    with ThreadPoolExecutor(1) as pool, held(upstream, threading.Event()), threads.running(server):
        answer = pool.submit(asked.ask, "acct/org")
        upstream.wait_for_requests(1)
        began = time.monotonic()
        server.stop()
        assert answer.result().status_code == 200
        assert time.monotonic() - began < 5
