"""Page of a listing, whose values are read one by one; those that cannot be used are counted."""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Raw, field

from exporter.harness import values
from exporter.harness.envelope import ListingPage, Rejected, rows_of, usable_count
from exporter.harness.errors import BadShapeError
from exporter.harness.values import OddValueError

T = TypeVar("T")


class Reader:
    """Reads the values of one page."""

    def __init__(self, now: float) -> None:
        """Read nothing yet.

        Args:
            now: the wall clock's time in seconds, to recognize times in the future.
        """
        self._latest = values.latest_time(now)
        self._odd = 0
        self._odd_times = 0

    def rejected(self, rows: int) -> Rejected:
        """Return what could not be used so far, with this number of rows."""
        return Rejected(rows, self._odd, self._odd_times)

    @staticmethod
    def name(value: Raw) -> str | None:
        """Return a text, cut if it is too long for a label; None for anything else, and for an empty one."""
        return values.read_text(value) or None if values.first_byte(value) == b'"' else None

    def count(self, value: Raw) -> int | None:
        """Return a count; None if it is absent or odd."""
        return self._usable(values.read_count, value)

    def flag(self, value: Raw) -> bool | None:
        """Return a flag; None if it is absent or odd."""
        return self._usable(values.read_flag, value)

    def size(self, value: Raw) -> int | None:
        """Return a size in bytes; None if it is absent or odd."""
        return self._usable(values.read_size, value)

    def time(self, value: Raw) -> int | None:
        """Return a time in milliseconds since the epoch; None if it is absent or odd."""
        time = values.read_time(value)
        if time is None or 0 < time <= self._latest:
            return time
        self._odd_times += 1
        return None

    def _usable(self, read: Callable[[Raw], T | None], value: Raw) -> T | None:
        try:
            return read(value)
        except OddValueError:
            self._odd += 1
            return None


class _RawMeta(msgspec.Struct, gc=False):
    activeCount: Raw = Raw()  # noqa: N815 - as the API names it
    totalCount: Raw = Raw()  # noqa: N815
    blockedCount: Raw = Raw()  # noqa: N815
    warnCount: Raw = Raw()  # noqa: N815


_META = msgspec.json.Decoder(_RawMeta)


class RawListing(msgspec.Struct, gc=False):
    """What every listing has besides its rows, not decoded."""

    item_count: Raw = field(name="itemCount", default=Raw())
    page_size: Raw = field(name="pageSize", default=Raw())
    meta: Raw = Raw()


def read_listing(
    listing: RawListing, rows: Raw, name: str, row_of: Callable[[Raw, Reader], T | None], *, rows_asked: int, now: float
) -> ListingPage[T]:
    """Return a page of a listing.

    Args:
        listing: what it has besides its rows.
        rows: its rows as JSON.
        name: of the field with the rows, for the errors.
        row_of: returns a row; None if it cannot be used.
        rows_asked: how many rows were requested.
        now: the wall clock's time in seconds, to recognize times in the future.

    Raises:
        BadShapeError: there is no list of rows.
        PaginationError: it has more rows than were requested.
    """
    sent = rows_of(rows, rows_asked, name)
    if sent is None:
        raise BadShapeError(f"the response has no {name}")
    reader = Reader(now)
    found = [usable for row in sent if values.first_byte(row) == b"{" and (usable := row_of(row, reader)) is not None]
    return ListingPage(
        found=found,
        rows=len(sent),
        item_count=usable_count(listing.item_count),
        page_size=usable_count(listing.page_size),
        meta=_counts(listing.meta),
        rejected=reader.rejected(len(sent) - len(found)),
    )


def _counts(meta: Raw) -> dict[str, int]:
    """Return the usable ones of the known counts of a listing, by name; empty if there is no object of them."""
    if values.first_byte(meta) != b"{":
        return {}
    raw = _META.decode(meta)
    counts = {name: usable_count(getattr(raw, name)) for name in _RawMeta.__struct_fields__}
    return {name: count for name, count in counts.items() if count is not None}
