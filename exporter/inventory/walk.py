"""Walk through all pages of a space, which ends in one snapshot."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import NamedTuple

from exporter.clock import Clock, Stopped
from exporter.harness.errors import ClientError, RequestTimeout
from exporter.harness.page import decode_page
from exporter.inventory.paging import Paging
from exporter.inventory.snapshot import Snapshot
from exporter.inventory.tally import Tally

SAFE_PAGE_SIZE = 100
"""Page size that every server is known to accept."""

_AHEAD = 2  # pages asked for per page in flight: no connection is idle while a page is added up
_GRACE = 1.0  # seconds for a request to report its own timeout

FetchPage = Callable[[int, int, float], Future[bytes]]
"""Asks for a page: its number from 0, rows per page, and the monotonic time of its deadline.

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
    ) -> None:
        """Ask for nothing yet.

        Args:
            fetch_page: asks for a page.
            new_tally: makes the tally of a walk; its argument is the wall clock's time when the walk began.
            clock: source of time.
            page_size: rows to ask for per page; `SAFE_PAGE_SIZE` after the server refused more.
            concurrency: pages in flight.
            timeout: seconds that a walk may take.
            on_page: called after each page with the rows so far and the reported rows, if any.
        """
        self._fetch_page = fetch_page
        self._new_tally = new_tally
        self._clock = clock
        self._page_size = page_size
        self._concurrency = concurrency
        self._timeout = timeout
        self._on_page = on_page

    def walk(self, cancelled: threading.Event) -> Snapshot:
        """Read all pages, and return what they hold.

        Args:
            cancelled: set when nobody needs the snapshot any more.

        Raises:
            RefreshError: the walk failed; the subclass is the reason.
            Stopped: it was cancelled, or the process is shutting down.
        """
        snapshot, _ = self._read_accepted_size(cancelled, first_page_only=False)
        return snapshot

    def first_page(self, cancelled: threading.Event) -> FirstPage:
        """Read the first page only.

        Args:
            cancelled: set when nobody needs the page any more.

        Raises:
            RefreshError: the page could not be read; the subclass is the reason.
            Stopped: it was cancelled, or the process is shutting down.
        """
        snapshot, paging = self._read_accepted_size(cancelled, first_page_only=True)
        return FirstPage(snapshot, paging.expected_requests())

    def _read_accepted_size(self, cancelled: threading.Event, *, first_page_only: bool) -> tuple[Snapshot, Paging]:
        """Read with the configured page size, or with the safe one if the server refuses that."""
        read = partial(self._read, cancelled, self._clock.monotonic() + self._timeout, first_page_only=first_page_only)
        try:
            return read(self._page_size)
        except ClientError as error:
            if self._page_size <= SAFE_PAGE_SIZE or not error.page_size_refused:
                raise
        result = read(SAFE_PAGE_SIZE)
        self._page_size = SAFE_PAGE_SIZE
        return result

    def _read(
        self, cancelled: threading.Event, deadline: float, size: int, *, first_page_only: bool
    ) -> tuple[Snapshot, Paging]:
        began, began_monotonic = self._clock.time(), self._clock.monotonic()
        tally = self._new_tally(began)
        paging = Paging(size, self._concurrency)
        ask = partial(self._ask, cancelled, deadline, size)
        ahead: deque[Future[bytes]] = deque()
        asked = 0
        try:
            while not paging.ended:
                while len(ahead) < _AHEAD * self._concurrency and asked <= paging.last_to_ask:
                    ahead.append(ask(asked))
                    asked += 1
                page = decode_page(self._body(ahead.popleft(), deadline), began)
                paging.read(page, new=tally.add(page.artifacts))
                self._on_page(paging.rows, paging.reported)
                if first_page_only:
                    break
        finally:
            for future in ahead:
                future.cancel()
        if paging.pages > 1:
            # Rows that changed meanwhile moved to the front of the listing.
            page = decode_page(self._body(ask(0), deadline), began)
            tally.add(page.artifacts)
            paging.reread_first(page)
        paging.check_rejected()
        return _snapshot(began, began_monotonic, tally, paging), paging

    def _ask(self, cancelled: threading.Event, deadline: float, size: int, page: int) -> Future[bytes]:
        if cancelled.is_set():
            raise Stopped
        return self._fetch_page(page, size, deadline)

    def _body(self, page: Future[bytes], deadline: float) -> bytes:
        """Wait for a page; its thread may hang in the file system of the key file, which knows no deadline."""
        try:
            return page.result(max(0.0, deadline - self._clock.monotonic()) + _GRACE)
        except TimeoutError:
            hint = "check the file system of api_key_file, or raise refresh_timeout"
            raise RequestTimeout("a page did not arrive before the deadline of the refresh", hint=hint) from None


def _snapshot(began: float, began_monotonic: float, tally: Tally, paging: Paging) -> Snapshot:
    return Snapshot(
        began=began,
        began_monotonic=began_monotonic,
        inventory=tally.inventory(),
        pages=paging.pages,
        page_size=paging.size,
        duplicates=paging.duplicates,
        rejected=paging.rejected,
        reported=paging.reported,
        complete=paging.complete,
    )
