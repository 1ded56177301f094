"""Basic authentication against bcrypt hashes."""

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping
from functools import partial

import bcrypt
from cachetools import LRUCache
from pydantic import SecretStr

from exporter.workers import Workers

LONGEST_PASSWORD = 72
"""Bytes of a password that bcrypt uses."""

_REMEMBERED = 100
_WAITING = 32
_DUMMY = "." * 53


class TooManyLoginsError(Exception):
    """Too many hashes are waiting to be computed."""


class Logins:
    """Checks of user names and passwords.

    One hash is computed at a time, on a separate thread. The latest results are cached by a keyed digest of user, hash
    and password, never by the password itself; successes and failures separately, so that guesses evict no user.
    """

    def __init__(self) -> None:
        self._workers = Workers(1, "bcrypt")
        self._digest_key = secrets.token_bytes(32)
        self._results: dict[bool, LRUCache[bytes, bool]] = {good: LRUCache(_REMEMBERED) for good in (True, False)}
        self._waiting: dict[bytes, asyncio.Future[bool]] = {}

    async def allow(self, users: Mapping[str, SecretStr], authorization: bytes) -> bool:
        """Return whether the credentials of a request are those of a user. Only for the thread of the event loop.

        Args:
            users: the bcrypt hash of each user's password.
            authorization: the request's header.

        Raises:
            TooManyLoginsError: too many others are waiting.
        """
        credentials = _credentials(authorization)
        if credentials is None:
            return False
        user, password = credentials
        known = user in users
        # An unknown user takes as long as a known one, so that the time does not reveal who exists.
        hashed = users[user].get_secret_value() if known else _dummy(users)
        key = self._key(user, hashed, password)
        for good, results in self._results.items():
            if key in results:
                results[key] = good
                return good and known
        # Others may wait for the same check: a client that leaves must not cancel it.
        return await asyncio.shield(self._check(key, hashed, password)) and known

    def _check(self, key: bytes, hashed: str, password: bytes) -> asyncio.Future[bool]:
        """Start to compute a hash, unless it is being computed: scrapes with the same password share it."""
        if key not in self._waiting:
            if len(self._waiting) >= _WAITING:
                raise TooManyLoginsError
            check = self._workers.submit(bcrypt.checkpw, password[:LONGEST_PASSWORD], hashed.encode())
            self._waiting[key] = asyncio.wrap_future(check)
            self._waiting[key].add_done_callback(partial(self._remember, key))
        return self._waiting[key]

    def _remember(self, key: bytes, check: asyncio.Future[bool]) -> None:
        del self._waiting[key]
        # An error goes to those who wait for the check, and is not cached.
        if not check.cancelled() and check.exception() is None:
            self._results[check.result()][key] = check.result()

    def _key(self, user: str, hashed: str, password: bytes) -> bytes:
        parts = (
            hashlib.blake2b(part, key=self._digest_key).digest() for part in (user.encode(), hashed.encode(), password)
        )
        return b"".join(parts)


def _credentials(authorization: bytes) -> tuple[str, bytes] | None:
    scheme, _, encoded = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def _dummy(users: Mapping[str, SecretStr]) -> str:
    """Return a hash that matches no password, with the highest cost of all users."""
    cost = max(hashed.get_secret_value().split("$")[2] for hashed in users.values())
    return f"$2b${cost}${_DUMMY}"
