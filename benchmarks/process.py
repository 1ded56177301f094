"""Child processes, and their memory."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

_ROOT = Path(__file__).parent.parent


class Process:
    """Running program that reads and writes lines."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def line(self, sent: str = "") -> str:
        """Send a line, unless it is empty, and return the next line of the program's output.

        Raises:
            ChildProcessError: the program has ended.
        """
        if sent:
            cast("IO[str]", self._process.stdin).write(f"{sent}\n")
            cast("IO[str]", self._process.stdin).flush()
        line = cast("IO[str]", self._process.stdout).readline()
        if not line:
            raise ChildProcessError(f"{self._process.args!r} has ended")
        return line

    def peak(self) -> float:
        """Return the peak memory, MiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024


def environment() -> dict[str, str]:
    """Return the environment for programs."""
    # Python may write bytecode, so that programs start from it, as in an installation by pip.
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@contextmanager
def running(command: Sequence[str], variables: Mapping[str, str] | None = None) -> Iterator[Process]:
    """Run a program until the block ends; it inherits stderr."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT, env=variables or environment()
    ) as process:
        try:
            yield Process(process)
        finally:
            process.kill()
