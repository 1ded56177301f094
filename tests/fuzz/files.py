"""Files for inputs, in one folder: to make a folder for each would take longer than most checks."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory


def folder() -> Path:
    """Return the folder."""
    return Path(_kept().name)


def written(name: str, content: bytes) -> Path:
    """Return the path of a file in the folder, which has this content now."""
    path = folder() / name
    # Some file systems take milliseconds to empty a file before it is written.
    with path.open("r+b" if path.exists() else "xb") as file:
        file.write(content)
        file.truncate()
    return path


@cache
def _kept() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="fuzz-")
