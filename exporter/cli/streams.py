"""Standard streams that may be closed, full, or not in UTF-8: never a reason for a traceback."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

OUTPUT_CLOSED = 141
UNUSABLE = 2

_STDIN, _STDOUT, _STDERR = range(3)


class OutputError(Exception):
    """Standard output cannot be written.

    Not an `OSError`, as click takes some of those for its own.

    Attributes:
        number: the number of the error.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(os.strerror(number))


class _Output(io.FileIO):
    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            written: int | None = super().write(data)
        except OSError as error:
            raise OutputError(error.errno or errno.EIO) from None
        if written is None:  # a pipe that is full, and that another process has made non-blocking
            raise OutputError(errno.EAGAIN)
        return written


class _Messages(io.FileIO):
    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            written: int | None = super().write(data)
        except OSError:
            written = None
        # A message that cannot be written is lost, as there is no other place for it.
        return memoryview(data).nbytes if written is None else written


def open_closed() -> None:
    """Open the standard streams that are closed, so that no socket gets the number of one, and its output."""
    for number in (_STDIN, _STDOUT, _STDERR):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number. Only for reading, so that writing fails as if it were still closed.
            os.open(os.devnull, os.O_RDONLY)


@contextmanager
def guarded() -> Iterator[None]:
    """Guard the standard streams.

    Raises:
        OutputError: standard output cannot be written, at the latest at the end.
    """
    sys.stdin = sys.stdin or open(_STDIN, closefd=False)  # noqa: SIM115 - a descriptor, which stays open
    sys.stdout = _text(_Output(_STDOUT, "w", closefd=False), sys.stdout, line_buffering=os.isatty(_STDOUT))
    sys.stderr = _text(_Messages(_STDERR, "w", closefd=False), sys.stderr, line_buffering=True)
    try:
        yield
    finally:
        sys.stdout.flush()


def _text(raw: io.FileIO, before: TextIO | None, *, line_buffering: bool) -> TextIO:
    encoding = before.encoding if before else "utf-8"  # it is None if the stream was closed
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=line_buffering)


def exit_code(error: OutputError) -> int:
    """Report that standard output cannot be written, unless its reader has just closed it, and return the exit code."""
    # What is buffered would fail again at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)
    if error.number == errno.EPIPE:
        return OUTPUT_CLOSED
    print(f"har-exporter: standard output: {error}", file=sys.stderr)
    return UNUSABLE
