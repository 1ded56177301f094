"""What the sources listed of one space: its registries, and the violations in them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from exporter.inventory.registries import Registry, together
from exporter.inventory.snapshot import OTHERS, RegistryKey
from exporter.inventory.totals import largest_of
from exporter.inventory.violations import SpaceViolations


@dataclass(frozen=True, slots=True)
class SpaceLists:
    """What the sources listed of one space.

    Attributes:
        registries: in sorted order; those over the limit are one entry without a type.
        violations: the violations; None if they are not known.
    """

    registries: Mapping[RegistryKey, Registry]
    violations: SpaceViolations | None


NOT_LISTED = SpaceLists({}, None)
"""Lists of a space that no source was read for."""


def lists_of(
    registries: Mapping[RegistryKey, Registry],
    violations: SpaceViolations | None,
    *,
    wanted: Callable[[RegistryKey], bool],
    limit: int,
) -> SpaceLists:
    """Return the lists of a space.

    Args:
        registries: all its registries.
        violations: its violations, which are limited already; None if they are not known.
        wanted: returns whether a registry passes the filters of the space.
        limit: maximum number of registries and package types of their own.
    """
    kept = {key: registry for key, registry in registries.items() if wanted(key)}
    return SpaceLists(_limited(kept, limit), violations and _filtered(violations, wanted))


def _limited(registries: Mapping[RegistryKey, Registry], limit: int) -> dict[RegistryKey, Registry]:
    """Return the registries with the most packages, and all others together."""
    own = largest_of({key: registry.packages or 0 for key, registry in registries.items()}, limit)
    limited = {key: registry for key, registry in registries.items() if key in own}
    for key, registry in registries.items():
        if key not in own:
            unnamed = replace(registry, identifier="", registry_type="", uuid="", firewall_mode=None)
            limited[OTHERS] = together(limited[OTHERS], unnamed) if OTHERS in limited else unnamed
    return dict(sorted(limited.items()))


def _filtered(violations: SpaceViolations, wanted: Callable[[RegistryKey], bool]) -> SpaceViolations:
    return replace(
        violations,
        registries={key: totals for key, totals in violations.registries.items() if key == OTHERS or wanted(key)},
        named=tuple(violation for violation in violations.named if wanted(violation.key)),
    )
