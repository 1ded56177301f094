"""The log: one line an event on standard error, as logfmt or JSON."""

import logging
import sys
from typing import TextIO

import structlog


def configure(level: str, log_format: str, stream: TextIO | None = None) -> None:
    """Send this program's log, and that of its libraries, to a stream.

    Args:
        level: the least severe lines to log: `debug`, `info`, `warning` or `error`.
        log_format: `logfmt` or `json`.
        stream: where to; standard error where it is None.
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
    # It quotes headers that it cannot read, and with them the key where a server sends that back.
    logging.getLogger("urllib3.connection").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
