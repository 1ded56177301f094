"""Totals by registry and package type, made from sums and kinds of rows, with a limited number of label values.

Everything over a limit is added up under `OTHER`, so that the sums over all series stay the same.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate, product, starmap

from exporter.inventory.snapshot import OTHERS, Cell, RegistryKey, RegistryTotals
from exporter.inventory.sums import NEVER, RegistrySums
from exporter.inventory.traits import KNOWN_STATUSES, NO_FIREWALL, UNSCANNED, Kind
from exporter.labels import OTHER, RISKS, Label

_MOST_LABELS = 16

# Statuses that are exported even at 0: an absent series could also mean missing data.
_ALWAYS_PRESENT = ("ALLOWED", "WARN", "BLOCKED")
_PRESENT_WHERE_SCANNED = (*_ALWAYS_PRESENT, UNSCANNED)


def registry_totals(
    registries: Mapping[RegistryKey, RegistrySums],
    kinds: Collection[Kind],
    stale_ages: Sequence[str],
    limit: int,
    label: Label,
) -> dict[RegistryKey, RegistryTotals]:
    """Return the totals, sorted by key: of the largest registries, and of all others together.

    Args:
        registries: the sums of every registry and package type.
        kinds: the kinds of their rows.
        stale_ages: names of the ages of stale scans, ascending.
        limit: maximum number of registries and package types with totals of their own.
        label: makes a label value of a text of the API.
    """
    own = _largest(registries, kinds, limit)
    sums = {key: registries[key] for key in own}
    if others := [registry for key, registry in registries.items() if key not in own]:
        sums[OTHERS] = RegistrySums.together(OTHERS, others)
    kinds_of: defaultdict[RegistryKey, list[Kind]] = defaultdict(list)
    for kind in kinds:
        kinds_of[kind.registry.key if kind.registry.key in own else OTHERS].append(kind)
    cells = _Cells(kind for kind in kinds if kind.live)
    return {key: _totals(sums[key], kinds_of[key], cells, stale_ages, label) for key in sorted(sums)}


def _largest(
    registries: Mapping[RegistryKey, RegistrySums], kinds: Iterable[Kind], limit: int
) -> Collection[RegistryKey]:
    """Return the keys of the registries with the most live rows, at most the limit."""
    if len(registries) <= limit:
        return registries.keys()
    rows = dict.fromkeys(registries, 0)
    for kind in kinds:
        rows[kind.registry.key] += kind.rows * kind.live
    return largest_of(rows, limit)


def largest_of(sizes: Mapping[RegistryKey, int], limit: int) -> Collection[RegistryKey]:
    """Return the keys of the largest registries, at most the limit; the others are added up."""
    # By name if two are equally large, so that the same ones stay from refresh to refresh.
    largest = heapq.nsmallest(limit, sizes, key=lambda key: (-sizes[key], key))
    # A registry that has this very name is added up with the others.
    return {*largest} - {OTHERS}


class _Cells:
    """Cells of kinds; the less frequent labels of the space are replaced by `OTHER`."""

    def __init__(self, live: Iterable[Kind]) -> None:
        statuses, modes = Counter(dict.fromkeys(KNOWN_STATUSES, 0)), Counter({NO_FIREWALL: 0})
        for kind in live:
            status, mode = kind.cell
            statuses[status] += kind.rows
            modes[mode] += kind.rows
        self._statuses = most_frequent(statuses, KNOWN_STATUSES)
        self._modes = most_frequent(modes, (NO_FIREWALL,))

    def of(self, kind: Kind) -> Cell:
        """Return the cell of a kind."""
        status, mode = kind.cell
        return Cell(status if status in self._statuses else OTHER, mode if mode in self._modes else OTHER)


def most_frequent(rows: Mapping[str, int], always: Collection[str]) -> Collection[str]:
    """Return the labels that are exported, at most `_MOST_LABELS`: some always, then those with the most rows."""
    return {*heapq.nsmallest(_MOST_LABELS, rows, key=lambda label: (label not in always, -rows[label], label))}


def _totals(
    sums: RegistrySums, kinds: Sequence[Kind], cells: _Cells, stale_ages: Sequence[str], label: Label
) -> RegistryTotals:
    """Return the totals of one registry, including zeros for the series that are always exported."""
    live = [kind for kind in kinds if kind.live]
    artifacts, quarantined = _by_cell(live, cells, scanned=sums.scanned)
    # Cumulative, from the oldest age on; the last number counts all scans.
    *stale, _ = accumulate(sums.scans)
    environments = {"prod": sums.prod, "nonprod": sums.nonprod}
    return RegistryTotals(
        artifacts=artifacts,
        quarantined=quarantined,
        deployed=_deployed(live),
        environments={to: number for to, number in environments.items() if number is not None},
        downloads=sums.downloads,
        files=sums.files,
        digests=sums.digests,
        deleted=sum(kind.rows for kind in kinds if not kind.live),
        stale_scans=dict(zip(stale_ages, reversed(stale), strict=True)),
        newest_modified=_seconds(sums.modified),
        newest_scan=_seconds(sums.newest_scan),
        oldest_scan=_seconds(sums.oldest_scan),
        registry_type=label(sums.registry_type),
        registry_uuid=label(sums.registry_uuid),
    )


def _seconds(milliseconds: int) -> float | None:
    """Return a time in seconds; None for the initial values of the sums."""
    return milliseconds / 1000 if 0 < milliseconds < NEVER else None


def _by_cell(live: Sequence[Kind], cells: _Cells, *, scanned: bool) -> tuple[dict[Cell, int], dict[Cell, int]]:
    """Count all rows and the quarantined ones by cell.

    Every firewall mode of the rows has all expected scan statuses, even at 0.
    """
    rows, quarantined = Counter[Cell](), Counter[Cell]()
    for kind in live:
        cell = cells.of(kind)
        rows[cell] += kind.rows
        quarantined[cell] += kind.rows * kind.traits.quarantined
    modes = dict.fromkeys(cell.firewall_mode for cell in rows)
    expected = starmap(Cell, product(_PRESENT_WHERE_SCANNED if scanned else _ALWAYS_PRESENT, modes))
    zeros = dict.fromkeys(expected, 0)
    return zeros | rows, zeros | quarantined


def _deployed(live: Sequence[Kind]) -> dict[tuple[str, str], int]:
    """Count deployed rows by environment and risk; all combinations are present if there are live rows."""
    rows = Counter(dict.fromkeys(product(("prod", "nonprod"), RISKS) if live else (), 0))
    for kind in live:
        rows["prod", kind.risk] += kind.rows * kind.traits.in_prod
        rows["nonprod", kind.risk] += kind.rows * kind.traits.in_nonprod
    return dict(rows)
