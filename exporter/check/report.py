"""Report of `har-exporter check`: a verdict on each space, and on all together."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from exporter.check import advice, forecast
from exporter.check.checked import CheckedSpace, SharedKey, first_page_rows
from exporter.check.sample import images_by
from exporter.config.settings import Settings
from exporter.config.spaces import Space
from exporter.harness.trust import authorities
from exporter.inventory.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Verdict:
    """Verdict on a space; the attributes are keys of `check --output json`.

    Attributes:
        space: the space.
        artifacts: rows of the space by the API's own count, else of the page; None without a page.
        seconds: seconds that the page took, including retries and waits for `rate_limit`.
        images: how images are listed, `tag` or `digest`; empty if the page holds none.
        reason: reason of the failure, as in `har_refresh_failures_total`; empty if there is a page.
        message: what happened; empty if there is a page.
        hint: what to change to get a page; may be empty.
        warnings: what does not work as intended, each with what to change.
        key_account: the account that the key names; empty if it names none.
        unlisted_registries: configured registries that list nothing.
        requests: requests of one refresh; None if only a refresh can show it.
        refresh_seconds: least seconds of a refresh, by `rate_limit`, or by the fastest page and `concurrency`; never
            less than `seconds`. None if only a refresh can show it.
        series: least number of time series, counted from the page; None without one.
        series_exact: whether the number of series is exact: the page holds every artifact, and no source is read.
        finding_series: the most series that findings on further pages can add.
    """

    space: str
    artifacts: int | None
    seconds: float
    images: str = ""
    reason: str = ""
    message: str = ""
    hint: str = ""
    warnings: tuple[str, ...] = ()
    key_account: str = ""
    unlisted_registries: tuple[str, ...] = ()
    requests: int | None = None
    refresh_seconds: float | None = None
    series: int | None = None
    series_exact: bool = False
    finding_series: int = 0

    @property
    def ok(self) -> bool:
        """Whether there is a page."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class Total:
    """All spaces together; sums of the spaces for which the number is known.

    Attributes:
        spaces: spaces of this shard.
        failed: spaces without a page, and entries whose spaces could not be found.
        artifacts: their artifacts.
        requests: requests of one refresh of each.
        refresh_seconds: least seconds to refresh all of them.
        series: least number of time series.
        finding_series: the most series that findings on further pages can add.
    """

    spaces: int
    failed: int
    artifacts: int
    requests: int
    refresh_seconds: float
    series: int
    finding_series: int


@dataclass(frozen=True, slots=True)
class Report:
    """Report on all spaces.

    Attributes:
        spaces: a verdict on each space, in the configured order.
        total: all spaces together.
        warnings: settings that do not suit all spaces together, each with what to change.
        certificates: what servers' certificates are checked against.
        found: number of spaces found below each entry that ends in `/**`.
    """

    spaces: tuple[Verdict, ...]
    total: Total
    warnings: tuple[str, ...]
    certificates: str
    found: Mapping[str, int]


def report_on(
    checked: Sequence[CheckedSpace],
    settings: Settings,
    *,
    configured: Sequence[Space] | None = None,
    found: Mapping[str, int] = MappingProxyType({}),
    warnings: Sequence[str] = (),
    undiscovered: int = 0,
) -> Report:
    """Return a verdict on every space, and on all together.

    Args:
        checked: the answers of each space of this shard.
        settings: the settings.
        configured: the spaces of all shards; None for those of the settings.
        found: number of spaces found below each entry that ends in `/**`.
        warnings: what is known already.
        undiscovered: entries that end in `/**` whose spaces could not be found, and whose roots are on other shards.
    """
    keys = {number: SharedKey(number, checked, settings) for number in dict.fromkeys(one.key for one in checked)}
    verdicts = tuple(_verdict(one, keys[one.key], settings) for one in checked)
    # Every key has its own rate, but all keys share the requests in flight.
    in_flight = sum(key.requests * key.latency for key in keys.values()) / settings.concurrency
    total = Total(
        spaces=len(verdicts),
        failed=sum(not verdict.ok for verdict in verdicts) + undiscovered,
        artifacts=sum(verdict.artifacts or 0 for verdict in verdicts),
        requests=sum(key.requests for key in keys.values()),
        refresh_seconds=max(
            [round(seconds, 3) for seconds in (in_flight, *(key.refresh_seconds for key in keys.values()))]
            + [verdict.refresh_seconds or 0.0 for verdict in verdicts]
        ),
        series=sum(verdict.series or 0 for verdict in verdicts),
        finding_series=sum(verdict.finding_series for verdict in verdicts),
    )
    names = advice.of_names(settings.configured if configured is None else configured)
    of_keys = (warning for key in keys.values() for warning in advice.of_key(key, settings))
    warnings = (*names, *of_keys, *warnings)
    return Report(verdicts, total, warnings, certificates=str(authorities(settings.ca_file)), found=found)


def as_document(report: Report) -> dict[str, Any]:
    """Return a report as JSON for scripts; docs/check.md describes its keys."""
    return {
        "ok": not report.total.failed,
        "spaces": [{"ok": verdict.ok, **asdict(verdict)} for verdict in report.spaces],
        "total": asdict(report.total),
        "warnings": report.warnings,
        "certificates": report.certificates,
        "discovered_spaces": dict(report.found),
    }


def _more_rows(one: CheckedSpace, snapshot: Snapshot, settings: Settings) -> int:
    """Return how many rows further pages hold; if that is unknown, as many as there may be findings."""
    if one.requests is None:
        return max(1, settings.findings_limit)
    return max(0, (snapshot.reported or 0) - first_page_rows(snapshot)) if one.requests > 1 else 0


def _verdict(one: CheckedSpace, key: SharedKey, settings: Settings) -> Verdict:
    space, snapshot, failure = one.space, one.status.snapshot, one.status.last_failure
    warnings = tuple(advice.of_space(one, key, settings))
    seconds = round(one.seconds, 6)
    if snapshot is None:
        texts = (failure.reason, failure.message, failure.hint) if failure else ("internal", "no answer", "")
        return Verdict(space.ref, None, seconds, "", *texts, warnings, one.key_account)
    more_rows = _more_rows(one, snapshot, settings)
    found = len(snapshot.inventory.findings)
    return Verdict(
        space=space.ref,
        artifacts=max(first_page_rows(snapshot), snapshot.reported or 0),
        seconds=seconds,
        images=images_by(one.rows),
        warnings=warnings,
        key_account=one.key_account,
        unlisted_registries=one.unlisted,
        requests=one.requests,
        # Its first page took this long, however fast the pages of other spaces are.
        refresh_seconds=None if one.requests is None else max(seconds, round(key.seconds(one.requests), 3)),
        series=one.series,
        series_exact=more_rows == 0 and not settings.sources,
        finding_series=forecast.most_finding_series(settings, found=found, more_rows=more_rows),
    )
