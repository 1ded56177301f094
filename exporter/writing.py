"""Files that are replaced at once: a reader finds the old content or the new one, never a part."""

import os
from contextlib import suppress
from pathlib import Path

from exporter.settings import SettingsError


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file, or make it; whatever happens, nothing is left beside it.

    Raises:
        SettingsError: it cannot be written.
    """
    # Beside the target, since only within one file system a rename replaces a file at once.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError as error:
        raise SettingsError(
            [f"--output: {error.strerror}; accepted is a file in a folder that can be written"]
        ) from None
    finally:
        with suppress(OSError):
            unfinished.unlink()
