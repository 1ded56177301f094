"""Memory that the process gives back to the system."""

import ctypes
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_LARGE = 2**20  # bytes; more than the usual page of 1,000 rows


def return_large_blocks() -> None:
    """Make the C library give back each large block when it is freed.

    By default glibc keeps blocks as large as the largest one that was ever freed, for each thread: 16 MiB for each
    thread that has read a large page.
    """
    with suppress(AttributeError, OSError):  # another C library
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_M_TRIM_THRESHOLD, _LARGE)
