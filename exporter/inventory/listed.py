"""What the sources listed of one space: its registries, and the violations in them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from exporter.inventory.registries import Filter, Registry, together
from exporter.inventory.snapshot import OTHERS, RegistryKey
from exporter.inventory.totals import largest_of
from exporter.inventory.violations import SpaceViolations


@dataclass(frozen=True, slots=True)
class SpaceLists:
    """What the sources listed of one space.

    Attributes:
        registries: in sorted order; those over the limit are one entry without a type.
        violations: the violations in the same registries; None if they are not known.
        dropped: number of registries and package types over the limit.
    """

    registries: Mapping[RegistryKey, Registry]
    violations: SpaceViolations | None
    dropped: int = 0


NOT_LISTED = SpaceLists({}, None)
"""Lists of a space that no source was read for."""


def lists_of(
    registries: Mapping[RegistryKey, Registry],
    violations: SpaceViolations | None,
    *,
    passes: Filter,
    first: Collection[RegistryKey],
    limit: int,
) -> SpaceLists:
    """Return the lists of a space.

    Args:
        registries: all its registries.
        violations: its violations, which passed the filter; None if they are not known.
        passes: the filter of the space.
        first: the registries and package types that its artifacts have series for.
        limit: maximum number of registries and package types of their own.
    """
    kept = {key: registry for key, registry in registries.items() if passes(key)}
    sizes = dict.fromkeys(violations.registries if violations else (), 0)
    sizes |= {key: registry.packages or 0 for key, registry in kept.items()}
    own = _own(sizes, first, limit)
    return SpaceLists(_limited(kept, own), violations and violations.limited(own), len(sizes.keys() - own))


def _own(sizes: Mapping[RegistryKey, int], first: Collection[RegistryKey], limit: int) -> Collection[RegistryKey]:
    """Return the registries with series of their own: the same ones as for artifacts, and then the largest."""
    same = {*first} - {OTHERS}
    others = {key: size for key, size in sizes.items() if key not in same}
    return {*same, *largest_of(others, max(0, limit - len(same)))}


def _limited(registries: Mapping[RegistryKey, Registry], own: Collection[RegistryKey]) -> dict[RegistryKey, Registry]:
    """Return these registries, and all others together."""
    limited = {key: registry for key, registry in registries.items() if key in own}
    for key, registry in registries.items():
        if key not in own:
            unnamed = replace(registry, registry_type="", uuid="", firewall_mode=None)
            limited[OTHERS] = together(limited[OTHERS], unnamed) if OTHERS in limited else unnamed
    return dict(sorted(limited.items()))
