"""The alerting rules are valid, tested and documented, and use only metrics that exist."""

import re
import subprocess
from collections import Counter, defaultdict
from datetime import timedelta
from pathlib import Path

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.commands import served
from tests.support.places import GRAFANA
from tests.support.programs import find
from tests.support.rules import ALERTS, ALL, FAMILIES, RECORDS, RULE_FILE, RULES, THRESHOLDS, metrics_in
from tests.support.stack import eventually
from tools.rule_mutants import EQUIVALENT, UnitTests, mutants

TEST_FILE = GRAFANA / "rules" / "har-exporter.test.yaml"
RUNBOOKS = GRAFANA / "runbooks"
ALERTMANAGER = GRAFANA / "alertmanager.example.yaml"
REPOSITORY = "https://github.com/har-exporter/har-exporter/blob/main/"

TESTS = yaml.safe_load(TEST_FILE.read_text())["tests"]

LEFT_OUT = {
    "har_registry_packages": "for whoever compares registries",
    "har_firewall_violations_by_category": "for users' own rules",
    "har_firewall_violation_newest_timestamp_seconds": "for users' own rules",
    "har_source_timestamp_seconds": "for debugging",
    "har_source_duration_seconds": "for debugging",
    "har_discovered_spaces": "for users' own rules",
    "har_snapshot_page_size": "for debugging",
    "har_exporter_log_lines_dropped_total": "for whoever misses lines",
    "har_artifacts_deleted": "deleted versions need no action",
    "har_artifact_digests": "the size of images is not a risk",
    "har_artifact_environments": "har_artifacts_deployed answers the same question without counting environments twice",
    "har_artifact_newest_scan_timestamp_seconds": "har_artifacts_stale_scan counts old scans",
    "har_artifact_oldest_scan_timestamp_seconds": "har_artifacts_stale_scan counts all old scans",
    "har_snapshot_pages": "for debugging",
    "har_exporter_config_last_reload_success_timestamp_seconds": "for debugging",
}
"""Families that are intentionally not used in rules and dashboards, with the reason."""

EXPORTER_ALERTS = {
    "ExporterDown", "ExporterAbsent", "RefreshFailing", "SnapshotStale", "SnapshotIncomplete", "APIErrors",
    "AuthFailing", "RateLimited", "FindingsDropped", "ShardMissing", "DiscoveryFailing", "SourceFailing",
    "ReloadFailed",
}  # fmt: skip
"""Alerts on the exporter and its data; all other alerts are on artifacts, registries and spaces."""

OPERATIONS = (
    "ratio_increase30m|newest|strictness|limit|owner|new|unresolved|before_drop|missing"
    "|(first_seen|seen|worked)_timestamp_seconds"
)
"""Last parts of the names of records, besides the usual ones."""

KINDS = ("fires", "below", "replicas", "gone", "empty")
"""Scenarios in the unit tests of each alert, in addition to the last step before `for` ends."""


UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def dashboards_text() -> str:
    return "\n".join(path.read_text() for path in sorted((GRAFANA / "dashboards").glob("*.json")))


def queries(runbook: Path) -> list[str]:
    return re.findall(r"^```promql\n(.*?)^```", runbook.read_text(), re.DOTALL | re.MULTILINE)


def minutes(duration: str) -> int:
    return int(duration[:-1]) * {"m": 1, "h": 60}[duration[-1]]


def test_promtool_accepts_the_rules():
    done = subprocess.run([find("promtool"), "check", "rules", RULE_FILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"SUCCESS: {len(ALL)} rules found" in done.stdout


@pytest.fixture(scope="module")
def unit_tests():
    return UnitTests(find("promtool"), RULES)


@pytest.mark.parametrize("name", dict.fromkeys(test["name"] for test in TESTS))
def test_the_rules_pass_their_unit_tests(unit_tests, name):
    """Each with the rules that it covers, which takes a quarter of the time."""
    assert unit_tests.failures(name, RULES) == ""


@pytest.mark.long
def test_all_rules_together_pass_all_unit_tests():
    done = subprocess.run([find("promtool"), "test", "rules", TEST_FILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_unit_test_gives_a_series_twice():
    """Promtool would ignore one of them."""
    for test in TESTS:
        names = Counter(series["series"] for series in test["input_series"])
        assert names.total() == len(names), (test["name"], names.most_common(1))


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_has_every_kind_of_unit_test(name):
    groups = [group for group in TESTS if group["name"] == name]
    checks = [check for group in groups for check in group["alert_rule_test"]]
    assert {check["alertname"] for check in checks} == {name}
    assert any(check["exp_alerts"] for check in checks)
    expected = {
        (number, minutes(check["eval_time"])): {str(alert["exp_labels"]) for alert in check["exp_alerts"]}
        for number, group in enumerate(groups)
        for check in group["alert_rule_test"]
    }
    begins = [
        alerts - expected[number, time - 1]
        for (number, time), alerts in expected.items()
        if (number, time - 1) in expected
    ]
    assert any(begins), "one step before `for` ends"
    text = str(groups)
    if name != "HarnessARExporterAbsent":  # it has no label to distinguish scenarios, so each group is one scenario
        series = [series["series"] for group in groups for series in group["input_series"]]
        for kind in KINDS:
            assert re.search(rf'(?:space="acct/|job="){kind}["/]', "\n".join(series)), kind
    assert re.search(r'instance="a".*instance="b"', text)
    assert "stale" in text


@pytest.mark.parametrize("name", ALERTS)
def test_each_expected_alert_names_all_labels_and_annotations(name):
    checks = [check for group in TESTS if group["name"] == name for check in group["alert_rule_test"]]
    for alert in (alert for check in checks for alert in check["exp_alerts"]):
        assert alert["exp_labels"]["severity"] == ALERTS[name]["labels"]["severity"]
        assert alert["exp_annotations"].keys() == ALERTS[name]["annotations"].keys()


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_says_what_where_and_what_to_do(name):
    rule = ALERTS[name]
    assert name.startswith("HarnessAR")
    assert rule["labels"].keys() == {"severity"} | (
        {"owner"} if "$labels.space" in rule["annotations"]["summary"] else set()
    )
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    annotations = rule["annotations"]
    assert annotations.keys() - {"harness_url"} == {"summary", "description", "runbook_url", "dashboard_url"}
    assert annotations["runbook_url"] == f"{REPOSITORY}grafana/runbooks/{name}.md"
    assert re.match(r"/d/har-exporter-(overview|exporter)($|\?var-)", annotations["dashboard_url"])


def test_there_is_a_runbook_for_each_alert_and_no_other():
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == ALERTS.keys()


@pytest.mark.parametrize("name", ALERTS)
def test_each_runbook_has_its_parts_and_a_query(name):
    path = RUNBOOKS / f"{name}.md"
    assert re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE) == [
        name,
        "Meaning",
        "Impact",
        "Diagnosis",
        "Mitigation",
        "Silence",
    ]
    assert queries(path)


@pytest.fixture(scope="module")
def page():
    """Return every sample of a running exporter whose sources have been read."""
    with served("demo") as (_, url):
        text = eventually(lambda: with_sources(requests.get(f"{url}/metrics", timeout=10).text))
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def with_sources(text: str) -> str:
    return (
        text
        if {"har_firewall_violation_info{", "har_registry_firewall{"} <= set(re.findall(r"^\w+\{", text, re.MULTILINE))
        else ""
    )


def test_every_metric_in_the_rules_is_exported_with_the_labels_that_they_ask_for(page):
    exported = defaultdict(set)
    for sample in page:
        exported[sample.name] |= sample.labels.keys()
    for rule in ALL:
        text = rule["expr"] + "".join(rule.get("annotations", {}).values())
        assert metrics_in(text) <= exported.keys(), rule
        for metric, matchers in re.findall(r"(?<![\w:])(har_\w+)\{([^%}]*)\}", text):
            labels = set(re.findall(r"(\w+)\s*[!=]?[=~]", matchers)) - {"job"}
            assert labels <= exported[metric], rule


ASKED_FOR = {
    ("har_artifacts_deployed", "deployed_to"): ["prod"],
    ("har_artifacts_deployed", "risk"): ["quarantined", "blocked"],
    ("har_artifacts", "scan_status"): ["UNSCANNED", "NOT_APPLICABLE", "BLOCKED"],
    ("har_artifacts", "firewall_mode"): ["ALLOW", "NONE"],
    ("har_artifacts_stale_scan", "older_than"): ["30d"],
    ("har_artifact_finding", "finding"): ["quarantined", "blocked"],
    ("har_snapshot_artifacts", "source"): ["fetched"],
    ("har_refresh_failures_total", "reason"): ["auth", "forbidden"],
    ("har_exporter_api_requests_total", "code"): ["200", "429"],
}


@pytest.mark.parametrize(("metric", "label"), ASKED_FOR)
def test_each_value_that_the_rules_ask_for_is_exported(page, metric, label):
    exported = {sample.labels[label] for sample in page if sample.name == metric}
    for value in ASKED_FOR[metric, label]:
        assert value in exported
        assert re.search(rf"\b{value}\b", RULE_FILE.read_text(), re.IGNORECASE)


def test_every_record_in_the_rules_is_recorded_and_none_is_recorded_in_vain():
    used = {name for rule in ALL for name in re.findall(r"\b\w+:har_\w+:\w+", f"{rule}")}
    used -= {
        name for name, rule in RECORDS.items() if not any(name in f"{other}" for other in ALL if other is not rule)
    }
    used |= {name for rule in ALL for name in re.findall(r"har_threshold:\w+", rule["expr"])}
    assert used <= RECORDS.keys()
    shown = set(
        re.findall(r"\b\w+:har_\w+:\w+", dashboards_text() + "".join(p.read_text() for p in RUNBOOKS.glob("*.md")))
    )
    assert RECORDS.keys() - used - shown == set()


def test_records_are_named_by_level_metric_and_operation_and_free_of_the_instance():
    for name, rule in RECORDS.items():
        assert re.fullmatch(rf"[a-z_]+:har_[a-z0-9_]+:(sum|max|min|ratio|{OPERATIONS})", name) or name in THRESHOLDS
        assert not re.search(r"by \([^)]*instance", rule["expr"])


def test_every_family_is_used_or_left_out_on_purpose():
    used = metrics_in(RULE_FILE.read_text()) | metrics_in(dashboards_text())
    assert FAMILIES.keys() - used == LEFT_OUT.keys()


def test_no_rule_knows_the_name_of_a_job_an_instance_or_a_release():
    for rule in ALL:
        assert not re.search(r"\b(job|instance|namespace|pod|service|release)\s*(=|!=|=~|!~)\s*\"", rule["expr"])


def test_no_alert_has_a_value_or_a_reason_among_its_labels():
    for rule in ALERTS.values():
        assert "reason" not in "".join(re.findall(r"by \(([^)]*)\)", rule["expr"]))
        assert "$value" not in str(rule["labels"])


def test_there_are_hundreds_of_different_mutants_and_each_equivalent_one_exists():
    names = [mutant.name for mutant in mutants(RULES)]
    assert len(names) == len(set(names)) > 500
    for pattern in EQUIVALENT:
        assert any(re.fullmatch(pattern, name) for name in names), pattern


def test_amtool_accepts_the_example_routing():
    done = subprocess.run([find("amtool"), "check-config", ALERTMANAGER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_is_routed_to_those_who_can_act(name):
    severity = ALERTS[name]["labels"]["severity"]
    if name.removeprefix("HarnessAR") in EXPORTER_ALERTS:
        receiver = "platform-on-call" if severity == "critical" else "platform"
    else:
        receiver = "security-on-call" if severity == "critical" else "artifacts"
    assert routed(f"alertname={name}", f"severity={severity}") == receiver


def test_alerts_of_others_are_left_alone():
    assert routed("alertname=NodeDown", "severity=critical") == "everything-else"


def routed(*labels: str) -> str:
    command = [find("amtool"), "config", "routes", "test", "--config.file", ALERTMANAGER, *labels]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def routes(parent=None, inherited=()):
    """Yield every route of the example, with the labels by which it groups."""
    for route in (parent or yaml.safe_load(ALERTMANAGER.read_text())["route"]).get("routes", ()):
        labels = route.get("group_by", inherited)
        yield route, labels
        yield from routes(route, labels)


def test_messages_are_never_grouped_by_artifact_and_pages_by_space():
    groups = {tuple(labels) for _, labels in routes()}
    assert not {"artifact", "version"} & {label for labels in groups for label in labels}
    assert [labels for route, labels in routes() if route["receiver"] == "security-on-call"] == [["alertname", "space"]]


def test_no_interval_is_longer_than_alertmanager_remembers():
    """What was sent is forgotten after five days by default, and would be sent again."""
    for route, _ in routes():
        for name in ("group_wait", "group_interval", "repeat_interval"):
            assert timedelta(**{UNITS[route[name][-1]]: int(route[name][:-1])} if name in route else {}).days <= 1


def test_a_page_is_repeated_twice_a_night_at_most():
    pages = [route for route, _ in routes() if route["receiver"] in {"security-on-call", "platform-on-call"}]
    assert {route["repeat_interval"] for route in pages} == {"8h"}


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("alertname=HarnessARNewRiskInProduction", "severity=critical"), "team-checkout-on-call"),
        (("alertname=HarnessARNewlyBlocked", "severity=warning"), "team-checkout"),
        (("alertname=HarnessARArtifactsBlocked", "severity=info"), "team-checkout"),
        (("alertname=HarnessARRefreshFailing", "severity=warning"), "platform"),
    ],
)
def test_owners_get_what_concerns_their_artifacts(labels, receiver):
    assert routed(*labels, "owner=team-checkout") == receiver


def test_alerts_on_artifacts_are_never_inhibited_by_alerts_on_the_exporter():
    def matched(matchers: list[str]) -> set[str]:
        names = {name.removeprefix("HarnessAR") for name in ALERTS}
        for matcher in matchers:
            pattern = re.fullmatch(r'alertname =~? "(.*)"', matcher)
            assert pattern, matcher
            names &= {name for name in names if re.fullmatch(pattern[1], f"HarnessAR{name}")}
        return names

    for rule in yaml.safe_load(ALERTMANAGER.read_text())["inhibit_rules"]:
        sources, targets = matched(rule["source_matchers"]), matched(rule["target_matchers"])
        assert sources
        assert targets
        assert not (sources & EXPORTER_ALERTS and targets - EXPORTER_ALERTS), rule
