"""Log: one line per event on standard error, as logfmt or JSON; and the states that were logged already."""

import logging
import math
import os
import sys
import threading
from collections.abc import Hashable
from queue import Full, Queue
from typing import Protocol

import structlog
from cachetools import LRUCache

from exporter.clock import Clock

_LINES = 1_000  # that wait to be written
_LAST_LINES = 1.0  # seconds for those that wait when the process ends


class Stream(Protocol):
    """What log lines are written to, such as a text file."""

    def write(self, text: str, /) -> object:
        """Write a text."""

    def flush(self) -> object:
        """Write out what is buffered."""


class DroppingStream:
    """Stream that never blocks: a full pipe, or one whose reader stopped reading, must not stop the process.

    Lines wait for a thread that writes them; those that find no place are dropped.

    Attributes:
        dropped: number of lines that were dropped.
    """

    def __init__(self, descriptor: int) -> None:
        """Start the thread.

        Args:
            descriptor: the file descriptor to write to.
        """
        self.dropped = 0
        self._lines: Queue[bytes | threading.Event] = Queue(_LINES)
        # Not by sys.stderr: its lock would be held at exit if the thread waits for a reader.
        self._descriptor = descriptor
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def write(self, text: str, /) -> None:
        """Queue a line, or drop it."""
        try:
            self._lines.put_nowait(text.encode(errors="backslashreplace"))
        except Full:
            self.dropped += 1

    def flush(self) -> None:
        """Return immediately: the thread does not buffer."""

    def end(self) -> None:
        """Wait for the lines that were queued before, but no longer than a moment."""
        written = threading.Event()
        try:
            self._lines.put(written, timeout=_LAST_LINES)
        except Full:
            return
        written.wait(_LAST_LINES)

    def _write(self) -> None:
        while True:
            line = self._lines.get()
            if isinstance(line, threading.Event):
                line.set()
            else:
                self._write_whole(line)

    def _write_whole(self, line: bytes) -> None:
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
        except OSError:  # closed, or the reader is gone
            self.dropped += 1


def configure(level: str, log_format: str, stream: Stream | None = None) -> None:
    """Send the log of this program and of its libraries to a stream.

    Args:
        level: minimum level: `debug`, `info`, `warning` or `error`.
        log_format: `logfmt` or `json`.
        stream: the stream; None for standard error.
    """
    logging.getLogger().handlers = [logging.StreamHandler(stream or sys.stderr)]
    # It logs headers that it cannot parse, and with them the key if a server echoes it.
    logging.getLogger("urllib3.connection").setLevel(logging.CRITICAL)
    # It warns of each piece of a response that is sent to a client that has left.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    change(level, log_format)


def change(level: str, log_format: str) -> None:
    """Change the level and the format of the log, whose stream stays; the arguments are those of `configure`."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", key="ts"),
    ]
    root = logging.getLogger()
    root.setLevel(level.upper())
    for handler in root.handlers:
        handler.setFormatter(_formatter(log_format, shared))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def _formatter(log_format: str, shared: list[structlog.typing.Processor]) -> logging.Formatter:
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer(ensure_ascii=True)
    if log_format == "logfmt":
        renderer = structlog.processors.LogfmtRenderer(key_order=["ts", "level", "msg"], bool_as_flag=False)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("msg"),
            renderer,
        ],
    )


class LoggedStates:
    """States that were logged, so that a lasting state is logged once; safe to share between threads."""

    def __init__(
        self, clock: Clock | None = None, *, repeat_after: float = math.inf, subjects: float = math.inf
    ) -> None:
        """Remember nothing yet.

        Args:
            clock: source of time; needed for `repeat_after` only.
            repeat_after: seconds after which an unchanged state is new again.
            subjects: how many subjects are remembered; the least recently used ones are forgotten first.
        """
        self._clock = clock
        self._repeat_after = repeat_after
        self._lock = threading.Lock()
        self._logged: LRUCache[Hashable, dict[Hashable, tuple[Hashable, float]]] = LRUCache(subjects)

    def is_new(self, subject: Hashable, aspect: Hashable, state: Hashable = True) -> bool:  # noqa: FBT002 - any value
        """Return whether a state differs from the last one, or was last new long ago; and remember it."""
        now = self._clock.monotonic() if self._clock else 0.0
        with self._lock:
            states = self._logged.get(subject, {})
            last, time = states.get(aspect, (None, -math.inf))
            if aspect in states and last == state and now - time < self._repeat_after:
                return False
            self._logged[subject] = {**states, aspect: (state, now)}
            return True

    def forget(self, subject: Hashable) -> None:
        """Forget a subject, so that each of its states is new."""
        with self._lock:
            self._logged.pop(subject, None)
