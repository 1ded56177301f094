"""Run the benchmarks: all with `make bench`, or some with `make bench ROWS="walks starting"`.

Prints one table, and exits with 1 if a target is missed. `make bench WRITE=1` writes it to docs/benchmarks.md. The part
`freshness` takes more than an hour, so it runs only if it is named; `ROWS="freshness:10k freshness:100k"` measures some
of its courses. It has a table of its own in the document, in which only the measured courses are replaced.
"""

import argparse
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import decoding, freshness, growth, scraping, starting, walks
from benchmarks.table import HEADINGS, Section, markdown

DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
BEGIN = "<!-- begin of the table; make bench WRITE=1 -->\n"
END = "<!-- end of the table -->\n"
BEGIN_FRESHNESS = "<!-- begin of the table; make bench ROWS=freshness WRITE=1 -->\n"

_PARTS: dict[str, Callable[[], Iterator[Section]]] = {
    "walks": walks.sections,
    "decoding": decoding.sections,
    "growth": growth.sections,
    "scraping": scraping.sections,
    "starting": starting.sections,
}
_FRESHNESS = {f"freshness:{name}": name for name in freshness.COURSES}


def main() -> int:
    """Run the requested parts, or all of them, and return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    known = (*_PARTS, "freshness", *_FRESHNESS)
    parser.add_argument("parts", nargs="*", help=f"any of {', '.join(known)}; default: {', '.join(_PARTS)}")
    parser.add_argument("--write", action="store_true", help=f"write the table to docs/{DOCUMENT.name}")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(known):
        parser.error(f"unknown part {', '.join(sorted(unknown))}; the parts are {', '.join(known)}")
    sections = list(_measured([name for name in options.parts or _PARTS if name in _PARTS]))
    courses = [course for name, course in _FRESHNESS.items() if {name, "freshness"} & set(options.parts)]
    fresh = list(freshness.sections(courses)) if courses else []
    _print([*sections, *fresh])
    if options.write and sections:
        _write(BEGIN, f"{_machine()}\n\n{markdown(sections)}\n")
    if options.write and fresh:
        _write(BEGIN_FRESHNESS, f"{updated(between(DOCUMENT.read_text(), BEGIN_FRESHNESS), fresh)}\n")
    return 0 if all(row.reached for section in (*sections, *fresh) for row in section.rows) else 1


def _measured(parts: Iterable[str]) -> Iterator[Section]:
    errors = Console(stderr=True)
    for name in parts:
        began = time.monotonic()
        yield from _PARTS[name]()
        errors.print(f"{name}: {time.monotonic() - began:.0f} s")


def _write(begin: str, block: str) -> None:
    DOCUMENT.write_text(written(DOCUMENT.read_text(), begin, block))


def between(document: str, begin: str) -> str:
    """Return the table after a marker."""
    return document.partition(begin)[2].partition(END)[0]


def written(document: str, begin: str, block: str) -> str:
    """Return the document with the table after a marker replaced."""
    before, _, rest = document.partition(begin)
    _, _, after = rest.partition(END)
    return f"{before}{begin}\n{block}\n{END}{after}"


def updated(block: str, sections: Iterable[Section]) -> str:
    """Return the courses of `freshness`: those that were measured just now, and the others as they are."""
    texts = {title: text.strip() for title, text in re.findall(r"^### (.*)\n([^#]*)", block, re.MULTILINE)}
    for section in sections:
        _, _, table = markdown([section]).partition("\n\n")
        texts[section.title] = f"{_machine()}\n\n{table}"
    return "\n\n".join(f"### {title}\n\n{texts[title]}" for title in sorted(texts, key=_position))


def _position(title: str) -> int:
    return [course.title for course in freshness.COURSES.values()].index(title)


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
