"""Completeness of a walk: what the counts and the rows of its pages prove.

A walk is complete if it has as many distinct rows as the API reports, and as many more as may have been deleted after
they were read. Equal numbers alone prove nothing, because a deleted row that was read would hide one that was missed.

Deletions show in two ways: the reported number falls from one page to the next, or, where as many rows were pushed in
the same moment, more new rows appear than that number grew by.
"""

from collections import deque

from exporter.harness.page import Artifact, Page


class Completeness:
    """Evidence of one walk.

    Attributes:
        reported: rows of the whole listing by the API's last usable count; None if it gave none.
    """

    def __init__(self, concurrency: int) -> None:
        """Start without evidence.

        Args:
            concurrency: pages in flight, which the server may answer in any order.
        """
        self.reported: int | None = None
        self._reported_first: int | None = None
        self._recent: deque[int] = deque(maxlen=concurrency)
        self._falls = 0
        self._late = 0
        self._began: int | None = None

    def begin(self, page: Page) -> None:
        """Note the newest time on the first page of the walk: rows that are pushed later have later ones."""
        self._began = page.newest

    def late_rows(self, page: Page, *, front: bool) -> list[Artifact]:
        """Return the rows of a page that may have been pushed after the walk began.

        Args:
            page: the page.
            front: whether the page is the first one, read again, where a listing without times has such rows.
        """
        if self._began is None:
            return page.artifacts if front else []
        if (page.newest or 0) <= self._began:
            return []
        return [row for row in page.artifacts if row.modified is not None and row.modified > self._began]

    def count(self, page: Page, *, late: int, rows: bool) -> int:
        """Count the next answer, in the order in which pages were asked for.

        Args:
            page: the answer.
            late: how many of its late rows no earlier page had.
            rows: whether the listing has any rows.

        Returns:
            By how much the reported number fell since the last answer.
        """
        self._late += late
        # The server returns 0 if its count query fails, even next to rows.
        if page.item_count is None or (page.item_count == 0 and rows):
            return 0
        if self._reported_first is None:
            self._reported_first = page.item_count
        # Of pages in flight a later one may have been answered first.
        fall = max(0, min(self._recent, default=0) - page.item_count)
        self._recent.append(page.item_count)
        self._falls += fall
        self.reported = page.item_count
        return fall

    def missing(self, distinct: int) -> int:
        """Return how many rows fewer were read than the API reports; 0 without a usable count."""
        return 0 if self.reported is None else max(0, self.reported - distinct)

    def proven(self, distinct: int) -> bool:
        """Return whether nothing leaves room for a missing row; true without a usable count.

        Args:
            distinct: distinct rows that were read.
        """
        if self.reported is None or self._reported_first is None:
            return True
        deleted = max(0, self._late - (self.reported - self._reported_first))
        if self._began is None:
            deleted = max(deleted, self._falls)
        # More rows than that contradict the count, which then proves nothing.
        return distinct == self.reported + deleted
