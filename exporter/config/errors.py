"""Error messages about names that no setting has."""

import re
from collections.abc import Callable, Collection
from difflib import get_close_matches

ENV_PREFIX = "HAR_EXPORTER_"
"""An environment variable is this and the name of its setting in capitals."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,60}")


def unknown_name(name: str, known: Collection[str], written: Callable[[str], str] = str) -> str:
    """Return the error for an unknown name, with the nearest known one.

    Args:
        name: the unknown name, as its source writes it.
        known: the names of settings.
        written: returns the name of a setting as the source writes it.
    """
    plain = name.lower().replace("-", "_").removeprefix(ENV_PREFIX.lower())
    near = get_close_matches(plain, known, n=1)
    return f"is unknown; did you mean {written(near[0])}?" if near else "is unknown; --help lists every setting"


def printable_name(name: str) -> str:
    """Return a name that a user wrote, unless it is unlike a name: it may be a secret in the wrong place."""
    return name if _PLAIN.fullmatch(name) else "(no name of a setting)"
