"""The mixin gives users of jsonnet the same rules and dashboards, with their own settings."""

import json
import subprocess

import pytest
import yaml

from tests.support.places import GRAFANA
from tests.support.programs import find
from tests.support.rules import ALERTS, RECORDS

_jsonnet = pytest.importorskip("_jsonnet", reason="jsonnet is not installed: run `make .venv/.dev`")


def rendered(**config):
    """Return what the mixin gives, with some of its settings changed."""
    snippet = f"(import 'mixin.libsonnet') + {{ _config+:: {json.dumps(config)} }}"
    shown = "{rules: m.prometheusRules, alerts: m.prometheusAlerts, dashboards: m.grafanaDashboards}"
    return json.loads(_jsonnet.evaluate_snippet(str(GRAFANA / "user.jsonnet"), f"local m = {snippet}; {shown}"))


def rules_of(document, key):
    return {rule[key]: rule for group in document["groups"] for rule in group["rules"]}


def test_rules_and_dashboards_are_those_of_the_files():
    mixin = rendered()
    assert rules_of(mixin["rules"], "record") == RECORDS
    assert rules_of(mixin["alerts"], "alert") == ALERTS
    boards = {name: (GRAFANA / "dashboards" / f"{name}.json").read_text() for name in ("overview", "exporter")}
    assert mixin["dashboards"] == {f"har-exporter-{name}.json": json.loads(text) for name, text in boards.items()}


def test_thresholds_and_links_are_settings():
    mixin = rendered(
        thresholds={"scan_coverage_ratio": 0.5}, runbookBase="https://wiki.test/", dashboardBase="https://grafana.test"
    )
    changed = {name for name, rule in rules_of(mixin["rules"], "record").items() if rule != RECORDS[name]}
    assert changed == {"har_threshold:scan_coverage_ratio"}
    assert rules_of(mixin["rules"], "record")["har_threshold:scan_coverage_ratio"]["expr"] == "vector(0.5)"
    for name, alert in rules_of(mixin["alerts"], "alert").items():
        assert alert["annotations"]["runbook_url"] == f"https://wiki.test/{name}.md"
        assert alert["annotations"]["dashboard_url"].startswith("https://grafana.test/d/har-exporter-")


def test_more_labels_are_kept_through_all_rules(tmp_path):
    """Two clusters with the same spaces stay apart, and promtool accepts the rules."""
    mixin = rendered(keepLabels=["cluster", "tenant"])
    path = tmp_path / "rules.yaml"
    groups = [*mixin["rules"]["groups"], *({**g, "name": f"{g['name']}.alerts"} for g in mixin["alerts"]["groups"])]
    path.write_text(yaml.safe_dump({"groups": groups}))
    done = subprocess.run([find("promtool"), "check", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert rules_of(mixin["rules"], "record")["space:har_up:max"]["expr"] == "max by (cluster, tenant, space) (har_up)"
    owner = rules_of(mixin["alerts"], "alert")["HarnessARRiskInProduction"]["labels"]["owner"]
    assert "{cluster=%q,tenant=%q,space=%q}" in owner
    assert "$labels.cluster $labels.tenant $labels.space | query" in owner
    left = [rule for rule in mixin["rules"]["groups"][1]["rules"] if " by (space" in rule["expr"]]
    assert left == []
