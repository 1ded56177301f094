"""How commands speak to people: tables on standard output, progress and sentences on standard error.

Only a terminal gets colours, bars and lines that are folded; anything else gets plain text, one line for each space.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Self, TextIO

from rich.console import Console
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from exporter.check.report import Report, Verdict
from exporter.cli.dump import Dump
from exporter.config.readers import spell_duration
from exporter.inventory.refresh import Failure, SpaceStatus

_WIDE = 10_000
_HEADS = ("SPACE", "VERDICT", "ARTIFACTS", "SERIES", "REQUESTS", "REFRESH", "LATENCY")
_INCOMPLETE = "the listing moved while it was read, or the API miscounts it (har_snapshot_complete 0)"


def print_report(report: Report) -> None:
    """Print a table of the spaces, with what to change; what is to be said of all of them goes to standard error."""
    if report.spaces:
        _print_spaces(report.spaces)
    else:
        _say("no space falls on this shard: check spaces, shard and shards", style="yellow")
    for warning in report.warnings:
        _say(warning, style="yellow")
    if report.spaces and sys.stderr.isatty():
        _say(_summary_of_check(report))


def _print_spaces(verdicts: Sequence[Verdict]) -> None:
    console = _console(sys.stdout)
    table = _table(verdicts, with_hints=not console.is_terminal)
    if not console.is_terminal:
        with console.capture() as captured:
            console.print(table)
        # Without the spaces that make columns of equal width.
        print(*(line.rstrip() for line in captured.get().splitlines()), sep="\n")
    elif console.measure(table, options=console.options.update_width(_WIDE)).maximum <= console.width:
        console.print(table)
        for verdict in filter(_hint, verdicts):
            console.print(Text(f"{verdict.space}: {_hint(verdict)}", style=_style(verdict)))
    else:
        for verdict in verdicts:
            _print_as_list(console, verdict)


def _table(verdicts: Sequence[Verdict], *, with_hints: bool) -> Table:
    table = Table(box=None, pad_edge=False)
    for head in _HEADS:
        table.add_column(head, justify="left" if head in {"SPACE", "VERDICT"} else "right", no_wrap=True)
    if with_hints:
        table.add_column("HINT")
    for verdict in verdicts:
        hints = [_hint(verdict)] if with_hints else []
        table.add_row(*map(Text, [*_cells(verdict), *hints]), style=_style(verdict))
    return table


def _print_as_list(console: Console, verdict: Verdict) -> None:
    """Print a space on a terminal that is too narrow for the table: a line for each of its figures."""
    space, *figures = _cells(verdict)
    console.print(Text(space, style=_style(verdict)))
    for head, figure in zip(_HEADS[1:], figures, strict=True):
        if figure:
            console.print(Text(f"  {head.lower():<9}  {figure}"))
    if hint := _hint(verdict):
        console.print(Padding(Text(hint, style=_style(verdict)), (0, 0, 0, 2)))


def _cells(verdict: Verdict) -> tuple[str, ...]:
    """Spell the figures of a space; a plus is for those that may be higher."""
    return (
        verdict.space,
        verdict.reason or ("warn" if verdict.warnings else "ok"),
        _figure(verdict.artifacts, more=verdict.requests is None),
        _figure(verdict.series, more=not verdict.series_exact),
        _figure(verdict.requests),
        "" if verdict.refresh_seconds is None else _span(verdict.refresh_seconds),
        f"{verdict.seconds:.2f}s",
    )


def _span(seconds: float) -> str:
    return f"{seconds:.2f}s" if seconds < 10 else spell_duration(seconds)  # noqa: PLR2004 - two digits tell enough


def _figure(number: int | None, *, more: bool = False) -> str:
    return "" if number is None else f"{number}{'+' if more else ''}"


def _hint(verdict: Verdict) -> str:
    return "; ".join(text for text in (verdict.message, verdict.hint, *verdict.warnings) if text)


def _style(verdict: Verdict) -> str:
    return ("yellow" if verdict.warnings else "") if verdict.ok else "red"


def _summary_of_check(report: Report) -> str:
    total = report.total
    findings = f", and at most {total.finding_series:,} more of findings" if total.finding_series else ""
    return (
        f"{_spaces(total.spaces, total.failed)}: {total.artifacts:,} artifacts; a refresh takes {total.requests:,}"
        f" requests and at least {_span(total.refresh_seconds)}; at least {total.series:,} series{findings}"
    )


@contextmanager
def asking(spaces: int) -> Iterator[Callable[[], None]]:
    """Show on a terminal how many spaces have answered; yields what is to be called for each, from any thread."""
    with _progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()) as progress:
        task = progress.add_task("spaces asked", total=spaces)
        yield partial(progress.advance, task)


class WalkBars:
    """Shows on a terminal how far walks are: a bar for each space while it is walked through, and one for all spaces.

    Callbacks may come from any thread.
    """

    def __init__(self, spaces: int) -> None:
        """Show nothing yet.

        Args:
            spaces: how many spaces there are.
        """
        self._progress = _progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
        )
        self._all = self._progress.add_task("spaces", total=spaces, unit="spaces", visible=spaces > 1)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def on_page(self, space: str, rows: int, reported: int | None) -> None:
        """Show the rows of a space so far, and how many there are as far as the API says."""
        if space not in self._tasks:
            self._tasks[space] = self._progress.add_task(space, total=None, unit="artifacts")
        self._progress.update(self._tasks[space], completed=rows, total=reported)

    def on_end(self, status: SpaceStatus) -> None:
        """Show that there is one space less to walk through."""
        if status.space in self._tasks:
            self._progress.update(self._tasks[status.space], visible=False)
        self._progress.advance(self._all)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        unit = task.fields["unit"]
        return Text(f"{task.speed:,.0f} {unit}/s" if task.speed and unit == "artifacts" else "")


def tell_of_dump(dump: Dump) -> None:
    """Say of each space that failed why, and on a terminal what the walks came to."""
    for status in dump.statuses:
        if status.last_failure:
            _say(f"{status.space}: {_told(status.last_failure)}", style="red")
    if sys.stderr.isatty():
        for status in dump.statuses:
            if status.snapshot and not status.snapshot.complete:
                _say(f"{status.space}: {_INCOMPLETE}", style="yellow")
        _say(_summary_of_dump(dump))


def _told(failure: Failure) -> str:
    said = "; ".join(text for text in (failure.message, failure.hint) if text)
    return f"{failure.reason}: {said}\n{failure.traceback}".rstrip()


def _summary_of_dump(dump: Dump) -> str:
    inventories = [status.snapshot.inventory for status in dump.statuses if status.snapshot]
    artifacts = sum(inventory.artifacts for inventory in inventories)
    findings = sum(len(inventory.findings) + inventory.findings_dropped for inventory in inventories)
    failed = sum(not status.up for status in dump.statuses)
    spaces = _spaces(len(dump.statuses), failed)
    return f"{spaces}: {artifacts:,} artifacts, {findings:,} findings, in {dump.seconds:.1f}s"


def _spaces(number: int, failed: int) -> str:
    return f"{number:,} space" + "s" * (number != 1) + f", {failed:,} failed" * (failed > 0)


def _progress(*columns: ProgressColumn) -> Progress:
    return Progress(*columns, console=_console(sys.stderr), disable=not sys.stderr.isatty(), transient=True)


def _say(sentence: str, style: str = "") -> None:
    _console(sys.stderr).print(Text(f"har-exporter: {sentence}"), style=style, soft_wrap=True)


def _console(stream: TextIO) -> Console:
    terminal = stream.isatty()
    # Only a terminal has a width; a pipe gets one line for each space.
    return Console(file=stream, force_terminal=terminal, width=None if terminal else _WIDE, highlight=False)
