"""What a row of the table says."""

from typing import NamedTuple


class Promise(NamedTuple):
    """A promise, and what became of it.

    Attributes:
        text: what is promised.
        required: the figure to reach.
        measured: the figure that was reached.
        kept: whether that is good enough.
    """

    text: str
    required: str
    measured: str
    kept: bool


def at_most(text: str, measured: float, limit: float, unit: str = "") -> Promise:
    """Return a promise that is kept up to a limit, the limit included."""
    return Promise(text, f"<= {limit:.4g}{unit}", f"{measured:.4g}{unit}", measured <= limit)


def exactly(text: str, measured: object, required: object) -> Promise:
    """Return a promise that is kept by one value."""
    return Promise(text, str(required), str(measured), measured == required)
