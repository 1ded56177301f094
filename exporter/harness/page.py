"""Page of the List Artifacts API, decoded from JSON.

Decoding follows the behaviour of the API, which differs from its documentation: required fields are missing, numbers
are text, times are text with milliseconds. Pages are decoded by a fast typed decoder. A page that it rejects is decoded
a second time, value by value, so that an invalid value affects only its own row.
"""

import json
import math
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn, cast

import msgspec

from exporter.harness.errors import BadJsonError, BadShapeError
from exporter.labels import clean

MAX_COUNT = 2**53
"""Largest integer that JSON and a float64 sample both represent exactly; larger counts are rejected."""

_DAY = 86_400.0
_EPOCH = datetime.fromtimestamp(0, UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MAX_DIGITS = 16  # of MAX_COUNT
_NO_COUNT = (msgspec.ValidationError, UnicodeEncodeError)

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)] | None

if TYPE_CHECKING:
    Flag = bool | None
    Key = str | None
    Tags = tuple[str, ...]
else:
    # Any, as the lenient decoder would convert 1 and "true" to True: `isQuarantined` must be a real boolean.
    Flag = Any
    # JSON until the page is decoded, so that most rows, which have neither, cost nothing.
    Key = Tags = msgspec.Raw


# gc=False in these classes: rows are never part of a reference cycle, so the garbage collector need not track them.
class Deployments(msgspec.Struct, gc=False):
    """Numbers of environments that an artifact is deployed to (`deploymentMetadata`).

    Attributes:
        prod: `prodEnvCount`.
        nonprod: `nonProdEnvCount`.
    """

    prod: Count = msgspec.field(name="prodEnvCount", default=None)
    nonprod: Count = msgspec.field(name="nonProdEnvCount", default=None)


class Artifact(msgspec.Struct, gc=False):
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
        tags: `metadata.tags`: the tags of an image that is listed by digest, sorted.
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
    artifact_key: Key = msgspec.field(name="artifactKey", default=None)
    artifact_type: str | None = msgspec.field(name="artifactType", default=None)
    deleted: int | None = msgspec.field(name="deletedAt", default=None)
    deployments: Deployments | None = msgspec.field(name="deploymentMetadata", default=None)
    digests: Count = msgspec.field(name="digestCount", default=None)
    downloads: Count = msgspec.field(name="downloadsCount", default=None)
    files: Count = msgspec.field(name="fileCount", default=None)
    firewall_mode: str | None = msgspec.field(name="firewallMode", default=None)
    quarantined: Flag = msgspec.field(name="isQuarantined", default=None)
    modified: int | None = msgspec.field(name="lastModified", default=None)
    scanned: int | None = msgspec.field(name="lastScannedAt", default=None)
    tags: Tags = msgspec.field(name="metadata", default=())
    name: str = ""
    package_type: str | None = msgspec.field(name="packageType", default=None)
    purl: str | None = None
    quarantine_reason: str | None = msgspec.field(name="quarantineReason", default=None)
    registry: str = msgspec.field(name="registryIdentifier", default="")
    registry_type: str | None = msgspec.field(name="registryType", default=None)
    registry_uuid: str | None = msgspec.field(name="registryUUID", default=None)
    scan_status: str | None = msgspec.field(name="scanStatus", default=None)
    uuid: str | None = None
    version: str | None = None


class Rejected(NamedTuple):
    """Numbers of rows and values that could not be used.

    Attributes:
        rows: rows without a name or a registry, or with an `isQuarantined` that is not a boolean.
        counts: counts that are not an integer from 0 to `MAX_COUNT`.
        times: times that are malformed, not positive, or more than a day in the future.
    """

    rows: int = 0
    counts: int = 0
    times: int = 0


class Page(NamedTuple):
    """Page of the listing.

    Attributes:
        artifacts: the rows that can be used, in the API's order.
        rows: number of rows that the API sent, including those that cannot be used.
        item_count: `itemCount`: rows of the whole listing as counted by the API; None if there is no usable count.
        page_size: `pageSize`: the size in force; None if there is no usable one.
        rejected: numbers of rows and values that could not be used.
    """

    artifacts: list[Artifact]
    rows: int
    item_count: int | None
    page_size: int | None
    rejected: Rejected


class _Data(msgspec.Struct, gc=False):
    artifacts: list[Artifact] | msgspec.UnsetType | None = msgspec.UNSET
    item_count: Any = msgspec.field(name="itemCount", default=None)
    page_size: Any = msgspec.field(name="pageSize", default=None)


class _Envelope(msgspec.Struct, gc=False):
    status: str = ""
    message: str | None = None
    data: _Data | None = None


# Not strict, because the API sends numbers as text.
_ENVELOPE = msgspec.json.Decoder(_Envelope, strict=False)


def decode_page(body: bytes, now: float) -> Page:
    """Return the page that a response of the API holds.

    Args:
        body: the decompressed body of the response.
        now: the wall clock's time in seconds, to recognize times in the future.

    Raises:
        BadJsonError: the body is not JSON.
        BadShapeError: it is JSON, but not a successful list of artifacts.
    """
    tolerant = _TolerantDecoder()
    try:
        answer = _ENVELOPE.decode(body)
        _read_objects(answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        answer = tolerant.decode(body)
    except RecursionError:
        raise BadJsonError("the response is nested too deeply") from None
    if answer.status != "SUCCESS":
        message = clean(answer.message or "no message")
        raise BadShapeError(f"the API returned status {clean(answer.status)!r}: {message}")
    data = answer.data
    if data is None or data.artifacts is msgspec.UNSET:
        raise BadShapeError("the response has no data.artifacts")
    rows = data.artifacts or []
    artifacts = _usable_rows(rows)
    rejected_times = _drop_odd_times(artifacts, latest=int(1000 * (now + _DAY)))
    return Page(
        artifacts=artifacts,
        rows=len(rows) + tolerant.rejected_rows,
        item_count=_usable(data.item_count),
        page_size=_usable(data.page_size),
        rejected=Rejected(
            len(rows) - len(artifacts) + tolerant.rejected_rows, tolerant.rejected_counts, rejected_times
        ),
    )


def _usable_rows(rows: list[Artifact]) -> list[Artifact]:
    # `is False` first: that is the usual value, and isinstance takes longer.
    return [
        row
        for row in rows
        if row.name and row.registry and (row.quarantined is False or isinstance(row.quarantined, bool | None))
    ]


def _read_objects(answer: "_Envelope") -> None:
    """Replace the JSON of the keys and tags of all rows by their values."""
    for row in (answer.data and answer.data.artifacts) or ():
        if row.artifact_key:
            row.artifact_key = _key(msgspec.json.decode(row.artifact_key))
        if row.tags:
            row.tags = _tags(msgspec.json.decode(cast("msgspec.Raw", row.tags)))


def _key(value: object) -> str | None:
    """Return the same text for equal keys, whatever the order of their names."""
    return json.dumps(value, sort_keys=True) if value else None


def _tags(metadata: object) -> tuple[str, ...]:
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    return tuple(sorted(tag for tag in tags if isinstance(tag, str))) if isinstance(tags, list) else ()


def error_message(body: bytes) -> str:
    """Return the message in the body of an error as one printable line; empty if there is no readable one."""
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    message = envelope.get("message") if isinstance(envelope, dict) else None
    return clean(message) if isinstance(message, str) else ""


def _drop_odd_times(artifacts: list[Artifact], latest: int) -> int:
    """Remove the unusable times of all rows, and return their number.

    Args:
        artifacts: rows.
        latest: milliseconds since the epoch; later times cannot be used, and neither can those that are not positive.
    """
    # Written out for each field: a loop over the names would cost every row more time.
    odd = 0
    for row in artifacts:
        if (modified := row.modified) is not None and not 0 < modified <= latest:
            row.modified = None
            odd += 1
        if (scanned := row.scanned) is not None and not 0 < scanned <= latest:
            row.scanned = None
            odd += 1
        if (deleted := row.deleted) is not None and not 0 < deleted <= latest:
            row.deleted = None
            odd += 1
    return odd


def _count(value: object) -> int | None:
    """Return an integer from 0 to `MAX_COUNT`, or None for None, as the typed decoder does.

    Raises:
        msgspec.ValidationError: the value is neither.
        UnicodeEncodeError: the value is a text with a lone surrogate.
    """
    # msgspec refuses leading zeros. Longer texts exceed MAX_COUNT, and Python may refuse to convert them.
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        value = int(value)
    number: int | None = msgspec.convert(value, Count, strict=False)
    return number


def _usable(value: object) -> int | None:
    try:
        return _count(value)
    except _NO_COUNT:
        return None


_WIRE_NAMES = {field.name: field.encode_name for field in msgspec.structs.fields(Artifact)}
_COUNTS = ("downloads", "files", "digests")
_TIMES = ("modified", "scanned", "deleted")
_TEXTS = _WIRE_NAMES.keys() - {"artifact_key", "quarantined", "deployments", "tags", *_TIMES, *_COUNTS}


class _TolerantDecoder:
    """Decoder that reads a page value by value, and counts the rows and counts that it rejects."""

    def __init__(self) -> None:
        self.rejected_rows = 0
        self.rejected_counts = 0

    def decode(self, body: bytes) -> _Envelope:
        document = _load(body)
        if not isinstance(document, dict):
            raise BadShapeError("the response is not a JSON object")
        status, message = _text(document.get("status")) or "", _text(document.get("message"))
        data = document.get("data")
        if not isinstance(data, dict) or "artifacts" not in data:
            return _Envelope(status, message)
        rows = data["artifacts"] if data["artifacts"] is not None else []  # null is an empty list
        if not isinstance(rows, list):
            raise BadShapeError("data.artifacts is not a list")
        artifacts = [artifact for row in rows if (artifact := self._artifact(row)) is not None]
        self.rejected_rows = len(rows) - len(artifacts)
        return _Envelope(status, message, _Data(artifacts, data.get("itemCount"), data.get("pageSize")))

    def _artifact(self, row: object) -> Artifact | None:
        if not isinstance(row, dict):
            return None
        fields: dict[str, Any] = {name: row.get(wire_name) for name, wire_name in _WIRE_NAMES.items()}
        named = all(isinstance(text, str) and text for text in (fields["name"], fields["registry"]))
        if not named or not isinstance(fields["quarantined"], bool | None):
            return None
        fields |= {name: _text(fields[name]) for name in _TEXTS}
        fields |= {name: self._count(fields[name]) for name in _COUNTS}
        fields |= {name: _milliseconds(fields[name]) for name in _TIMES}
        fields["artifact_key"] = _key(fields["artifact_key"])
        fields["tags"] = _tags(fields["tags"])
        fields["deployments"] = self._deployments(fields["deployments"])
        return Artifact(**fields)

    def _deployments(self, value: object) -> Deployments | None:
        if isinstance(value, dict):
            return Deployments(self._count(value.get("prodEnvCount")), self._count(value.get("nonProdEnvCount")))
        self.rejected_counts += value is not None
        return None

    def _count(self, value: object) -> int | None:
        try:
            return _count(value)
        except _NO_COUNT:
            self.rejected_counts += 1
            return None


def _milliseconds(value: object) -> int | None:
    """Return a time in milliseconds since the epoch; None if it is absent, 0 if it is malformed."""
    with suppress(*_NO_COUNT):
        return _count(value)
    try:
        time = datetime.fromisoformat(value if isinstance(value, str) else "")
        # A text without a time zone is in UTC.
        return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        return 0


def _load(body: bytes) -> object:
    try:
        # Invalid UTF-8 costs only its own text. NaN and Infinity are not JSON, but Python accepts them.
        return json.loads(body.decode(errors="replace"), parse_int=_parse_int, parse_constant=_refuse_constant)
    except ValueError as error:
        raise BadJsonError(f"the response is not JSON: {clean(str(error))}") from None
    except RecursionError:
        raise BadJsonError("the response is nested too deeply") from None


def _parse_int(digits: str) -> int | float:
    """Return the integer; infinity if it has so many digits that Python may refuse to convert it."""
    return int(digits) if len(digits) <= sys.int_info.str_digits_check_threshold else math.inf


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _text(value: object) -> str | None:
    """Return a text; a number as its digits; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        # Infinity stands for a number that was not converted, or is too large for a float: its digits are lost.
        return None if value in {math.inf, -math.inf} else str(value)
    return value if isinstance(value, str) else None
