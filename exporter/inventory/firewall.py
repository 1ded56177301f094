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
    ServerError,
    TooLargeError,
)
from exporter.harness.registries import RegistryConfiguration, decode_firewall_mode
from exporter.inventory.registries import Place, Registries
from exporter.inventory.sources import AskPage
from exporter.inventory.traits import NO_FIREWALL
from exporter.labels import Label, clean

# The next registry may have a better answer; but not if there was none, or the key was refused.
_OF_ONE_REGISTRY = (
    BadJsonError,
    BadShapeError,
    ClientError,
    ForbiddenError,
    NotFoundError,
    ServerError,
    TooLargeError,
)


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
        RefreshError: the server does not answer, or refuses the key.
    """
    upstream = dict(registries.upstream())
    modes = {place: last[place] for place in upstream if place in last}
    begun = now()

    def asked(place: Place) -> float:
        return modes[place].asked if place in modes else -inf

    for place in sorted((place for place in upstream if asked(place) <= begun - fresh_for), key=asked)[:most]:
        modes[place] = FirewallMode(_mode(ask, upstream[place], label), now())
    return modes


def _mode(ask: AskPage, configuration: RegistryConfiguration, label: Label) -> str | None:
    """Return a firewall mode; None if the server does not tell that of this registry."""
    try:
        return label(decode_firewall_mode(ask(configuration, 0, 1), label) or NO_FIREWALL)
    except _OF_ONE_REGISTRY:
        return None
