"""Rows of the landing page: one for each space, or for all that fail for the same cause."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import NamedTuple

from exporter.inventory.refresh import Failure, SpaceStatus
from exporter.inventory.snapshot import Finding, Snapshot
from exporter.labels import FINDINGS
from exporter.scopes import first_of, without_scope

_NAMED = 3  # findings by name in a row


class State(NamedTuple):
    """State as the page shows it: its words, what it means, and its style."""

    name: str
    meaning: str
    style: str


_STATES = {
    "expired": State("expired", "too old to be served", "bad"),
    "never": State("failing", "no refresh has succeeded yet", "bad"),
    "failing": State("failing", "older data is served", "bad"),
    "cold": State("cold", "nothing was read yet", "wait"),
    "due": State("refresh pending", "the next scrape starts a refresh", "soft"),
    "fresh": State("fresh", "up to date", "good"),
}
"""States, the most urgent one first."""

_URGENCY = {state: rank for rank, state in enumerate(_STATES.values())}


@dataclass(frozen=True, slots=True)
class Row:
    """Row of the page.

    Attributes:
        spaces: the spaces, in the configured order; several only if they fail for the same cause.
        state: their state.
    """

    spaces: tuple[SpaceStatus, ...]
    state: State

    @property
    def names(self) -> str:
        """The first spaces, and how many more there are."""
        return first_of([status.space for status in self.spaces])

    @property
    def failure(self) -> Failure | None:
        """The latest failure."""
        failures = [status.last_failure for status in self.spaces if status.last_failure]
        return max(failures, key=lambda failure: failure.time, default=None)

    @property
    def messages(self) -> tuple[str, ...]:
        """The different messages of the failures; those of several spaces do not name them."""
        found = [(status.space, status.last_failure.message) for status in self.spaces if status.last_failure]
        if len(found) == 1:
            return (found[0][1],)
        return tuple(dict.fromkeys(without_scope(message, space) for space, message in found))

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """The snapshots that are served."""
        return tuple(status.snapshot for status in self.spaces if status.snapshot)

    @property
    def began(self) -> float:
        """When the oldest snapshot began, monotonic clock."""
        return min(snapshot.began_monotonic for snapshot in self.snapshots)

    @property
    def artifacts(self) -> int:
        """Number of artifacts."""
        return sum(snapshot.inventory.artifacts for snapshot in self.snapshots)

    @property
    def findings(self) -> int:
        """Number of findings within the limit."""
        return sum(len(snapshot.inventory.findings) for snapshot in self.snapshots)

    @property
    def dropped(self) -> int:
        """Number of findings over the limit."""
        return sum(snapshot.inventory.findings_dropped for snapshot in self.snapshots)

    @property
    def kinds(self) -> tuple[tuple[str, int], ...]:
        """Number of findings of each kind that there is, highest risk first; a finding may have two."""
        found = Counter(kind for finding in self._found() for kind in finding.kinds)
        return tuple((kind, found[kind]) for kind in FINDINGS if found[kind])

    @property
    def first_findings(self) -> tuple[Finding, ...]:
        """The first findings, the most urgent ones of the first space first."""
        return tuple(islice(self._found(), _NAMED))

    @property
    def completeness(self) -> str:
        """Whether the data is complete."""
        if len(self.snapshots) == 1:
            return _completeness(self.snapshots[0])
        incomplete = sum(not snapshot.complete for snapshot in self.snapshots)
        return f"{incomplete:,} incomplete" if incomplete else "complete"

    def _found(self) -> chain[Finding]:
        return chain.from_iterable(snapshot.inventory.findings for snapshot in self.snapshots)


def rows_of(statuses: Sequence[SpaceStatus]) -> list[Row]:
    """Return the rows of some spaces: failures first, then by urgency."""
    grouped: dict[object, list[SpaceStatus]] = {}
    for status in statuses:
        grouped.setdefault(_cause(status), []).append(status)
    rows = [Row(tuple(spaces), state_of(spaces[0])) for spaces in grouped.values()]
    return sorted(rows, key=lambda row: (row.failure is None, _URGENCY[row.state]))


def counts_of(statuses: Sequence[SpaceStatus]) -> list[tuple[State, int]]:
    """Return how many spaces are in each state that there is; those with the same name are one."""
    of_name = Counter(state_of(status).name for status in statuses)
    by_name = {state.name: state for state in _STATES.values()}
    return [(state, of_name[name]) for name, state in by_name.items() if of_name[name]]


def state_of(status: SpaceStatus) -> State:
    """Return the state of a space as the page shows it."""
    return _STATES["never" if status.state == "cold" and status.last_failure else status.state]


def _cause(status: SpaceStatus) -> object:
    """Return what is equal for spaces that share a row."""
    failure = status.last_failure
    # Messages may differ in an identifier of the request; the reason and what helps are the cause.
    return (state_of(status), failure.reason, failure.hint) if failure else status.space


def _completeness(snapshot: Snapshot) -> str:
    if snapshot.reported is None:
        return "unknown: the API reports no number"
    if snapshot.complete:
        return "complete"
    if snapshot.inventory.artifacts == snapshot.reported:
        return "incomplete: the listing changed during the refresh"
    return f"incomplete: {snapshot.inventory.artifacts:,} read, {snapshot.reported:,} reported"
