"""Any bytes are a page, the same for both decoders and for the slow reading, or a documented error."""

import re
from unittest.mock import patch

from msgspec.structs import asdict

from exporter.harness import page as pages
from exporter.harness.errors import BadJsonError, BadShapeError, PaginationError
from exporter.labels import MAX_LENGTH
from tests.fuzz import reference

NOW = 1_795_000_000.0
ROWS = 4

_CUT = re.compile(r".+~[0-9a-f]{16}", re.DOTALL)

TOKENS = (
    *(b'"%s"' % name.encode() for name in (*reference.TEXTS, *reference.COUNTS, *reference.TIMES)),
    *(b'"%s"' % name.encode() for name in reference.ENVIRONMENTS),
    *b'"status" "SUCCESS" "message" "data" "artifacts" "itemCount" "pageSize" "isQuarantined"'.split(),
    *b'"deploymentMetadata" "artifactKey" "metadata" "tags" "ALLOWED" "BLOCKED" "null" ""'.split(),
    *b"null true false 0 -0 -1 1.0 1.5 1e3 1e999 9007199254740992 9007199254740993 NaN Infinity 01 {} []".split(),
    *b'"0" "007" "1.0" "1e3" "-0" "9007199254740993" "1730978736333" "-62135596800000" 1730978736333'.split(),
    *b'"2024-11-07T11:25:36.333Z" "2024-11-07" "9999-12-31T23:59:59-23:59" "\\u0000" "\\n" "n\\u0061me"'.split(),
    *(rb'"\ud800"', rb'"\\\ud83d\ude00"', b'"\xff"', b'"\xed\xa0\x80"', b'"\x00"', '"\u00e9\U0001f600"'.encode()),
    *(b"[" * 1_000, b"9" * 641, b'"%s"' % (b"x" * 257), b'{"a":1,"b":{"c":[]}}'),
    *(b'{"tags":["b","a"]}', b'["a"]', b'"a":1'),
)


class _ByLevel(pages._TolerantDecoder):
    decode = pages._TolerantDecoder._decode_by_level


_WAYS = (
    {"_FAST_BODY": pages._FAST_BODY},
    {"_FAST_BODY": -1},
    {"_FAST_BODY": -1, "_TolerantDecoder": _ByLevel},
    {"_FAST_BODY": -1, "_TolerantDecoder": _ByLevel, "_FAST_ROW": -1},
)


def check(data):
    """Compare all ways to decode a page: at once, by row, by level, by value, and the slow one."""
    found, *others = (_decoded(data, way) for way in _WAYS)
    assert all(other == found for other in others), f"{found}\n{others}"
    if not reference.is_deep(data):
        expected = _expected(data)
        _compare_keys(found, expected)
        assert found == expected or _is_no_object(data, found), f"{found}\n{expected}"


def _decoded(data, way):
    """Return what `decode_page` makes of a body, in the terms of the slow reading."""
    with patch.multiple(pages, **way):
        try:
            page = pages.decode_page(data, NOW, rows_asked=ROWS)
        except (BadJsonError, BadShapeError, PaginationError) as error:
            _check_message(str(error))
            return error.reason
    times = [artifact.modified for artifact in page.artifacts if artifact.modified is not None]
    assert page.newest == max(times, default=None)
    rows = [_row(artifact) for artifact in page.artifacts]
    return rows, page.rows, page.item_count, page.page_size, tuple(page.rejected)


def _check_message(message):
    assert message.isprintable(), ascii(message)
    assert len(message) < 3 * MAX_LENGTH, message


def _row(artifact):
    row = asdict(artifact)
    assert all(len(text) <= MAX_LENGTH for text in row.values() if isinstance(text, str)), artifact
    assert sum(map(len, row["tags"])) <= 2 * MAX_LENGTH, artifact
    if artifact.deployments:
        row["deployments"] = asdict(artifact.deployments)
    return row


def _is_no_object(data, found):
    """Return whether a body is refused for its beginning, whatever follows: a list, a text or a number."""
    return found == "bad_shape" and not data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")


def _compare_keys(page, expected):
    """Compare the keys of rows, and leave the text in both pages; one that is cut cannot be compared."""
    for row, slow in zip(page[0], expected[0], strict=False) if not isinstance(page, str) else ():
        if row["artifact_key"] is None or not _CUT.fullmatch(row["artifact_key"]):
            assert _value(row["artifact_key"]) == slow["artifact_key"]
        slow["artifact_key"] = row["artifact_key"]


def _value(key):
    return None if key is None else reference.parsed(key.encode())


def _expected(data):
    try:
        return reference.read_page(data, NOW, ROWS)
    except reference.RefusedError as error:
        return str(error)
