"""Key for the API: fixed, or in a file that is read again when it changes."""

import re
import threading
from pathlib import Path
from typing import Protocol

import structlog

from exporter.files import read_file
from exporter.log import LoggedStates

_log = structlog.get_logger()

_KEY_PARTS = 3
# Anything else is refused by http.client, whose error message shows the whole header.
_FIT_FOR_HEADER = re.compile(r"[\x21-\x7e]+")


class KeySource(Protocol):
    """Source of the key.

    Attributes:
        usable: whether the key could be used when it was last read.
    """

    usable: bool

    def current(self) -> str:
        """Return the key to send now."""
        ...

    def renew(self, refused: str) -> bool:
        """Look for another key after one was refused, and return whether there is one."""
        ...


class FixedKey:
    """A key that does not change.

    Attributes:
        usable: always true.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self.usable = True

    def __repr__(self) -> str:
        return "FixedKey(…)"

    def current(self) -> str:
        """Return the key."""
        return self._key

    def renew(self, refused: str) -> bool:
        """Return whether another key was refused than this one."""
        return self._key != refused


class KeyFile:
    """A key in a file, read again when the file changes; while the file cannot be used, the last good key stays.

    Attributes:
        usable: whether the file could be used when it was last read.
    """

    def __init__(self, path: Path) -> None:
        """Read the key.

        Raises:
            OSError: the file cannot be read.
            ValueError: it holds nothing that can be sent as a key.
        """
        self._path = path
        self._lock = threading.Lock()
        # Before the read: a change between the two is then seen as one.
        self._seen = _fingerprint(path)
        self._key = _read(path)
        self.usable = True
        self._logged = LoggedStates()
        self._logged.is_new(path, "usable", self.usable)

    def __repr__(self) -> str:
        return f"KeyFile({str(self._path)!r})"

    def current(self) -> str:
        """Return the key; reads the file again if it changed."""
        with self._lock:
            fingerprint = _fingerprint(self._path)
            # Kubernetes swaps a symlink, so the path may lead to another file with the same time.
            if fingerprint != self._seen:
                self._seen = fingerprint
                self._reread()
            return self._key

    def renew(self, refused: str) -> bool:
        """Read the file again even if it seems unchanged, and return whether it holds another key."""
        # Even if it seems unchanged: the clock of a network file system may be coarse.
        with self._lock:
            self._reread()
            return self._key != refused

    def _reread(self) -> None:
        problem = ""
        try:
            self._key = _read(self._path)
        except (OSError, ValueError) as error:
            problem = (error.strerror if isinstance(error, OSError) else str(error)) or "unknown"
        self.usable = not problem
        if self._logged.is_new(self._path, "usable", self.usable):
            if problem:
                _log.warning("key file cannot be used, keeping the last key", file=str(self._path), problem=problem)
            else:
                _log.info("key file can be used again", file=str(self._path))


def _fingerprint(path: Path) -> tuple[int, ...] | None:
    """Return what changes when the file does, through any symlinks; None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


def _read(path: Path) -> str:
    key = read_file(path).decode(errors="replace").strip()
    if not key:
        raise ValueError("it is empty")
    if not _FIT_FOR_HEADER.fullmatch(key):
        raise ValueError("it holds characters that no key has")
    return key


def account_of(key: str) -> str:
    """Return the account that a key `pat.<account>.<id>.<secret>` or `sat.…` names; empty for other forms."""
    kind, *parts = key.split(".")
    return parts[0] if kind in {"pat", "sat"} and len(parts) == _KEY_PARTS else ""
