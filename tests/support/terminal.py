"""Commands on a real pseudo-terminal."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager

from tests.support.commands import environment_of

PATIENCE = 60.0  # seconds until a wait gives up on a test that hangs
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_SWAYS = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TERM", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}


class Screen:
    """What a command wrote to a terminal so far.

    Attributes:
        process: the command.
        raw: everything, escape sequences included.
    """

    def __init__(self, process, descriptor):
        self.process = process
        self.raw = ""
        self._descriptor = descriptor
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self):
        """Everything without escape sequences, lines ended as in a file."""
        return _ESCAPE.sub("", self.raw).replace("\r\n", "\n")

    def wait_for(self, pattern):
        """Return the first match, as soon as there is one."""
        with self._changed:
            assert self._changed.wait_for(lambda: re.search(pattern, self.text), PATIENCE), self.text[-2000:]
            return re.search(pattern, self.text)

    def end(self):
        """Return the exit code, once the command has ended and all is read."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def _read(self):
        # Linux ends the reading of a terminal that nobody has open any more with an error.
        while data := self._chunk():
            with self._changed:
                self.raw += data.decode()
                self._changed.notify_all()

    def _chunk(self):
        try:
            return os.read(self._descriptor, 2**16)
        except OSError:
            return b""


@contextmanager
def on_terminal(*arguments, columns=100, stdout=None, stderr=None, terminal="xterm-256color", variables=(), **settings):
    """Start a command whose output goes to a terminal of that width; a stream goes elsewhere if that is given."""
    environment = {name: value for name, value in environment_of(**settings).items() if name not in _SWAYS}
    environment |= {"TERM": terminal, **dict(variables)}
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "exporter", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs if stderr is None else stderr,
    )
    os.close(theirs)
    screen = Screen(process, ours)
    try:
        yield screen
    finally:
        process.kill()
        process.wait()
        screen.end()
        os.close(ours)
