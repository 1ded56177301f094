"""Every artifact of a space: which pages to ask for, when there are no more, and whether they were all.

The listing moves while it is read, and the API's own count of it can be wrong, so the pages themselves decide when a
walk ends; the count only plans which pages are asked ahead, and tells whether the walk is complete.
"""

import operator
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from http import HTTPStatus

from exporter.clock import Clock
from exporter.harness.errors import BadShapeError, ClientError, PaginationError, RequestTimeout
from exporter.harness.page import Page, Rejected, decode_page
from exporter.inventory.snapshot import Snapshot
from exporter.inventory.tally import Tally

SAFE_PAGE_SIZE = 100
"""The page size that every server is known to accept."""

_AHEAD = 2  # pages asked for by those fetched at once: no connection waits while what came by others is added up
_PAGES_WITHOUT_NEWS = 3
_GRACE = 1.0  # for what keeps its deadline, to say itself how it ended
_REJECTED_ROWS = 100
_REJECTED_SHARE = 0.01
_SIZE_REFUSED = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}

FetchPage = Callable[[int, int, float], Future[bytes]]
"""Asks for a page: its number from 0, rows a page, and the monotonic time that it must be there by.

Pages are fetched in the order that they are asked for in, as many at once as the walker is told.
"""


def refuses_size(error: ClientError, size: int) -> bool:
    """Return whether a server that answers like this may accept a page of `SAFE_PAGE_SIZE`."""
    return size > SAFE_PAGE_SIZE and error.status in _SIZE_REFUSED


class Walker:
    """Walks through one space, again and again."""

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
            new_tally: makes the tally of a walk that begins at a time of the wall clock.
            clock: where the time comes from.
            page_size: rows to ask for a page; falls back to `SAFE_PAGE_SIZE` where the server refuses more.
            concurrency: pages that are fetched at once; where the API reports a count, twice as many are asked for.
            timeout: seconds that a walk may take.
            on_page: told after each page of the rows so far and the rows that the API reports, where it does.
        """
        self._fetch_page = fetch_page
        self._new_tally = new_tally
        self._clock = clock
        self._page_size = page_size
        self._concurrency = concurrency
        self._timeout = timeout
        self._on_page = on_page

    def walk(self) -> Snapshot:
        """Read all pages, and return what they hold.

        Raises:
            RefreshError: the walk came to no good end; the subclass says why.
            Stopped: the process is shutting down.
        """
        deadline = self._clock.monotonic() + self._timeout
        try:
            return self._walk(self._page_size, deadline)
        except ClientError as error:
            if not refuses_size(error, self._page_size):
                raise
        snapshot = self._walk(SAFE_PAGE_SIZE, deadline)
        self._page_size = SAFE_PAGE_SIZE
        return snapshot

    def _walk(self, size: int, deadline: float) -> Snapshot:
        began, began_monotonic = self._clock.time(), self._clock.monotonic()
        tally = self._new_tally(began)
        progress = _Progress(size, self._concurrency)
        ahead: deque[Future[bytes]] = deque()
        asked = 0
        try:
            while not progress.ended:
                while len(ahead) < _AHEAD * self._concurrency and asked <= progress.last_to_ask:
                    ahead.append(self._fetch_page(asked, size, deadline))
                    asked += 1
                page = decode_page(self._body(ahead.popleft(), deadline), began)
                progress.read(page, new=tally.add(page.artifacts))
                self._on_page(progress.rows, progress.reported)
        finally:
            for future in ahead:
                future.cancel()
        if progress.pages > 1:
            page = decode_page(self._body(self._fetch_page(0, size, deadline), deadline), began)
            tally.add(page.artifacts)
            progress.read_again(page)
        return progress.snapshot(began, began_monotonic, tally)

    def _body(self, page: Future[bytes], deadline: float) -> bytes:
        """Wait for a page, whose thread may hang in the file system of the key, which knows no deadline."""
        try:
            return page.result(max(0.0, deadline - self._clock.monotonic()) + _GRACE)
        except TimeoutError:
            hint = "check the file system of api_key_file, or raise refresh_timeout"
            raise RequestTimeout("a page was not there by the walk's deadline", hint=hint) from None


class _Progress:
    """How far a walk has come: what its pages say about where the listing ends.

    Attributes:
        pages: pages read so far.
        ended: whether the last page was read.
        last_to_ask: the highest page number that is worth asking for now.
        rows: rows read so far, those included that repeat or cannot be used.
        reported: the rows of the whole listing by the API's last usable count; None where it gave none.
    """

    def __init__(self, size: int, concurrency: int) -> None:
        self.pages = 0
        self.ended = False
        self.last_to_ask = 0
        self._size = size
        self._concurrency = concurrency
        self._first_page: list[tuple[str | None, ...]] = []
        self._from_one = False
        self.rows = 0
        self._duplicates = 0
        self._rejected = Rejected()
        self.reported: int | None = None
        self._moved = False
        self._without_news = 0

    def read(self, page: Page, new: int) -> None:
        """Take note of the next page, and of how many of its rows no earlier page had.

        Raises:
            BadShapeError: too many rows cannot be used.
            PaginationError: the pages do not lead through the listing.
        """
        if page.rows > self._size:
            raise PaginationError(f"page {self.pages} has {page.rows} rows where {self._size} were asked for")
        if not self._repeats_first_page(page):
            self._count(page, new)
        self._note_reported(page.item_count)
        self.pages += 1
        self._guard_against_loops(page, new)
        size = min(self._size, page.page_size or self._size)
        self.ended = self._is_last(page, size)
        self.last_to_ask = self._plan(size)

    def read_again(self, page: Page) -> None:
        """Take note of the second reading of page 0, whose rows tell nothing of the number of rows."""
        self._note_reported(page.item_count)
        self.pages += 1

    def snapshot(self, began: float, began_monotonic: float, tally: Tally) -> Snapshot:
        """Return what the walk found.

        Raises:
            BadShapeError: too many rows cannot be used.
        """
        self._check_rejected()
        return Snapshot(
            began=began,
            began_monotonic=began_monotonic,
            inventory=tally.inventory(),
            pages=self.pages,
            duplicates=self._duplicates,
            rejected=self._rejected,
            reported=self.reported,
            complete=self.reported is None or (self.rows == self.reported and not self._moved),
        )

    def _repeats_first_page(self, page: Page) -> bool:
        """Tell a server whose pages start at 1, where page 0 is page 1 once more."""
        if self.pages == 0:
            self._first_page = _names(page)
        elif self.pages == 1:
            self._from_one = bool(page.artifacts) and _names(page) == self._first_page
            return self._from_one
        return False

    def _count(self, page: Page, new: int) -> None:
        self.rows += page.rows
        self._duplicates += len(page.artifacts) - new
        self._rejected = Rejected(*map(operator.add, self._rejected, page.rejected))

    def _note_reported(self, item_count: int | None) -> None:
        if item_count is None or (item_count == 0 and self.rows):
            return
        self._moved |= self.reported not in {None, item_count}
        self.reported = item_count

    def _guard_against_loops(self, page: Page, new: int) -> None:
        self._without_news = self._without_news + 1 if page.rows and not new else 0
        if self._without_news < _PAGES_WITHOUT_NEWS:
            return
        self._check_rejected()
        # Rows that cannot be used may all differ.
        if page.artifacts:
            raise PaginationError(
                f"pages repeat: {self._without_news} in a row, up to page {self.pages - 1}, hold no new row"
            )

    def _is_last(self, page: Page, size: int) -> bool:
        """Tell the last page: an empty one, or a short one that leaves nothing out.

        A short page without any count may be the work of a server that sends fewer rows than it is asked for.
        """
        if page.rows == 0:
            return True
        if page.rows >= size:
            return False
        return bool(page.page_size) if self.reported is None else self.rows >= self.reported

    def _plan(self, size: int) -> int:
        if self.reported is None:
            return self.pages - 1 + self._concurrency
        # The last page is a short one; where the count leaves none, that is the empty page beyond it.
        return max(self.reported // size + self._from_one, self.pages)

    def _check_rejected(self) -> None:
        rejected = self._rejected.rows
        if rejected > _REJECTED_ROWS and rejected > _REJECTED_SHARE * self.rows:
            raise BadShapeError(f"{rejected} of {self.rows} rows cannot be used")


def _names(page: Page) -> list[tuple[str | None, ...]]:
    return [(row.registry, row.package_type, row.artifact_type, row.name, row.version) for row in page.artifacts]
