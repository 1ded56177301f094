"""What a client accepts, and how much it likes each: the weights of Accept and Accept-Encoding (RFC 9110, 12.4.2)."""

import re
from collections.abc import Iterator

_WEIGHT = re.compile(r"\s*q\s*=\s*([01](?:\.[0-9]*)?)\s*", re.IGNORECASE)


def weights(header: str) -> dict[str, float]:
    """Return the weight of each choice of a header, in lower case and without its parameters.

    A choice that is there more than once, for its versions, has its largest weight; one whose weight cannot be read, 1.
    """
    found: dict[str, float] = {}
    for choice, weight in _choices(header):
        found[choice] = max(weight, found.get(choice, 0.0))
    return found


def _choices(header: str) -> Iterator[tuple[str, float]]:
    for element in header.split(","):
        choice, *parameters = element.split(";")
        given = (match for match in map(_WEIGHT.fullmatch, parameters) if match)
        yield choice.strip().lower(), next((float(match[1]) for match in given), 1.0)
