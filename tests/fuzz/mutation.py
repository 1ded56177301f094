"""Changes of inputs that keep most of their structure: JSON, YAML, and heads of requests."""

import random
import re
from collections.abc import Sequence

YAML = (
    *b"[] {} null ~ true no off 0 1 -1 1.5 1e9 ? | > - &a *a !!binary <<: ... ---".split(),
    *(b"\t", b" #", b"%YAML 1.2\n", b"\r", b"\x00", b"\xff", b"\xff\xfe", b'"\\ud800"'),
    *(character.encode() for character in "\x85\u2028\ufeff"),
)
"""Values and marks of YAML."""

_PART = re.compile(rb'"(?:[^"\\]|\\.)*"|[\w.+\-/$%]+|[ \t\r]+|.', re.DOTALL)
_CLOSING = {b"{": b"}", b"[": b"]"}
_SEPARATORS = {b",", b"\n", b"&", b";"}
_MOST_CHANGES = 3


def mutate(data: bytes, tokens: Sequence[bytes], most: int, rng: random.Random) -> bytes:
    """Return the data with some values replaced, and some items of its lists and objects, or lines, doubled or removed.

    Args:
        data: the data.
        tokens: values and names to put in.
        most: bytes of the longest result.
        rng: source of the changes.
    """
    parts = _PART.findall(data)
    for _ in range(rng.randint(1, _MOST_CHANGES)):
        values = [place for place, part in enumerate(parts) if part[:1].isalnum() or part[:1] in b'"[{-$/']
        if not values:
            return rng.choice(tokens)[:most]
        rng.choice((_replace, _replace, _double, _remove))(parts, rng.choice(values), tokens, rng)
    return b"".join(parts)[:most]


def _replace(parts: list[bytes], at: int, tokens: Sequence[bytes], rng: random.Random) -> None:
    end = _end(parts, at)
    # Names are quoted where the others are.
    fitting = [token for token in tokens if token[:1] == parts[at][:1]] if parts[end : end + 1] == [b":"] else ()
    start = rng.randrange(len(parts))
    value = b"".join(parts[start : _end(parts, start)])
    parts[at:end] = [rng.choice((value, *rng.choices(fitting or tokens, k=3)))]


def _double(parts: list[bytes], at: int, *_: object) -> None:
    start, end = _item(parts, at)
    parts[end:end] = [next((part for part in parts[end:] if part in _SEPARATORS), b","), *parts[start:end]]


def _remove(parts: list[bytes], at: int, *_: object) -> None:
    start, end = _item(parts, at)
    if parts[end : end + 1] and parts[end] in _SEPARATORS:
        end += 1
    elif start and parts[start - 1] in _SEPARATORS:
        start -= 1
    del parts[start:end]


def _item(parts: list[bytes], at: int) -> tuple[int, int]:
    """Return start and end of the item of a list, pair of an object, or line, that has a part at this place."""
    start, end = at, _end(parts, at)
    while start and parts[start - 1] not in _SEPARATORS | _CLOSING.keys():
        start -= 1
    while end < len(parts) and parts[end] not in _SEPARATORS | set(_CLOSING.values()):
        end = _end(parts, end)
    return start, end


def _end(parts: list[bytes], start: int) -> int:
    """Return the end of the value that begins here: of a list or an object, after its closing bracket."""
    opening = parts[start]
    depth = 0
    for end in range(start, len(parts)) if opening in _CLOSING else ():
        depth += (parts[end] == opening) - (parts[end] == _CLOSING[opening])
        if not depth:
            return end + 1
    return start + 1
