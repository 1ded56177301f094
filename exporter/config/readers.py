"""How settings are spelled: the types of their values, the readers that make them from text, and the file's YAML.

Every reader takes what a source holds (text; in the file lists as well) and gives the value, or raises ValueError with
a message that says what is accepted and never repeats what was given: a secret may sit in any setting.
"""

import ipaddress
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import BeforeValidator, SecretStr

Finding = Literal["quarantined", "blocked", "warn"]
FINDINGS: tuple[Finding, ...] = ("quarantined", "blocked", "warn")

MOST_SHARDS = 1000

_T = TypeVar("_T")
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,12})?"
_DURATION = re.compile(rf"(?:({_NUMBER})d)?(?:({_NUMBER})h)?(?:({_NUMBER})m)?(?:({_NUMBER})s)?(?:({_NUMBER})ms)?")
_UNITS = (Decimal(86400), Decimal(3600), Decimal(60), Decimal(1), Decimal("0.001"))
_DURATION_FORMS = "30s, 5m, 1h30m, 500ms, 7d, or a number of seconds"
_LONGEST = "3650d"
_RATE = re.compile(r"([1-9][0-9]{0,5})/([smh])")
_SEGMENT = r"[A-Za-z0-9][A-Za-z0-9_.$-]*"
_REF = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT}){{0,2}}")
_HOST = r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_PATH = r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~%!$&'()*+,;=:@-]+)*"
_ADDRESS = re.compile(rf"({_HOST}|):([0-9]{{1,5}})")
_BASE_URL = re.compile(rf"https?://({_HOST})(?::([0-9]{{1,5}}))?{_PATH}/*", re.IGNORECASE | re.ASCII)
_USER = r"(?:(?![/@?#\\])[!-~])+@"
_PROXY_URL = re.compile(rf"https?://(?:{_USER})?({_HOST})(?::([0-9]{{1,5}}))?/?", re.IGNORECASE | re.ASCII)
_PLACEHOLDER = re.compile(r"\{(?:base|account|org|project|registry)\}")
_KEY = re.compile(r"[!-~]+")
_SHARD = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9.-]*-)?([0-9]{1,9})")


class Rate(NamedTuple):
    """So many requests in so many seconds."""

    requests: int
    seconds: float


class Threshold(NamedTuple):
    """A duration in seconds, and the text it was given as, which becomes a label."""

    label: str
    seconds: float


class ListenAddress(NamedTuple):
    """Where to listen; an empty host is every interface, port 0 any free port."""

    host: str
    port: int


def text(value: object) -> str:
    """Take a single value as stripped text."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if not isinstance(value, str | int | float | Path):
        raise ValueError("must be a single value, not a list or a mapping")  # noqa: TRY004 - pydantic collects these
    return str(value).strip()


def items(value: object) -> list[object]:
    """Take a comma list, or a list whose texts may be comma lists themselves; blank items are left out."""
    entries = value if isinstance(value, list | tuple) else [value]
    parts = [part for entry in entries for part in (entry.split(",") if isinstance(entry, str) else [entry])]
    stripped = [part.strip() if isinstance(part, str) else part for part in parts]
    return [part for part in stripped if part != ""]


def _listed(value: object) -> list[str]:
    texts = [text(item) for item in items(value)]
    return [] if texts == ["off"] else texts


def optional(read: Callable[[object], _T]) -> BeforeValidator:
    """Read a value that may be empty, which is None."""
    return BeforeValidator(lambda value: None if value == "" else read(value))


def whole(least: int, most: int) -> BeforeValidator:
    """Read a whole number within these bounds."""

    def read(value: object) -> int:
        digits = text(value)
        if not re.fullmatch(r"[0-9]{1,9}", digits) or not least <= int(digits) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(digits)

    return BeforeValidator(read)


def choice(*options: str) -> BeforeValidator:
    """Read one of these words, in any case."""

    def read(value: object) -> str:
        word = text(value).lower()
        if word not in options:
            raise ValueError(f"must be one of {', '.join(options)}")
        return word

    return BeforeValidator(read)


def duration(least: str) -> BeforeValidator:
    """Read a duration of at least that and at most ten years."""
    return BeforeValidator(lambda value: _bounded(value, least))


def _bounded(value: object, least: str) -> float:
    seconds = read_duration(value)
    if not read_duration(least) <= seconds <= read_duration(_LONGEST):
        raise ValueError(f"must be from {least} to {_LONGEST}: {_DURATION_FORMS}")
    return seconds


def read_duration(value: object) -> float:
    """Read `30s`, `5m`, `1h30m`, `500ms`, `7d` or a number of seconds, as seconds."""
    spelled = text(value)
    if re.fullmatch(_NUMBER, spelled):
        spelled += "s"
    found = _DURATION.fullmatch(spelled)
    if not spelled or not found:
        raise ValueError(f"must be a duration: {_DURATION_FORMS}")
    return float(sum(Decimal(number or 0) * unit for number, unit in zip(found.groups(), _UNITS, strict=True)))


def spell_duration(seconds: float) -> str:
    """Spell a duration as settings do, rounded to seconds, or to tenths of them below ten: `1h30m`, `0.3s`."""
    if seconds < 10:  # noqa: PLR2004 - two digits tell enough
        return f"{round(seconds, 1):g}s"
    left, spelled = round(seconds), ""
    for unit, length in zip("dhms", map(int, _UNITS), strict=False):
        number, left = divmod(left, length)
        spelled += f"{number}{unit}" if number else ""
    return spelled


def read_thresholds(value: object) -> tuple[Threshold, ...]:
    """Read a list of durations, shortest first; `off` for none."""
    thresholds = sorted((Threshold(label, _bounded(label, "1ms")) for label in _listed(value)), key=lambda one: one[1])
    if len({threshold.seconds for threshold in thresholds}) < len(thresholds):
        raise ValueError("must not hold the same duration twice")
    return tuple(thresholds)


def read_switch(value: object) -> bool:
    """Read a boolean."""
    word = text(value).lower()
    if word not in {"true", "yes", "on", "1", "false", "no", "off", "0"}:
        raise ValueError("must be true or false")
    return word in {"true", "yes", "on", "1"}


def read_rate(value: object) -> Rate | None:
    """Read `300/m` (per s, m or h); `off` is None."""
    spelled = text(value).lower()
    if spelled == "off":
        return None
    found = _RATE.fullmatch(spelled)
    if not found:
        raise ValueError("must be a number from 1 to 999999 per s, m or h, such as 300/m, or off")
    return Rate(int(found[1]), {"s": 1.0, "m": 60.0, "h": 3600.0}[found[2]])


def read_findings(value: object) -> tuple[Finding, ...]:
    """Read a list of findings, worst first; `off` for none."""
    words = {word.lower() for word in _listed(value)}
    if not words.issubset(FINDINGS):
        raise ValueError(f"must be a list of {', '.join(FINDINGS)}, or off")
    return tuple(finding for finding in FINDINGS if finding in words)


def read_names(value: object) -> tuple[str, ...]:
    """Read a list of names, each kept once."""
    names = [text(item) for item in items(value)]
    if not all(_visible(name) for name in names):
        raise ValueError("must be a list of names without spaces or control characters")
    return tuple(dict.fromkeys(names))


def read_term(value: object) -> str:
    """Read a search term."""
    term = text(value)
    if not term.isprintable():
        raise ValueError("must be text without control characters")
    return term


def parts_of(ref: str) -> tuple[str, str, str]:
    """Return account, organization and project of a space; empty where it has none."""
    account, org, project = (*ref.split("/"), "", "")[:3]
    return account, org, project


def read_ref(value: object) -> str:
    """Read a space: `account`, `account/org` or `account/org/project`; a trailing `/+` is dropped."""
    ref = text(value).removesuffix("/+")
    if not _REF.fullmatch(ref):
        raise ValueError(
            "must be account, account/org or account/org/project, each of letters, digits and (inside) _ . $ -"
        )
    return ref


def read_base_url(value: object) -> str:
    """Read the address of a server, without its trailing slash and with scheme and host in lower case."""
    url = text(value)
    if not _is_url(_BASE_URL.fullmatch(url)):
        raise ValueError(
            "must be https:// or http:// with a host, without user, query, fragment: https://app.harness.io"
        )
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def is_private(url: str) -> bool:
    """Tell whether what is sent to that base URL stays unread on its way: encrypted, or within this machine."""
    host = urlsplit(url).hostname or ""
    loopback = host == "localhost" or (_is_ip(host) and ipaddress.ip_address(host).is_loopback)
    return loopback or url.startswith("https://")


def read_proxy_url(value: object) -> SecretStr:
    """Read the address of a proxy, which may hold a user and a password."""
    url = text(value)
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
    """Read the path of the API on its server."""
    prefix = text(value)
    if not prefix or not re.fullmatch(_PATH, prefix):
        raise ValueError("must be a path that starts with / and does not end in one: /har/api/v1")
    return prefix


def read_listen_address(value: object) -> ListenAddress:
    """Read `host:port`; without a host every interface, IPv6 in brackets."""
    found = _ADDRESS.fullmatch(text(value))
    if not found or not _is_host(found[1]) or int(found[2]) > 65535:  # noqa: PLR2004 - the last port
        raise ValueError("must be host:port with a port from 0 to 65535: :10981, 127.0.0.1:0, [::1]:10981")
    return ListenAddress(found[1].strip("[]"), int(found[2]))


def read_shard(value: object) -> int:
    """Read the number of a shard, or a name that ends in a dash and that number: `har-exporter-0`."""
    found = _SHARD.fullmatch(text(value))
    if not found:
        raise ValueError("must be a number from 0, or a name that ends in a dash and such a number: har-exporter-0")
    return int(found[1])


def read_key(value: object) -> SecretStr:
    """Read an API key."""
    key = text(value)
    if not _KEY.fullmatch(key):
        raise ValueError("must hold a key of printable ASCII characters without spaces")
    return SecretStr(key)


def read_key_file(path: Path) -> SecretStr:
    """Read the API key that is in a file, white space around it aside."""
    return read_key(_content(path).decode("ascii", errors="replace"))


def read_file(value: object) -> Path:
    """Read the path of a file."""
    path = Path(text(value))
    _content(path)
    return path


def read_file_of_key(value: object) -> Path:
    """Read the path of a file that holds a key."""
    path = Path(text(value))
    read_key_file(path)
    return path


def _content(path: Path) -> bytes:
    try:
        # A pipe would never end, and could not be read again.
        content = path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise ValueError(f"must be a file that can be read: {error.strerror}") from None
    if content is None:
        raise ValueError("must be a file that exists")
    return content


def read_link_template(value: object) -> str:
    """Read the template of links; empty for none."""
    template = text(value)
    if not template:
        return template
    if not _visible(template) or not template.startswith(("{base}", "https://", "http://")):
        raise ValueError("must start with {base}, https:// or http:// and hold no spaces, or be empty for no links")
    # What str.format would take beyond these, conversions and attributes, is for nobody to use in a URL.
    if set("{}") & set(_PLACEHOLDER.sub("", template)):
        raise ValueError("must hold no braces but {base}, {account}, {org}, {project}, {registry}")
    return template


def _visible(name: str) -> bool:
    return name.isprintable() and " " not in name


class _Loader(yaml.BaseLoader):
    """Takes every scalar as text, as the environment gives it: `off` is no boolean; null is empty."""

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self.repeated: list[tuple[str, int]] = []

    def construct_scalar(self, node: yaml.ScalarNode) -> str:
        is_null = node.style is None and node.value in {"~", "null", "Null", "NULL"}
        return "" if is_null else str(super().construct_scalar(node))

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                self.repeated.append((key.value, key.start_mark.line + 1))
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> tuple[dict[str, object], list[tuple[str, int]]]:
    """Read the file of settings, as `parse_yaml` does."""
    try:
        document = path.read_bytes()
    except OSError as error:
        raise ValueError(f"must be a file that can be read: {error.strerror}") from None
    except ValueError:
        raise ValueError("must be a path of a file") from None
    return parse_yaml(document)


def parse_yaml(document: bytes) -> tuple[dict[str, object], list[tuple[str, int]]]:
    """Read a mapping of texts, lists and mappings, and the keys that are given again with the lines where they are."""
    try:
        loader = _Loader(document)
        content = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"must be a YAML file; there is a fault{line}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ValueError("must be a YAML file in UTF-8") from None
    if content in (None, ""):
        content = {}
    if not isinstance(content, dict):
        raise ValueError("must be a YAML file that maps names of settings to values")  # noqa: TRY004
    return content, loader.repeated


BaseUrl = Annotated[str, BeforeValidator(read_base_url)]
KeyFile = Annotated[Path | None, optional(read_file_of_key)]
File = Annotated[Path | None, optional(read_file)]
Names = Annotated[tuple[str, ...], BeforeValidator(read_names)]
Switch = Annotated[bool, BeforeValidator(read_switch)]
OptionalSwitch = Annotated[bool | None, optional(read_switch)]
Term = Annotated[str | None, optional(read_term)]
