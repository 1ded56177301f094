"""`har-exporter check`: what it asks, what it says of settings, and how a person or a script reads it."""

import json
import re
import subprocess
import threading
import time

import pytest

from exporter.check.ask import check_spaces
from exporter.check.checked import CheckedSpace
from exporter.check.report import as_document, report_on
from exporter.clock import SystemClock
from exporter.config.settings import Settings
from exporter.demo.catalogue import PREVIEWED
from exporter.demo.catalogue import SPACES as DEMO_SPACES
from exporter.harness.errors import REASONS, RefreshError
from exporter.inventory.paging import requests_of_walk
from exporter.inventory.refresh import Status
from tests.support.commands import run, settings_for
from tests.support.listings import body_of
from tests.support.places import DOCS
from tests.support.settings import settings_from, settings_of
from tests.support.spaces import snapshot
from tests.support.terminal import on_terminal
from tests.support.upstream import ABSENT, Upstream, capped, cut, make_row, make_rows, redirect, reply

KEY = "pat.acct.id.secret"
RATE_LIMIT = "or rate_limit (Harness allows 400 requests a minute per key)"
DOCUMENT = DOCS / "check.md"


def report_of(upstream, **variables: str):
    return check_spaces(settings_of(**settings_for(upstream, **variables)), SystemClock())


def only_verdict(upstream, **variables: str):
    (verdict,) = report_of(upstream, **variables).spaces
    return verdict


# What it asks


def test_it_asks_each_space_for_one_page_of_the_size_that_a_refresh_will_ask_for():
    with Upstream({"acct": make_rows(300), "acct/org": make_rows(3)}, key=KEY) as upstream:
        report = report_of(upstream, spaces="acct,acct/org", page_size="250")
        asked = sorted((request.path, request.query["page"], request.query["size"]) for request in upstream.requests)
    assert [(page, size) for _, page, size in asked] == [(["0"], ["250"])] * 2
    assert [verdict.warnings for verdict in report.spaces] == [(), ()]


@pytest.mark.parametrize("rows", [0, 1, 99, 100, 101, 250])
def test_the_requests_it_foretells_are_those_of_dump(rows):
    with Upstream(make_rows(rows), key=KEY) as upstream:
        foretold = only_verdict(upstream).requests
        asked = len(upstream.requests)
        assert run("dump", **settings_for(upstream)).returncode == 0
        assert len(upstream.requests) - asked == foretold


def test_the_series_it_foretells_are_those_of_dump():
    """Of a listing of one page they are exact: a line of the exposition for each."""
    rows = [
        make_row(number, scanStatus=status, registryIdentifier=registry, deploymentMetadata=deployed)
        for number, (status, registry, deployed) in enumerate(
            [("BLOCKED", "a", {"prodEnvCount": 1, "nonProdEnvCount": 2}), ("WARN", "a", None), ("ALLOWED", "b", None)]
        )
    ]
    with Upstream(rows, key=KEY) as upstream:
        verdict = only_verdict(upstream)
        text = run("dump", **settings_for(upstream)).stdout
    lines = [line for line in text.splitlines() if 'space="acct"' in line]
    assert (verdict.series, verdict.series_exact, verdict.finding_series) == (len(lines), True, 0)


def test_a_page_size_that_the_server_refuses_is_told_and_asked_again_as_a_refresh_would():
    with Upstream(make_rows(150), key=KEY, refuse_above=100) as upstream:
        verdict = only_verdict(upstream, page_size="500")
    assert (verdict.artifacts, verdict.requests) == (150, 3)
    assert verdict.warnings == ("the server returns at most 100 rows per page: lower page_size to that",)


def test_a_page_size_that_the_server_caps_is_told():
    with Upstream(make_rows(150), key=KEY, serve_size=capped(50)) as upstream:
        verdict = only_verdict(upstream)
    assert verdict.requests == 5
    assert verdict.warnings == ("the server returns at most 50 rows per page: lower page_size to that",)


def test_a_listing_that_the_api_does_not_count_costs_nobody_knows_what():
    with Upstream(make_rows(150), key=KEY, item_count=ABSENT) as upstream:
        verdict = only_verdict(upstream)
        line = run("check", **settings_for(upstream)).stdout.splitlines()[1]
    assert (verdict.artifacts, verdict.requests, verdict.refresh_seconds) == (100, None, None)
    assert (verdict.series_exact, verdict.finding_series) == (False, 500 * 6)
    assert re.match(r"acct +warn +100\+ +[0-9]+\+ +[0-9.]+s +the API does not report how many", line)


def test_a_registry_that_the_page_does_not_show_is_asked_for_and_told_when_it_lists_nothing():
    rows = [*make_rows(150), make_row(150, registryIdentifier="docker-prod")]
    with Upstream(rows, key=KEY) as upstream:
        verdict = only_verdict(upstream, registries="npm-remote,npm-remot,docker-prod", package_types="NPM")
        first, *others = [request.query for request in upstream.requests]
    assert verdict.unlisted_registries == ("npm-remot",)
    assert verdict.warnings == ("registries: nothing is listed for npm-remot: misspelled, empty, or in another space",)
    assert first["reg_identifier"] == ["npm-remote", "npm-remot", "docker-prod"]
    assert sorted(query["reg_identifier"] for query in others) == [["docker-prod"], ["npm-remot"]]
    assert all((query["page"], query["size"], query["package_type"]) == (["0"], ["1"], ["NPM"]) for query in others)


def test_a_page_that_holds_everything_leaves_no_registry_to_ask_for():
    with Upstream(make_rows(3), key=KEY) as upstream:
        verdict = only_verdict(upstream, registries="npm-remote,npm-remot")
        assert len(upstream.requests) == 1
    assert verdict.unlisted_registries == ("npm-remot",)


def test_a_registry_that_cannot_be_asked_for_is_not_said_to_be_missing():
    with Upstream(make_rows(150), key=KEY) as upstream:
        upstream.fault = lambda request: reply(403) if request.query["size"] == ["1"] else None
        verdict = only_verdict(upstream, registries="npm-remote,other")
    assert verdict.unlisted_registries == ()
    assert verdict.warnings == ("registries: could not ask for other: try again",)


def test_more_requests_than_the_limit_wait_for_their_turn_instead_of_failing(clock):
    spaces = [f"acct/org{number}" for number in range(4)]
    with Upstream({space: make_rows(1) for space in spaces}, key=KEY) as upstream:
        given = settings_for(upstream, spaces=",".join(spaces), rate_limit="1/s", request_timeout="900ms")
        report = check_spaces(settings_of(**given), clock)
    assert [verdict.ok for verdict in report.spaces] == [True] * 4
    assert clock.waits


# What it says of settings

HINTS = {
    "auth": (reply(401), "api_key"),
    "forbidden": (reply(403), "spaces"),
    "not_found": (reply(404), "api_prefix"),
    "client_error": (reply(400), "spaces"),
    "rate_limited": (reply(429, headers=[("Retry-After", "3000")]), "rate_limit"),
    "redirect": (redirect("http://localhost:1/"), "base_url"),
    "too_large": (reply(200, b" " * (16 * 2**20 + 1)), "page_size"),
    "bad_json": (reply(200, b"{"), "base_url"),
    "bad_shape": (reply(200, b"{}"), "base_url"),
    "connect": (cut(), "base_url"),
    "proxy": (reply(407), "proxy_url"),
}


@pytest.mark.parametrize("reason", HINTS)
def test_the_hint_of_a_space_that_fails_names_a_setting(reason):
    fault, setting = HINTS[reason]
    with Upstream(make_rows(1), key=KEY) as upstream:
        upstream.fault = lambda _: fault
        verdict = only_verdict(upstream)
    assert (verdict.ok, verdict.reason, verdict.artifacts) == (False, reason, None)
    assert setting in verdict.hint


def test_the_hint_of_a_server_that_hangs_names_request_timeout():
    hold = threading.Event()
    with Upstream(make_rows(1), key=KEY, hold=hold) as upstream:
        verdict = only_verdict(upstream, request_timeout="100ms", concurrency="1")
        hold.set()
    assert verdict.reason == "timeout"
    assert "request_timeout" in verdict.hint


def test_every_hint_names_a_setting_or_what_to_do_where_none_helps():
    """What the tests above and those of the commands do not provoke is `server_error`, `pagination` and `internal`."""
    hints = {error.reason: set(re.findall(r"[a-z_]+", error.hint)) for error in RefreshError.__subclasses__()}
    without = {reason for reason, words in hints.items() if not words & Settings.model_fields.keys()}
    assert without == {"server_error", "pagination", "internal"}
    assert set(HINTS) | {"timeout", "dns", "tls"} | without == set(REASONS)


def test_a_key_of_another_account_is_told_beside_the_verdict():
    with Upstream(make_rows(1), key="pat.other.id.secret") as upstream:
        verdict = only_verdict(upstream)
        upstream.fault = lambda _: reply(403)
        refused = only_verdict(upstream)
    assert verdict.ok
    assert verdict.key_account == refused.key_account == "other"
    for told in verdict.warnings, refused.warnings:
        assert len(told) == 1
        assert re.match(r"the key belongs to another account, other: .* spaces, .* api_key_file", told[0])


@pytest.mark.parametrize(
    ("space", "variables", "told"),
    [
        ("acct", {}, "check spaces; for those of organizations and projects below, write /** at the end"),
        ("acct/org/project", {}, "check spaces"),
        ("acct/org/project", {"package_types": "RPM", "search_term": "x"}, "check package_types, search_term"),
    ],
)
def test_a_space_that_lists_nothing_is_told_with_what_may_be_wrong(space, variables, told):
    with Upstream({space: []}, key=KEY) as upstream:
        verdict = only_verdict(upstream, **variables)
    assert (verdict.ok, verdict.artifacts, verdict.requests) == (True, 0, 1)
    assert verdict.warnings == (f"nothing is listed: {told}",)


def test_a_registry_that_lists_nothing_is_told_once():
    with Upstream(make_rows(3), key=KEY) as upstream:
        verdict = only_verdict(upstream, registries="npm-remot")
    assert verdict.warnings == ("registries: nothing is listed for npm-remot: misspelled, empty, or in another space",)


DIGESTS = [f"sha256:{number:064x}" for number in range(2)]
IMAGE = {"packageType": "DOCKER", "registryIdentifier": "images", "name": "alpine"}
BY_DIGEST = "the API ignores it for images that are listed by digest"
NOWHERE = {"prodEnvCount": 0, "nonProdEnvCount": 0}


@pytest.mark.parametrize(
    ("rows", "images"),
    [
        ([{**IMAGE, "version": "3.19"}], "tag"),
        ([{**IMAGE, "version": DIGESTS[0]}, {**IMAGE, "version": "3.19"}], "digest"),
        ([{**IMAGE, "packageType": "helm", "version": DIGESTS[0]}], "digest"),
        ([{"version": DIGESTS[0]}, {"packageType": "HELM_HTTP"}], ""),
    ],
)
def test_how_images_are_listed_is_told(rows, images):
    with Upstream([make_row(number, **row) for number, row in enumerate(rows)], key=KEY) as upstream:
        head, line = run("check", **settings_for(upstream)).stdout.splitlines()
        assert only_verdict(upstream).images == images
    assert re.split(" +", line[head.index("IMAGES") :])[0] == images


@pytest.mark.parametrize(
    ("name", "rows", "told"),
    [
        ("latest_version", [{"name": "a", "version": "1"}, {"name": "a", "version": "2"}],
         "npm-remote lists versions 1 and 2 of a; every listed version is counted"),
        ("latest_version", [{**IMAGE, "version": digest} for digest in DIGESTS],
         f"images lists versions {DIGESTS[0]} and {DIGESTS[1]} of alpine; {BY_DIGEST}"),
        ("latest_version", [{"name": "a", "version": "1"}, {"name": "b", "version": "2"}], ""),
        ("latest_version", [{"name": "a", "version": "1", "isQuarantined": quarantined} for quarantined in (0, 1)], ""),
        ("latest_version", [{"name": "a", "version": "1", "packageType": "GO"}, {"name": "a", "version": "2"}], ""),
        ("latest_version",
         [{"name": "a", "version": arch, "artifactKey": {"arch": arch}} for arch in ("amd64", "arm64")], ""),
        ("deployed_artifact", [{"name": "a", "deploymentMetadata": NOWHERE}],
         "npm-remote lists a 1.0.0, which is deployed nowhere; every listed version is counted"),
        ("deployed_artifact", [{"name": "a", "deploymentMetadata": {"prodEnvCount": 0}}],
         "npm-remote lists a 1.0.0, which is deployed nowhere; every listed version is counted"),
        ("deployed_artifact", [{"deploymentMetadata": {**NOWHERE, "prodEnvCount": 1}}], ""),
        ("deployed_artifact", [{}, {"deploymentMetadata": {}}], ""),
    ],
)  # fmt: skip
def test_a_filter_that_visibly_had_no_effect_is_told_with_an_example(name, rows, told):
    """Rows without counts of environments show nothing: the account may lack the module that counts them."""
    body = body_of([make_row(number, **row) for number, row in enumerate(rows)], itemCount=len(rows))
    with Upstream(key=KEY, fault=lambda _: reply(body=body)) as upstream:
        assert only_verdict(upstream, **{name: "true"}).warnings == ((f"{name} has no effect: {told}",) if told else ())
        assert only_verdict(upstream, **{name: "false"}).warnings == only_verdict(upstream).warnings == ()


def test_a_filter_that_has_an_effect_is_not_warned_of():
    rows = [make_row(number, name="a", version=str(number), deploymentMetadata=NOWHERE) for number in range(2)]
    with Upstream([*rows, make_row(2, deploymentMetadata={"prodEnvCount": 1})], key=KEY) as upstream:
        assert only_verdict(upstream, latest_version="true", deployed_artifact="true").warnings == ()


def test_spaces_that_differ_in_case_only_are_told(tmp_path):
    """Those of different servers are different; those of all shards are compared."""
    spaces = ("acct/Org", "ACCT/org", "acct/org2", "acct/ORG")
    with Upstream({space: make_rows(1) for space in spaces}, key=KEY) as upstream:
        told = "acct/Org, ACCT/org and acct/ORG differ in case only, which Harness ignores: remove all but one, or they"
        report = report_of(upstream, spaces=",".join(spaces), shards="3")
        assert report.warnings == (f"spaces: {told} count twice",)
        (tmp_path / "key").write_text(KEY)
        elsewhere = f"{{ref: ACCT, base_url: 'http://localhost:1', api_key_file: {tmp_path}/key}}"
        text = f"base_url: {upstream.url}\napi_key: {KEY}\nspaces: [acct/org2, acct, {elsewhere}]\n"
        assert not check_spaces(settings_from(tmp_path, text), SystemClock()).warnings


def answer(ref="acct", artifacts=100_000, *, key=0, seconds=0.1, size=100, **variables):
    (space,) = settings_of(spaces=ref, api_key="pat.acct.id.key", **variables).served
    rows = min(artifacts, size)
    status = Status(ref, "fresh", snapshot(artifacts=rows, reported=artifacts), True, seconds, {}, None)
    return CheckedSpace(space, status, key, "acct", requests_of_walk(artifacts, rows, size), series=0)


def told_by(*answers, **variables):
    report = report_on(answers, settings_of(spaces="acct", api_key="pat.acct.id.key", **variables))
    return [*(warning for verdict in report.spaces for warning in verdict.warnings), *report.warnings]


def test_a_refresh_that_fits_in_all_settings_is_not_warned_of():
    assert told_by(answer()) == []
    assert told_by(answer("acct"), answer("acct/org"), cache_ttl="10m") == []


def test_a_refresh_that_cannot_fit_in_refresh_timeout_names_it_and_rate_limit():
    (told, *_) = told_by(answer(), rate_limit="10/m", max_stale="7d")
    assert told == (
        "a refresh takes at least 1h40m, longer than refresh_timeout (1h): raise refresh_timeout, " + RATE_LIMIT
    )


def test_a_server_that_is_too_slow_for_refresh_timeout_names_concurrency():
    (told, *_) = told_by(answer(seconds=20.0), max_stale="7d")
    assert told == (
        "a refresh takes at least 1h23m40s, longer than refresh_timeout (1h): raise refresh_timeout, or concurrency"
    )


def test_spaces_that_share_a_key_are_told_when_they_may_not_fit_together():
    both = answer("acct"), answer("acct/org")
    told = told_by(*both, refresh_timeout="5m", max_stale="7d", cache_ttl="1h")
    assert told == 2 * [
        "a refresh may take 6m while other spaces refresh too, longer than refresh_timeout (5m):"
        " raise refresh_timeout, " + RATE_LIMIT
    ]
    of_other_key = answer("acct/org", key=1)
    assert told_by(both[0], of_other_key, refresh_timeout="5m", max_stale="7d", cache_ttl="1h") == []


def test_refreshes_that_take_longer_than_cache_ttl_are_no_fault():
    """The data is as fresh as the rate lets it be."""
    assert told_by(answer("acct"), answer("acct/org"), max_stale="7d") == []


@pytest.mark.parametrize("max_stale", ["0", "3m"])
def test_data_that_are_dropped_before_the_next_ones_are_there_name_max_stale(max_stale):
    (told,) = told_by(answer(), max_stale=max_stale)
    assert told == (
        "https://app.harness.io: refreshing the space takes at least 3m, and data is dropped after max_stale"
        f" ({max_stale.replace('0', '0s')}), before the next refresh ends: raise max_stale above 3m45s"
    )


def test_a_scrape_waits_for_a_quick_refresh_so_that_nothing_is_dropped():
    assert told_by(answer(artifacts=10), max_stale="0") == []


def test_keys_share_what_is_in_flight_and_not_their_limits_of_requests():
    by_rate = report_on(
        (answer("acct"), answer("acct/org", key=1)), settings_of(spaces="acct", api_key="pat.acct.id.key")
    )
    assert by_rate.total.refresh_seconds == by_rate.spaces[0].refresh_seconds == 180.0
    slow = answer("acct", 800, seconds=20.0), answer("acct/org", 800, key=1, seconds=20.0)
    by_latency = report_on(slow, settings_of(spaces="acct", api_key="pat.acct.id.key", concurrency="5"))
    assert [verdict.refresh_seconds for verdict in by_latency.spaces] == [40.0, 40.0]
    assert by_latency.total.refresh_seconds == 80.0


def test_each_key_and_host_has_its_own_share_of_requests(tmp_path):
    (tmp_path / "one").write_text("pat.acct.id.one")
    (tmp_path / "two").write_text("pat.other.id.two")
    with (
        Upstream({"acct": make_rows(250), "acct/org": make_rows(250)}, key="pat.acct.id.one") as first,
        Upstream({"other": make_rows(250)}, key="pat.other.id.two") as second,
    ):
        text = f"""
            base_url: {first.url}
            api_key_file: {tmp_path}/one
            rate_limit: 2/s
            spaces:
            - acct
            - {{ref: other, base_url: "{second.url}", api_key_file: {tmp_path}/two}}
            - acct/org
        """
        report = check_spaces(settings_from(tmp_path, text), SystemClock())
    assert [(verdict.space, verdict.ok, verdict.key_account) for verdict in report.spaces] == [
        ("acct", True, "acct"), ("other", True, "other"), ("acct/org", True, "acct")
    ]  # fmt: skip
    assert [(verdict.requests, verdict.refresh_seconds) for verdict in report.spaces] == [(4, 1.0)] * 3
    assert (report.total.requests, report.total.refresh_seconds) == (12, 3.0)


# How it is read


def test_scripts_find_every_documented_key_and_no_other():
    with Upstream(make_rows(1), key=KEY) as upstream:
        document = json.loads(run("check", "--output", "json", **settings_for(upstream)).stdout)
    keys = {*document}
    keys |= {f"spaces[].{key}" for space in document["spaces"] for key in space}
    keys |= {f"total.{key}" for key in document["total"]}
    _, for_scripts = DOCUMENT.read_text().split("## For scripts")
    assert keys == set(re.findall(r"^\| `([^`]+)` \|", for_scripts, re.MULTILINE))


def test_the_document_explains_every_column():
    with Upstream(make_rows(1), key=KEY) as upstream:
        head, _ = run("check", **settings_for(upstream)).stdout.splitlines()
    assert head.split() == re.findall(r"^\| ([A-Z]+) \|", DOCUMENT.read_text(), re.MULTILINE)


def test_totals_are_sums_of_the_spaces_that_tell():
    with Upstream({"acct": make_rows(250), "acct/org": make_rows(3)}, key=KEY) as upstream:
        document = as_document(report_of(upstream, spaces="acct,acct/org,acct/nowhere"))
    spaces, total = document["spaces"], document["total"]
    assert (document["ok"], total["spaces"], total["failed"]) == (False, 3, 1)
    assert (total["artifacts"], total["requests"]) == (253, 5)
    for key in "series", "finding_series":
        assert total[key] == sum(space[key] or 0 for space in spaces) > 0


def test_a_pipe_gets_one_line_for_each_space_however_long_and_no_escape_sequence():
    with Upstream(make_rows(1), key=KEY) as upstream:
        upstream.fault = lambda _: reply(400, {"message": "[red]\x1b[31m" + "long " * 40 + "\nacct/x  ok[/red]"})
        done = run("check", **settings_for(upstream, spaces="acct,acct/org"))
    head, *lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["acct", "client_error"], ["acct/org", "client_error"]]
    assert all("[red]?[31mlong long" in line for line in lines)
    assert not any(line.endswith(" ") for line in [head, *lines])
    assert "\x1b" not in done.stdout + done.stderr


def test_a_shard_without_spaces_is_said_to_have_none():
    with Upstream(make_rows(1), key=KEY) as upstream:
        idle = settings_for(upstream, shard="0", shards="2")
        done, for_scripts = run("check", **idle), run("check", "--output", "json", **idle)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "har-exporter: this shard serves no space: check spaces, shard and shards\n"
    assert json.loads(for_scripts.stdout)["total"]["spaces"] == 0


def test_a_warning_of_all_spaces_is_told_beside_the_table():
    with Upstream(make_rows(250), key=KEY) as upstream:
        done = run("check", **settings_for(upstream, rate_limit="1/m", max_stale="0"))
    assert done.returncode == 0
    told = r"har-exporter: http\S+: refreshing the space .*: raise max_stale above .*\n"
    assert re.fullmatch(told, done.stderr)


SPACES = {"acct": make_rows(250), "acct/org": []}


def checked_on_terminal(*, columns=100, **more):
    with Upstream(SPACES, key=KEY) as upstream:
        variables = settings_for(upstream, spaces="acct,acct/org,acct/nowhere")
        with on_terminal("check", columns=columns, **more, **variables) as screen:
            assert screen.end() == 1
    return screen


def test_a_terminal_gets_colours_hints_below_the_table_and_a_summary():
    screen = checked_on_terminal()
    text = screen.text[screen.text.index("SPACE ") :]
    head, *rows = [re.sub(" +", " ", line).strip() for line in text.splitlines()[:4]]
    assert head == "SPACE VERDICT ARTIFACTS SERIES REQUESTS REFRESH LATENCY"
    assert re.fullmatch(r"acct ok 250 [0-9]+\+ 4 [0-9.]+s [0-9.]+s", rows[0])
    assert re.fullmatch(r"acct/org warn 0 [0-9]+ 1 [0-9.]+s [0-9.]+s", rows[1])
    assert re.fullmatch(r"acct/nowhere client_error [0-9.]+s", rows[2])
    told = " ".join(text.split())
    assert "acct/org: nothing is listed: check spaces;" in told
    assert "acct/nowhere: the server returned 400: space not found: acct/nowhere; check the entry of this space" in told
    assert re.search(
        r"har-exporter: 3 spaces, 1 failed: 250 artifacts; a refresh takes 5 requests and at least [0-9.]+s; at least"
        r" [0-9]+ series, and at most 900 more of findings; certificates are checked against \w+ \(\S+\)$",
        told,
    )
    assert re.search(r"\x1b\[31m[^\x1b]*client_error", screen.raw), "red"
    assert re.search(r"\x1b\[33m[^\x1b]*warn", screen.raw), "yellow"


@pytest.mark.parametrize("more", [{"variables": {"NO_COLOR": "1"}}, {"terminal": "dumb"}])
def test_a_terminal_that_is_asked_for_no_colour_gets_none(more):
    screen = checked_on_terminal(**more)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", screen.raw)
    assert "client_error" in screen.text


@pytest.mark.parametrize("columns", [20, 70])
def test_a_narrow_terminal_gets_each_space_as_a_list_that_fits(columns):
    screen = checked_on_terminal(columns=columns)
    assert re.search(r"\racct\n  verdict    ok\n  artifacts  250\n  series     [0-9]+\+\n", screen.text)
    listed = screen.text[screen.text.index("\n  verdict") :].partition("har-exporter:")[0]
    assert max(map(len, listed.splitlines())) <= columns


def test_equal_causes_of_many_spaces_are_printed_once_between_words_of_a_terminal():
    """A text about a space is that of the others too, with dots for its name."""
    spaces = [f"acct/org{number}" for number in range(30)]
    with Upstream({"acct": ()}, key="pat.other.id.secret") as upstream:
        variables = settings_for(upstream, spaces=",".join(spaces))
        with on_terminal("check", columns=80, **variables) as screen:
            assert screen.end() == 1
        with on_terminal("dump", columns=80, stdout=subprocess.DEVNULL, **variables) as of_dump:
            assert of_dump.end() == 1
    told = " ".join(screen.text.split())
    many = "acct/org0, acct/org1, acct/org2 and 27 more: "
    assert told.count(f"{many}the server returned 400: space not found: …; check the entry of this space") == 1
    assert told.count(f"{many}the key belongs to another account, other: ") == 1
    assert told.count("space not found") == " ".join(of_dump.text.split()).count("space not found") == 1
    assert max(map(len, screen.text.splitlines())) <= 80


def test_a_refresh_never_reads_as_shorter_than_its_first_page():
    """Another space of the same key may answer faster, and the two are rounded alike."""
    slow = answer("acct/org", artifacts=1, seconds=12.34)
    report = report_on(
        (answer(artifacts=1, seconds=0.01504), slow), settings_of(spaces="acct", api_key="pat.acct.id.k")
    )
    assert [verdict.refresh_seconds for verdict in report.spaces] == [verdict.seconds for verdict in report.spaces]
    assert report.total.refresh_seconds == 12.34
    with Upstream({"acct": make_rows(1), "acct/org": make_rows(1)}, key=KEY) as upstream:
        upstream.fault = lambda request: time.sleep(0.2) if "/org/" in request.path else None
        done = run("check", **settings_for(upstream, spaces="acct,acct/org"))
    for line in done.stdout.splitlines()[1:]:
        *_, refresh, latency = line.split()
        assert float(refresh[:-1]) >= float(latency[:-1])


def test_a_pipe_gets_the_table_while_standard_error_is_a_terminal(tmp_path):
    with (tmp_path / "table").open("wb") as table:
        screen = checked_on_terminal(stdout=table)
    assert len((tmp_path / "table").read_text().splitlines()) == 4
    assert "\x1b" not in (tmp_path / "table").read_text()
    assert "har-exporter: 3 spaces, 1 failed" in screen.text


def test_a_terminal_shows_how_many_spaces_have_answered():
    hold = threading.Event()
    with Upstream({"acct": make_rows(1), "acct/org": make_rows(1)}, key=KEY) as upstream:
        upstream.fault = lambda request: hold.wait(60) and None if "/org/" in request.path else None
        with on_terminal("check", **settings_for(upstream, spaces="acct,acct/org")) as screen:
            screen.wait_for(r"spaces asked .* 1/2")
            hold.set()
            assert screen.end() == 0


def test_the_table_of_the_demo_fits_80_columns_and_images_are_told_once_below_it():
    with on_terminal("demo", "check", columns=80) as screen:
        assert screen.end() == 0
    assert re.search("\rSPACE +VERDICT +ARTIFACTS +SERIES +REQUESTS +REFRESH +LATENCY *\n", screen.text)
    assert re.search(f"\n{', '.join(DEMO_SPACES)}.*: images are listed by tag\n", screen.text)


def test_the_demo_can_be_checked_without_any_setting():
    done = run("demo", "check")
    assert (done.returncode, done.stderr) == (0, "")
    told = [line.split()[:2] for line in done.stdout.splitlines()[1:]]
    # A space comes and goes.
    assert [line for line in told if line[0] != PREVIEWED] == [[space, "ok"] for space in DEMO_SPACES]


def test_a_check_of_the_demo_honours_settings_but_those_of_the_upstream():
    done = run("demo", "check", "--output", "json", "--registries", "nowhere", base_url="ftp://nowhere", spaces="///")
    spaces = json.loads(done.stdout)["spaces"]
    assert [space["space"] for space in spaces if space["space"] != PREVIEWED] == list(DEMO_SPACES)
    # Asked for once, not for each space that need not have it.
    assert [space["unlisted_registries"] for space in spaces] == [["nowhere"], *([] for _ in spaces[1:])]
