"""Content of files, and the value made from it, which is made again when the content changes."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

import structlog

from exporter.clock import Clock
from exporter.log import LoggedStates
from exporter.texts import SettingsError
from exporter.workers import repeat

_INTERVAL = 1.0

S = TypeVar("S")
T = TypeVar("T")
_Outcome = tuple[T | None, tuple[str, ...]]
"""Outcome of a call that may raise `SettingsError`: a value and no faults, or None and the faults."""


class FileContent(Generic[S, T]):
    """Value made from the content of files; each change is logged once.

    The content is compared, not the time of the file: two changes within one tick of the file's clock are seen too.
    """

    def __init__(self, read: Callable[[], S], make: Callable[[S], T], *, file: str, **fields: str) -> None:
        """Read the files.

        Args:
            read: reads the files; raises `SettingsError` if it cannot.
            make: makes the value from a content; raises `SettingsError` if it is invalid.
            file: the file that is read, or that names those that are.
            fields: further fields of each log line.
        """
        self._read = read
        self._make = make
        self._file = file
        self._log = structlog.get_logger(file=file, **fields)
        self._logged = LoggedStates()
        self._seen: S | None = None
        self._outcome: _Outcome[T] = self._next()
        # A file that is invalid at the start ends the process, which prints the faults itself.
        self._logged.is_new(file, "faults", self._outcome[1])

    def __repr__(self) -> str:
        return "FileContent(…)"

    def current(self) -> T:
        """Return the value of the content at the last look; reads no file.

        Raises:
            SettingsError: the files could not be read or were invalid; no older value takes their place.
        """
        value, faults = self._outcome
        if value is None:
            raise SettingsError(faults)
        return value

    def look(self) -> None:
        """Read the files again, and make the value again if the content differs.

        A bug too is a fault, so that neither an older value is used nor the last look was the last one.
        """
        before = self._seen
        try:
            self._outcome = self._next()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look tries again
            self._seen = None
            self._outcome = None, (f"{self._file}: {type(error).__name__}",)
        faults = self._outcome[1]
        if self._logged.is_new(self._file, "faults", faults):
            if faults:
                self._log.error("invalid, refusing requests until it is fixed", problem="; ".join(faults))
            else:
                self._log.info("valid again")
        elif not faults and self._seen != before:
            self._log.info("reloaded")

    def _next(self) -> _Outcome[T]:
        content, faults = _outcome(self._read)
        if content is None:
            self._seen = None
            return None, faults
        if content == self._seen:
            return self._outcome
        self._seen = content
        return _outcome(partial(self._make, content))


def watch(contents: Sequence[FileContent[Any, Any]], clock: Clock) -> None:
    """Look at files each second, on a thread: a hanging file system blocks nothing but the next look."""

    def look() -> None:
        for content in contents:
            content.look()

    repeat(look, _INTERVAL, clock, name="web-config-watch")


def _outcome(call: Callable[[], T]) -> _Outcome[T]:
    try:
        return call(), ()
    except SettingsError as error:
        return None, error.faults
