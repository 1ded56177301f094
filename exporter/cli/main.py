"""Command line: commands, their flags, and the exit code.

What the commands do is imported when one runs, so that `--help` is fast.
"""

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import click

from exporter import __version__
from exporter.config.settings import FLAGLESS, Settings, default_text
from exporter.config.sources import load
from exporter.texts import SettingsError

INVALID = 2
INTERRUPTED = 130
OUTPUT_CLOSED = 141

_EPILOG = """\
A flag has precedence over the environment variable HAR_EXPORTER_<NAME> in capitals, which has precedence over the YAML
file of --config, which has precedence over the default. `har-exporter serve --help` lists the settings.

Exit codes: 0 success; 1 a space failed (check, dump); 2 invalid settings.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return the exit code."""
    try:
        code = program.main(arguments, prog_name="har-exporter", standalone_mode=False)
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        print(f"har-exporter: {error.format_message()}", file=sys.stderr)
        return INVALID
    return code if isinstance(code, int) else 0


class _Command(click.Command):
    """Command with an exit code for everything that may go wrong."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the flags.

        Raises:
            UsageError: a flag is unknown; it names the nearest one, also for a flag with one dash.
        """
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            # click splits -config into the flags -c, -o and so on.
            flag = next((arg for arg in given if arg.startswith(error.option_name)), error.option_name)
            flag = flag.partition("=")[0]
            known = [flag for param in self.get_params(ctx) for flag in (*param.opts, *param.secondary_opts)]
            raise _unknown("flag", flag, f"--{flag.lstrip('-').replace('_', '-')}", known) from None

    def invoke(self, ctx: click.Context) -> int:
        """Run the command, and return the exit code."""
        try:
            code: int = super().invoke(ctx)
        except SettingsError as error:
            for fault in error.faults:
                print(f"har-exporter: {fault}", file=sys.stderr)
            return INVALID
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:
            # The reader closed the pipe; flushing the rest at exit must not fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return OUTPUT_CLOSED
        return code


class _Group(_Command, click.Group):
    """Group of commands, of which `serve` runs if none is named."""

    command_class = _Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `serve` before flags without a command."""
        # What is completed is not among the arguments: without any, it may be the name of a command.
        implied = args[0].startswith("-") and not _is_own(args[0]) if args else not ctx.resilient_parsing
        if implied and "serve" in self.commands:
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first argument names.

        Raises:
            UsageError: there is no such command.
        """
        if args[0] not in self.commands and not ctx.resilient_parsing:
            raise _unknown("command", args[0], args[0], self.commands)
        return super().resolve_command(ctx, args)


def _is_own(flag: str) -> bool:
    return flag in {"--help", "--version"}


def _unknown(kind: str, given: str, like: str, known: Collection[str]) -> click.UsageError:
    near = get_close_matches(like, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "--help lists all"
    return click.UsageError(f"{given}: is an unknown {kind}; {hint}")


def _settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add a flag for every setting to a command."""
    for name in reversed(Settings.model_fields):
        if name not in FLAGLESS:
            command = _flag(name)(command)
    return click.option("--config", metavar="FILE", help="YAML file of settings.")(command)


def _flag(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    field = Settings.model_fields[name]
    default = default_text(name)
    text = f"{field.description} (default: {default})" if default else field.description
    flag = f"--{name.replace('_', '-')}"
    if field.annotation in {bool, bool | None}:
        return click.option(f"{flag}/--no-{flag[2:]}", default=None, help=text)
    return click.option(flag, metavar="VALUE", help=text)


def _given(flags: Mapping[str, str | bool | None]) -> dict[str, str]:
    """Return the flags that were given, as texts like those of every other source."""
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in flags.items()
        if value is not None
    }


@click.group(cls=_Group, epilog=_EPILOG, context_settings={"max_content_width": 120})
@click.version_option(__version__, message="%(prog)s %(version)s")
def program() -> None:
    """Prometheus exporter for Harness Artifact Registry."""


@program.command()
@_settings
def serve(**flags: str | bool | None) -> int:
    """Serve metrics until SIGTERM or SIGINT; the default command. SIGHUP reloads the settings."""
    from exporter.cli import commands

    return commands.serve(_given(flags))


@program.group(cls=_Group, invoke_without_command=True)
@_settings
@click.pass_context
def demo(ctx: click.Context, /, **flags: str | bool | None) -> int:
    """Like serve, check and dump, against a built-in demo registry; needs no account and no settings."""
    from exporter.cli import commands

    given = _given(flags)
    if ctx.invoked_subcommand and given:
        raise click.UsageError(f"flags come last: har-exporter demo {ctx.invoked_subcommand} --flag")
    return 0 if ctx.invoked_subcommand else commands.demo(given)


_AS_JSON = click.option("--output", type=click.Choice(["json"]), help="Print JSON for scripts.")
_TO_FILE = click.option("--output", metavar="FILE", help="Replace a file atomically, or write into a device or FIFO.")


@program.command()
@_AS_JSON
@_settings
def check(output: str | None, **flags: str | bool | None) -> int:
    """Ask each space for one page, and name the setting to change if that fails."""
    from exporter.cli import commands

    return commands.check(load(_given(flags)), as_json=output is not None)


@program.command()
@_TO_FILE
@_settings
def dump(output: str | None, **flags: str | bool | None) -> int:
    """Refresh each space once, and print the metrics."""
    from exporter.cli import commands

    return commands.dump(load(_given(flags)), output)


@demo.command("check")
@_AS_JSON
@_settings
def demo_check(output: str | None, **flags: str | bool | None) -> int:
    """Like check, against the demo registry."""
    from exporter.cli import commands

    with commands.demo_settings(_given(flags)) as settings:
        return commands.check(settings, as_json=output is not None)


@demo.command("dump")
@_TO_FILE
@_settings
def demo_dump(output: str | None, **flags: str | bool | None) -> int:
    """Like dump, against the demo registry."""
    from exporter.cli import commands

    with commands.demo_settings(_given(flags)) as settings:
        return commands.dump(settings, output)


@program.group("web-config", cls=_Group, no_args_is_help=False)
def web_config() -> None:
    """Tools for web_config_file."""


@web_config.command("hash")
def hash_password() -> int:
    """Read a password, and print its bcrypt hash for basic_auth_users."""
    from exporter.cli import commands

    return commands.hash_password()


@program.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print the completion script of a shell."""
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    complete = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}[shell]
    print(complete(program, {}, "har-exporter", "_HAR_EXPORTER_COMPLETE").source())
    return 0


@program.command("help")
@click.argument("command", nargs=-1)
@click.pass_context
def show_help(ctx: click.Context, command: tuple[str, ...]) -> int:
    """Show the help of a command."""
    program.main([*command, "--help"], prog_name=ctx.find_root().info_name, standalone_mode=False)
    return 0


@program.command("version")
def show_version() -> int:
    """Show the version."""
    print(f"har-exporter {__version__}")
    return 0
