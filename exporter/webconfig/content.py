"""What is made of files, made again when their content changes."""

from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from typing import Generic, TypeVar

import structlog

from exporter.config.settings import SettingsError
from exporter.workers import Workers

_PATIENCE = 0.25
_FIRST_PATIENCE = 10.0

S = TypeVar("S")
T = TypeVar("T")
_Outcome = tuple[T | None, tuple[str, ...]]
"""What came of something that may raise `SettingsError`: a value and no faults, or None and the faults."""


class _Reader(Generic[S]):
    """Reads files on a thread of its own, since whoever asks may hold up all others while a file system hangs.

    A change is seen by the next who asks, who waits for the read a moment at most. While a read hangs there is no
    other, and everybody gets at once what the last one gave, good or bad.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._log = structlog.get_logger(file=file)
        self._workers = Workers(1, "files")
        self._reading: Future[_Outcome[S]] | None = None
        self._last: _Outcome[S] | None = None
        self._hangs = False

    def read(self, read: Callable[[], S]) -> S:
        """Return what the files hold, now or when they could be read last.

        Raises:
            SettingsError: they could not be read.
        """
        if self._reading is None or self._reading.done():
            self._reading = self._workers.submit(partial(_outcome, read))
            wait([self._reading], timeout=_PATIENCE if self._last else _FIRST_PATIENCE)
        self._note(hangs=not self._reading.done())
        if not self._hangs:
            self._last = self._reading.result()
        if self._last is None:
            raise SettingsError([f"{self._file}: its file system does not answer; accepted is a file on one that does"])
        return _value(self._last)

    def _note(self, *, hangs: bool) -> None:
        if hangs and not self._hangs:
            self._log.warning("the file system does not answer, what was read last stays")
        elif self._hangs and not hangs:
            self._log.info("the file system answers again")
        self._hangs = hangs


class Watched(Generic[S, T]):
    """Makes a value of what files hold, again whenever that differs, and tells each change in the log once.

    What is compared is the content: two changes within one tick of a file's clock are not missed.
    """

    def __init__(self, make: Callable[[S], T], *, file: str, **told: str) -> None:
        """Make nothing yet.

        Args:
            make: makes the value of a content; raises `SettingsError` where it cannot.
            file: the file that is read, or that names those that are.
            told: what each line of the log carries beside it.
        """
        self._make = make
        self._log = structlog.get_logger(file=file, **told)
        self._reader = _Reader[S](file)
        self._seen: S | None = None
        self._made: _Outcome[T] = (None, ())
        self._told: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        return "Watched(…)"

    def current(self, read: Callable[[], S]) -> T:
        """Return the value for what the files hold now.

        Args:
            read: reads the files; raises `SettingsError` where it cannot.

        Raises:
            SettingsError: the files cannot be read or used; nothing older is returned in their place.
        """
        try:
            value = self._current(self._reader.read(read))
        except SettingsError as error:
            self._tell(error.faults)
            raise
        self._tell(())
        return value

    def _current(self, content: S) -> T:
        if content != self._seen:
            changed = self._seen is not None
            self._made = _outcome(partial(self._make, content))
            # Only now: after a fault that nobody foresaw, the older value would be taken for that of this content.
            self._seen = content
            if changed and not self._made[1]:
                self._log.info("read again")
        return _value(self._made)

    def _tell(self, faults: tuple[str, ...]) -> None:
        # What is wrong from the beginning ends the process, which tells it itself.
        if self._told is not None and faults != self._told:
            if faults:
                self._log.error("cannot be used, requests are refused until it can", problem="; ".join(faults))
            else:
                self._log.info("can be used again")
        self._told = faults


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
