"""Commands of the exporter with their settings: in the test's process, or as real processes if they serve."""

import io
import os
import re
import socket
import subprocess
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import IO, NamedTuple
from unittest import mock

from exporter.cli.main import main
from tests.support.settings import variables
from tests.support.upstream import Upstream

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("HAR_EXPORTER_")}


class Done(NamedTuple):
    """What a command came to."""

    returncode: int
    stdout: str
    stderr: str


def environment_of(**settings: str) -> dict[str, str]:
    """Return the machine's environment with these settings and no others."""
    return ENVIRONMENT | variables(**settings)


def run(*arguments: str, **settings: str) -> Done:
    """Run a command to its end in this process."""
    out, errors = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
    environment = mock.patch.dict(os.environ, environment_of(**settings), clear=True)
    with environment, redirect_stdout(out), redirect_stderr(errors):
        code = main(arguments)
    return Done(code, *(stream.buffer.getvalue().decode() for stream in (out, errors)))


def run_process(*arguments: str, stdout: int | IO[bytes] = subprocess.PIPE, **settings: str) -> Done:
    """Run a command to its end as users do."""
    command = [sys.executable, "-m", "exporter", *arguments]
    environment = environment_of(**settings)
    done = subprocess.run(
        command, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


@contextmanager
def served(*arguments: str, before: str = "", **settings: str):
    """Start a command that serves, and yield its process and address once it listens.

    Args:
        arguments: the command's own.
        before: what a shell does first.
        settings: its settings.
    """
    environment = environment_of(**{"listen_address": "127.0.0.1:0", **settings})
    command = [sys.executable, "-m", "exporter", *arguments]
    if before:
        command = ["sh", "-c", f'{before}; exec "$@"', "sh", *command]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        port = next(found[1] for line in process.stderr if (found := re.search(r"msg=listening.* port=(\d+)", line)))
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def settings_for(upstream: Upstream, **more: str) -> dict[str, str]:
    return {"base_url": upstream.url, "api_key": upstream.key, "spaces": upstream.space, "sources": "off", **more}
