"""How commands speak to people: tables on standard output, progress on standard error."""

import sys
from collections.abc import Iterable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from exporter.check import Verdict

_WIDE = 10_000


def print_verdicts(verdicts: Iterable[Verdict]) -> None:
    """Print a line for each space."""
    table = Table("SPACE", "VERDICT", "ARTIFACTS", "LATENCY", "HINT", box=None, pad_edge=False)
    for verdict in verdicts:
        artifacts = "" if verdict.artifacts is None else str(verdict.artifacts)
        hint = "; ".join(text for text in (verdict.message, verdict.hint) if text)
        cells = (verdict.space, "ok" if verdict.ok else verdict.reason, artifacts, f"{verdict.seconds:.2f}s", hint)
        table.add_row(*map(Text, cells), style="" if verdict.ok else "red")
    # Only a terminal has a width; a pipe gets one line for each space.
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


def progress_bars() -> Progress:
    """Return bars to show on standard error, which show nothing where that is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
