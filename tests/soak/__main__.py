"""Measure the promises that need time, over real processes: `make soak`, or some of it: `make soak ROWS=slow-clients`.

Prints one table, and ends with 1 when a promise is broken. The figures are those of a machine that does nothing else.
"""

import sys
import time

from rich.console import Console
from rich.table import Table
from soak import deadlines, handshakes, leaks, shutdown, slow_clients
from soak.promise import Promise

_ROWS = {
    "deadlines": deadlines.rows,
    "slow-clients": slow_clients.rows,
    "handshakes": handshakes.rows,
    "shutdown": shutdown.rows,
    "leaks": leaks.rows,
}


def main(wanted: list[str]) -> int:
    """Measure the wanted rows, or all, and return the exit code."""
    errors = Console(stderr=True)
    if unknown := set(wanted) - _ROWS.keys():
        errors.print(f"soak: no rows {', '.join(sorted(unknown))}; there are {', '.join(_ROWS)}")
        return 2
    promises: list[Promise] = []
    for name in wanted or _ROWS:
        began = time.monotonic()
        promises += _ROWS[name]()
        errors.print(f"{name}: {time.monotonic() - began:.0f} s")
    _print(promises)
    return 0 if all(promise.kept for promise in promises) else 1


def _print(promises: list[Promise]) -> None:
    table = Table("PROMISE", "REQUIRED", "MEASURED", "VERDICT", box=None, pad_edge=False)
    for promise in promises:
        verdict = "kept" if promise.kept else "BROKEN"
        table.add_row(promise.text, promise.required, promise.measured, verdict, style="" if promise.kept else "red")
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
