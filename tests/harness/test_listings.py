"""The listings of registries and violations are read as the API writes them, and odd values affect only themselves."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.harness.client import Listing
from exporter.harness.envelope import Rejected, error_message
from exporter.harness.errors import BadJsonError, BadShapeError, NotFoundError, PaginationError, RefreshError
from exporter.harness.registries import (
    RegistriesListing,
    RegistryConfiguration,
    RegistryRow,
    decode_firewall_mode,
    decode_registries,
)
from exporter.harness.values import MAX_COUNT, latest_time
from exporter.harness.violations import ViolationsListing, decode_violations, v3_url
from tests.support.places import PAYLOADS
from tests.support.sources import ABSENT, NOW, registries_body, registry_row, violation_row, violations_body

API = "https://har.example/har/api/v1"
DEEP = "[" * 100_000 + "]" * 100_000
DECODERS = {
    "registries": (decode_registries, registries_body, registry_row),
    "violations": (decode_violations, violations_body, violation_row),
}
each_listing = pytest.mark.parametrize(("decode", "body_of", "row_of"), DECODERS.values(), ids=DECODERS)


def registry(**fields):
    """Return the page of one registry with these fields."""
    return decode_registries(registries_body([registry_row(**fields)]), NOW, rows_asked=1)


def violation(**fields):
    """Return the page of one violation with these fields."""
    return decode_violations(violations_body([violation_row(**fields)]), NOW, rows_asked=1)


# Addresses


@pytest.mark.parametrize(
    ("source", "url"),
    [
        (RegistriesListing("a/o$"), "/spaces/a/o%24/+/registries?scope=none&page=2&size=100"),
        (RegistriesListing("a", descendants=True), "/spaces/a/+/registries?scope=descendants&page=2&size=100"),
        (RegistryConfiguration("a/o/p", "r/1+"), "/registry/a/o/p/r%2F1%2B/+"),
        (Listing("a"), "/spaces/a/+/artifacts?page=2&size=100&sort_field=lastModified&sort_order=DESC"),
    ],
)
def test_a_source_has_its_address_below_the_prefix(source, url):
    assert source.url(API, 2, 100) == API + url


def test_violations_are_asked_of_version_3_last_evaluated_first():
    url = ViolationsListing("a/o/p$").url(API, 0, 100)
    assert url == (
        "https://har.example/har/api/v3/scans?account_identifier=a&org_identifier=o&project_identifier=p%24"
        "&scope=none&page=0&size=100&sort=lastEvaluatedAt%3Adesc"
    )
    assert "/v3/scans?account_identifier=a&scope=descendants&" in ViolationsListing("a", descendants=True).url(
        API, 0, 9
    )


@pytest.mark.parametrize(
    ("v1", "v3"),
    [
        (API, "https://har.example/har/api/v3"),
        ("https://h/v1/gateway/har/api/v1", "https://h/v1/gateway/har/api/v3"),
        ("https://h/har/api/v1x", None),
        ("https://h/har", None),
    ],
)
def test_version_3_is_asked_where_version_1_ends_the_prefix(v1, v3):
    assert v3_url(v1) == v3
    if v3 is None:
        with pytest.raises(NotFoundError, match="api_prefix"):
            ViolationsListing("a").url(v1, 0, 100)


# Payloads


def test_the_registries_of_the_web_client_are_read():
    page = decode_registries((PAYLOADS / "sources" / "registries.json").read_bytes(), NOW, rows_asked=100)
    repo1, repo2, upstream = page.found
    assert repo1 == RegistryRow("repo1", "uuid", "VIRTUAL", "DOCKER", None, 0, False, None, False)
    assert (repo2.packages, repo2.size) == (100, 100 * 2**20)
    assert upstream.registry_type == "UPSTREAM"
    assert page[1:] == (3, 2, 10, {"activeCount": 2}, Rejected())


def test_the_violations_of_the_web_client_are_read():
    page = decode_violations((PAYLOADS / "sources" / "violations.json").read_bytes(), NOW, rows_asked=100)
    assert [(row.id, row.name, row.registry, row.scan_status) for row in page.found] == [
        ("1", "package1", "registry1", "BLOCKED"),
        ("2", "package2", "registry2", "WARN"),
    ]
    assert [row.policy_sets for row in page.found] == [("policy1",), ("policy1",)]
    assert page[1:] == (2, 1, 10, {"blockedCount": 1, "totalCount": 2, "warnCount": 1}, Rejected())


def test_the_error_of_version_3_has_a_message():
    body = (PAYLOADS / "sources" / "error_v3.json").read_bytes()
    assert error_message(body) == "User does not have permission to view this resource"
    with pytest.raises(BadShapeError, match="User does not have permission"):
        decode_violations(body, NOW, rows_asked=1)


# Values


@pytest.mark.parametrize(
    ("path", "space"),
    [
        ("acct/org/project/r", "acct/org/project"), ("/acct/r/", "acct"), ("acct", None), ("", None), (None, None),
        (7, None), ("a/" + "o" * 300 + "/r", "a/" + "o" * 300), ("a/b/c/d/r", "a/b/c/d"), ("X/r", "X"),
        ("a" * 1020 + "/r", "a" * 1020), ("a" * 1021 + "/r", None),
    ],
)  # fmt: skip
def test_a_registry_lies_in_the_space_of_its_path(path, space):
    [row] = registry(path=path).found
    assert row.space == space


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("100 MB", 100 * 2**20), ("1.50KB", 1536), ("0.00B", 0), ("512 bytes", 512), ("1 byte", 1), ("2GiB", 2**31),
        (" 1.00TB ", 2**40), ("1.00PB", 2**50), ("7", 7), (7, 7), (None, None), (ABSENT, None),
    ],
)  # fmt: skip
def test_a_size_is_read_from_its_display_text_in_units_of_1024(text, size):
    page = registry(registrySize=text)
    assert (page.found[0].size, page.rejected) == (size, Rejected())


@pytest.mark.parametrize("text", ["", "MB", "-1 MB", "1,5 MB", "1e3 MB", "8.00EB", "1 YB", "9" * 400, True, [], {}, -1])
def test_an_odd_size_is_rejected_and_not_its_row(text):
    page = registry(registrySize=text)
    assert (page.found[0].size, page.rejected) == (None, Rejected(counts=1))


@pytest.mark.parametrize(
    ("fields", "attribute", "value", "rejected"),
    [
        ({"artifactsCount": ABSENT}, "packages", 0, Rejected()),
        ({"artifactsCount": None}, "packages", None, Rejected()),
        ({"artifactsCount": "12"}, "packages", 12, Rejected()),
        ({"artifactsCount": -1}, "packages", None, Rejected(counts=1)),
        ({"artifactsCount": MAX_COUNT + 1}, "packages", None, Rejected(counts=1)),
        ({"artifactsCount": -1, "isPublic": "true"}, "packages", None, Rejected(counts=2)),
        ({"isPublic": True}, "public", True, Rejected()),
        ({"isPublic": ABSENT}, "public", None, Rejected()),
        ({"isPublic": "true"}, "public", None, Rejected(counts=1)),
        ({"deletedAt": str(int(NOW * 1000))}, "deleted", True, Rejected()),
        ({"deletedAt": None}, "deleted", False, Rejected()),
        ({"deletedAt": "-62135596800000"}, "deleted", False, Rejected(times=1)),
        ({"type": ""}, "registry_type", None, Rejected()),
        ({"type": {}}, "registry_type", None, Rejected()),
        ({"uuid": ABSENT}, "uuid", None, Rejected()),
        ({"uuid": "u" * 10**6}, "uuid", ..., Rejected()),
    ],
)
def test_an_odd_value_of_a_registry_is_rejected_and_not_its_row(fields, attribute, value, rejected):
    page = registry(**fields)
    [row] = page.found
    assert page.rejected == rejected
    assert len(row.uuid) <= 256 if value is ... else getattr(row, attribute) == value


@pytest.mark.parametrize(
    ("time", "usable"), [(0, False), (1, True), (latest_time(NOW), True), (latest_time(NOW) + 1, False)]
)
def test_a_time_that_is_not_positive_or_more_than_a_day_ahead_is_rejected(time, usable):
    page = violation(lastEvaluatedAt=time)
    assert page.found[0].evaluated == (time if usable else None)
    assert page.rejected == Rejected(times=int(not usable))


@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        ({"id": 7}, "id", "7"),
        ({"id": ABSENT}, "id", None),
        ({"exemptionStatus": None}, "exemption", None),
        ({"securityViolationCategories": ["b", "a", "a"]}, "categories", ("a", "b")),
        ({"securityViolationCategories": None}, "categories", ()),
        ({"securityViolationCategories": "Security"}, "categories", ()),
        ({"securityViolationCategories": ["x" * 70_000]}, "categories", ()),
        ({"policySets": [{"policySetName": "b"}, {"policySetName": "a"}, {}, 1, {"policySetName": ""}]},
         "policy_sets", ("a", "b")),
        ({"policySets": "none"}, "policy_sets", ()),
        ({"policySets": [{"policySetName": "x" * 70_000}]}, "policy_sets", ()),
        ({"policySets": [{"policySetName": str(number)} for number in range(1000)]}, "policy_sets", ...),
        ({"lastEvaluatedAt": "2026-09-21T14:13:20Z"}, "evaluated", 1_790_000_000_000),
        ({"lastEvaluatedAt": 1_790_000_000_000}, "evaluated", 1_790_000_000_000),
        ({"lastEvaluatedAt": ABSENT}, "evaluated", None),
        ({"registryName": ABSENT}, "registry", None),
        ({"registryId": 7}, "registry_uuid", "7"),
    ],
)  # fmt: skip
def test_an_odd_value_of_a_violation_affects_only_itself(fields, attribute, value):
    page = violation(**fields)
    [row] = page.found
    assert page.rejected == Rejected()
    assert len(row.policy_sets) == 100 if value is ... else getattr(row, attribute) == value


@pytest.mark.parametrize("time", ["0", "x", 0, int(1000 * NOW) + 90_000_000, []])
def test_a_time_that_cannot_be_is_rejected(time):
    page = violation(lastEvaluatedAt=time)
    assert (page.found[0].evaluated, page.rejected) == (None, Rejected(times=1))


@pytest.mark.parametrize(
    "names",
    [
        ("RegistryOrgId", "RegistryProjectId"), ("registryOrgId", "registryProjectId"),
        ("registryOrgID", "registryProjectID"), ("REGISTRYORGID", "registryprojectid"),
    ],
)  # fmt: skip
def test_organization_and_project_are_read_in_any_capitals(names):
    fields = {"RegistryOrgId": ABSENT, "RegistryProjectId": ABSENT}
    [row] = violation(**(fields | dict(zip(names, ("o", "p"), strict=True)))).found
    assert (row.org, row.project) == ("o", "p")


def test_a_text_that_looks_like_a_field_is_none():
    [row] = violation(
        RegistryOrgId=ABSENT, RegistryProjectId=None, purl='"registryOrgId":"x"', other={"registryorgid": 1}
    ).found
    assert (row.org, row.project) == (None, None)


@pytest.mark.parametrize(
    ("page", "missing"),
    [(registry, {"identifier": value}) for value in (ABSENT, None, "", 7, {})]
    + [(violation, {"packageName": value}) for value in (ABSENT, None, "", 7, {})]
    + [(violation, {"registryName": ABSENT, "registryId": ABSENT})],
)
def test_a_row_that_cannot_be_named_is_rejected(page, missing):
    answer = page(**missing)
    assert (answer.found, answer.rows, answer.rejected) == ([], 1, Rejected(rows=1))


@each_listing
def test_a_row_that_is_no_object_is_rejected_alone(decode, body_of, row_of):
    page = decode(body_of([None, row_of(1), 7, "x", []]), NOW, rows_asked=5)
    assert (len(page.found), page.rows, page.rejected) == (1, 5, Rejected(rows=4))


@each_listing
@pytest.mark.parametrize("count", [-1, True, "x", None, 2**60, 1.5])
def test_an_odd_count_of_the_listing_is_none(decode, body_of, row_of, count):
    page = decode(body_of([row_of()], itemCount=count, pageSize=count, meta=[]), NOW, rows_asked=1)
    assert page[1:] == (1, None, None, {}, Rejected())


@each_listing
def test_null_is_an_empty_listing_and_a_byte_order_mark_is_skipped(decode, body_of, row_of):  # noqa: ARG001
    assert decode(b"\xef\xbb\xbf" + body_of(None), NOW, rows_asked=1).rows == 0


@each_listing
def test_times_that_cannot_be_are_counted(decode, body_of, row_of):
    field = "deletedAt" if decode is decode_registries else "lastEvaluatedAt"
    page = decode(body_of([row_of(number, **{field: -1}) for number in (1, 2)]), NOW, rows_asked=2)
    assert page.rejected == Rejected(times=2)


@each_listing
def test_more_rows_than_asked_for_are_refused(decode, body_of, row_of):
    with pytest.raises(PaginationError):
        decode(body_of([row_of(1), row_of(2)]), NOW, rows_asked=1)


@pytest.mark.parametrize("decode", [decode_registries, decode_violations])
@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", BadJsonError), (b"<html>", BadJsonError), (b"[]", BadShapeError), (b"{}", BadShapeError),
        (b'{"status":"ERROR","data":7}', BadShapeError), (b'{"status":"SUCCESS","data":7}', BadShapeError),
        (b'{"status":"SUCCESS","data":{}}', BadShapeError),
        (b'{"status":"SUCCESS","data":{"registries":"null"}}', BadShapeError), (b'{"error":"down"}', BadShapeError),
        (b'{"x":' + DEEP.encode() + b"}", BadJsonError),
    ],
)  # fmt: skip
def test_what_is_no_page_is_refused(decode, body, error):
    with pytest.raises(error):
        decode(body, NOW, rows_asked=1)


@pytest.mark.parametrize("data", [{}, {"registries": "none"}])
def test_the_error_names_the_field_that_has_no_rows(data):
    with pytest.raises(BadShapeError, match=r"data\.registries"):
        decode_registries(json.dumps({"status": "SUCCESS", "data": data}).encode(), NOW, rows_asked=1)


@pytest.mark.parametrize(
    ("config", "mode"),
    [
        ({"firewallMode": "BLOCK"}, "BLOCK"), ({"upstreamProxyConfigFirewallMode": "Warn"}, "Warn"),
        ({"firewallMode": "", "upstreamProxyConfigFirewallMode": "WARN"}, "WARN"), ({}, None), (None, None),
        ({"firewallMode": None}, None), ("BLOCK", None),
    ],
)  # fmt: skip
def test_the_firewall_mode_of_a_registry_is_read_in_both_spellings(config, mode):
    body = json.dumps({"status": "SUCCESS", "data": {"identifier": "r", "config": config}}).encode()
    assert decode_firewall_mode(body) == mode


def test_a_registry_that_failed_has_no_mode():
    with pytest.raises(BadShapeError, match="FAILURE"):
        decode_firewall_mode(b'{"status":"FAILURE","data":{"config":{"firewallMode":"BLOCK"}}}')


@each_listing
def test_lone_surrogates_are_replaced(decode, body_of, row_of):
    field = "uuid" if decode is decode_registries else "version"
    [row] = decode(body_of([row_of(**{field: "a\ud800"})]), NOW, rows_asked=1).found
    assert getattr(row, field) == "a?"


@each_listing
@pytest.mark.parametrize(
    "wide",
    [
        "{" + ",".join(f'"{number}":0' for number in range(250_000)) + "}",
        "[" + "[]," * 900_000 + "[]]",
        '"' + "x" * 3_000_000 + '"',
        "9" * 3_000_000,
    ],
    ids=["names", "lists", "text", "digits"],
)
def test_wide_values_take_little_memory(decode, body_of, row_of, wide):
    """Neither in a field that is not read nor in one that is."""
    fields = ["identifier", "path", "other"] if decode is decode_registries else ["policySets", "id", "other"]
    for name in fields:
        body = body_of([row_of(**{name: "WIDE"})]).replace(b'"WIDE"', wide.encode())
        tracemalloc.start()
        decode(body, NOW, rows_asked=1)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < (9 * 2**20 if name in {"identifier", "id"} else 2**20)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@each_listing
@given(data=st.data())
def test_no_value_of_a_row_lets_anything_but_an_error_of_a_refresh_escape(decode, body_of, row_of, data):
    fields = data.draw(st.dictionaries(st.sampled_from(sorted(row_of())), JSON, max_size=4))
    rows = [row_of(1, **fields), row_of(2)]
    try:
        page = decode(body_of(rows), NOW, rows_asked=2)
    except RefreshError:
        # A number that JSON does not know, such as NaN.
        assert any(word in body_of(rows) for word in (b"NaN", b"Infinity"))
        return
    assert page.rows == 2
    assert len(page.found) + page.rejected.rows == 2
