"""Registries of the demo as their own listing has them, which knows more than the rows of artifacts."""

from collections.abc import Sequence

from exporter.demo.artifacts import Row, rows_of
from exporter.demo.catalogue import PUBLIC, UNTYPED, RegistrySpec, registries_at
from exporter.demo.derived import derived_number, derived_uuid

_CREATED = 1_577_836_800.0  # 2020-01-01
_DAY = 86_400.0
_GIGABYTE = 1024  # megabytes


def registries(now: float) -> list[Row]:
    """Return the registries of all spaces at a time, in seconds since the Unix epoch.

    Zeros and unknown values are left out, as by the API. Each row has its configuration, too.
    """
    rows = (_row(registry, now) for registry in registries_at(now))
    return [{field: value for field, value in row.items() if value is not None} for row in rows]


def _row(registry: RegistrySpec, now: float) -> Row:
    live = [row for row in rows_of(registry, now) if "deletedAt" not in row]
    modified = _CREATED + derived_number("modified", registry.name) % 200 * _DAY
    return {
        "identifier": registry.name,
        "uuid": derived_uuid(registry.name),
        "type": registry.registry_type,
        "packageType": None if registry.name == UNTYPED else registry.package_type,
        "path": f"{registry.space}/{registry.name}",
        "url": f"https://pkg.example.com/{registry.space}/{registry.name}",
        "artifactsCount": len({row["name"] for row in live}) or None,
        "downloadsCount": _downloads(live) or None,
        "registrySize": _size(registry.name, len(live)),
        "isPublic": registry.name == PUBLIC,
        "lastModified": str(int(modified * 1000)),
        "config": {
            "type": registry.registry_type,
            **({"firewallMode": registry.firewall} if registry.firewall else {}),
        },
    }


def _downloads(rows: Sequence[Row]) -> int:
    """Return the downloads of some rows; those that share a uuid share their downloads."""
    counted = {row.get("uuid") or (row["name"], row["version"]): row["downloadsCount"] for row in rows}
    return sum(counted.values())


def _size(name: str, versions: int) -> str | None:
    """Return the size of a registry as the API writes it for people; None if it has no versions."""
    megabytes = versions * (5 + derived_number("size", name) % 60)
    if megabytes >= _GIGABYTE:
        return f"{megabytes / _GIGABYTE:.1f} GB"
    return f"{megabytes} MB" if versions else None
