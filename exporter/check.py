"""`har-exporter check`: asks every space for one page, and says what to change where that fails."""

from dataclasses import dataclass

from exporter.artifact import decode_page
from exporter.clock import Clock
from exporter.counters import ApiCounters
from exporter.errors import RefreshError
from exporter.labels import clean
from exporter.settings import Settings, Space
from exporter.upstreams import Upstream, Upstreams, listing_of
from exporter.walk import SAFE_PAGE_SIZE
from exporter.workers import Workers


@dataclass(frozen=True, slots=True)
class Verdict:
    """What asking for one page of a space came to.

    Attributes:
        space: the space.
        artifacts: rows of the space by the API's own count, or else of the page; None without a page.
        seconds: how long it took, retries included.
        reason: why there was no page, as in `har_refresh_failures_total`; empty where there was.
        message: what happened; empty where there was a page.
        hint: what to change; empty where there is nothing.
    """

    space: str
    artifacts: int | None
    seconds: float
    reason: str = ""
    message: str = ""
    hint: str = ""

    @property
    def ok(self) -> bool:
        """Whether there was a page."""
        return not self.reason


def check_spaces(settings: Settings, clock: Clock) -> list[Verdict]:
    """Ask every space for one page, several at once.

    Raises:
        SettingsError: a key file cannot be used any more.
    """
    upstreams = Upstreams(settings, clock, ApiCounters())
    workers = Workers(settings.concurrency, "check")
    futures = [
        workers.submit(_check, space, upstreams.of(space, settings), settings, clock) for space in settings.targets
    ]
    return [future.result() for future in futures]


def _check(space: Space, upstream: Upstream, settings: Settings, clock: Clock) -> Verdict:
    began = clock.monotonic()
    size = min(settings.page_size, SAFE_PAGE_SIZE)
    try:
        body = upstream.client.page(listing_of(space), 0, size, deadline=began + settings.request_timeout)
        page = decode_page(body, clock.time())
    except RefreshError as error:
        seconds = clock.monotonic() - began
        return Verdict(space.ref, None, seconds, error.reason, clean(str(error)), error.hint)
    return Verdict(space.ref, max(page.rows, page.item_count or 0), clock.monotonic() - began)
