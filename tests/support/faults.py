"""Faults of a server, case by case: the response, and the required behaviour of the exporter.

The row of a case is its first column in the table of `docs/faults.md`.
"""

import gzip
import json
import re
import socket
import ssl
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

import trustme

from exporter.labels import clean
from tests.support import amplified
from tests.support.listings import body_of
from tests.support.rawserver import HEAD, drips, hangs, sends, stalls
from tests.support.upstream import make_row, make_rows

SLOW = {"request_timeout": "1s"}
"""Settings for cases that last until `request_timeout`."""

ALONE = {"concurrency": "1"}
"""Settings for cases in which requests ahead would make the number of requests unpredictable."""

MEGABYTE = 2**20


@dataclass(frozen=True)
class Case:
    """Case of a fault.

    Attributes:
        row: the row of the table in the docs.
        name: the name of the case within its row.
        behave: handles each connection of the server.
        reason: the reason of the failed refresh; empty if the refresh succeeds.
        log: texts that must be in the log.
        requests: number of connections.
        series: series of the next scrape, with their values; None for a series that must be absent.
        settings: settings of the exporter.
        tls: returns the TLS context of the server for a certificate authority; None for plain HTTP.
    """

    row: str
    name: str
    behave: Callable
    reason: str = ""
    log: tuple[str, ...] = ()
    requests: int = 1
    series: dict[str, float | None] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    tls: Callable[[trustme.CA], ssl.SSLContext | None] | None = None

    def __str__(self):
        return re.sub(r"[^a-zA-Z0-9]+", "-", f"{self.row[:24]}: {self.name}")


def answer(body, *headers, status="200 OK", content_type="application/json"):
    """Return the bytes of a complete response."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    kind = [f"Content-Type: {content_type}"] if content_type else []
    head = [f"HTTP/1.1 {status}", *kind, *headers, f"Content-Length: {len(body)}", "Connection: close"]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def says(body, *headers, **options):
    """Return the behaviour that sends a complete response."""
    return sends(answer(body, *headers, **options))


def lists(*rows, **data):
    """Return the behaviour that sends a complete listing of one page."""
    return says(body_of(rows, **{"itemCount": len(rows), "pageSize": 100, **data}))


def pages(rows_of, **data):
    """Return the behaviour that sends, for each page, the rows that a function of its number and size returns.

    Other fields may be functions too, which are called for each response.
    """

    def behave(server, sock):
        query = server.read(sock).split(b"\r\n")[0]
        page, size = (int(re.search(rb"[?&]%s=(\d+)" % name, query)[1]) for name in (b"page", b"size"))
        said = {name: value() if callable(value) else value for name, value in data.items()}
        sock.sendall(answer(body_of(rows_of(page, size), **said)))

    return behave


def resets(*parts):
    """Return the behaviour that resets the connection after these bytes."""

    def behave(server, sock):
        sends(*parts)(server, sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return behave


def redirects(status, location="http://{elsewhere}/"):
    """Return the behaviour that redirects the client to another server."""

    def behave(server, sock):
        target = location.format(elsewhere=server.elsewhere)
        server.read(sock)
        sock.sendall(answer(b"", f"Location: {target}", f"Refresh: 0; url={target}", status=f"{status} Go"))

    return behave


def endless(first, chunk):
    """Return the behaviour that sends data forever."""

    def behave(server, sock):
        sends(first)(server, sock)
        while not server.over.is_set():
            sock.sendall(chunk)

    return behave


GOOD = body_of(make_rows(3), itemCount=3, pageSize=100)
PACKED = gzip.compress(GOOD)
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)
DEEP = b"[" * 100_000 + b"]" * 100_000
LONG = b"9" * 5000


def valued(json_text, name="downloadsCount"):
    """Return a listing of three rows, with this JSON text as the value of a field in the first row."""
    told = (
        GOOD
        if name == "downloadsCount"
        else GOOD.replace(b'"downloadsCount"', b'"downloadsCount": 1, "%s"' % name.encode())
    )
    return told.replace(b": 1}", b": %s}" % json_text, 1)


def cases(row, reason, behaviours, **options):
    """Return the cases of a row that differ only in the behaviour of the server."""
    return [Case(row, name, behave, reason, **options) for name, behave in behaviours.items()]


def rejected(reason, number=1):
    return {f'har_snapshot_rejected{{reason="{reason}",space="acct"}}': number}


BROKEN_JSON = cases(
    "A body that is not JSON", "bad_json",
    {
        "truncated": says(GOOD[:-1]),
        "empty": says(b""),
        "a web page": says(b"<html>Sign in</html>"),
        "a web page without a type": says(b"<html>Sign in</html>", content_type=""),
        "trailing bytes": says(GOOD + b"x"),
        "two documents": says(GOOD + GOOD),
        "no length, closed early": sends(HEAD + b"\r\n" + GOOD[:-9]),
        "utf-16": says(GOOD.decode().encode("utf-16")),
    },
    log=("the response is not JSON",),
) + cases(
    "A body whose gzip is damaged", "bad_json",
    {
        "truncated": says(PACKED[:-5], "Content-Encoding: gzip"),
        "not gzip": says(GOOD, "Content-Encoding: gzip"),
        "trailing bytes": says(PACKED + b"x", "Content-Encoding: gzip"),
        "wrong checksum": says(PACKED[:-8] + bytes(8), "Content-Encoding: gzip"),
    },
    log=("gzip",),
) + cases(
    "JSON with very deep nesting, NaN or Infinity", "bad_json",
    {
        "deep": says(b'{"data": %s}' % DEEP),
        "deep in a field that is read": says(valued(DEEP)),
        "deep in a field that is not read": says(valued(DEEP, "unknown")),
        "NaN": says(valued(b"NaN")),
        "Infinity": says(valued(b"-Infinity", "unknown")),
    },
)  # fmt: skip

HTML = "something other than the API"

NO_LISTING = cases(
    "A content type other than JSON", "bad_shape",
    {"text": says(GOOD, content_type="text/plain"), "XML": says(GOOD, content_type="application/xml; charset=utf-8")},
    log=("the server returned Content-Type",),
) + cases(
    "A content type other than JSON", "bad_shape",
    {
        "HTML": says(GOOD, content_type="text/html; charset=utf-8"),
        "XHTML": says(b"", content_type="application/xhtml+xml"),
    },
    log=(HTML, "base_url"),
) + cases(
    "A content type other than JSON", "bad_shape",
    {"an encoding that was not requested": says(b"x", "Content-Encoding: br")},
    log=("Content-Encoding",),
) + cases(
    "JSON that is not a successful listing", "bad_shape",
    {
        "a list": says([]),
        "null": says(None),
        "a text": says("SUCCESS"),
        "no status": says({"data": {"artifacts": []}}),
        "no data": says({"status": "SUCCESS"}),
        "data of a wrong type": says({"status": "SUCCESS", "data": []}),
        "no artifacts": says({"status": "SUCCESS", "data": {"itemCount": 0}}),
        "artifacts of a wrong type": says({"status": "SUCCESS", "data": {"artifacts": {"a": 1}}}),
        "artifacts is a text": says({"status": "SUCCESS", "data": {"artifacts": "none"}}),
        "artifacts is the text null": says({"status": "SUCCESS", "data": {"artifacts": "null"}}),
    },
) + cases(
    "JSON that is not a successful listing", "bad_shape",
    {
        status: says({"status": status, "message": "registry\nis broken" + "!" * 5000})
        for status in ("FAILURE", "ERROR", "failure\n")
    },
    log=("registry?is broken!!!", "!~"),
) + cases(
    "A success other than 200", "bad_shape",
    {"204": says(b"", status="204 No Content"), "206": says(GOOD, status="206 Partial Content")},
    log=("the server returned 20",),
)  # fmt: skip

CONNECTIONS = cases(
    "A connection that breaks", "connect",
    {
        "short body": sends(HEAD + b"Content-Length: 9999\r\n\r\n" + GOOD),
        "bad chunk": sends(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + GOOD),
        "negative chunk": sends(HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n" + GOOD),
        "short chunk": sends(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}"),
        "no last chunk": sends(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"),
        "reset within the body": resets(HEAD + b"Content-Length: 9999\r\n\r\n" + GOOD),
        "reset immediately": resets(),
        "closed without a response": sends(),
        "incomplete head": sends(HEAD[:-5]),
        "not HTTP": sends(b"220 mail.example ESMTP\r\n"),
        "an endless header": sends(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000),
    },
    requests=3, log=("base_url",),
)  # fmt: skip

SLOWNESS = cases(
    "No complete response in time", "timeout",
    {
        "silence": hangs,
        "status drip": drips(b"", b"H"),
        "header drip": drips(b"HTTP/1.1 200 OK\r\nX-Drip: ", b"a"),
        "body drip": drips(HEAD + b"Content-Length: 100000\r\n\r\n", b" "),
        "chunk drip": drips(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        "endless provisional responses": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 9),
        "endless headers": endless(HEAD, b"X: y\r\n" * 999),
    },
    settings=SLOW, log=("request_timeout",),
)  # fmt: skip

BOMB = gzip.compress(bytes(64 * MEGABYTE))

SIZES = cases(
    "A response that is too large", "too_large",
    {
        "more than 100 rows may be": says(GOOD + b" " * (2 * MEGABYTE + 100 * 16 * 1024 - len(GOOD) + 1)),
        "gzip bomb": says(BOMB, "Content-Encoding: gzip"),
        "large": says(b" " * (16 * MEGABYTE + 1)),
        "endless": endless(HEAD + b"\r\n", b" " * MEGABYTE),
        "endless chunks": endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"100\r\n" + b" " * 256 + b"\r\n"),
        "endless gzip": endless(HEAD + b"Content-Encoding: gzip\r\n\r\n", BOMB[:-8]),
    },
    log=("page_size",),
)  # fmt: skip

PAGING = [
    Case("Pages that repeat or overflow", "the same page forever", pages(lambda _, size: make_rows(size)),
         "pagination", requests=4, settings=ALONE),
    Case("Pages that repeat or overflow", "two alternating pages",
         pages(lambda page, size: make_rows(2 * size)[page % 2 * size :][:size]), "pagination", requests=5,
         settings=ALONE),
    Case("Pages that repeat or overflow", "always a full page, regardless of the count",
         pages(lambda page, size: make_rows(500)[min(page, 2) * size :][:size], itemCount=300), "pagination",
         requests=6, settings=ALONE),
    Case("Pages that repeat or overflow", "more rows than requested", lists(*make_rows(101)), "pagination"),
    Case("Pages that repeat or overflow", "a million empty rows", says(body_of([])[:-3] + b"{}," * MEGABYTE + b"{}]}}"),
         "pagination"),
]  # fmt: skip


def refused(status, reason, row, **options):
    body = {"code": str(status), "message": "not\nlike this " + "!" * 5000}
    log = (f"the server returned {status}: not?like this !!!", "!~", *options.pop("log", ()))
    return Case(row, str(status), says(body, status=f"{status} No"), reason, log, **options)


STATUSES = [
    *(refused(status, "server_error", "500, 502 to 504, 520 to 524, or 529", requests=3)
      for status in (500, 502, 503, 504, 520, 521, 522, 523, 524, 529)),
    *(refused(status, "client_error", "408 or 425", requests=3) for status in (408, 425)),
    *(Case("A `Retry-After` of more than a minute", status, says(b"", "Retry-After: 1800", status=f"{status} No"),
           reason, ("next_try_in=1800",)) for status, reason in (("503", "server_error"), ("429", "rate_limited"))),
    *(refused(status, "server_error", "Another 5xx") for status in (501, 505, 599)),
    *(refused(status, "client_error", "Another 4xx", log=("spaces",)) for status in (400, 405, 410, 413, 418, 422)),
    *(Case("401 or 403", f"{status} with {name}", says(body, status=f"{status} No", content_type=kind), reason,
           (f'problem="the server returned {status}" ',))
      for status, reason in ((401, "auth"), (403, "forbidden"))
      for name, body, kind in [
          ("HTML", b"<html>No</html>", "text/html"), ("text", b"no", "text/plain"), ("nothing", b"", ""),
          ("another envelope", {"errors": [{"message": "no"}]}, "application/json"),
          ("damaged JSON", b'{"message": "n', "application/json"),
      ]),
    refused(404, "not_found", "404", log=("api_prefix",)),
    refused(401, "auth", "401 or 403", log=("api_key",)),
    refused(403, "forbidden", "401 or 403", log=("artifact_artregistry_view",)),
    refused(407, "proxy", "A proxy that refuses the request", log=("proxy_url",)),
    refused(429, "rate_limited", "429", requests=3, log=("rate_limit",)),
    *(Case("A redirect", str(status), redirects(status), "redirect", ("base_url",))
      for status in (300, 301, 302, 303, 304, 307, 308)),
    Case("A redirect", "without a scheme", redirects(302, "//{elsewhere}/"), "redirect", ("base_url",)),
    Case("A redirect", "not a URL", redirects(302, "http://[::"), "redirect", ("base_url",)),
]  # fmt: skip

_PAST = datetime(2020, 1, 1, tzinfo=UTC)


def good_tls(authority, *names, **options):
    """Return the TLS context of a good server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("127.0.0.1",)), **options).configure_cert(context)
    return context


def _old(version):
    def context_of(authority):
        context = good_tls(authority)
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
        return context

    return context_of


def _demanding(authority):
    context = good_tls(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    return context


TLS_ROW = "A TLS handshake or certificate that fails"
TLS = [
    *(Case(TLS_ROW, name, says(GOOD), "tls", ("ca_file",), tls=tls)
      for name, tls in {
          "expired": lambda authority: good_tls(authority, not_after=_PAST),
          "wrong host": lambda authority: good_tls(authority, "elsewhere.example"),
          "unknown CA": lambda _: good_tls(trustme.CA()),
          "TLS 1.0": _old(ssl.TLSVersion.TLSv1),
          "TLS 1.1": _old(ssl.TLSVersion.TLSv1_1),
          "a client certificate is required": _demanding,
      }.items()),
    Case(TLS_ROW, "stalled handshake", stalls, "tls", ("ca_file",), tls=lambda _: None, settings=SLOW),
    Case(TLS_ROW, "plain HTTP", lambda _, sock: sock.sendall(answer(GOOD)), "tls", ("ca_file",), tls=lambda _: None),
]  # fmt: skip

REJECTS = [
    Case("Too many rows that cannot be used", "102 of 200",
         pages(lambda page, _: [*make_rows(98)[page * 49 :][:49], *[{"name": "a"}] * 51 * (page < 2)], itemCount=200),
         "bad_shape", ("102 of 200 rows cannot be used",), requests=4),
]  # fmt: skip

FAILURES = [
    *BROKEN_JSON, *NO_LISTING, *CONNECTIONS, *SLOWNESS, *SIZES, *PAGING, *STATUSES, *TLS, *REJECTS,
]  # fmt: skip
"""Cases in which the refresh fails."""


_FETCHED = 'har_snapshot_artifacts{source="fetched",space="acct"}'
_COMPLETE = 'har_snapshot_complete{space="acct"}'
_DOWNLOADS = 'har_artifact_downloads{package_type="NPM",registry="npm-remote",space="acct"}'
_MODIFIED = 'har_artifact_newest_modified_timestamp_seconds{package_type="NPM",registry="npm-remote",space="acct"}'
_QUARANTINED = (
    'har_artifacts_quarantined{firewall_mode="NONE",package_type="NPM",registry="npm-remote",'
    'scan_status="ALLOWED",space="acct"}'
)


def finding(artifact="artifact-000001", package_type="NPM", registry="npm-remote", version="1.0.0"):
    """Return the series of a quarantined artifact."""
    return (
        f'har_artifact_finding{{artifact="{artifact}",finding="quarantined",package_type="{package_type}",'
        f'registry="{registry}",space="acct",version="{version}"}}'
    )


def _label(name, value, as_label):
    rows = (make_row(1, isQuarantined=True, version=value),)
    return Case("Text that is unsuitable for a label", name, lists(*rows), series={finding(version=as_label): 1})


_DAY_AHEAD = 4_000_000_000_000

ODDITIES = [
    *(Case("A row that cannot be used", name, lists(make_row(1), row), series={**rejected("row"), _FETCHED: 1})
      for name, row in {
          "null": None, "a text": "row", "a list": [], "no name": {"registryIdentifier": "r"},
          "no registry": {"name": "a"}, "empty name": make_row(2, name=""), "name is a number": make_row(2, name=5),
          "empty registry": make_row(2, registryIdentifier=""),
          "registry is null": make_row(2, registryIdentifier=None),
          "isQuarantined is a text": make_row(2, isQuarantined="true"),
      }.items()),
    *(Case("An invalid count", str(value)[:20], lists(make_row(1, downloadsCount=value)),
           series={**rejected("count"), _FETCHED: 1, _DOWNLOADS: None})
      for value in (-1, True, "many", "null", "-1", "", 1.5, 2**53 + 1, "9" * 5000)),
    Case("An invalid count", "deployments as text", lists(make_row(1, deploymentMetadata="null")),
         series={**rejected("count"), _FETCHED: 1}),
    Case("A count as text, or null", "text", lists(make_row(1, downloadsCount="41")),
         series={**rejected("count", 0), _DOWNLOADS: 41}),
    Case("A count as text, or null", "null", lists(make_row(1, downloadsCount=None)),
         series={**rejected("count", 0), _DOWNLOADS: None}),
    *(Case("A time in any format", str(value), lists(make_row(1, lastModified=value)),
           series={**rejected("time", 0), _MODIFIED: 1730978736.333})
      for value in ("1730978736333", 1730978736333, "2024-11-07T11:25:36.333Z", "2024-11-07T12:25:36.333+01:00")),
    *(Case("An invalid time", str(value), lists(make_row(1, lastModified=value)),
           series={**rejected("time"), _FETCHED: 1, _MODIFIED: None})
      for value in (0, "-62135596800000", -1, "soon", True, _DAY_AHEAD, str(_DAY_AHEAD), "2096-01-01T00:00:00Z")),
    *(Case("An unknown value", f"{name} {value}", lists(make_row(1, **{name: value})),
           series={f'har_artifacts{{firewall_mode="{mode}",package_type="{kind}",registry="npm-remote",'
                   f'scan_status="{status}",space="acct"}}': 1})
      for name, value, mode, kind, status in [
          ("scanStatus", "Pending", "NONE", "NPM", "Pending"), ("scanStatus", "blocked", "NONE", "NPM", "blocked"),
          ("scanStatus", "a\nb", "NONE", "NPM", "a?b"), ("firewallMode", "Strict", "Strict", "NPM", "ALLOWED"),
          ("packageType", "OCI_NEW", "NONE", "OCI_NEW", "ALLOWED"),
      ]),
    _label("newline", "a\nb", "a?b"),
    _label("quote", 'a"b', 'a"b'),
    _label("backslash", "a\\nb", "a\\nb"),
    _label("NUL", "a\0b", "a?b"),
    _label("bidi", "a\u202eb", "a?b"),
    _label("lone surrogate", "a\ud800b", "a?b"),
    Case("Text that is unsuitable for a label", "invalid UTF-8",
         says(body_of([make_row(1, isQuarantined=True, version="VER")], pageSize=100).replace(b"VER", b"a\xffb")),
         series={finding(version="a?b"): 1}),
    Case("Text that is unsuitable for a label", "1 MB", lists(make_row(1, isQuarantined=True, version="v" * MEGABYTE)),
         series={finding(version=clean("v" * MEGABYTE)): 1}),
    Case("Text that is unsuitable for a label", "1 MB in every field",
         lists(make_row(1, **dict.fromkeys(("purl", "uuid", "quarantineReason"), "v" * MEGABYTE), isQuarantined=True)),
         series={finding(): 1}),
    Case("A row that is listed several times", "twice", lists(*make_rows(2), make_row(0), itemCount=2),
         series={_FETCHED: 2, 'har_snapshot_duplicates{space="acct"}': 1, _COMPLETE: 1}),
    Case("A row that is listed several times", "once for each quarantine reason",
         lists(make_row(1, isQuarantined=False), make_row(1, isQuarantined=True, quarantineReason="first"),
               make_row(1, isQuarantined=True, quarantineReason="second")),
         series={_FETCHED: 1, _QUARANTINED: 1, finding(): 1}),
    Case("A listing that moves while it is read, or has rows with equal times", "a row that is on no page",
         pages(lambda page, size: make_rows(size) if page == 0 else make_rows(size)[-1:] * (page == 1), itemCount=101),
         series={_FETCHED: 100, 'har_snapshot_duplicates{space="acct"}': 1, _COMPLETE: 0}, settings=ALONE),
    Case("A page of more than 100 rows that fails in any way, or is capped silently", "cap of 50",
         pages(lambda page, _: make_rows(600)[page * 50 :][:50], itemCount=600), series={_FETCHED: 600, _COMPLETE: 1}),
    Case("Several versions with the same uuid", "three tags",
         lists(*(make_row(1, version=f"{tag}", uuid="one") for tag in range(3))), series={_FETCHED: 3}),
    *(Case("A wrong number of artifacts", name, lists(*make_rows(3), **data),
           series={_FETCHED: 3, _COMPLETE: complete})
      for name, data, complete in [
          ("0", {"itemCount": 0}, 1), ("negative", {"itemCount": -3}, 1),
          ("less", {"itemCount": 1}, 0), ("more", {"itemCount": 4}, 0),
          ("absent", {"itemCount": None}, 1), ("text", {"itemCount": "3"}, 1),
          ("pageCount 0", {"pageCount": 0}, 1), ("pageCount negative", {"pageCount": -1}, 1),
          ("pageCount huge", {"pageCount": 10**9}, 1),
      ]),
    Case("A wrong number of artifacts", "huge",
         pages(lambda page, _: [] if page else make_rows(3), itemCount=10**15), series={_FETCHED: 3, _COMPLETE: 0}),
    Case("A wrong number of artifacts", "changing",
         pages(lambda page, size: make_rows(150)[page * size :][:size], itemCount=count(150).__next__),
         series={_FETCHED: 150, _COMPLETE: 0}),
    *(Case("A response in an unusual form", name, behave, series={_FETCHED: 3, _COMPLETE: 1})
      for name, behave in {
          "gzip of several members": says(gzip.compress(GOOD[:9]) + gzip.compress(GOOD[9:]), "Content-Encoding: gzip"),
          "x-gzip in capitals": says(PACKED, "CONTENT-ENCODING:   X-GZIP  "),
          "chunks in capitals": sends(HEAD + b"Transfer-Encoding: CHUNKED \r\n\r\n" + CHUNKS),
          "a byte order mark": says(b"\xef\xbb\xbf" + GOOD),
          "a thousand headers": says(GOOD, *["X-Many: y"] * 1_000),
          "interim responses": sends(b"HTTP/1.1 103 Go\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Wait\r\n\r\n" + answer(GOOD)),
      }.items()),
    *(Case("A value that is large once it is decoded", kind, says(amplified.body_of(kind, 3 * MEGABYTE)),
           series={_FETCHED: 1, **rejected("row", 0)})
      for kind in amplified.READABLE),
    Case("A number of thousands of digits", "as itemCount",
         says(GOOD.replace(b'"itemCount": 3', b'"itemCount": ' + LONG)), series={_FETCHED: 3, _COMPLETE: 1}),
    Case("A wrong number of artifacts", "pageIndex of another page", lists(*make_rows(3), pageIndex=7, pageCount=2),
         series={_FETCHED: 3, _COMPLETE: 1}),
    Case("Fields that are missing, null or unknown", "only name and registry",
         lists({"name": "a", "registryIdentifier": "r"}, {"name": "b", "registryIdentifier": "r", "labels": None,
               "uuid": "", "registryUUID": None, "scannedDigest": {"a": [1]}, "metadata": {"tags": []}}, more={"a": 1}),
         series={_FETCHED: 2, **rejected("row", 0), **rejected("count", 0), **rejected("time", 0)}),
    Case("A number of thousands of digits", "in a count", says(valued(LONG)),
         series={**rejected("count"), _FETCHED: 3}),
    Case("A number of thousands of digits", "as a version",
         says(body_of([make_row(1, isQuarantined=True, version="VER")], itemCount=1).replace(b'"VER"', LONG)),
         series={_FETCHED: 1, finding(version=""): 1}),
    Case("No artifacts", "null", says({"status": "SUCCESS", "data": {"artifacts": None, "itemCount": 0}}),
         series={_FETCHED: 0, _COMPLETE: 1}),
]  # fmt: skip
"""Cases in which the refresh succeeds."""
