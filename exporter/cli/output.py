"""Output of `dump`: standard output, or a file that is replaced atomically."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from exporter.texts import SettingsError


def check_replaceable(path: Path) -> None:
    """Check that a file can be replaced later.

    Raises:
        SettingsError: it is a folder, or its folder is missing or not writable.
    """
    folder = path.parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise _unusable("cannot be written")


def replace_file(path: Path, content: bytes) -> None:
    """Replace or create a file: a reader finds the old content or the new one, never a part.

    No temporary file is left, even after an interrupt.

    Raises:
        SettingsError: it cannot be written.
    """
    # In the same folder, as a rename is atomic only within one file system.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError as error:
        raise _unusable(str(error.strerror)) from None
    finally:
        with suppress(OSError):
            unfinished.unlink()


def write_to_stdout(content: bytes) -> None:
    """Write to standard output.

    Raises:
        BrokenPipeError: the reader has closed the pipe.
        SettingsError: it cannot be written.
    """
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SettingsError([f"standard output: {error.strerror}"]) from None


def _unusable(problem: str) -> SettingsError:
    return SettingsError([f"--output: {problem}; accepted is a file in a writable folder"])
