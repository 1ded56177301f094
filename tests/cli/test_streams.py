"""Standard streams that are closed, full or not in UTF-8: a line at most, never a traceback."""

import fcntl
import os
import subprocess
import sys

import pytest
import requests

from tests.support.commands import ENVIRONMENT, environment_of, free_port, run_process, settings_for
from tests.support.stack import eventually
from tests.support.upstream import Upstream, make_rows, reply

COMMANDS = ("check", "dump", "completion bash", "help", "--version", "web-config hash")


@pytest.fixture(scope="module")
def upstream():
    with Upstream(make_rows(3), key="pat.acct.id.secret") as upstream:
        yield upstream


def through_shell(command: str, upstream: Upstream, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command line with its redirections, as a user types it."""
    line = f'"$0" -m exporter {command}'
    environment = environment_of(**settings_for(upstream)) | more
    return subprocess.run(
        ["sh", "-c", line, sys.executable], env=environment, input="secret\n", capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("command", "output", "problem"),
    [
        *((command, ">/dev/full", "No space left on device") for command in COMMANDS),
        ("check", ">&-", "Bad file descriptor"),
        ("dump", ">&-", "Bad file descriptor"),
    ],
)
def test_an_output_that_cannot_be_written_is_a_fault_of_one_line(command, output, problem, upstream):
    done = through_shell(f"{command} {output}", upstream)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"har-exporter: standard output: {problem}\n")


@pytest.mark.parametrize(("command", "code"), [("check", 0), ("dump --package-types x", 0), ("serv", 2)])
@pytest.mark.parametrize("errors", ["2>&-", "2>/dev/full"])
def test_messages_that_cannot_be_written_change_nothing_else(errors, command, code, upstream):
    done = through_shell(f"{command} {errors}", upstream)
    assert (done.returncode, bool(done.stdout), done.stderr) == (code, code == 0, "")


@pytest.mark.parametrize("command", ["check", "dump", "findings --output csv", "help"])
def test_a_reader_that_has_enough_ends_any_command_without_a_word(command):
    read, write = os.pipe()
    os.close(read)
    settings = {"spaces": "acct", "sources": "off", "base_url": "http://127.0.0.1:1", "api_key": "a" * 12}
    done = run_process(*command.split(), stdout=write, **settings)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(("stream", "code"), [("stdout", 2), ("stderr", 2)])
def test_a_pipe_that_is_full_and_does_not_block_is_no_reason_for_a_traceback(stream, code):
    """Another process that shares the pipe may have set it so."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(write, False)
    os.write(write, b"x" * 4096)
    command = ["help"] if stream == "stdout" else ["serv"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: write}
    done = subprocess.run(
        [sys.executable, "-m", "exporter", *command], env=ENVIRONMENT, text=True, check=False, **streams
    )
    os.close(read)
    os.close(write)
    assert done.returncode == code
    assert "Traceback" not in f"{done.stdout}{done.stderr}"


def test_a_closed_input_is_an_empty_one(upstream):
    done = through_shell("web-config hash <&-", upstream)
    assert (done.returncode, done.stderr) == (
        2,
        "har-exporter: password: accepted are 1 to 72 bytes, the limit of bcrypt\n",
    )


@pytest.mark.parametrize("closed", [range(3), [2], [0, 1]], ids=str)
def test_no_socket_gets_the_number_of_a_stream_that_is_closed(closed):
    """It would get the log."""
    code = (
        f"import os, sys; from exporter.cli import streams; [os.close(number) for number in {list(closed)}];"
        "streams.open_closed(); os._exit(os.open(os.devnull, os.O_RDONLY))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, stdin=subprocess.DEVNULL).returncode == 3


@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
@pytest.mark.parametrize("command", ["serve", "demo"])
def test_who_serves_needs_no_stream(command, streams, upstream):
    port = free_port()
    environment = environment_of(**settings_for(upstream, listen_address=f"127.0.0.1:{port}"))
    line = f'exec "$0" -m exporter {command} {streams}'
    with subprocess.Popen(["sh", "-c", line, sys.executable], env=environment) as process:
        eventually(lambda: page(port))
        assert "har_up" in page(port)
        process.terminate()
        assert process.wait(20) == 0


def page(port: int) -> str:
    try:
        return requests.get(f"http://127.0.0.1:{port}/metrics", timeout=20).text
    except requests.ConnectionError:
        return ""


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=str,
)
def test_text_of_the_server_reaches_a_terminal_without_its_letters(environment, upstream):
    upstream.fault = lambda _: reply(400, {"message": "Fl\u00fcge \U0001f4a9"})
    try:
        for command in ("check", "dump 1>&2"):
            done = through_shell(command, upstream, **environment)
            assert done.returncode == 1
            assert r"Fl\xfcge" in done.stdout + done.stderr
            assert "Traceback" not in done.stderr
    finally:
        upstream.fault = None


@pytest.mark.parametrize("environment", [{}, {"PYTHONIOENCODING": "ascii"}], ids=str)
def test_a_password_may_have_any_bytes(environment):
    command = [sys.executable, "-m", "exporter", "web-config", "hash"]
    environment = ENVIRONMENT | environment
    done = subprocess.run(command, env=environment, input=b"p\xc3\xa4\xff\n", capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"$2b$12$")
