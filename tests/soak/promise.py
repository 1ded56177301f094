"""Rows of the table."""

from typing import NamedTuple


class Promise(NamedTuple):
    """Promise, and the measurement that checks it.

    Attributes:
        text: the measured quantity.
        required: the required figure.
        measured: the measured figure.
        kept: whether the promise is kept.
    """

    text: str
    required: str
    measured: str
    kept: bool


def at_most(text: str, measured: float, limit: float, unit: str = "") -> Promise:
    """Return a promise that is kept up to and including a limit."""
    return Promise(text, f"<= {limit:.4g}{unit}", f"{measured:.4g}{unit}", measured <= limit)


def exactly(text: str, measured: object, required: object) -> Promise:
    """Return a promise that is kept by one value only."""
    return Promise(text, str(required), str(measured), measured == required)
