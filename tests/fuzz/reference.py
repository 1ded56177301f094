"""Slow reading of a page, by the notes on the API's behaviour.

It reads the whole body with `json`, a value at a time, and shares nothing with the exporter but `clean`, which has
tests of its own.
"""

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from exporter.labels import MAX_LENGTH, clean

TEXTS = {
    "artifactType": "artifact_type",
    "firewallMode": "firewall_mode",
    "name": "name",
    "packageType": "package_type",
    "purl": "purl",
    "quarantineReason": "quarantine_reason",
    "registryIdentifier": "registry",
    "registryType": "registry_type",
    "registryUUID": "registry_uuid",
    "scanStatus": "scan_status",
    "uuid": "uuid",
    "version": "version",
}
COUNTS = {"digestCount": "digests", "downloadsCount": "downloads", "fileCount": "files"}
ENVIRONMENTS = {"prodEnvCount": "prod", "nonProdEnvCount": "nonprod"}
TIMES = {"deletedAt": "deleted", "lastModified": "modified", "lastScannedAt": "scanned"}

_DAY = 86_400_000
_EPOCH = datetime.fromtimestamp(0, UTC)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_MAX_DIGITS = 640  # what Python converts to a number whatever its own limit is set to


class RefusedError(Exception):
    """The body is no page; its argument is the reason."""


def read_page(body, now, rows_asked):
    """Return rows, each a mapping of attributes, and the number of rows, the count, the size and what is rejected.

    The key of a row is its value, not yet JSON.

    Raises:
        RefusedError: the body is no page.
    """
    answer = parsed(body.removeprefix(b"\xef\xbb\xbf"))
    if not isinstance(answer, dict) or _text(answer.get("status")) != "SUCCESS":
        raise RefusedError("bad_shape")
    data = answer.get("data")
    if not isinstance(data, dict) or "artifacts" not in data:
        raise RefusedError("bad_shape")
    rows = [] if data["artifacts"] is None else data["artifacts"]
    if not isinstance(rows, list):
        raise RefusedError("bad_shape")
    if len(rows) > rows_asked:
        raise RefusedError("pagination")
    rejected = Counter()
    read = [_row(row, int(now * 1000) + _DAY, rejected) for row in rows if _is_usable(row)]
    sizes = tuple(_count(data.get(name), Counter()) for name in ("itemCount", "pageSize"))
    return read, len(rows), *sizes, (len(rows) - len(read), rejected["counts"], rejected["times"])


def is_deep(body):
    """Return whether a body may be nested so deeply that it depends on the stack whether it can be read."""
    return max(accumulate((byte in b"[{") - (byte in b"]}") for byte in body), default=0) > 300


def parsed(body):
    """Return the value of a JSON text.

    Raises:
        RefusedError: it is no JSON.
    """
    try:
        return _without_halves(json.loads(body.decode(errors="replace"), parse_int=_parse_int, parse_constant=_refuse))
    except (ValueError, RecursionError):
        raise RefusedError("bad_json") from None


def _without_halves(value):
    """Return a value with question marks for halves of surrogate pairs, in names too."""
    if isinstance(value, str):
        return re.sub("[\ud800-\udfff]", "?", value)
    if isinstance(value, list):
        return [_without_halves(one) for one in value]
    if isinstance(value, dict):
        return {_without_halves(name): _without_halves(one) for name, one in value.items()}
    return value


def _parse_int(digits):
    # Neither a number nor a text, so that it is nothing that can be read.
    return int(digits) if len(digits) <= _MAX_DIGITS else (digits,)


def _refuse(constant):
    raise ValueError(constant)


def _is_usable(row):
    return (
        isinstance(row, dict)
        and all(isinstance(row.get(name), str) and row[name] for name in ("name", "registryIdentifier"))
        and (row.get("isQuarantined") is None or isinstance(row["isQuarantined"], bool))
    )


def _row(row, latest, rejected):
    environments = row.get("deploymentMetadata")
    rejected["counts"] += environments is not None and not isinstance(environments, dict)
    read = {attribute: _text(row.get(name)) for name, attribute in TEXTS.items()}
    read |= {attribute: _count(row.get(name), rejected) for name, attribute in COUNTS.items()}
    read |= {attribute: _time(row.get(name), latest, rejected) for name, attribute in TIMES.items()}
    read["deployments"] = None
    if isinstance(environments, dict):
        read["deployments"] = {to: _count(environments.get(name), rejected) for name, to in ENVIRONMENTS.items()}
    read["quarantined"] = row.get("isQuarantined")
    read["artifact_key"] = row.get("artifactKey") or None
    read["tags"] = _tags(row.get("metadata")) if _may_be_finding(read) else ()
    return read


def _text(value):
    """Return a text, with a number's digits in its place; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value in (float("inf"), -float("inf")):
        return None
    return str(value) if len(str(value)) <= MAX_LENGTH else clean(str(value))


def _whole(value):
    """Return a whole number from 0 to 2^53, which may be written as a text; None for anything else."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,16}", value):
        value = int(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = json.loads(value, parse_int=_parse_int)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1 or not 0 <= value <= 2**53:
        return None
    return int(value)


def _count(value, rejected):
    number = _whole(value)
    rejected["counts"] += value is not None and number is None
    return number


def _time(value, latest, rejected):
    """Return milliseconds since the epoch, positive and not after the latest."""
    if value is None:
        return None
    milliseconds = _whole(value)
    if milliseconds is None and isinstance(value, str):
        milliseconds = _iso_8601(value)
    if milliseconds is None or not 0 < milliseconds <= latest:
        rejected["times"] += 1
        return None
    return milliseconds


def _iso_8601(text):
    try:
        time = datetime.fromisoformat(text)
        return (time.replace(tzinfo=time.tzinfo or UTC) - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return None


def _may_be_finding(read):
    return read["quarantined"] or read["scan_status"] not in {None, "ALLOWED"}


def _tags(metadata):
    """Return the tags that a label can show, and the first one that it cannot; a long one is cut."""
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        return ()
    kept, length = [], 0
    for tag in sorted(tags):
        if length <= MAX_LENGTH:
            kept.append(tag if len(tag) <= MAX_LENGTH else clean(tag))
        length += len(tag)
    return tuple(kept)
