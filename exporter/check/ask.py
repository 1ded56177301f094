"""Questions of `har-exporter check`: the first page of each space, and the configured registries it leaves open."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

from exporter.check.checked import CheckedSpace
from exporter.check.forecast import seconds_by_rate
from exporter.check.report import Report, report_on
from exporter.check.sample import SampleTally
from exporter.check.sources import SourceQuestions
from exporter.clock import Clock
from exporter.config.settings import Settings
from exporter.config.spaces import Space
from exporter.engine.clients import Clients, SharedClient, listing_of
from exporter.engine.generation import new_walker, view_of
from exporter.harness.counters import ApiCounters
from exporter.harness.errors import RefreshError
from exporter.harness.keys import account_of
from exporter.harness.page import decode_page
from exporter.inventory.refresh import Refresher, SpaceStatus
from exporter.inventory.registries import Registries
from exporter.inventory.snapshot import Snapshot
from exporter.labels import clean
from exporter.metrics.space_families import SPACE_FAMILIES

if TYPE_CHECKING:
    from exporter.inventory.walk import FirstPage

_PAGE_REQUESTS = 2
"""Requests for a page at most, without retries: the server may refuse its size."""


def check_spaces(
    settings: Settings,
    clock: Clock,
    on_answer: Callable[[], None] = lambda: None,
    on_start: Callable[[int], None] = lambda _: None,
) -> Report:
    """Ask every space for its first page, several at once, and report what the answers mean.

    A space is refreshed as by `serve`, but only with its first page.

    Args:
        settings: valid settings.
        clock: source of time.
        on_answer: called after each space.
        on_start: called with the number of spaces before they are asked.

    Raises:
        SettingsError: a key file can no longer be used.
    """
    clients = Clients(settings, clock, ApiCounters())
    sources = SourceQuestions(settings, clients, clock)
    discovery = sources.discover()
    configured = settings.configured_and({entry: listed.found for entry, listed in discovery.found.items()})
    served = tuple(filter(settings.serves, configured))
    on_start(len(served))
    client_of = {space.ref: clients.of(space, settings) for space in served}
    requests: Counter[SharedClient] = Counter()
    named = settings.named
    for space in served:
        requests[client_of[space.ref]] += _PAGE_REQUESTS + len(space.registries) * (space.ref in named)
    questions: dict[str, _Question] = {}
    for space in served:
        client = client_of[space.ref]
        # Enough time for all requests of the key, so that none fails because it waits for rate_limit.
        patience = settings.request_timeout + seconds_by_rate(requests[client], settings.rate_limit)
        undiscovered = discovery.failed.get(space.entry)
        questions[space.ref] = _Question(
            space,
            client,
            settings,
            clock,
            own_entry=space.ref in named,
            patience=patience,
            undiscovered=undiscovered,
        )
    workers = {space.ref: clients.walk_workers(space, settings) for space in served}
    refresher = Refresher(
        {name: question.first_page for name, question in questions.items()},
        submit=lambda refresh, space: workers[space].submit(refresh, space),
        clock=clock,
        cache_ttl=settings.cache_ttl,
        # The first space must not expire while the last one waits for its turn.
        max_stale=inf,
        jitter=random.Random(),
        on_refresh=lambda _: on_answer(),
    )
    wait(refresher.start())
    for asked in [workers[name].submit(lambda name: questions[name].open_registries(), name) for name in questions]:
        asked.result()
    for space in served:
        if space.entry in discovery.found:
            questions[space.ref].find_registries(discovery.found[space.entry])
    known = {space: len(found) for listed in discovery.found.values() for space, found in listed.spaces.items()}
    for name, question in questions.items():
        question.count_registries(known.get(name), sources)
    keys = list(dict.fromkeys(client_of.values()))
    checked = [
        questions[status.space].checked(status, keys.index(client_of[status.space])) for status in refresher.statuses()
    ]
    found = {entry: len(listed.found) - 1 for entry, listed in discovery.found.items()}
    # Those of roots on this shard are failures of these spaces.
    entries = {space.entry for space in served}
    elsewhere = {entry: error for entry, error in discovery.failed.items() if entry not in entries}
    failures = ("; ".join(filter(None, (f"{entry}: {error}", error.hint))) for entry, error in elsewhere.items())
    warnings = (*failures, *sources.warnings())
    return report_on(
        checked, settings, configured=configured, found=found, warnings=warnings, undiscovered=len(elsewhere)
    )


class _Question:
    """Questions to one space."""

    def __init__(
        self,
        space: Space,
        client: SharedClient,
        settings: Settings,
        clock: Clock,
        *,
        own_entry: bool,
        patience: float,
        undiscovered: RefreshError | None,
    ) -> None:
        """Ask nothing yet.

        Args:
            space: the space.
            client: its client.
            settings: the settings.
            clock: source of time.
            own_entry: whether the space has an entry of its own, not one for all spaces below another.
            patience: seconds that each page may take.
            undiscovered: why the spaces below it could not be found; None if they were, or are not wanted.
        """
        self._undiscovered = undiscovered
        self._registries: int | None = None
        self._space = space
        self._own_entry = own_entry
        self._client = client
        self._settings = settings
        self._clock = clock
        self._patience = patience
        patient = settings.model_copy(update={"refresh_timeout": patience})
        self._walker = new_walker(client, space, patient, clock, tally=self._new_tally)
        self._tally: SampleTally | None = None
        self._first: FirstPage | None = None
        self._unlisted: tuple[str, ...] = ()
        self._unknown: tuple[str, ...] = ()

    def first_page(self, cancelled: threading.Event, _last: Snapshot | None) -> Snapshot:
        """Read the first page; there is no snapshot before it.

        Raises:
            RefreshError: it could not be read.
        """
        if self._undiscovered:
            raise self._undiscovered
        self._first = self._walker.first_page(cancelled)
        return self._first.snapshot

    def count_registries(self, known: int | None, sources: SourceQuestions) -> None:
        """Ask how many registries there are, if there are no artifacts and it is not known."""
        if self._first and not self._first.snapshot.inventory.artifacts:
            self._registries = sources.number_of_registries(self._space) if known is None else known

    def _new_tally(self, *arguments: Any, **options: Any) -> SampleTally:  # noqa: ANN401 - those of Tally
        self._tally = SampleTally(*arguments, **options)
        return self._tally

    def open_registries(self) -> None:
        """Ask for one row of each configured registry that the page leaves open.

        The API returns an empty page for an unknown registry.
        """
        # A filter of all spaces below another names registries that each of them need not have.
        if self._first is None or not self._own_entry:
            return
        seen = {key.registry for key in self._first.snapshot.inventory.registries}
        unseen = [registry for registry in self._space.registries if clean(registry) not in seen]
        # A single page holds the whole listing, so no further request is needed.
        rows = {registry: 0 if self._first.requests == 1 else self._rows_of(registry) for registry in unseen}
        self._unlisted = tuple(registry for registry, number in rows.items() if number == 0)
        self._unknown = tuple(registry for registry, number in rows.items() if number is None)

    def find_registries(self, below: Registries) -> None:
        """Look up each configured registry among those of the space and all spaces below it."""
        found = {key.registry for registries in below.spaces.values() for key in registries}
        self._unlisted = tuple(registry for registry in self._space.registries if clean(registry) not in found)

    def _rows_of(self, registry: str) -> int | None:
        """Return how many rows a registry lists, at most one; None if it could not be asked for."""
        listing = replace(listing_of(self._space), registries=(registry,))
        deadline = self._clock.monotonic() + self._patience
        try:
            self._client.client.wait_for_turn(deadline)
            # One row is enough to know that the registry lists something.
            page = self._client.client.page(listing, 0, 1, deadline)
            return decode_page(page, self._clock.time(), rows_asked=1).rows
        except RefreshError:
            return None

    def checked(self, status: SpaceStatus, key: int) -> CheckedSpace:
        """Return the answers.

        Args:
            status: the space after the refresh.
            key: number of its server and key.
        """
        view = view_of(self._space, status, self._settings)
        return CheckedSpace(
            space=self._space,
            status=status,
            key=key,
            key_account=account_of(self._client.key.current()),
            requests=self._first.requests if self._first else None,
            series=sum(1 for family in SPACE_FAMILIES for _ in family.samples(view)),
            rows=self._tally.rows if self._tally else (),
            registries=self._registries,
            own_entry=self._own_entry,
            unlisted=self._unlisted,
            unknown=self._unknown,
        )
