"""Envelope of a response: the JSON object around the rows of a page, and the message of an error.

The envelope is read level by level, and what is not read stays JSON: an invalid value affects only itself, and a page
with more rows than were asked for is refused before they are built.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeVar, cast

import msgspec
from msgspec import Raw, field

from exporter.harness import values
from exporter.harness.errors import BadJsonError, BadShapeError, PaginationError
from exporter.harness.values import OddValueError
from exporter.labels import Label, clean

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LARGEST_BODY = 16 * 2**20
_LARGEST_EMPTY_PAGE = 2 * 2**20
_LARGEST_ROW = 16 * 2**10  # on average

T = TypeVar("T")


class RawEnvelope(msgspec.Struct, gc=False):
    """Outer object of a response of the API, not decoded."""

    status: Raw = Raw()
    message: Raw = Raw()
    data: Raw = Raw()


class Rejected(NamedTuple):
    """Numbers of rows and values that could not be used.

    Attributes:
        rows: rows without a text that every row must have, or with one that decides whether the row counts and is odd.
        counts: counts, sizes and flags that are none, such as a count that is no integer from 0 to `MAX_COUNT`.
        times: times that are malformed, not positive, or more than a day in the future.
    """

    rows: int = 0
    counts: int = 0
    times: int = 0


class ListingPage(NamedTuple, Generic[T]):
    """Page of a listing other than that of artifacts.

    Attributes:
        found: the rows that can be used, in the API's order.
        rows: number of rows that the API sent, including those that cannot be used.
        item_count: `itemCount`: rows of the whole listing as counted by the API; None if there is no usable count.
        page_size: `pageSize`: the size in force; None if there is no usable one.
        meta: `meta`: counts of the whole listing, by name, as far as they are usable.
        rejected: numbers of rows and values that could not be used.
    """

    found: list[T]
    rows: int
    item_count: int | None
    page_size: int | None
    meta: dict[str, int]
    rejected: Rejected


_RAW_ENVELOPE = msgspec.json.Decoder(RawEnvelope)


def list_type(row: type, most: int) -> type[msgspec.Struct]:
    """Return a new type of lists of at most so many rows: its decoder stops before it builds another one."""
    rows = [(f"row{number}", row, field(default=None)) for number in range(most)]
    return msgspec.defstruct("_Rows", rows, array_like=True, forbid_unknown_fields=True, gc=False)


# Types of its own for each decoder: one that two threads make decoders of at the same time crashes the process.
@lru_cache(maxsize=8)
def _rows_decoder(most: int) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(list_type(Raw, most))


def largest_body(rows_asked: int) -> int:
    """Return how many bytes a page may have, as it is sent and decompressed."""
    return min(_LARGEST_BODY, _LARGEST_EMPTY_PAGE + rows_asked * _LARGEST_ROW)


def without_mark(body: bytes) -> bytes | memoryview:
    """Return a body without the byte order mark that it may begin with."""
    return memoryview(body)[len(_BYTE_ORDER_MARK) :] if body.startswith(_BYTE_ORDER_MARK) else body


@contextmanager
def nesting_checked() -> Iterator[None]:
    """Raise BadJsonError for JSON that is nested too deeply."""
    try:
        yield
    except RecursionError:
        raise BadJsonError("the response is nested too deeply") from None


def decode_object(body: bytes | memoryview, decoder: msgspec.json.Decoder[T]) -> T:
    """Return the JSON object that a body is.

    Args:
        body: a body without a byte order mark.
        decoder: decodes an object whose fields stay JSON.

    Raises:
        BadJsonError: the body is not JSON.
        BadShapeError: it is not an object.
        TooLargeError: it has invalid characters, and is too large for these to be replaced.
    """
    try:
        try:
            return decoder.decode(body)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            return decoder.decode(values.repaired(body))
    except msgspec.ValidationError:
        raise BadShapeError("the response is not a JSON object") from None
    except msgspec.DecodeError as error:
        raise BadJsonError(f"the response is not JSON: {clean(str(error))}") from None


def decode_envelope(body: bytes | memoryview) -> RawEnvelope:
    """Return the outer object of a response; raises as `decode_object`."""
    return decode_object(body, _RAW_ENVELOPE)


def successful_data(body: bytes, label: Label) -> Raw:
    """Return `data`, which is an object, of a successful response.

    Args:
        body: the decompressed body of the response.
        label: makes a label value of a text, for the errors.

    Raises:
        BadJsonError: the body is not JSON.
        BadShapeError: it is JSON, but not a successful response.
        TooLargeError: it has invalid characters, and is too large for these to be replaced.
    """
    envelope = decode_envelope(without_mark(body))
    check_status(values.read_text(envelope.status) or "", values.read_text(envelope.message), label)
    if values.first_byte(envelope.data) != b"{":
        raise BadShapeError("the response has no data")
    return envelope.data


def check_status(status: str, message: str | None, label: Label) -> None:
    """Check the status that a response has besides that of HTTP.

    Raises:
        BadShapeError: it is not SUCCESS.
    """
    if status != "SUCCESS":
        raise BadShapeError(f"the API returned status {label(status)!r}: {label(message or 'no message')}")


def rows_of(rows: Raw, most: int, name: str) -> Sequence[Raw] | None:
    """Return the rows of a page as JSON; None if there is no list, which may be empty or null.

    Args:
        rows: the list as JSON.
        most: how many rows were requested.
        name: of the field, for the error.

    Raises:
        BadShapeError: the value is no list.
        PaginationError: it has more rows than were requested.
    """
    kind = values.first_byte(rows)
    if kind in {b"", b"n"}:
        return () if kind else None  # null is an empty list
    if kind != b"[":
        raise BadShapeError(f"{name} is not a list")
    try:
        found = _rows_decoder(most).decode(rows)
    except msgspec.ValidationError:
        raise PaginationError(f"a page has more rows than the {most} that were requested") from None
    return [row for row in cast("Sequence[Raw]", msgspec.structs.astuple(found)) if row]


def usable_count(value: Raw) -> int | None:
    """Return a count; None if it is absent or odd."""
    try:
        return values.read_count(value)
    except OddValueError:
        return None


def error_message(body: bytes) -> str:
    """Return the message in the body of an error; empty if there is no readable one."""
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    # The newer version of the API puts it into an object of its own.
    for part in (envelope, envelope.get("error") if isinstance(envelope, dict) else None):
        if isinstance(part, dict) and isinstance(message := part.get("message"), str):
            return message
    return ""
