"""Page of the List Artifacts API, decoded from JSON.

Decoding follows the behaviour of the API, which differs from its documentation: required fields are missing, numbers
are text, times are text with milliseconds. Pages are decoded by a fast typed decoder. A page that it rejects, or that
is so large that it could take much memory, is decoded row by row, and a row that it rejects value by value, so that an
invalid value affects only its own row. Neither way builds more rows than were asked for.
"""

import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Generic, NamedTuple, TypeVar, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType, field

from exporter.harness import values
from exporter.harness.envelope import (
    RawEnvelope,
    Rejected,
    check_status,
    decode_envelope,
    list_type,
    nesting_checked,
    rows_of,
    usable_count,
    without_mark,
)
from exporter.harness.errors import BadShapeError
from exporter.harness.values import Count, OddValueError
from exporter.labels import MAX_LENGTH, Label, clean

_FAST_BODY = 4 * 2**20  # bytes; texts may take four times as much while they are decoded
_FAST_ROW = 2**16
_UNREMARKABLE = {None, "ALLOWED"}

T = TypeVar("T")

# A longer text is refused, and then cut by the slower decoder, so that no row keeps it.
Text = Annotated[str, msgspec.Meta(max_length=MAX_LENGTH)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_LENGTH)]

if TYPE_CHECKING:
    from typing import Optional as Maybe

    Flag = bool
    Key = str
    Tags = tuple[str, ...]
else:

    class Maybe:
        """Type of a field that may be absent; null is refused here, as the lenient decoder reads "null" as null."""

        def __class_getitem__(cls, kind: object) -> object:
            return kind

    # The lenient decoder would convert 1 and "true" to True: `isQuarantined` must be a real boolean.
    Flag = bool | float | str | None
    # JSON until the page is decoded, so that most rows, which have neither, cost nothing.
    Key = Tags = Raw


# gc=False in these classes: rows are never part of a reference cycle, so the garbage collector need not track them.
class Deployments(msgspec.Struct, gc=False):
    """Numbers of environments that an artifact is deployed to (`deploymentMetadata`).

    Attributes:
        prod: `prodEnvCount`.
        nonprod: `nonProdEnvCount`.
    """

    prod: Maybe[Count] = field(name="prodEnvCount", default=None)
    nonprod: Maybe[Count] = field(name="nonProdEnvCount", default=None)


class Artifact(msgspec.Struct, gc=False, kw_only=True):
    """Row of the listing: one version of an artifact, with texts as the API writes them.

    Attributes:
        artifact_key: `artifactKey` as JSON with sorted names, such as architecture and distribution of a Debian
            package: rows that differ in it alone are different artifacts; None if there is none.
        artifact_type: `artifactType`: model or dataset, for some package types.
        deleted: `deletedAt`, milliseconds since the epoch; None for a live artifact.
        deployments: `deploymentMetadata`; None, which is not zero, if the account lacks the module that counts them.
        digests: `digestCount`.
        downloads: `downloadsCount`; of the whole image if rows share an image.
        files: `fileCount`.
        firewall_mode: `firewallMode`: ENABLED, QUARANTINE, ALLOW, WARN, BLOCK and others.
        quarantined: `isQuarantined`.
        modified: `lastModified`, milliseconds since the epoch.
        scanned: `lastScannedAt`, milliseconds since the epoch.
        tags: `metadata.tags`: the tags of an image that is listed by digest, sorted; read only if the row is
            quarantined or has a scan status other than ALLOWED, as the others are counted, but not listed.
        name: `name`, never empty.
        package_type: `packageType`.
        purl: `purl`, the package URL.
        quarantine_reason: `quarantineReason`.
        registry: `registryIdentifier`, never empty.
        registry_type: `registryType`: VIRTUAL or UPSTREAM.
        registry_uuid: `registryUUID`.
        scan_status: `scanStatus`: ALLOWED, WARN, BLOCKED and others.
        uuid: `uuid`; rows of one image share it if images are listed by tag.
        version: `version`; a tag or a digest for images.
    """

    # In the order of the JSON names, as in real responses: the decoder searches for each key after the previous one.
    artifact_key: Maybe[Key] = field(name="artifactKey", default=None)
    artifact_type: Text | None = field(name="artifactType", default=None)
    deleted: Maybe[int] = field(name="deletedAt", default=None)
    deployments: Maybe[Deployments] = field(name="deploymentMetadata", default=None)
    digests: Maybe[Count] = field(name="digestCount", default=None)
    downloads: Maybe[Count] = field(name="downloadsCount", default=None)
    files: Maybe[Count] = field(name="fileCount", default=None)
    firewall_mode: Text | None = field(name="firewallMode", default=None)
    quarantined: Maybe[Flag] = field(name="isQuarantined", default=None)
    modified: Maybe[int] = field(name="lastModified", default=None)
    scanned: Maybe[int] = field(name="lastScannedAt", default=None)
    tags: Tags = field(name="metadata", default=())
    name: Name
    package_type: Text | None = field(name="packageType", default=None)
    purl: Text | None = None
    quarantine_reason: Text | None = field(name="quarantineReason", default=None)
    registry: Name = field(name="registryIdentifier")
    registry_type: Text | None = field(name="registryType", default=None)
    registry_uuid: Text | None = field(name="registryUUID", default=None)
    scan_status: Text | None = field(name="scanStatus", default=None)
    uuid: Text | None = None
    version: Text | None = None


class Page(NamedTuple):
    """Page of the listing.

    Attributes:
        artifacts: the rows that can be used, in the API's order.
        newest: the latest `lastModified` of these, milliseconds since the epoch; None if none has one.
        rows: number of rows that the API sent, including those that cannot be used.
        item_count: `itemCount`: rows of the whole listing as counted by the API; None if there is no usable count.
        page_size: `pageSize`: the size in force; None if there is no usable one.
        rejected: numbers of rows and values that could not be used.
        size: bytes of the decompressed body.
    """

    artifacts: list[Artifact]
    newest: int | None
    rows: int
    item_count: int | None
    page_size: int | None
    rejected: Rejected
    size: int


class _Data(msgspec.Struct, Generic[T], gc=False):
    artifacts: T | UnsetType = UNSET
    item_count: Maybe[Count] = field(name="itemCount", default=None)
    page_size: Maybe[Count] = field(name="pageSize", default=None)


class _Envelope(msgspec.Struct, Generic[T], gc=False):
    status: Text = ""
    message: Text | None = None
    data: _Data[T] | UnsetType = UNSET


class _RawData(msgspec.Struct, gc=False):
    artifacts: Raw = Raw()
    item_count: Raw = field(name="itemCount", default=Raw())
    page_size: Raw = field(name="pageSize", default=Raw())


class _UsualData(msgspec.Struct, Generic[T], gc=False, kw_only=True):
    artifacts: T
    item_count: Raw = field(name="itemCount", default=Raw())
    page_size: Raw = field(name="pageSize", default=Raw())


class _UsualEnvelope(msgspec.Struct, Generic[T], gc=False, kw_only=True):
    status: Raw
    message: Raw = Raw()
    data: _UsualData[T]


class _RawDeployments(msgspec.Struct, gc=False):
    prod: Raw = field(name="prodEnvCount", default=Raw())
    nonprod: Raw = field(name="nonProdEnvCount", default=Raw())


class _Answer(NamedTuple):
    status: str
    message: str | None
    rows: Sequence[Artifact] | None = None  # None if there is no list, which may be empty
    item_count: int | None = None
    page_size: int | None = None


_RAW_DATA = msgspec.json.Decoder(_RawData)
_RAW_ROW: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    msgspec.defstruct(
        "_RawArtifact",
        [(of.name, Raw, field(name=of.encode_name, default=Raw())) for of in msgspec.structs.fields(Artifact)],
        gc=False,
    )
)
_COUNTS = ("downloads", "files", "digests")
_TIMES = ("modified", "scanned", "deleted")
_OBJECTS = ("artifact_key", "tags")
_TEXTS = {of.name for of in msgspec.structs.fields(Artifact)} - {
    "quarantined",
    "deployments",
    *_COUNTS,
    *_TIMES,
    *_OBJECTS,
}
_RAW_DEPLOYMENTS = msgspec.json.Decoder(_RawDeployments)
# One large body at a time: each step of its decoding keeps all other threads waiting.
_LARGE = threading.Lock()
# Not strict, because the API sends numbers as text.
_ROW = msgspec.json.Decoder(Artifact, strict=False)


# Types of its own for each decoder: one that two threads make decoders of at the same time crashes the process.
@lru_cache(maxsize=8)
def _page_decoder(most: int) -> msgspec.json.Decoder[_Envelope[Any]]:
    return msgspec.json.Decoder(_Envelope[list_type(Artifact, most)], strict=False)  # type: ignore[misc]


@lru_cache(maxsize=8)
def _raw_page_decoder(most: int) -> msgspec.json.Decoder[_UsualEnvelope[Any]]:
    return msgspec.json.Decoder(_UsualEnvelope[list_type(Raw, most)])  # type: ignore[misc]


def decode_page(body: bytes, now: float, *, rows_asked: int, label: Label = clean) -> Page:
    """Return the page that a response of the API holds.

    Args:
        body: the decompressed body of the response.
        now: the wall clock's time in seconds, to recognize times in the future.
        rows_asked: how many rows were requested; a page that has more is refused before they are built.
        label: makes a label value of a text, for the errors.

    Raises:
        BadJsonError: the body is not JSON.
        BadShapeError: it is JSON, but not a successful list of artifacts.
        PaginationError: it has more rows than were requested.
        TooLargeError: it has invalid characters, and is too large for these to be replaced.
    """
    tolerant = _TolerantDecoder(rows_asked)
    whole = without_mark(body)
    with nesting_checked():
        if len(whole) > _FAST_BODY:
            with _LARGE:
                answer = tolerant.decode(whole)
        else:
            answer = _decode_fast(whole, rows_asked) or tolerant.decode(whole)
        rows = _listed(answer, label)
        artifacts, newest, rejected_times = _finished(rows, latest=values.latest_time(now))
    rejected_rows = tolerant.rejected_rows + len(rows) - len(artifacts)
    return Page(
        artifacts=artifacts,
        newest=newest,
        rows=len(artifacts) + rejected_rows,
        item_count=answer.item_count,
        page_size=answer.page_size,
        rejected=Rejected(rejected_rows, tolerant.rejected_counts, rejected_times),
        size=len(body),
    )


def _decode_fast(body: bytes | memoryview, rows_asked: int) -> _Answer | None:
    """Return the answer; None if it is not as usual."""
    try:
        envelope = _page_decoder(rows_asked).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if envelope.data is UNSET or envelope.data.artifacts is UNSET:
        return _Answer(envelope.status, envelope.message)
    rows = list(filter(None, msgspec.structs.astuple(envelope.data.artifacts)))
    return _Answer(envelope.status, envelope.message, rows, envelope.data.item_count, envelope.data.page_size)


def _listed(answer: _Answer, label: Label) -> Sequence[Artifact]:
    """Return the rows of a successful answer."""
    check_status(answer.status, answer.message, label)
    if answer.rows is None:
        raise BadShapeError("the response has no data.artifacts")
    return answer.rows


def _finished(rows: Sequence[Artifact], latest: int) -> tuple[list[Artifact], int | None, int]:
    """Read what is still JSON in rows, and remove their unusable times.

    Args:
        rows: rows.
        latest: milliseconds since the epoch; later times cannot be used, and neither can those that are not positive.

    Returns:
        The rows whose `isQuarantined` is a boolean or absent, the newest modification of these, and the number of
        times that were removed.
    """
    # Written out for each field: a loop over the names would cost every row more time.
    artifacts, newest, odd = [], 0, 0
    for row in rows:
        # `is False` first: that is the usual value, and isinstance takes longer.
        if row.quarantined is not False and not isinstance(cast("object", row.quarantined), bool | None):
            continue
        artifacts.append(row)
        if (modified := row.modified) is not None:
            if not 0 < modified <= latest:
                row.modified = None
                odd += 1
            elif modified > newest:
                newest = modified
        if (scanned := row.scanned) is not None and not 0 < scanned <= latest:
            row.scanned = None
            odd += 1
        if (deleted := row.deleted) is not None and not 0 < deleted <= latest:
            row.deleted = None
            odd += 1
        if row.artifact_key is not None:
            row.artifact_key = values.read_key(cast("Raw", row.artifact_key))
        if row.tags:
            listed = row.quarantined or row.scan_status not in _UNREMARKABLE
            row.tags = values.read_tags(cast("Raw", row.tags)) if listed else ()
    return artifacts, newest or None, odd


class _TolerantDecoder:
    """Decoder that reads a page row by row, odd rows value by value, and counts what it rejects."""

    def __init__(self, rows_asked: int) -> None:
        self.rejected_rows = 0
        self.rejected_counts = 0
        self._rows_asked = rows_asked

    def decode(self, body: bytes | memoryview) -> _Answer:
        try:
            envelope = _raw_page_decoder(self._rows_asked).decode(body)
        except msgspec.DecodeError:
            return self._decode_by_level(body)
        return self._answer(envelope, envelope.data, msgspec.structs.astuple(envelope.data.artifacts))

    def _decode_by_level(self, body: bytes | memoryview) -> _Answer:
        envelope = decode_envelope(body)
        # A failure may have any data, which must not hide its message.
        is_listing = values.read_text(envelope.status) == "SUCCESS" and values.first_byte(envelope.data) == b"{"
        data = _RAW_DATA.decode(envelope.data) if is_listing else _RawData()
        return self._answer(envelope, data, rows_of(data.artifacts, self._rows_asked, "data.artifacts"))

    def _answer(
        self,
        envelope: RawEnvelope | _UsualEnvelope[Any],
        data: _RawData | _UsualData[Any],
        rows: Sequence[Raw] | None,
    ) -> _Answer:
        return _Answer(
            values.read_text(envelope.status) or "",
            values.read_text(envelope.message),
            None if rows is None else self._artifacts([row for row in rows if row]),
            usable_count(data.item_count),
            usable_count(data.page_size),
        )

    def _artifacts(self, rows: Sequence[Raw]) -> list[Artifact]:
        artifacts = [artifact for row in rows if (artifact := self._artifact(row)) is not None]
        self.rejected_rows = len(rows) - len(artifacts)
        return artifacts

    def _artifact(self, row: Raw) -> Artifact | None:
        if len(row) <= _FAST_ROW:
            with suppress(msgspec.DecodeError, UnicodeDecodeError):
                return _ROW.decode(row)
        if values.first_byte(row) != b"{":
            return None
        raw = _RAW_ROW.decode(row)
        fields: dict[str, Any] = {name: values.read_text(getattr(raw, name)) for name in _TEXTS}
        if not (fields["name"] and fields["registry"] and _are_texts(raw.name, raw.registry)):
            return None
        try:
            fields["quarantined"] = values.read_flag(raw.quarantined)
        except OddValueError:
            return None
        fields |= {name: self._count(getattr(raw, name)) for name in _COUNTS}
        fields |= {name: values.read_time(getattr(raw, name)) for name in _TIMES}
        fields |= {name: json_text for name in _OBJECTS if (json_text := getattr(raw, name))}
        return Artifact(**fields, deployments=self._deployments(raw.deployments))

    def _deployments(self, value: Raw) -> Deployments | None:
        kind = values.first_byte(value)
        if kind == b"{":
            raw = _RAW_DEPLOYMENTS.decode(value)
            return Deployments(self._count(raw.prod), self._count(raw.nonprod))
        self.rejected_counts += kind not in {b"", b"n"}
        return None

    def _count(self, value: Raw) -> int | None:
        try:
            return values.read_count(value)
        except OddValueError:
            self.rejected_counts += 1
            return None


def _are_texts(*values_: Raw) -> bool:
    return all(values.first_byte(value) == b'"' for value in values_)
