"""Signals from the first moment on, while the program is still imported too."""

import signal
import subprocess
import sys
import threading

import pytest

from tests.support.commands import ENVIRONMENT, environment_of, settings_for
from tests.support.upstream import Upstream, make_rows

MOMENTS = {
    "while the command line is imported": "at_import('click')",
    "while a command is imported": "at_import('requests')",
    "while a name is looked up": "at_look_up()",
}
SENDS = """
import os, signal, socket, sys

def at_import(name):
    class Finder:
        def find_spec(self, asked, *_):
            if asked == name:
                sys.meta_path.remove(self)
                signal.raise_signal(NUMBER)
    sys.meta_path.insert(0, Finder())

def at_look_up():
    real = socket.getaddrinfo
    def look_up(*arguments, **options):
        signal.raise_signal(NUMBER)
        return real(*arguments, **options)
    socket.getaddrinfo = look_up

"""


def started(code: str, number: signal.Signals, *arguments: str, **settings: str) -> subprocess.Popen[str]:
    """Start a command that sends itself a signal at some moment."""
    code = f"{SENDS.replace('NUMBER', str(int(number)))}{code}\nfrom exporter.__main__ import main\nsys.exit(main())"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, env=environment_of(**settings), stderr=subprocess.PIPE, text=True)


def serving(code: str, number: signal.Signals) -> subprocess.Popen[str]:
    settings = {"spaces": "acct", "api_key": "a" * 12, "base_url": "http://127.0.0.1:1"}
    return started(code, number, "--listen-address", "127.0.0.1:0", **settings)


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_hangup_is_ignored_until_it_can_be_followed(moment):
    """And SIGTERM shuts down from then on, in the first process of a container too."""
    with serving(f"os.getpid = lambda: 1; {moment}", signal.SIGHUP) as process:
        assert any("msg=listening" in line for line in process.stderr)
        process.send_signal(signal.SIGHUP)
        assert any('msg="settings reloaded"' in line for line in process.stderr)
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
@pytest.mark.parametrize(("before", "code"), [("", -signal.SIGTERM), ("os.getpid = lambda: 1; ", 128 + signal.SIGTERM)])
def test_sigterm_ends_a_process_that_does_not_serve_yet_without_a_word(before, code, moment):
    """The first process of a container too, which gets no signal that it does not handle."""
    with serving(before + moment, signal.SIGTERM) as process:
        assert (process.stderr.read(), process.wait(20)) == ("", code)


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_an_interrupt_ends_it_without_a_traceback(moment):
    with serving(moment, signal.SIGINT) as process:
        assert (process.stderr.read(), process.wait(20) in {-signal.SIGINT, 130}) == ("", True)


def test_a_command_that_is_interrupted_at_its_end_says_nothing():
    """The interpreter joins threads and runs callbacks before it ends."""
    code = "import atexit; atexit.register(signal.raise_signal, NUMBER)".replace("NUMBER", str(int(signal.SIGINT)))
    with started(code, signal.SIGINT, "version") as process:
        assert (process.stderr.read(), process.wait(20)) == ("", -signal.SIGINT)


@pytest.mark.parametrize("ignored", [False, True])
def test_a_command_that_ends_by_itself_ends_with_its_terminal(ignored):
    """Unless it was started to outlive it."""
    hold = threading.Event()
    with Upstream(make_rows(1), hold=hold) as upstream:
        ignoring = ["nohup"] if ignored else []
        command = [*ignoring, sys.executable, "-m", "exporter", "dump"]
        environment = ENVIRONMENT | environment_of(**settings_for(upstream))
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            upstream.wait_for_requests(1)
            process.send_signal(signal.SIGHUP)
            if ignored:
                hold.set()
            process.communicate(timeout=20)
            hold.set()
        assert process.returncode == (0 if ignored else -signal.SIGHUP)
