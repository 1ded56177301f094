"""A page of the API is read as the API behaves, and nothing in it escapes but the two errors that it can be."""

import contextlib
import json
import sys
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import astuple

from exporter.harness import page as pages
from exporter.harness.envelope import Rejected, error_message
from exporter.harness.errors import BadJsonError, BadShapeError, PaginationError, RefreshError, TooLargeError
from exporter.harness.page import Deployments
from exporter.harness.values import MAX_COUNT
from exporter.labels import clean
from tests.support import amplified
from tests.support.listings import DAY, NOW, READ_FIELDS, body_of, listings, odd_counts, odd_rows, odd_times
from tests.support.places import PAYLOADS

ODD_ROW = 5
NO_ROWS = Rejected()
COUNTS = {"downloadsCount": "downloads", "fileCount": "files", "digestCount": "digests"}
TIMES = {"lastModified": "modified", "lastScannedAt": "scanned", "deletedAt": "deleted"}
DEEP = "[" * 100_000 + "]" * 100_000
LONG = "9" * 5_000


def with_field(json_text, field="other"):
    """Return a page of one row, with a field that is spelled like this."""
    return b'{"status":"SUCCESS","data":{"artifacts":[{"name":"a","registryIdentifier":"r",%s}]}}' % (
        f'"{field}":{json_text}'.encode()
    )


def decode_page(body, now, rows_asked=100):
    """Decode a page of usual size."""
    return pages.decode_page(body, now, rows_asked=rows_asked)


def only(page):
    """Return the only artifact of a page."""
    [artifact] = page.artifacts
    return artifact


def read(**fields):
    """Return the page of one row with these fields."""
    return decode_page(body_of([{"name": "a", "registryIdentifier": "r", **fields}]), NOW)


def assert_fit_for_a_log(error):
    """One line that can be written."""
    assert str(error).encode().splitlines() == [str(error).encode()]


def agree(body, odd_body):
    """Compare what the typed decoder made of a body with what the tolerant one made of the same and one odd row."""
    page, odd_page = decode_page(body, NOW)._replace(size=0), decode_page(odd_body, NOW)._replace(size=0)
    rejected = page.rejected._replace(rows=page.rejected.rows + 1)
    assert odd_page == page._replace(rows=page.rows + 1, rejected=rejected)


# What is no page


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"<html><body>Sign in</body></html>",
        body_of([{"name": "a"}])[:-1],
        body_of([]) + b"x",
        body_of([]) + body_of([]),
        body_of([]).decode().encode("utf-16"),
        with_field("NaN"),
        with_field("-Infinity"),
        with_field("NaN", "downloadsCount"),
        with_field("01"),
        with_field("'a'"),
        with_field(DEEP),
        with_field(DEEP, "name"),
        with_field(DEEP, "deploymentMetadata"),
        b'{"a":' * 100_000,
        b'{"status":"SUCCESS","data":{"artifacts":[],"itemCount":%s}}' % DEEP.encode(),
    ],
    ids=lambda body: body[:20],
)
def test_what_is_not_json_is_told_as_such(body):
    """Truncated, trailing, no JSON by its letter, or nested beyond reason."""
    with pytest.raises(BadJsonError):
        decode_page(body, NOW)


def test_a_byte_order_mark_is_no_part_of_the_json():
    """Some proxies and file servers put one in front."""
    assert decode_page(b"\xef\xbb\xbf" + body_of([{"name": "a", "registryIdentifier": "r"}]), NOW).rows == 1
    assert decode_page(b"\xef\xbb\xbf" + body_of([ODD_ROW]), NOW).rejected == (1, 0, 0)
    with pytest.raises(BadJsonError):
        decode_page(b"\xef\xbb\xbf" * 2 + body_of([]), NOW)


@pytest.mark.parametrize(
    "answer",
    [
        *(None, 5, "text", [], [{}], {}),
        *({"status": status, "data": {"artifacts": []}} for status in ("FAILURE", "ERROR", "success", "", None, 1, [])),
        {"data": {"artifacts": []}},
        *({"status": "SUCCESS", "data": data} for data in (None, [], "text", 5, {})),
        *({"status": "SUCCESS", "data": {"artifacts": rows}} for rows in ({}, "text", "null", "", "[]", 5, True)),
        {"status": "SUCCESS", "data": "null"},
        {"status": "null", "data": {"artifacts": []}},
        {"status": "SUCCESS", "artifacts": []},
        {"status": "SUCCESS"},
    ],
    ids=json.dumps,
)
def test_json_that_is_no_list_of_artifacts_is_told_as_such(answer):
    """No object, no success, no data, no list: by the typed decoder and by the tolerant one."""
    with pytest.raises(BadShapeError):
        decode_page(json.dumps(answer).encode(), NOW)


@pytest.mark.parametrize("data", [None, *({"artifacts": rows} for rows in ([], [5], "none", [{}] * 101))])
def test_a_failure_comes_with_the_message_of_the_api(data):
    """With status 200 too; the message is cut and fit for a log."""
    answer = {"status": "FAILURE", "message": "no such\nregistry" + "!" * 999, "data": data}
    with pytest.raises(BadShapeError, match=r"status 'FAILURE': no such\?registry!") as error:
        decode_page(json.dumps(answer).encode(), NOW)
    assert len(str(error.value)) < 350


@pytest.mark.parametrize("message", [None, 5, ["x"]])
def test_a_failure_without_a_message_is_one_too(message):
    """Nothing but the status is needed."""
    with pytest.raises(BadShapeError, match=r"status 'ERROR': (no message|5)"):
        decode_page(json.dumps({"status": "ERROR", "message": message}).encode(), NOW)


def test_no_artifacts_may_be_null_but_not_missing():
    """The server's language spells an empty list so."""
    for message in (b"", b'"message":5,'):
        body = b'{"status":"SUCCESS",%s"data":{"artifacts":null,"itemCount":3}}' % message
        assert decode_page(body, NOW) == ([], None, 0, 3, None, NO_ROWS, len(body))
    with pytest.raises(BadShapeError, match=r"has no data\.artifacts"):
        decode_page(b'{"status":"SUCCESS","data":{"itemCount":3}}', NOW)


@pytest.mark.parametrize(
    ("value", "usable"),
    [(0, 0), (468, 468), ("468", 468), (468.0, 468), (MAX_COUNT, MAX_COUNT)]
    + [(value, None) for value in (-1, None, True, "many", "", 1.5, MAX_COUNT + 1, 10**30, [], {})],
)
def test_the_count_and_the_size_of_a_page_are_usable_or_absent(value, usable):
    """Odd ones reject nothing: they only cannot be used."""
    for rows in ([], [5]):
        page = decode_page(body_of(rows, itemCount=value, pageSize=value), NOW)
        assert (page.item_count, page.page_size, page.rejected) == (usable, usable, (len(rows), 0, 0))


def test_a_count_of_thousands_of_digits_cannot_be_used():
    """Python refuses to convert it, which nobody notices."""
    body = b'{"status":"SUCCESS","data":{"artifacts":[],"itemCount":%s}}' % LONG.encode()
    assert decode_page(body, NOW) == ([], None, 0, None, None, NO_ROWS, len(body))


# Size


@pytest.mark.parametrize("odd", [[], [ODD_ROW], [{"name": "\ud800", "registryIdentifier": "r"}]], ids=str)
@pytest.mark.parametrize("asked", [1, 2, 100])
def test_a_page_with_more_rows_than_were_asked_for_is_refused(asked, odd):
    """By both decoders; exactly as many are no fault."""
    rows = [*odd, *({"name": "a", "registryIdentifier": "r"} for _ in range(asked - len(odd)))]
    assert decode_page(body_of(rows), NOW, asked).rows == asked
    with pytest.raises(PaginationError, match=f"more rows than the {asked} that"):
        decode_page(body_of([*rows, rows[-1]]), NOW, asked)


def test_several_threads_decode_pages_of_a_new_size_at_once():
    """A type of msgspec that two threads make decoders of at the same time crashes the process."""
    usual = {"name": "a", "registryIdentifier": "r"}
    bodies = [body_of([usual]), body_of([usual, ODD_ROW])]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            decoded = threads.map(lambda task: decode_page(bodies[task % 2], NOW, 200 + task // 8), range(800))
            assert {len(page.artifacts) for page in decoded} == {1}
    finally:
        sys.setswitchinterval(interval)


def peak_of(body):
    """Return the most memory that is allocated while a page is decoded, beside its body."""
    decode_page(body_of([{"name": "a", "registryIdentifier": "r"}]), NOW)
    tracemalloc.start()
    try:
        with contextlib.suppress(RefreshError):
            decode_page(body, NOW)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", amplified.KINDS)
def test_decoding_takes_a_few_times_the_size_of_a_page_whatever_it_holds(kind):
    """Five times at most, of a text that takes four bytes a character; rows of `{}` would take 60 times as much."""
    body = amplified.body_of(kind, 2**18)
    assert peak_of(body) < 5.5 * len(body)


LARGE = {
    "texts of one row": amplified.full_rows(1, 5 * 2**20),
    "texts of every row": amplified.full_rows(100, 5 * 2**20),
    **{
        kind: amplified.body_of(kind, 5 * 2**20)
        for kind in ("message", "version: wide text", "count: digits", "rows: {}")
    },
}


@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
def test_decoding_a_large_page_takes_less_than_its_size(body):
    """Whatever character makes its texts take four bytes each."""
    assert peak_of(body) < len(body) / 4


def test_a_large_page_with_halves_of_surrogate_pairs_is_refused():
    """Their replacement needs a copy, which would take too much memory; without any the page is as good as others."""
    blanks = b" " * (14 * 2**20)
    assert only(decode_page(with_field(r'"\ud83d\ude00"', "version") + blanks, NOW)).version == "\U0001f600"
    with pytest.raises(TooLargeError):
        decode_page(with_field(r'"\ud83d"', "version") + blanks, NOW)
    with pytest.raises(BadJsonError):
        decode_page(with_field("NaN", "version") + blanks, NOW)


# Rows


@given(odd_rows)
def test_an_odd_row_is_rejected_alone(row):
    """It is counted as a row, its values are counted nowhere, and its neighbours stay."""
    page = decode_page(body_of([{"name": "a", "registryIdentifier": "r"}, row]), NOW)
    assert (only(page).name, page.rows, page.rejected) == ("a", 2, (1, 0, 0))


@pytest.mark.parametrize("digits", ["5", "12345678901234567", "123456789012345678", "9" * 640, "9" * 641, LONG, "1e9"])
@pytest.mark.parametrize("field", ["name", "registryIdentifier", "isQuarantined"])
def test_a_number_is_no_name_and_no_flag(digits, field):
    """However many digits it has."""
    assert decode_page(with_field(digits, field), NOW).rejected == (1, 0, 0)


@pytest.mark.parametrize("flag", [True, False, None])
def test_quarantine_is_told_or_not_told(flag):
    """Null is as good as absent, and neither is a guess."""
    assert only(read(isQuarantined=flag)).quarantined is flag
    assert only(read(isQuarantined=flag, fileCount="1")).quarantined is flag
    assert only(read()).quarantined is None


@pytest.mark.parametrize("field", sorted(set(READ_FIELDS) - {"name", "registryIdentifier"}))
def test_null_is_absent(field):
    """For every field that may be absent; nothing is rejected."""
    assert read(**{field: None})._replace(size=0) == read()._replace(size=0)
    row = {"name": "a", "registryIdentifier": "r"}
    agree(body_of([row]), body_of([row | {field: None}, ODD_ROW]))


def test_every_field_is_read_from_its_own_place():
    """By both decoders."""
    texts = {field: field for field in READ_FIELDS}
    texts |= dict.fromkeys(COUNTS, 7) | dict.fromkeys(TIMES, "1730978736333") | {"isQuarantined": True}
    texts |= {"fileCount": 8, "digestCount": 9, "lastScannedAt": "2000", "deletedAt": "3000"}
    texts |= {"deploymentMetadata": {"prodEnvCount": 1, "nonProdEnvCount": 2}}
    texts |= {"artifactKey": {"b": "2", "a": "1"}, "metadata": {"tags": ["new", "latest"]}}
    agree(body_of([texts]), body_of([texts, ODD_ROW]))
    row = only(decode_page(body_of([texts]), NOW))
    assert (row.name, row.registry, row.registry_uuid) == ("name", "registryIdentifier", "registryUUID")
    assert (row.registry_type, row.package_type, row.artifact_type) == ("registryType", "packageType", "artifactType")
    assert (row.version, row.uuid, row.purl) == ("version", "uuid", "purl")
    assert (row.scan_status, row.firewall_mode) == ("scanStatus", "firewallMode")
    assert (row.quarantined, row.quarantine_reason) == (True, "quarantineReason")
    assert row.deployments == Deployments(prod=1, nonprod=2)
    assert (row.downloads, row.files, row.digests) == (7, 8, 9)
    assert (row.modified, row.scanned, row.deleted) == (1730978736333, 2000, 3000)
    assert (row.artifact_key, row.tags) == ('{"a":"1","b":"2"}', ("latest", "new"))


@pytest.mark.parametrize(("value", "text"), [(5, "5"), (1.5, "1.5"), (10**30, "1" + "0" * 30)])
def test_a_number_stands_for_its_digits_in_a_text(value, text):
    """A version that somebody sends as a number stays that version."""
    assert only(read(version=value)).version == text


def test_digits_of_a_text_are_kept_up_to_what_python_converts():
    """640 of them, cut like any text; nobody has such a version."""
    assert only(decode_page(with_field("9" * 640, "version"), NOW)).version == clean("9" * 640)


@pytest.mark.parametrize("value", [True, [], {}, ["1"]])
def test_what_is_no_text_is_absent(value):
    """It costs neither the row nor the page."""
    page = read(version=value)
    assert (only(page).version, page.rejected) == (None, NO_ROWS)


@pytest.mark.parametrize("digits", ["9" * 641, LONG, "-" + LONG, "1e999", "-1e999"])
def test_a_number_beyond_all_bounds_is_no_text(digits):
    """Another text in its place would be made up."""
    assert only(decode_page(with_field(digits, "version"), NOW)).version is None


# Counts


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0, 0),
        (7, 7),
        ("7", 7),
        ("007", 7),
        ("7".zfill(16), 7),
        (7.0, 7),
        (MAX_COUNT, MAX_COUNT),
        (str(MAX_COUNT), MAX_COUNT),
    ],
)
@pytest.mark.parametrize("field", COUNTS)
def test_counts_may_come_as_text(field, value, number):
    """Numeric text is a number, and a whole one may have a point."""
    page = read(**{field: value})
    assert (getattr(only(page), COUNTS[field]), page.rejected) == (number, NO_ROWS)
    environments = only(read(deploymentMetadata={"prodEnvCount": value, "nonProdEnvCount": value})).deployments
    assert environments == Deployments(number, number)


@given(odd_counts, st.sampled_from(list(COUNTS)))
@example(str(MAX_COUNT + 1), "fileCount")
@example("1" * 17, "fileCount")
@example("\u0661", "fileCount")  # a digit, but not one of JSON's
@example("²", "fileCount")
def test_a_count_that_is_none_is_rejected_alone(value, field):
    """The row stays, without the count."""
    page = read(**{field: value}, version="1")
    assert (getattr(only(page), COUNTS[field]), only(page).version, page.rejected) == (None, "1", (0, 1, 0))
    page = read(deploymentMetadata={"prodEnvCount": value, "nonProdEnvCount": 2})
    assert (only(page).deployments, page.rejected) == (Deployments(None, 2), (0, 1, 0))


def test_each_count_is_rejected_for_itself():
    assert read(**dict.fromkeys(COUNTS, -1)).rejected == (0, len(COUNTS), 0)


@pytest.mark.parametrize("digits", [LONG, "-" + LONG, "1e999", "-1", "9007199254740993", "1e-3"])
@pytest.mark.parametrize("field", COUNTS)
def test_a_huge_number_costs_its_own_count_only(field, digits):
    """Thousands of digits, which Python refuses to convert, and what overflows."""
    page = decode_page(with_field(digits, field), NOW)
    assert (getattr(only(page), COUNTS[field]), page.rejected) == (None, (0, 1, 0))


@pytest.mark.parametrize("value", [[], [1], "none", 5, True])
def test_deployments_of_a_wrong_type_are_rejected_as_a_count(value):
    """Absent is not 0, and neither is this."""
    page = read(deploymentMetadata=value)
    assert (only(page).deployments, page.rejected) == (None, (0, 1, 0))
    assert read(deploymentMetadata=None).rejected == NO_ROWS
    assert only(read(deploymentMetadata={})).deployments == Deployments(None, None)


# Times


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        ("1730978736333", 1730978736333),
        (1730978736333, 1730978736333),
        (1730978736333.0, 1730978736333),
        ("1", 1),
        ("2024-11-07T11:25:36.333Z", 1730978736333),
        ("2024-11-07T11:25:36.333999999Z", 1730978736333),
        ("2024-11-07T11:25:36", 1730978736000),
        ("2024-11-07 13:25:36+02:00", 1730978736000),
        ("20241107T112536Z", 1730978736000),
        ("2024-11-07", 1730937600000),
        (int((NOW + DAY) * 1000), int((NOW + DAY) * 1000)),
    ],
)
@pytest.mark.parametrize("field", TIMES)
def test_times_come_as_milliseconds_or_as_iso_8601(field, value, milliseconds):
    """In text or as a number; without a zone it is UTC, whatever the machine's own zone."""
    page = read(**{field: value})
    assert (getattr(only(page), TIMES[field]), page.rejected) == (milliseconds, NO_ROWS)


@pytest.mark.parametrize("zone", ["UTC-9", "UTC+9"])
def test_a_time_without_a_zone_is_utc_on_every_machine(zone, monkeypatch):
    """Whatever the machine's own zone is."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        page = read(lastModified="2024-11-07T11:25:36")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert only(page).modified == 1730978736000


@given(odd_times, st.sampled_from(list(TIMES)))
@example("0001-01-01T00:00:00+23:59", "lastModified")
@example("9999-12-31T23:59:59-23:59", "lastModified")
@example("\ud800", "lastModified")
@example("2024-11-07T11:25:36\ud800", "lastModified")
def test_a_time_that_cannot_be_is_rejected_alone(value, field):
    """Zero, negative, over a day ahead, or no time at all; the row stays."""
    page = read(**{field: value}, version="1")
    assert (getattr(only(page), TIMES[field]), only(page).version, page.rejected) == (None, "1", (0, 0, 1))


def test_each_time_is_rejected_for_itself():
    """Times of rows that are rejected are no times at all."""
    zero = dict.fromkeys(TIMES, "-62135596800000")
    rows = [{"name": "a", "registryIdentifier": "r", **zero}, {"name": "", "registryIdentifier": "r", **zero}]
    assert decode_page(body_of(rows), NOW).rejected == (1, 0, 3)


@pytest.mark.parametrize(
    ("times", "newest"), [([], None), ([None, "x", 0], None), ([5, "7", None, 6], 7), ([5, (NOW + 2 * DAY) * 1000], 5)]
)
def test_the_newest_time_of_a_page_is_a_usable_one(times, newest):
    """Of the rows that can be used, in any order."""
    rows = [{"name": "a", "registryIdentifier": "r", "lastModified": time} for time in times]
    rows += [{"name": "", "registryIdentifier": "r", "lastModified": 9, "isQuarantined": 1}]
    assert decode_page(body_of(rows), NOW).newest == newest


# Odd texts


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"a\ud800\n\u0000", "a?\n\x00"),
        (r"\uDFFF", "?"),
        (r"\ud83d\ude00", "\U0001f600"),
        (r"\ud83d\ud83d\ude00", "?\U0001f600"),
        (r"\ud83d\ude00\ude00", "\U0001f600?"),
        (r"\ud83d\\ude00", r"?\ude00"),
        (r"\\ud800\ud800", r"\ud800?"),
        (r"\\ud83d\ude00", r"\ud83d?"),
        (r"\\\ud800", r"\?"),
        (r"\ud800\u0041", "?A"),
    ],
)
def test_halves_of_surrogate_pairs_that_stand_alone_become_question_marks(escaped, text):
    """They are no characters; whole pairs, and what only looks like a half, stay."""
    page = decode_page(with_field(f'"{escaped}","other":"\\udc00"', "version"), NOW)
    assert (only(page).version, page.rejected) == (text, NO_ROWS)
    assert only(decode_page(with_field(f'"{escaped}"'), NOW)).name == "a"


@pytest.mark.parametrize("raw", [b"\xed\xa0\x80", b"\xff", b"\xc3", b"\x80abc"])
def test_bytes_that_are_no_text_are_replaced(raw):
    """As raw bytes too, surrogates among them, in a field that is read and in one that is not."""
    page = decode_page(with_field('"@"', "version").replace(b"@", raw), NOW)
    assert only(page).version == raw.decode(errors="replace")
    assert only(decode_page(with_field('"@"').replace(b"@", raw), NOW)).name == "a"
    inside = with_field('{"b":"@","a":1},"metadata":{"tags":["@","x"]},"isQuarantined":true', "artifactKey")
    row, text = only(decode_page(inside.replace(b"@", raw), NOW)), raw.decode(errors="replace")
    assert (row.artifact_key, row.tags) == (f'{{"a":1,"b":"{text}"}}', tuple(sorted((text, "x"))))


@pytest.mark.parametrize("json_text", [LONG, "-" + LONG, "1e999", '"1e999"', "[[1,[2]]]", '"x"', "1" * 25, '"\\u0000"'])
def test_fields_that_are_not_read_need_only_be_json(json_text):
    """Whatever is in them; on the tolerant path as well."""
    assert only(decode_page(with_field(json_text), NOW)).name == "a"
    assert only(decode_page(with_field(json_text + ',"fileCount":"1"'), NOW)).files == 1


TEXTS = sorted(set(READ_FIELDS) - {*COUNTS, *TIMES, "isQuarantined", "deploymentMetadata", "artifactKey", "metadata"})


@pytest.mark.parametrize("length", [257, 60_000, 70_000, 1_000_000])
@pytest.mark.parametrize("character", ["x", '"', "\n", "\u00e9", "\U0001f600"])
@pytest.mark.parametrize("field", ["name", "version"])
def test_a_long_text_is_cut_when_its_row_is_read(field, character, length):
    """To a label's length, and different texts stay different, however late they differ."""
    ends = [getattr(only(read(**{field: character * length + end})), field) for end in "ab"]
    assert [len(text) for text in ends] == [256, 256]
    assert ends[0][:200] == ends[1][:200] == clean(character * 200)
    assert ends[0] != ends[1]


@pytest.mark.parametrize("field", TEXTS)
def test_every_text_is_cut(field):
    """To the label that it may become, so that nothing is cut a second time."""
    page, row = read(**{field: "x" * 70_000}), {"name": "a", "registryIdentifier": "r"}
    assert clean("x" * 70_000) in astuple(only(page))
    agree(body_of([row | {field: "x" * 300}]), body_of([row | {field: "x" * 300}, ODD_ROW]))


def test_a_long_message_is_cut():
    """As is the status."""
    body = json.dumps({"status": "E" * 70_000, "message": "x" * 70_000}).encode()
    with pytest.raises(BadShapeError) as error:
        decode_page(body, NOW)
    assert len(str(error.value)) < 600


def test_the_limit_of_digits_may_be_set_as_low_as_python_allows():
    """A process with the lowest limit reads the same."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        for digits in ("9" * 640, "9" * 641, "-" + "9" * 640):
            assert decode_page(with_field(digits, "fileCount"), NOW).rejected == (0, 1, 0)
            assert decode_page(with_field(digits, "version"), NOW).rejected == NO_ROWS
    finally:
        sys.set_int_max_str_digits(limit)


# Any page


@given(listings())
def test_one_odd_row_changes_nothing_about_the_others(rows):
    """The typed decoder and the tolerant one agree wherever both can read."""
    agree(body_of(rows, itemCount=5), body_of([*rows, ODD_ROW], itemCount=5))


@pytest.mark.parametrize("field", READ_FIELDS)
@pytest.mark.parametrize("text", ["null", "NULL", "true", "[]", "{}"])
def test_a_text_that_looks_like_another_value_is_a_text(field, text):
    """As any other in its place, for both decoders: the lenient one would take "null" for null."""
    row = {"name": "a", "registryIdentifier": "r"}
    page = read(**{field: text})
    assert page.rejected == read(**{field: "other"}).rejected
    agree(body_of([row | {field: text}]), body_of([row | {field: text}, ODD_ROW]))


NUMBERS = ["007", "1e3", "1.0", "1.5", "-0", " 1", "null", "NULL", "true", "9" * 20]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
KEYS = st.sampled_from((*READ_FIELDS, "prodEnvCount", "nonProdEnvCount", "other"))
VALUES = st.recursive(
    SCALARS | st.sampled_from(["1", "1730978736333", "2024-11-07T11:25:36Z", 1730978736333, "\ud800", *NUMBERS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)
ROWS = st.dictionaries(KEYS, VALUES, max_size=6).map(lambda row: {"name": "a", "registryIdentifier": "r"} | row)
ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "status": st.just("SUCCESS") | VALUES,
        "message": VALUES,
        "data": VALUES
        | st.fixed_dictionaries(
            {},
            optional={
                "artifacts": VALUES | st.lists(ROWS | VALUES, max_size=4),
                "itemCount": VALUES,
                "pageSize": VALUES,
            },
        ),
    },
)


@given(st.lists(ROWS, max_size=4))
def test_any_row_is_read_alike_by_both_decoders(rows):
    """Fields of any type, known and unknown."""
    text = json.dumps(rows)
    if not any(constant in text for constant in ("NaN", "Infinity")):
        agree(body_of(rows), body_of([*rows, ODD_ROW]))


@pytest.mark.parametrize("text", NUMBERS)
def test_a_text_in_place_of_a_number_is_read_alike_by_both_decoders(text):
    """What a row says does not depend on which other rows are on its page."""
    row = {"name": "a", "registryIdentifier": "r", "fileCount": text, "lastModified": text}
    agree(body_of([row]), body_of([row, ODD_ROW]))


@given(ENVELOPES | VALUES)
def test_any_json_is_a_page_or_one_of_two_errors(answer):
    """Nothing else escapes; and what is a page accounts for each of its rows."""
    try:
        page = decode_page(json.dumps(answer).encode(), NOW)
    except (BadJsonError, BadShapeError) as error:
        assert_fit_for_a_log(error)
    else:
        assert page.rows == len(answer["data"]["artifacts"] or []) == len(page.artifacts) + page.rejected.rows


@given(st.data())
def test_any_bytes_are_a_page_or_one_of_two_errors(data):
    """Bytes of all kinds, and pages that were cut and damaged on the way."""
    body = bytearray(body_of([{"name": "a", "registryIdentifier": "r", "fileCount": 1, "lastModified": "1"}]))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        body[start : start + data.draw(st.integers(0, 9))] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b'"', b"{", b"]", b"\\ud800", b"\xff", b"1e999", b"null", b","])
        )
    try:
        decode_page(bytes(body), NOW)
    except (BadJsonError, BadShapeError) as error:
        assert_fit_for_a_log(error)


# Real answers


@pytest.mark.parametrize(
    ("payload", "rows", "quarantined", "rejected_times"),
    [
        ("all_artifacts", 10, 0, 10),
        ("all_artifacts_with_quarantine", 10, 1, 10),
        ("all_artifacts_untagged_images", 10, 0, 10),
        ("hosted_service_2024", 3, None, 0),
        ("new_kinds_2026", 6, 2, 0),
    ],
)
def test_real_answers_are_read_whole(payload, rows, quarantined, rejected_times):
    """No row is lost for what it lacks against the document; a time that was never set is told as rejected."""
    page = decode_page((PAYLOADS / f"{payload}.json").read_bytes(), NOW)
    assert (len(page.artifacts), page.rows, page.item_count) == (rows, rows, rows)
    assert page.rejected == (0, 0, rejected_times)
    flags = [artifact.quarantined for artifact in page.artifacts]
    assert flags == [None] * rows if quarantined is None else flags.count(True) == quarantined
    agree_rows = json.loads((PAYLOADS / f"{payload}.json").read_bytes())["data"]["artifacts"]
    agree(body_of(agree_rows), body_of([*agree_rows, ODD_ROW]))


def test_a_row_of_the_hosted_service():
    """An answer of 2024, with deployments, without flags."""
    first, second, third = decode_page((PAYLOADS / "hosted_service_2024.json").read_bytes(), NOW).artifacts
    assert (first.name, first.version, first.registry, first.package_type) == (
        *("podinfo-artifact", "1.0.0"),
        *("repo1", "DOCKER"),
    )
    assert (first.modified, first.deployments, first.downloads) == (1730978736333, Deployments(0, 0), 0)
    assert (second.scan_status, second.registry_type, third.downloads) == (None, None, 2)


def test_rows_that_differ_in_their_key_alone_are_read_as_different():
    """Two builds of one Debian package."""
    amd64, arm64, *others = decode_page((PAYLOADS / "new_kinds_2026.json").read_bytes(), NOW).artifacts
    assert amd64.artifact_key == '{"architecture":"amd64","distribution":"bookworm"}'
    assert (amd64.name, amd64.version) == (arm64.name, arm64.version)
    assert amd64.artifact_key != arm64.artifact_key
    assert {row.artifact_key for row in others} == {None}


@pytest.mark.parametrize(
    ("value", "key"),
    [("amd64", '"amd64"'), (None, None), ({}, None), ("", None), ([], None), ({"b": 1, "a": [2]}, '{"a":[2],"b":1}')],
)
def test_a_key_of_any_type_is_kept_for_comparison(value, key):
    """Nothing but emptiness makes two of them equal."""
    assert only(read(artifactKey=value)).artifact_key == key


_OTHER_BYTES = len('{"b": "1", "a": "1"}')  # of the keys in the next test


@pytest.mark.parametrize("length", [10, 300, 2**16 - _OTHER_BYTES, 2**16 - _OTHER_BYTES + 1])
def test_long_keys_that_differ_at_their_end_stay_apart(length):
    """And take no more memory than a label; the order of names has no effect, unless it is too long to be decoded."""
    keys = [only(read(artifactKey={"b": "x" * length + end, "a": "1"})).artifact_key for end in "12"]
    assert keys[0] != keys[1]
    assert max(map(len, keys)) <= 256
    other_order = only(read(artifactKey={"a": "1", "b": "x" * length + "1"})).artifact_key
    assert (other_order == keys[0]) == (length + _OTHER_BYTES <= 2**16)


def test_a_key_that_is_too_long_to_be_decoded_is_cut_between_characters():
    """Wherever it is cut: each of these characters has three bytes."""
    for start in ("", "x", "xx"):
        key = only(decode_page(with_field(f'"{start}{"€" * 30_000}"', "artifactKey"), NOW)).artifact_key
        assert key.startswith(f'"{start}€')
        assert len(key) <= 256


def test_tags_are_read_as_long_as_a_label_can_show_their_beginning():
    tags = ["a" * 256, "b", "c"]
    assert only(read(metadata={"tags": tags}, **QUARANTINED)).tags == tuple(tags[:2])


def test_keys_that_cannot_be_sorted_are_kept_as_they_are():
    row = only(decode_page(with_field('{"b":1e999,"a":1}', "artifactKey"), NOW))
    assert row.artifact_key == '{"b":1e999,"a":1}'


def test_keys_that_are_long_by_their_blanks_only_are_not_cut():
    long_enough = {"a": "x" * (256 - len('{"a":""}'))}
    row = {"name": "a", "registryIdentifier": "r", "artifactKey": long_enough}
    body = json.dumps({"status": "SUCCESS", "data": {"artifacts": [row]}}, indent=9)
    assert only(decode_page(body.encode(), NOW)).artifact_key == json.dumps(long_enough, separators=(",", ":"))


QUARANTINED = {"isQuarantined": True}


@pytest.mark.parametrize("metadata", [None, {}, [], "tags", 5, {"tags": None}, {"tags": "a"}, {"tags": [5, None]}])
def test_metadata_without_tags_has_none(metadata):
    """Whatever it holds in their place, and it costs nothing else."""
    page = read(metadata=metadata, **QUARANTINED)
    assert (only(page).tags, page.rejected) == ((), NO_ROWS)


@pytest.mark.parametrize(
    ("fields", "tags"),
    [
        ({}, ()),
        ({"isQuarantined": False, "scanStatus": "ALLOWED"}, ()),
        (QUARANTINED, ("a", "b")),
        ({"scanStatus": "WARN"}, ("a", "b")),
        ({"scanStatus": "blocked"}, ("a", "b")),
    ],
    ids=str,
)
def test_tags_are_read_where_a_finding_may_show_them(fields, tags):
    """Most rows are only counted."""
    assert only(read(metadata={"tags": ["b", "a"]}, **fields)).tags == tags


def test_the_last_of_repeated_tags_counts():
    """As of every name that is repeated, whatever the first ones are."""
    row = with_field('{"tags":[5],"tags":["a"]},"isQuarantined":true', "metadata")
    assert only(decode_page(row, NOW)).tags == ("a",)


@pytest.mark.parametrize(
    ("tags", "kept"),
    [
        (["x" * 200, "y" * 57], 2),
        ([f"{number:03}" for number in range(200)], 86),
        (["x" * 9_000], 1),
        (["x" * 70_000], 0),
        (["a"] * 30_000, 0),
    ],
    ids=["two", "many", "long", "too long", "too many"],
)
def test_no_more_tags_are_kept_than_a_label_can_show(tags, kept):
    """And one that is longer than a label is cut."""
    found = only(read(metadata={"tags": tags}, **QUARANTINED)).tags
    assert len(found) == kept
    assert len(",".join(found)) <= 2 * 256 + kept


# Errors


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"code":"400","message":"no such\\nspace"}', "no such\nspace"),
        *[(body, "") for body in (b"", b"plain text", b"<html>", b"[]", b'"x"', b'{"message":5}', b"{}", b"\xff")],
        (with_field(DEEP), ""),
        (with_field(LONG), ""),
    ],
    ids=lambda value: value[:12],
)
def test_the_message_of_an_error_is_read(body, message):
    """From any of the envelopes that have one; anything else says nothing."""
    assert error_message(body) == message
