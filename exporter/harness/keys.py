"""The key for the API: a text, or a file that is read again when it changes."""

import re
import threading
from pathlib import Path
from typing import Protocol

import structlog

_log = structlog.get_logger()

_KEY_PARTS = 3
_FIT_FOR_HEADER = re.compile(r"[\x21-\x7e]+")


class KeySource(Protocol):
    """Where the key comes from.

    Attributes:
        usable: whether it could be used when it was last read.
    """

    usable: bool

    def current(self) -> str:
        """Return the key to send now."""
        ...

    def renew(self, refused: str) -> bool:
        """Look for another key after one was refused, and return whether there is one."""
        ...


class FixedKey:
    """A key that stays.

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
        """Return whether it is another key that was refused: this one stays."""
        return self._key != refused


class KeyFile:
    """A key in a file, read again whenever the file changes; a file that cannot be used leaves the last good key.

    Attributes:
        usable: whether the file could be used when it was last read.
    """

    def __init__(self, path: Path) -> None:
        """Read the key for the first time.

        Raises:
            OSError: the file cannot be read.
            ValueError: it holds nothing that can be sent as a key.
        """
        self._path = path
        self._lock = threading.Lock()
        self._seen = _fingerprint(path)
        self._key = _read(path)
        self.usable = True

    def __repr__(self) -> str:
        return f"KeyFile({str(self._path)!r})"

    def current(self) -> str:
        """Return the key, after reading the file again if it changed."""
        with self._lock:
            fingerprint = _fingerprint(self._path)
            if fingerprint != self._seen:
                self._seen = fingerprint
                self._read_again()
            return self._key

    def renew(self, refused: str) -> bool:
        """Read the file again whether it seems changed or not, and return whether it holds another key."""
        with self._lock:
            self._read_again()
            return self._key != refused

    def _read_again(self) -> None:
        try:
            self._key = _read(self._path)
        except (OSError, ValueError) as error:
            if self.usable:
                problem = error.strerror if isinstance(error, OSError) else str(error)
                _log.warning("key file cannot be used, the last good key stays", file=str(self._path), problem=problem)
            self.usable = False
        else:
            if not self.usable:
                _log.info("key file can be used again", file=str(self._path))
            self.usable = True


def _fingerprint(path: Path) -> tuple[int, ...] | None:
    """Return what changes when the file does, through any symlinks; None where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


def _read(path: Path) -> str:
    key = path.read_text(encoding="utf-8", errors="replace").strip()
    if not key:
        raise ValueError("it is empty")
    if not _FIT_FOR_HEADER.fullmatch(key):
        raise ValueError("it holds characters that no key has")
    return key


def account_of(key: str) -> str:
    """Return the account that a key names, empty where its form is another; from `pat.<account>.<id>.<secret>`."""
    kind, *parts = key.split(".")
    return parts[0] if kind in {"pat", "sat"} and len(parts) == _KEY_PARTS else ""
