"""Owners of spaces: who answers for a space, by patterns of spaces."""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from exporter.config.readers import read_term
from exporter.texts import quoted

_PATTERN = re.compile(r"[A-Za-z0-9_.$*-]+(?:/[A-Za-z0-9_.$*-]+){0,2}")
_ANY = "*"


Owners = tuple[tuple[str, str], ...]
"""Patterns of spaces in lower case, in which `*` stands for any characters, with their owners.

The longest come first, and of equally long ones those without `*`.
"""


def owner_of(scope: str, owners: Owners) -> str:
    """Return the owner of a space; empty if it has none."""
    # Harness does not distinguish scopes by case.
    return next((owner for pattern, owner in owners if fnmatchcase(scope.lower(), pattern)), "")


def read_owners(value: object) -> Owners:
    """Return the owners: one for every space, or a mapping of patterns to owners."""
    by_pattern = value if isinstance(value, Mapping) else {_ANY: value} if value != "" else {}
    owners = {_pattern(pattern): read_term(owner) for pattern, owner in by_pattern.items()}
    return tuple(sorted(owners.items(), key=lambda item: (-len(item[0]), _ANY in item[0], item[0])))


def _pattern(text: object) -> str:
    pattern = str(text).strip()
    if not _PATTERN.fullmatch(pattern):
        raise ValueError(f"must be a text, or a mapping of spaces, such as acct/org/*, to texts: {quoted(pattern)}")
    return pattern.lower()
