"""Table of measurements and their targets."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from benchmarks.contest import Spread

Bound = Literal["at most", "at least"]


class Row(NamedTuple):
    """Measurement with an optional target.

    Attributes:
        text: the measured quantity; `a / b` for a ratio.
        figure: the median, minimum and maximum of the measurements.
        unit: the unit; `x` for a ratio.
        bound: the side of the limit that reaches the target; None without a target.
        limit: the target.
    """

    text: str
    figure: Spread
    unit: str
    bound: Bound | None = None
    limit: float = 0.0

    @property
    def reached(self) -> bool:
        """Whether the target is reached; true without a target."""
        if self.bound is None:
            return True
        return self.figure.median <= self.limit if self.bound == "at most" else self.figure.median >= self.limit

    def cells(self) -> tuple[str, str, str, str, str]:
        """Return the cells of the table, in the order of `HEADINGS`."""
        low, high = _digits(self.figure.low), _digits(self.figure.high)
        spread = "" if self.figure.low == self.figure.high else f"{low} to {high}"
        target = f"{self.bound} {self.limit:.4g} {self.unit}" if self.bound else ""
        verdict = ("reached" if self.reached else "MISSED") if self.bound else ""
        return self.text, f"{_digits(self.figure.median)} {self.unit}", spread, target, verdict


def _digits(number: float) -> str:
    """Format a number with three digits, or as an integer; never as a power of ten."""
    return f"{number:.3g}" if number < 999.5 else f"{number:,.0f}"  # noqa: PLR2004 - limit of three digits


class Section(NamedTuple):
    """Rows that are measured together.

    Attributes:
        title: the heading.
        rows: the measurements.
        notes: omitted measurements, with the reason.
    """

    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


HEADINGS = ("measurement", "median", "spread", "target", "verdict")


def markdown(sections: Iterable[Section]) -> str:
    """Return the tables as Markdown."""
    parts = []
    for section in sections:
        lines = (HEADINGS, ("---",) * len(HEADINGS), *(row.cells() for row in section.rows))
        table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        parts.append("\n\n".join((f"### {section.title}", table, *section.notes)))
    return "\n\n".join(parts)
