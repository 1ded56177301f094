"""Answers that are small on the wire and large once they are decompressed, decoded, or both."""

import json

from exporter.labels import REGISTRIES, VIOLATIONS
from tests.support.sources import registry_row, violation_row
from tests.support.upstream import make_row

_BEFORE, _AFTER = b'{"status":"SUCCESS","data":{"artifacts":[', b"}}"
_LISTING = _BEFORE + b'%s],"itemCount":1' + _AFTER
_LISTINGS = {
    "artifacts": (_BEFORE, _AFTER),
    REGISTRIES: (b'{"status":"SUCCESS","data":{"registries":[', b"}}"),
    VIOLATIONS: (b'{"data":[', b"}"),
}


def _rows(unit, count=1):
    return _LISTING.replace(b"%s", b"%s" + unit).replace(b'Count":1', b'Count":%d' % count), unit + b","


def _inside(before, after, unit):
    """Return a listing of one row that is filled up between two texts."""
    row = json.dumps(violation_row(1) | registry_row(1) | make_row(1, FILLED=None)).encode()
    return _LISTING % row.replace(b'"FILLED": null', before + b"%s" + after), unit


ON_EVERY_PAGE = "rows: large, on every page"
"""Answer that is meant for all pages of a walk."""

_KINDS = {
    ON_EVERY_PAGE: _rows(json.dumps(make_row(1, labels="x" * 16_800)).encode(), count=10_000),
    "rows: {}": _rows(b"{}"),
    "rows: []": _rows(b"[]"),
    "rows: digits": _rows(b"1"),
    "rows: null": _rows(b"null"),
    "rows: texts": _rows(b'"ab"'),
    "rows: {} beside a surrogate": _rows(b'{},{"a":"\\ud800"}'),
    "rows: valid, too many": _rows(json.dumps({"name": "a", "registryIdentifier": "r"}).encode()),
    "unread: lists": _inside(b'"labels":[[]', b"]", b",[]"),
    "unread: objects": _inside(b'"labels":[{}', b"]", b",{}"),
    "unread: wide": _inside(b'"labels":{"a":1', b"}", b',"b":1'),
    "unread: deep": _inside(b'"labels":[0', b"]", b"," + b"[" * 500 + b"]" * 500),
    "unread: digits": _inside(b'"labels":1', b"", b"7"),
    "unread: lists beside a surrogate": _inside(b'"a":"\\ud800","labels":[[]', b"]", b",[]"),
    "unread: surrogates": _inside(b'"labels":"', b'"', b"\\ud800"),
    "version: text": _inside(b'"version":"', b'"', b"v"),
    "version: wide text": _inside(b'"version":"\xf0\x9f\x98\x80', b'"', b"v"),
    "version: escapes": _inside(b'"version":"', b'"', b"\\u00e9"),
    "version: surrogates": _inside(b'"version":"', b'"', b"\\ud800"),
    "version: no UTF-8": _inside(b'"version":"', b'"', b"\xff"),
    "version: list": _inside(b'"version":[[]', b"]", b",[]"),
    "count: digits": _inside(b'"fileCount":1', b"", b"7"),
    "flag: list": _inside(b'"isQuarantined":[[]', b"]", b",[]"),
    "key: wide": _inside(b'"artifactKey":{"a":""', b"}", b',"b":[]'),
    "tags: many": _inside(b'"metadata":{"tags":["a"', b"]}", b',"b"'),
    "deployments: wide": _inside(b'"deploymentMetadata":{"a":[]', b"}", b',"b":[]'),
    "repeated name": _inside(b'"name":"a"', b"", b',"name":"abc"'),
    "message": (b'{"status":"FAILURE","message":"\xf0\x9f\x98\x80%s"}', b"m"),
    "status": (b'{"status":[%s[]]}', b"[],"),
    "count of rows": (b'{"status":"SUCCESS","data":{"artifacts":[],"itemCount":[%s[]]}}', b"[],"),
    "identifier: text": _inside(b'"identifier":"', b'"', b"v"),
    "registryName: surrogates": _inside(b'"registryName":"', b'"', b"\\ud800"),
    "registrySize: digits": _inside(b'"registrySize":"1', b'"', b"7"),
    "path: wide text": _inside(b'"path":"acct/\xf0\x9f\x98\x80', b'"', b"/r"),
    "categories: many": _inside(b'"securityViolationCategories":["a"', b"]", b',"b"'),
    "policySets: many": _inside(b'"policySets":[{}', b"]", b',{"policySetName":"a"}'),
    "meta: wide": (b'{"data":[],"meta":{%s"totalCount":1}}', b'"b":[],'),
    "artifacts: object": (b'{"status":"SUCCESS","data":{"artifacts":{%s"a":1}}}', b'"b":{},'),
    "no object": (b"[%s{}]", b"{},"),
    "blanks": (b'{"status":"SUCCESS",%s"data":{"artifacts":[]}}', b" "),
}

KINDS = tuple(_KINDS)
"""Names of the answers."""

READABLE = tuple(
    kind for kind in KINDS if kind.startswith(("unread", "version", "count:", "key", "tags", "deployments"))
)
"""Answers with one artifact, whose other values are of no use."""


def body_of(kind, size, listing="artifacts"):
    """Return the body of an answer, of at most this many bytes, in place of one of the listings."""
    around, unit = _KINDS[kind]
    if around.startswith(_BEFORE):
        before, after = _LISTINGS[listing]
        around = before + around[len(_BEFORE) : -len(_AFTER)] + after
    return around.replace(b"%s", unit * ((size - len(around)) // len(unit)))


def full_rows(rows, size):
    """Return a listing whose rows have a text in every field, of characters that take four bytes in memory."""
    texts = ("version", "packageType", "purl", "quarantineReason", "scanStatus", "firewallMode", "uuid")
    length = (size // rows - 500) // len(texts)
    return _LISTING % b",".join(
        json.dumps(
            make_row(number, **dict.fromkeys(texts, "\U0001f600" + "x" * (length - 20))), ensure_ascii=False
        ).encode()
        for number in range(rows)
    )
