"""The table: a figure for each target, and whether it is reached."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from benchmarks.contest import Spread

Bound = Literal["at most", "at least"]


class Row(NamedTuple):
    """A figure, and what it has to be.

    Attributes:
        text: what is measured; a ratio says what by what.
        figure: the median, and between what all measurements lie.
        unit: of the figure; `x` for a ratio.
        bound: on which side of the limit the target is; None where there is no target.
        limit: the target.
    """

    text: str
    figure: Spread
    unit: str
    bound: Bound | None = None
    limit: float = 0.0

    @property
    def reached(self) -> bool:
        """Whether the target is reached, where there is one."""
        if self.bound is None:
            return True
        return self.figure.median <= self.limit if self.bound == "at most" else self.figure.median >= self.limit

    def cells(self) -> tuple[str, str, str, str, str]:
        """Return what the table says: what, the median, the spread, the target, the verdict."""
        low, high = _digits(self.figure.low), _digits(self.figure.high)
        spread = "" if self.figure.low == self.figure.high else f"{low} to {high}"
        target = f"{self.bound} {self.limit:.4g} {self.unit}" if self.bound else ""
        verdict = ("reached" if self.reached else "MISSED") if self.bound else ""
        return self.text, f"{_digits(self.figure.median)} {self.unit}", spread, target, verdict


def _digits(number: float) -> str:
    """Spell a number with three digits, or whole; never as a power of ten."""
    return f"{number:.3g}" if number < 999.5 else f"{number:,.0f}"  # noqa: PLR2004 - what three digits can tell


class Section(NamedTuple):
    """Rows that are measured together.

    Attributes:
        title: of all of them.
        rows: as they are measured.
        notes: what was left out, and why.
    """

    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


HEADINGS = ("what", "median", "spread", "target", "verdict")


def markdown(sections: Iterable[Section]) -> str:
    """Return the tables as Markdown."""
    parts = []
    for section in sections:
        lines = (HEADINGS, ("---",) * len(HEADINGS), *(row.cells() for row in section.rows))
        table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        parts.append("\n\n".join((f"### {section.title}", table, *section.notes)))
    return "\n\n".join(parts)
