"""Estate that a registry lists: artifacts, registries and violations of the firewall at any time."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from exporter.demo.artifacts import Row, listing
from exporter.demo.registries import registries
from exporter.demo.violations import violations


class Estate(NamedTuple):
    """Functions that return rows at a time, in seconds since the Unix epoch.

    Attributes:
        artifacts: returns those of one space; None for a space that does not exist.
        registries: returns those of all spaces, each with its `path`. `config` is served with a single registry only.
        violations: returns those of all spaces, each with the `path` of its registry, which is not served.
    """

    artifacts: Callable[[str, float], Sequence[Row] | None]
    registries: Callable[[float], Sequence[Row]]
    violations: Callable[[float], Sequence[Row]]


DEMO = Estate(listing, registries, violations)
"""The made-up estate."""
