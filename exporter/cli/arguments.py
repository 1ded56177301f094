"""Arguments of the command line: flags and words, the help that lists them, and what is unknown."""

import re
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import Any

import click

from exporter.config.settings import FLAGLESS, Settings, default_text
from exporter.texts import SettingsError, quoted

INVALID = 2
INTERRUPTED = 130

_SWITCHES = [name for name, field in Settings.model_fields.items() if field.annotation in {bool, bool | None}]
_NEGATIONS = {f"--no-{name.replace('_', '-')}": f"--{name.replace('_', '-')}=false" for name in _SWITCHES}

_IMPLIED = "exporter.implied"  # in the context of click: no command was named

_SETTINGS_ELSEWHERE = """\
Every setting is a flag of this command too. `har-exporter serve --help` lists them with their defaults."""


def refuse(faults: Iterable[str]) -> int:
    """Print faults, and return the exit code."""
    from exporter.cli.messages import say  # noqa: PLC0415 - imports much, which `--help` need not wait for

    for fault in faults:
        # The library lists choices below each other.
        say(" ".join(fault.split()))
    return INVALID


class _Formatter(click.HelpFormatter):
    """Help whose lines break between words only."""

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write names with their texts beside them."""
        rows = list(rows)
        names = min(max(len(name) for name, _ in rows), col_max) + col_spacing
        width = self.width - names - 2
        super().write_dl([(name, _breakable(text, width)) for name, text in rows], col_max, col_spacing)


def _breakable(text: str, width: int) -> str:
    """Return a text in which words that are longer than a line are split after slashes."""
    # Where one piece ends, the next one does not fit in the same line.
    return " ".join(piece for word in text.split() for piece in _pieces(word, width))


def _pieces(word: str, width: int) -> Iterator[str]:
    piece = ""
    for part in re.findall("[^/]*/|[^/]+", word):
        if piece and len(word) > width < len(piece + part):
            yield piece
            piece = ""
        piece += part
    yield piece


class _Context(click.Context):
    formatter_class = _Formatter


class _Setting(click.Option):
    """Flag of a setting, which every command has that reads settings."""


class Choice(click.Choice[str]):
    """One of a few words."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """Return the word.

        Raises:
            UsageError: it is none of them; the error names the nearest one.
        """
        if value not in self.choices:
            raise _unknown(str(param and param.name), value, self.choices)
        return value


class _Command(click.Command):
    """Command with an exit code for everything that may go wrong."""

    context_class = _Context
    allow_extra_args = True  # refused below

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the flags.

        Raises:
            UsageError: a flag or a word is unknown; the error names the nearest one, also for a flag with one dash.
        """
        given = list(args)
        try:
            rest = super().parse_args(ctx, [_NEGATIONS.get(arg, arg) for arg in args])
        except click.NoSuchOption as error:
            # click splits -config into the flags -c, -o and so on.
            flag = next((arg for arg in given if arg.startswith(error.option_name)), error.option_name)
            raise _unknown("flag", flag.partition("=")[0], self._flags(ctx)) from None
        if rest and not isinstance(self, click.Group) and not ctx.resilient_parsing:
            root = ctx.find_root().command
            raise unexpected(rest[0], root.commands if isinstance(root, click.Group) else ())
        return rest

    def _flags(self, ctx: click.Context) -> list[str]:
        """Return the flags that a user may have meant, those of this command only first."""
        own = sorted(self.get_params(ctx), key=lambda param: isinstance(param, _Setting))
        # Without a command, the flags of the program itself are valid too.
        implied = ctx.parent.command.get_params(ctx.parent) if ctx.parent and ctx.meta.get(_IMPLIED) else []
        return [flag for param in [*own, *implied] for flag in param.opts]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the flags of this command; those of the settings only for `serve`."""
        own: list[tuple[str, str]] = []
        settings: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            if isinstance(param, click.Option) and (record := param.get_help_record(ctx)):
                (settings if isinstance(param, _Setting) else own).append(record)
        with formatter.section("Options"):
            formatter.write_dl(own)
        if settings and self.name == "serve":
            with formatter.section("Settings"):
                formatter.write_dl(settings)
        elif settings:
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(_SETTINGS_ELSEWHERE)

    def invoke(self, ctx: click.Context) -> int:
        """Run the command, and return the exit code."""
        try:
            code: int = super().invoke(ctx)
        except SettingsError as error:
            return refuse(error.faults)
        except KeyboardInterrupt:
            return INTERRUPTED
        return code


class Group(_Command, click.Group):
    """Group of commands, of which `serve` runs if none is named."""

    command_class = _Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `serve` before flags without a command."""
        # What is completed is not among the arguments: without any, it may be the name of a command.
        implied = args[0].startswith("-") and not _is_own(args[0]) if args else not ctx.resilient_parsing
        if implied and "serve" in self.commands:
            ctx.meta[_IMPLIED] = True
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the flags and the commands."""
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first argument names.

        Raises:
            UsageError: there is no such command.
        """
        if args[0] not in self.commands and not ctx.resilient_parsing:
            raise _unknown("command", args[0], self.commands)
        return super().resolve_command(ctx, args)


def _is_own(flag: str) -> bool:
    return flag in {"--help", "--version"}


def _unknown(kind: str, given: str, known: Iterable[str]) -> click.UsageError:
    near = _nearest(given, known)
    hint = f"did you mean {near}?" if near else "--help lists all"
    return click.UsageError(f"unknown {kind} {quoted(given)}; {hint}")


def unexpected(word: str, commands: Iterable[str]) -> click.UsageError:
    """Return the error for a word that no command takes; it may be a command in the wrong place."""
    near = _nearest(word, commands)
    hint = f"did you mean {near}? A command comes before its flags" if near else "--help lists what is accepted"
    return click.UsageError(f"unexpected word {quoted(word)}; {hint}")


def _nearest(given: str, known: Iterable[str]) -> str | None:
    """Return the known word that a user most probably meant; None if none is similar."""
    by_name = {name.lstrip("-"): name for name in known}
    like = given.lstrip("-").lower().replace("_", "-")
    near = [name for name in by_name if like and name.startswith(like)] or get_close_matches(like, by_name, n=1)
    # The short flags of other programs: -o json, -ojson.
    if not near and given.startswith("-") and not given.startswith("--"):
        near = [name for name in by_name if name.startswith(like[:1] or " ")]
    near.sort(key=lambda name: name.replace("-", "_") in Settings.model_fields)
    return by_name[near[0]] if near else None


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
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
    if name in _SWITCHES:
        # Without a value it means true.
        return click.option(flag, cls=_Setting, is_flag=False, flag_value="true", metavar="[VALUE]", help=text)
    return click.option(flag, cls=_Setting, metavar="VALUE", help=text)
