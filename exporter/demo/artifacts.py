"""Artifacts of the demo registry: made up, the same at the same time, and a little different a minute later.

Everything is calculated from the space and the wall clock; nothing is stored. The rows have the quirks of real
responses: fields that the API document requires are missing, some times are numbers, a version is listed once per
quarantine reason, and the tags of an image share its uuid and its downloads.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

from exporter.demo.catalogue import (
    ABSENT,
    BLANK,
    CYCLING,
    GROWING,
    NEVER_MODIFIED,
    PULL,
    PURL,
    PUSHED,
    SCAN_AGES,
    SOFT_DELETED,
    STATES,
    TIMES_AS_NUMBERS,
    UNSCANNED_EVERY,
    WARNED_EVERY,
    Key,
    RegistrySpec,
    State,
    registries_at,
)
from exporter.demo.cycles import QUARANTINE
from exporter.demo.derived import derived_number, derived_uuid

Row = dict[str, Any]

PUSH_INTERVAL = 60.0
"""Seconds between two pushes, on average."""

PUSHES_KEPT = 30
"""Pushes that are listed, one more or less; the oldest is removed when a new one is added."""

SCAN_DELAY = 180.0
"""Seconds until a push to a scanned registry is scanned."""

ZERO_TIME = "-62135596800000"
"""How the API writes a time that was never set."""

_DAY = 86_400.0
_EPOCH = 1_790_812_800.0  # 2026-10-01, when the growing downloads began to grow


class _Entry(NamedTuple):
    key: Key
    state: State
    modified: float
    scanned: float


def listing(space: str, now: float) -> list[Row] | None:
    """Return the rows of a space at a time, in the order of creation; the same rows for the same time.

    A version with several quarantine reasons is listed once for each, as by the API.

    Args:
        space: `account`, `account/org` or `account/org/project`.
        now: seconds since the Unix epoch. Most of the rows change only at midnight (UTC).

    Returns:
        Rows as the API writes them, new dictionaries each time; None for a space that does not exist.
    """
    registries = [registry for registry in registries_at(now) if registry.space == space]
    return [row for registry in registries for row in rows_of(registry, now)] if registries else None


def rows_of(registry: RegistrySpec, now: float) -> Iterator[Row]:
    """Return the rows of one registry at a time, as in the listing of its space."""
    for entry in (*_kept(registry, now), *_pushed(registry, now)):
        yield from _fan_out(_row(registry, entry, now), entry.state.reasons)


def _kept(registry: RegistrySpec, now: float) -> Iterator[_Entry]:
    midnight = now // _DAY * _DAY
    for place, (key, age, newer) in enumerate(_catalogue(registry)):
        scan_age = min(age, SCAN_AGES[place % len(SCAN_AGES)])
        state = _state(registry, key, place, newer, now)
        yield _Entry(key, state, midnight - age * _DAY, midnight - scan_age * _DAY)


def _pushed(registry: RegistrySpec, now: float) -> Iterator[_Entry]:
    for key, pushed in _pushes(registry, now):
        scanned = registry.registry_type == "UPSTREAM" and now - pushed >= SCAN_DELAY
        yield _Entry(key, State("ALLOWED" if scanned else None), pushed, pushed + SCAN_DELAY)


def _catalogue(registry: RegistrySpec) -> Iterator[tuple[Key, float, int]]:
    """Return each version with its age in days and the number of newer ones."""
    for artifact in registry.artifacts.split():
        name, _, versions = artifact.rpartition("@")
        head, _, rest = versions.partition("{")
        tails, _, end = rest.partition("}")
        newer = tails.count(",")
        youth = 1 + derived_number(registry.name, name) % 150  # whole days: some times are equal
        for tail in tails.split(","):
            yield Key(registry.name, name, head + tail + end), youth + 20.0 * newer, newer
            newer -= 1


def _pushes(registry: RegistrySpec, now: float) -> Iterator[tuple[Key, float]]:
    """Return the latest builds with the time of their push, about a minute apart."""
    latest = int(now // PUSH_INTERVAL)
    # One more than is kept: the delay may move a push across the boundary.
    for number in range(latest - PUSHES_KEPT - 1, latest + 1):
        pushed = number * PUSH_INTERVAL + derived_number("delay", str(number)) % 45
        target, name, version = PUSHED[derived_number("target", str(number)) % len(PUSHED)]
        if target == registry.name and 0 <= now - pushed < PUSHES_KEPT * PUSH_INTERVAL:
            yield Key(target, name, version.format(number % 100_000)), pushed


def _state(registry: RegistrySpec, key: Key, place: int, newer: int, now: float) -> State:
    if key == CYCLING:
        reasons = ("CVE-2022-42889: Text4Shell",) if QUARANTINE.includes(now) else ()
        return State("BLOCKED" if reasons else "WARN", 2, 1, reasons)
    if key in STATES:
        return STATES[key]
    if registry.registry_type == "UPSTREAM":
        return State(_usual_status(place))
    return State(None, derived_number(*key) % 3 if newer == 1 else 0, 2 if newer == 0 else 0)


def _usual_status(place: int) -> str | None:
    if place % UNSCANNED_EVERY == UNSCANNED_EVERY - 1:
        return None
    return "WARN" if place % WARNED_EVERY == WARNED_EVERY - 1 else "ALLOWED"


def _fan_out(row: Row, reasons: tuple[str, ...]) -> Iterator[Row]:
    if not reasons:
        yield row
    for reason in reasons:
        yield {**row, "isQuarantined": True, **({"quarantineReason": reason} if reason else {})}


def _row(registry: RegistrySpec, entry: _Entry, now: float) -> Row:
    key, state, modified = entry.key, entry.state, _time(registry, entry.modified)
    row = _common(registry, key, now) | _kind(registry, key) | _scan(registry, entry)
    row["lastModified"] = ZERO_TIME if key == NEVER_MODIFIED else modified
    if registry.deployments:
        row["deploymentMetadata"] = {"nonProdEnvCount": state.nonprod, "prodEnvCount": state.prod}
    if registry.firewall:
        row["firewallMode"] = registry.firewall
    if key == SOFT_DELETED:
        row["deletedAt"] = modified
    row |= dict.fromkeys(BLANK.get(registry.name, ()), "")
    return {field: value for field, value in row.items() if field not in ABSENT.get(registry.name, ())}


def _scan(registry: RegistrySpec, entry: _Entry) -> Row:
    if entry.state.status is None:
        return {}
    scanned = _time(registry, entry.scanned)
    return {"scanStatus": entry.state.status, "scanId": derived_uuid("scan", *entry.key), "lastScannedAt": scanned}


def _common(registry: RegistrySpec, key: Key, now: float) -> Row:
    return {
        "downloadsCount": _downloads(registry, key, now),
        "isQuarantined": False,
        "labels": None,
        "latestVersion": key.version,
        "name": key.name,
        "packageType": registry.package_type,
        "pullCommand": PULL.get(registry.package_type, "").format(space=registry.space, **key._asdict()),
        "registryIdentifier": registry.name,
        "registryPath": f"{registry.space}/{registry.name}",
        "registryType": registry.registry_type,
        "registryUUID": derived_uuid(registry.name),
        "uuid": derived_uuid(*_counted(registry, key)),
        "version": key.version,
    }


def _kind(registry: RegistrySpec, key: Key) -> Row:
    """Return the fields that only some package types have, including undocumented ones."""
    match registry.package_type:
        case "DOCKER":
            digests = 1 + derived_number(*key) % 2
            return {"digestCount": digests, "scannedDigest": [], "metadata": {"tags": [key.version]}}
        case "HELM":
            return {"scannedDigest": []}
        case "HUGGINGFACE":
            return {"artifactType": "model", "fileCount": 7 + derived_number(*key) % 9}
        case "GENERIC":
            return {"fileCount": 1 + derived_number(*key) % 4, "labels": ["tool"]}
        case "TERRAFORM":
            return {"fileCount": 1}
        case package_type:
            name = quote(key.name.replace(":", "/"))
            return {"purl": f"pkg:{PURL[package_type]}/{name}@{key.version}", "fileCount": 1 + derived_number(*key) % 3}


def _downloads(registry: RegistrySpec, key: Key, now: float) -> int:
    counted = _counted(registry, key)
    grown = max(0.0, now - _EPOCH) / GROWING[counted] if counted in GROWING else 0.0
    return derived_number("downloads", *counted) % 4000 + int(grown)


def _counted(registry: RegistrySpec, key: Key) -> tuple[str, ...]:
    """Return what downloads and uuid belong to: the version, or the image for rows by tag."""
    return key[:2] if registry.package_type in {"DOCKER", "HELM"} else key


def _time(registry: RegistrySpec, seconds: float) -> int | str:
    milliseconds = int(seconds * 1000)
    return milliseconds if registry.name in TIMES_AS_NUMBERS else str(milliseconds)
