"""Report of `har-exporter check`: a verdict on each space, and warnings that name the setting to change."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from exporter.check import forecast
from exporter.check.sample import images_by, ineffective_filters
from exporter.config.settings import Settings
from exporter.config.spaces import Space
from exporter.harness.client import SAFE_PAGE_SIZE
from exporter.harness.page import Artifact
from exporter.harness.trust import authorities
from exporter.inventory.refresh import SpaceStatus
from exporter.inventory.snapshot import Snapshot
from exporter.labels import clean
from exporter.texts import format_duration

_SCRAPE_SECONDS = 10.0  # Prometheus's default scrape timeout
_FILTERS = ("registries", "package_types", "latest_version", "deployed_artifact", "search_term")


@dataclass(frozen=True, slots=True)
class CheckedSpace:
    """Answers of one space.

    Attributes:
        space: the space.
        status: the space after a refresh with its first page only.
        key: the same number for spaces with the same server and key, which share `rate_limit`.
        key_account: the account that the key names; empty if it names none.
        requests: requests of one refresh; None if only a refresh can show it.
        series: time series of the first page.
        rows: its rows.
        registries: number of its registries, if it has no artifacts; None if that is not known.
        own_entry: whether it has an entry of its own, not one for all spaces below another.
        unlisted: configured registries that list nothing.
        unknown: configured registries that could not be asked for.
    """

    space: Space
    status: SpaceStatus
    key: int
    key_account: str
    requests: int | None
    series: int
    rows: Sequence[Artifact] = ()
    registries: int | None = None
    own_entry: bool = True
    unlisted: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Seconds that the page took, including retries and waits for `rate_limit`."""
        return self.status.refresh_seconds or 0.0


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
    keys = {number: _Key(number, checked, settings) for number in dict.fromkeys(one.key for one in checked)}
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
    of_keys = (warning for key in keys.values() for warning in key.warnings())
    warnings = (*_case_warnings(settings.configured if configured is None else configured), *of_keys, *warnings)
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


class _Key:
    """Spaces that share one key's requests to one host.

    Attributes:
        latency: seconds of the fastest page; 0 without any.
        requests: requests of one refresh of each space, as far as known.
    """

    def __init__(self, number: int, checked: Sequence[CheckedSpace], settings: Settings) -> None:
        mine = [one for one in checked if one.key == number]
        pages = [one.seconds for one in mine if one.status.snapshot]
        self.latency = min(pages, default=0.0)
        self.requests = sum(one.requests or 0 for one in mine)
        self._spaces = len(pages)
        self._base_url = mine[0].space.base_url
        self._settings = settings

    @property
    def refresh_seconds(self) -> float:
        """Least seconds to refresh all of its spaces."""
        return self.seconds(self.requests)

    def seconds(self, requests: int) -> float:
        """Return the least seconds of so many requests."""
        settings = self._settings
        return forecast.least_seconds(requests, settings.rate_limit, self.latency, settings.concurrency)

    def shared_seconds(self, requests: int) -> float:
        """Return the seconds of one refresh while as many others run as may run at a time."""
        # At most `concurrency` refreshes of a key run at a time.
        walks = min(self._spaces, self._settings.concurrency)
        return self.seconds(min(requests * walks, self.requests))

    def lever(self, requests: int) -> str:
        """Return the setting that makes so many requests faster."""
        if self.seconds(requests) > forecast.seconds_by_rate(requests, self._settings.rate_limit):
            return "concurrency"
        return "rate_limit (Harness allows 400 requests a minute per key)"

    def warnings(self) -> Iterator[str]:
        """Return the settings that are too small for the refreshes of all spaces."""
        settings, takes = self._settings, self.refresh_seconds
        spaces = "the space" if self._spaces == 1 else f"all {self._spaces} spaces"
        refresh = f"{self._base_url}: refreshing {spaces} takes at least {format_duration(takes)}"
        needed = settings.cache_ttl + takes
        if needed > settings.max_stale and takes > _SCRAPE_SECONDS:
            yield (
                f"{refresh}, and data is dropped after max_stale ({format_duration(settings.max_stale)}), before the"
                f" next refresh ends: raise max_stale above {format_duration(needed)}"
            )


def _rows(snapshot: Snapshot) -> int:
    """Return the rows of the first page, repeated and rejected ones included."""
    return snapshot.inventory.artifacts + snapshot.duplicates + snapshot.rejected.rows


def _more_rows(one: CheckedSpace, snapshot: Snapshot, settings: Settings) -> int:
    """Return how many rows further pages hold; if that is unknown, as many as there may be findings."""
    if one.requests is None:
        return max(1, settings.findings_limit)
    return max(0, (snapshot.reported or 0) - _rows(snapshot)) if one.requests > 1 else 0


def _verdict(one: CheckedSpace, key: _Key, settings: Settings) -> Verdict:
    space, snapshot, failure = one.space, one.status.snapshot, one.status.last_failure
    warnings = (*_key_warnings(one), *_registry_warnings(one))
    seconds = round(one.seconds, 6)
    if snapshot is None:
        texts = (failure.reason, failure.message, failure.hint) if failure else ("internal", "no answer", "")
        return Verdict(space.ref, None, seconds, "", *texts, warnings, one.key_account)
    more_rows = _more_rows(one, snapshot, settings)
    found = len(snapshot.inventory.findings)
    return Verdict(
        space=space.ref,
        artifacts=max(_rows(snapshot), snapshot.reported or 0),
        seconds=seconds,
        images=images_by(one.rows),
        warnings=(*warnings, *_page_warnings(one, snapshot, settings), *_time_warnings(one.requests, key, settings)),
        key_account=one.key_account,
        unlisted_registries=one.unlisted,
        requests=one.requests,
        # Its first page took this long, however fast the pages of other spaces are.
        refresh_seconds=None if one.requests is None else max(seconds, round(key.seconds(one.requests), 3)),
        series=one.series,
        series_exact=more_rows == 0 and not settings.sources,
        finding_series=forecast.most_finding_series(settings, found=found, more_rows=more_rows),
    )


def _key_warnings(one: CheckedSpace) -> Iterator[str]:
    # A key from a different account may still have access, so this is only a warning.
    if one.key_account not in {"", one.space.account}:
        yield (
            f"the key belongs to another account, {clean(one.key_account)}: change the space's entry in spaces, or give"
            " it an api_key_file of its own"
        )


def _case_warnings(spaces: Sequence[Space]) -> Iterator[str]:
    alike: dict[tuple[str, str], list[str]] = {}
    for space in spaces:
        alike.setdefault((space.base_url, space.ref.lower()), []).append(space.ref)
    for refs in alike.values():
        if len(refs) > 1:
            names = f"{', '.join(refs[:-1])} and {refs[-1]}"
            yield f"spaces: {names} differ in case only, which Harness ignores: remove all but one, or they count twice"


def _registry_warnings(one: CheckedSpace) -> Iterator[str]:
    if one.unlisted:
        names = ", ".join(map(clean, one.unlisted))
        yield f"registries: nothing is listed for {names}: misspelled, empty, or in another space"
    if one.unknown:
        yield f"registries: could not ask for {', '.join(map(clean, one.unknown))}: try again"


def _empty_warnings(one: CheckedSpace) -> Iterator[str]:
    filters = [name for name in _FILTERS if getattr(one.space, name) not in {(), None}]
    # A space below the one of an entry that ends in /** need not have the registries that the entry names.
    if "registries" in filters and not one.own_entry:
        return
    if one.registries:
        them = ", ".join(filters) or "them"
        yield f"nothing is listed, although there are {one.registries:,} registries: check {them}"
    # The root of such an entry need not have a registry of its own.
    elif not one.space.descendants and not (one.unlisted and filters == ["registries"]):
        wider = "" if one.space.project else "; for those of organizations and projects below, write /** at the end"
        yield f"nothing is listed: check {', '.join(filters) or 'spaces'}{wider}"


def _page_warnings(one: CheckedSpace, snapshot: Snapshot, settings: Settings) -> Iterator[str]:
    nothing = [] if _rows(snapshot) else [*_empty_warnings(one)]
    yield from nothing
    if one.requests is None and not nothing:
        yield "the API does not report how many artifacts there are: only a refresh shows what it costs"
    yield from ineffective_filters(one.rows, one.space)
    if snapshot.page_size < (settings.page_size or SAFE_PAGE_SIZE):
        yield f"the server returns at most {snapshot.page_size} rows per page: lower page_size to that"


def _time_warnings(requests: int | None, key: _Key, settings: Settings) -> Iterator[str]:
    if requests is None:
        return
    alone, shared, limit = key.seconds(requests), key.shared_seconds(requests), settings.refresh_timeout
    change = f"longer than refresh_timeout ({format_duration(limit)}): raise refresh_timeout, or {key.lever(requests)}"
    if alone > limit:
        yield f"a refresh takes at least {format_duration(alone)}, {change}"
    elif shared > limit:
        yield f"a refresh may take {format_duration(shared)} while other spaces refresh too, {change}"
