"""Scopes of Harness, which the exporter calls spaces: how they are written, their parts, and the shard of each."""

import re
from collections.abc import Sequence
from hashlib import sha256

DESCENDANTS = "/**"
"""End of an entry that stands for a scope and all scopes below it."""

# Identifiers of accounts are URL-safe base64, so one in thirty begins with - or _.
_SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9_.$-]*"
_SCOPE = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT}){{0,2}}")


def parse_scope(text: str) -> str:
    """Return `account`, `account/org` or `account/org/project`, without the `/+` that may follow.

    Raises:
        ValueError: the text is no scope.
    """
    scope = text.strip().removesuffix("/+")
    if not _SCOPE.fullmatch(scope):
        raise ValueError(
            "must be account, account/org or account/org/project, each of letters, digits, _ - and (inside) . $; /** at"
            " the end for all spaces below"
        )
    return scope


def parse_entry(text: str) -> str:
    """Return a scope, with `/**` at the end if that stands there: this scope and all scopes below it.

    Raises:
        ValueError: the text is no scope.
    """
    scope = text.strip().removesuffix(DESCENDANTS)
    return parse_scope(scope) + text.strip()[len(scope) :]


def is_below(scope: str, root: str) -> bool:
    """Return whether a scope is another one, or lies below it; case makes no difference."""
    return f"{scope}/".lower().startswith(f"{root}/".lower())


def parts_of(scope: str) -> tuple[str, str, str]:
    """Return account, organization and project of a scope; empty where it has none."""
    account, org, project = (*scope.split("/"), "", "")[:3]
    return account, org, project


def first_of(scopes: Sequence[str], most: int = 3) -> str:
    """Return the first of some scopes, and how many more there are."""
    more = len(scopes) - most
    return ", ".join(scopes[:most]) + (f" and {more:,} more" if more > 0 else "")


def without_scope(text: str, scope: str) -> str:
    """Return a text with dots in place of a scope, so that texts about different scopes are equal."""
    return re.sub(rf"(?<![\w/.$-]){re.escape(scope)}(?![\w/$-])", "…", text)


def shard_of(scope: str, shards: int) -> int:
    """Return the one shard, counted from 0, that serves a scope.

    Rendezvous hashing: the shard whose hash together with the scope is the highest. An additional shard takes over its
    even share of the scopes, and no scope moves between the others.
    """
    # Not a hash modulo shards: one more shard would move almost every scope.
    return max(range(shards), key=lambda shard: sha256(f"{shard}/{scope}".encode()).digest())
