"""Log: one line per event on standard error, as logfmt or JSON; and the states that were logged already."""

import logging
import math
import sys
import threading
from collections.abc import Hashable
from typing import TextIO

import structlog
from cachetools import LRUCache

from exporter.clock import Clock


def configure(level: str, log_format: str, stream: TextIO | None = None) -> None:
    """Send the log of this program and of its libraries to a stream.

    Args:
        level: minimum level: `debug`, `info`, `warning` or `error`.
        log_format: `logfmt` or `json`.
        stream: the stream; None for standard error.
    """
    order = ["ts", "level", "msg"]
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", key="ts"),
    ]
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer(ensure_ascii=True)
    if log_format == "logfmt":
        renderer = structlog.processors.LogfmtRenderer(key_order=order, bool_as_flag=False)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("msg"),
            renderer,
        ],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # It logs headers that it cannot parse, and with them the key if a server echoes it.
    logging.getLogger("urllib3.connection").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
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
