"""`har-exporter check`: asks every space for one page, and for those of its registries that the page leaves open."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from exporter.check.forecast import requests_of_walk, seconds_by_rate
from exporter.check.report import Answer, Report, judge
from exporter.clock import Clock
from exporter.config.settings import Settings, Space
from exporter.engine.clients import Upstream, Upstreams, listing_of
from exporter.harness.client import Listing
from exporter.harness.counters import ApiCounters
from exporter.harness.errors import ClientError, RefreshError
from exporter.harness.keys import account_of
from exporter.harness.page import Page, decode_page
from exporter.inventory.walk import SAFE_PAGE_SIZE, refuses_size

_PAGE_REQUESTS = 2
"""Requests for a page at most, retries aside: its size may be refused."""


def check_spaces(settings: Settings, clock: Clock, on_answer: Callable[[], None] = lambda: None) -> Report:
    """Ask every space, several at once, and say what the answers mean.

    Args:
        settings: valid settings.
        clock: where the time comes from.
        on_answer: told whenever one more space has answered, or not.

    Raises:
        SettingsError: a key file cannot be used any more.
    """
    upstreams = Upstreams(settings, clock, ApiCounters())
    spaces_of: dict[Upstream, list[Space]] = {}
    for space in settings.served:
        spaces_of.setdefault(upstreams.of(space, settings), []).append(space)
    questions = [
        _Question(space, key, upstream, clock, _patience(spaces, settings))
        for key, (upstream, spaces) in enumerate(spaces_of.items())
        for space in spaces
    ]
    answers = {one.space.ref: one.upstream.workers.submit(one.ask, settings.page_size, on_answer) for one in questions}
    return judge([answers[space.ref].result() for space in settings.served], settings)


def _patience(spaces: Sequence[Space], settings: Settings) -> float:
    """Return seconds enough for each request of these spaces, so that none fails for having to wait for its turn."""
    requests = sum(_PAGE_REQUESTS + len(space.registries) for space in spaces)
    return settings.request_timeout + seconds_by_rate(requests, settings.rate_limit)


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked of one space.

    Attributes:
        space: the space.
        key: as in `Answer.key`.
        upstream: whom to ask.
        clock: where the time comes from.
        patience: seconds that each page may take.
    """

    space: Space
    key: int
    upstream: Upstream
    clock: Clock
    patience: float

    def ask(self, size: int, on_answer: Callable[[], None]) -> Answer:
        """Ask for the first page, and for one row of each configured registry that it leaves open."""
        began = self.clock.monotonic()
        page: Page | RefreshError
        unlisted: tuple[str, ...] = ()
        unknown: tuple[str, ...] = ()
        try:
            size, page = self._first_page(size)
        except RefreshError as error:
            page = error
        seconds = self.clock.monotonic() - began
        if isinstance(page, Page):
            unlisted, unknown = self._open_registries(page, size)
        on_answer()
        account = account_of(self.upstream.key.current())
        return Answer(self.space, self.key, account, seconds, size, page, unlisted, unknown)

    def _first_page(self, size: int) -> tuple[int, Page]:
        listing = listing_of(self.space)
        try:
            return size, self._page(listing, size)
        except ClientError as error:
            if not refuses_size(error, size):
                raise
        return SAFE_PAGE_SIZE, self._page(listing, SAFE_PAGE_SIZE)

    def _open_registries(self, page: Page, size: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return which configured registries list nothing, and which could not be asked for.

        The API answers a name that it does not know with an empty page.
        """
        seen = {row.registry for row in page.artifacts}
        unseen = tuple(registry for registry in self.space.registries if registry not in seen)
        if requests_of_walk(page, size) == 1:
            return unseen, ()
        rows = {registry: self._rows_of(registry) for registry in unseen}
        return (
            tuple(registry for registry, number in rows.items() if number == 0),
            tuple(registry for registry, number in rows.items() if number is None),
        )

    def _rows_of(self, registry: str) -> int | None:
        """Return whether a registry lists a row, as its number; None where that cannot be told."""
        try:
            return self._page(replace(listing_of(self.space), registries=(registry,)), 1).rows
        except RefreshError:
            return None

    def _page(self, listing: Listing, size: int) -> Page:
        deadline = self.clock.monotonic() + self.patience
        return decode_page(self.upstream.client.page(listing, 0, size, deadline), self.clock.time())
