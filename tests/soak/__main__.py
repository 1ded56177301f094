"""Run the soak tests with real processes: all with `make soak`, or some with `make soak ROWS=slow-clients`.

Prints a table for each part when it ends, and exits with 1 if a promise is broken. The required figures assume a
machine without other load.
"""

import sys
import time

from rich.console import Console
from rich.table import Table

from tests.soak import amplification, cardinality, deadlines, handshakes, leaks, mixups, shutdown, slow_clients, truth
from tests.soak.promise import Promise

_ROWS = {
    "deadlines": deadlines.rows,
    "slow-clients": slow_clients.rows,
    "handshakes": handshakes.rows,
    "shutdown": shutdown.rows,
    "leaks": leaks.rows,
    "cardinality": cardinality.rows,
    "truth": truth.rows,
    "amplification": amplification.rows,
    "no-mix-up": mixups.rows,
}


def main(wanted: list[str]) -> int:
    """Measure the requested rows, or all of them, and return the exit code."""
    errors = Console(stderr=True)
    if unknown := set(wanted) - _ROWS.keys():
        errors.print(f"soak: unknown rows {', '.join(sorted(unknown))}; the rows are {', '.join(_ROWS)}")
        return 2
    kept = True
    for name in wanted or _ROWS:
        began = time.monotonic()
        promises = [*_ROWS[name]()]
        errors.print(f"{name}: {time.monotonic() - began:.0f} s")
        _print(promises)
        kept = kept and all(promise.kept for promise in promises)
    return 0 if kept else 1


def _print(promises: list[Promise]) -> None:
    table = Table("PROMISE", "REQUIRED", "MEASURED", "VERDICT", box=None, pad_edge=False)
    for promise in promises:
        verdict = "kept" if promise.kept else "BROKEN"
        table.add_row(promise.text, promise.required, promise.measured, verdict, style="" if promise.kept else "red")
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
