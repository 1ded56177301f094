"""Page size of a space: fewer and larger pages where the server's answers show that it gives them."""

import math

from exporter.clock import Clock
from exporter.harness.client import SAFE_PAGE_SIZE as SAFE
from exporter.harness.errors import (
    AuthError,
    DeadlineError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    RefreshError,
)

_LARGE = 1_000
_FEW = 500  # rows that are not worth larger pages
_DAY = 86_400.0
_OTHER_CAUSES = (AuthError, DeadlineError, ForbiddenError, NotFoundError, RateLimitedError)


class PageSize:
    """Rows to ask for per page of one space; after any fault of larger pages, `SAFE` ones for a day."""

    def __init__(self, configured: int | None, clock: Clock) -> None:
        """Start without evidence.

        Args:
            configured: rows per page; None for what the answers show.
            clock: source of time.
        """
        self._configured = configured
        self._clock = clock
        self._proven = SAFE
        self._most: float = math.inf
        self._limited_until = -math.inf

    def first(self) -> int:
        """Return the size to begin a walk with."""
        return self._proven if self._configured is None else int(min(self._configured, self._limit))

    def larger(self, size: int, reported: int | None) -> int | None:
        """Return the size to try after page 0; None to go on with the one of page 0.

        Args:
            size: rows per page of page 0.
            reported: rows of the whole listing by the API's count; None if it gave none.
        """
        useless = self._configured or size >= _LARGE or (reported or 0) <= _FEW or self._limit < _LARGE
        return None if useless else _LARGE

    def accept(self, size: int) -> None:
        """Begin the next walk with a size that the server gave."""
        self._proven = size

    def limit(self, most: int = SAFE) -> None:
        """Ask for no more rows than these for a day, `SAFE` ones at least: larger pages failed, and these were read."""
        self._most = self._proven = max(most, SAFE)
        self._limited_until = self._clock.monotonic() + _DAY

    @property
    def _limit(self) -> float:
        return self._most if self._clock.monotonic() < self._limited_until else math.inf


def is_to_blame(size: int, error: RefreshError) -> bool:
    """Return whether a fault may be due to a size above `SAFE`."""
    return size > SAFE and not isinstance(error, _OTHER_CAUSES)
