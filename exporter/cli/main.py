"""Command line: commands, their flags, and the exit code.

What the commands do is imported when one runs, so that `--help` is fast.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from exporter import __version__
from exporter.cli.arguments import INTERRUPTED, Choice, Group, refuse, unexpected, with_settings
from exporter.config.sources import load
from exporter.labels import FINDINGS

_Names = tuple[str, ...]
_TO = ("prod", "nonprod")
_KINDS = (*FINDINGS, "violation")

_EPILOG = """\
A flag has precedence over the environment variable HAR_EXPORTER_<NAME> in capitals, which has precedence over the YAML
file of --config, which has precedence over the default. `har-exporter serve --help` lists the settings.

Exit codes: 0 success; 1 a space failed (check, dump, findings); 2 invalid settings.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return the exit code."""
    try:
        code = program.main(arguments, prog_name="har-exporter", standalone_mode=False)
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        return refuse([error.format_message()])
    return code if isinstance(code, int) else 0


def _given(flags: Mapping[str, str | None]) -> dict[str, str]:
    """Return the flags that were given."""
    return {name: value for name, value in flags.items() if value is not None}


@click.group(cls=Group, epilog=_EPILOG, context_settings={"max_content_width": 120})
@click.version_option(__version__, message="%(prog)s %(version)s")
def program() -> None:
    """Prometheus exporter for Harness Artifact Registry."""


@program.command()
@with_settings
def serve(**flags: str | None) -> int:
    """Serve metrics until SIGTERM or SIGINT; the default command. SIGHUP reloads the settings."""
    from exporter.cli import commands

    return commands.serve(_given(flags))


@program.group(cls=Group, invoke_without_command=True)
@with_settings
@click.pass_context
def demo(ctx: click.Context, /, **flags: str | None) -> int:
    """Like serve, check and dump, against a built-in demo registry. Needs no account and no settings."""
    from exporter.cli import commands

    given = _given(flags)
    if ctx.invoked_subcommand and given:
        raise click.UsageError(f"flags come last: har-exporter demo {ctx.invoked_subcommand} --flag")
    return 0 if ctx.invoked_subcommand else commands.demo(given)


_AS_JSON = click.option("--output", type=Choice(["json"]), metavar="json", help="Print JSON for scripts.")
_TO_FILE = click.option("--output", metavar="FILE", help="Replace a file atomically, or write into a device or FIFO.")


@program.command()
@_AS_JSON
@with_settings
def check(output: str | None, **flags: str | None) -> int:
    """Ask each space for one page, and name the settings to change."""
    from exporter.cli import commands

    return commands.check(load(_given(flags)), as_json=output is not None)


@program.command()
@_TO_FILE
@with_settings
def dump(output: str | None, **flags: str | None) -> int:
    """Refresh each space once, and print the metrics."""
    from exporter.cli import commands

    return commands.dump(load(_given(flags)), output)


def _with_filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags of `findings` that are no settings."""
    kinds = ", ".join(_KINDS)
    options = (
        click.option("--output", type=Choice(["csv", "json"]), metavar="csv|json", help="Print CSV or JSON."),
        click.option("--space", multiple=True, metavar="SPACE", help="Only those in this space; may be repeated."),
        click.option("--registry", multiple=True, metavar="NAME", help="Only those in this registry; likewise."),
        click.option("--finding", multiple=True, type=Choice(_KINDS), metavar="KIND", help=f"Only these: {kinds}."),
        click.option("--deployed", multiple=True, type=Choice(_TO), metavar="TO", help="Only in prod or nonprod."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@program.command()
@_with_filters
@with_settings
def findings(
    *, output: str | None, space: _Names, registry: _Names, finding: _Names, deployed: _Names, **flags: str | None
) -> int:
    """List everything that someone must act on."""
    from exporter.cli import commands

    wanted = {"space": space, "registry": registry, "finding": finding, "deployed": deployed}
    return commands.findings(load(_given(flags)), output, wanted)


@demo.command("check")
@_AS_JSON
@with_settings
def demo_check(output: str | None, **flags: str | None) -> int:
    """Like check, against the demo registry."""
    from exporter.cli import commands

    with commands.demo_settings(_given(flags)) as settings:
        return commands.check(settings, as_json=output is not None)


@demo.command("dump")
@_TO_FILE
@with_settings
def demo_dump(output: str | None, **flags: str | None) -> int:
    """Like dump, against the demo registry."""
    from exporter.cli import commands

    with commands.demo_settings(_given(flags)) as settings:
        return commands.dump(settings, output)


@demo.command("findings")
@_with_filters
@with_settings
def demo_findings(
    *, output: str | None, space: _Names, registry: _Names, finding: _Names, deployed: _Names, **flags: str | None
) -> int:
    """Like findings, of the demo registry."""
    from exporter.cli import commands

    wanted = {"space": space, "registry": registry, "finding": finding, "deployed": deployed}
    with commands.demo_settings(_given(flags)) as settings:
        return commands.findings(settings, output, wanted)


@program.group("web-config", cls=Group, no_args_is_help=False)
def web_config() -> None:
    """Tools for web_config_file."""


@web_config.command("hash")
def hash_password() -> int:
    """Read a password, and print its bcrypt hash for basic_auth_users."""
    from exporter.cli import commands

    return commands.hash_password()


@program.command()
@click.argument("shell", type=Choice(["bash", "zsh", "fish"]))
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
    shown: click.Command = program
    for word in command:
        if not isinstance(shown, click.Group):
            raise unexpected(word, ())
        shown = shown.commands.get(word, shown)
    program.main([*command, "--help"], prog_name=ctx.find_root().info_name, standalone_mode=False)
    return 0


@program.command("version")
def show_version() -> int:
    """Show the version."""
    print(f"har-exporter {__version__}")
    return 0
