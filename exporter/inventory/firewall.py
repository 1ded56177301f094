"""Firewall modes of registries, as they are configured: one request for each, those asked longest ago first."""

from collections.abc import Callable, Mapping
from math import inf
from typing import NamedTuple

from exporter.harness.errors import (
    BadJsonError,
    BadShapeError,
    ClientError,
    ForbiddenError,
    NotFoundError,
    RefreshError,
    TooLargeError,
)
from exporter.harness.registries import RegistryConfiguration, decode_firewall_mode
from exporter.inventory.registries import Place, Registries
from exporter.inventory.sources import AskPage
from exporter.inventory.traits import NO_FIREWALL
from exporter.labels import Label, clean

_UNKNOWN = (BadJsonError, BadShapeError, ClientError, ForbiddenError, NotFoundError, TooLargeError)
"""Errors that mean that the server does not tell the firewall mode of a registry."""

_MOST_FAILURES = 3  # in a row, after which the server is taken to fail for all


class FirewallMode(NamedTuple):
    """Firewall mode of a registry.

    Attributes:
        mode: as a label value; None if it could not be read.
        asked: when it was asked for, monotonic clock.
    """

    mode: str | None
    asked: float


FirewallModes = Mapping[Place, FirewallMode]
"""Firewall modes by the place of the registry."""


def read_firewall_modes(
    ask: AskPage,
    registries: Registries,
    last: FirewallModes,
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
        last: what was returned last.
        now: the monotonic clock.
        fresh_for: seconds after which a mode is asked for again.
        most: number of requests at most.
        label: makes a label value of a text of the API.

    Raises:
        RefreshError: none of them could be asked for.
    """
    upstream = dict(registries.upstream())
    modes = {place: last[place] for place in upstream if place in last}
    begun = now()

    def asked(place: Place) -> float:
        return modes[place].asked if place in modes else -inf

    error: RefreshError | None = None
    answered = failed_in_a_row = 0
    for place in sorted((place for place in upstream if asked(place) <= begun - fresh_for), key=asked)[:most]:
        # One that fails is asked again after all others.
        mode = modes[place].mode if place in modes else None
        try:
            mode = _mode(ask, upstream[place], label)
            answered, failed_in_a_row = answered + 1, 0
        except RefreshError as failure:
            error, failed_in_a_row = error or failure, failed_in_a_row + 1
        modes[place] = FirewallMode(mode, now())
        if failed_in_a_row == _MOST_FAILURES:
            break
    if error and not answered:
        raise error
    return modes


def _mode(ask: AskPage, configuration: RegistryConfiguration, label: Label) -> str | None:
    """Return a firewall mode; None if the server does not tell that of this registry."""
    try:
        return label(decode_firewall_mode(ask(configuration, 0, 1), label) or NO_FIREWALL)
    except _UNKNOWN:
        return None
