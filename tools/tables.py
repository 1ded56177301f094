"""Generated tables of the documents: `make readme` writes them, and a test compares them with the code."""

import ast
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from exporter.config.settings import OnReload, Settings, default_text, names_of
from exporter.metrics.family import LABELS, Family
from exporter.metrics.process_families import PROCESS_FAMILIES
from exporter.metrics.source_families import LISTED_FAMILIES, SOURCE_FAMILIES
from exporter.metrics.space_families import SPACE_FAMILIES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), ["---" for _ in head], *map(list, rows)]
    escaped = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def families(found: Iterable[Family[Any]]) -> str:
    rows = ((f"`{row.name}`", row.type, ", ".join(f"`{label}`" for label in row.labels), row.help) for row in found)
    return table(("metric", "type", "labels", "meaning"), rows)


def labels() -> str:
    return table(("label", "from"), ((f"`{name}`", source) for name, source in LABELS.items()))


def settings() -> str:
    def rows() -> Iterator[tuple[str, str, str]]:
        for name, field in Settings.model_fields.items():
            default = default_text(name)
            yield f"`{name}`", f"`{default}`" if default else "", field.description or ""

    return table(("setting", "default", "meaning"), rows())


def reload_effects() -> str:
    """List the settings by the effect of a change at a reload."""
    rows = ((", ".join(f"`{name}`" for name in names_of(effect)), str(effect)) for effect in OnReload)
    return table(("setting", "effect of a change"), rows)


def modules() -> str:
    """List the files from the top layer down, each with the first line of its docstring."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    names = [name.strip() for layer in contracts[0]["layers"] for name in re.split("[|:]", layer)]
    paths = [path for name in names for path in _files(ROOT / "exporter" / name)]
    return table(
        ("file", "is"),
        ((f"[`{path.relative_to(ROOT)}`](../{path.relative_to(ROOT)})", _first_line(path)) for path in paths),
    )


def _files(place: Path) -> list[Path]:
    """Return the file of a module, or all files of a package, `__init__.py` first."""
    if not place.is_dir():
        return [place.with_suffix(".py")]
    return [place / "__init__.py", *sorted(path for path in place.glob("*.py") if path.name != "__init__.py")]


def _first_line(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, path
    return docstring.partition("\n")[0]


def alerts() -> str:
    """List the alerts, each with the first sentence of its runbook."""
    rules = yaml.safe_load((ROOT / "grafana" / "rules" / "har-exporter.rules.yaml").read_text())
    found = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    rows = (_alert(rule["alert"], rule["labels"]["severity"]) for rule in found)
    return table(("alert", "severity", "meaning"), rows)


def _alert(name: str, severity: str) -> tuple[str, str, str]:
    runbook = (ROOT / "grafana" / "runbooks" / f"{name}.md").read_text()
    meaning = runbook.partition("## Meaning")[2].strip().replace("\n", " ")
    return f"[{name}](../grafana/runbooks/{name}.md)", severity, re.split(r"(?<=\.) ", meaning)[0]


def packages() -> str:
    """List the packages in the image, with their versions."""
    pinned = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements" / "run.txt").read_text(), re.MULTILINE)
    return table(("package", "version"), ((f"`{name}`", version) for name, version in pinned))


PARTS = {
    DOCS / "metrics.md": {
        "metrics of spaces": lambda: families(SPACE_FAMILIES),
        "metrics of the sources": lambda: families((*LISTED_FAMILIES, *SOURCE_FAMILIES)),
        "metrics of the process": lambda: families(PROCESS_FAMILIES),
        "labels": labels,
    },
    DOCS / "settings.md": {"settings": settings},
    DOCS / "reload.md": {"reload effects": reload_effects},
    DOCS / "install.md": {"packages": packages},
    DOCS / "architecture.md": {"modules": modules},
    DOCS / "troubleshooting.md": {"alerts": alerts},
}


def render(path: Path, parts: Mapping[str, Callable[[], str]]) -> str:
    """Return a document with every generated part replaced."""
    text = path.read_text()
    for name, part in parts.items():
        begin, end = f"<!-- begin {name} -->\n", f"\n<!-- end {name} -->"
        found = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        assert found.search(text), f"{path.name} has no part {name!r}"
        text = found.sub(f"{begin}\n{part()}\n{end}".replace("\\", r"\\"), text)
    return text


if __name__ == "__main__":
    for document, parts in PARTS.items():
        document.write_text(render(document, parts))
