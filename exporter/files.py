"""The one reader of files: keys, certificates, settings and the web config."""

import errno
import os
import stat
from pathlib import Path

MAX_BYTES = 2**20
"""The largest file that is read, in bytes; every file that is read here is far smaller."""


def read_file(path: Path) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: it cannot be read, is not a regular file, or is larger than `MAX_BYTES`.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "not a path")
    # A FIFO without a writer blocks in open() unless it is opened without blocking; a device may have no end.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_regular(os.fstat(descriptor).st_mode)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > MAX_BYTES:
        raise OSError(errno.EFBIG, f"larger than {MAX_BYTES} bytes")
    return content


def _check_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
