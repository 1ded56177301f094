"""Firewall modes of registries, as they are configured: one request for each, those asked longest ago first."""

from collections.abc import Callable, Mapping
from math import inf
from typing import NamedTuple

from exporter.harness.errors import ClientError, ForbiddenError, NotFoundError, RefreshError
from exporter.harness.registries import RegistryConfiguration, decode_firewall_mode
from exporter.inventory.registries import Place, Registries
from exporter.inventory.sources import AskPage
from exporter.inventory.traits import NO_FIREWALL
from exporter.labels import Label, clean

_UNKNOWN = (ClientError, ForbiddenError, NotFoundError)
"""Errors that mean that the server does not tell the firewall mode of a registry."""

_MOST_FAILURES = 3  # in a row, after which the server is taken to fail for all


class FirewallMode(NamedTuple):
    """Firewall mode of a registry.

    Attributes:
        mode: as a label value; None if it could not be read.
        asked: when it was asked for, monotonic clock.
        failed: it could not be asked for then, so that it is asked for again after all others.
    """

    mode: str | None
    asked: float
    failed: bool = False


FirewallModes = Mapping[Place, FirewallMode]
"""Firewall modes by the place of the registry."""


def read_firewall_modes(
    ask: AskPage,
    registries: Registries,
    known: dict[Place, FirewallMode],
    now: Callable[[], float],
    *,
    fresh_for: float,
    most: int,
    label: Label = clean,
) -> FirewallModes:
    """Return the firewall modes of UPSTREAM registries, after some requests.

    Args:
        ask: asks for a page.
        registries: the registries.
        known: what earlier reads found; updated, also if this one fails, so that the next one asks for others first.
        now: the monotonic clock.
        fresh_for: seconds after which a mode is asked for again.
        most: number of requests at most.
        label: makes a label value of a text of the API.

    Raises:
        RefreshError: none of those that were asked for could be read.
    """
    upstream = dict(registries.upstream())
    for gone in known.keys() - upstream:
        del known[gone]
    begun = now()

    def asked(place: Place) -> float:
        return known[place].asked if place in known else -inf

    def is_due(place: Place) -> bool:
        return asked(place) <= begun - fresh_for or known[place].failed

    error: RefreshError | None = None
    answered, failed_in_a_row = False, 0
    for place in sorted(filter(is_due, upstream), key=asked)[:most]:
        try:
            known[place] = FirewallMode(_mode(ask, upstream[place], label), now())
            answered, failed_in_a_row = True, 0
        except RefreshError as failure:
            known[place] = FirewallMode(known[place].mode if place in known else None, now(), failed=True)
            error, failed_in_a_row = error or failure, failed_in_a_row + 1
        if failed_in_a_row == _MOST_FAILURES:
            break
    if error and not answered:
        raise error
    return dict(known)


def _mode(ask: AskPage, configuration: RegistryConfiguration, label: Label) -> str | None:
    """Return a firewall mode; None if the server does not tell that of this registry."""
    try:
        return label(decode_firewall_mode(ask(configuration, 0, 1), label) or NO_FIREWALL)
    except _UNKNOWN:
        return None
