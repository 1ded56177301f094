"""What the sources listed, by entry and by space."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, TypeVar

from exporter.config.spaces import Space
from exporter.inventory.listed import SpaceLists, lists_of
from exporter.inventory.registries import Filter, Registries
from exporter.inventory.snapshot import RegistryKey
from exporter.inventory.violations import Violations
from exporter.labels import clean
from exporter.scopes import DESCENDANTS

T = TypeVar("T")


class Listed(NamedTuple):
    """What was listed of a space, and what it was made of.

    Attributes:
        lists: the lists.
        first: the registries and package types that its artifacts had series for.
        parts: everything that they were made of.
    """

    lists: SpaceLists
    first: Collection[RegistryKey]
    parts: tuple[object, ...]


class Lists(NamedTuple):
    """What the sources listed, by entry as it was written; without what is too old to be served."""

    registries: Mapping[str, Registries]
    violations: Mapping[str, Violations]

    def of_spaces(
        self,
        spaces: Iterable[Space],
        first: Mapping[str, Collection[RegistryKey]],
        limit: int,
        before: Mapping[str, Listed],
    ) -> dict[str, Listed]:
        """Return what was listed of each space.

        Args:
            spaces: the spaces.
            first: the registries and package types that the artifacts of each space have series for, if there are any.
            limit: maximum number of registries and package types of their own for each space.
            before: what this returned the last time; where nothing changed it is returned again.
        """
        registries = by_space({entry: listed.spaces for entry, listed in self.registries.items()})
        violations = by_space({entry: listed.spaces for entry, listed in self.violations.items()})

        def listed(space: Space) -> Listed:
            own, violated = registries.get(space.ref.lower(), {}), violations.get(space.ref.lower())
            known = before.get(space.ref)
            # While there is no snapshot the choice stays.
            same = first.get(space.ref, known.first if known else ())
            parts = (space, own, violated, same, limit)
            if known and known.parts == parts:
                return known
            return Listed(lists_of(own, violated, passes=filter_of(space), first=same, limit=limit), same, parts)

        return {space.ref: listed(space) for space in spaces}


def by_space(entries: Mapping[str, Mapping[str, T]]) -> dict[str, T]:
    """Return what was listed by space in lower case, as Harness does not distinguish scopes by case."""
    # The last one counts: that of the nearest entry.
    nearest_last = sorted(entries, key=lambda entry: entry.count("/") - 2 * entry.endswith(DESCENDANTS))
    return {name.lower(): listed for entry in nearest_last for name, listed in entries[entry].items()}


def filter_of(space: Space) -> Filter:
    """Return the filter of a space."""
    registries, package_types = {*map(clean, space.registries)}, {*map(clean, space.package_types)}

    def passes(key: RegistryKey) -> bool:
        return (not registries or key.registry in registries) and (
            not package_types or key.package_type in package_types
        )

    return passes
