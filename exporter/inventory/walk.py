"""Walks through all pages of a space, each of which ends in one snapshot."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import NamedTuple

from exporter.clock import Clock, Stopped
from exporter.harness.errors import ClientError, RequestTimeout
from exporter.harness.page import Page, decode_page
from exporter.inventory.passes import PageQuery, Passes
from exporter.inventory.snapshot import Snapshot
from exporter.inventory.tally import Tally
from exporter.labels import clean

SAFE_PAGE_SIZE = 100
"""Page size that every server is known to accept."""

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
        new_tally: Callable[[float], Tally],
        clock: Clock,
        *,
        page_size: int,
        concurrency: int,
        timeout: float,
        on_page: Callable[[int, int | None], None] = lambda *_: None,
        label: Callable[[str], str] = clean,
    ) -> None:
        """Ask for nothing yet.

        Args:
            fetch_page: asks for a page.
            new_tally: makes the tally of a walk; its argument is the wall clock's time when the walk began.
            clock: source of time.
            page_size: rows to ask for per page; `SAFE_PAGE_SIZE` after the server refused more.
            concurrency: pages in flight.
            timeout: seconds that a walk may take.
            on_page: called after each page with the distinct rows so far and the reported rows, if any.
            label: makes a label value of a text of the API.
        """
        self._fetch_page = fetch_page
        self._new_tally = new_tally
        self._clock = clock
        self._page_size = page_size
        self._concurrency = concurrency
        self._timeout = timeout
        self._on_page = on_page
        self._label = label
        self._in_vain = 0
        self._second_pass_from = 0.0

    def walk(self, cancelled: threading.Event) -> Snapshot:
        """Read all pages, and return what they hold.

        Args:
            cancelled: set when nobody needs the snapshot any more.

        Raises:
            RefreshError: the walk failed; the subclass is the reason.
            Stopped: it was cancelled, or the process is shutting down.
        """
        passes = self._read_accepted_size(cancelled, Passes.read)
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
        passes = self._read_accepted_size(cancelled, Passes.read_first_page)
        return FirstPage(passes.snapshot(), passes.expected_requests())

    def _read_accepted_size(self, cancelled: threading.Event, read: Callable[[Passes], None]) -> Passes:
        """Read with the configured page size, or with the safe one if the server refuses that."""
        read_pages = partial(self._read, cancelled, self._clock.monotonic() + self._timeout, read)
        try:
            return read_pages(self._page_size)
        except ClientError as error:
            if self._page_size <= SAFE_PAGE_SIZE or not error.page_size_refused:
                raise
        passes = read_pages(SAFE_PAGE_SIZE)
        self._page_size = SAFE_PAGE_SIZE
        return passes

    def _read(self, cancelled: threading.Event, deadline: float, read: Callable[[Passes], None], size: int) -> Passes:
        began = self._clock.time()
        passes = Passes(
            partial(self._ask, cancelled, deadline),
            partial(self._decode, deadline, began, size),
            self._new_tally(began),
            began=began,
            began_monotonic=self._clock.monotonic(),
            size=size,
            concurrency=self._concurrency,
            on_page=self._on_page,
        )
        read(passes)
        return passes

    def _ask(self, cancelled: threading.Event, deadline: float, query: PageQuery) -> Future[bytes]:
        if cancelled.is_set():
            raise Stopped
        return self._fetch_page(query, deadline)

    def _decode(self, deadline: float, now: float, size: int, page: Future[bytes]) -> Page:
        """Wait for a page; its thread may hang in the file system of a certificate, which knows no deadline."""
        try:
            body = page.result(max(0.0, deadline - self._clock.monotonic()) + _GRACE)
        except TimeoutError:
            hint = "check the file systems of ca_file and client_cert_file, or raise refresh_timeout"
            raise RequestTimeout("a page did not arrive before the deadline of the refresh", hint=hint) from None
        return decode_page(body, now, rows_asked=size, label=self._label)
