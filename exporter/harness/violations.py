"""Violations of the dependency firewall: a page of their listing, which only the hosted service has."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlencode

import msgspec
from msgspec import Raw, field

from exporter.harness import values
from exporter.harness.envelope import ListingPage, decode_object, error_message, nesting_checked, without_mark
from exporter.harness.errors import BadShapeError, NotFoundError
from exporter.harness.reading import RawListing, Reader, read_listing
from exporter.labels import VIOLATIONS, Label, clean
from exporter.scopes import parts_of

_MOST_POLICY_SETS = 100
_LONGEST_POLICY_SETS = 2**16  # bytes
_VERSION = re.compile(r"(.*/)v1")


@dataclass(frozen=True, slots=True)
class ViolationsListing:
    """Violations to list, last evaluated first: those in the registries of one space.

    Attributes:
        space: `account`, `account/org` or `account/org/project`.
        descendants: list those of all spaces below it, too.
    """

    source: ClassVar[str] = VIOLATIONS

    space: str
    descendants: bool = False

    def url(self, api_url: str, page: int, size: int) -> str:
        """Return the URL of one page.

        Raises:
            NotFoundError: the API prefix has no version to replace.
        """
        newer = v3_url(api_url)
        if newer is None:
            raise NotFoundError("there is no address of the violations: api_prefix does not end in /v1")
        account, org, project = parts_of(self.space)
        query = {
            "account_identifier": account,
            "org_identifier": org,
            "project_identifier": project,
            "scope": "descendants" if self.descendants else "none",
            "page": str(page),
            "size": str(size),
            "sort": "lastEvaluatedAt:desc",
        }
        return f"{newer}/scans?{urlencode({name: value for name, value in query.items() if value})}"


def v3_url(api_url: str) -> str | None:
    """Return base URL and prefix of version 3 of the API; None if those of version 1 do not end in `/v1`."""
    version_1 = _VERSION.fullmatch(api_url)
    return version_1 and f"{version_1[1]}v3"


class Violation(NamedTuple):
    """Row of the listing: a package version that the firewall blocked or warned of, with texts as the API writes them.

    Attributes:
        id: `id`; None if it is absent.
        name: `packageName`, never empty.
        version: `version`.
        package_type: `packageType`.
        purl: `purl`, the package URL.
        registry_uuid: `registryId`: UUID of the registry.
        registry: `registryName`; only one of this and `registry_uuid` can be None.
        org: identifier of the registry's organization.
        project: identifier of the registry's project.
        scan_status: `scanStatus`: BLOCKED, WARN and others.
        exemption: `exemptionStatus`; None if there is none.
        categories: `securityViolationCategories`: Security, License and others, sorted.
        policy_sets: `policySets[].policySetName`, sorted.
        evaluated: `lastEvaluatedAt`, milliseconds since the epoch.
    """

    id: str | None
    name: str
    version: str | None
    package_type: str | None
    purl: str | None
    registry_uuid: str | None
    registry: str | None
    org: str | None
    project: str | None
    scan_status: str | None
    exemption: str | None
    categories: tuple[str, ...]
    policy_sets: tuple[str, ...]
    evaluated: int | None


class _RawPage(RawListing, gc=False):
    data: Raw = Raw()
    error: Raw = Raw()


class _RawRow(msgspec.Struct, gc=False):
    id: Raw = Raw()
    name: Raw = field(name="packageName", default=Raw())
    version: Raw = Raw()
    package_type: Raw = field(name="packageType", default=Raw())
    purl: Raw = Raw()
    registry_uuid: Raw = field(name="registryId", default=Raw())
    registry: Raw = field(name="registryName", default=Raw())
    org: Raw = field(name="RegistryOrgId", default=Raw())
    project: Raw = field(name="RegistryProjectId", default=Raw())
    scan_status: Raw = field(name="scanStatus", default=Raw())
    exemption: Raw = field(name="exemptionStatus", default=Raw())
    categories: Raw = field(name="securityViolationCategories", default=Raw())
    policy_sets: Raw = field(name="policySets", default=Raw())
    evaluated: Raw = field(name="lastEvaluatedAt", default=Raw())


class _RawPolicySet(msgspec.Struct, gc=False):
    name: Raw = field(name="policySetName", default=Raw())


_PAGE = msgspec.json.Decoder(_RawPage)
_ROW = msgspec.json.Decoder(_RawRow)
_POLICY_SET = msgspec.json.Decoder(_RawPolicySet)
_POLICY_SETS = msgspec.json.Decoder(list[Raw])
_ORG = re.compile(rb'"(registryorgid)"\s*:', re.IGNORECASE)
_PROJECT = re.compile(rb'"(registryprojectid)"\s*:', re.IGNORECASE)


@lru_cache(maxsize=16)
def _decoder_of(name: str) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(
        msgspec.defstruct("_RawField", [("value", Raw, field(name=name, default=Raw()))], gc=False)
    )


@nesting_checked()
def decode_violations(body: bytes, now: float, *, rows_asked: int, label: Label = clean) -> ListingPage[Violation]:
    """Return the page of the violations listing that a response of the API holds.

    Args:
        body: the decompressed body of the response.
        now: the wall clock's time in seconds, to recognize times in the future.
        rows_asked: how many rows were requested; a page that has more is refused before they are built.
        label: makes a label value of a text, for the errors.

    Raises:
        BadJsonError: the body is not JSON.
        BadShapeError: it is JSON, but not a list of violations.
        PaginationError: it has more rows than were requested.
        TooLargeError: it has invalid characters, and is too large for these to be replaced.
    """
    page = decode_object(without_mark(body), _PAGE)
    if values.first_byte(page.error) not in {b"", b"n"}:
        raise BadShapeError(f"the API returned an error: {label(error_message(body) or 'no message')}")
    return read_listing(page, page.data, "data", _violation, rows_asked=rows_asked, now=now)


def _violation(row: Raw, reader: Reader) -> Violation | None:
    raw = _ROW.decode(row)
    name, registry = reader.name(raw.name), reader.name(raw.registry)
    registry_uuid = values.read_text(raw.registry_uuid) or None
    if not name or not (registry or registry_uuid):
        return None
    return Violation(
        id=values.read_text(raw.id) or None,
        name=name,
        version=values.read_text(raw.version) or None,
        package_type=values.read_text(raw.package_type) or None,
        purl=values.read_text(raw.purl) or None,
        registry_uuid=registry_uuid,
        registry=registry,
        org=values.read_text(raw.org or _field(row, _ORG)) or None,
        project=values.read_text(raw.project or _field(row, _PROJECT)) or None,
        scan_status=values.read_text(raw.scan_status) or None,
        exemption=values.read_text(raw.exemption) or None,
        categories=values.read_texts(raw.categories),
        policy_sets=tuple(sorted({*_policy_sets(raw.policy_sets)})),
        evaluated=reader.time(raw.evaluated),
    )


def _field(row: Raw, name: re.Pattern[bytes]) -> Raw:
    """Return a field whose name is written in any capitals; decoding all names of the row could take much memory."""
    for written in {match[1] for match in name.finditer(memoryview(row))}:
        value: Raw = _decoder_of(written.decode()).decode(row).value
        if value:
            return value
    return Raw()


def _policy_sets(policy_sets: Raw) -> Iterator[str]:
    if len(policy_sets) > _LONGEST_POLICY_SETS or values.first_byte(policy_sets) != b"[":
        return
    for policy_set in _POLICY_SETS.decode(policy_sets)[:_MOST_POLICY_SETS]:
        if values.first_byte(policy_set) == b"{" and (name := values.read_text(_POLICY_SET.decode(policy_set).name)):
            yield name
