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
"""Bytes that bcrypt reads of a password."""

_REMEMBERED = 100
_WAITING = 32
_DUMMY = "." * 53


class TooManyLoginsError(Exception):
    """So many hashes wait to be computed that another would wait too long."""


class Logins:
    """Decides who may come in.

    One hash is computed at a time, on a thread of its own. The latest results are remembered: by a keyed digest of
    user, hash and password, never by the password; good ones apart from bad ones, so that guesses push out no user.
    """

    def __init__(self) -> None:
        self._workers = Workers(1, "bcrypt")
        self._digest_key = secrets.token_bytes(32)
        self._results: dict[bool, LRUCache[bytes, bool]] = {good: LRUCache(_REMEMBERED) for good in (True, False)}
        self._waiting: dict[bytes, asyncio.Future[bool]] = {}

    async def allow(self, users: Mapping[str, SecretStr], authorization: bytes) -> bool:
        """Tell whether a request's credentials are those of a user; only for the event loop's own thread.

        Args:
            users: the bcrypt hash of each user's password.
            authorization: the request's header.

        Raises:
            TooManyLoginsError: too many others wait already.
        """
        credentials = _credentials(authorization)
        if credentials is None:
            return False
        user, password = credentials
        known = user in users
        # Somebody who is no user takes as long as one, so that time does not tell who is.
        hashed = users[user].get_secret_value() if known else _dummy(users)
        key = self._key(user, hashed, password)
        for good, results in self._results.items():
            if key in results:
                results[key] = good
                return good and known
        # One who leaves does not cancel what others may wait for.
        return await asyncio.shield(self._check(key, hashed, password)) and known

    def _check(self, key: bytes, hashed: str, password: bytes) -> asyncio.Future[bool]:
        """Begin to compute a hash, unless that is under way: many scrapes with one password wait for one hash."""
        if key not in self._waiting:
            if len(self._waiting) >= _WAITING:
                raise TooManyLoginsError
            check = self._workers.submit(bcrypt.checkpw, password[:LONGEST_PASSWORD], hashed.encode())
            self._waiting[key] = asyncio.wrap_future(check)
            self._waiting[key].add_done_callback(partial(self._remember, key))
        return self._waiting[key]

    def _remember(self, key: bytes, check: asyncio.Future[bool]) -> None:
        del self._waiting[key]
        # One that failed is told to who waits for it, and remembered as nothing.
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
    """Return a hash that no password has, as costly as the costliest."""
    cost = max(hashed.get_secret_value().split("$")[2] for hashed in users.values())
    return f"$2b${cost}${_DUMMY}"
