"""Command line: the command, its settings, and the exit code.

What only one command needs is imported when it runs, so that `--help` is fast.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from exporter import __version__
from exporter.config.settings import FLAGLESS, Settings, default_text
from exporter.config.sources import load
from exporter.texts import SettingsError

UNUSABLE_SETTINGS = 2
INTERRUPTED = 130
OUTPUT_CLOSED = 141

_COMMANDS = ("serve", "demo", "check", "dump", "demo check", "demo dump", "web-config hash")
_DESCRIPTION = """\
Prometheus exporter for Harness Artifact Registry.

commands:
  serve   serve metrics until SIGTERM or SIGINT; SIGHUP reloads the settings; the default
  demo    like serve, against a built-in demo registry
  check   ask each space for one page, and name the setting to change if that fails
  dump    refresh each space once, and print the metrics
  demo check, demo dump
          like check and dump, against the demo registry
  web-config hash
          read a password, and print its bcrypt hash for basic_auth_users
"""
_EPILOG = """\
A flag has precedence over the environment variable HAR_EXPORTER_<NAME> in capitals, which has precedence over the YAML
file of --config, which has precedence over the default. serve, check and dump need spaces and a key (api_key_file, or
api_key, which has no flag).

exit codes: 0 success; 1 a space failed (check, dump); 2 invalid settings
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return the exit code."""
    parser = _parser()
    options, unknown = parser.parse_known_intermixed_args(arguments)
    # A word that is no command may be the value of an unknown flag; the error then names the flag.
    names = {name for command in _COMMANDS for name in command.split()}
    command = " ".join(word for word in options.command if word in names or not unknown) or _COMMANDS[0]
    if command not in _COMMANDS:
        parser.error(f"expected one command of {', '.join(_COMMANDS)}, and flags that begin with --")
    flags = {name: _text(value) for name, value in vars(options).items() if name not in {"command", "output"}}
    # The settings find the nearest name of an unknown flag.
    flags |= {_name(argument): "?" for argument in unknown if argument.startswith("--")}
    try:
        return _run(command, flags, options.output)
    except SettingsError as error:
        for fault in error.faults:
            print(f"har-exporter: {fault}", file=sys.stderr)
        return UNUSABLE_SETTINGS
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader closed the pipe; flushing the rest at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OUTPUT_CLOSED


def _run(command: str, flags: dict[str, str], output: str | None) -> int:
    with _without_rich():
        from exporter.cli import commands  # noqa: PLC0415 - see the docstring of the module

    over_demo, task = command.startswith("demo "), command.removeprefix("demo ")
    if output is not None and (task not in {"check", "dump"} or (task == "check" and output != "json")):
        raise SettingsError(["--output: accepted are json for check, and a file for dump"])
    if command == "web-config hash":
        return commands.hash_password()
    if command == "demo":
        return commands.demo(flags)
    if command == "serve":
        return commands.serve(flags)
    with commands.demo_settings(flags) if over_demo else nullcontext(load(flags)) as settings:
        if task == "check":
            return commands.check(settings, as_json=output is not None)
        return commands.dump(settings, Path(output) if output else None)


@contextmanager
def _without_rich() -> Iterator[None]:
    """Hide rich from structlog, which imports it for tracebacks that are never printed: a sixth of the start-up."""
    there = "rich" in sys.modules
    if not there:
        sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if not there:
            del sys.modules["rich"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="har-exporter",
        usage="har-exporter [serve | demo | [demo] check | [demo] dump | web-config hash] [--SETTING VALUE ...]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"har-exporter {__version__}")
    parser.add_argument("command", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument(
        "--output", metavar="json|FILE", help="check: json, for scripts; dump: file to replace atomically"
    )
    settings = parser.add_argument_group("settings")
    settings.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="YAML file of settings")
    for name in Settings.model_fields:
        if name not in FLAGLESS:
            _add_flag(settings, name)
    return parser


def _add_flag(group: argparse._ArgumentGroup, name: str) -> None:
    field = Settings.model_fields[name]
    default = default_text(name)
    text = f"{field.description} (default: {default})" if default else f"{field.description}"
    text = text.replace("%", "%%")
    flag = f"--{name.replace('_', '-')}"
    if field.annotation in {bool, bool | None}:
        group.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=text)
    else:
        group.add_argument(flag, metavar="VALUE", default=argparse.SUPPRESS, help=text)


def _name(flag: str) -> str:
    return flag.removeprefix("--").partition("=")[0].replace("-", "_")


def _text(value: str | bool) -> str:  # noqa: FBT001 - what argparse makes of a switch
    return value if isinstance(value, str) else str(value).lower()
