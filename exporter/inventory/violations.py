"""Violations of the dependency firewall by space, from a complete read of their listing."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from exporter.harness.envelope import ListingPage
from exporter.harness.errors import TooLargeError
from exporter.harness.violations import Violation, ViolationsListing, decode_violations
from exporter.inventory.registries import Filter, Place, Registries
from exporter.inventory.snapshot import OTHERS, RegistryKey
from exporter.inventory.sources import PAGE_SIZE, AskPage, Reading, read_pages
from exporter.inventory.totals import most_frequent
from exporter.labels import OTHER, Label, clean
from exporter.scopes import is_below, parse_scope

NO_EXEMPTION = "NONE"
"""Exemption of a violation without one."""

NO_STATUS = "UNKNOWN"
"""Scan status of a violation without one."""

_LEAVE_OUT = "leave violations out of sources"
_ALWAYS_PRESENT = ("BLOCKED", "WARN")
_MOST_NAMES = 10_000  # of registries that only rows name; each takes up to 4 KB
_MOST_VIOLATIONS = 1_000_000  # each takes up to 110 bytes while they are read


class Verdict(NamedTuple):
    """Labels that violations are counted by within a registry."""

    scan_status: str
    exemption: str


@dataclass(frozen=True, slots=True)
class ViolationTotals:
    """Totals of one registry and package type.

    Attributes:
        violations: number by verdict; BLOCKED and WARN are present without an exemption, even at 0.
        categories: number by category; a violation with several counts once in each.
        newest: seconds since the epoch of the last evaluation; None if no time is known.
    """

    violations: Mapping[Verdict, int]
    categories: Mapping[str, int]
    newest: float | None


@dataclass(frozen=True, slots=True)
class NamedViolation:
    """Violation to list, with texts as label values.

    Attributes:
        key: its registry and package type.
        artifact: name of the package.
        version: version of the package; may be empty.
        verdict: its scan status and exemption.
        categories: sorted, separated by commas; may be empty.
        policy_sets: sorted, separated by commas; may be empty.
        purl: the package URL; may be empty.
    """

    key: RegistryKey
    artifact: str
    version: str
    verdict: Verdict
    categories: str
    policy_sets: str
    purl: str


@dataclass(frozen=True, slots=True)
class SpaceViolations:
    """Violations in the registries of one space.

    Attributes:
        registries: totals by registry and package type, in sorted order; those over a large number are one entry.
        named: the violations to list, newest first, at most the limit; equal ones once.
        dropped: number of violations beyond the limit.
    """

    registries: Mapping[RegistryKey, ViolationTotals]
    named: tuple[NamedViolation, ...]
    dropped: int

    def limited(self, own: Collection[RegistryKey]) -> "SpaceViolations":
        """Return the same violations with totals of these registries only, and of all others together."""
        others = [totals for key, totals in self.registries.items() if key not in own]
        if not others:
            return self
        registries = {key: totals for key, totals in self.registries.items() if key in own}
        return replace(self, registries=dict(sorted({**registries, OTHERS: _together(others)}.items())))


@dataclass(frozen=True, slots=True)
class Violations:
    """Violations that one read found.

    Attributes:
        spaces: violations by space, in lower case and in sorted order; spaces without any are there, too.
        reading: what the read was like; violations without a place are rejected rows.
        first_page: the first page: while it stays the same, the listing is unchanged.
    """

    spaces: Mapping[str, SpaceViolations]
    reading: Reading
    first_page: ListingPage[Violation]


def read_violations(
    ask: AskPage,
    registries: Registries,
    now: float,
    *,
    filters: Mapping[str, Filter],
    findings_limit: int,
    last: Violations | None = None,
    label: Label = clean,
    size: int = PAGE_SIZE,
) -> Violations:
    """Return the violations of a space, from a read of all pages; after one page if nothing changed.

    Args:
        ask: asks for a page.
        registries: of the space to ask and, if these were asked for, of those below it; they place the violations.
        now: the wall clock's time in seconds, to recognize times in the future.
        filters: the filter of each space, by its name in lower case; violations of others have no place.
        findings_limit: maximum number of violations to list for each space, of those that pass its filter.
        last: violations of the last read, to be returned if the first page is the same; None to read all pages, as
            exemptions change without a trace on it, and with other registries the places do.
        label: makes a label value of a text of the API.
        size: rows to ask for per page.

    Raises:
        RefreshError: a page could not be read, too many rows cannot be used, or there are too many.
    """
    listing = ViolationsListing(registries.root, descendants=registries.descendants)

    def fetch(page: int) -> ListingPage[Violation]:
        return decode_violations(ask(listing, page, size), now, rows_asked=size, label=label)

    first = fetch(0)
    if last and first == last.first_page:
        return last
    tally = _Tally(_Places(registries, filters), filters, findings_limit, label)
    reading = read_pages(lambda page: fetch(page) if page else first, tally.add, size)
    rejected = reading.rejected._replace(rows=reading.rejected.rows + tally.misplaced)
    return Violations(tally.spaces(), reading._replace(rejected=rejected), first)


class _Places:
    """Places of violations; their spaces are in lower case."""

    def __init__(self, registries: Registries, spaces: Collection[str]) -> None:
        self._registries = registries
        self._spaces = spaces
        self._listed = {Place(space.lower(), key) for space, found in registries.spaces.items() for key in found}

    def listed(self, place: Place) -> bool:
        """Return whether a registry is listed, not only named by rows."""
        return place in self._listed

    def of(self, row: Violation, label: Label) -> Place | None:
        """Return the place of a violation; None if it has none."""
        known = self._registries.by_uuid.get(row.registry_uuid or "")
        space = known.space.lower() if known else self._space(row)
        if space not in self._spaces:
            return None
        if known:
            return Place(space, known.key)
        return Place(space, RegistryKey.of(row.registry, row.package_type, label)) if row.registry else None

    def _space(self, row: Violation) -> str:
        """Return the space that a violation names; without an organization none below the asked one."""
        root, descendants = self._registries.root, self._registries.descendants
        account = root.partition("/")[0]
        try:
            space = parse_scope("/".join(filter(None, (account, row.org, row.project)))).lower()
        except ValueError:
            return ""
        return space if (is_below(space, root) and row.org if descendants else space == root.lower()) else ""


class _Counts:
    """Counts of one registry."""

    def __init__(self) -> None:
        self.verdicts = Counter[Verdict]()
        self.categories = Counter[str]()
        self.newest = 0

    def add(self, row: Violation, verdict: Verdict, label: Label) -> None:
        self.verdicts[verdict] += 1
        self.categories.update({label(category) for category in row.categories})
        self.newest = max(self.newest, row.evaluated or 0)


class _Space:
    """Violations of one space read so far; holds at most twice the limit of those to list."""

    def __init__(self, limit: int) -> None:
        self.number = 0
        self.counts: defaultdict[RegistryKey, _Counts] = defaultdict(_Counts)
        self._limit = limit
        self._rows: list[tuple[Violation, RegistryKey]] = []

    def add(self, row: Violation, key: RegistryKey, counted: RegistryKey, label: Label) -> None:
        self.number += 1
        self.counts[counted].add(row, _verdict(row, label), label)
        self._rows.append((row, key))
        if len(self._rows) > 2 * self._limit:
            self._rows = self._newest()

    def violations(self, label: Label) -> SpaceViolations:
        return SpaceViolations(
            registries=_totals(self.counts),
            named=tuple(dict.fromkeys(_named(row, key, label) for row, key in self._newest())),
            dropped=max(0, self.number - self._limit),
        )

    def _newest(self) -> list[tuple[Violation, RegistryKey]]:
        return sorted(self._rows, key=_age)[: self._limit]


class _Tally:
    """Violations read so far."""

    def __init__(self, places: _Places, filters: Mapping[str, Filter], limit: int, label: Label) -> None:
        self.misplaced = 0
        self._names = 0
        self._places = places
        self._filters = filters
        self._label = label
        self._seen: set[int] = set()
        self._spaces: defaultdict[str, _Space] = defaultdict(lambda: _Space(limit))

    def add(self, rows: Iterable[Violation]) -> int:
        """Add rows, and return how many of them are new.

        Raises:
            TooLargeError: there are more violations than are read.
        """
        before = len(self._seen)
        for row in rows:
            number = len(self._seen)
            self._seen.add(hash(_identity(row)))
            if len(self._seen) > number:
                self._keep(row)
        if len(self._seen) > _MOST_VIOLATIONS:
            raise TooLargeError(f"there are more than {_MOST_VIOLATIONS:,} violations", hint=_LEAVE_OUT)
        return len(self._seen) - before

    def spaces(self) -> dict[str, SpaceViolations]:
        """Return the violations of all spaces, of those without any, too."""
        return {name: self._spaces[name].violations(self._label) for name in sorted(self._filters)}

    def _keep(self, row: Violation) -> None:
        place = self._places.of(row, self._label)
        if place is None:
            self.misplaced += 1
        elif self._filters[place.space](place.key):
            space, key = self._spaces[place.space], place.key
            if key not in space.counts and not self._places.listed(place):
                self._names += 1
                key = key if self._names <= _MOST_NAMES else OTHERS
            space.add(row, place.key, key, self._label)


def _identity(row: Violation) -> tuple[str | None, ...]:
    if row.id is not None:
        return (row.id,)
    return row.registry_uuid, row.registry, row.org, row.project, row.package_type, row.name, row.version


def _verdict(row: Violation, label: Label) -> Verdict:
    return Verdict(label(row.scan_status or NO_STATUS), label(row.exemption or NO_EXEMPTION))


def _age(found: tuple[Violation, RegistryKey]) -> tuple[int | str, ...]:
    """Return the sort key: newest first; of the same time by name, so that the same ones stay."""
    row, key = found
    return -(row.evaluated or 0), row.name, row.version or "", *key, row.id or ""


def _named(row: Violation, key: RegistryKey, label: Label) -> NamedViolation:
    return NamedViolation(
        key=key,
        artifact=label(row.name),
        version=label(row.version or ""),
        verdict=_verdict(row, label),
        categories=label(",".join(row.categories)),
        policy_sets=label(",".join(row.policy_sets)),
        purl=label(row.purl or ""),
    )


def _totals(counts: Mapping[RegistryKey, _Counts]) -> dict[RegistryKey, ViolationTotals]:
    statuses, exemptions, categories = Counter[str](), Counter[str](), Counter[str]()
    for of in counts.values():
        categories += of.categories
        for verdict, number in of.verdicts.items():
            statuses[verdict.scan_status] += number
            exemptions[verdict.exemption] += number
    frequent = (
        most_frequent(statuses, _ALWAYS_PRESENT),
        most_frequent(exemptions, (NO_EXEMPTION,)),
        most_frequent(categories, ()),
    )
    return {key: _total(counts[key], *frequent) for key in sorted(counts)}


def _total(
    counts: _Counts, statuses: Iterable[str], exemptions: Iterable[str], categories: Iterable[str]
) -> ViolationTotals:
    """Return the totals of a registry; the less frequent labels of the space are replaced by `OTHER`."""
    violations = Counter({Verdict(status, NO_EXEMPTION): 0 for status in _ALWAYS_PRESENT})
    for (status, exemption), number in counts.verdicts.items():
        verdict = Verdict(status if status in statuses else OTHER, exemption if exemption in exemptions else OTHER)
        violations[verdict] += number
    by_category = Counter[str]()
    for category, number in counts.categories.items():
        by_category[category if category in categories else OTHER] += number
    return ViolationTotals(violations, by_category, counts.newest / 1000 if counts.newest else None)


def _together(totals: Iterable[ViolationTotals]) -> ViolationTotals:
    violations, categories, newest = Counter[Verdict](), Counter[str](), None
    for of in totals:
        # Not added with `+`, which would leave out those at 0.
        violations.update(of.violations)
        categories.update(of.categories)
        newest = of.newest if newest is None else max(newest, of.newest or newest)
    return ViolationTotals(violations, categories, newest)
