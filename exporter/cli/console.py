"""Output for people: tables on standard output, progress and messages on standard error.

Only a terminal gets colours, progress bars and wrapped lines; a pipe gets plain text, one line per space.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Self

from rich.console import Console
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
from exporter.cli.findings import Row, totals
from exporter.cli.messages import WIDE, console_on, print_text, say
from exporter.engine.app import App
from exporter.inventory.refresh import Failure, SpaceStatus
from exporter.metrics.source_families import SourceView
from exporter.scopes import first_of, without_scope
from exporter.texts import format_duration

_HEADS = ("SPACE", "VERDICT", "ARTIFACTS", "SERIES", "REQUESTS", "REFRESH", "LATENCY")
_FINDING_HEADS = ("FINDING", "SPACE", "REGISTRY", "ARTIFACT", "VERSION", "PROD", "NONPROD", "WHY")
_INCOMPLETE = "incomplete: the listing changed during the refresh, or the API miscounts it (har_snapshot_complete 0)"


def print_report(report: Report) -> None:
    """Print a table of the spaces with hints; warnings about all of them go to standard error."""
    if report.spaces:
        _print_spaces(report.spaces)
    else:
        advice = "" if report.total.failed else ": check spaces, shard and shards"
        say(f"this shard serves no space{advice}", style="yellow")
    for warning in report.warnings:
        say(warning, style="yellow")
    if report.spaces and sys.stderr.isatty():
        say(_summary_of_check(report))


def _print_spaces(verdicts: Sequence[Verdict]) -> None:
    console = console_on(sys.stdout)
    table = _table(verdicts, with_hints=not console.is_terminal)
    lists = [
        (verdict.space, zip(_HEADS[1:], _cells(verdict)[1:], strict=True), _style(verdict)) for verdict in verdicts
    ]
    _print_table(console, table, lists)
    if console.is_terminal:
        _print_hints(console, verdicts)


def _print_table(console: Console, table: Table, lists: Iterable[tuple[str, Iterable[tuple[str, str]], str]]) -> None:
    """Print a table; on a terminal that is too narrow for it, lists of the same content.

    Args:
        console: where to.
        table: the table.
        lists: name, pairs of head and figure, and style of each row.
    """
    if not console.is_terminal:
        with console.capture() as captured:
            console.print(table)
        # Without the padding of the last column.
        print(*(line.rstrip() for line in captured.get().splitlines()), sep="\n")
    elif console.measure(table, options=console.options.update_width(WIDE)).maximum <= console.width:
        console.print(table)
    else:
        for name, figures, style in lists:
            print_text(console, name, style)
            for head, figure in figures:
                if figure:
                    print_text(console, f"  {head.lower():<9}  {figure}")


def _print_hints(console: Console, verdicts: Sequence[Verdict]) -> None:
    for spaces, mode in _by_text((verdict.space, verdict.images) for verdict in verdicts if verdict.images):
        print_text(console, f"{spaces}: images are listed by {mode}")
    for style in ("red", "yellow"):
        hints = [(verdict.space, hint) for verdict in verdicts if _style(verdict) == style for hint in _hints(verdict)]
        for spaces, hint in _by_text(hints):
            print_text(console, f"{spaces}: {hint}", style)


def _by_text(texts: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Return each text once, with the first of the spaces that it is about."""
    about: dict[str, list[tuple[str, str]]] = {}
    for space, text in texts:
        about.setdefault(without_scope(text, space), []).append((space, text))
    for shared, found in about.items():
        yield first_of([space for space, _ in found]), shared if len(found) > 1 else found[0][1]


def _table(verdicts: Sequence[Verdict], *, with_hints: bool) -> Table:
    table = Table(box=None, pad_edge=False)
    for head in _HEADS:
        table.add_column(head, justify="left" if head in {"SPACE", "VERDICT"} else "right", no_wrap=True)
    if with_hints:
        table.add_column("IMAGES")
        table.add_column("HINT")
    for verdict in verdicts:
        hints = [verdict.images, "; ".join(_hints(verdict))] if with_hints else []
        table.add_row(*map(Text, [*_cells(verdict), *hints]), style=_style(verdict))
    return table


def _cells(verdict: Verdict) -> tuple[str, ...]:
    """Return the figures of a space; a plus marks those that may be higher."""
    return (
        verdict.space,
        verdict.reason or ("warn" if verdict.warnings else "ok"),
        _figure(verdict.artifacts, more=verdict.requests is None),
        _figure(verdict.series, more=not verdict.series_exact),
        _figure(verdict.requests),
        "" if verdict.refresh_seconds is None else _span(verdict.refresh_seconds),
        _span(verdict.seconds),
    )


def _span(seconds: float) -> str:
    return f"{seconds:.2f}s" if seconds < 10 else format_duration(seconds)  # noqa: PLR2004 - two digits are precise enough


def _figure(number: int | None, *, more: bool = False) -> str:
    return "" if number is None else f"{number}{'+' if more else ''}"


def _hints(verdict: Verdict) -> Iterator[str]:
    """Return the failure of a space and what helps, and each warning."""
    if not verdict.ok:
        yield "; ".join(filter(None, (verdict.message, verdict.hint)))
    yield from verdict.warnings


def _style(verdict: Verdict) -> str:
    return ("yellow" if verdict.warnings else "") if verdict.ok else "red"


def _summary_of_check(report: Report) -> str:
    total = report.total
    found = "".join(f"{entry}: {_spaces(number, 0)} found; " for entry, number in report.found.items())
    findings = f", and at most {total.finding_series:,} more of findings" if total.finding_series else ""
    return (
        f"{found}{_spaces(total.spaces, total.failed)}: {total.artifacts:,} artifacts; a refresh takes"
        f" {total.requests:,} requests and at least {_span(total.refresh_seconds)}; at least {total.series:,}"
        f" series{findings}; certificates are checked against {report.certificates}"
    )


@contextmanager
def asking() -> Iterator[tuple[Callable[[int], None], Callable[[], None]]]:
    """Show on a terminal how many spaces have answered.

    Yields:
        A function to call with the number of spaces, and one to call for each that answered, from any thread.
    """
    with _progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()) as progress:
        task = progress.add_task("spaces asked", total=None)
        yield lambda spaces: progress.update(task, total=spaces), partial(progress.advance, task)


class RefreshBars:
    """Progress of refreshes on a terminal: a bar for each space that is being refreshed, and one for all spaces.

    The callbacks may be called from any thread.
    """

    def __init__(self) -> None:
        """Show nothing yet."""
        self._progress = _progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
        )
        self._all = self._progress.add_task("spaces", total=None, unit="spaces", visible=False)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def on_start(self, app: App) -> None:
        """Show how many spaces there are."""
        spaces = len(app.refresher.statuses())
        self._progress.update(self._all, total=spaces, visible=spaces > 1)

    def on_page(self, space: str, rows: int, reported: int | None) -> None:
        """Show the rows of a space so far, and the reported rows, if any."""
        if space not in self._tasks:
            self._tasks[space] = self._progress.add_task(space, total=None, unit="artifacts")
        self._progress.update(self._tasks[space], completed=rows, total=reported)

    def on_end(self, status: SpaceStatus) -> None:
        """Show that the refresh of one more space has ended."""
        if status.space in self._tasks:
            self._progress.update(self._tasks[status.space], visible=False)
        self._progress.advance(self._all)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        unit = task.fields["unit"]
        return Text(f"{task.speed:,.0f} {unit}/s" if task.speed and unit == "artifacts" else "")


def print_failures(statuses: Sequence[SpaceStatus], sources: Sequence[SourceView]) -> None:
    """Print why each failed space failed, and each source that failed for another reason."""
    failures = [(status.space, _failure_text(status.last_failure)) for status in statuses if status.last_failure]
    messages = {status.last_failure.message for status in statuses if status.last_failure}
    failures += [
        (source.entry, f"{source.source}: {_failure_text(source.last_failure)}")
        for source in sources
        if source.last_failure and source.last_failure.message not in messages
    ]
    for spaces, text in _by_text(failures):
        say(f"{spaces}: {text}", style="red")


def print_findings(rows: Sequence[Row]) -> None:
    """Print what someone must act on, and on a terminal how much that is."""
    console = console_on(sys.stdout)
    table = Table(box=None, pad_edge=False)
    for head in _FINDING_HEADS:
        table.add_column(head, no_wrap=True, justify="right" if head in {"PROD", "NONPROD"} else "left")
    lists = []
    for row in rows:
        cells, style = _finding_cells(row), "red" if row.prod else ""
        table.add_row(*map(Text, cells), style=style)
        lists.append((f"{row.artifact} {row.version}".rstrip(), zip(_FINDING_HEADS, cells, strict=True), style))
    if rows:
        _print_table(console, table, lists)
    if sys.stderr.isatty():
        found = ", ".join(f"{number:,} {name}" for name, number in totals(rows).items() if name != "all")
        say(f"{len(rows):,} to act on: {found}" if rows else "nothing to act on")


def _finding_cells(row: Row) -> tuple[str, ...]:
    environments = (_figure(row.prod), _figure(row.nonprod))
    why = row.reason or "; ".join(filter(None, (row.categories, row.policy_sets)))
    return row.finding, row.space, row.registry, row.artifact, row.version, *environments, why


def print_dump_summary(dump: Dump) -> None:
    """Print why each failed space failed, and on a terminal a summary."""
    print_failures(dump.statuses, dump.sources)
    if sys.stderr.isatty():
        incomplete = [status.space for status in dump.statuses if status.snapshot and not status.snapshot.complete]
        if incomplete:
            say(f"{first_of(incomplete)}: {_INCOMPLETE}", style="yellow")
        say(_summary_of_dump(dump))


def _failure_text(failure: Failure) -> str:
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
    return Progress(*columns, console=console_on(sys.stderr), disable=not sys.stderr.isatty(), transient=True)
