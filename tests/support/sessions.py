"""Runs the commands that documents show, where each name that they use stands for something real."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from tests.support.commands import ENVIRONMENT
from tests.support.markdown import Block, Command, blocks, commands
from tests.support.places import ROOT

PATIENCE = 60.0  # seconds until a command counts as hanging
_END = "\x1e"


class Stage:
    """A shell in the project's folder, where the project is installed."""

    def __init__(self, stands_for: Mapping[str, str], variables: Mapping[str, str]) -> None:
        """Nothing runs yet.

        Args:
            stands_for: what takes the place of a name in documents, such as the address of a demo that runs already.
            variables: what the shell's environment has besides the machine's own.
        """
        self._stands_for = stands_for
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = {**ENVIRONMENT, "PATH": path, **variables}

    def run(self, block: Block) -> list[tuple[Command, int, str]]:
        """Run a block's commands in one shell; return each with its exit code and what it printed."""
        told = commands(block)
        # The exit code is left as it was: the next command may print it.
        tell = f"status=$?; printf '{_END}%d{_END}' $status; (exit $status)"
        script = "\n".join(f"{self._real(command.line)}\n{tell}" for command in told)
        with self._shell(block, script) as process:
            output, _ = process.communicate(timeout=PATIENCE)
        pieces = output.split(_END)
        assert len(pieces) == 2 * len(told) + 1, output
        return list(zip(told, map(int, pieces[1::2]), map(self._as_told, pieces[::2]), strict=False))

    @contextmanager
    def serving(self, block: Block) -> Iterator[tuple[Command, Iterator[str]]]:
        """Start a block's only command, and yield it with the lines that it prints; end it as Ctrl-C does.

        After `PATIENCE` it is ended too, and with it the lines.
        """
        (command,) = commands(block)
        with self._shell(block, f"exec {self._real(command.line)}") as process:
            assert process.stdout is not None
            interrupt = partial(os.killpg, process.pid, signal.SIGINT)
            patience = threading.Timer(PATIENCE, interrupt)
            patience.start()
            try:
                yield command, map(self._as_told, process.stdout)
            finally:
                patience.cancel()
                interrupt()
                process.communicate(timeout=PATIENCE)

    @contextmanager
    def _shell(self, block: Block, script: str) -> Iterator[subprocess.Popen[str]]:
        """Start a shell that has exported what earlier blocks of the same document export."""
        earlier = (command.line for other in blocks(block.path) if other.line < block.line for command in _of(other))
        exports = [self._real(line) for line in earlier if line.startswith("export ")]
        with subprocess.Popen(
            ["bash", "-c", "\n".join((*exports, script))],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            except BaseException:
                # Otherwise one that hangs would be waited for without end.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise

    def _real(self, text: str) -> str:
        return re.sub("|".join(map(re.escape, self._stands_for)), lambda name: self._stands_for[name[0]], text)

    def _as_told(self, text: str) -> str:
        for name, real in self._stands_for.items():
            text = text.replace(real, name)
        return text


def _of(block: Block) -> list[Command]:
    return commands(block) if block.kind == "console" else []
