"""Values as users write them: YAML documents, numbers, switches, durations and keys, all of them text.

A reader takes what a source holds and returns the value. It raises ValueError with a message that says what is
accepted; pydantic collects these.
"""

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, SecretStr

_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,12})?"
_DURATION = re.compile(rf"(?:({_NUMBER})d)?(?:({_NUMBER})h)?(?:({_NUMBER})m)?(?:({_NUMBER})s)?(?:({_NUMBER})ms)?")
_UNITS = (Decimal(86400), Decimal(3600), Decimal(60), Decimal(1), Decimal("0.001"))
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})

SHORTEST_KEY = 12
"""Characters of the shortest API key: a shorter one could not be removed from texts of the server without damage."""

# Anything else is refused by http.client, whose error message shows the whole header.
_KEY = re.compile(rf"[!-~]{{{SHORTEST_KEY},}}")

# Not a flag, which a message must name.
_PERHAPS_KEY = re.compile(rf"(?<![^\s/,])(?!-+[a-z-]+(?![^\s/,]))([^\s/,]{{4}})[^\s/,]{{{SHORTEST_KEY - 4},}}")
_LONGEST_QUOTE = 80

DurationText = Annotated[str, Field(pattern=r"^(([0-9.]+(d|h|m|s|ms))+|[0-9.]+)$")]
"""Type of a duration as text, for schemas: readable in a message, and not stricter than the reader."""

DURATION_FORMS = "30s, 5m, 1h30m, 500ms, 7d, or a number of seconds"
"""The accepted forms of a duration, for error messages."""


class SettingsError(Exception):
    """Settings, or a file that they name, cannot be used.

    Attributes:
        faults: one printable line per fault; names the setting as its source writes it, never a secret value.
    """

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(map(_printable, faults))
        super().__init__("\n".join(self.faults))


def quoted(text: str) -> str:
    """Return what a user wrote, in quotes for a message; what is long enough for a key is cut, as it may be one."""
    # pydantic refuses messages with bytes of the environment that are not UTF-8.
    cut = _PERHAPS_KEY.sub(r"\1…", _printable(text))
    return f"'{cut}'" if len(cut) <= _LONGEST_QUOTE else f"'{cut[:_LONGEST_QUOTE]}…'"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def read_text(value: object) -> str:
    """Return a single value as stripped text."""
    # A default of the type SecretStr is validated like any other value.
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if not isinstance(value, str | int | float | Path):
        raise ValueError("must be a single value, not a list or a mapping")  # noqa: TRY004 - pydantic collects these
    return str(value).strip()


def read_key(value: object) -> str:
    """Return an API key."""
    key = read_text(value)
    if not _KEY.fullmatch(key):
        raise ValueError(f"must hold a key of at least {SHORTEST_KEY} printable ASCII characters without spaces")
    return key


def whole(least: int, most: int) -> BeforeValidator:
    """Return a reader of whole numbers within these bounds."""

    def read(value: object) -> int:
        digits = read_text(value)
        if not re.fullmatch(r"[0-9]{1,9}", digits) or not least <= int(digits) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(digits)

    return BeforeValidator(read, json_schema_input_type=Annotated[int, Field(ge=least, le=most)])


def read_switch(value: object) -> bool:
    """Return a boolean; accepts true, yes, on, 1 and their opposites in any case."""
    word = read_text(value).lower()
    if word not in _TRUE | _FALSE:
        raise ValueError("must be true or false")
    return word in _TRUE


def read_duration(value: object) -> float:
    """Return the seconds of `30s`, `5m`, `1h30m`, `500ms`, `7d` or a number of seconds."""
    duration = read_text(value)
    if re.fullmatch(_NUMBER, duration):
        duration += "s"
    found = _DURATION.fullmatch(duration)
    if not duration or not found:
        raise ValueError(f"must be a duration: {DURATION_FORMS}")
    # Decimal, so that 0.1s is not 0.1000000000000000055s.
    return float(sum(Decimal(number or 0) * unit for number, unit in zip(found.groups(), _UNITS, strict=True)))


def format_duration(seconds: float) -> str:
    """Return a duration as settings write it: `1h30m`; in tenths of a second below ten seconds: `0.3s`."""
    if seconds < 10:  # noqa: PLR2004 - two digits are precise enough
        return f"{round(seconds, 1):g}s"
    left, formatted = round(seconds), ""
    for unit, length in zip("dhms", map(int, _UNITS), strict=False):
        number, left = divmod(left, length)
        formatted += f"{number}{unit}" if number else ""
    return formatted


class _Loader(yaml.BaseLoader):
    """Loads every scalar as text, as in the environment: `off` is no boolean, null is empty."""

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self.repeated: list[tuple[str, int]] = []

    def construct_scalar(self, node: yaml.ScalarNode) -> str:
        try:
            node.value.encode()
        except UnicodeEncodeError:  # an escaped half of a surrogate pair
            raise yaml.MarkedYAMLError(problem_mark=node.start_mark) from None
        # A quoted "null" is text.
        is_null = node.style is None and node.value in {"~", "null", "Null", "NULL"}
        return "" if is_null else str(super().construct_scalar(node))

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's
        # PyYAML silently keeps the last of repeated keys.
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                self.repeated.append((key.value, key.start_mark.line + 1))
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def parse_yaml(document: bytes) -> tuple[dict[str, object], list[tuple[str, int]]]:
    """Parse a YAML document that maps names to values.

    Returns:
        The mapping, of texts, lists and mappings; and each key that is repeated, with its line.

    Raises:
        ValueError: the document is not such a mapping.
    """
    try:
        loader = _Loader(document)
        content = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"must be a YAML file; there is a syntax error{line}") from None
    # PyYAML raises a plain ValueError for some malformed documents, and recurses into nested ones.
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ValueError("must be a YAML file in UTF-8") from None
    if content in (None, ""):
        content = {}
    if not isinstance(content, dict):
        raise ValueError("must be a YAML file that maps names of settings to values")  # noqa: TRY004
    return content, loader.repeated


def optional(read: Callable[[object], Any]) -> BeforeValidator:
    """Return a reader of a value that may be empty, which is None."""
    return BeforeValidator(lambda value: None if value == "" else read(value))
