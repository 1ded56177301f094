"""When the settings are read again: whenever somebody asks for it, and when their file changed."""

import threading
import traceback
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress

import structlog

from exporter import log
from exporter.clock import Clock, Stopped
from exporter.config.settings import Settings, SettingsError, file_of, load
from exporter.engine.app import App
from exporter.workers import Workers

_log = structlog.get_logger()

_LOOK_AGAIN = 5.0

Faults = tuple[str, ...]
"""What is wrong with the settings, a line for each fault, never with a secret; nothing where they are good."""


class Source:
    """Where the settings come from, to be read as often as somebody likes.

    What is compared is the content of the file, so that neither its time nor what its path leads through matters.
    """

    def __init__(self, flags: Mapping[str, str], pinned: Mapping[str, object] | None = None) -> None:
        """Read nothing yet.

        Args:
            flags: as `load` has them.
            pinned: as `load` has them.
        """
        self._flags = flags
        self._pinned = pinned
        self._file = file_of(flags)
        self._loaded: bytes | None = None
        self._seen: bytes | None = None

    def load(self) -> Settings:
        """Read the settings.

        Raises:
            SettingsError: they cannot be used.
        """
        # Before the settings: what is written meanwhile is a change.
        self._loaded = self._content()
        return load(self._flags, pinned=self._pinned)

    def look(self) -> bool:
        """Look at the file, and return whether it held the same at the last look: half a file may be good as well."""
        before, self._seen = self._seen, self._content()
        return self._seen == before

    def changed(self) -> bool:
        """Return whether the file, at the last look, held something else than when the settings were read."""
        return self._seen != self._loaded

    def _content(self) -> bytes | None:
        with suppress(OSError):
            # A pipe, as a shell makes one of a command, gives what it holds only once: to the settings.
            if self._file and self._file.is_file():
                return self._file.read_bytes()
        return None


class Reloader:
    """Reads the settings again, on a thread of its own and one time after the other."""

    def __init__(self, app: App, source: Source, clock: Clock) -> None:
        """Read nothing yet.

        Args:
            app: what goes on by the settings.
            source: where they come from; they were loaded from there.
            clock: where the time comes from.
        """
        self._app = app
        self._source = source
        self._clock = clock
        self._workers = Workers(1, "reload")
        self._asked: Future[Faults] | None = None
        self._faults: Faults = ()

    def ask(self) -> Future[Faults]:
        """Have the settings read again; all who ask before that begins share it. Fit for a signal's handler."""
        asked = self._asked
        if asked is None or asked.running() or asked.done():
            self._asked = asked = self._workers.submit(self._reload)
        return asked

    def watch(self) -> None:
        """Have the settings read again when their file changed, and until they are good again, from now on."""
        threading.Thread(target=self._watch, name="settings-watch", daemon=True).start()

    def look(self) -> None:
        """Read the settings again if their file changed, or if they could not be used and their file stands still."""
        if self._source.look() and (self._faults or self._source.changed()):
            self._reload(told=self._faults)

    def _watch(self) -> None:
        with suppress(Stopped):
            while True:
                self._clock.wait(_LOOK_AGAIN)
                self._workers.submit(self.look).exception()

    def _reload(self, told: Faults = ()) -> Faults:
        where: dict[str, str] = {}
        try:
            self._faults = self._read_again()
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, the settings so far hold and are tried again
            # Without its text, which may hold anything.
            self._faults = (f"{type(error).__name__}: a fault of the exporter itself, which the log tells more of",)
            where["exception"] = "".join(traceback.format_tb(error.__traceback__))
        if self._faults and self._faults != told:
            _log.error("settings cannot be used, those so far still hold", problem="; ".join(self._faults), **where)
        return self._faults

    def _read_again(self) -> Faults:
        try:
            self._app.reload(self._source.load)
        except SettingsError as error:
            return error.faults
        log.configure(self._app.settings.log_level, self._app.settings.log_format)
        return ()
