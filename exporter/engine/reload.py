"""Reload of the settings: on request, and when their file changes."""

import traceback
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress

import structlog

from exporter import log
from exporter.clock import Clock
from exporter.config.settings import Settings
from exporter.config.sources import file_of, load
from exporter.engine.app import App
from exporter.files import read_file
from exporter.log import LoggedStates
from exporter.texts import SettingsError
from exporter.workers import Workers, repeat

_log = structlog.get_logger()

_LOOK_INTERVAL = 5.0

Faults = tuple[str, ...]
"""What is wrong with the settings, one line per fault, never with a secret; empty if they are valid."""


class Source:
    """Source of the settings, to be read as often as needed.

    The content of the file is compared, not its time or the target of a symlink.
    """

    def __init__(self, flags: Mapping[str, str], pinned: Mapping[str, object] | None = None) -> None:
        """Read nothing yet.

        Args:
            flags: the flags, as for `load`.
            pinned: the pinned values, as for `load`.
        """
        self._flags = flags
        self._pinned = pinned
        self._file = file_of(flags)
        self._loaded: bytes | None = None
        self._seen: bytes | None = None

    def load(self) -> Settings:
        """Read the settings.

        Raises:
            SettingsError: they are invalid.
        """
        # Read before the settings, so that a change between the two reads is noticed.
        self._loaded = self._content()
        return load(self._flags, pinned=self._pinned)

    def look(self) -> bool:
        """Look at the file, and return whether it is as at the last look: a half-written file may be valid too."""
        before, self._seen = self._seen, self._content()
        return self._seen == before

    def changed(self) -> bool:
        """Return whether the file, at the last look, differed from when the settings were read."""
        return self._seen != self._loaded

    def _content(self) -> bytes | None:
        with suppress(OSError):
            return read_file(self._file) if self._file else None
        return None


class Reloader:
    """Reloads the settings, one reload at a time, on a thread of its own."""

    def __init__(self, app: App, source: Source, clock: Clock) -> None:
        """Reload nothing yet.

        Args:
            app: applies the settings.
            source: source of the settings, from which they were loaded.
            clock: source of time.
        """
        self._app = app
        self._source = source
        self._clock = clock
        self._workers = Workers(1, "reload")
        self._asked: Future[Faults] | None = None
        self._faults: Faults = ()
        self._logged = LoggedStates()

    def ask(self) -> Future[Faults]:
        """Request a reload; requests that come before it starts share it. Safe to call in a signal handler."""
        asked = self._asked
        # A reload that runs may have read the settings before the change that is asked for.
        if asked is None or asked.running() or asked.done():
            self._asked = asked = self._workers.submit(self._reload)
        return asked

    def watch(self) -> None:
        """From now on reload when the file changes, and after a failed reload until one succeeds."""
        repeat(lambda: self._workers.submit(self.look).exception(), _LOOK_INTERVAL, self._clock, name="settings-watch")

    def look(self) -> None:
        """Reload if the file changed, or if the last reload failed; but not while the file is being written."""
        if self._source.look() and (self._faults or self._source.changed()):
            self._reload(log_unchanged=False)

    def _reload(self, *, log_unchanged: bool = True) -> Faults:
        fields: dict[str, str] = {}
        try:
            self._faults = self._read()
        except Exception as error:  # noqa: BLE001 - after a bug the current settings stay, and the reload is tried again
            # Without the text of the exception, which may hold anything.
            self._faults = (f"{type(error).__name__}: a bug in the exporter; see the log",)
            fields["exception"] = "".join(traceback.format_tb(error.__traceback__))
        new = self._logged.is_new("settings", "faults", self._faults)
        if self._faults and (new or log_unchanged):
            _log.error("reload failed, keeping the current settings", problem="; ".join(self._faults), **fields)
        return self._faults

    def _read(self) -> Faults:
        try:
            self._app.reload(self._source.load)
        except SettingsError as error:
            return error.faults
        log.change(self._app.settings.log_level, self._app.settings.log_format)
        return ()
