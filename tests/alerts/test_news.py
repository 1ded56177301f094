"""Alerts over days and nights: what wakes people, what does not, and what stays reported."""

import pytest

from tests.support.promtool import asked, labelled

WEEK = "_x1 1x2100"  # at steps of 5 minutes
PAGES = 'count by (alertname, space) (ALERTS{alertstate="firing", severity="critical"}) > bool 0'
NEWS = 'count by (alertname, space) (ALERTS{alertstate="firing", alertname=~".+(New|Surge).+"}) > bool 0'


def space(name, values, *, at, dropped="0"):
    """Yield the series that an exporter has of a space with one registry."""
    for family in ("har_up", "har_snapshot_complete", "har_snapshot_timestamp_seconds"):
        yield labelled(family, space=name, **at), values
    yield labelled("har_findings_dropped", space=name, **at), values.replace("1x", f"{dropped}x")
    yield labelled("har_refresh_interval_seconds", space=name, **at), values.replace("1x", "300x")
    yield labelled("har_registry_info", space=name, **REGISTRY, registry_type="UPSTREAM", **at), values


REGISTRY = {"registry": "npm", "package_type": "NPM"}
AT = {"job": "har", "instance": "a"}


def finding(artifact, values, *, prod="0", kind="quarantined", of="acct", at=AT):
    labels = {"space": of, **REGISTRY, "artifact": artifact, "version": "1"}
    yield labelled("har_artifact_finding", **labels, finding=kind, **at), values
    environments = labelled("har_artifact_finding_environments", **labels, deployed_to="prod", **at)
    yield environments, values.replace("1x", f"{prod}x")


def totals(values, *, prod="0x200", of="acct", at=AT):
    cell = {"scan_status": "ALLOWED", "firewall_mode": "BLOCK"}
    yield labelled("har_artifacts_quarantined", space=of, **REGISTRY, **cell, **at), values
    yield labelled("har_artifacts_deployed", space=of, **REGISTRY, deployed_to="prod", risk="quarantined", **at), prod


def exporter(values, at=AT, **shards):
    yield labelled("up", **at), values.replace("stale", "0x2100")
    yield labelled("har_exporter_build_info", version="1", **at), values
    for family, value in shards.items():
        number = values.replace("1x", f"{value}x") if family == "har_exporter_shards" else values
        yield labelled(family, **({} if family == "har_exporter_shards" else {"shard": value}), **at), number


def gone(jobs):
    """Return two exporters, the second of which ends after an hour."""
    first, second = ({"job": job, "instance": name} for job, name in zip(jobs, "ab", strict=True))
    until = "_x1 1x11 stale"
    return [
        *exporter(WEEK, first), *space("acct/one", WEEK, at=first),
        *exporter(until, second), *space("acct/two", until, at=second),
    ]  # fmt: skip


def shards():
    """Return two shards, the second of which ends after an hour and leaves no target."""
    for index, values in enumerate((WEEK, "_x1 1x11 stale")):
        at = {"job": "har", "instance": f"pod-{index}"}
        yield labelled("har_exporter_shard_info", shard=str(index), **at), values
        yield labelled("har_exporter_shards", **at), values.replace("1x", "2x")
        yield from space(f"acct/{index}", values, at=at)


def clusters():
    """Return the exporters of two clusters in one ruler, of the same job; the second cluster ends after an hour."""
    for name, values in (("one", WEEK), ("two", "_x1 1x11 stale")):
        at = {"job": "har", "instance": "a", "cluster": name}
        yield from exporter(values.replace("stale", ""), at)
        yield from space(f"acct/{name}", values, at=at)


@pytest.mark.long
@pytest.mark.parametrize(
    "series",
    [gone(("har", "har")), gone(("one", "two")), list(shards()), list(clusters())],
    ids=["one job", "two jobs", "shards", "clusters"],
)
def test_an_exporter_that_is_gone_for_good_is_reported_for_a_week(tmp_path, series):
    """Something fires at every step of 7 days, from half an hour after the end on; also with intervals of 5 minutes."""
    firing = 'min_over_time((count(ALERTS{alertstate="firing"}) or vector(0))[167h:5m]) > bool 0'
    assert asked(tmp_path, series, {f"{firing} @ 168h30m": ["{}"]}, step="5m") == ""


@pytest.mark.parametrize("step", ["15s", pytest.param("30s", marks=pytest.mark.long), "1m", "5m"])
def test_no_interval_of_scrapes_makes_an_alert(tmp_path, step):
    """A healthy exporter that is scraped every 15 seconds to 5 minutes fires nothing for at least an hour."""
    seconds = {"15s": 15, "30s": 30, "1m": 60, "5m": 300}[step]
    steps = 80 * 60 // seconds
    series = dict([*exporter(f"1x{steps}"), *space("acct", f"1x{steps}", at=AT), *totals(f"9x{steps}")])
    series[labelled("har_snapshot_timestamp_seconds", space="acct", **AT)] = f"0+{seconds}x{steps}"
    fired = 'max_over_time(count(ALERTS{severity!="info"})[75m:1m])'
    assert asked(tmp_path, series.items(), {f"{fired} @ 75m": []}, step=step) == ""


def test_a_textfile_by_hourly_cron_makes_no_alert_until_cron_fails(tmp_path):
    """Its data is up to an hour old, and all of it stays when cron ends: that is reported after three hours."""
    at = {"job": "node", "instance": "a"}
    series = dict([*exporter("1x120", at), *space("acct", "1x120", at=at), *totals("9x120", at=at)])
    series[labelled("har_refresh_interval_seconds", space="acct", **at)] = "3600x120"
    series[labelled("har_refresh_duration_seconds", space="acct", **at)] = "120x120"
    series[labelled("har_snapshot_timestamp_seconds", space="acct", **at)] = "60x11 3660x11 7260x11 10860x90"
    fired = 'max_over_time(count(ALERTS{severity!="info"})[6h:1m])'
    late = 'count by (alertname) (ALERTS{alertstate="firing", severity!="info"})'
    stale = ['{alertname="HarnessARSnapshotStale"}']
    wanted = {f"{fired} @ 370m": [], f"{late} @ 375m": [], f"{late} @ 400m": stale, f"{late} @ 10h": stale}
    assert asked(tmp_path, series.items(), wanted, step="5m") == ""


def test_a_backlog_pages_nobody_and_one_new_finding_in_production_pages_once(tmp_path):
    """Installs over 1,000 quarantined artifacts, after a first refresh of 30 minutes."""
    series = [*exporter("1x40"), *space("acct", "_x6 1x34", at=AT), *totals("_x6 1000x11 1001x22")]
    for number in range(1000):
        series += finding(f"lib{number}", "_x6 1x34", prod="1" if number < 11 else "0")
    series += finding("evil", "_x18 1x22", prod="1")
    one = '{alertname="HarnessARNewRiskInProduction", space="acct"}'
    checks = {f"{PAGES} @ {minute}m": [] for minute in (30, 45, 50, 60, 85, 150, 180)}
    checks |= {f"{PAGES} @ {minute}m": [one] for minute in (90, 120, 145)}
    assert asked(tmp_path, series, checks, step="5m") == ""


QUIET = [
    # A finding that settles and is back within a day.
    *space("back", "_x2 1x100", at=AT),
    *finding("lib", "_x2 1x12 stale _x40 1x40", prod="1", of="back"),
    # A kind of finding that users add.
    *space("added", "_x2 1x100", at=AT),
    *(item for n in range(30) for item in finding(f"lib{n}", "_x12 1x80", kind="warn", prod="1", of="added")),
    # A name that follows one that settled, while findings are dropped.
    *space("full", "_x2 1x100", at=AT, dropped="7"),
    *totals("_x2 507x9 506x80", prod="_x2 9x9 8x80", of="full"),
    *finding("first", "_x2 1x10 stale", prod="1", of="full"),
    *finding("next", "_x12 1x80", prod="1", of="full"),
]


def test_what_is_not_new_is_no_news(tmp_path):
    checks = {f"{NEWS} @ {minute}m": [] for minute in (60, 65, 100, 280, 300)}
    assert asked(tmp_path, QUIET, checks, step="5m") == ""


def test_one_more_is_news_while_findings_are_dropped(tmp_path):
    series = [*space("acct", "_x2 1x100", at=AT, dropped="7"), *totals("_x2 507x9 508x80", prod="0x11 1x80")]
    expected = [
        f'{{alertname="HarnessAR{name}", space="acct"}}' for name in ("NewRiskInProduction", "NewlyQuarantined")
    ]
    checks = {f"{NEWS} @ 55m": [], f"{NEWS} @ 60m": expected, f"{NEWS} @ 115m": expected}
    assert asked(tmp_path, series, checks, step="5m") == ""


def test_of_two_replicas_in_different_states_the_freshest_counts(tmp_path):
    """Different sets of ten artifacts are ten, not twenty, and an old state hides no new one."""
    other = {"job": "har", "instance": "b"}
    series = dict([*space("acct", "1x100", at=AT), *space("acct", "1x100", at=other)])
    series[labelled("har_snapshot_timestamp_seconds", space="acct", **other)] = "2x29 0x70"
    for at, mode in ((AT, "BLOCK"), (other, "WARN")):
        cell = {"scan_status": "ALLOWED", "firewall_mode": mode}
        series[labelled("har_artifacts_quarantined", space="acct", **REGISTRY, **cell, **at)] = "10x100"
    total = 'sum(registry_finding:har_artifacts:sum{finding="quarantined"}) == bool 10'
    assert asked(tmp_path, series.items(), {f"{total} @ {time}m": ["{}"] for time in (5, 29, 30, 60)}) == ""
