"""Run the benchmarks: all with `make bench`, or some with `make bench ROWS="walks starting"`.

Prints one table, and exits with 1 if a target is missed. `make bench WRITE=1` writes it to docs/benchmarks.md.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import decoding, growth, scraping, starting, walks
from benchmarks.table import HEADINGS, Section, markdown

DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
BEGIN = "<!-- begin of the table; make bench WRITE=1 -->\n"
END = "<!-- end of the table -->\n"

_PARTS: dict[str, Callable[[], Iterator[Section]]] = {
    "walks": walks.sections,
    "decoding": decoding.sections,
    "growth": growth.sections,
    "scraping": scraping.sections,
    "starting": starting.sections,
}


def main() -> int:
    """Run the requested parts, or all of them, and return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"any of {', '.join(_PARTS)}; default: all")
    parser.add_argument("--write", action="store_true", help=f"write the table to docs/{DOCUMENT.name}")
    options = parser.parse_args()
    if unknown := set(options.parts) - _PARTS.keys():
        parser.error(f"unknown part {', '.join(sorted(unknown))}; the parts are {', '.join(_PARTS)}")
    errors = Console(stderr=True)
    sections: list[Section] = []
    for name in options.parts or _PARTS:
        began = time.monotonic()
        sections += _PARTS[name]()
        errors.print(f"{name}: {time.monotonic() - began:.0f} s")
    _print(sections)
    if options.write:
        DOCUMENT.write_text(written(DOCUMENT.read_text(), f"{_machine()}\n\n{markdown(sections)}\n"))
    return 0 if all(row.reached for section in sections for row in section.rows) else 1


def written(document: str, block: str) -> str:
    """Return the document with the table between its markers replaced."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


def _machine() -> str:
    """Return a sentence with the date, the machine and its load."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    load = ", ".join(f"{figure:.1f}" for figure in os.getloadavg())
    python = f"{platform.python_implementation()} {platform.python_version()}"
    now = datetime.now(UTC)
    return (
        f"{now.day} {now:%B %Y}, {os.cpu_count()} cores of {model}, Linux {platform.release()}, {python}; load "
        f"averages at the end: {load}."
    )


def _print(sections: list[Section]) -> None:
    table = Table(*map(str.upper, HEADINGS), box=None, pad_edge=False)
    for section in sections:
        table.add_section()
        table.add_row(section.title, style="bold")
        for row in section.rows:
            table.add_row(*row.cells(), style="" if row.reached else "red")
        for note in section.notes:
            table.add_row(note)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    sys.exit(main())
