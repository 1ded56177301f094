"""Exporter dashboard: completeness and age of the data, and the reasons for problems."""

from grafana_foundation_sdk.builders import stat, table, timeseries
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as model

from dashboards import queries, thresholds
from dashboards.frame import Board, Row, choice, firing, inventory_choices
from dashboards.panels import (
    REFRESHES,
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
    target,
)
from dashboards.thresholds import CRITICAL, GOOD, NOTHING, WARNING, steps

_REQUESTS = 'har_exporter_api_requests_total{instance=~"$instance"}'
_ALIVE = 'har_exporter_build_info{instance=~"$instance"}'
_DOWN = model.Threshold(color=CRITICAL)


def _exporters() -> stat.Panel:
    return number(
        "Exporters",
        "Exporters that serve metrics now.",
        now('count(har_exporter_build_info{instance=~"$instance"})'),
        thresholds=steps(_DOWN, model.Threshold(value=1, color=GOOD)),
    )


def _spaces() -> table.Panel:
    panel = rows(
        "Spaces",
        "Each space, those that fail and the oldest data first: whether its last refresh succeeded, how old its data "
        "is, why refreshes fail, and whether the data is complete. A space without data has no age.",
        cells(f"1 - {queries.worst_of_space('har_up')}", "A"),
        cells(queries.age(), "B"),
        cells(queries.worst_of_space("har_snapshot_complete"), "C"),
        cells(queries.of_space("har_refresh_duration_seconds"), "D"),
        cells(queries.of_space("har_snapshot_artifacts", matchers=('source="fetched"',)), "E"),
        cells(queries.failing_reason(), "F"),
    )
    titles = {
        "space": "Space",
        "Value #A": "State",
        "Value #B": "Age",
        "reason": "Reason",
        "Value #C": "Complete",
        "Value #D": "Duration",
        "Value #E": "Artifacts",
    }
    columns(panel, titles, hidden=("Value #F",))
    colored = kinds.TableColorTextCellOptions()
    column(panel, "State", 90, mappings=[_answer("ok", "failing", good="0", bad="1")], custom__cellOptions=colored)
    column(panel, "Age", 100, unit="s", decimals=0)
    column(panel, "Reason", 110)
    column(panel, "Complete", 100, mappings=[_answer("yes", "no")], custom__cellOptions=colored)
    column(panel, "Duration", 100, unit="s")
    return sorted_by(panel, "State", "Age")


def _answer(yes: str, no: str, *, good: str = "1", bad: str = "0") -> model.ValueMap:
    return model.ValueMap(
        options={
            good: model.ValueMappingResult(text=yes, color=GOOD),
            bad: model.ValueMappingResult(text=no, color=WARNING),
        }
    )


def _failing() -> stat.Panel:
    return number(
        "Spaces failing",
        "Spaces whose last refresh failed. The reasons are shown below; the log has the details.",
        now(f"sum(1 - {queries.worst_of_space('har_up')})"),
        thresholds=steps(*thresholds.REFRESH_FAILING.steps),
    )


def _incomplete() -> stat.Panel:
    return number(
        "Incomplete",
        "Spaces whose last refresh may have missed rows, because the listing changed during the refresh.",
        now(f"sum(1 - {queries.worst_of_space('har_snapshot_complete')})"),
        thresholds=steps(*thresholds.INCOMPLETE.steps),
    )


def _dropped() -> stat.Panel:
    return number(
        "Findings dropped",
        "Artifact versions that need action but are over findings_limit, so no table lists them.",
        now(f"sum({queries.of_space('har_findings_dropped')})"),
        thresholds=steps(*thresholds.FINDINGS_DROPPED.steps),
    )


def _error_ratio() -> stat.Panel:
    errors, requests = _grown('code!="200"', "30m"), _grown('code=~".+"', "30m")
    return number(
        "API errors, 30 min",
        "Share of requests to Harness that failed, including retries.",
        now(f"({errors} / ({requests} > 0) or 0 * {errors}) and on () {_ALIVE}"),
        unit="percentunit",
        thresholds=steps(*thresholds.API_ERRORS.steps),
    )


def _auth() -> stat.Panel:
    refused = _grown('code=~"401|403"', "15m")
    return number(
        "401/403, 15 min",
        "Requests that Harness rejected: the key is wrong, has expired, or lacks a permission.",
        now(f"round({refused}) and on () {_ALIVE}"),
        thresholds=steps(*thresholds.AUTH_FAILING.steps),
    )


def _age() -> timeseries.Panel:
    return lines(
        "Data age relative to the limit",
        "Age of the data, of the ten oldest spaces, as a share of the limit: three refresh intervals plus twice the "
        "refresh duration, or 10 minutes if that is more, plus 10 minutes. The alert fires above 100%.",
        target(queries.worst(f"({queries.age()}) / {queries.allowed_age()}"), "{{space}}"),
        unit="percentunit",
        limit=thresholds.STALE_SNAPSHOT.line,
        most=1.2,
    )


def _age_and_interval() -> timeseries.Panel:
    panel = lines(
        "Data age and refresh interval",
        "The ten oldest spaces. The age rises up to about the refresh interval, then a refresh resets it. If the age "
        "rises further, a refresh "
        "is late.",
        target(queries.worst(queries.age()), "{{space}}", "A"),
        target(f"max({queries.of_space('har_refresh_interval_seconds')})", "interval", "B"),
        unit="s",
    )
    dashed = model.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 8]})
    return panel.override_by_name("interval", [fixed(thresholds.NOTICE), dashed])


def _duration() -> timeseries.Panel:
    return lines(
        "Duration of the last refresh",
        "Duration of the last refresh, of the ten slowest spaces. It should stay well below the refresh interval.",
        target(queries.worst(queries.of_space("har_refresh_duration_seconds")), "{{space}}"),
        unit="s",
        most=0.1,
    )


def _rows() -> timeseries.Panel:
    duplicates = queries.of_space("har_snapshot_duplicates")
    fetched = queries.of_space("har_snapshot_artifacts", matchers=('source="fetched"',))
    reported = queries.of_space("har_snapshot_artifacts", matchers=('source="reported"',))
    return lines(
        "Rows fetched and rows reported",
        "Difference between the rows that the refresh read, including duplicates, and the number that the API "
        "reported, of the ten spaces where it is greatest. If not 0, either "
        "the listing changed during the refresh, or the API reported a wrong number.",
        target(queries.worst(f"abs({fetched} + {duplicates} - {reported})"), "{{space}}"),
    )


def _rejected() -> timeseries.Panel:
    return lines(
        "Rejected rows and values",
        "Rows, counts and timestamps that the last refresh rejected as invalid, by reason.",
        target(queries.total(queries.of_space("har_snapshot_rejected", "reason"), "reason"), "{{reason}}"),
    )


def _failures() -> timeseries.Panel:
    grown = f"increase(har_refresh_failures_total{{{queries.SELECTED_SPACES}}}[$__rate_interval])"
    return ranked(
        lines(
            "Failed refreshes by reason",
            "Refreshes that failed in each step, by reason.",
            target(f"sum by (reason) ({grown})", "{{reason}}", interval=REFRESHES),
        )
    )


def _requests() -> timeseries.Panel:
    panel = lines(
        "API requests by code",
        "Requests to Harness per minute, including retries. Harness documents a limit of 400 per key.",
        target(f"60 * sum by (code) (rate({_REQUESTS}[$__rate_interval]))", "{{code}}", interval=REFRESHES),
        unit="reqpm",
    )
    colors = {"200": GOOD, "401": CRITICAL, "403": CRITICAL, "429": "yellow", "error": WARNING}
    for code, color in colors.items():
        panel.override_by_name(code, [fixed(color)])
    return panel


def _latency() -> timeseries.Panel:
    buckets = 'har_exporter_api_request_duration_seconds_bucket{instance=~"$instance"}'
    by_le = f"sum by (le) (rate({buckets}[$__rate_interval]))"
    return lines(
        "API latency",
        "Median and 95th percentile of the request duration, without waits between requests.",
        *(
            target(f"histogram_quantile({quantile}, {by_le}) >= 0", name, ref, REFRESHES)
            for ref, quantile, name in (("A", 0.5, "p50"), ("B", 0.95, "p95"))
        ),
        unit="s",
        most=0.1,
    )


def _waits() -> timeseries.Panel:
    waited = 'rate(har_exporter_api_throttle_wait_seconds_total{instance=~"$instance"}[$__rate_interval])'
    return lines(
        "Waits for rate_limit",
        "Seconds per second that requests waited because of rate_limit. If this stays above 0, refreshes are slower "
        "than necessary: raise rate_limit or cache_ttl.",
        target(f"sum({waited})", "wait", interval=REFRESHES),
        unit="s",
    )


def _retries() -> timeseries.Panel:
    grown = 'increase(har_exporter_api_retries_total{instance=~"$instance"}[$__rate_interval])'
    return lines(
        "Retries by reason",
        "Requests that were retried in each step, by reason.",
        target(f"sum by (reason) ({grown})", "{{reason}}", interval=REFRESHES),
    )


def _limited() -> timeseries.Panel:
    limited = _grown('code="429"', "30m")
    return lines(
        "429 in 30 minutes",
        "Requests that Harness rejected because there were too many. If this stays above the line, lower rate_limit or "
        "run fewer exporters.",
        target(f"round({limited})", "429"),
        limit=thresholds.RATE_LIMITED.line,
        most=8,
    )


def _cache() -> timeseries.Panel:
    hits, asked = (
        f"sum by (space) (rate(har_exporter_cache_{name}_total{{{queries.SELECTED_SPACES}}}[$__rate_interval]))"
        for name in ("hits", "requests")
    )
    return lines(
        "Scrapes answered from a fresh snapshot",
        "Share of scrapes that did not start a refresh.",
        target(f"{hits} / ({asked} > 0)", "{{space}}", interval=REFRESHES),
        unit="percentunit",
    )


def _memory() -> timeseries.Panel:
    return lines(
        "Memory",
        "Resident memory of each exporter.",
        target(queries.of_exporters("process_resident_memory_bytes"), "{{instance}}"),
        unit="bytes",
    )


def _samples() -> timeseries.Panel:
    return lines(
        "Samples per scrape",
        "Samples that each exporter serves. They grow with the number of registries and findings.",
        target(queries.of_exporters("scrape_samples_scraped"), "{{instance}}"),
    )


def _scrapes() -> timeseries.Panel:
    return lines(
        "Scrape duration",
        "Time that Prometheus needed to scrape each exporter.",
        target(queries.of_exporters("scrape_duration_seconds"), "{{instance}}"),
        unit="s",
        most=0.1,
    )


def _reloads() -> stat.Panel:
    return number(
        "Settings rejected",
        "Exporters whose last reload of settings or key files failed. The previous ones stay in force.",
        now('sum(1 - har_exporter_config_last_reload_successful{instance=~"$instance"})'),
        thresholds=steps(
            model.Threshold(color=NOTHING),
            model.Threshold(value=0, color=GOOD),
            model.Threshold(value=1, color=WARNING),
        ),
    )


def _version() -> stat.Panel:
    return number(
        "Version",
        "Versions of the exporters that are running.",
        now('count by (version) (har_exporter_build_info{instance=~"$instance"})', "{{version}}"),
        text=kinds.BigValueTextMode.NAME,
    )


def _grown(matcher: str, window: str) -> str:
    selected = _REQUESTS.replace("}", f", {matcher}}}")
    return f"sum(increase({selected}[{window}]))"


EXPORTER = Board(
    uid="har-exporter-exporter",
    title="Harness Artifact Registry: exporter",
    description="Completeness and age of the exporter's data, and the reasons for problems.",
    variables=[
        *inventory_choices(hidden=True),
        choice("instance", "Exporter", "label_values(har_exporter_build_info, instance)"),
    ],
    annotations=[
        firing(thresholds.REFRESH_FAILING.alert, "Refresh failing", queries.SELECTED_SPACES, WARNING),
    ],
    rows=[
        Row("Spaces", [(_spaces(), 24, 8)]),
        Row(
            "Health",
            [
                (panel, 6, 4)
                for panel in (
                    *(_exporters(), _failing(), _incomplete(), _dropped()),
                    *(_error_ratio(), _auth(), _reloads(), _version()),
                )
            ],
        ),
        Row(
            "Refreshes",
            [
                *((panel, 8, 8) for panel in (_age(), _age_and_interval(), _duration())),
                *((panel, 8, 8) for panel in (_failures(), _rows(), _rejected())),
            ],
        ),
        Row(
            "Harness API",
            [
                *((panel, 8, 8) for panel in (_requests(), _latency(), _limited())),
                *((panel, 8, 8) for panel in (_retries(), _waits(), _cache())),
            ],
        ),
        Row("Process", [(panel, 8, 7) for panel in (_memory(), _samples(), _scrapes())]),
    ],
)
