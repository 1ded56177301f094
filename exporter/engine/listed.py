"""What the sources listed, by entry and by space."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import NamedTuple, TypeVar

from exporter.config.spaces import Space
from exporter.inventory.listed import SpaceLists, lists_of
from exporter.inventory.registries import Registries
from exporter.inventory.snapshot import RegistryKey
from exporter.inventory.violations import Violations
from exporter.labels import clean
from exporter.scopes import DESCENDANTS

T = TypeVar("T")


class Lists(NamedTuple):
    """What the sources listed, by entry as it was written; without what is too old to be served."""

    registries: Mapping[str, Registries]
    violations: Mapping[str, Violations]

    def by_space(self, spaces: Iterable[Space], registries_limit: int) -> dict[str, SpaceLists]:
        """Return what was listed of each space.

        Args:
            spaces: the spaces.
            registries_limit: maximum number of registries and package types of their own for each space.
        """
        registries = by_space({entry: listed.spaces for entry, listed in self.registries.items()})
        violations = by_space({entry: listed.spaces for entry, listed in self.violations.items()})
        return {
            space.ref: lists_of(
                registries.get(space.ref.lower(), {}),
                violations.get(space.ref.lower()),
                wanted=partial(_passes, space),
                limit=registries_limit,
            )
            for space in spaces
        }


def by_space(entries: Mapping[str, Mapping[str, T]]) -> dict[str, T]:
    """Return what was listed by space in lower case, as Harness does not distinguish scopes by case."""
    # The last one counts: that of the nearest entry.
    nearest_last = sorted(entries, key=lambda entry: entry.count("/") - 2 * entry.endswith(DESCENDANTS))
    return {name.lower(): listed for entry in nearest_last for name, listed in entries[entry].items()}


def _passes(space: Space, key: RegistryKey) -> bool:
    """Return whether the filters of a space include a registry."""
    registries, package_types = space.registries, space.package_types
    return (not registries or key.registry in map(clean, registries)) and (
        not package_types or key.package_type in map(clean, package_types)
    )
