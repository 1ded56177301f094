"""Commands of the exporter with their settings: in the test's process, or as real processes if they serve."""

import io
import os
import re
import socket
import subprocess
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import NamedTuple
from unittest import mock

from exporter.cli.main import main
from tests.support.upstream import Upstream

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("HAR_EXPORTER_")}


class Done(NamedTuple):
    """What a command came to."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str, **variables: str) -> Done:
    """Run a command to its end in this process; variables are settings in lower case."""
    environment = ENVIRONMENT | {f"HAR_EXPORTER_{name.upper()}": value for name, value in variables.items()}
    out, errors = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
    with mock.patch.dict(os.environ, environment, clear=True), redirect_stdout(out), redirect_stderr(errors):
        code = main(arguments)
    return Done(code, *(stream.buffer.getvalue().decode() for stream in (out, errors)))


def run_process(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end as users do."""
    environment = ENVIRONMENT | {f"HAR_EXPORTER_{name.upper()}": value for name, value in variables.items()}
    command = [sys.executable, "-m", "exporter", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def served(*arguments: str, before: str = "", **variables: str):
    """Start a command that serves, and yield its process and address once it listens.

    Args:
        arguments: the command's own.
        before: what a shell does first.
        variables: settings in lower case.
    """
    variables = {"listen_address": "127.0.0.1:0", **variables}
    environment = ENVIRONMENT | {f"HAR_EXPORTER_{name.upper()}": value for name, value in variables.items()}
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
    return {"base_url": upstream.url, "api_key": upstream.key, "spaces": upstream.space, **more}
