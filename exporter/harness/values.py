"""JSON values that may have any type and size, read one by one.

A value stays JSON until it is read, and reading it takes little memory: objects and lists where a text or a number
belongs are not decoded, nor is more than the beginning of a long text.
"""

import json
import math
import re
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import Annotated

import msgspec
from msgspec import Raw

from exporter.harness.errors import TooLargeError
from exporter.labels import MAX_LENGTH, clean, cut

_DAY = 86_400.0
MAX_COUNT = 2**53
"""Largest integer that JSON and a float64 sample both represent exactly; larger counts are rejected."""

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
"""Type of a count for the lenient decoder, which parses texts too."""


class _Metadata(msgspec.Struct, gc=False):
    tags: Raw = Raw(b"[]")


_LONGEST_PATH = 2**10  # bytes; identifiers of Harness have at most 128 characters
_SIZE = re.compile(r"\s*(?P<number>[0-9]{1,16}(?:\.[0-9]{1,16})?)\s*(?P<unit>bytes?|[kmgtpe]i?b|b)\s*", re.IGNORECASE)
_UNITS = "BKMGTPE"
_LONG = 2**16  # bytes of a value that is not decoded
_MAX_DIGITS = 16  # of MAX_COUNT
_EPOCH = datetime.fromtimestamp(0, UTC)
_MILLISECOND = timedelta(milliseconds=1)
# More characters than a label has: each unit is at least a quarter of one.
_BEGINNING = re.compile(rb"(?s:\\u....|\\.|[^\\]){%d}" % (4 * MAX_LENGTH))
_MAX_REPAIRED = 14 * 2**20  # bytes; with its copy in less than 32 MiB
_HALF = re.compile(rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|[89a-fA-F][0-9a-fA-F]{2})")
_HALF_LENGTH = len(rb"\ud800")
_FLAGS = {b"": None, b"null": None, b"true": True, b"false": False}
_FLAG_LENGTH = 1 + len(b"false")
_METADATA = msgspec.json.Decoder(_Metadata)
_TEXTS = msgspec.json.Decoder(list[str])
_SORTED = msgspec.json.Encoder(order="sorted")


class OddValueError(Exception):
    """A value is neither what it should be nor absent."""


def first_byte(value: Raw) -> bytes:
    """Return the first byte of a value, which shows its type; empty if the value is absent."""
    return bytes(memoryview(value)[:1])


def read_text(value: Raw) -> str | None:
    """Return a text, cut if it is too long for a label; a number as its digits; None for anything else."""
    if len(value) > _LONG and first_byte(value) == b'"':
        return _long_text(memoryview(value)[1:-1])
    found = _scalar(value)
    if found is None or isinstance(found, bool) or found in {math.inf, -math.inf}:
        return None
    return _cut(str(found))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LENGTH else clean(text)


def _long_text(content: memoryview) -> str:
    beginning = next(_BEGINNING.finditer(content))[0]
    return cut(json.loads(f'"{beginning.decode(errors="replace")}"'), content)


def read_path(value: Raw) -> str | None:
    """Return a text that may be longer than a label; None for anything else, and for one that is no path."""
    found = _scalar(value) if len(value) <= _LONGEST_PATH else None
    return found if isinstance(found, str) else None


def read_size(value: Raw) -> int | None:
    """Return a size in bytes, which the API writes for people, such as `1.50GB` or `100 MB`; None if it is absent.

    The API's public server calculates these with units of 1024 (`bytesize` of Go), and rounds to two decimals.

    Raises:
        OddValueError: the value is no size, or beyond `MAX_COUNT`.
    """
    found = _scalar(value)
    if not isinstance(found, str) or not (size := _SIZE.fullmatch(found)):
        return _count(found)
    number = round(float(size["number"]) * 1024 ** _UNITS.index(size["unit"][:1].upper()))
    return _count(number)


def read_texts(value: Raw) -> tuple[str, ...]:
    """Return a list of texts, sorted, each once; empty for anything else."""
    with suppress(msgspec.DecodeError):
        if len(value) <= _LONG:
            return tuple(sorted({_cut(text) for text in _TEXTS.decode(_json_text(value))}))
    return ()


def read_count(value: Raw) -> int | None:
    """Return an integer from 0 to `MAX_COUNT`; None if it is absent.

    Raises:
        OddValueError: the value is neither.
    """
    return _count(_scalar(value))


def read_flag(value: Raw) -> bool | None:
    """Return a flag; None if it is absent.

    Raises:
        OddValueError: the value is neither.
    """
    try:
        return _FLAGS[bytes(memoryview(value)[:_FLAG_LENGTH])]
    except KeyError:
        raise OddValueError from None


def _count(value: str | float | None) -> int | None:
    # The decoder refuses leading zeros. Longer texts exceed MAX_COUNT, and Python may refuse to convert them.
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        value = int(value)
    try:
        return None if value is None else msgspec.convert(value, Count, strict=False)
    except msgspec.ValidationError:
        raise OddValueError from None


def latest_time(now: float) -> int:
    """Return the latest time that a row may have, a day ahead, in milliseconds since the epoch; `now` is in seconds."""
    return int(1000 * (now + _DAY))


def read_time(value: Raw) -> int | None:
    """Return a time in milliseconds since the epoch; None if it is absent, 0 if it is malformed."""
    found = _scalar(value)
    with suppress(OddValueError):
        return _count(found)
    try:
        time = datetime.fromisoformat(found if isinstance(found, str) else "")
        # A text without a time zone is in UTC.
        return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        return 0


def read_key(value: Raw) -> str | None:
    """Return a text that is the same for equal values, whatever the order of their names; None for an empty value."""
    if len(value) > _LONG:
        return cut(bytes(memoryview(value)[: 4 * MAX_LENGTH]).decode(errors="replace"), memoryview(value))
    return (_short_key if len(value) <= MAX_LENGTH else _key)(_json_text(value))


def _key(json_text: str) -> str | None:
    whole = json_text.encode()
    with suppress(msgspec.DecodeError):
        found = msgspec.json.decode(json_text)
        if not found:
            return None
        whole = _SORTED.encode(found)
    return whole.decode() if len(whole) <= MAX_LENGTH else cut(whole.decode(), whole)


# Many rows have the same few keys.
_short_key = lru_cache(maxsize=1_000)(_key)


def read_tags(metadata: Raw) -> tuple[str, ...]:
    """Return `tags`, a list of texts, sorted; not more than a label can show."""
    tags: list[str] = []
    if len(metadata) <= _LONG:
        with suppress(msgspec.DecodeError):
            tags = sorted(_TEXTS.decode(_METADATA.decode(_json_text(metadata)).tags))
    if sum(map(len, tags)) > MAX_LENGTH:
        lengths = accumulate((len(tag) for tag in tags), initial=0)
        tags = [_cut(tag) for tag, before in zip(tags, lengths, strict=False) if before <= MAX_LENGTH]
    return tuple(tags)


def _scalar(value: Raw) -> str | float | None:
    """Return a text, a number or a flag; None if it is absent, infinity if it is none of these or too long."""
    if not len(value):
        return None
    if len(value) > _LONG or first_byte(value) in b"[{":
        return math.inf
    found: str | float | None = json.loads(_json_text(value), parse_int=_parse_int)
    return found


def _json_text(value: Raw) -> str:
    """Return the JSON of a value, with a replacement for bytes that are no text."""
    return bytes(value).decode(errors="replace")


def _parse_int(digits: str) -> int | float:
    """Return the integer; infinity if it has so many digits that Python may refuse to convert it."""
    return int(digits) if len(digits) <= sys.int_info.str_digits_check_threshold else math.inf


def repaired(json_text: bytes | memoryview) -> bytes | memoryview | bytearray:
    """Return JSON with question marks for the halves of surrogate pairs that stand alone: they are no characters.

    Raises:
        TooLargeError: there is too much of it to be copied.
    """
    if not _HALF.search(json_text):
        return json_text
    if len(json_text) > _MAX_REPAIRED:
        raise TooLargeError(f"the response has invalid characters and is larger than {_MAX_REPAIRED} bytes")
    copy = bytearray(json_text)
    end = 0
    while half := _HALF.search(copy, end):
        before, start = copy[end : half.start()], half.start()
        end = start + _HALF_LENGTH
        # After an odd number of backslashes the one that was found is itself escaped.
        if (len(before) - len(before.rstrip(b"\\"))) % 2:
            continue
        if half.end() == end:
            copy[start:end] = b"\\u003f"
        end = half.end()
    return copy
