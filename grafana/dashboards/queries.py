"""PromQL queries of the dashboards.

Of each space, only the replica with the newest data counts; equally new ones are merged before sums. Totals use
series that are exported even at 0. A query is therefore empty only if nothing is selected.
"""

from collections.abc import Iterable

from exporter.inventory.traits import SCANNED_PACKAGE_TYPES

REGISTRY = ("space", "registry", "package_type")
ARTIFACT = (*REGISTRY, "artifact", "version")

SELECTED = 'space=~"$space", registry=~"$registry", package_type=~"$package_type"'
SELECTED_SPACES = 'space=~"$space"'

BLOCKED = 'scan_status=~"(?i)blocked"'
UNSCANNED = 'scan_status="UNSCANNED"'
SCANNABLE = 'scan_status!="NOT_APPLICABLE"'
_DATED = 'har_snapshot_timestamp_seconds{space=~"$space"}'
_NEWEST = f"({_DATED} == on (space) group_left () max by (space) ({_DATED}))"

_UNDATED = {
    "har_up", "har_refresh_interval_seconds", "har_refresh_duration_seconds", "har_registry_info", "har_space_info",
    "har_registry_firewall", "har_registry_public", "har_registry_size_bytes", "har_firewall_violations",
}  # fmt: skip
"""Families of which every replica counts: they are there without a snapshot, or come from another source."""

RISKY = 'deployed_to="prod", risk=~"quarantined|blocked"'


def once(family: str, labels: Iterable[str], *matchers: str, selected: str = SELECTED) -> str:
    """Return the selected series of a family, of the replica with the newest data of each space."""
    fresh = "" if family in _UNDATED else f" and on (space, job, instance) {_NEWEST}"
    return f"max by ({', '.join(labels)}) ({family}{{{', '.join((selected, *matchers))}}}{fresh})"


def of_space(family: str, *labels: str, matchers: tuple[str, ...] = ()) -> str:
    """Return a family of the selected spaces, merged over replicas."""
    return once(family, ("space", *labels), *matchers, selected=SELECTED_SPACES)


def worst_of_space(family: str) -> str:
    """Return a family of the selected spaces, with the lowest value over replicas."""
    return f"min by (space) ({family}{{{SELECTED_SPACES}}})"


def worst(expression: str) -> str:
    """Return the ten greatest series of an expression, so that graphs stay readable with hundreds of spaces."""
    return f"topk(10, {expression})"


def total(expression: str, *labels: str) -> str:
    """Return the sum of an expression, grouped by the given labels."""
    return f"sum by ({', '.join(labels)}) ({expression})" if labels else f"sum({expression})"


def artifacts(*matchers: str, family: str = "har_artifacts") -> str:
    """Return counts of artifact versions by all labels of the family."""
    return once(family, (*REGISTRY, "scan_status", "firewall_mode"), *matchers)


def deployed(*matchers: str) -> str:
    """Return counts of deployed artifact versions by type of environment and risk."""
    return once("har_artifacts_deployed", (*REGISTRY, "deployed_to", "risk"), *matchers)


def coverage(*labels: str) -> str:
    """Return the share of versions with a scan result, of those that can be scanned."""
    unscanned = total(artifacts(UNSCANNED), *labels)
    return f"1 - {unscanned} / ({total(artifacts(SCANNABLE), *labels)} > 0)"


def lowest_coverage() -> str:
    """Return the registry with the lowest coverage, of those that the alert evaluates."""
    return f"bottomk(1, ({coverage(*REGISTRY)}) and {total(artifacts(SCANNABLE), *REGISTRY)} >= 10)"


def upstream_registries() -> str:
    """Return the registries that can have a firewall."""
    scanned = "|".join(sorted(SCANNED_PACKAGE_TYPES))
    kind = f'registry_type=~"(?i)upstream", package_type=~"(?i){scanned}"'
    return once("har_registry_info", REGISTRY, kind)


def firewall_off() -> str:
    """Return the number of registries that can have a firewall but have only mode ALLOW."""
    allowing = artifacts('firewall_mode=~"(?i)allow"')
    other = artifacts('firewall_mode!~"(?i)allow"')
    on = f"on ({', '.join(REGISTRY)})"
    off = f"{upstream_registries()} and {on} {allowing} unless {on} {other}"
    return f"count({off}) or 0 * count({upstream_registries()})"


def findings() -> str:
    """Return one series per finding, with its most severe kind and the labels of its info series."""
    on = f"on ({', '.join(ARTIFACT)})"
    kinds = [
        once("har_artifact_finding", (*ARTIFACT, "finding"), f'finding="{finding}"')
        for finding in ("quarantined", "blocked", "warn")
    ]
    worst = f" or {on} ".join(kinds)
    # Replicas can briefly export different reasons, so use only one of them.
    known = f"topk by ({', '.join(ARTIFACT)}) (1, har_artifact_finding_info{{{SELECTED}}})"
    return f"({worst}) * {on} group_left (scan_status, reason, purl, url) {known}"


def new() -> str:
    """Return the findings that were new within the last day, by the records of the rules."""
    found = f"last_over_time(artifact:har_artifact_finding:new{{{SELECTED}}}[1d])"
    return f"max by ({', '.join((*ARTIFACT, 'finding'))}) ({found})"


def settled() -> str:
    """Return when findings were first seen that are gone, within the last day and with data to show it."""
    labels = ", ".join((*ARTIFACT, "finding"))
    first = f"last_over_time(artifact:har_artifact_finding:first_seen_timestamp_seconds{{{SELECTED}}}[1d])"
    found = once("har_artifact_finding", (*ARTIFACT, "finding"))
    return f"({first} unless on ({labels}) {found}) and on (space) {_DATED}"


def seen_since() -> str:
    """Return when Prometheus first saw each finding, by the records of the rules."""
    return f"min by ({', '.join(ARTIFACT)}) (artifact:har_artifact_finding:first_seen_timestamp_seconds{{{SELECTED}}})"


def of_owner(expression: str) -> str:
    """Return a value of each space with the organization, project and owner of the space."""
    info = f"max by (space, org, project, owner) (har_space_info{{{SELECTED_SPACES}}})"
    return f"{expression} * on (space) group_left (org, project, owner) {info}"


def stale_scans(older_than: str, *labels: str) -> str:
    """Return the share of scanned versions whose last scan is older than the given age."""
    stale = once("har_artifacts_stale_scan", (*REGISTRY, "older_than"), f'older_than=~"{older_than}"')
    scanned = total(artifacts(SCANNABLE, 'scan_status!="UNSCANNED"'), *(label for label in labels if label in REGISTRY))
    match = "ignoring (older_than) group_left ()" if "older_than" in labels else ""
    return f"{total(stale, *labels)} / {match} ({scanned} > 0)"


def age() -> str:
    """Return the age of the data of each space in seconds."""
    return f"time() - {worst_of_space('har_snapshot_timestamp_seconds')}"


def allowed_age() -> str:
    """Return the maximum age of the data of each space in seconds, above which the alert fires."""
    interval, duration = of_space("har_refresh_interval_seconds"), of_space("har_refresh_duration_seconds")
    return f"(clamp_min(3 * {interval} + 2 * {duration}, 600) + 600)"


def oldest_data() -> str:
    """Return the age of the oldest data, labelled `state="stale"` if any space is above its maximum age."""
    fresh, stale = (
        f'label_replace(({age()}) {compare} {allowed_age()}, "state", "{state}", "", "")'
        for compare, state in (("<=", "fresh"), (">", "stale"))
    )
    return f"topk(1, max by (state) ({fresh} or {stale}))"


def fresh() -> str:
    """Return 1 while the data of every space is below its maximum age, else 0, also without data for up to 7 days."""
    known = f"space:har_up:seen_timestamp_seconds{{{SELECTED_SPACES}}}"
    return f"min(({age()}) <= bool {allowed_age()} or 0 * {known})"


def over_30_days(expression: str) -> str:
    """Return the mean of an expression over 30 days, nothing without an exporter."""
    return f"avg_over_time(({expression})[30d:5m]) and on () har_up{{{SELECTED_SPACES}}}"


def time_to_settle() -> str:
    """Return how long each finding was seen that is gone, of the last 30 days.

    Spaces of which findings were dropped are left out: what makes room for others is not settled.
    """
    labels = ", ".join((*ARTIFACT, "finding"))
    first = f"artifact:har_artifact_finding:first_seen_timestamp_seconds{{{SELECTED}}}"
    found = once("har_artifact_finding", (*ARTIFACT, "finding"))
    dropped = f"max_over_time(space:har_findings_dropped:max{{{SELECTED_SPACES}}}[30d]) > 0"
    seen = f"max_over_time((time() - {first})[30d:15m])"
    return f"(({seen} unless on ({labels}) {found}) and on (space) {_DATED} unless on (space) ({dropped}))"


def change(expression: str) -> str:
    """Return by how much a number changed within a day."""
    return f"{expression} - last_over_time(({expression})[5m:1m] offset 1d)"


def failing_reason() -> str:
    """Return the most frequent reason why the refreshes of each space fail now."""
    failures = f"sum by (space, reason) (increase(har_refresh_failures_total{{{SELECTED_SPACES}}}[30m])) > 0"
    return f"topk by (space) (1, {failures}) and on (space) ({worst_of_space('har_up')} == 0)"


def of_exporters(family: str) -> str:
    """Return a family that other programs also export, restricted to the selected exporters."""
    return f'{family} and on (job, instance) har_exporter_build_info{{instance=~"$instance"}}'
