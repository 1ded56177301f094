"""The parts of the README that are made from the code: `make readme` writes them, a test holds them equal."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from exporter.metrics import LABELS, PROCESS_FAMILIES, SPACE_FAMILIES
from exporter.settings import Settings, default_text

README = Path(__file__).parent.parent / "README.md"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), ["---" for _ in head], *map(list, rows)]
    escaped = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def families(table) -> str:
    rows = ((f"`{row.name}`", row.type, ", ".join(f"`{label}`" for label in row.labels), row.help) for row in table)
    return _table(("metric", "type", "labels", "meaning"), rows)


def labels() -> str:
    return _table(("label", "from"), ((f"`{name}`", source) for name, source in LABELS.items()))


def settings() -> str:
    def rows() -> Iterator[tuple[str, str, str]]:
        for name, field in Settings.model_fields.items():
            default = default_text(name)
            yield f"`{name}`", f"`{default}`" if default else "", field.description or ""

    return _table(("setting", "default", "meaning"), rows())


PARTS = {
    "metrics of spaces": lambda: families(SPACE_FAMILIES),
    "metrics of the process": lambda: families(PROCESS_FAMILIES),
    "labels": labels,
    "settings": settings,
}


def render(text: str) -> str:
    """Return the README with every part made anew."""
    for name, part in PARTS.items():
        begin, end = f"<!-- begin {name} -->\n", f"\n<!-- end {name} -->"
        found = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        assert found.search(text), f"README.md has no part {name!r}"
        text = found.sub(f"{begin}\n{part()}\n{end}".replace("\\", r"\\"), text)
    return text


if __name__ == "__main__":
    README.write_text(render(README.read_text()))
