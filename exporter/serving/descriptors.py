"""How many files and sockets the process may have open."""

import contextlib
import resource


def raise_limit() -> int:
    """Raise the limit as far as the system lets this process, and return it.

    Programs start with 1,024 at most systems, for the sake of those that call select(), which is lost beyond; this one
    does not, and with so few its own limit of connections would never be reached before accepting fails. Programs in Go
    do the same at their start: https://go.dev/issue/46279
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS allows less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft
