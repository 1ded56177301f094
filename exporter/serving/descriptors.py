"""Limit of open files and sockets."""

import contextlib
import resource


def raise_limit() -> int:
    """Raise the limit as far as the system allows, and return it."""
    # Most systems start programs with 1,024, because select() fails above that. This program does not use select(), and
    # would fail to accept connections before its own limit is reached. Go does the same: https://go.dev/issue/46279
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS allows less than it reports
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft
