"""Registries of a space, or of all spaces below one, from a complete read of their listing."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from exporter.harness.errors import BadShapeError, TooLargeError
from exporter.harness.registries import RegistriesListing, RegistryConfiguration, RegistryRow, decode_registries
from exporter.inventory.paging import check_rejected
from exporter.inventory.snapshot import RegistryKey
from exporter.inventory.sources import PAGE_SIZE, AskPage, Reading, read_pages
from exporter.labels import Label, clean
from exporter.scopes import is_below, parse_scope

_UPSTREAM = "UPSTREAM"
_MOST_REGISTRIES = 20_000  # of an account; each takes up to 2 KB, and each space that they name some 10 KB
_NAME_SPACES = "name the spaces in spaces, instead of an entry that ends in /**"
_DEEPEST = 2  # slashes in the name of a project


Filter = Callable[[RegistryKey], bool]
"""Returns whether the filters of a space include a registry and package type."""


class Place(NamedTuple):
    """Place of a registry: its space and its key there."""

    space: str
    key: RegistryKey


@dataclass(frozen=True, slots=True)
class Registry:
    """One registry and package type of a space.

    Attributes:
        identifier: as the API writes it, to ask for its configuration.
        registry_type: VIRTUAL or UPSTREAM, as a label value; may be empty.
        uuid: as a label value; may be empty.
        public: anyone may read it without a key; None if that is not known.
        packages: packages, not versions; None if that is not known.
        size: bytes, rounded by the API; None if that is not known.
        firewall_mode: as a label value; None if it has none, or it was not asked for yet.
    """

    identifier: str
    registry_type: str
    uuid: str
    public: bool | None
    packages: int | None
    size: int | None
    firewall_mode: str | None = None

    @property
    def upstream(self) -> bool:
        """Whether it fetches packages from another registry, so that it has a firewall."""
        return self.registry_type.upper() == _UPSTREAM


@dataclass(frozen=True, slots=True)
class Registries:
    """Registries that one read found.

    Attributes:
        root: the space that was asked.
        descendants: whether the spaces below it were asked for, too.
        spaces: registries by space and key, in sorted order; empty registries included, deleted ones not. Spaces that
            differ in case only are one, named as `root` names its part.
        reading: what the read was like.
        too_deep: registries that were left out as they lie deeper than a project.
        by_uuid: places by `uuid`, without the UUIDs that several registries have.
    """

    root: str
    descendants: bool
    spaces: Mapping[str, Mapping[RegistryKey, Registry]]
    reading: Reading
    too_deep: int = 0
    by_uuid: Mapping[str, Place] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether no page that could name a space was missed, and no row that could was unusable."""
        nothing = self.reading.rows == 0 and self.reading.reported
        return self.reading.complete and not self.reading.rejected.rows and not nothing

    @property
    def found(self) -> frozenset[str]:
        """The spaces that have a registry, and the one that was asked."""
        return frozenset({self.root, *self.spaces})

    def upstream(self) -> Iterator[tuple[Place, RegistryConfiguration]]:
        """Return the registries that have a firewall mode, and how to ask for it."""
        for space, registries in self.spaces.items():
            for key, registry in registries.items():
                if registry.upstream:
                    yield Place(space, key), RegistryConfiguration(space, registry.identifier)

    def with_firewall_modes(self, modes: Mapping[Place, str | None]) -> "Registries":
        """Return the same registries with these firewall modes, which are label values; others keep theirs."""
        spaces = {
            space: {
                key: replace(registry, firewall_mode=modes.get(Place(space, key), registry.firewall_mode))
                for key, registry in registries.items()
            }
            for space, registries in self.spaces.items()
        }
        return replace(self, spaces=spaces)


def read_registries(
    ask: AskPage, space: str, now: float, *, descendants: bool = False, label: Label = clean, size: int = PAGE_SIZE
) -> Registries:
    """Return the registries of a space, from a read of all pages.

    Args:
        ask: asks for a page.
        space: the space to ask.
        now: the wall clock's time in seconds, to recognize times in the future.
        descendants: ask for the spaces below it, too.
        label: makes a label value of a text of the API.
        size: rows to ask for per page.

    Raises:
        RefreshError: a page could not be read, or too many rows cannot be used.
    """
    listing = RegistriesListing(space, descendants=descendants)
    tally = _Tally(space, descendants=descendants, label=label)
    reading = read_pages(
        lambda page: decode_registries(ask(listing, page, size), now, rows_asked=size, label=label), tally.add, size
    )
    rejected = reading.rejected._replace(rows=reading.rejected.rows + tally.misplaced)
    check_rejected(rejected.rows, reading.rows + reading.duplicates + reading.rejected.rows)
    registries = tally.registries(reading._replace(rejected=rejected))
    if descendants and rejected.rows and not registries.spaces:
        raise BadShapeError("no registry names its space, so that no space is found")
    return registries


class _Tally:
    """Registries read so far."""

    def __init__(self, root: str, *, descendants: bool, label: Label) -> None:
        self.misplaced = 0
        self._too_deep = 0
        self._root = root
        self._descendants = descendants
        self._label = label
        self._seen: set[int] = set()
        # Spellings of each space by its name in lower case, and its registries.
        self._spellings: defaultdict[str, set[str]] = defaultdict(set)
        self._spaces: defaultdict[str, dict[RegistryKey, Registry]] = defaultdict(dict)
        self._places_of: defaultdict[str, set[tuple[str, RegistryKey]]] = defaultdict(set)

    def add(self, rows: Iterable[RegistryRow]) -> int:
        """Add rows, and return how many of them are new.

        Raises:
            TooLargeError: there are more registries than are kept.
        """
        before = len(self._seen)
        for row in rows:
            number = len(self._seen)
            # Not identified by `uuid`, which some answers repeat.
            self._seen.add(hash(((row.space or "").lower(), row.identifier, row.package_type)))
            if len(self._seen) > number and not row.deleted:
                self._keep(row)
        if len(self._seen) > _MOST_REGISTRIES:
            raise TooLargeError(f"there are more than {_MOST_REGISTRIES:,} registries", hint=_NAME_SPACES)
        return len(self._seen) - before

    def registries(self, reading: Reading) -> Registries:
        """Return all registries."""
        names = {folded: self._name(folded) for folded in self._spaces}
        spaces = {names[folded]: dict(sorted(found.items())) for folded, found in self._spaces.items()}
        by_uuid = {
            uuid: Place(names[folded], key)
            for uuid, places in self._places_of.items()
            if len(places) == 1
            for folded, key in places
        }
        return Registries(self._root, self._descendants, dict(sorted(spaces.items())), reading, self._too_deep, by_uuid)

    def _keep(self, row: RegistryRow) -> None:
        space = self._space(row)
        if space is None:
            return
        folded = space.lower()
        self._spellings[folded].add(space)
        key = RegistryKey.of(row.identifier, row.package_type, self._label)
        registry = _registry(row, self._label)
        known = self._spaces[folded].get(key)
        self._spaces[folded][key] = together(known, registry) if known else registry
        if row.uuid:
            self._places_of[row.uuid].add((folded, key))

    def _space(self, row: RegistryRow) -> str | None:
        """Return the space of a registry; None if it is left out."""
        if row.space is None and not self._descendants:
            return self._root
        try:
            space = parse_scope(row.space or "")
        except ValueError:
            space = ""
        if is_below(space, self._root) if self._descendants else space.lower() == self._root.lower():
            return space
        too_deep = self._descendants and is_below(row.space or "", self._root) and _is_too_deep(row.space or "")
        self._too_deep += too_deep
        self.misplaced += not too_deep
        return None

    def _name(self, folded: str) -> str:
        # The first by name, so that every read gives the space the same name.
        return self._root + min(self._spellings[folded])[len(self._root) :]


def _is_too_deep(space: str) -> bool:
    return space.count("/") > _DEEPEST


def _registry(row: RegistryRow, label: Label) -> Registry:
    return Registry(
        identifier=row.identifier,
        registry_type=label(row.registry_type or ""),
        uuid=label(row.uuid or ""),
        public=row.public,
        packages=row.packages,
        size=row.size,
    )


def together(first: Registry, second: Registry) -> Registry:
    """Return one registry for two whose labels are equal."""
    return replace(
        first,
        public=any(public) if (public := [of for of in (first.public, second.public) if of is not None]) else None,
        packages=_sum(first.packages, second.packages),
        size=_sum(first.size, second.size),
    )


def _sum(first: int | None, second: int | None) -> int | None:
    return first if second is None else second + (first or 0)
