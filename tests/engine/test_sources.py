"""Discovery, registries and violations over real HTTP."""

import threading
from concurrent.futures import wait
from itertools import count

import pytest
from structlog.testing import capture_logs

from exporter.config.sources import load
from exporter.engine.once import read_once
from exporter.metrics.exposition import TEXT
from tests.support.apps import app_of, refreshed, settled
from tests.support.commands import settings_for
from tests.support.settings import settings_of
from tests.support.sources import registries_body, registry_row, violation_row
from tests.support.upstream import ABSENT, Upstream, cut, make_row, make_rows, reply
from tests.support.whole import Scrape

BOTH = "registries,violations"
TTL, VIOLATIONS_TTL = 901, 61


def is_listing(request, name):
    return request.path.endswith(f"/+/{name}") or (name == "violations" and request.path.endswith("/v3/scans"))


def refuse(name, status=403):
    """Return a fault of one listing."""
    return lambda request: reply(status, {"message": "no"}) if is_listing(request, name) else None


def estate(*spaces, **knobs):
    """Return an upstream with a few artifacts in each space, and a registry with a violation."""
    rows = {space: make_rows(number % 10) for number, space in enumerate(spaces, 1)}
    registries = [registry_row(number, path=f"{space}/registry-{number}") for number, space in enumerate(spaces)]
    return Upstream(rows, registries=registries, **knobs)


def app_for(upstream, clock, spaces="acct/**", **more):
    return app_of(upstream, clock, **{"spaces": spaces, "sources": BOTH, "rate_limit": "off", **more})


def scrape(app):
    return Scrape(settled(app))


def up(page):
    """Return `har_up` of every space."""
    start = 'har_up{space="'
    return {
        series.removeprefix(start).removesuffix('"}'): value
        for series, value in page.items()
        if series.startswith(start)
    }


def test_every_space_below_an_account_is_found_and_read_at_once(clock):
    with estate("acct", "acct/org", "acct/org/p1", "acct/org/p2") as upstream:
        page = scrape(app_for(upstream, clock))
    assert up(page) == {"acct": 1, "acct/org": 1, "acct/org/p1": 1, "acct/org/p2": 1}
    assert page['har_discovered_spaces{space="acct/**"}'] == 3
    fetched = {space: page[f'har_snapshot_artifacts{{source="fetched",space="{space}"}}'] for space in up(page)}
    assert fetched == {"acct": 1, "acct/org": 2, "acct/org/p1": 3, "acct/org/p2": 4}


def test_an_organization_is_a_root_too_and_what_lies_beside_it_is_not_read(clock):
    with estate("acct", "acct/org", "acct/org/p1", "acct/other") as upstream:
        page = scrape(app_for(upstream, clock, "acct/org/**"))
    assert up(page) == {"acct/org": 1, "acct/org/p1": 1}


def test_the_root_is_a_space_without_a_registry_of_its_own(clock):
    with estate("acct", "acct/org") as upstream:
        upstream.registries = upstream.registries[1:]
        assert up(scrape(app_for(upstream, clock))) == {"acct": 1, "acct/org": 1}


def test_new_spaces_appear_and_gone_ones_go_after_each_discovery(clock):
    with estate("acct", "acct/org", "acct/gone") as upstream:
        app = app_for(upstream, clock)
        assert set(up(scrape(app))) == {"acct", "acct/org", "acct/gone"}
        upstream.spaces["acct/new"] = make_rows(7)
        upstream.registries = [*upstream.registries[:2], registry_row(9, path="acct/new/registry-9")]
        clock.tick(TTL - 2)
        assert set(up(scrape(app))) == {"acct", "acct/org", "acct/gone"}
        clock.tick(2)
        page = scrape(app)
    assert up(page) == {"acct": 1, "acct/org": 1, "acct/new": 1}
    assert not page.of("acct/gone", "har_")


@pytest.mark.parametrize("fault", [reply(500), reply(403), reply(200, {"status": "SUCCESS", "data": {}})])
def test_a_discovery_that_fails_keeps_the_spaces_that_it_found_last(fault, clock):
    with estate("acct", "acct/org") as upstream:
        app = app_for(upstream, clock, max_stale="10s")
        scrape(app)
        upstream.fault = lambda request: fault if is_listing(request, "registries") else None
        for _ in range(5):
            clock.tick(TTL)
            page = scrape(app)
            assert up(page) == {"acct": 1, "acct/org": 1}
            assert page['har_source_up{source="registries",space="acct/**"}'] == 0
            assert page['har_discovered_spaces{space="acct/**"}'] == 1


@pytest.mark.simulation
def test_a_space_goes_only_after_a_discovery_that_read_every_page(clock):
    """A count that falls while pages are read may hide a registry."""
    with estate("acct", *(f"acct/o{number:03}" for number in range(150))) as upstream:
        app = app_for(upstream, clock)
        assert len(up(scrape(app))) == 151
        del upstream.registries[140]
        falling = count(10_000, -1)
        upstream.item_count = lambda number: next(falling) if number == 150 else number  # of registries
        clock.tick(TTL)
        assert len(up(scrape(app))) == 151
        upstream.item_count = None
        clock.tick(TTL)
        assert len(up(scrape(app))) == 150


@pytest.mark.simulation
def test_a_row_that_moves_past_a_read_drops_no_space(clock):
    """A space that a read does not name is looked for once more at once."""
    with estate("acct", *(f"acct/o{number:03}" for number in range(150))) as upstream:
        app = app_for(upstream, clock)
        assert len(up(scrape(app))) == 151
        moved = []

        def move(request):
            if is_listing(request, "registries") and request.query["page"] == ["1"] and not moved:
                moved.append(upstream.registries.pop(50))
                upstream.registries.append(moved[0])

        upstream.before = move
        clock.tick(TTL)
        assert len(up(scrape(app))) == 151
        assert moved


def listing(*rows):
    """Return a fault that lists these registries, whatever their paths."""
    body = registries_body(list(rows), itemCount=len(rows))
    return lambda request: reply(200, body) if is_listing(request, "registries") else None


@pytest.mark.parametrize("broken", [{"path": ABSENT}, {"identifier": ABSENT}], ids=["no path", "no name"])
def test_a_row_that_cannot_be_used_drops_no_space(broken, clock):
    with estate("acct", "acct/org", "acct/p", "acct/q") as upstream:
        app = app_for(upstream, clock)
        scrape(app)
        good = [row for row in upstream.registries if "org" not in row["path"]]
        upstream.fault = listing(*good, registry_row(9, **{"path": "acct/org/r", **broken}))
        clock.tick(TTL)
        page = scrape(app)
    assert set(up(page)) == {"acct", "acct/org", "acct/p", "acct/q"}
    assert page['har_source_up{source="registries",space="acct/**"}'] == 1


def test_an_empty_answer_beside_a_count_drops_no_space(clock):
    with estate("acct", "acct/org") as upstream:
        app = app_for(upstream, clock)
        scrape(app)
        upstream.registries, upstream.item_count = [], lambda number: number or 3
        clock.tick(TTL)
        assert set(up(scrape(app))) == {"acct", "acct/org"}


def test_a_server_that_names_no_space_fails_the_root(clock):
    with estate("acct", "acct/org") as upstream:
        upstream.fault = listing(*(registry_row(number, path=ABSENT) for number in range(4)))
        page = scrape(app_for(upstream, clock))
    assert up(page) == {"acct": 0}
    assert page.failures("acct") == {"bad_shape": 1}


def test_roots_that_differ_in_case_only_are_asked_once(clock):
    with estate("acct", "acct/org") as upstream:
        page = scrape(app_for(upstream, clock, "acct/**,ACCT/**"))
        asked = [request.path for request in upstream.requests if is_listing(request, "registries")]
    assert asked == ["/har/api/v1/spaces/acct/+/registries"]
    assert page['har_discovered_spaces{space="acct/**"}'] == 1


def test_what_another_server_listed_is_forgotten(clock):
    with estate("acct", "acct/org") as upstream, estate("acct", fault=refuse("registries")) as other:
        app = app_for(upstream, clock)
        scrape(app)
        settings = settings_for(other, spaces="acct/**", sources=BOTH, rate_limit="off")
        app.reload(lambda: settings_of(**settings))
        page = scrape(app)
    assert up(page) == {"acct": 0}
    assert page['har_discovered_spaces{space="acct/**"}'] is None


def test_a_key_that_may_not_view_the_root_fails_the_root_with_the_way_out(clock):
    """And the root is read at once when the key may view it."""
    with estate("acct", "acct/org", fault=refuse("registries")) as upstream:
        app = app_for(upstream, clock)
        page = scrape(app)
        assert up(page) == {"acct": 0}
        assert page.failures("acct") == {"forbidden": 1}
        assert "name the spaces in spaces" in refreshed(app)["acct"].last_failure.hint
        assert page['har_discovered_spaces{space="acct/**"}'] is None
        assert not [request for request in upstream.requests if is_listing(request, "artifacts")]
        upstream.fault = None
        clock.tick(6)
        asked = len(upstream.requests)
        app.sources.finish()
        requests = upstream.wait_for_requests(asked + 5)[asked:]
        assert "/har/api/v1/spaces/acct/+/artifacts" in [request.path for request in requests]
        assert up(scrape(app)) == {"acct": 1, "acct/org": 1}


def test_a_root_below_one_that_may_not_be_viewed_fails_like_that_one(clock):
    """It is not asked itself, so that without the list of the one above it nothing below it is seen."""
    with estate("acct", "acct/org", fault=refuse("registries")) as upstream:
        app = app_for(upstream, clock, "acct/**,acct/org/**")
        page = scrape(app)
        assert up(page) == {"acct": 0, "acct/org": 0}
        assert page.failures("acct/org") == {"forbidden": 1}
        upstream.fault = None
        clock.tick(6)
        app.sources.finish()
        assert up(scrape(app)) == {"acct": 1, "acct/org": 1}


def test_an_entry_of_its_own_overrides_the_settings_of_a_space_that_is_found(clock, tmp_path):
    with estate("acct", "acct/org", "acct/org/p") as upstream:
        for space, rows in upstream.spaces.items():
            rows[0]["registryIdentifier"] = f"first-of-{space.rpartition('/')[2]}"
        app = app_for(upstream, clock, "acct/**")
        scrape(app)
        (tmp_path / "s.yaml").write_text(f"""
base_url: {upstream.url}
api_key: {upstream.key}
sources: registries
spaces:
  - acct/**
  - {{ref: acct/org, registries: [first-of-org], owner: payments}}
""")
        app.reload(lambda: load({"config": str(tmp_path / "s.yaml")}, {}))
        page = scrape(app)
    counts = {space: page[f'har_snapshot_artifacts{{source="fetched",space="{space}"}}'] for space in up(page)}
    assert counts == {"acct": 1, "acct/org": 1, "acct/org/p": 3}
    assert page['har_space_info{account="acct",org="org",owner="payments",project="",space="acct/org"}'] == 1


def test_shards_each_discover_and_serve_their_own_spaces(clock):
    spaces = ("acct", *(f"acct/o{number}" for number in range(12)))
    with estate(*spaces) as upstream:
        pages = [scrape(app_for(upstream, clock, shard=str(shard), shards="3")) for shard in range(3)]
    assert sorted(space for page in pages for space in up(page)) == sorted(spaces)
    assert {page['har_discovered_spaces{space="acct/**"}'] for page in pages} == {12}
    infos = [set(page.of(space, "har_registry_info")) for page in pages for space in up(page)]
    assert all(infos)


def test_a_probe_may_ask_for_a_space_that_was_found(clock):
    with estate("acct", "acct/org") as upstream:
        app = app_for(upstream, clock)
        assert app.probes.targets.asked(b"space=acct/org") is None
        scrape(app)
        assert app.probes.targets.asked(b"space=acct/org") is not None
        assert app.probes.targets.asked(b"space=acct/other") is None


def test_scopes_that_differ_in_case_only_are_one_space(clock):
    with estate("acct", "acct/Org") as upstream:
        upstream.spaces["acct/org"] = make_rows(3)
        page = scrape(app_for(upstream, clock, "acct/**,acct/org"))
    assert set(up(page)) == {"acct", "acct/org"}
    assert page.of("acct/org", "har_registry_packages")


def test_an_entry_below_one_of_the_same_key_is_not_asked_itself(clock):
    with estate("acct", "acct/org", "acct/org/p") as upstream:
        page = scrape(app_for(upstream, clock, "acct/**,acct/org/**,acct/org/p"))
        asked = [request.path for request in upstream.requests if is_listing(request, "registries")]
    assert asked == ["/har/api/v1/spaces/acct/+/registries"]
    assert up(page) == {"acct": 1, "acct/org": 1, "acct/org/p": 1}


@pytest.mark.parametrize("name", ["registries", "violations", "artifacts"])
@pytest.mark.parametrize("status", [403, 404, 500, 501])
def test_each_source_fails_alone(name, status, clock):
    with estate("acct", "acct/org", violations=[violation_row(path="acct/registry-0")]) as upstream:
        app = app_for(upstream, clock, "acct")
        upstream.fault = refuse(name, status)
        page = scrape(app)
    expected = {"registries": 1, "violations": 1, "artifacts": 1} | {name: 0}
    assert up(page) == {"acct": expected.pop("artifacts")}
    assert {source: page[f'har_source_up{{source="{source}",space="acct"}}'] for source in expected} == expected
    if name != "artifacts":
        failures = page.of("acct", "har_source_failures_total")
        assert sum(failures.values()) == 1
        assert not page.of("acct", "har_registry_packages" if name == "registries" else "har_firewall_violations{")


@pytest.mark.parametrize("status", [403, 404, 501])
def test_a_source_that_is_not_available_is_logged_once_and_asked_again_after_long_pauses(status, clock):
    with estate("acct") as upstream:
        upstream.fault = refuse("violations", status)
        app = app_for(upstream, clock, "acct")
        with capture_logs() as logs:
            for _ in range(60):
                scrape(app)
                clock.tick(60)
        asked = [request for request in upstream.requests if is_listing(request, "violations")]
    assert len(asked) == 4
    assert [line["source"] for line in logs if line["event"] == "refresh failed"] == ["violations"]


def test_a_source_that_fails_for_another_reason_is_asked_again_soon(clock):
    with estate("acct") as upstream:
        upstream.fault = refuse("violations", 400)
        app = app_for(upstream, clock, "acct")
        scrape(app)
        upstream.fault = None
        clock.tick(6)
        assert scrape(app)['har_source_up{source="violations",space="acct"}'] == 1


def test_a_source_that_is_off_is_not_asked_and_has_no_series(clock):
    with estate("acct") as upstream:
        for sources in ("registries", "violations", "off"):
            before = len(upstream.requests)
            page = scrape(app_for(upstream, clock, "acct", sources=sources))
            asked = {request.path.rpartition("/")[2] for request in upstream.requests[before:]}
            listings = {"registries": {"registries", "+"}, "violations": {"scans"}, "off": set()}[sources]
            assert asked == {"artifacts"} | listings
            shown = {label for label in ("registries", "violations") if f'source="{label}"' in page.text}
            assert shown == ({sources} if sources != "off" else set())


def test_a_reload_turns_sources_on_and_off(clock):
    with estate("acct", violations=[violation_row(path="acct/registry-0")]) as upstream:
        app = app_for(upstream, clock, "acct", sources="off")
        for sources, up_of in (
            ("off", {}),
            (BOTH, {"registries": 1, "violations": 1}),
            ("violations", {"violations": 1}),
        ):
            app.reload(lambda sources=sources: settings_of(**settings_for(upstream, sources=sources)))
            page = scrape(app)
            assert page.of("acct", "har_source_up") == {
                f'har_source_up{{source="{source}",space="acct"}}': number for source, number in up_of.items()
            }


@pytest.mark.simulation
def test_violations_cost_one_request_a_minute_while_nothing_changes(clock):
    """All pages are read if the first one changed, and once in `registries_ttl`: exemptions change without a trace."""
    rows = [violation_row(number, registryId="uuid-0", path="acct/registry-0") for number in range(250)]
    with estate("acct", violations=rows) as upstream:
        app = app_for(upstream, clock, "acct")

        def requests_of_a_minute():
            before = len(upstream.requests)
            clock.tick(VIOLATIONS_TTL)
            page = scrape(app)
            asked = [request for request in upstream.requests[before:] if is_listing(request, "violations")]
            return len(asked), sum(page.of("acct", "har_firewall_violations{").values())

        scrape(app)
        # The first minute places violations by registries that were read at the same time.
        requests_of_a_minute()
        assert [requests_of_a_minute() for _ in range(10)] == [(1, 250)] * 10
        upstream.violations = [*rows, violation_row(999, registryId="uuid-0", path="acct/registry-0")][::-1]
        assert requests_of_a_minute() == (3, 251)
        upstream.violations[50]["exemptionStatus"] = "APPROVED"
        asked, _ = zip(*(requests_of_a_minute() for _ in range(15)), strict=True)
    assert sorted(asked) == [1] * 14 + [3]


def test_a_scrape_each_minute_waits_for_new_violations(clock):
    """Each scrape comes a moment sooner after the read than `violations_ttl`, because that began after its scrape."""
    with estate("acct", violations=[]) as upstream:
        app = app_for(upstream, clock, "acct")
        scrape(app)
        for number in range(1, 4):
            clock.tick(59.9)
            upstream.violations = [
                violation_row(row, registryId="uuid-0", path="acct/registry-0") for row in range(number)
            ]
            (read,) = app.sources.refresh(9.5)
            read.result(20)
            page = Scrape(b"".join(app.exposition.render(TEXT).parts).decode())
            assert len(page.of("acct", "har_firewall_violation_info")) == number


@pytest.mark.simulation
def test_all_reads_of_a_source_take_a_tenth_of_the_rate_at_most(clock):
    """Firewall modes cost a request each; those that were asked longest ago come first."""
    modes = ["BLOCK", "WARN", "ALLOW"]
    registries = [
        registry_row(number, path=f"acct/registry-{number}", config={"firewallMode": modes[number % 3]})
        for number in range(70)
    ]
    times, paths = [], []

    def note(request):
        if "regist" in request.path:
            times.append(clock.monotonic())
            paths.append(request.path)

    with Upstream(make_rows(1), registries=registries, before=note) as upstream:
        app = app_for(upstream, clock, "acct", rate_limit="300/m")
        page = scrape(app)
        assert len(page.of("acct", "har_registry_firewall")) == 70
        assert (len(set(paths)), len(paths)) == (71, 71)
        for _ in range(20):
            clock.tick(61)
            scrape(app)
    assert max(sum(start <= time < start + 60 for time in times) for start in times) == 30
    assert len(paths) == 142
    asked = [path for path in paths if not path.endswith("/registries")]
    assert asked[70:] == asked[:70]


def test_rows_without_a_type_are_unscanned_where_the_registry_is_known_to_be_upstream(clock):
    rows = [
        make_row(0, scanStatus=ABSENT, registryType=ABSENT),
        make_row(1, scanStatus=ABSENT, registryType=ABSENT, registryIdentifier="local"),
    ]
    registries = [
        registry_row(0, identifier="npm-remote", path="acct/npm-remote"),
        registry_row(1, identifier="local", type="VIRTUAL", path="acct/local"),
    ]
    with Upstream(rows, registries=registries) as upstream:
        page = scrape(app_for(upstream, clock, "acct"))
    seen = {series for series, number in page.of("acct", "har_artifacts{").items() if number}
    assert {('registry="local"' in one, 'scan_status="UNSCANNED"' in one) for one in seen} == {
        (True, False),
        (False, True),
    }


def test_a_row_that_cannot_be_used_costs_no_second_look(clock):
    """No space goes by such a read, however often it is repeated."""
    with estate("acct", "acct/org") as upstream:
        app = app_for(upstream, clock, sources="registries")
        scrape(app)
        upstream.registries = [upstream.registries[0], registry_row(7, path="acct/r", identifier=ABSENT)]
        asked = len(upstream.requests)
        clock.tick(TTL)
        assert set(up(scrape(app))) == {"acct", "acct/org"}
    assert sum(is_listing(request, "registries") for request in upstream.requests[asked:]) == 1


def test_the_registries_source_describes_registries_and_empty_ones_too(clock):
    registries = [
        registry_row(0, identifier="npm-remote", uuid="new", type="VIRTUAL", path="acct/npm-remote"),
        registry_row(1, identifier="empty", uuid="u1", path="acct/empty"),
    ]
    with Upstream(make_rows(1), registries=registries) as upstream:
        page = scrape(app_for(upstream, clock, "acct", link_template=""))
    assert set(page.of("acct", "har_registry_info")) == {
        'har_registry_info{package_type="NPM",registry="npm-remote",registry_type="VIRTUAL",registry_uuid="new",space="acct",url=""}',
        'har_registry_info{package_type="NPM",registry="empty",registry_type="UPSTREAM",registry_uuid="u1",space="acct",url=""}',
    }


def test_filters_apply_to_what_the_sources_list(clock):
    registries = [registry_row(number, identifier=f"r{number}", path=f"acct/r{number}") for number in range(3)]
    registries += [registry_row(3, identifier="r1", packageType="MAVEN", path="acct/r1")]
    violations = [
        violation_row(number, registryId=f"uuid-{number}", registryName=f"r{number}", path=f"acct/r{number}")
        for number in range(3)
    ]
    with Upstream([], registries=registries, violations=violations) as upstream:
        page = scrape(app_for(upstream, clock, "acct", registries="r1,r2", package_types="NPM"))
    names = ("har_registry_packages", "har_registry_info", "har_firewall_violations{", "har_firewall_violation_info")
    for name in names:
        found = {series.partition('registry="')[2].partition('"')[0] for series in page.of("acct", name)}
        assert found == {"r1", "r2"}
        assert "MAVEN" not in str(page.of("acct", name))


def test_filters_apply_to_violations_before_findings_limit(clock):
    """What a filter leaves out takes no place among the newest, and a reload applies another filter at once."""
    registries = [registry_row(number, identifier=f"r{number}", path=f"acct/r{number}") for number in range(2)]
    violations = [
        violation_row(number, registryId=f"uuid-{number % 2}", registryName=f"r{number % 2}", path="acct/r")
        for number in range(8)
    ]
    with Upstream([], registries=registries, violations=violations) as upstream:
        app = app_for(upstream, clock, registries="r1", findings_limit="3")
        page = scrape(app)
        assert page['har_firewall_violations_dropped{space="acct"}'] == 1
        assert len(page.of("acct", "har_firewall_violation_info")) == 3
        other = app.settings.model_copy(update={"registries": ("r0",), "findings_limit": 4})
        app.reload(lambda: other)
        page = scrape(app)
    assert page['har_firewall_violations_dropped{space="acct"}'] == 0
    assert {name.partition('registry="')[2][:2] for name in page.of("acct", "har_firewall_violation_info")} == {"r0"}


def test_violations_of_an_unknown_space_are_rejected(clock):
    """They are in no number of any space, so the log says that rows could not be used."""
    unknown = {"registryId": "?", "RegistryOrgId": "gone", "RegistryProjectId": ABSENT}
    rows = [violation_row(number, path="acct/org/p0/r", **fields) for number, fields in enumerate(({}, unknown))]
    with estate("acct/org/p0") as upstream, capture_logs() as logs:
        upstream.violations = rows
        page = scrape(app_for(upstream, clock))
    (told,) = (line for line in logs if line.get("source") == "violations" and line["event"] == "source is up")
    assert (told["violations"], told["rejected"]) == (2, 1)
    assert page.of("acct/org/p0", "har_firewall_violations{")


def test_a_space_that_is_spelled_otherwise_later_keeps_its_name(clock):
    """Its series would end and begin again under another name."""
    with estate("acct", "acct/Org", "acct/Org/p") as upstream:
        app = app_for(upstream, clock)
        assert set(up(scrape(app))) == {"acct", "acct/Org", "acct/Org/p"}
        for row in upstream.registries:
            row["path"] = row["path"].replace("acct/Org", "acct/ORG")
        asked = len(upstream.requests)
        clock.tick(TTL)
        app.sources.finish()
        page = scrape(app)
        listed = [request for request in upstream.requests[asked:] if is_listing(request, "registries")]
    assert set(up(page)) == {"acct", "acct/Org", "acct/Org/p"}
    assert len(listed) == 1
    assert page.of("acct/Org", "har_registry_packages")


def test_a_filter_of_all_spaces_below_another_is_no_warning_for_each_of_them(clock):
    """Each of them need not have the registries that it names."""
    with estate("acct", "acct/org", "acct/other") as upstream, capture_logs() as logs:
        scrape(app_for(upstream, clock, "acct/**,acct/other", registries="npm-remote,nowhere"))
    assert [line["space"] for line in logs if line["event"] == "configured registries are not listed"] == ["acct/other"]


def test_the_registries_over_the_limit_are_the_same_for_artifacts_and_lists(clock):
    """The artifacts choose, also after a refresh that found others."""
    rows = [make_row(number, registryIdentifier=f"r{number // 2}") for number in range(5)]
    registries = [registry_row(9 - number, identifier=f"r{number}", path=f"acct/r{number}") for number in range(4)]
    with Upstream({"acct": rows}, registries=registries) as upstream:
        app = app_for(upstream, clock, "acct", registries_limit="2")
        chosen = [{*registries_of(scrape(app))}]
        upstream.spaces["acct"] = [make_row(number, registryIdentifier="r3") for number in range(5)] + rows[:3]
        clock.tick(TTL)
        chosen.append({*registries_of(scrape(app))})
    assert chosen == [{("r0", "r1", "(other)")}, {("r0", "r3", "(other)")}]


def test_the_registries_over_the_limit_stay_the_same_while_there_are_no_artifacts(clock):
    rows = [make_row(number, registryIdentifier=f"r{number // 2}") for number in range(4)]
    registries = [registry_row(number, identifier=f"r{number}", path=f"acct/r{number}") for number in range(4)]
    with Upstream({"acct": rows}, registries=registries) as upstream:
        app = app_for(upstream, clock, "acct", registries_limit="2")
        scrape(app)
        upstream.fault = refuse("artifacts", 500)
        clock.tick(3_700)
        page = scrape(app)
    assert [*registries_of(page)] == [(), *[("r0", "r1", "(other)")] * 2]


def registries_of(page):
    """Return the registries of each family that describes them, sorted."""
    for name in ("har_artifacts{", "har_registry_packages{", "har_registry_public{"):
        names = {series.partition('registry="')[2].partition('"')[0] for series in page.of("acct", name)}
        yield tuple(sorted(names, key=lambda name: (name == "(other)", name)))


def test_registries_over_the_limit_are_one(clock):
    registries = [registry_row(number, identifier=f"r{number}", path=f"acct/r{number}") for number in range(10)]
    with Upstream([], registries=registries) as upstream:
        page = scrape(app_for(upstream, clock, "acct", registries_limit="3"))
    assert page.of("acct", "har_registry_packages") == {
        f'har_registry_packages{{package_type="{kind}",registry="{name}",space="acct"}}': number
        for kind, name, number in (("NPM", "r9", 9), ("NPM", "r8", 8), ("NPM", "r7", 7), ("(other)", "(other)", 21))
    }
    assert page['har_registries_dropped{space="acct"}'] == 7


def test_registries_deeper_than_a_project_are_left_out_and_logged_once(clock):
    with estate("acct", "acct/o/p") as upstream:
        upstream.registries.append(registry_row(9, path="acct/o/p/deeper/registry-9"))
        app = app_for(upstream, clock)
        with capture_logs() as logs:
            for _ in range(3):
                assert up(scrape(app)) == {"acct": 1, "acct/o/p": 1}
                clock.tick(TTL)
    (line,) = [line for line in logs if "deeper" in line["event"]]
    assert (line["space"], line["registries"]) == ("acct/**", 1)


@pytest.mark.parametrize("registries", [3, 150])
def test_a_read_that_a_reload_made_useless_ends_and_finds_nothing(registries, clock):
    """Neither its next page is asked for, nor does the root wait for it for ever."""
    with estate("acct", *(f"acct/o{number}" for number in range(registries - 1))) as upstream:
        upstream.hold = threading.Event()
        app = app_for(upstream, clock)
        reads, (walk,) = app.sources.start(), app.refresher.start()
        upstream.wait_for_requests(1)
        app.reload(lambda: settings_of(**settings_for(upstream, spaces="acct")))
        upstream.hold.set()
        wait([*reads, walk], timeout=20)
        assert set(up(scrape(app))) == {"acct"}
        assert [request for request in upstream.requests if is_listing(request, "registries")][1:] == []


def test_a_read_of_another_server_is_not_taken_note_of(clock):
    """Not even one that ends in the moment of the reload: its spaces would be asked of the new server."""
    with estate("acct", "acct/old") as old, estate("acct", "acct/new") as new:
        app = app_for(old, clock)
        late = app.sources.discovery.times_forgotten("acct/**")
        scrape(app)
        listed = app.sources.discovery.registries("acct/**")
        other = {"spaces": "acct/**", "sources": BOTH, "rate_limit": "off"}
        app.reload(lambda: settings_of(**settings_for(new, **other)))
        assert not app.sources.discovery.take("acct/**", listed, times_forgotten=late)
        assert set(up(scrape(app))) == {"acct", "acct/new"}


def test_a_first_read_of_another_server_is_not_taken_note_of(clock):
    """It was under way when the settings were read again, and there was nothing to forget yet."""
    with estate("acct", "acct/old") as old, estate("acct", "acct/new") as new:
        old.hold = threading.Event()
        app = app_for(old, clock)
        late, reads = app.sources.discovery.times_forgotten("acct/**"), app.sources.start()
        old.wait_for_requests(1)
        other = {"spaces": "acct/**", "sources": BOTH, "rate_limit": "off"}
        app.reload(lambda: settings_of(**settings_for(new, **other)))
        old.hold.set()
        wait(reads, timeout=20)
        scrape(app)
        listed = app.sources.discovery.registries("acct/**")
        assert not app.sources.discovery.take("acct/**", listed, times_forgotten=late)
        assert set(up(scrape(app))) == {"acct", "acct/new"}
        assert not [request for request in new.requests if "/old/" in request.path]


def test_registries_that_are_no_longer_read_place_no_violation_and_tell_no_type(clock):
    with estate("acct") as upstream:
        app = app_for(upstream, clock, "acct")
        scrape(app)
        assert app.sources.discovery.upstream("acct")
        app.reload(lambda: app.settings.model_copy(update={"sources": frozenset({"violations"})}))
        assert not app.sources.discovery.upstream("acct")


def test_a_reload_that_serves_other_spaces_reads_their_violations(clock):
    spaces = [f"acct/o{number}" for number in range(6)]
    with estate(*spaces) as upstream:
        upstream.violations = [
            violation_row(number, registryId=f"uuid-{number}", path=f"{space}/r") for number, space in enumerate(spaces)
        ]
        app = app_for(upstream, clock, shard="0", shards="2")
        scrape(app)
        app.reload(lambda: app.settings.model_copy(update={"shards": 1}))
        page = scrape(app)
    assert all(page.of(space, "har_firewall_violations{") for space in spaces)


def test_a_reload_that_adds_a_space_reads_no_violations_of_others_again(clock):
    """All sources share a tenth of the rate, which reloads must not use up."""
    with estate("acct", "acct/org") as upstream:
        app = app_for(upstream, clock, "acct", sources="violations")
        scrape(app)
        other = {"spaces": "acct,acct/org", "sources": "violations", "rate_limit": "off"}
        app.reload(lambda: settings_of(**settings_for(upstream, **other)))
        scrape(app)
    assert sum(is_listing(request, "violations") for request in upstream.requests) == 2


def test_an_entry_that_is_back_was_not_tried(clock):
    """Its data is gone, and the exporter is not ready before it was read again."""
    with estate("acct", "acct/org") as upstream:
        app = app_for(upstream, clock, sources="registries")
        scrape(app)
        roots = app.settings
        app.reload(lambda: settings_of(**settings_for(upstream, spaces="acct/org", sources="registries")))
        scrape(app)
        upstream.hold = threading.Event()
        app.reload(lambda: roots)
        assert not app.sources.all_tried()
        upstream.hold.set()
        scrape(app)
        assert app.sources.all_tried()


@pytest.mark.parametrize(("entries", "waits"), [(6, True), (7, False)])
def test_a_scrape_waits_for_no_more_violations_than_may_be_read_at_once(entries, waits, clock):
    """They would end one after the other, for minutes."""
    spaces = [f"acct/o{number}" for number in range(entries)]
    with estate(*spaces) as upstream:
        app = app_for(upstream, clock, ",".join(spaces), sources="violations", rate_limit="60/m")
        assert bool(app.sources.refresh(9.0)) is waits


def test_a_command_that_takes_long_reads_each_source_once(clock):
    """A space that appears while it runs would be in its output, but never read."""
    with estate("acct", "acct/org") as upstream:

        def on_page(*_):
            clock.tick(TTL)
            upstream.spaces["acct/new"] = make_rows(1)
            upstream.registries = [*upstream.registries, registry_row(9, path="acct/new/r")]

        settings = settings_of(**settings_for(upstream, spaces="acct/**", sources=BOTH))
        app = read_once(settings, clock, on_page=on_page)
        names = [request.path.rpartition("/")[2] for request in upstream.requests]
    assert {status.space: status.up for status in app.refresher.statuses()} == {"acct": True, "acct/org": True}
    assert (names.count("registries"), names.count("scans")) == (1, 1)


def test_a_command_waits_for_the_modes_behind_registries_that_fail(clock):
    """Three in a row end a read; the next one asks for the others first."""
    registries = [registry_row(number, path=f"acct/registry-{number}") for number in range(5)]
    broken = tuple(f"/registry-{number}/+" for number in range(3))

    def fault(request):
        return reply(500) if request.path.endswith(broken) else None

    with Upstream([], registries=registries, fault=fault) as upstream:
        app = read_once(settings_of(**settings_for(upstream, spaces="acct", sources="registries")), clock)
        page = Scrape(app.exposition.render_spaces().decode())
    modes = page.of("acct", "har_registry_firewall")
    assert {name.partition('registry="')[2][:10] for name in modes} == {"registry-3", "registry-4"}
    assert page['har_source_failures_total{reason="server_error",source="registries",space="acct"}'] == 1


def test_a_discovery_that_hangs_keeps_no_other_space_waiting(clock):
    """Nor does a reload that names the root alone wait for it."""
    over = threading.Event()

    def hang(request):
        return over.wait(20) and None if is_listing(request, "registries") else None

    spaces = [f"a{number}" for number in range(6)]
    with Upstream({space: make_rows(2) for space in (*spaces, "plain")}, fault=hang) as upstream:
        app = app_for(upstream, clock, ",".join([*(f"{space}/**" for space in spaces), "plain"]))
        app.start()
        assert refreshed(app)["plain"].up
        app.reload(lambda: settings_of(**settings_for(upstream, spaces="a0,plain")))
        assert refreshed(app)["a0"].up
        over.set()


def test_the_walk_of_a_root_finds_its_spaces_if_nothing_else_did(clock):
    with estate("acct", "acct/org") as upstream:
        app = app_for(upstream, clock)
        refreshed(app)
        app.sources.finish()
        assert refreshed(app).keys() == {"acct", "acct/org"}


def test_violations_are_read_whole_from_time_to_time_without_registries_too(clock):
    rows = [violation_row(number, path="acct/registry-0") for number in range(150)]
    with estate("acct", violations=rows) as upstream:
        app = app_for(upstream, clock, "acct", sources="violations")
        asked = []
        for _ in range(31):
            before = len(upstream.requests)
            scrape(app)
            asked.append(sum(is_listing(request, "violations") for request in upstream.requests[before:]))
            clock.tick(VIOLATIONS_TTL)
    assert [number for number, requests in enumerate(asked) if requests == 2] == [0, 15, 30]


def test_firewall_modes_that_fail_are_failures_of_their_source_whose_list_is_up(clock):
    with estate("acct") as upstream:
        upstream.fault = lambda request: cut() if request.path.endswith("registry-0/+") else None
        app = app_for(upstream, clock, "acct")
        page = scrape(app)
        assert page['har_source_up{source="registries",space="acct"}'] == 1
        assert page['har_source_failures_total{reason="connect",source="registries",space="acct"}'] == 2
        assert not page.of("acct", "har_registry_firewall")
        upstream.fault = None
        clock.tick(VIOLATIONS_TTL)
        assert scrape(app).of("acct", "har_registry_firewall")
