"""What is made of files, made again when their content changes."""

from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

from exporter.settings import SettingsError

_log = structlog.get_logger()

S = TypeVar("S")
T = TypeVar("T")


class Watched(Generic[S, T]):
    """Makes a value of what files hold, again whenever that differs, and tells each change in the log once.

    What is compared is the content: two changes within one tick of a file's clock are not missed.
    """

    def __init__(self, make: Callable[[S], T], **told: str) -> None:
        """Make nothing yet.

        Args:
            make: makes the value of a content; raises `SettingsError` where it cannot.
            told: what each line of the log carries.
        """
        self._make = make
        self._log = _log.bind(**told)
        self._seen: S | None = None
        self._outcome: tuple[T | None, tuple[str, ...]] = (None, ())
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
            value = self._current(read())
        except SettingsError as error:
            self._tell(error.faults)
            raise
        self._tell(())
        return value

    def _current(self, content: S) -> T:
        if content != self._seen:
            changed = self._seen is not None
            self._outcome = self._made(content)
            # Only now: after a fault that nobody foresaw, the older value would be taken for that of this content.
            self._seen = content
            if changed and not self._outcome[1]:
                self._log.info("read again")
        value, faults = self._outcome
        if value is None:
            raise SettingsError(faults)
        return value

    def _made(self, content: S) -> tuple[T | None, tuple[str, ...]]:
        try:
            return self._make(content), ()
        except SettingsError as error:
            return None, error.faults

    def _tell(self, faults: tuple[str, ...]) -> None:
        # What is wrong from the beginning ends the process, which tells it itself.
        if self._told is not None and faults != self._told:
            if faults:
                self._log.error("cannot be used, requests are refused until it can", problem="; ".join(faults))
            else:
                self._log.info("can be used again")
        self._told = faults
