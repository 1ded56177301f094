"""`har-exporter findings`: everything that someone must act on, without a limit."""

import csv
import io
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from exporter.inventory.refresh import Failure, SpaceStatus
from exporter.inventory.snapshot import Finding
from exporter.inventory.violations import NamedViolation
from exporter.metrics.source_families import SourceView
from exporter.metrics.space_families import SpaceView
from exporter.scopes import DESCENDANTS, first_of, is_below
from exporter.texts import quoted

VIOLATION = "violation"
"""Kind of a violation of the dependency firewall."""

_FORMULA = ("=", "+", "-", "@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Artifact or package version that someone must act on; the attributes are the columns of CSV and the keys of JSON.

    Attributes:
        space: its space.
        owner: who answers for the space; may be empty.
        registry: its registry.
        package_type: its package type.
        artifact: its name.
        version: its version.
        finding: the kinds of `FINDINGS` that apply, separated by commas, or `VIOLATION`.
        prod: environments for production that it is deployed to; None if that is not known.
        nonprod: other environments; likewise.
        downloads: downloads so far; None if that is not known.
        scan_status: as the API writes it.
        firewall_mode: as the API writes it; empty for a violation.
        exemption: of a violation, as the API writes it; else empty.
        categories: of a violation, separated by commas; else empty.
        policy_sets: of a violation, separated by commas; else empty.
        reason: of a quarantine; may be empty.
        purl: the package URL; may be empty.
        url: the page of the registry in Harness; may be empty.
    """

    space: str
    owner: str
    registry: str
    package_type: str
    artifact: str
    version: str
    finding: str
    prod: int | None = None
    nonprod: int | None = None
    downloads: int | None = None
    scan_status: str
    firewall_mode: str = ""
    exemption: str = ""
    categories: str = ""
    policy_sets: str = ""
    reason: str = ""
    purl: str
    url: str


class Filters(NamedTuple):
    """Which rows are wanted; an empty one means all.

    Attributes:
        space: these spaces, as entries of `spaces` name them.
        registry: these registries.
        finding: rows of one of these kinds.
        deployed: rows deployed to one of these, `prod` and `nonprod`.
    """

    space: Collection[str] = ()
    registry: Collection[str] = ()
    finding: Collection[str] = ()
    deployed: Collection[str] = ()

    def include(self, row: Row) -> bool:
        """Return whether a row is wanted."""
        deployed = {to for to, number in (("prod", row.prod), ("nonprod", row.nonprod)) if number}
        return (
            (not self.space or any(_is_in(row.space, entry) for entry in self.space))
            and (not self.registry or row.registry in self.registry)
            and (not self.finding or not {*row.finding.split(",")}.isdisjoint(self.finding))
            and (not self.deployed or not deployed.isdisjoint(self.deployed))
        )


def rows_of(views: Sequence[SpaceView], filters: Filters) -> list[Row]:
    """Return the rows of some spaces: production first, then by kind of finding, then by name."""
    rows = [row for view in views for row in (*_findings(view), *_violations(view)) if filters.include(row)]
    return sorted(rows, key=_urgency)


def as_csv(rows: Sequence[Row]) -> str:
    """Return rows as CSV with a head; no cell is a formula to a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row.__dataclass_fields__)
    writer.writerows([_cell(value) for value in asdict(row).values()] for row in rows)
    return text.getvalue()


def as_json(rows: Sequence[Row], statuses: Sequence[SpaceStatus], sources: Sequence[SourceView]) -> str:
    """Return rows as one JSON object, with totals, and the spaces and sources that failed."""
    failed = [
        *({"space": of.space, **_failure(of.last_failure)} for of in statuses if of.last_failure),
        *({"space": of.entry, "source": of.source, **_failure(of.last_failure)} for of in sources if of.last_failure),
    ]
    return json.dumps({"failed": failed, "totals": totals(rows), "findings": [*map(asdict, rows)]}, indent=2)


def lost(sources: Sequence[SourceView]) -> bool:
    """Return whether rows are missing because a source failed that the server has."""
    return any(not view.up and view.available for view in sources)


def unknown_spaces(wanted: Iterable[str], known: Sequence[str]) -> list[str]:
    """Return an error for each entry that is wanted, but names no space that is read."""
    return [
        f"--space: {quoted(entry)} is not one of the spaces that are read: {first_of(known) or 'none'}"
        for entry in wanted
        if not any(_is_in(space, entry) for space in known)
    ]


def totals(rows: Sequence[Row]) -> dict[str, int]:
    """Return the number of rows, of those in production, and of each kind; a row can have two kinds."""
    kinds = Counter(kind for row in rows for kind in row.finding.split(","))
    return {"all": len(rows), "prod": sum(bool(row.prod) for row in rows), **dict(sorted(kinds.items()))}


def _is_in(space: str, entry: str) -> bool:
    """Return whether an entry of `spaces` stands for a space; case makes no difference."""
    if entry.endswith(DESCENDANTS):
        return is_below(space, entry.removesuffix(DESCENDANTS))
    return space.lower() == entry.removesuffix("/+").lower()


def _failure(failure: Failure) -> Mapping[str, str]:
    return {"reason": failure.reason, "message": failure.message, "hint": failure.hint}


def _cell(value: object) -> object:
    # A spreadsheet would run it.
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _urgency(row: Row) -> tuple[object, ...]:
    # In the order of FINDINGS, which is that of the alphabet but for the first; violations come last.
    kinds = ("quarantined", "blocked", "warn", VIOLATION)
    kind = kinds.index(row.finding.partition(",")[0])
    return not row.prod, kind, row.space, row.registry, row.package_type, row.artifact, row.version


def _findings(view: SpaceView) -> Iterator[Row]:
    for snapshot in view.snapshots:
        for finding in snapshot.inventory.findings:
            yield Row(
                **_place(view, finding),
                finding=",".join(finding.kinds),
                prod=finding.environments.get("prod"),
                nonprod=finding.environments.get("nonprod"),
                downloads=finding.downloads,
                scan_status=finding.scan_status,
                firewall_mode=finding.firewall_mode,
                reason=finding.reason,
            )


def _violations(view: SpaceView) -> Iterator[Row]:
    for violation in view.listed.violations.named if view.listed.violations else ():
        yield Row(
            **_place(view, violation),
            finding=VIOLATION,
            scan_status=violation.verdict.scan_status,
            exemption=violation.verdict.exemption,
            categories=violation.categories,
            policy_sets=violation.policy_sets,
        )


def _place(view: SpaceView, found: Finding | NamedViolation) -> dict[str, Any]:
    """Return the attributes that rows of both kinds have alike."""
    return {
        "space": view.space,
        "owner": view.owner,
        **found.key._asdict(),
        "artifact": found.artifact,
        "version": found.version,
        "purl": found.purl,
        "url": view.link(found.key.registry),
    }
