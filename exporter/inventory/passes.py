"""Passes of one walk: all pages newest first, page 0 again, and what else it takes to miss no row.

The listing moves while it is read, and the order of rows with equal times differs from page to page. Where the reported
number falls between two pages, rows moved past the walk, and the pages next to that place are read again. Where rows
are still missing at the end, the whole listing is read once more, oldest first: the two orders miss different rows.
"""

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from contextlib import closing, suppress
from typing import NamedTuple

from exporter.harness.client import SAFE_PAGE_SIZE as SAFE
from exporter.harness.errors import RefreshError
from exporter.harness.page import Page
from exporter.inventory.completeness import Completeness
from exporter.inventory.page_size import is_to_blame
from exporter.inventory.paging import Paging
from exporter.inventory.snapshot import Snapshot
from exporter.inventory.tally import Tally

_AHEAD = 2  # pages asked for per page in flight: no connection is idle while a page is added up

_AHEAD_BYTES = 16 * 2**20  # of pages that were asked for ahead

_MOVED = 2  # times the pages of the listing; beyond that rows come as fast as they are read


class PageQuery(NamedTuple):
    """Page to ask for.

    Attributes:
        page: its number, from 0.
        size: rows per page.
        oldest_first: whether the listing is in the opposite order of the usual one.
    """

    page: int
    size: int
    oldest_first: bool


class Passes:
    """Passes through the pages of one listing.

    Attributes:
        size: rows asked for per page.
    """

    def __init__(
        self,
        ask: Callable[[PageQuery], Future[bytes]],
        decode: Callable[[Future[bytes], int], Page],
        tally: Tally,
        *,
        began: float,
        began_monotonic: float,
        size: int,
        concurrency: int,
        on_page: Callable[[int, int | None], None],
        on_shrunk: Callable[[], None],
    ) -> None:
        """Ask for nothing yet.

        Args:
            ask: asks for a page.
            decode: waits for a page that was asked for, and has no more rows than its second argument.
            tally: adds up the rows.
            began: when the walk began, wall clock, seconds since the epoch.
            began_monotonic: the same moment on the monotonic clock.
            size: rows to ask for per page.
            concurrency: pages in flight.
            on_page: called after each page with the distinct rows so far and the reported rows, if any.
            on_shrunk: called when smaller pages were read after a fault of larger ones.
        """
        self._ask = ask
        self._decode = decode
        self._tally = tally
        self._began = began
        self._began_monotonic = began_monotonic
        self._concurrency = concurrency
        self._on_page = on_page
        self._on_shrunk = on_shrunk
        self._completeness = Completeness(concurrency)
        self._paging = Paging(size, concurrency)
        self.size = size
        self._shrunk = False  # since the last page
        self._pages = 0
        self._largest = 1  # bytes of a page so far
        self._surplus = 0  # pages that are read a second time
        self._artifacts = 0
        self._front: int | None = None  # the newest time on page 0 when it was last read

    def read_first_page(self) -> None:
        """Read page 0 only."""
        with closing(self._pass(self._paging, oldest_first=False)) as pages:
            next(pages)

    def read_rest(self) -> None:
        """Read all pages after page 0, newest first, and then what moved to the front meanwhile.

        Raises:
            RefreshError: a page could not be read, or the pages do not lead through a listing.
            Stopped: the walk was cancelled, or the process is shutting down.
        """
        if not self._paging.ended:
            deque(self._pass(self._paging, oldest_first=False), maxlen=0)
        if self._pages > 1:
            self._read_front()
        self._paging.check_rejected()

    def read_oldest_first(self) -> int:
        """Read all pages once more, until nothing is missing, and return how many rows that found.

        A failure ends it, and what was read stays.

        Raises:
            Stopped: the walk was cancelled, or the process is shutting down.
        """
        before, missing = self._artifacts, self.missing
        paging = Paging(self.size, self._concurrency, again=True)
        with suppress(RefreshError), closing(self._pass(paging, oldest_first=True)) as pages:
            for _ in pages:
                if self._artifacts - before >= missing or not self._surplus_left:
                    break
            self._read_front()
        return self._artifacts - before

    @property
    def reported(self) -> int | None:
        """Rows of the whole listing by the API's last usable count; None if it gave none."""
        return self._completeness.reported

    @property
    def rows_given(self) -> int:
        """Rows per page that the server gives, known after page 0: it may silently cap what was asked for."""
        capped = self._paging.rows < min(self.size, self.reported or 0)
        return self._paging.rows if capped else self.size

    @property
    def missing(self) -> int:
        """How many rows fewer were read than the API reports."""
        return self._completeness.missing(self._distinct)

    def expected_requests(self) -> int | None:
        """Return how many requests the whole walk sends, known after page 0; None if only the walk can show it."""
        return self._paging.expected_requests(self._completeness.reported)

    def snapshot(self) -> Snapshot:
        """Return the snapshot of what was read."""
        return Snapshot(
            began=self._began,
            began_monotonic=self._began_monotonic,
            inventory=self._tally.inventory(),
            pages=self._pages,
            page_size=self._paging.size,
            duplicates=self._paging.duplicates,
            rejected=self._paging.rejected,
            reported=self._completeness.reported,
            complete=self._completeness.proven(self._distinct),
        )

    @property
    def _distinct(self) -> int:
        # Rejected rows have no identity: where other rows repeat, they may be repeats too.
        return self._artifacts + (0 if self._paging.duplicates else self._paging.rejected.rows)

    @property
    def _surplus_left(self) -> int:
        """Pages that may still be read a second time: in all, a walk reads each page twice at most."""
        return max(0, self._paging.pages - self._surplus)

    def _pass(self, paging: Paging, *, oldest_first: bool) -> Generator[None]:
        """Read page after page, and those again that rows may have moved away from."""
        while not paging.ended:
            try:
                yield from self._read_on(paging, oldest_first=oldest_first)
            except RefreshError as error:
                self._shrink(error)
                paging.shrink(SAFE)

    def _shrink(self, error: RefreshError) -> None:
        """Go on with smaller pages if a fault may be due to large ones; raise it otherwise."""
        if not is_to_blame(self.size, error):
            raise error
        self.size = SAFE
        self._shrunk = True

    def _read_on(self, paging: Paging, *, oldest_first: bool) -> Generator[None]:
        again: deque[int] = deque()
        for number, page in self._arriving(paging, again, oldest_first=oldest_first):
            new, fall = self._add(page)
            if number == paging.pages:
                paging.read(page, new=new, reported=self._completeness.reported)
                self._surplus += oldest_first
            if fall:
                again.extend(self._around_last(paging, fall))
            del page  # or it would be held while the next one is decoded
            yield

    def _arriving(self, paging: Paging, again: deque[int], *, oldest_first: bool) -> Generator[tuple[int, Page]]:
        """Ask for pages ahead, and return them in the order in which they were asked for."""
        ahead: deque[tuple[int, Future[bytes]]] = deque()
        asked = paging.pages
        try:
            while True:
                while len(ahead) < self._most_ahead and (again or asked <= paging.last_to_ask):
                    number = again.popleft() if again else asked
                    asked += number == asked
                    ahead.append((number, self._ask(PageQuery(number, self.size, oldest_first))))
                while ahead and paging.ended and ahead[0][0] >= paging.pages:
                    ahead.popleft()[1].cancel()
                if not ahead:
                    return
                number, body = ahead.popleft()
                page = self._decode(body, self.size)
                del body  # frees it before the next one arrives
                self._largest = max(self._largest, page.size)
                yield number, page
                del page  # likewise: the rows of two pages do not fit into the processor cache
        finally:
            for _, body in ahead:
                body.cancel()

    @property
    def _most_ahead(self) -> int:
        """How many pages to ask for ahead: fewer if they are large, as all that arrived wait for their turn."""
        return max(1, min(_AHEAD * self._concurrency, _AHEAD_BYTES // self._largest))

    def _around_last(self, paging: Paging, fall: int) -> Iterable[int]:
        """Return the pages that rows may be on after the reported number fell; none if too many are read again."""
        pages = range(max(0, paging.pages - 1 - math.ceil(fall / paging.size)), paging.pages)
        if len(pages) > self._surplus_left:
            return ()
        self._surplus += len(pages)
        return pages

    def _read_front(self) -> None:
        """Read what came to the front since page 0 was last read, until that is on page 0 alone."""
        left = _MOVED * self._paging.pages
        try:
            while moved := self._read_moved(at_most=left):
                left -= moved
        except RefreshError as error:
            self._shrink(error)
            self._read_front()

    def _read_moved(self, at_most: int) -> int:
        """Read page 0 again, and the next ones while all rows are newer than it had; return how many next ones."""
        since, number = self._front, 0
        page = self._read_again(0)
        while number < at_most and _all_later(page, since):
            number += 1
            page = self._read_again(number)
        return number

    def _read_again(self, number: int) -> Page:
        page = self._decode(self._ask(PageQuery(number, self.size, oldest_first=False)), self.size)
        self._add(page, front=number == 0)
        return page

    def _add(self, page: Page, *, front: bool = False) -> tuple[int, int]:
        """Add up a page; return how many of its rows are new, and by how much the reported number fell."""
        if self._shrunk:
            self._shrunk = False
            self._on_shrunk()
        if self._pages == 0:
            self._completeness.begin(page)
        if front or self._pages == 0:
            self._front = page.newest
        late = self._tally.add(self._completeness.late_rows(page, front=front))
        new = late + self._tally.add(page.artifacts)
        self._artifacts += new
        self._pages += 1
        fall = self._completeness.count(page, late=late, rows=bool(self._artifacts or page.rows))
        self._on_page(self._artifacts, self._completeness.reported)
        return new, fall


def _all_later(page: Page, since: int | None) -> bool:
    """Return whether all rows of a page have times after another one."""
    return since is not None and bool(page.artifacts) and all((row.modified or 0) > since for row in page.artifacts)
