"""How commands speak to people: tables on standard output, progress and sentences on standard error.

Only a terminal gets colours, bars and lines that are folded; anything else gets plain text, one line for each space.
"""

import sys
from collections.abc import Iterable
from typing import Self, TextIO

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

from exporter.check import Verdict
from exporter.dump import Dump
from exporter.refresh import Failure, SpaceStatus

_WIDE = 10_000
_INCOMPLETE = "the listing moved while it was read, or the API miscounts it (har_snapshot_complete 0)"


def print_verdicts(verdicts: Iterable[Verdict]) -> None:
    """Print a line for each space."""
    table = Table("SPACE", "VERDICT", "ARTIFACTS", "LATENCY", "HINT", box=None, pad_edge=False)
    for verdict in verdicts:
        artifacts = "" if verdict.artifacts is None else str(verdict.artifacts)
        hint = "; ".join(text for text in (verdict.message, verdict.hint) if text)
        cells = (verdict.space, "ok" if verdict.ok else verdict.reason, artifacts, f"{verdict.seconds:.2f}s", hint)
        table.add_row(*map(Text, cells), style="" if verdict.ok else "red")
    _console(sys.stdout).print(table)


class WalkBars:
    """Shows on a terminal how far walks are: a bar for each space while it is walked through, and one for all spaces.

    Callbacks may come from any thread.
    """

    def __init__(self, spaces: int) -> None:
        """Show nothing yet.

        Args:
            spaces: how many spaces there are.
        """
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=_console(sys.stderr),
            disable=not sys.stderr.isatty(),
            transient=True,
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
        _say(_summary(dump))


def _told(failure: Failure) -> str:
    said = "; ".join(text for text in (failure.message, failure.hint) if text)
    return f"{failure.reason}: {said}\n{failure.traceback}".rstrip()


def _summary(dump: Dump) -> str:
    inventories = [status.snapshot.inventory for status in dump.statuses if status.snapshot]
    artifacts = sum(inventory.artifacts for inventory in inventories)
    findings = sum(len(inventory.findings) + inventory.findings_dropped for inventory in inventories)
    failed = sum(not status.up for status in dump.statuses)
    spaces = f"{len(dump.statuses):,} space" + "s" * (len(dump.statuses) != 1) + f", {failed:,} failed" * (failed > 0)
    return f"{spaces}: {artifacts:,} artifacts, {findings:,} findings, in {dump.seconds:.1f}s"


def _say(sentence: str, style: str = "") -> None:
    _console(sys.stderr).print(Text(f"har-exporter: {sentence}"), style=style, soft_wrap=True)


def _console(stream: TextIO) -> Console:
    terminal = stream.isatty()
    # Only a terminal has a width; a pipe gets one line for each space.
    return Console(file=stream, force_terminal=terminal, width=None if terminal else _WIDE, highlight=False)
