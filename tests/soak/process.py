"""Exporter in a separate process, and its resource usage."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

_PATIENCE = 30.0
T = TypeVar("T")


class Usage(NamedTuple):
    """Resource usage of a process.

    Attributes:
        memory: resident memory, bytes.
        threads: number of threads.
        descriptors: number of open file descriptors.
    """

    memory: int
    threads: int
    descriptors: int


class Exporter(NamedTuple):
    """Running exporter.

    Attributes:
        process: the process.
        address: the address that it listens on.
        log: its log file.
    """

    process: subprocess.Popen
    address: tuple[str, int]
    log: Path

    def usage(self) -> Usage:
        """Return the current usage."""
        status = self._status()
        memory = int(status["VmRSS"].split()[0]) * 1024
        return Usage(memory, int(status["Threads"]), len(list((self._folder / "fd").iterdir())))

    def forget_peak(self) -> None:
        """Make `peak` begin with the current memory."""
        (self._folder / "clear_refs").write_text("5")

    def peak(self) -> int:
        """Return the most resident memory since the peak was forgotten, bytes."""
        return int(self._status()["VmHWM"].split()[0]) * 1024

    @property
    def _folder(self) -> Path:
        return Path("/proc", str(self.process.pid))

    def _status(self) -> dict[str, str]:
        return dict(line.split(":", 1) for line in (self._folder / "status").read_text().splitlines())


@contextmanager
def exporter(base_url: str, **settings: str) -> Iterator[Exporter]:
    """Run `har-exporter serve`; settings have the names of its file."""
    # The servers of most rows list artifacts only.
    settings = {"sources": "off", **settings, "base_url": base_url, "listen_address": "127.0.0.1:0"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HAR_EXPORTER_")}
    environment |= {f"HAR_EXPORTER_{name.upper()}": value for name, value in settings.items()}
    with tempfile.NamedTemporaryFile() as log:
        process = subprocess.Popen([sys.executable, "-m", "exporter"], env=environment, stderr=log)
        try:
            path = Path(log.name)
            port = until(lambda: re.search(r"msg=listening.* port=(\d+)", path.read_text()))[1]
            yield Exporter(process, ("127.0.0.1", int(port)), path)
        finally:
            process.kill()
            process.wait()


def until(ask: Callable[[], T], patience: float = _PATIENCE) -> T:
    """Call a function until its result is true, or the time is up, and return the last result."""
    deadline = time.monotonic() + patience
    while not (answer := ask()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return answer
