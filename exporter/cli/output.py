"""Output of `dump`: standard output, a file that is replaced atomically, or a device or FIFO that is written into."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from exporter.texts import SettingsError

_STDOUT = ("-", "/dev/stdout")
_MODE = 0o644  # for a new file: node_exporter reads it as another user


def check_output(output: str | None) -> None:
    """Check that an output can be written later.

    Args:
        output: the path, or None or `-` for standard output.

    Raises:
        SettingsError: it is a folder, or it or its folder is missing or not writable.
    """
    if output is None or output in _STDOUT:
        return
    path = Path(os.path.realpath(output))
    with _reported():
        found = _stat(output)
        if found and stat.S_ISDIR(found.st_mode):
            raise _unusable("is a folder")
        if found is None or stat.S_ISREG(found.st_mode):
            usable = os.access(path.parent, os.W_OK | os.X_OK)
        else:
            usable = os.access(output, os.W_OK)
        if not usable:
            raise _unusable("cannot be written")


def write_output(output: str | None, content: bytes) -> None:
    """Write to standard output, replace a file, or write into a device or FIFO; symbolic links are followed.

    Args:
        output: the path, or None or `-` for standard output.
        content: what to write.

    Raises:
        OutputError: standard output cannot be written.
        SettingsError: the path cannot be written.
    """
    if output is None or output in _STDOUT:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
        return
    with _reported():
        found = _stat(output)
        if found is None or stat.S_ISREG(found.st_mode):
            _replace(Path(os.path.realpath(output)), content, found)
        else:
            # Without O_CREAT, which a sticky folder forbids for another user's FIFO.
            with os.fdopen(os.open(output, os.O_WRONLY), "wb") as device:
                device.write(content)


def _replace(path: Path, content: bytes, before: os.stat_result | None) -> None:
    """Replace or create a file: a reader finds the old content or the new one, never a part.

    No temporary file is left, even after an interrupt.
    """
    # In the same folder, as a rename is atomic only within one file system.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # A process that was killed may have left one: in a container every process has the same number.
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            if before:
                with suppress(PermissionError):  # only root may give a file away
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode) if before else _MODE)
        unfinished.replace(path)
    finally:
        with suppress(OSError):
            unfinished.unlink()


def _stat(path: str) -> os.stat_result | None:
    with suppress(FileNotFoundError):
        return os.stat(path)  # noqa: PTH116 - Path normalises what the kernel resolves, such as `file/.`
    return None


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # a ValueError for a path with NUL
        raise _unusable(str(getattr(error, "strerror", error))) from None


def _unusable(problem: str) -> SettingsError:
    return SettingsError([f"--output: {problem}; accepted is a file in a writable folder, a device, a FIFO, or -"])
