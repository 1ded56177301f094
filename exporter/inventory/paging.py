"""Paging rules: which pages to ask for, and when the listing ends.

The listing moves while it is read, and the API's own count can be wrong. So the pages themselves end a pass; the count
only plans which pages to ask for ahead.
"""

import math
import operator

from exporter.harness.envelope import Rejected
from exporter.harness.errors import BadShapeError, PaginationError
from exporter.harness.page import Page

_PAGES_WITHOUT_NEWS = 3
_REJECTED_ROWS = 100
_REJECTED_SHARE = 0.01


def requests_of_walk(rows: int, first_page: int, size: int) -> int:
    """Return how many requests a walk sends through a listing that does not move; retries not included.

    Args:
        rows: rows of the listing.
        first_page: rows of its first page.
        size: rows per page.
    """
    if first_page < size:  # the whole listing, or a server that silently sends fewer rows than requested
        pages = math.ceil(rows / first_page) if first_page else 1
    else:
        pages = max(rows, first_page) // size + 1  # a full page is followed by another one
    return pages + 1 if pages > 1 else 1  # page 0 is read again at the end


def check_rejected(rejected: int, rows: int) -> None:
    """Check how many of some rows could not be used.

    Raises:
        BadShapeError: more than a few, and more than 1 %.
    """
    if rejected > _REJECTED_ROWS and rejected > _REJECTED_SHARE * rows:
        raise BadShapeError(f"{rejected} of {rows} rows cannot be used")


class Paging:
    """Progress of one pass through the pages of a listing, from page 0 to the last one.

    Attributes:
        size: rows per page in force, which a server may have lowered.
        pages: pages read so far.
        rows: rows read so far, repeated and rejected ones included.
        duplicates: rows that repeat an earlier one.
        rejected: rows and values that could not be used.
        ended: whether the last page was read.
        last_to_ask: the highest page number that is worth asking for now.
    """

    def __init__(self, size: int, concurrency: int, *, again: bool = False) -> None:
        """Start before the first page.

        Args:
            size: rows asked for per page.
            concurrency: pages to ask for ahead without a usable count.
            again: the listing was read before, so that pages without a new row are no fault.
        """
        self.size = size
        self.pages = 0
        self.rows = 0
        self.duplicates = 0
        self.rejected = Rejected()
        self.ended = False
        self.last_to_ask = 0
        self._asked_size = size
        self._concurrency = concurrency
        self._again = again
        self._first_page: list[tuple[str | None, ...]] = []
        self._from_one = False
        self._without_news = 0
        self._reported_with_news: int | None = None

    def read(self, page: Page, *, new: int, reported: int | None) -> None:
        """Count the next page.

        Args:
            page: the page.
            new: how many of its rows no earlier page had.
            reported: rows of the whole listing by the API's last usable count; None if it gave none.

        Raises:
            BadShapeError: too many rows cannot be used.
            PaginationError: the pages do not lead through the listing.
        """
        if not self._repeats_first_page(page):
            self.rows += page.rows
            self.duplicates += len(page.artifacts) - new
            self.rejected = Rejected(*map(operator.add, self.rejected, page.rejected))
        self.pages += 1
        if not self._again:
            self._detect_loop(page, new, reported)
        self.size = min(self._asked_size, page.page_size or self._asked_size)
        self.ended = self._is_last(page, reported)
        self.last_to_ask = self.pages - 1 if self.ended else self._plan(reported)

    def shrink(self, size: int) -> None:
        """Go on with smaller pages, from the one that has the next row; nothing in between is left out."""
        self.pages = self.pages * self._asked_size // size
        self.size = self._asked_size = size
        self.last_to_ask = self.pages

    def expected_requests(self, reported: int | None) -> int | None:
        """Return how many requests the whole walk sends, known from its first page; retries not included.

        Args:
            reported: rows of the whole listing by the API's count; None if it gave none.

        Returns:
            The number; None if only the walk itself can show it.
        """
        if self.ended:
            return 1
        return None if reported is None else requests_of_walk(reported, self.rows, self.size)

    def check_rejected(self) -> None:
        """Check how many rows could not be used.

        Raises:
            BadShapeError: more than a few, and more than 1 %.
        """
        check_rejected(self.rejected.rows, self.rows)

    def _repeats_first_page(self, page: Page) -> bool:
        """Detect a server that counts pages from 1: it returns the first page for page 0 and page 1."""
        if self.pages == 0:
            self._first_page = _names(page)
        elif self.pages == 1:
            self._from_one = bool(page.artifacts) and _names(page) == self._first_page
            return self._from_one
        return False

    def _detect_loop(self, page: Page, new: int, reported: int | None) -> None:
        if new or not page.rows:
            self._without_news, self._reported_with_news = 0, reported
            return
        self._without_news += 1
        # Rows that were pushed since the last news repeat as many others.
        pushed = max(0, (reported or 0) - (self._reported_with_news or 0))
        if self._without_news < _PAGES_WITHOUT_NEWS + math.ceil(pushed / self.size):
            return
        self.check_rejected()
        # Rejected rows have no identity: pages that hold nothing else may all differ.
        if page.artifacts:
            raise PaginationError(
                f"pages repeat: {self._without_news} in a row, up to page {self.pages - 1}, hold no new row"
            )

    def _is_last(self, page: Page, reported: int | None) -> bool:
        """Return whether a page ends the listing: an empty one, or a short one after all reported rows.

        Without any count a short page may come from a server that caps the page size silently.
        """
        if page.rows == 0:
            return True
        if page.rows >= self.size:
            return False
        return bool(page.page_size) if reported is None else self.rows >= reported

    def _plan(self, reported: int | None) -> int:
        if reported is None:
            return self.pages - 1 + self._concurrency
        # The last page is a short one; if the count is a multiple of the page size, that is the empty page after it.
        return max(reported // self.size + self._from_one, self.pages)


def _names(page: Page) -> list[tuple[str | None, ...]]:
    return [(row.registry, row.package_type, row.artifact_type, row.name, row.version) for row in page.artifacts]
