"""What the first pages of spaces say of the settings: verdicts, and warnings that name the setting to change."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from exporter.check import forecast
from exporter.config.readers import spell_duration
from exporter.config.settings import Settings, Space
from exporter.harness.errors import RefreshError
from exporter.harness.page import Page
from exporter.labels import clean

_SCRAPE_SECONDS = 10.0  # what Prometheus waits for a scrape by default
_FILTERS = ("registries", "package_types", "latest_version", "deployed_artifact", "search_term")


@dataclass(frozen=True, slots=True)
class Answer:
    """What asking for the first page of a space came to.

    Attributes:
        space: the space.
        key: the same number for spaces that are asked of one host with one key, and so share `rate_limit`.
        key_account: the account that the key names; empty where its form is another.
        seconds: how long it took, retries and waits for `rate_limit` included.
        size: rows that were asked for.
        page: page 0, or why there is none.
        unlisted: configured registries that list nothing.
        unknown: configured registries that could not be asked for.
    """

    space: Space
    key: int
    key_account: str
    seconds: float
    size: int
    page: Page | RefreshError
    unlisted: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of a space; the attributes are keys of `check --output json` too.

    Attributes:
        space: the space.
        artifacts: rows of the space by the API's own count, or else of the page; None without a page.
        seconds: how long the page took, retries and waits for `rate_limit` included.
        reason: why there was no page, as in `har_refresh_failures_total`; empty where there was.
        message: what happened; empty where there was a page.
        hint: what to change for a page; empty where there is nothing.
        warnings: what works otherwise than was meant, each with what to change.
        key_account: the account that the key names; empty where its form is another.
        unlisted_registries: configured registries that list nothing.
        requests: requests of one refresh; None where only the refresh can tell.
        refresh_seconds: what a refresh takes at least by `rate_limit`, or by the key's quickest page and `concurrency`.
        series: time series at least, counted from the page; None without one.
        series_exact: the page holds every artifact, so that there are no more.
        finding_series: the most that findings on further pages can add.
    """

    space: str
    artifacts: int | None
    seconds: float
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
        """Whether there was a page."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class Total:
    """All spaces together; sums are of the spaces that tell.

    Attributes:
        spaces: how many there are on this shard.
        failed: how many of them gave no page.
        artifacts: their artifacts.
        requests: requests of one refresh of each.
        refresh_seconds: what refreshing all of them takes at least.
        series: their time series at least.
        finding_series: the most that findings on further pages can add.
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
    """What there is to say.

    Attributes:
        spaces: of each space, in the order of the configuration.
        total: of all together.
        warnings: what settings of all spaces are not fit for, each with what to change.
    """

    spaces: tuple[Verdict, ...]
    total: Total
    warnings: tuple[str, ...]


def judge(answers: Sequence[Answer], settings: Settings) -> Report:
    """Say of every space, and of all together, what the answers mean."""
    keys = [_Key(key, answers, settings) for key in dict.fromkeys(answer.key for answer in answers)]
    of_key = {key.number: key for key in keys}
    verdicts = tuple(_verdict(answer, of_key[answer.key], settings) for answer in answers)
    # Every key has its own share of requests, while all of them share what is in flight.
    in_flight = sum(key.requests * key.latency for key in keys) / settings.concurrency
    total = Total(
        spaces=len(verdicts),
        failed=sum(not verdict.ok for verdict in verdicts),
        artifacts=sum(verdict.artifacts or 0 for verdict in verdicts),
        requests=sum(key.requests for key in keys),
        refresh_seconds=round(max([in_flight, *(key.refresh_seconds for key in keys)]), 3),
        series=sum(verdict.series or 0 for verdict in verdicts),
        finding_series=sum(verdict.finding_series for verdict in verdicts),
    )
    return Report(verdicts, total, tuple(warning for key in keys for warning in key.warnings()))


def as_document(report: Report) -> dict[str, Any]:
    """Return a report as JSON for scripts; docs/check.md tells its keys."""
    return {
        "ok": not report.total.failed,
        "spaces": [{"ok": verdict.ok, **asdict(verdict)} for verdict in report.spaces],
        "total": asdict(report.total),
        "warnings": report.warnings,
    }


class _Key:
    """The spaces that share one key's requests to one host.

    Attributes:
        number: as in `Answer.key`.
        latency: seconds of the quickest page; 0 without any.
        requests: requests of one refresh of each space, as far as that is known.
    """

    def __init__(self, number: int, answers: Sequence[Answer], settings: Settings) -> None:
        mine = [answer for answer in answers if answer.key == number]
        pages = [answer.page for answer in mine if isinstance(answer.page, Page)]
        self.number = number
        self.latency = min((answer.seconds for answer in mine if isinstance(answer.page, Page)), default=0.0)
        self.requests = sum(_requests(answer) or 0 for answer in mine)
        self._spaces = len(pages)
        self._base_url = mine[0].space.base_url
        self._settings = settings

    @property
    def refresh_seconds(self) -> float:
        """What refreshing all of its spaces takes at least."""
        return self.seconds(self.requests)

    def seconds(self, requests: int) -> float:
        """Return what so many requests take at least."""
        settings = self._settings
        return forecast.least_seconds(requests, settings.rate_limit, self.latency, settings.concurrency)

    def shared_seconds(self, requests: int) -> float:
        """Return what the requests of one walk take while as many other spaces are walked through as may be at once."""
        walks = min(self._spaces, self._settings.concurrency)
        return self.seconds(min(requests * walks, self.requests))

    def lever(self, requests: int) -> str:
        """Say which setting lets so many requests take less time."""
        if self.seconds(requests) > forecast.seconds_by_rate(requests, self._settings.rate_limit):
            return "concurrency"
        return "rate_limit (Harness takes 400 requests a minute of one key)"

    def warnings(self) -> Iterator[str]:
        """Say which settings the refreshes of all spaces do not fit into."""
        settings, takes = self._settings, self.refresh_seconds
        spaces = "the space" if self._spaces == 1 else f"all {self._spaces} spaces"
        refresh = f"{self._base_url}: refreshing {spaces} takes at least {spell_duration(takes)}"
        if takes > settings.cache_ttl:
            yield (
                f"{refresh}, longer than cache_ttl ({spell_duration(settings.cache_ttl)}):"
                f" raise cache_ttl, or {self.lever(self.requests)}"
            )
        needed = settings.cache_ttl + takes
        if needed > settings.max_stale and takes > _SCRAPE_SECONDS:
            yield (
                f"{refresh}, and data are dropped after max_stale ({spell_duration(settings.max_stale)}), before the"
                f" next ones are there: raise max_stale above {spell_duration(needed)}"
            )


def _requests(answer: Answer) -> int | None:
    return forecast.requests_of_walk(answer.page, answer.size) if isinstance(answer.page, Page) else None


def _more_rows(page: Page, requests: int | None, settings: Settings) -> int:
    """Return how many rows further pages hold; where nobody knows, as many as there may be findings."""
    if requests is None:
        return max(1, settings.findings_limit)
    return max(0, (forecast.reported(page) or 0) - page.rows) if requests > 1 else 0


def _verdict(answer: Answer, key: _Key, settings: Settings) -> Verdict:
    space, page = answer.space, answer.page
    warnings = (*_key_warnings(answer), *_registry_warnings(answer))
    seconds = round(answer.seconds, 6)
    if isinstance(page, RefreshError):
        return Verdict(space.ref, None, seconds, page.reason, clean(str(page)), page.hint, warnings, answer.key_account)
    requests = _requests(answer)
    artifacts = max(page.rows, forecast.reported(page) or 0)
    series = forecast.series_of_space(space.ref, page, settings, more_rows=_more_rows(page, requests, settings))
    return Verdict(
        space=space.ref,
        artifacts=artifacts,
        seconds=seconds,
        warnings=(*warnings, *_page_warnings(page, answer, settings), *_time_warnings(requests, key, settings)),
        key_account=answer.key_account,
        unlisted_registries=answer.unlisted,
        requests=requests,
        refresh_seconds=None if requests is None else round(key.seconds(requests), 3),
        series=series.least,
        series_exact=series.exact,
        finding_series=series.findings,
    )


def _key_warnings(answer: Answer) -> Iterator[str]:
    if answer.key_account not in {"", answer.space.account}:
        yield (
            f"the key is of another account, {clean(answer.key_account)}: change the space's entry in spaces, or give"
            " it an api_key_file of its own"
        )


def _registry_warnings(answer: Answer) -> Iterator[str]:
    if answer.unlisted:
        names = ", ".join(map(clean, answer.unlisted))
        yield f"registries: nothing is listed of {names}: misspelt, empty, or of another space"
    if answer.unknown:
        yield f"registries: could not ask for {', '.join(map(clean, answer.unknown))}: try again"


def _page_warnings(page: Page, answer: Answer, settings: Settings) -> Iterator[str]:
    filters = [name for name in _FILTERS if getattr(answer.space, name) not in {(), None}]
    if page.rows == 0 and not (answer.unlisted and filters == ["registries"]):
        wider = "" if answer.space.project else "; what organizations and projects hold is listed only under their own"
        yield f"nothing is listed: check {', '.join(filters) or 'spaces'}{wider}"
    elif _requests(answer) is None:
        yield "the API does not say how many artifacts there are: what a refresh costs shows when it ends"
    served = min(answer.size, page.page_size or answer.size)
    if served < settings.page_size:
        yield f"the server gives at most {served} rows a page: lower page_size to that"


def _time_warnings(requests: int | None, key: _Key, settings: Settings) -> Iterator[str]:
    if requests is None:
        return
    alone, shared, limit = key.seconds(requests), key.shared_seconds(requests), settings.refresh_timeout
    change = f"longer than refresh_timeout ({spell_duration(limit)}): raise refresh_timeout, or {key.lever(requests)}"
    if alone > limit:
        yield f"a refresh takes at least {spell_duration(alone)}, {change}"
    elif shared > limit:
        yield f"a refresh may take {spell_duration(shared)} while other spaces refresh too, {change}"
