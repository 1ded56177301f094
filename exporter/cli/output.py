"""What `dump` writes to: standard output, or a file that is replaced at once."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from exporter.config.settings import SettingsError


def check_replaceable(path: Path) -> None:
    """Tell early that a file could not be replaced later.

    Raises:
        SettingsError: it is a folder, or in none that can be written.
    """
    folder = path.parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise _unusable("cannot be written")


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file, or make it: a reader finds the old content or the new one, never a part.

    Whatever happens, an interrupt included, nothing is left beside it.

    Raises:
        SettingsError: it cannot be written.
    """
    # Beside the target, since only within one file system a rename replaces a file at once.
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
        BrokenPipeError: whoever read it does so no more.
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
    return SettingsError([f"--output: {problem}; accepted is a file in a folder that can be written"])
