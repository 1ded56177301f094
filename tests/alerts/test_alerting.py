"""Alerts end to end: from the registry through the real exporter, Prometheus and Alertmanager to the receiver."""

import json
import re
import signal
from pathlib import Path

import pytest
import yaml

from tests.support.commands import served, settings_for
from tests.support.places import GRAFANA
from tests.support.rules import RULES
from tests.support.stack import Receiver, alertmanager, eventually, hurried, prometheus
from tests.support.upstream import Upstream, make_row, make_rows

RISKY = "HarnessARRiskInProduction"
ALLOWED = make_rows(25, firewallMode="BLOCK", deploymentMetadata={"prodEnvCount": 1, "nonProdEnvCount": 0})
QUARANTINED = make_row(
    99, name="left-pad", version="1.3.0", firewallMode="BLOCK", isQuarantined=True, quarantineReason="CVE-2026-1",
    deploymentMetadata={"prodEnvCount": 2, "nonProdEnvCount": 0},
)  # fmt: skip
RELEASED = QUARANTINED | {"isQuarantined": False}


def test_an_alert_outlives_its_exporter_and_ends_when_the_artifact_is_released(tmp_path):
    """Rules and example routing run with one second for each minute, and are otherwise unchanged.

    The target has a label `version`, as meshes give it, which must not replace that of artifacts.
    """
    targets = tmp_path / "targets.json"
    settings = {"cache_ttl": "1s", "rate_limit": "off"}
    with (
        Receiver() as receiver,
        Upstream([*ALLOWED, QUARANTINED]) as upstream,
        alertmanager(tmp_path, routing_to(receiver)) as alerts,
        prometheus(tmp_path, config(tmp_path, targets, alerts)) as server,
    ):
        with served(**settings_for(upstream, **settings)) as (process, url):
            target(targets, url)
            receiver_name, alert = eventually(lambda: receiver.got(RISKY, "firing"))[0]
            assert receiver_name == "artifacts"
            assert_summary_of_the_risk(alert)
            assert server.query('artifact:har_artifact_finding:max{version="1.3.0"}')
            assert server.query("ALERTS{alertname=~'.+New.+'}") == []  # it was there when the space was first seen
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=10)

        # The alert has `for: 5m`, five seconds here, so the exporter and its data have been gone for that long.
        down = eventually(lambda: receiver.got("HarnessARExporterDown", "firing"))[0]
        assert down[0] == "platform-on-call"
        assert server.query("har_artifacts_deployed") == []
        assert server.firing(RISKY)

        with served(**settings_for(upstream, **settings)) as (_, url):
            target(targets, url)
            eventually(lambda: receiver.got("HarnessARExporterDown", "resolved"))
            eventually(lambda: server.query('har_artifacts_deployed{deployed_to="prod",risk="quarantined"} == 1'))
            assert server.firing(RISKY)
            assert receiver.got(RISKY, "resolved") == []

            upstream.spaces[upstream.space] = [*ALLOWED, RELEASED]
            eventually(lambda: not server.firing(RISKY))
            assert server.query('har_artifacts_deployed{deployed_to="prod",risk="quarantined"}')[0]["value"][1] == "0"


@pytest.mark.long
def test_the_night_after_an_installation_over_a_thousand_quarantined_artifacts(tmp_path):
    """Pages for one new finding in production, by name and owner, and for the exporter's death; for nothing else.

    Runs until 45 minutes after the end; `pytest -rP -m long` shows the messages.
    """
    targets = tmp_path / "targets.json"
    spaces = [f"acct/org/{name}" for name in ("shop", "bank", "mill")]
    rows = {space: backlog(space, 333 + (space == spaces[0])) for space in spaces}
    with (
        Receiver() as receiver,
        Upstream(rows) as upstream,
        alertmanager(tmp_path, routing_to(receiver)) as alerts,
        prometheus(tmp_path, config(tmp_path, targets, alerts, scraped="2s")) as server,
    ):
        settings = settings_for(upstream, cache_ttl="1s", rate_limit="off") | {
            "spaces": ",".join(spaces), "owner": "team-checkout",
        }  # fmt: skip
        with served(**settings) as (process, url):
            target(targets, url)
            eventually(
                lambda: server.query("count(artifact:har_artifact_finding:first_seen_timestamp_seconds) == 1000")
            )
            eventually(lambda: server.query("min(time() - space:har_snapshot:first_seen_timestamp_seconds) > 17"))
            assert pages(receiver) == []

            upstream.spaces[spaces[0]] = [QUARANTINED | {"registryIdentifier": "npm-0"}, *rows[spaces[0]]]
            eventually(lambda: pages(receiver))
            with served(**settings) as (_, later):  # it starts before the other ends: a start would last for minutes
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=10)
                target(targets, later)
                other = later.removeprefix("http://")
                eventually(lambda: server.query(f'count(har_up{{instance="{other}"}} == 1) == 3'))
        eventually(lambda: len(pages(receiver)) > 1)
        eventually(lambda: server.query("max(time() - job:har_up:seen_timestamp_seconds) > 45"))
        print("\n".join(receiver.report()))  # noqa: T201 - shown by -rP
        (_, news), (_, down) = pages(receiver)
    assert news[0]["annotations"]["summary"] == (
        "1 new in production, quarantined or blocked: left-pad 1.3.0 (space acct/org/shop, owner team-checkout)"
    )
    assert [receiver_name for receiver_name, _ in pages(receiver)] == ["team-checkout-on-call", "platform-on-call"]
    assert [alert["labels"]["alertname"] for alert in (*news, *down)] == [
        "HarnessARNewRiskInProduction",
        "HarnessARExporterDown",
    ]


def backlog(space: str, count: int):
    """Return quarantined artifacts of seven registries, some of which run in production."""
    return [
        make_row(
            number, registryIdentifier=f"npm-{number % 7}", registryPath=f"{space}/npm-{number % 7}",
            isQuarantined=True, firewallMode="BLOCK",
            deploymentMetadata={"prodEnvCount": int(number < 11), "nonProdEnvCount": 0},
        )
        for number in range(count)
    ]  # fmt: skip


def pages(receiver: Receiver):
    """Return the messages that wake someone, as receiver and firing alerts."""
    found = (
        (name, [alert for alert in message["alerts"] if alert["status"] == "firing"])
        for name, message in tuple(receiver.messages)
        if name.endswith("-on-call")
    )
    return [(name, alerts) for name, alerts in found if alerts]


def routing_to(receiver: Receiver):
    """Return the example routing with shortened times and the receivers on loopback."""
    text = (GRAFANA / "alertmanager.example.yaml").read_text()
    assert text.count("https://alerts.example.com") == 6
    return hurried(yaml.safe_load(text.replace("https://alerts.example.com", receiver.url)))


def config(folder: Path, targets: Path, alerts: str, *, scraped: str = "1s"):
    rules = folder / "rules.yml"
    rules.write_text(yaml.safe_dump(hurried(RULES)))
    return {
        "global": {"scrape_interval": scraped, "scrape_timeout": scraped, "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alerts.removeprefix("http://")]}]}]},
        "scrape_configs": [
            {
                "job_name": "har",
                "honor_labels": True,
                "file_sd_configs": [{"files": [str(targets)], "refresh_interval": "1s"}],
            }
        ],
    }


def target(targets: Path, url: str) -> None:
    """Make this exporter the only target of Prometheus."""
    new = targets.with_suffix(".new")
    new.write_text(json.dumps([{"targets": [url.removeprefix("http://")], "labels": {"version": "istio"}}]))
    new.replace(targets)


def assert_summary_of_the_risk(alert) -> None:
    assert alert["labels"] == {"alertname": RISKY, "space": "acct", "severity": "info"}
    annotations = alert["annotations"]
    assert annotations["summary"] == "1 quarantined or blocked in production: space acct"
    assert annotations["runbook_url"].endswith(f"/grafana/runbooks/{RISKY}.md")
    assert annotations["dashboard_url"] == "/d/har-exporter-overview?var-space=acct"


def test_every_query_of_a_runbook_runs_over_the_demo(tmp_path):
    queries = [
        (path.stem, query)
        for path in sorted((GRAFANA / "runbooks").glob("*.md"))
        for query in re.findall(r"^```promql\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)
    ]
    targets = tmp_path / "targets.json"
    with served("demo") as (_, url), prometheus(tmp_path, config(tmp_path, targets, "http://127.0.0.1:1")) as server:
        target(targets, url)
        # Once the last record of each group exists, all others exist too.
        eventually(
            lambda: (
                server.query("space:har_up:worked_timestamp_seconds")
                and server.query("job:har_exporter_shards:missing")
                and server.query("registry:har_firewall_violations_blocked:sum")
            )
        )
        answered = [runbook for runbook, query in queries if server.query(re.sub(r'="[A-Z_]{3,}"', '=~".+"', query))]
    # The queries find the risks in the demo, and those that always have a result return one.
    wrong = {"RiskInProduction", "ArtifactsQuarantined", "ArtifactsBlocked", "ExemptionExpired", "RegistryPublic"}
    figures = {"ScanCoverageLow", "ScansStale", "SnapshotStale", "SpaceDisappeared", "ExporterDown", "FindingsDropped"}
    assert {f"HarnessAR{name}" for name in wrong | figures} <= set(answered)
