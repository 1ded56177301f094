"""Readers of single settings: each takes what a source holds and returns the value.

A reader raises ValueError with a message that says what is accepted.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr

from exporter.files import read_file
from exporter.rates import Rate
from exporter.scopes import parse_entry
from exporter.texts import (
    DURATION_FORMS,
    DurationText,
    optional,
    quoted,
    read_duration,
    read_key,
    read_switch,
    read_text,
)

MOST_SHARDS = 1000
"""The largest number of shards."""

MOST_ROWS = 10_000
"""The largest number of rows per page."""

NO_KEY_YET = "must be a file that can be read: there is none in this folder"
"""Fault of a key file that another process may still write."""

_EMPTY_IS_NONE = frozenset({"link_template", "search_term"})
_LONGEST = "3650d"
_RATE = re.compile(r"([1-9][0-9]{0,5})/([smh])")
_HOST = r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_PATH = r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~%!$&'()*+,;=:@-]+)*"
_ADDRESS = re.compile(rf"({_HOST}|):([0-9]{{1,5}})")
_BASE_URL = re.compile(rf"https?://({_HOST})(?::([0-9]{{1,5}}))?{_PATH}/*", re.IGNORECASE | re.ASCII)
_USER = r"(?:(?![/@?#\\])[!-~])+@"
_PROXY_URL = re.compile(rf"https?://(?:{_USER})?({_HOST})(?::([0-9]{{1,5}}))?/?", re.IGNORECASE | re.ASCII)
_PLACEHOLDER = re.compile(r"\{(?:base|account|org|project|registry)\}")
_SHARD = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9.-]*-)?([0-9]{1,9})")


class Threshold(NamedTuple):
    """A duration in seconds, and the text it was written as, which becomes a label."""

    label: str
    seconds: float


class ListenAddress(NamedTuple):
    """Address to listen on; an empty host is every interface, port 0 any free port."""

    host: str
    port: int


def items(value: object) -> list[object]:
    """Return the items of a comma list, or of a list whose texts may be comma lists themselves, without blank ones."""
    # The YAML file holds lists; flags and the environment hold texts separated by commas.
    entries = value if isinstance(value, list | tuple) else [value]
    parts = [part for entry in entries for part in (entry.split(",") if isinstance(entry, str) else [entry])]
    stripped = [part.strip() if isinstance(part, str) else part for part in parts]
    return [part for part in stripped if part != ""]


def present(values: Mapping[str, object]) -> dict[str, object]:
    """Return the values that are given; empty text or null counts as not given, unless it means none."""
    blank = {name for name, value in values.items() if value is None or (isinstance(value, str) and not value.strip())}
    given = {name: value for name, value in values.items() if name not in blank}
    return given | dict.fromkeys(blank & _EMPTY_IS_NONE, "")


def _listed(value: object) -> list[str]:
    texts = [read_text(item) for item in items(value)]
    return [] if texts == ["off"] else texts


def choice(*options: str) -> BeforeValidator:
    """Return a reader of one of these words, in any case."""

    def read(value: object) -> str:
        word = read_text(value).lower()
        if word not in options:
            raise ValueError(f"must be one of {', '.join(options)}")
        return word

    return BeforeValidator(read, json_schema_input_type=_word(options))


def _word(options: tuple[str, ...]) -> Any:  # noqa: ANN401 - a type
    return Literal[options]


def duration(least: str) -> BeforeValidator:
    """Return a reader of durations, in seconds, from the least one to ten years."""
    bounds = Field(ge=read_duration(least), le=read_duration(_LONGEST))
    schema = Annotated[float, bounds] | DurationText
    return BeforeValidator(lambda value: _bounded(value, least), json_schema_input_type=schema)


def _bounded(value: object, least: str) -> float:
    seconds = read_duration(value)
    if not read_duration(least) <= seconds <= read_duration(_LONGEST):
        raise ValueError(f"must be from {least} to {_LONGEST}: {DURATION_FORMS}")
    return seconds


def read_thresholds(value: object) -> tuple[Threshold, ...]:
    """Return a list of durations, shortest first; none for `off`."""
    thresholds = sorted(map(_threshold, _listed(value)), key=lambda one: one.seconds)
    # Two labels for one age would double its series.
    if len({threshold.seconds for threshold in thresholds}) < len(thresholds):
        raise ValueError("must not hold the same duration twice")
    return tuple(thresholds)


def _threshold(label: str) -> Threshold:
    try:
        return Threshold(label, _bounded(label, "1ms"))
    except ValueError as error:
        raise ValueError(f"{error}, not {quoted(label)}") from None


def read_rate(value: object) -> Rate | None:
    """Return the rate of `300/m` (per s, m or h); None for `off`."""
    rate = read_text(value).lower()
    if rate == "off":
        return None
    found = _RATE.fullmatch(rate)
    if not found:
        raise ValueError("must be a number from 1 to 999999 per s, m or h, such as 300/m, or off")
    return Rate(int(found[1]), {"s": 1.0, "m": 60.0, "h": 3600.0}[found[2]])


def read_page_size(value: object) -> int | None:
    """Return the rows per page; None for `auto`."""
    word = read_text(value).lower()
    if word == "auto":
        return None
    if not re.fullmatch(r"[0-9]{1,5}", word) or not 1 <= int(word) <= MOST_ROWS:
        raise ValueError(f"must be auto, or a whole number from 1 to {MOST_ROWS}")
    return int(word)


def some_of(choices: tuple[str, ...]) -> BeforeValidator:
    """Return a reader of a list of these words, which keeps their order; none for `off`."""
    return BeforeValidator(
        lambda value: _some_of(choices, value), json_schema_input_type=GenericAlias(list, _word(choices))
    )


def _some_of(choices: Sequence[str], value: object) -> tuple[str, ...]:
    words = [word.lower() for word in _listed(value)]
    for word in words:
        if word not in choices:
            raise ValueError(f"must be a list of {', '.join(choices)}, or off, not {quoted(word)}")
    return tuple(choice for choice in choices if choice in words)


def read_names(value: object) -> tuple[str, ...]:
    """Return a list of names without repetitions."""
    names = [read_text(item) for item in items(value)]
    for name in names:
        if not _visible(name):
            raise ValueError(f"must be a list of names without spaces or control characters, not {quoted(name)}")
    return tuple(dict.fromkeys(names))


def read_term(value: object) -> str:
    """Return a search term, or another text."""
    term = read_text(value)
    if not term.isprintable():
        raise ValueError("must be text without control characters")
    return term


def read_entry(value: object) -> str:
    """Return a space: `account`, `account/org` or `account/org/project`; with `/**` at the end if that stands there."""
    return parse_entry(read_text(value))


def read_base_url(value: object) -> str:
    """Return the address of a server, without a trailing slash and with scheme and host in lower case."""
    url = read_text(value)
    if not _is_url(_BASE_URL.fullmatch(url)):
        raise ValueError(
            "must be https:// or http:// with a host, without user, query, fragment: https://app.harness.io"
        )
    parts = urlsplit(url)
    # One form, so that spaces with the same server share a client.
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def is_private(url: str) -> bool:
    """Return whether requests to a base URL are encrypted or stay on this machine."""
    host = urlsplit(url).hostname or ""
    # Requests to this machine never cross a network.
    loopback = host == "localhost" or (_is_ip(host) and ipaddress.ip_address(host).is_loopback)
    return loopback or url.startswith("https://")


def read_proxy_url(value: object) -> SecretStr:
    """Return the address of a proxy, which may hold a user and a password."""
    url = read_text(value)
    if not _is_url(_PROXY_URL.fullmatch(url)):
        raise ValueError("must be http:// or https:// with a host, and no path: http://user:password@proxy:3128")
    return SecretStr(url)


def _is_url(found: re.Match[str] | None) -> bool:
    return found is not None and _is_host(found[1]) and 0 < int(found[2] or 1) <= 65535  # noqa: PLR2004 - the last port


def _is_host(host: str) -> bool:
    return not host.startswith("[") or (":" in host and _is_ip(host[1:-1]))


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def read_api_prefix(value: object) -> str:
    """Return the path of the API on its server."""
    prefix = read_text(value)
    if not prefix or not re.fullmatch(_PATH, prefix):
        raise ValueError("must be a path that starts with / and does not end in one: /har/api/v1")
    return prefix


def read_listen_address(value: object) -> ListenAddress:
    """Return host and port of `host:port`; IPv6 addresses are in brackets."""
    found = _ADDRESS.fullmatch(read_text(value))
    if not found or not _is_host(found[1]) or int(found[2]) > 65535:  # noqa: PLR2004 - the last port
        raise ValueError("must be host:port with a port from 0 to 65535: :10981, 127.0.0.1:0, [::1]:10981")
    return ListenAddress(found[1].strip("[]"), int(found[2]))


def read_shard(value: object) -> int:
    """Return the number of a shard, which may end a name such as `har-exporter-0`."""
    found = _SHARD.fullmatch(read_text(value))
    if not found:
        raise ValueError("must be a number from 0, or a name that ends in a dash and such a number: har-exporter-0")
    return int(found[1])


def read_secret_key(value: object) -> SecretStr:
    """Return an API key."""
    return SecretStr(read_key(value))


def read_path(value: object) -> Path:
    """Return the path of a file that can be read."""
    path = Path(read_text(value))
    _content(path)
    return path


def read_key_path(value: object) -> Path:
    """Return the path of a file that holds an API key."""
    path = Path(read_text(value))
    read_key(_content(path, missing=NO_KEY_YET).decode("ascii", errors="replace"))
    return path


def _content(path: Path, missing: str = "") -> bytes:
    try:
        return read_file(path)
    except OSError as error:
        if missing and isinstance(error, FileNotFoundError) and path.parent.is_dir():
            raise ValueError(missing) from None
        raise ValueError(f"must be a file that can be read: {error.strerror}") from None


def read_link_template(value: object) -> str:
    """Return the template of links; empty for none."""
    template = read_text(value)
    if not template:
        return template
    if not _visible(template) or not template.startswith(("{base}", "https://", "http://")):
        raise ValueError("must start with {base}, https:// or http:// and hold no spaces, or be empty for no links")
    # str.format would also accept conversions and attributes, which have no use in a URL.
    if set("{}") & set(_PLACEHOLDER.sub("", template)):
        raise ValueError("must hold no braces but {base}, {account}, {org}, {project}, {registry}")
    return template


def _visible(name: str) -> bool:
    return name.isprintable() and " " not in name


Thresholds = Annotated[
    tuple[Threshold, ...], BeforeValidator(read_thresholds, json_schema_input_type=list[DurationText])
]
RateLimit = Annotated[
    Rate | None,
    BeforeValidator(read_rate, json_schema_input_type=Annotated[str, Field(pattern=rf"^({_RATE.pattern}|off)$")]),
]
PageSize = Annotated[
    int | None,
    BeforeValidator(read_page_size, json_schema_input_type=Annotated[int, Field(ge=1, le=MOST_ROWS)] | Literal["auto"]),
]
BaseUrl = Annotated[str, BeforeValidator(read_base_url)]
FilePath = Annotated[Path | None, optional(read_path)]
KeyPath = Annotated[Path | None, optional(read_key_path)]
Names = Annotated[tuple[str, ...], BeforeValidator(read_names)]
Switch = Annotated[bool, BeforeValidator(read_switch)]
OptionalSwitch = Annotated[bool | None, optional(read_switch)]
Term = Annotated[str | None, optional(read_term)]
