"""`har-exporter findings`: what its table, its CSV and its JSON list, and in which order."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cli.findings import Row, as_csv
from exporter.labels import clean
from tests.support.commands import run, settings_for
from tests.support.sources import registry_row, violation_row
from tests.support.terminal import on_terminal
from tests.support.upstream import Upstream, make_row, make_rows, reply

KEY = "pat.acct.id.secret"
IN_PROD = {"deploymentMetadata": {"prodEnvCount": 2, "nonProdEnvCount": 0}}


def estate():
    """Return two spaces with one finding of each kind, one of them in production, and a violation."""
    rows = [
        make_row(0, isQuarantined=True, quarantineReason="by hand"),
        make_row(1, scanStatus="BLOCKED"),
        make_row(2, scanStatus="BLOCKED", **IN_PROD),
        make_row(3, scanStatus="WARN"),
        make_row(4, isQuarantined=True, scanStatus="BLOCKED", registryIdentifier="other"),
    ]
    return Upstream(
        {"acct": rows, "acct/org": make_rows(2)},
        registries=[registry_row(0, path="acct/npm-remote"), registry_row(1, path="acct/org/r")],
        violations=[violation_row(0, registryName="npm-remote", path="acct/org/r", registryId="uuid-1")],
        key=KEY,
    )


def listed(*arguments, **more):
    """Return the findings of `--output json` by name of the artifact."""
    with estate() as upstream:
        settings = settings_for(upstream, spaces="acct/**", sources="registries,violations", **more)
        done = run("findings", "--output", "json", *arguments, **settings)
    assert (done.returncode, done.stderr) == (0, "")
    return [(row["artifact"][-1], row["finding"]) for row in json.loads(done.stdout)["findings"]]


def test_production_comes_first_then_what_is_worse_then_names_and_violations_last():
    assert listed() == [
        ("2", "blocked"),
        ("0", "quarantined"),
        ("4", "quarantined,blocked"),
        ("1", "blocked"),
        ("0", "violation"),
    ]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--space", "acct/ORG"], [("0", "violation")]),
        (["--space", "acct/org/+"], [("0", "violation")]),
        (["--space", "acct/org/**"], [("0", "violation")]),
        (["--registry", "other"], [("4", "quarantined,blocked")]),
        (["--registry", "other", "--registry", "x"], [("4", "quarantined,blocked")]),
        (["--finding", "quarantined"], [("0", "quarantined"), ("4", "quarantined,blocked")]),
        (["--finding", "violation"], [("0", "violation")]),
        (["--deployed", "prod"], [("2", "blocked")]),
        (["--deployed", "nonprod"], []),
        (["--finding", "quarantined", "--deployed", "prod"], []),
        (["--findings", "warn", "--finding", "warn"], [("3", "warn")]),
    ],
)
def test_filters_choose_what_is_listed(arguments, found):
    assert listed(*arguments) == found


def test_no_limit_applies():
    with Upstream(make_rows(1_200, isQuarantined=True), key=KEY) as upstream:
        done = run("findings", "--output", "json", **settings_for(upstream, findings_limit="1"))
    document = json.loads(done.stdout)
    assert document["totals"] == {"all": 1_200, "prod": 0, "quarantined": 1_200}
    assert len({row["artifact"] for row in document["findings"]}) == 1_200


def test_a_space_that_fails_is_told_and_the_rest_is_listed():
    with estate() as upstream:
        done = run("findings", "--output", "json", **settings_for(upstream, spaces="acct,nowhere"))
    assert done.returncode == 1
    assert "nowhere: client_error" in done.stderr
    document = json.loads(done.stdout)
    assert [one["space"] for one in document["failed"]] == ["nowhere"]
    assert document["totals"] == {"all": 4, "prod": 1, "blocked": 3, "quarantined": 2}


def test_the_table_has_a_line_for_each():
    with estate() as upstream:
        done = run("findings", **settings_for(upstream))
    head, first, *rest = done.stdout.splitlines()
    assert head.split() == ["FINDING", "SPACE", "REGISTRY", "ARTIFACT", "VERSION", "PROD", "NONPROD", "WHY"]
    assert first.split() == ["blocked", "acct", "npm-remote", "artifact-000002", "1.0.0", "2", "0"]
    assert len(rest) == 3
    assert rest[0].endswith("by hand")


@pytest.mark.parametrize("columns", [60, 200])
def test_a_terminal_shows_every_finding_and_how_many_there_are(columns):
    with estate() as upstream, on_terminal("findings", columns=columns, **settings_for(upstream)) as screen:
        assert screen.end() == 0
    for number in (0, 1, 2, 4):
        assert f"artifact-00000{number}" in screen.text
    assert "4 to act on: 1 prod, 3 blocked, 2 quarantined" in " ".join(screen.text.split())


@given(cells=st.lists(st.text().map(clean), min_size=18, max_size=18))
def test_csv_holds_what_was_listed_and_no_cell_is_a_formula(cells):
    """Whatever the texts of the API are: quotes, commas, line breaks, signs that begin a formula."""
    head, row = csv.reader(
        io.StringIO(as_csv([Row(**dict(zip(Row.__dataclass_fields__, cells, strict=True)))]), newline="")
    )
    assert head == [*Row.__dataclass_fields__]
    assert row == [f"'{cell}" if cell[:1] in {"=", "+", "-", "@"} else cell for cell in cells]


def test_the_demo_has_findings_without_any_setting():
    done = run("demo", "findings", "--output", "csv", "--deployed", "prod", "--space", "demo")
    names = [row["artifact"] for row in csv.DictReader(io.StringIO(done.stdout))]
    assert (done.returncode, names[0]) == (0, "payments-api")
    assert done.stderr == ""


@pytest.mark.parametrize(("status", "code"), [(400, 1), (404, 0), (501, 0)])
def test_violations_that_could_not_be_read_are_told(status, code):
    """A server that has none is no failure."""
    with estate() as upstream:
        upstream.fault = lambda request: reply(status) if "/scans" in request.path else None
        done = run("findings", "--output", "json", **settings_for(upstream, sources="registries,violations"))
    (failed,) = json.loads(done.stdout)["failed"]
    assert (done.returncode, failed["space"], failed["source"]) == (code, "acct", "violations")
    assert f"the server returned {status}" in failed["message"]


def test_a_space_that_is_none_of_those_read_is_refused():
    """An empty list would look like nothing to act on."""
    with estate() as upstream:
        done = run("findings", "--space", "acct", "--space", "acct/x", **settings_for(upstream, spaces="acct,acct/org"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "har-exporter: --space: 'acct/x' is not one of the spaces that are read: acct, acct/org\n"
    assert not [request for request in upstream.requests if request.path.endswith("/artifacts")]


@pytest.mark.parametrize("shards", ["1", "3"])
def test_a_failed_discovery_is_told_whatever_is_wanted_of_it(shards):
    """The space may well exist."""
    with estate() as upstream:
        upstream.fault = lambda request: reply(500) if request.path.endswith("/registries") else None
        settings = settings_for(upstream, spaces="acct/**", sources="registries", shards=shards, log_level="error")
        done = [run("findings", "--space", "acct/org", **settings, shard=str(n)) for n in range(int(shards))]
    assert {(one.returncode, one.stdout) for one in done} == {(1, "")}
    assert all(one.stderr.count("the server returned 500") == 1 for one in done)


@pytest.mark.parametrize("command", ["check", "dump", "findings"])
def test_an_account_whose_spaces_are_not_found_fails_on_every_shard(command):
    codes = []
    for shard in range(3):
        with estate() as upstream:
            upstream.fault = lambda request: reply(403) if request.path.endswith("/registries") else None
            settings = {"spaces": "acct/**", "sources": "registries", "shard": str(shard), "shards": "3"}
            codes.append(run(command, **settings_for(upstream, **settings)).returncode)
    assert codes == [1, 1, 1]
