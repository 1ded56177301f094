"""Markdown as GitHub reads it, as far as tests ask: blocks of code, links, and the anchors of headings."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.places import ROOT

_NOT_OURS = {"dist", "mutants", "node_modules"}

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+)(?P<kind>\S*) *$")
_COMMENT = re.compile(r"^ *<!-- (?P<note>.*) -->$")
_TARGET = re.compile(r"\]\(([^()\s]+)\)|\b(?:href|src)=\"([^\"]+)\"|^\[[^\]]+\]: (\S+)", re.MULTILINE)
_ADDRESS = re.compile(r"(?<![\w/])https?://[^\s<>()\"'`]*[^\s<>()\"'`.,:;]")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block of code.

    Attributes:
        path: the document.
        line: the number of its opening fence, from 1.
        kind: the language behind the fence.
        text: what stands in it, without the indent of its list.
        note: what the HTML comment right above it says; empty without one.
    """

    path: Path
    line: int
    kind: str
    text: str
    note: str

    @property
    def place(self) -> str:
        """The document and the line, for messages and names of tests."""
        return f"{self.path.relative_to(ROOT)}:{self.line}"

    def noted(self, word: str) -> str | None:
        """Return what the note says behind `word: `; None where it is about something else."""
        found = re.fullmatch(rf"{word}: (.+)", self.note)
        return found[1] if found else None


class Command(NamedTuple):
    """A command of a `console` block, and the output that is shown below it, empty where none is."""

    line: str
    shown: str


def documents() -> list[Path]:
    """Return every Markdown file of the project."""
    found = (path for path in ROOT.rglob("*.md") if _is_ours(path.relative_to(ROOT)))
    return sorted(found)


def _is_ours(path: Path) -> bool:
    return not any(part in _NOT_OURS or (part.startswith(".") and part != ".github") for part in path.parts)


def blocks(path: Path) -> list[Block]:
    """Return the fenced blocks of a document in their order."""
    return list(_blocks(path))


def _blocks(path: Path) -> Iterator[Block]:
    lines = path.read_text().splitlines()
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        if opening is None:
            number += 1
            continue
        end = lines.index(opening["indent"] + opening["fence"], number + 1)
        inside = [line.removeprefix(opening["indent"]) for line in lines[number + 1 : end]]
        note = _COMMENT.match(lines[number - 1]) if number else None
        yield Block(path, number + 1, opening["kind"], "\n".join(inside), note["note"] if note else "")
        number = end + 1


def commands(block: Block) -> list[Command]:
    """Return the commands behind the prompts of a block, each with the lines of its output."""
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert not parts[0], f"{block.place} begins without a prompt"
    return [Command(*_halves(part)) for part in parts[1:]]


def _halves(part: str) -> tuple[str, str]:
    """Part a command, which goes on behind each backslash at a line's end, from its output."""
    command = re.match(r"(?:.*\\\n)*.*", part)
    assert command is not None
    return command[0], part[command.end() :].strip("\n")


def prose(path: Path) -> str:
    """Return a document without its blocks; the comments of HTML, which no reader sees, are left out too."""
    text = re.sub(r"^( *)(```+)\S* *\n.*?^\1\2$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


def links(path: Path) -> list[str]:
    """Return the targets of a document's links and pictures, and the addresses in its text."""
    text = re.sub(r"`[^`\n]+`", "", prose(path))
    targets = [next(filter(None, groups)) for groups in _TARGET.findall(text)]
    return sorted({*targets, *_ADDRESS.findall(text)})


def code(path: Path) -> list[str]:
    """Return what stands in backticks in a document's text."""
    return re.findall(r"`([^`\n]+)`", prose(path))


def anchors(path: Path) -> set[str]:
    """Return the names that GitHub gives a document's headings."""
    seen: dict[str, int] = {}
    for heading in _HEADING.findall(prose(path)):
        text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        seen[name] = seen.get(name, -1) + 1
        if seen[name]:
            seen[f"{name}-{seen[name]}"] = 0
    return set(seen)


def expressions(block: Block) -> list[str]:
    """Return the expressions of a `promql` block, which lines with comments part."""
    return [text for text in re.split(r"^#.*\n", block.text, flags=re.MULTILINE) if text.strip()]
