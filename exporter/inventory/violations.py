"""Violations of the dependency firewall by space, from a complete read of their listing."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from exporter.harness.envelope import ListingPage
from exporter.harness.violations import Violation, ViolationsListing, decode_violations
from exporter.inventory.registries import Place, Registries
from exporter.inventory.snapshot import OTHERS, RegistryKey
from exporter.inventory.sources import PAGE_SIZE, AskPage, Reading, read_pages
from exporter.inventory.totals import largest_of, most_frequent
from exporter.labels import OTHER, Label, clean
from exporter.scopes import is_below, parse_scope

NO_EXEMPTION = "NONE"
"""Exemption of a violation without one."""

NO_STATUS = "UNKNOWN"
"""Scan status of a violation without one."""

_ALWAYS_PRESENT = ("BLOCKED", "WARN")


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
        registries: totals by registry and package type, in sorted order; those over the limit are one entry.
        named: the violations to list, newest first, at most the limit; equal ones once.
        dropped: number of violations beyond the limit.
    """

    registries: Mapping[RegistryKey, ViolationTotals]
    named: tuple[NamedViolation, ...]
    dropped: int


@dataclass(frozen=True, slots=True)
class Violations:
    """Violations that one read found.

    Attributes:
        spaces: violations by space, in sorted order.
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
    findings_limit: int,
    registries_limit: int,
    last: Violations | None = None,
    label: Label = clean,
    size: int = PAGE_SIZE,
) -> Violations:
    """Return the violations of a space, from a read of all pages; after one page if nothing changed.

    Args:
        ask: asks for a page.
        registries: of the space to ask and, if these were asked for, of those below it; they place the violations.
        now: the wall clock's time in seconds, to recognize times in the future.
        findings_limit: maximum number of violations to list for each space.
        registries_limit: maximum number of registries and package types with totals of their own for each space.
        last: violations of the last read, to be returned if the first page is the same; None to read all pages, as
            exemptions change without a trace on it, and with other registries the places do.
        label: makes a label value of a text of the API.
        size: rows to ask for per page.

    Raises:
        RefreshError: a page could not be read, or too many rows cannot be used.
    """
    listing = ViolationsListing(registries.root, descendants=registries.descendants)

    def fetch(page: int) -> ListingPage[Violation]:
        return decode_violations(ask(listing, page, size), now, rows_asked=size, label=label)

    first = fetch(0)
    if last and first == last.first_page:
        return last
    tally = _Tally(_Places(registries), findings_limit, label)
    reading = read_pages(lambda page: fetch(page) if page else first, tally.add, size)
    rejected = reading.rejected._replace(rows=reading.rejected.rows + tally.misplaced)
    return Violations(tally.spaces(registries_limit), reading._replace(rejected=rejected), first)


class _Places:
    """Places of violations."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._spelled = {space.lower(): space for space in registries.found}

    def of(self, row: Violation, label: Label) -> Place | None:
        """Return the place of a violation; None if it has none."""
        known = self._registries.by_uuid.get(row.registry_uuid or "")
        if known:
            return known
        space = self._space(row)
        return Place(space, RegistryKey.of(row.registry, row.package_type, label)) if space and row.registry else None

    def _space(self, row: Violation) -> str | None:
        """Return the space that a violation names; one without an organization names none below the asked one."""
        root, descendants = self._registries.root, self._registries.descendants
        account = root.partition("/")[0]
        try:
            space = parse_scope("/".join(filter(None, (account, row.org, row.project))))
        except ValueError:
            return None
        if is_below(space, root) and row.org if descendants else space.lower() == root.lower():
            return self._spelled.get(space.lower(), space)
        return None


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

    def merge(self, other: "_Counts") -> None:
        self.verdicts += other.verdicts
        self.categories += other.categories
        self.newest = max(self.newest, other.newest)


class _Space:
    """Violations of one space read so far; holds at most twice the limit of those to list."""

    def __init__(self, limit: int) -> None:
        self.number = 0
        self.counts: defaultdict[RegistryKey, _Counts] = defaultdict(_Counts)
        self._limit = limit
        self._rows: list[tuple[Violation, RegistryKey]] = []

    def add(self, row: Violation, key: RegistryKey, label: Label) -> None:
        self.number += 1
        self.counts[key].add(row, _verdict(row, label), label)
        self._rows.append((row, key))
        if len(self._rows) > 2 * self._limit:
            self._rows = self._newest()

    def violations(self, registries_limit: int, label: Label) -> SpaceViolations:
        return SpaceViolations(
            registries=_totals(_limited(self.counts, registries_limit)),
            named=tuple(dict.fromkeys(_named(row, key, label) for row, key in self._newest())),
            dropped=max(0, self.number - self._limit),
        )

    def _newest(self) -> list[tuple[Violation, RegistryKey]]:
        return heapq.nsmallest(self._limit, self._rows, key=_age)


class _Tally:
    """Violations read so far."""

    def __init__(self, places: _Places, limit: int, label: Label) -> None:
        self.misplaced = 0
        self._places = places
        self._label = label
        self._seen: set[int] = set()
        self._spaces: defaultdict[str, _Space] = defaultdict(lambda: _Space(limit))

    def add(self, rows: Iterable[Violation]) -> int:
        """Add rows, and return how many of them are new."""
        before = len(self._seen)
        for row in rows:
            number = len(self._seen)
            self._seen.add(hash(_identity(row)))
            if len(self._seen) > number:
                self._keep(row)
        return len(self._seen) - before

    def spaces(self, registries_limit: int) -> dict[str, SpaceViolations]:
        """Return the violations of all spaces."""
        return {name: space.violations(registries_limit, self._label) for name, space in sorted(self._spaces.items())}

    def _keep(self, row: Violation) -> None:
        place = self._places.of(row, self._label)
        if place:
            self._spaces[place.space].add(row, place.key, self._label)
        else:
            self.misplaced += 1


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


def _limited(counts: Mapping[RegistryKey, _Counts], limit: int) -> dict[RegistryKey, _Counts]:
    """Return the counts of the registries with the most violations, and of all others together."""
    largest = largest_of({key: of.verdicts.total() for key, of in counts.items()}, limit)
    own = {key: counts[key] for key in largest}
    if len(own) < len(counts):
        own[OTHERS] = others = _Counts()
        for key in counts.keys() - largest:
            others.merge(counts[key])
    return own


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
