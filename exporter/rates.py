"""Limits of a rate: so many requests in a time, and a bucket of tokens."""

from typing import NamedTuple

_TENTH = 10


class Rate(NamedTuple):
    """At most so many requests in any window of so many seconds."""

    requests: int
    seconds: float

    def least_seconds(self, requests: int) -> float:
        """Return the seconds until the last of so many requests may be sent."""
        return (max(requests, 1) - 1) // self.requests * self.seconds

    def tenth(self) -> "Rate":
        """Return a rate of a tenth, in whole requests."""
        if self.requests < _TENTH:
            return Rate(1, self.seconds * _TENTH / self.requests)
        return Rate(self.requests // _TENTH, self.seconds)


class TokenBucket:
    """Tokens that are added and taken, up to a maximum; not safe to share between threads."""

    def __init__(self, most: float, tokens: float) -> None:
        """Fill the bucket.

        Args:
            most: tokens that it holds at most.
            tokens: tokens that it holds now.
        """
        self._most = most
        self._tokens = tokens

    def add(self, tokens: float) -> None:
        """Add tokens; those that do not fit are lost."""
        self._tokens = min(self._most, self._tokens + tokens)

    # Tokens may be fractions: a retry budget earns less than one per request.
    def take(self) -> bool:
        """Take one token, and return whether there was one."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
