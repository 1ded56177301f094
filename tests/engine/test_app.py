"""Everything together over real sockets: counts, single flight, failures, spaces apart."""

from concurrent.futures import wait

import pytest

from exporter.clock import SystemClock
from exporter.engine.app import App
from tests.support.apps import app_of, refreshed
from tests.support.settings import settings_from
from tests.support.upstream import ABSENT, Upstream, capped, make_row, make_rows, one_based, reply


@pytest.mark.parametrize("rows", [0, 1, 99, 100, 101, 468])
@pytest.mark.parametrize("item_count", [None, 0, ABSENT, -1, 10**9, 3])
def test_every_row_is_counted_whatever_the_server_says_of_their_number(rows, item_count, clock):
    with Upstream(make_rows(rows), item_count=item_count) as upstream:
        snapshot = refreshed(app_of(upstream, clock))["acct"].snapshot
    assert snapshot.inventory.artifacts == rows
    # A count of 0 is right for an empty listing, and beside rows it says nothing.
    said = {0: True, None: True, ABSENT: True, -1: True}.get(item_count, item_count == rows)
    assert snapshot.complete is said


@pytest.mark.parametrize("page_size", [None, ABSENT])
@pytest.mark.parametrize("item_count", [None, ABSENT])
def test_a_server_that_silently_sends_50_rows_at_most_loses_none(page_size, item_count, clock):
    knobs = {"serve_size": capped(50), "page_size": page_size, "item_count": item_count}
    with Upstream(make_rows(468), **knobs) as upstream:
        snapshot = refreshed(app_of(upstream, clock))["acct"].snapshot
    assert (snapshot.inventory.artifacts, snapshot.complete) == (468, True)


def test_a_server_whose_pages_start_at_1_loses_no_row(clock):
    with Upstream(make_rows(468), serve_page=one_based) as upstream:
        snapshot = refreshed(app_of(upstream, clock))["acct"].snapshot
    assert (snapshot.inventory.artifacts, snapshot.complete, snapshot.duplicates) == (468, True, 0)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_page_size_that_is_refused_falls_back_to_100_and_stays_there(status, clock):
    with Upstream(make_rows(250), refuse_above=100, refuse_status=status) as upstream:
        app = app_of(upstream, clock, page_size="500")
        assert refreshed(app)["acct"].snapshot.inventory.artifacts == 250
        clock.tick(301)
        refreshed(app)
        sizes = [request.query["size"][0] for request in upstream.requests]
    assert sizes.count("500") == 1
    assert sizes[1:] == ["100"] * (len(sizes) - 1)


def test_a_page_size_of_500_is_used_where_the_server_accepts_it(clock):
    with Upstream(make_rows(468)) as upstream:
        refreshed(app_of(upstream, clock, page_size="500"))
        assert len(upstream.requests) == 1


def test_bearer_works_at_another_prefix(clock):
    with Upstream(make_rows(3), bearer=True) as upstream:
        app = app_of(upstream, clock, auth_scheme="bearer", api_prefix="/api/v1")
        assert refreshed(app)["acct"].snapshot.inventory.artifacts == 3


def test_a_space_with_a_wrong_scope_does_not_disturb_another(clock):
    with Upstream({"acct": make_rows(101)}) as upstream:
        statuses = refreshed(app_of(upstream, clock, spaces="acct/nowhere,acct"))
    assert (statuses["acct"].up, statuses["acct"].snapshot.inventory.artifacts) == (True, 101)
    assert (statuses["acct/nowhere"].up, statuses["acct/nowhere"].failures["client_error"]) == (False, 1)


def test_the_filters_of_a_space_reach_the_api(clock, tmp_path):
    with Upstream(make_rows(1)) as upstream:
        text = f"""
            base_url: {upstream.url}
            api_key: {upstream.key}
            spaces:
            - {{ref: acct, registries: [npm-remote, other], package_types: [NPM], latest_version: true,
                deployed_artifact: false, search_term: artifact}}
        """
        refreshed(App(settings_from(tmp_path, text), clock))
        query = upstream.requests[0].query
    assert query["reg_identifier"] == ["npm-remote", "other"]
    assert query["package_type"] == ["NPM"]
    assert (query["latest_version"], query["deployed_artifact"]) == (["true"], ["false"])
    assert query["search_term"] == ["artifact"]
    assert (query["sort_field"], query["sort_order"]) == (["lastModified"], ["DESC"])


@pytest.mark.parametrize(
    ("setting", "value", "series"),
    [
        ("findings", "warn", 'finding="warn"'),
        ("findings", "quarantined,blocked", 'finding="quarantined"'),
        ("findings_limit", "1", 'har_findings_dropped{space="acct"} 2.0'),
        ("registries_limit", "0", 'har_registries_dropped{space="acct"} 1.0'),
        ("stale_scan_after", "12h", 'older_than="12h"'),
        ("cache_ttl", "90s", 'har_refresh_interval_seconds{space="acct"} 90.0'),
        ("owner", "a team", 'owner="a team"'),
        ("link_template", "https://me/{registry}", 'url="https://me/npm-remote"'),
    ],
)
def test_a_setting_of_what_is_exported_takes_effect(setting, value, series, clock):
    rows = [
        make_row(0, isQuarantined=True),
        make_row(1, scanStatus="WARN"),
        make_row(2, scanStatus="BLOCKED", isQuarantined=True),
        make_row(3, scanStatus="BLOCKED"),
    ]
    with Upstream(rows) as upstream:
        app = app_of(upstream, clock, **{setting: value})
        refreshed(app)
        assert series in app.exposition.render_spaces().decode()


def test_at_most_so_many_pages_are_in_flight_as_the_setting_says(clock):
    with Upstream(make_rows(900)) as upstream:
        refreshed(app_of(upstream, clock, concurrency="2"))
        assert upstream.most_in_flight <= 2


def test_a_key_on_hold_keeps_no_space_of_another_key_waiting(tmp_path):
    """More walks than may run at once wait as long as the server of one key asked for; the other key has its walk."""
    (tmp_path / "key").write_text("pat.acct.id.busy")
    busy = [f"acct/busy_{number}" for number in range(6)]
    entries = "".join(f"- {{ref: {space}, api_key_file: {tmp_path}/key}}\n" for space in busy)
    clock = SystemClock()
    with Upstream({"acct": make_rows(3)}) as upstream:
        upstream.fault = lambda request: reply(429, headers=[("Retry-After", "60")]) if "busy" in request.path else None
        text = f"base_url: {upstream.url}\napi_key: {upstream.key}\nconcurrency: 2\nspaces:\n{entries}- acct\n"
        app = App(settings_from(tmp_path, text), clock)
        *waiting, other = app.refresher.start()
        assert not wait([other], timeout=20).not_done
        assert app.refresher.statuses()[-1].up
        assert len(waiting) == len(busy)
        assert not any(refresh.done() for refresh in waiting)
        clock.stop()


def test_requests_wait_for_their_turn_under_the_rate_limit(clock):
    with Upstream(make_rows(900)) as upstream:
        refreshed(app_of(upstream, clock, rate_limit="5/m", page_size="100"))
        assert sum(clock.waits) >= 60
        assert len(upstream.requests) == 11
