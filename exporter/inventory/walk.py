"""Walks through all pages of a space, each of which ends in one snapshot."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import NamedTuple

from exporter.clock import Clock, Stopped
from exporter.harness.errors import DeadlineError
from exporter.harness.page import Page, decode_page
from exporter.inventory.novelty import FirstSeen
from exporter.inventory.page_size import PageSize
from exporter.inventory.passes import PageQuery, Passes
from exporter.inventory.snapshot import Snapshot
from exporter.inventory.tally import Tally
from exporter.labels import Label, clean

_GRACE = 1.0  # seconds for a request to report its own timeout
_IN_VAIN = 2  # walks in a row whose second pass found nothing
_SECOND_PASS_AFTER = 3_600.0  # seconds until the next one after these

FetchPage = Callable[[PageQuery, float], Future[bytes]]
"""Asks for a page until the monotonic time of its deadline.

Pages are fetched in the order in which they are asked for, several at a time.
"""


class FirstPage(NamedTuple):
    """First page of a space, read as a walk reads it.

    Attributes:
        snapshot: the snapshot that the page alone would make.
        requests: requests that the whole walk sends, without retries; None if only the walk can show it.
    """

    snapshot: Snapshot
    requests: int | None


class Walker:
    """Walks through one space, as often as it is refreshed."""

    def __init__(
        self,
        fetch_page: FetchPage,
        new_tally: Callable[[float, float, FirstSeen | None], Tally],
        clock: Clock,
        *,
        page_size: int | None,
        concurrency: int,
        timeout: float,
        on_page: Callable[[int, int | None], None] = lambda *_: None,
        label: Label = clean,
    ) -> None:
        """Ask for nothing yet.

        Args:
            fetch_page: asks for a page.
            new_tally: makes the tally of a walk; its arguments are the times of the wall clock and of the monotonic
                clock when the walk began, and the findings of the last snapshot.
            clock: source of time.
            page_size: rows to ask for per page; None for what the server's answers show.
            concurrency: pages in flight.
            timeout: seconds that a walk may take.
            on_page: called after each page with the distinct rows so far and the reported rows, if any.
            label: makes a label value of a text of the API.
        """
        self._fetch_page = fetch_page
        self._new_tally = new_tally
        self._clock = clock
        self._page_size = PageSize(page_size, clock)
        self._concurrency = concurrency
        self._timeout = timeout
        self._on_page = on_page
        self._label = label
        self._in_vain = 0
        self._second_pass_from = 0.0

    def walk(self, cancelled: threading.Event, last: Snapshot | None = None) -> Snapshot:
        """Read all pages, and return what they hold.

        Args:
            cancelled: set when nobody needs the snapshot any more.
            last: the snapshot before; None if there is none.

        Raises:
            RefreshError: the walk failed; the subclass is the reason.
            Stopped: it was cancelled, or the process is shutting down.
        """
        passes = self._begun(cancelled, last)
        passes.read_rest()
        if passes.missing and self._clock.monotonic() >= self._second_pass_from:
            self._in_vain = 0 if passes.read_oldest_first() else self._in_vain + 1
            if self._in_vain >= _IN_VAIN:
                self._second_pass_from = self._clock.monotonic() + _SECOND_PASS_AFTER
        return passes.snapshot()

    def first_page(self, cancelled: threading.Event) -> FirstPage:
        """Read the first page only.

        Args:
            cancelled: set when nobody needs the page any more.

        Raises:
            RefreshError: the page could not be read; the subclass is the reason.
            Stopped: it was cancelled, or the process is shutting down.
        """
        passes = self._begun(cancelled, None)
        return FirstPage(passes.snapshot(), passes.expected_requests())

    def _begun(self, cancelled: threading.Event, last: Snapshot | None) -> Passes:
        """Return passes that have read page 0, in the size for the rest."""
        seen = last.inventory.first_seen if last else None
        open_with = partial(self._opened, cancelled, self._clock.monotonic() + self._timeout, seen)
        size = self._page_size.first()
        passes = open_with(size)
        if larger := self._page_size.larger(size, passes.reported):
            passes = open_with(larger)
            if passes.rows_given == larger:
                self._page_size.accept(larger)
            elif passes.rows_given < passes.size:
                self._page_size.limit(passes.rows_given)
                passes = open_with(self._page_size.first())
        return passes

    def _opened(self, cancelled: threading.Event, deadline: float, seen: FirstSeen | None, size: int) -> Passes:
        """Return passes that have read page 0."""
        began, began_monotonic = self._clock.time(), self._clock.monotonic()
        passes = Passes(
            partial(self._ask, cancelled, deadline),
            partial(self._decode, deadline, began),
            self._new_tally(began, began_monotonic, seen),
            began=began,
            began_monotonic=began_monotonic,
            size=size,
            concurrency=self._concurrency,
            on_page=self._on_page,
            on_shrunk=self._page_size.limit,
        )
        passes.read_first_page()
        return passes

    def _ask(self, cancelled: threading.Event, deadline: float, query: PageQuery) -> Future[bytes]:
        if cancelled.is_set():
            raise Stopped
        return self._fetch_page(query, deadline)

    def _decode(self, deadline: float, now: float, page: Future[bytes], size: int) -> Page:
        """Wait for a page; its thread may hang in the file system of a certificate, which knows no deadline."""
        try:
            body = page.result(max(0.0, deadline - self._clock.monotonic()) + _GRACE)
        except TimeoutError:
            hint = "check the file systems of ca_file and client_cert_file, or raise refresh_timeout"
            raise DeadlineError("a page did not arrive before the deadline of the refresh", hint=hint) from None
        return decode_page(body, now, rows_asked=size, label=self._label)
