"""Listings as the API spells them: strategies for raw rows, and what they must add up to, counted once more.

`count` knows nothing of the exporter's ways. It goes through plain dictionaries with plain loops, by the metric
catalogue and the notes on the API's behaviour, so that it and the exporter are wrong together only where these are. Of
the exporter it uses `clean` alone, which has tests of its own.
"""

import json
import re
from datetime import UTC, datetime
from typing import NamedTuple

from hypothesis import strategies as st

from exporter.labels import clean

NOW = 1_795_000_000.0
"""The wall clock's time that the strategies are made for."""

DAY = 86_400.0

STALE_AGES = {"7d": 7 * DAY, "30d": 30 * DAY, "90d": 90 * DAY}


READ_FIELDS = (
    *("name", "registryIdentifier", "registryUUID", "registryType", "packageType", "artifactType", "version", "uuid"),
    *("purl", "scanStatus", "firewallMode", "isQuarantined", "quarantineReason", "deploymentMetadata", "fileCount"),
    *("downloadsCount", "digestCount", "lastModified", "lastScannedAt", "deletedAt", "artifactKey", "metadata"),
)
"""The fields of a row that the exporter reads."""


def body_of(rows, *, status="SUCCESS", **data):
    """Return an answer's body with these rows; lone surrogates in them travel as escapes."""
    return json.dumps({"status": status, "data": {"artifacts": rows, **data}}).encode()


# Strategies

_NAMES = ("a", "b", "lib/x", "a\nb", 'q"\\', "a\x00", "a\x01", "x" * 300, "y" * 300 + "\x00", "\ud800", "\u202egnp.exe")
_PACKAGE_TYPES = ("NPM", "npm", "MAVEN", "DOCKER", "HUGGINGFACE", "SOMETHING_NEW", "N\x7fPM", "N\x80PM", "", None)
_SCAN_STATUSES = ("ALLOWED", "WARN", "BLOCKED", "blocked", "Warn", "allowed", "UNKNOWN", "UNSCANNED", "odd\n", "", None)
_FIREWALL_MODES = ("ENABLED", "QUARANTINE", "ALLOW", "WARN", "BLOCK", "block", "\x00", "\x01", "", None)

counts = st.sampled_from((0, 1, 2, 3, 41, 2**53, "0", "7", "0012", 5.0))
"""Counts that can be used, in every spelling."""

odd_counts = st.sampled_from((-1, True, "", "x", "-1", "+1", " 1", "1.5", 1.5, 2**53 + 1, 10**30, "9" * 5000, [], {}))
"""What is no count."""

_milliseconds = st.integers(1, int(200 * DAY)).map(lambda ago: int((NOW - ago) * 1000)) | st.sampled_from(
    [int((NOW - age + edge) * 1000) for age in STALE_AGES.values() for edge in (-0.001, 0, 0.001)]
    + [1, int((NOW + DAY) * 1000), int(NOW * 1000)]
)
times = _milliseconds.flatmap(lambda time: st.sampled_from((str(time), time, float(time), _iso_8601(time))))
"""Times that can be used, in every spelling."""

odd_times = st.sampled_from(
    (
        *("-62135596800000", -62135596800000, 0, "0", "", "soon", True, "2026-13-01", "9" * 5000, 10**30, [], 1.5),
        *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", int((NOW + DAY) * 1000) + 1),
        str(int((NOW + 2 * DAY) * 1000)),
    )
)
"""What is no time, or none that can be."""


def _iso_8601(milliseconds):
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _maybe(*values):
    """Each field is there with a value, or null."""
    return st.one_of(*values, st.none())


_registries = st.fixed_dictionaries(
    {
        "registryIdentifier": st.sampled_from(("one", "two", "r\x00", "r\x01", "z" * 300)),
        "packageType": st.sampled_from(_PACKAGE_TYPES),
        "registryType": st.sampled_from(("UPSTREAM", "UPSTREAM", "upstream", "VIRTUAL", "", None)),
    },
    optional={"registryUUID": st.sampled_from(("", None, "uuid-of-one", "uuid\ud800"))},
)

_versions = st.fixed_dictionaries(
    {
        "name": st.sampled_from(_NAMES),
        "scanStatus": st.sampled_from(_SCAN_STATUSES),
        "firewallMode": st.sampled_from(_FIREWALL_MODES),
        "isQuarantined": st.sampled_from((True, False, None)),
        "lastModified": _maybe(times, times, odd_times),
        "downloadsCount": _maybe(counts, counts, odd_counts),
        "deploymentMetadata": st.one_of(
            st.fixed_dictionaries({}, optional={"prodEnvCount": _maybe(counts), "nonProdEnvCount": _maybe(counts)}),
            st.fixed_dictionaries({"prodEnvCount": counts, "nonProdEnvCount": counts | odd_counts}),
            st.sampled_from((None, [], "none", 3)),
        ),
    },
    optional={
        "version": st.sampled_from(("1", "2", "1\n", "1\t", 3, None)),
        "artifactType": st.sampled_from(("model", "dataset", None)),
        "artifactKey": st.sampled_from(
            ({"arch": "a", "dist": "b"}, {"dist": "b", "arch": "a"}, {"arch": "c"}, {}, None)
        ),
        "uuid": st.sampled_from(("image-1", "image-2", "image\ud800", "", None)),
        "purl": st.sampled_from(("pkg:npm/a@1", "p" * 999, 1, None)),
        "lastScannedAt": _maybe(times, times, odd_times),
        "fileCount": _maybe(counts, odd_counts),
        "digestCount": _maybe(counts, odd_counts),
        "deletedAt": _maybe(st.none(), st.none(), times, odd_times),
        "metadata": st.sampled_from(({"tags": ["b", "a\n", "a"]}, {"tags": "a"}, {"tags": []}, {}, None)),
        "labels": st.none(),
    },
)

_again = st.fixed_dictionaries(
    {},
    optional={
        "isQuarantined": st.booleans(),
        "scanStatus": st.sampled_from(_SCAN_STATUSES),
        "quarantineReason": st.sampled_from(("", "first", "second", "r\x00", None)),
        "deletedAt": st.none() | times,
    },
)

odd_rows = st.sampled_from(
    (
        *(None, True, 5, "row", [], ["name"], {}, {"name": "a"}, {"registryIdentifier": "one"}),
        *({"name": name, "registryIdentifier": "one", "fileCount": -1} for name in ("", None, 5, 10**20, 1.5, [])),
        *({"name": "a", "registryIdentifier": name, "fileCount": -1} for name in ("", None, 5, 10**20, False, {})),
        *({"name": "a", "registryIdentifier": "one", "isQuarantined": flag} for flag in ("true", 1, 0, 10**20, [])),
    )
)
"""Rows that cannot be used."""


@st.composite
def listings(draw, max_versions=10):
    """Rows of a listing: some versions of a few registries, some of them listed again, some that cannot be used."""
    registries = draw(st.lists(_registries, min_size=1, max_size=3))
    rows, identities = [], set()
    for version in draw(st.lists(_versions, max_size=max_versions)):
        row = {**draw(st.sampled_from(registries)), **version}
        fields = ("packageType", "artifactType", "name", "version")
        registry = row.get("registryUUID") or row["registryIdentifier"]
        identity = (registry, *(row.get(field) for field in fields), _key(row))
        if identity in identities:
            continue
        identities.add(identity)
        rows.append(row)
        rows.extend({**row, **change} for change in draw(st.lists(_again, max_size=2)))
    for row in rows:
        # Only a row that is quarantined tells why.
        if not row["isQuarantined"]:
            row.pop("quarantineReason", None)
    rows += draw(st.lists(odd_rows, max_size=2))
    return draw(st.permutations(rows))


# The independent count


class Count(NamedTuple):
    """What rows add up to.

    Attributes:
        families: samples by family and labels, without the label `space`; registries' infos and findings aside.
        infos: by registry and package type, what `registry_type` and `registry_uuid` may be.
        findings: labels and values of each finding, in order.
        dropped: artifacts to act on over the limit.
        artifacts: rows without duplicates.
        rejected: rows, counts and times that cannot be used.
    """

    families: dict
    infos: dict
    findings: list
    dropped: int
    artifacts: int
    rejected: tuple


def count(rows, now=NOW, *, wanted=("quarantined", "blocked"), limit=500):
    """Count the raw rows of a listing."""
    rejected = {"row": 0, "count": 0, "time": 0}
    versions = _merge([_read(row, now, rejected) for row in rows if _is_usable(row, rejected)])
    live = [version for version in versions if version["deletedAt"] is None]
    families = {}
    for version in versions:
        deleted = families.setdefault("har_artifacts_deleted", {})
        deleted[version["R"]] = deleted.get(version["R"], 0) + (version["deletedAt"] is not None)
    for registry in {version["R"] for version in live}:
        _count_registry(families, registry, [version for version in live if version["R"] == registry], now)
    infos = {}
    for version in live:
        newest = max(other["lastModified"] or 0 for other in live if other["R"] == version["R"])
        if (version["lastModified"] or 0) == newest:
            texts = (clean(version["registryType"] or ""), clean(version["registryUUID"] or ""))
            infos.setdefault(version["R"], set()).add(texts)
    findings, dropped = _find(live, wanted, limit)
    return Count(families, infos, findings, dropped, len(versions), tuple(rejected.values()))


def _is_usable(row, rejected):
    usable = (
        isinstance(row, dict)
        and all(isinstance(row.get(field), str) and row[field] for field in ("name", "registryIdentifier"))
        and (row.get("isQuarantined") is None or isinstance(row["isQuarantined"], bool))
    )
    rejected["row"] += not usable
    return usable


def _read(row, now, rejected):
    """Return the row with a usable value or None for every field that is read, and with its labels R."""
    texts = {field: row.get(field) for field in READ_FIELDS}
    read = {field: str(text) if isinstance(text, int) else text for field, text in texts.items()}
    read = {
        field: re.sub("[\ud800-\udfff]", "?", text) if isinstance(text, str) else text for field, text in read.items()
    }
    read["isQuarantined"] = row.get("isQuarantined")
    for field in ("downloadsCount", "fileCount", "digestCount"):
        read[field] = _number(row.get(field), rejected)
    for field in ("lastModified", "lastScannedAt", "deletedAt"):
        read[field] = _time(row.get(field), now, rejected)
    environments = row.get("deploymentMetadata")
    if environments is not None and not isinstance(environments, dict):
        rejected["count"] += 1
    if not isinstance(environments, dict):
        environments = {}
    read["prod"] = _number(environments.get("prodEnvCount"), rejected)
    read["nonprod"] = _number(environments.get("nonProdEnvCount"), rejected)
    read["R"] = (clean(read["registryIdentifier"]), clean(read["packageType"] or "UNKNOWN"))
    return read


def _number(value, rejected):
    """Return a whole number from 0 to 2^53; text is as good."""
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch("[0-9]{1,16}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1 or not 0 <= value <= 2**53:
        rejected["count"] += 1
        return None
    return int(value)


def _time(value, now, rejected):
    """Return seconds, from milliseconds or ISO 8601, not positive or over a day ahead aside."""
    if value is None:
        return None
    seconds = 0
    if isinstance(value, str) and re.fullmatch("[0-9]{1,16}", value):
        seconds = int(value) / 1000
    elif isinstance(value, str) and re.fullmatch(r"[12]\d{3}-[01]\d-[0-3]\dT\d\d:\d\d:\d\d\.\d+Z", value):
        seconds = datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
    elif isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1:
        seconds = value / 1000
    if not 0 < seconds <= now + DAY:
        rejected["time"] += 1
        return None
    return seconds


def _merge(rows):
    """Make one version of all rows with one identity; of what the notes do not name, the first row's."""
    versions = {}
    scanned = {row["R"] for row in rows if _shows_scanning(row)}
    for row in rows:
        identity = (
            row["registryUUID"] or row["registryIdentifier"],
            *(row[field] for field in ("packageType", "artifactType", "name", "version")),
            _key(row),
            row["deletedAt"] is None,
        )
        row["scanned"] = row["R"] in scanned
        row["scans"] = _scan_status(row)
        first = versions.setdefault(identity, row)
        if first is not row:
            first["isQuarantined"] = first["isQuarantined"] or row["isQuarantined"]
            first["quarantineReason"] = first["quarantineReason"] or row["quarantineReason"]
            first["scans"] = max(first["scans"], row["scans"])
    for version in versions.values():
        version["scan_status"] = clean(version["scans"][1])
        version["firewall_mode"] = clean(version["firewallMode"] or "NONE")
    return list(versions.values())


def _key(row):
    """Return what two keys have in common that are the same, however they are written."""
    return tuple(sorted((row.get("artifactKey") or {}).items()))


def _tags(row):
    tags = (row["metadata"] or {}).get("tags")
    return tags if isinstance(tags, list) else []


def _shows_scanning(row):
    """Tell whether a row shows that its registry is scanned: one row is enough for all."""
    types = ("CARGO", "COMPOSER", "GO", "HELM_HTTP", "MAVEN", "NPM", "NUGET", "PYTHON", "RPM")
    upstream = (row["registryType"] or "").upper() == "UPSTREAM" and (row["packageType"] or "").upper() in types
    return upstream or bool(row["scanStatus"]) or (row["firewallMode"] or "allow").lower() != "allow"


def _scan_status(row):
    """Return what sorts statuses, the worst last: how bad it is, and the status itself."""
    status = row["scanStatus"] or ("UNSCANNED" if row["scanned"] else "NOT_APPLICABLE")
    return {"BLOCKED": 3, "WARN": 2, "UNSCANNED": 1}.get(status.upper(), 0), status


def _risk(version):
    if version["isQuarantined"]:
        return "quarantined"
    return ("none", "unscanned", "warn", "blocked")[version["scans"][0]]


def _count_registry(families, registry, live, now):
    """Add the samples of one registry and package type."""

    def add(family, number, *labels):
        samples = families.setdefault(family, {})
        samples[(*registry, *labels)] = samples.get((*registry, *labels), 0) + number

    _count_statuses(live, add)
    _count_deployed(live, add)
    _count_contents(live, add)
    _count_times(live, now, add)


def _count_statuses(live, add):
    statuses = ["ALLOWED", "WARN", "BLOCKED"]
    if any(version["scanned"] for version in live):
        statuses.append("UNSCANNED")
    for version in live:
        for status in statuses:
            add("har_artifacts", 0, status, version["firewall_mode"])
            add("har_artifacts_quarantined", 0, status, version["firewall_mode"])
        add("har_artifacts", 1, version["scan_status"], version["firewall_mode"])
        quarantined = 1 if version["isQuarantined"] else 0
        add("har_artifacts_quarantined", quarantined, version["scan_status"], version["firewall_mode"])


def _count_deployed(live, add):
    for version in live:
        for to in ("prod", "nonprod"):
            for risk in ("quarantined", "blocked", "warn", "unscanned", "none"):
                add("har_artifacts_deployed", 0, to, risk)
            if version[to] is not None:
                add("har_artifacts_deployed", 1 if version[to] > 0 else 0, to, _risk(version))
                add("har_artifact_environments", version[to], to)


def _count_contents(live, add):
    images = {}
    for version in live:
        if version["fileCount"] is not None:
            add("har_artifact_files", version["fileCount"])
        if version["digestCount"] is not None:
            add("har_artifact_digests", version["digestCount"])
        if version["downloadsCount"] is not None:
            if version["uuid"] and (version["packageType"] or "").upper() in ("DOCKER", "HELM"):
                images.setdefault(version["uuid"], []).append(version["downloadsCount"])
            else:
                add("har_artifact_downloads", version["downloadsCount"])
    for downloads in images.values():
        add("har_artifact_downloads", max(downloads))


def _count_times(live, now, add):
    modified = [version["lastModified"] for version in live if version["lastModified"] is not None]
    scanned = [version["lastScannedAt"] for version in live if version["lastScannedAt"] is not None]
    for label, age in STALE_AGES.items():
        add("har_artifacts_stale_scan", len([time for time in scanned if now - time > age]), label)
    if modified:
        add("har_artifact_newest_modified_timestamp_seconds", max(modified))
    if scanned:
        add("har_artifact_newest_scan_timestamp_seconds", max(scanned))
        add("har_artifact_oldest_scan_timestamp_seconds", min(scanned))


def _find(live, wanted, limit):
    """Return the most urgent findings with labels that are equal merged, and how many artifacts are over the limit."""
    found = []
    for version in live:
        version["kinds"] = [
            kind
            for kind, is_so in (
                ("quarantined", version["isQuarantined"]),
                ("blocked", version["scans"][0] == 3),
                ("warn", version["scans"][0] == 2),
            )
            if is_so and kind in wanted
        ]
        if version["kinds"]:
            found.append(version)
    found.sort(key=_urgency)
    merged = {}
    for version in found[:limit]:
        labels = (*version["R"], clean(version["name"]), clean(version["version"] or ""))
        merged.setdefault(labels, []).append(version)
    return [_finding(labels, versions) for labels, versions in merged.items()], max(0, len(found) - limit)


def _urgency(version):
    worst = ["quarantined", "blocked", "warn"].index(version["kinds"][0])
    fields = ("name", "version", "registryIdentifier", "packageType", "artifactType", "registryUUID")
    return not version["prod"], worst, [version[field] or "" for field in fields], _key(version)


def _finding(labels, versions):
    first = min(versions, key=lambda version: (version["name"], version["version"] or ""))
    kinds = [kind for kind in ("quarantined", "blocked", "warn") if any(kind in each["kinds"] for each in versions)]
    return {
        "labels": labels,
        "kinds": kinds,
        "environments": {to: first[to] for to in ("prod", "nonprod") if first[to] is not None},
        "downloads": first["downloadsCount"],
        "scan_status": first["scan_status"],
        "firewall_mode": first["firewall_mode"],
        "reason": clean(first["quarantineReason"] or ""),
        "purl": clean(first["purl"] or ""),
        "uuid": clean(first["uuid"] or ""),
        "tags": clean(",".join(sorted(tag for tag in _tags(first) if isinstance(tag, str)))),
    }
