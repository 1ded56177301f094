"""Complete read of a listing other than that of artifacts: page after page, until the pages themselves end it."""

import operator
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from exporter.harness.client import Source
from exporter.harness.envelope import ListingPage, Rejected
from exporter.inventory.paging import check_rejected

PAGE_SIZE = 100
"""Rows per page: as many as every version of the API gives."""

_PAGES_WITHOUT_NEWS = 3

T = TypeVar("T")

AskPage = Callable[[Source, int, int], bytes]
"""Returns the body of a page: of this source, with this number, of so many rows at most; raises RefreshError."""


class Reading(NamedTuple):
    """What a read of a listing was like.

    Attributes:
        pages: pages that were read.
        rows: distinct rows.
        duplicates: rows that repeat an earlier one.
        reported: rows of the whole listing by the API's last usable count; None if it gave none.
        rejected: rows and values that could not be used.
        complete: every page was read, and nothing in them leaves room for a missing row. A wrong count alone does not.
    """

    pages: int = 0
    rows: int = 0
    duplicates: int = 0
    reported: int | None = None
    rejected: Rejected = Rejected()
    complete: bool = False


def read_pages(fetch: Callable[[int], ListingPage[T]], add: Callable[[list[T]], int], size: int = PAGE_SIZE) -> Reading:
    """Read a whole listing, and return what that was like.

    Pages that hold no new row end it after three in a row: it is not complete then.

    Args:
        fetch: returns the page with this number, from 0.
        add: adds up rows, and returns how many of them no earlier page had.
        size: rows asked for per page.

    Raises:
        RefreshError: a page could not be read, or too many rows cannot be used.
    """
    reading, fell, without_news, sent = Reading(), False, 0, 0
    while without_news < _PAGES_WITHOUT_NEWS:
        page = fetch(reading.pages)
        new = add(page.found)
        fell = fell or (page.item_count is not None and page.item_count < (reading.reported or 0))
        reading = _with(reading, page, new)
        sent += page.rows
        without_news = 0 if new else without_news + 1
        if _is_last(page, reading, size):
            reading = reading._replace(complete=not fell and not _is_short(reading))
            break
    check_rejected(reading.rejected.rows, sent)
    return reading


def _with(reading: Reading, page: ListingPage[T], new: int) -> Reading:
    return Reading(
        pages=reading.pages + 1,
        rows=reading.rows + new,
        duplicates=reading.duplicates + len(page.found) - new,
        reported=reading.reported if page.item_count is None else page.item_count,
        rejected=Rejected(*map(operator.add, reading.rejected, page.rejected)),
    )


def _is_last(page: ListingPage[T], reading: Reading, size: int) -> bool:
    """Return whether a page ends the listing: an empty one, or a short one after all reported rows."""
    if page.rows == 0:
        return True
    # Without a usable count, a short page may come from a server that silently gives fewer rows than asked for.
    if page.rows >= min(size, page.page_size or size):
        return False
    return bool(page.page_size) if reading.reported is None else not _lacks_rows(reading)


def _is_short(reading: Reading) -> bool:
    """Return whether rows may be missing: where some repeat, others may have been left out in their place."""
    return bool(reading.duplicates) and _lacks_rows(reading)


def _lacks_rows(reading: Reading) -> bool:
    return reading.rows + reading.rejected.rows < (reading.reported or 0)
