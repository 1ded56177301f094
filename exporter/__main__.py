"""The program: `har-exporter` and `python -m exporter`.

Signals and standard streams are set up before the rest is imported, which takes a while.
"""

import os
import signal
import sys

from exporter.cli import streams

_SERVING = ("serve", "demo")
_ENDED_BY_SIGTERM = 128 + signal.SIGTERM


def main() -> int:
    """Run the command that the arguments name, and return the exit code."""
    streams.open_closed()
    _ignore_hangup(sys.argv[1:2])
    if os.getpid() == 1:
        # The kernel drops a signal to the first process of a container unless it has a handler.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(_ENDED_BY_SIGTERM))
    try:
        with streams.guarded():
            return _run()
    except streams.OutputError as error:
        return streams.exit_code(error)
    finally:
        _end_on_interrupt()


def _run() -> int:
    interrupted = signal.getsignal(signal.SIGINT)
    _end_on_interrupt()
    from exporter.cli.main import main as run

    signal.signal(signal.SIGINT, interrupted)
    return run()


def _ignore_hangup(command: list[str]) -> None:
    """Ignore SIGHUP in a command that serves, until it can reload its settings."""
    # Other commands end with their terminal. Flags without a command are those of `serve`.
    if not command or command[0] in _SERVING or command[0].startswith("-"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _end_on_interrupt() -> None:
    """Let SIGINT end the process without a traceback."""
    # A shell starts jobs in the background with SIGINT ignored, and serving has a handler of its own.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
