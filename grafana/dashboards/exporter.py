"""The exporter itself: whether its data are whole and fresh, and why not."""

from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as model

from dashboards import queries, thresholds
from dashboards.frame import Board, Row, choice, firing, inventory_choices
from dashboards.panels import REFRESHES, fixed, lines, now, number, ranked, target
from dashboards.thresholds import CRITICAL, GOOD, WARNING, steps

_REQUESTS = 'har_exporter_api_requests_total{instance=~"$instance"}'
_DOWN = model.Threshold(color=CRITICAL)


def _exporters() -> stat.Panel:
    return number(
        "Exporters",
        "Processes that serve metrics now.",
        target('count(har_exporter_build_info{instance=~"$instance"})'),
        thresholds=steps(_DOWN, model.Threshold(value=1, color=GOOD)),
    )


def _failing() -> stat.Panel:
    return number(
        "Spaces failing",
        "Spaces whose last refresh failed; the reasons are below, the log has more.",
        target(f"sum(1 - {queries.worst_of_space('har_up')})"),
        thresholds=steps(*thresholds.REFRESH_FAILING.steps),
    )


def _incomplete() -> stat.Panel:
    return number(
        "Incomplete",
        "Spaces whose listing changed so much during the walk that rows may be missing.",
        target(f"sum(1 - {queries.worst_of_space('har_snapshot_complete')})"),
        thresholds=steps(*thresholds.INCOMPLETE.steps),
    )


def _dropped() -> stat.Panel:
    return number(
        "Findings dropped",
        "Artifacts that someone must act on but that are over findings_limit, so that no table names them.",
        target(f"sum({queries.of_space('har_findings_dropped')})"),
        thresholds=steps(*thresholds.FINDINGS_DROPPED.steps),
    )


def _error_ratio() -> stat.Panel:
    errors, requests = _grown('code!="200"', "30m"), _grown('code=~".+"', "30m")
    return number(
        "API errors, 30 min",
        "Share of the requests to Harness that failed, retries included.",
        target(f"{errors} / ({requests} > 0) or 0 * {errors}"),
        unit="percentunit",
        thresholds=steps(*thresholds.API_ERRORS.steps),
    )


def _auth() -> stat.Panel:
    refused = _grown('code=~"401|403"', "15m")
    return number(
        "401/403, 15 min",
        "Requests that Harness refused: the key is wrong, expired, or lacks permission on a space.",
        target(f"round({refused})"),
        thresholds=steps(*thresholds.AUTH_FAILING.steps),
    )


def _age() -> timeseries.Panel:
    return lines(
        "Age of the data, of what is allowed",
        "Age of each space's data as a share of three refresh intervals and two refreshes, at least ten minutes; the "
        "alert fires above 100 %.",
        target(f"({queries.age()}) / {queries.allowed_age()}", "{{space}}"),
        unit="percentunit",
        limit=thresholds.STALE_SNAPSHOT.steps,
        most=1.2,
    )


def _age_and_interval() -> timeseries.Panel:
    panel = lines(
        "Age of the data and refresh interval",
        "A saw that reaches the interval at every refresh; a climb beyond it is a refresh that does not come.",
        target(queries.age(), "{{space}}", "A"),
        target(f"max({queries.of_space('har_refresh_interval_seconds')})", "interval", "B"),
        unit="s",
    )
    dashed = model.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 8]})
    return panel.override_by_name("interval", [fixed(thresholds.NOTICE), dashed])


def _duration() -> timeseries.Panel:
    return lines(
        "Duration of the last refresh",
        "How long the last walk through each space took; it should stay well below the refresh interval.",
        target(queries.of_space("har_refresh_duration_seconds"), "{{space}}"),
        unit="s",
        most=0.1,
    )


def _rows() -> timeseries.Panel:
    duplicates = queries.of_space("har_snapshot_duplicates")
    fetched = queries.of_space("har_snapshot_artifacts", matchers=('source="fetched"',))
    reported = queries.of_space("har_snapshot_artifacts", matchers=('source="reported"',))
    return lines(
        "Rows fetched, less rows reported",
        "Rows that the walk read, repeated ones included, less those that the API counted. Not 0: the listing moved "
        "during the walk, or the API miscounts.",
        target(f"{fetched} + {duplicates} - {reported}", "{{space}}"),
    )


def _rejected() -> timeseries.Panel:
    return lines(
        "Values that could not be used",
        "Rows, counts and times of the last walk that make no sense, by kind.",
        target(queries.total(queries.of_space("har_snapshot_rejected", "reason"), "reason"), "{{reason}}"),
    )


def _failures() -> timeseries.Panel:
    grown = f"increase(har_refresh_failures_total{{{queries.SELECTED_SPACES}}}[$__rate_interval])"
    return ranked(
        lines(
            "Failed refreshes by reason",
            "Refreshes that failed within each step, by why.",
            target(f"sum by (reason) ({grown})", "{{reason}}", interval=REFRESHES),
        )
    )


def _requests() -> timeseries.Panel:
    panel = lines(
        "API requests by code",
        "Requests a minute to Harness, retries included; its documented limit is 400 for a key.",
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
        "Half, and nineteen in twenty, of the requests were answered faster; waits between requests aside.",
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
        "Seconds that requests waited for their turn, for each second. Above 0 for long: refreshes are slower than "
        "they need be; raise rate_limit or cache_ttl.",
        target(f"sum({waited})", "wait", interval=REFRESHES),
        unit="s",
    )


def _retries() -> timeseries.Panel:
    grown = 'increase(har_exporter_api_retries_total{instance=~"$instance"}[$__rate_interval])'
    return lines(
        "Retries by reason",
        "Requests that were sent again within each step, by why.",
        target(f"sum by (reason) ({grown})", "{{reason}}", interval=REFRESHES),
    )


def _limited() -> timeseries.Panel:
    limited = _grown('code="429"', "30m")
    return lines(
        "429 in 30 minutes",
        "Requests that Harness refused as too many. Above the line for long: lower rate_limit, or let spaces share "
        "fewer exporters.",
        target(f"round({limited})", "429"),
        limit=thresholds.RATE_LIMITED.steps,
        most=8,
    )


def _cache() -> timeseries.Panel:
    hits, asked = (
        f"sum by (space) (rate(har_exporter_cache_{name}_total{{{queries.SELECTED_SPACES}}}[$__rate_interval]))"
        for name in ("hits", "requests")
    )
    return lines(
        "Scrapes answered by a fresh snapshot",
        "Share of the scrapes that started no refresh.",
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
        "Series that each exporter serves; they follow the number of registries and findings.",
        target(queries.of_exporters("scrape_samples_scraped"), "{{instance}}"),
    )


def _scrapes() -> timeseries.Panel:
    return lines(
        "Scrape duration",
        "How long Prometheus waited for each exporter.",
        target(queries.of_exporters("scrape_duration_seconds"), "{{instance}}"),
        unit="s",
        most=0.1,
    )


def _reloads() -> stat.Panel:
    return number(
        "Settings refused",
        "Exporters whose settings or key files could not be used when last read; the old ones stay in force.",
        target('sum(1 - har_exporter_config_last_reload_successful{instance=~"$instance"})'),
        thresholds=steps(model.Threshold(color=GOOD), model.Threshold(value=1, color=WARNING)),
    )


def _version() -> stat.Panel:
    return number(
        "Version",
        "Of the exporters that run.",
        now('count by (version) (har_exporter_build_info{instance=~"$instance"})', "{{version}}"),
        trend=False,
        text=kinds.BigValueTextMode.NAME,
    )


def _grown(matcher: str, window: str) -> str:
    selected = _REQUESTS.replace("}", f", {matcher}}}")
    return f"sum(increase({selected}[{window}]))"


EXPORTER = Board(
    uid="har-exporter-exporter",
    title="Harness Artifact Registry: exporter",
    description="Whether the exporter's data are whole and fresh, and if not, why.",
    variables=[
        *inventory_choices(hidden=True),
        choice("instance", "Exporter", "label_values(har_exporter_build_info, instance)"),
    ],
    annotations=[
        firing(thresholds.REFRESH_FAILING.alert, "Refresh failing", queries.SELECTED_SPACES, WARNING),
    ],
    rows=[
        Row(
            "Health",
            [
                (panel, 3, 4)
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
