"""Content of files, and the value made from it, which is made again when the content changes."""

from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from typing import Generic, TypeVar

import structlog

from exporter.log import LoggedStates
from exporter.texts import SettingsError
from exporter.workers import Workers

_PATIENCE = 0.25
_FIRST_PATIENCE = 10.0

S = TypeVar("S")
T = TypeVar("T")
_Outcome = tuple[T | None, tuple[str, ...]]
"""Outcome of a call that may raise `SettingsError`: a value and no faults, or None and the faults."""


class _Reader(Generic[S]):
    """Reads files on a thread of its own, as a hanging file system would block whoever asks.

    A change is seen by the next call, which waits for the read for a moment at most. While a read hangs, no other is
    started, and every call returns the last outcome immediately, good or bad.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._log = structlog.get_logger(file=file)
        self._workers = Workers(1, "files")
        self._reading: Future[_Outcome[S]] | None = None
        self._last: _Outcome[S] | None = None
        self._logged = LoggedStates()
        self._logged.is_new(file, "hangs", state=False)

    def read(self, read: Callable[[], S]) -> S:
        """Return the content of the files, now or when they were last read.

        Raises:
            SettingsError: they could not be read.
        """
        if self._reading is None or self._reading.done():
            self._reading = self._workers.submit(partial(_outcome, read))
            wait([self._reading], timeout=_PATIENCE if self._last else _FIRST_PATIENCE)
        hangs = not self._reading.done()
        if self._logged.is_new(self._file, "hangs", hangs):
            if hangs:
                self._log.warning("the file system does not respond, keeping what was read last")
            else:
                self._log.info("the file system responds again")
        if not hangs:
            self._last = self._reading.result()
        if self._last is None:
            raise SettingsError([f"{self._file}: its file system does not respond; use a file on one that does"])
        return _value(self._last)


class FileContent(Generic[S, T]):
    """Value made from the content of files, made again when the content differs; each change is logged once.

    The content is compared, not the time of the file: two changes within one tick of the file's clock are seen too.
    """

    def __init__(self, make: Callable[[S], T], *, file: str, **fields: str) -> None:
        """Make nothing yet.

        Args:
            make: makes the value from a content; raises `SettingsError` if it is invalid.
            file: the file that is read, or that names those that are.
            fields: further fields of each log line.
        """
        self._make = make
        self._file = file
        self._log = structlog.get_logger(file=file, **fields)
        self._reader = _Reader[S](file)
        self._seen: S | None = None
        self._made: _Outcome[T] = (None, ())
        self._logged = LoggedStates()
        self._used = False

    def __repr__(self) -> str:
        return "FileContent(…)"

    def current(self, read: Callable[[], S]) -> T:
        """Return the value for the current content of the files.

        Args:
            read: reads the files; raises `SettingsError` if it cannot.

        Raises:
            SettingsError: the files cannot be read or are invalid; no older value takes their place.
        """
        try:
            value = self._current(self._reader.read(read))
        except SettingsError as error:
            self._log_faults(error.faults)
            raise
        self._log_faults(())
        return value

    def _current(self, content: S) -> T:
        if content != self._seen:
            changed = self._seen is not None
            self._made = _outcome(partial(self._make, content))
            # Only now: after an unexpected exception the older value must not pass for that of this content.
            self._seen = content
            if changed and not self._made[1]:
                self._log.info("reloaded")
        return _value(self._made)

    def _log_faults(self, faults: tuple[str, ...]) -> None:
        # A file that is invalid at the start ends the process, which prints the faults itself.
        if self._logged.is_new(self._file, "faults", faults) and self._used:
            if faults:
                self._log.error("invalid, refusing requests until it is fixed", problem="; ".join(faults))
            else:
                self._log.info("valid again")
        self._used = True


def _outcome(call: Callable[[], T]) -> _Outcome[T]:
    try:
        return call(), ()
    except SettingsError as error:
        return None, error.faults


def _value(outcome: _Outcome[T]) -> T:
    value, faults = outcome
    if value is None:
        raise SettingsError(faults)
    return value
