"""Overview dashboard: artifacts that need action now, trends and evidence."""

from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as model

from dashboards import queries, thresholds
from dashboards.frame import Board, Row, firing, inventory_choices
from dashboards.panels import (
    REFRESHES,
    bars,
    cells,
    column,
    columns,
    fixed,
    lines,
    now,
    number,
    ranked,
    rows,
    sorted_by,
    stacked,
    target,
)
from dashboards.thresholds import CRITICAL, GOOD, NEUTRAL, NOTHING, NOTICE, WARNING, objective, steps

RISK_FREE_OBJECTIVE = 0.995
FRESH_OBJECTIVE = 0.99

_UNSCANNED = "purple"
_CENTER = kinds.FieldTextAlignment.CENTER
_KEYS = ("space", "registry", "package_type")


def _counted(title: str, description: str, expr: str, limits: build.ThresholdsConfig | None = None) -> stat.Panel:
    """Return a number with its change within a day."""
    panel = number(title, description, now(expr, "now"), thresholds=limits, text=kinds.BigValueTextMode.VALUE_AND_NAME)
    return _with_change(panel, expr)


def _with_change(panel: stat.Panel, expr: str) -> stat.Panel:
    panel.with_target(now(queries.change(expr), _CHANGE, "B"))
    return panel.override_by_name(_CHANGE, [fixed(NOTHING)])


def _risky() -> stat.Panel:
    return _counted(
        "Risky in production",
        "Artifact versions that are quarantined or blocked and deployed to production. Act immediately: the table "
        "below lists them first.",
        queries.total(queries.deployed(queries.RISKY)),
        steps(*thresholds.RISKY_IN_PRODUCTION.steps),
    )


def _new() -> stat.Panel:
    return number(
        "New in 24 hours",
        "Findings that were not there a day ago. A new installation, space or registry makes none. Needs the recording "
        "rules.",
        now(f"count({queries.new()}) or 0 * count(har_up{{{queries.SELECTED_SPACES}}})"),
        thresholds=steps(*thresholds.NEW.steps),
    )


def _refused() -> stat.Panel:
    blocked = queries.once(
        "har_firewall_violations", (*_KEYS, "scan_status", "exemption"), 'scan_status=~"(?i)blocked"'
    )
    return _counted(
        "Refused by the firewall",
        "Package versions that the firewall blocked, including those that never entered a registry.",
        queries.total(blocked),
    )


def _firing() -> table.Panel:
    def of(severity: str) -> str:
        alerts = f'alertname=~"HarnessAR.+", alertstate="firing", severity="{severity}", {queries.SELECTED_SPACES}'
        return f"max by (alertname, space, registry) (ALERTS{{{alerts}}})"

    panel = rows(
        "Firing alerts",
        "Alerts of this exporter that fire for the selected spaces, most severe first.",
        cells(f"3 * {of('critical')} or 2 * {of('warning')} or {of('info')}", "A"),
    )
    titles = {
        "Value": "Severity",
        "Value #A": "Severity",
        "alertname": "Alert",
        "space": "Space",
        "registry": "Registry",
    }
    columns(panel, titles, hidden=())
    column(panel, "Severity", 90, mappings=[_SEVERITIES], custom__cellOptions=_TINTED)
    column(panel, "Alert", 290)
    return sorted_by(panel, "Severity")


def _news(title: str, description: str, expr: str, since: str) -> table.Panel:
    panel = rows(title, description, cells(f"1000 * {expr}", "A"))
    titles = {
        "artifact": "Artifact",
        "version": "Version",
        "finding": "Finding",
        "Value": since,
        "Value #A": since,
        "registry": "Registry",
        "space": "Space",
    }
    columns(panel, titles, hidden=("package_type",))
    column(panel, "Artifact", 180)
    column(panel, "Version", 80, unit="string")
    column(panel, "Finding", 110, mappings=[_FINDINGS], custom__cellOptions=_TINTED)
    column(panel, since, 130, unit="dateTimeFromNow")
    return sorted_by(panel, since)


def _new_findings() -> table.Panel:
    return _news(
        "Findings new in 24 hours",
        "Findings that were not there a day ago, newest first. Needs the recording rules.",
        queries.new(),
        "First seen",
    )


def _settled_findings() -> table.Panel:
    return _news(
        "Findings settled in 24 hours",
        "Findings that were there within the last day and are gone, although there is data. Needs the recording rules.",
        f"({queries.settled()})",
        "Seen since",
    )


def _owners() -> table.Panel:
    panel = rows(
        "Owners",
        "Spaces with their owners, sorted by number of versions in production that are quarantined or blocked.",
        cells(queries.of_owner(queries.total(queries.deployed(queries.RISKY), "space")), "A"),
        cells(queries.total(queries.artifacts(family="har_artifacts_quarantined"), "space"), "B"),
        cells(queries.total(queries.artifacts(queries.BLOCKED), "space"), "C"),
    )
    titles = {
        "owner": "Owner",
        "Value #A": "Risky in production",
        "Value #B": "Quarantined",
        "Value #C": "Blocked",
        "org": "Organization",
        "project": "Project",
        "space": "Space",
    }
    columns(panel, titles, hidden=())
    column(panel, "Owner", 140)
    column(panel, "Risky in production", 165, thresholds=_limit(CRITICAL), custom__cellOptions=_TINTED)
    return sorted_by(panel, "Risky in production")


def _quarantined() -> stat.Panel:
    return _counted(
        "Quarantined",
        "Artifact versions in quarantine, deployed or not.",
        queries.total(queries.artifacts(family="har_artifacts_quarantined")),
        steps(*thresholds.QUARANTINED.steps),
    )


def _blocked() -> stat.Panel:
    return _counted(
        "Blocked",
        "Artifact versions with scan status BLOCKED. Versions that are also quarantined count in both panels.",
        queries.total(queries.artifacts(queries.BLOCKED)),
        steps(*thresholds.BLOCKED.steps),
    )


def _coverage() -> stat.Panel:
    panel = number(
        "Lowest scan coverage",
        "The registry with the lowest share of scanned versions. Registries with fewer than ten versions that can be "
        "scanned are ignored. The alert evaluates each registry in the same way.",
        now(queries.lowest_coverage(), "{{space}}/{{registry}}"),
        unit="percentunit",
        thresholds=steps(*thresholds.COVERAGE.steps),
        text=kinds.BigValueTextMode.VALUE_AND_NAME,
    )
    return _with_change(panel, f"min({queries.lowest_coverage()})")


def _firewall_off() -> stat.Panel:
    return _counted(
        "Firewall off",
        "Upstream registries of a scanned package type that have only firewall mode ALLOW. The Registries table lists "
        "them.",
        f"({queries.firewall_off()})",
        steps(*thresholds.FIREWALL_OFF.steps),
    )


def _age() -> stat.Panel:
    panel = number(
        "Data age",
        "Age of the oldest data of any space. Orange: older than three refresh intervals plus twice the refresh "
        "duration, or 10 minutes if that is more, plus 10 minutes. All other numbers on this dashboard may then be out "
        "of date.",
        now(queries.oldest_data(), "{{state}}"),
        unit="s",
        thresholds=steps(model.Threshold(color=NOTHING), model.Threshold(value=0, color=GOOD)),
    )
    return panel.override_by_name("stale", [fixed(thresholds.STALE_SNAPSHOT.color)]).decimals(0)


def _findings() -> table.Panel:
    deployments = "har_artifact_finding_environments"
    panel = rows(
        "Findings",
        "Artifact versions that need action, sorted by number of production environments. The links open Harness and, "
        "for package URLs, the known vulnerabilities of the package on osv.dev. Environments are empty if Harness does "
        "not count them. Seen since is when Prometheus first saw the finding.",
        cells(queries.findings(), "A"),
        cells(queries.once(deployments, queries.ARTIFACT, 'deployed_to="prod"'), "B"),
        cells(queries.once(deployments, queries.ARTIFACT, 'deployed_to="nonprod"'), "C"),
        cells(queries.once("har_artifact_finding_downloads", queries.ARTIFACT), "D"),
        cells(f"1000 * {queries.seen_since()}", "E"),
    )
    titles = {
        "finding": "Finding",
        "Value #B": "Prod",
        "Value #E": "Seen since",
        "artifact": "Artifact",
        "version": "Version",
        "reason": "Reason",
        "Value #C": "Non-prod",
        "registry": "Registry",
        "space": "Space",
        "scan_status": "Scan",
        "Value #D": "Downloads",
        "purl": "Package URL",
    }
    columns(panel, titles, hidden=("Value #A", "package_type"))
    column(panel, "Artifact", 150, links=[_PAGE])
    column(panel, "Package URL", 200, links=[_VULNERABILITIES])
    column(panel, "Seen since", 115, unit="dateTimeFromNow")
    column(panel, "Reason", 240, custom__cellOptions=kinds.TableAutoCellOptions(wrap_text=True))
    column(panel, "Version", 80, unit="string", links=[_PAGE])
    column(
        panel,
        "Finding",
        95,
        mappings=[_FINDINGS],
        thresholds=_limit(NOTHING, NOTHING),
        custom__align=_CENTER,
        custom__cellOptions=_COLORED,
    )
    column(panel, "Prod", 50, thresholds=_limit(CRITICAL, NOTHING), custom__cellOptions=_COLORED, custom__align=_CENTER)
    column(panel, "Non-prod", 90, thresholds=_limit(WARNING), custom__cellOptions=_TINTED, custom__align=_CENTER)
    column(panel, "Registry", 130, links=[_PAGE])
    column(panel, "Space", 185)
    column(panel, "Scan", 140)
    column(panel, "Downloads", 95)
    column(panel, "url", custom__hidden=True)
    return sorted_by(panel, "Prod")


def _unlisted() -> stat.Panel:
    return number(
        "Findings that the table cannot list",
        "Artifact versions that need action but are over findings_limit. Totals include them. Raise findings_limit.",
        now(f"sum({queries.of_space('har_findings_dropped')})"),
        thresholds=steps(*thresholds.FINDINGS_DROPPED.steps),
    )


def _registries() -> table.Panel:
    mode = f"topk by ({', '.join(_KEYS)}) (1, {queries.total(queries.artifacts(), *_KEYS, 'firewall_mode')} > 0)"
    configured = queries.once("har_registry_firewall", (*_KEYS, "firewall_mode"))
    info = f"topk by ({', '.join(_KEYS)}) (1, har_registry_info{{{queries.SELECTED}}})"
    on = f"on ({', '.join(_KEYS)})"
    panel = rows(
        "Registries",
        "All registries, sorted by number of blocked versions. The firewall mode is the configured one, else the most "
        "common one of the registry's versions. Coverage is empty if no version can be scanned.",
        cells(f"({configured} or {on} {mode}) * {on} group_left (registry_type, url) {info}", "A"),
        cells(queries.total(queries.artifacts(family="har_artifacts_quarantined"), *_KEYS), "B"),
        cells(queries.total(queries.artifacts(queries.BLOCKED), *_KEYS), "C"),
        cells(queries.coverage(*_KEYS), "D"),
        cells(f"1000 * {queries.once('har_artifact_newest_modified_timestamp_seconds', _KEYS)}", "E"),
        cells(queries.total(queries.artifacts(), *_KEYS), "F"),
        cells(queries.once("har_registry_public", _KEYS), "G"),
        cells(queries.once("har_registry_size_bytes", _KEYS), "H"),
    )
    titles = {
        "registry": "Registry",
        "space": "Space",
        "package_type": "Package type",
        "registry_type": "Type",
        "firewall_mode": "Firewall",
        "Value #G": "Public",
        "Value #F": "Versions",
        "Value #B": "Quarantined",
        "Value #C": "Blocked",
        "Value #D": "Scan coverage",
        "Value #H": "Size",
        "Value #E": "Newest change",
    }
    columns(panel, titles, hidden=("Value #A",))
    column(panel, "Registry", 170, links=[_PAGE])
    column(panel, "Package type", 120)
    column(panel, "Type", 100)
    column(panel, "Public", 70, mappings=[_PUBLIC], custom__cellOptions=_TINTED)
    column(panel, "Size", 90, unit="bytes")
    column(
        panel,
        "Firewall",
        110,
        mappings=[_MODES],
        thresholds=_limit(NOTHING, NOTHING),
        custom__cellOptions=_COLORED,
        custom__align=_CENTER,
    )
    column(panel, "Versions", 90)
    column(panel, "Quarantined", 110, thresholds=_limit(WARNING), custom__cellOptions=_TINTED)
    column(panel, "Blocked", 90, thresholds=_limit(WARNING), custom__cellOptions=_TINTED)
    column(
        panel,
        "Scan coverage",
        150,
        unit="percentunit",
        decimals=1,
        min=0,
        max=1,
        thresholds=steps(*thresholds.COVERAGE.steps).build(),
        color=model.FieldColor(model.FieldColorModeId.THRESHOLDS),
        custom__cellOptions=kinds.TableBarGaugeCellOptions(
            kinds.BarGaugeDisplayMode.BASIC, kinds.BarGaugeValueMode.COLOR
        ),
    )
    column(panel, "Newest change", 150, unit="dateTimeFromNow")
    column(panel, "url", custom__hidden=True)
    return sorted_by(panel, "Blocked")


def _scan_statuses() -> timeseries.Panel:
    other = queries.artifacts('scan_status!~"(?i)blocked|warn|unscanned"')
    panel = lines(
        "Artifacts by scan status",
        "All artifact versions. Those that need attention are at the bottom. NOT_APPLICABLE: Harness does not scan "
        "this type of registry.",
        target(queries.total(queries.artifacts(queries.BLOCKED)), "BLOCKED", "A"),
        target(queries.total(queries.artifacts('scan_status=~"(?i)warn"')), "WARN", "B"),
        target(queries.total(queries.artifacts(queries.UNSCANNED)), "UNSCANNED", "C"),
        target(queries.total(other, "scan_status"), "{{scan_status}}", "D"),
    )
    colors = {
        "BLOCKED": CRITICAL,
        "WARN": "yellow",
        "UNSCANNED": _UNSCANNED,
        "ALLOWED": GOOD,
        "NOT_APPLICABLE": NEUTRAL,
    }
    return stacked(panel, colors)


def _production_by_risk() -> timeseries.Panel:
    by_risk = {
        risk: queries.deployed('deployed_to="prod"', f'risk="{risk}"')
        for risk in ("quarantined", "blocked", "warn", "unscanned")
    }
    panel = lines(
        "Deployed to production by risk",
        "Versions in production that have a risk, by highest risk. The alert fires as soon as quarantined or blocked "
        "is above 0.",
        *(target(queries.total(query), risk, ref) for ref, (risk, query) in zip("ABCD", by_risk.items(), strict=True)),
        limit=thresholds.RISKY_IN_PRODUCTION.line,
    )
    return stacked(panel, {"quarantined": CRITICAL, "blocked": WARNING, "warn": "yellow", "unscanned": _UNSCANNED})


def _quarantined_by_registry() -> timeseries.Panel:
    expr = queries.total(queries.artifacts(family="har_artifacts_quarantined"), "space", "registry")
    return ranked(
        lines(
            "Quarantined by registry",
            "Versions in quarantine, of the ten registries with most. New ones fire an alert.",
            target(queries.worst(expr), "{{space}}/{{registry}}"),
            limit=thresholds.QUARANTINED.line,
        )
    )


def _coverage_by_registry() -> timeseries.Panel:
    panel = lines(
        "Scan coverage by registry",
        "Share of versions with a scan result, of those that can be scanned. The alert fires after six hours below the "
        "line.",
        target(f"bottomk(10, {queries.coverage(*_KEYS)})", "{{space}}/{{registry}}"),
        unit="percentunit",
        limit=thresholds.COVERAGE.line,
    )
    return ranked(panel).axis_soft_min(0.8)


def _stale_scans() -> timeseries.Panel:
    panel = lines(
        "Scans older than 7, 30 and 90 days",
        "Share of scanned versions, for each of these ages that is in the setting stale_scan_after. The line is the "
        "limit of the alert, which compares each registry at 30 days.",
        target(queries.stale_scans(".+", "older_than"), "{{older_than}}"),
        unit="percentunit",
        limit=thresholds.STALE_SCANS.line,
        most=0.4,
    )
    for age, color in (("7d", "light-blue"), ("30d", "blue"), ("90d", "dark-blue")):
        panel.override_by_name(age, [fixed(color)])
    return panel


def _stale_by_registry() -> bargauge.Panel:
    return bars(
        "Scans older than 30 days",
        "Share of each registry's scanned versions. Blue: above the limit of the alert.",
        now(f"sort_desc({queries.worst(queries.stale_scans('30d', *_KEYS))})", "{{space}}/{{registry}}"),
        "percentunit",
        steps(*thresholds.STALE_SCANS.steps),
    )


def _risk_free_time() -> stat.Panel:
    risky = f"sum(space:har_artifacts_risky_in_production:sum{{{queries.SELECTED_SPACES}}})"
    return number(
        "No risk in production",
        "Share of the last 30 days without a quarantined or blocked version in production. Time without data is "
        "ignored. The objective is 99.5%. Needs the recording rules.",
        now(queries.over_30_days(f"{risky} == bool 0")),
        unit="percentunit",
        thresholds=objective(RISK_FREE_OBJECTIVE),
    )


def _fresh_time() -> stat.Panel:
    return number(
        "Fresh data",
        "Share of the last 30 days in which the data of every space was as fresh as the alert requires. Time without "
        "data is not fresh, for 7 days after a space was last seen. The objective is 99%. Needs the recording rules.",
        now(queries.over_30_days(queries.fresh())),
        unit="percentunit",
        thresholds=objective(FRESH_OBJECTIVE),
    )


def _settling_time() -> stat.Panel:
    settled = queries.time_to_settle()
    return number(
        "Time to settle",
        "How long Prometheus saw the findings that are gone now, in the last 30 days: the mean, and what nine of ten "
        "did not exceed. Findings that were there for minutes may be missing. Needs the recording rules.",
        now(f"avg({settled})", "mean"),
        unit="s",
        text=kinds.BigValueTextMode.VALUE_AND_NAME,
    ).with_target(now(f"quantile(0.9, {settled})", "90%", "B"))


def _counts() -> timeseries.Panel:
    panel = lines(
        "The last 30 days",
        "Artifact versions that are quarantined, blocked, and risky in production, over 30 days in every time range.",
        target(queries.total(queries.deployed(queries.RISKY)), "risky in production", "A"),
        target(queries.total(queries.artifacts(family="har_artifacts_quarantined")), "quarantined", "B"),
        target(queries.total(queries.artifacts(queries.BLOCKED)), "blocked", "C"),
    )
    colors = {"risky in production": CRITICAL, "quarantined": NOTICE, "blocked": WARNING}
    for name, color in colors.items():
        panel.override_by_name(name, [fixed(color)])
    return panel.time_from("30d")


def _downloads() -> timeseries.Panel:
    grown = "max by (space, registry, package_type) (delta(har_artifact_downloads{" + queries.SELECTED + "}[1h]))"
    return ranked(
        lines(
            "Downloads per hour",
            "Increase of each registry's downloads in the previous hour. A decrease after deletions is shown as 0.",
            target(f"clamp_min({grown}, 0)", "{{space}}/{{registry}}", interval=REFRESHES),
        )
    )


def _files() -> timeseries.Panel:
    return ranked(
        lines(
            "Files",
            "Files of all versions, by registry.",
            target(queries.once("har_artifact_files", _KEYS), "{{space}}/{{registry}}"),
        )
    )


def _limit(color: str, base: str = NEUTRAL) -> model.ThresholdsConfig:
    return steps(model.Threshold(color=base), model.Threshold(value=1, color=color)).build()


def _mapping(colors: dict[str, str]) -> model.ValueMap:
    results = {
        name: model.ValueMappingResult(text=name, color=color, index=place)
        for place, (name, color) in enumerate(colors.items())
    }
    return model.ValueMap(options=results)


_FINDINGS = _mapping({"quarantined": CRITICAL, "blocked": WARNING, "warn": "yellow"})
_MODES = _mapping({"ALLOW": WARNING, "WARN": "yellow", "ENABLED": GOOD, "QUARANTINE": GOOD, "BLOCK": GOOD})
_SEVERITIES = model.ValueMap(
    options={
        "3": model.ValueMappingResult(text="critical", color=CRITICAL, index=0),
        "2": model.ValueMappingResult(text="warning", color=WARNING, index=1),
        "1": model.ValueMappingResult(text="info", color=NOTICE, index=2),
    }
)
_PUBLIC = model.ValueMap(
    options={
        "1": model.ValueMappingResult(text="yes", color=CRITICAL, index=0),
        "0": model.ValueMappingResult(text="no", index=1),
    }
)
_COLORED = kinds.TableColoredBackgroundCellOptions(kinds.TableCellBackgroundDisplayMode.BASIC)
_TINTED = kinds.TableColorTextCellOptions()
_PAGE = model.DashboardLink(title="Open in Harness", url="${__data.fields.url}", target_blank=True)

_VULNERABILITIES = model.DashboardLink(
    title="Known vulnerabilities on osv.dev",
    url="https://osv.dev/list?q=${__data.fields.artifact:percentencode}",
    target_blank=True,
)
_CHANGE = "change in 24 h"

OVERVIEW = Board(
    uid="har-exporter-overview",
    title="Harness Artifact Registry: overview",
    description="Artifacts that need action: quarantined, blocked and unscanned versions, especially in production.",
    variables=inventory_choices(),
    annotations=[
        firing("HarnessARNewRiskInProduction", "New risk in production", queries.SELECTED_SPACES, CRITICAL),
        firing("HarnessARFirewallWeakened", "Firewall weakened", queries.SELECTED, WARNING),
        firing("HarnessARRegistryDisappeared", "Registry disappeared", queries.SELECTED, NEUTRAL),
    ],
    rows=[
        Row(
            "Now",
            [
                (panel, 6, 4)
                for panel in (
                    *(_new(), _risky(), _quarantined(), _blocked()),
                    *(_refused(), _coverage(), _firewall_off(), _age()),
                )
            ],
        ),
        Row(
            "Act on this",
            [
                (_unlisted(), 24, 3),
                (_findings(), 24, 12),
                (_firing(), 24, 8),
                (_new_findings(), 12, 8),
                (_settled_findings(), 12, 8),
            ],
        ),
        Row("Owners and registries", [(_owners(), 24, 8), (_registries(), 24, 14)]),
        Row(
            "Trends",
            [
                (_production_by_risk(), 12, 8),
                (_quarantined_by_registry(), 12, 8),
                (_scan_statuses(), 12, 8),
                (_coverage_by_registry(), 12, 8),
            ],
        ),
        Row(
            "Evidence",
            [
                *((_risk_free_time(), 4, 8), (_fresh_time(), 4, 8), (_settling_time(), 4, 8), (_counts(), 12, 8)),
                *((_stale_by_registry(), 12, 8), (_stale_scans(), 12, 8)),
            ],
        ),
        Row("Activity", [(_downloads(), 12, 8), (_files(), 12, 8)], collapsed=True),
    ],
)
