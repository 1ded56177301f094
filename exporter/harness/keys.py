"""Key for the API: fixed, or in a file that is read again when it changes."""

import re
from base64 import b64decode
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Protocol

import structlog

from exporter.files import read_file
from exporter.harness.blot import Blot
from exporter.log import LoggedStates
from exporter.texts import read_key
from exporter.workers import Workers

_log = structlog.get_logger()

_KEY_PARTS = 3
_PATIENCE = 0.1  # seconds; local file systems answer in less than one of a thousand
_REMEMBERED = 4  # keys, so that an answer to a request that was sent before a rotation is covered too


_ODD_LOOKS = (
    (re.compile(r"""^["'`]|["'`]$"""), "it is in quotes"),
    (re.compile(r"\$\{?\w|\{\{|%\w+%"), "it is the name of a variable that nothing replaced"),
    (re.compile(r"<|>|your|change.?me|replace|example|placeholder|x{4}|\*{3}", re.IGNORECASE), "it is a placeholder"),
    (re.compile(r"^(Bearer|x-api-key)\b", re.IGNORECASE), "it has the name of a header before it"),
    (re.compile(r"^[ps]at\."), "parts of it are missing"),
)


class KeySource(Protocol):
    """Source of the key.

    Attributes:
        usable: whether the key could be used when it was last read.
    """

    usable: bool

    def current(self) -> str:
        """Return the key to send now."""
        ...

    def blot(self, text: str) -> str:
        """Return a text of the server without the keys that were sent lately."""
        ...

    def renew(self, refused: str, patience: float) -> bool:
        """Look for another key after one was refused, and return whether there is one.

        Args:
            refused: the key that was refused.
            patience: seconds that this may take.
        """
        ...


class FixedKey:
    """A key that does not change.

    Attributes:
        usable: always true.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._blot = Blot(key)
        self.usable = True

    def __repr__(self) -> str:
        return "FixedKey(…)"

    def current(self) -> str:
        """Return the key."""
        return self._key

    def blot(self, text: str) -> str:
        """Return a text without the key."""
        return self._blot(text)

    def renew(self, refused: str, patience: float) -> bool:  # noqa: ARG002 - takes no time
        """Return whether another key was refused than this one."""
        return self._key != refused


class KeyFile:
    """A key in a file, read again for each request; while the file cannot be used, the last good key stays.

    The file is read on a thread of its own, so that a file system that is slow or hangs delays only a request that
    needs another key.

    Attributes:
        usable: whether the file could be used when it was last read.
    """

    def __init__(self, path: Path, *, patience: float = _PATIENCE) -> None:
        """Read the key.

        Args:
            path: the file.
            patience: seconds that a request waits for the file, unless an earlier one waits already.

        Raises:
            OSError: the file cannot be read.
            ValueError: it holds nothing that can be sent as a key.
        """
        self._path = path
        self._patience = patience
        self._keys: tuple[str, ...] = ()
        self._use(_read(path))
        self.usable = True
        self._workers = Workers(1, "key-file")
        self._reading: Future[None] | None = None
        self._logged = LoggedStates()
        self._logged.is_new(path, "usable", self.usable)

    def __repr__(self) -> str:
        return f"KeyFile({str(self._path)!r})"

    def current(self) -> str:
        """Return the key that the file holds, or the last good one if it takes the file system long to answer."""
        if self._reading is None or self._reading.done():
            wait([self._ask()], self._patience)
        return self._keys[0]

    def blot(self, text: str) -> str:
        """Return a text without the last keys."""
        return self._blot(text)

    def renew(self, refused: str, patience: float) -> bool:
        """Read the file again, and return whether it holds another key."""
        wait([self._ask()], patience)
        return self._keys[0] != refused

    def _ask(self) -> Future[None]:
        """Have the file read; calls that come before that starts share it."""
        # One that has started may have read the file before it changed.
        reading = self._reading
        if reading is None or reading.running() or reading.done():
            self._reading = reading = self._workers.submit(self._read_again)
        return reading

    def _read_again(self) -> None:
        problem = ""
        try:
            self._use(_read(self._path))
        except (OSError, ValueError) as error:
            problem = (error.strerror if isinstance(error, OSError) else str(error)) or "unknown"
        self.usable = not problem
        if self._logged.is_new(self._path, "usable", self.usable):
            if problem:
                _log.warning("key file cannot be used, keeping the last key", file=str(self._path), problem=problem)
            else:
                _log.info("key file can be used again", file=str(self._path))

    def _use(self, key: str) -> None:
        if key not in self._keys[:1]:
            keys = tuple(dict.fromkeys((key, *self._keys)))[:_REMEMBERED]
            # Before the key: a request that is sent with it may be answered immediately.
            self._blot = Blot(*keys)
            self._keys = keys


def _read(path: Path) -> str:
    return read_key(read_file(path).decode(errors="replace"))


def looks_of(key: str, space: str) -> str:
    """Return what is odd about a key that was refused, without showing it; empty if nothing is.

    Args:
        key: the key.
        space: the space that it was sent for.
    """
    account = account_of(key)
    if account:
        other = account != space.partition("/")[0]
        return "the key is one of another account" if other else ""
    found = next((text for pattern, text in _ODD_LOOKS if pattern.search(key)), "it has another form")
    if account_of(_decoded(key)):
        found = "it is still in base64"
    return f"a key looks like pat.<account>.<id>.<secret> or sat.<account>.<id>.<secret>, but {found}"


def _decoded(key: str) -> str:
    try:
        return b64decode(key, validate=True).decode()
    except ValueError:
        return ""


def account_of(key: str) -> str:
    """Return the account that a key `pat.<account>.<id>.<secret>` or `sat.…` names; empty for other forms."""
    kind, *parts = key.split(".")
    return parts[0] if kind in {"pat", "sat"} and len(parts) == _KEY_PARTS else ""
