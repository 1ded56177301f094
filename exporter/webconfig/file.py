"""Web config file: TLS, users, headers and rate limit, in the format that Prometheus exporters share.

The format is https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md. What Python's TLS
does not support is a fault, never ignored. The file may change while it is used, but a change never drops protection:
a file that was emptied or is half written is a fault.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from exporter.files import read_file
from exporter.texts import SettingsError, parse_yaml, read_switch, read_text, whole
from exporter.webconfig import readers as r
from exporter.webconfig.content import FileContent


class RateLimit(NamedTuple):
    """Rate limit by a token bucket.

    Attributes:
        interval: seconds per token.
        burst: tokens of a full bucket.
    """

    interval: float
    burst: int


class _Section(BaseModel):
    """Mapping of the file; an empty value counts as not given."""

    # Strict, so that `on` or 1 is never taken for something else by pydantic.
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _given(cls, value: object) -> dict[str, object]:
        return {name: one for name, one in r.read_mapping(value if value != "" else {}).items() if one != ""}


class TLSServer(_Section):
    """`tls_server_config`; paths of files include the folder of the web config file."""

    cert: Annotated[str | None, BeforeValidator(read_text)] = Field(default=None, repr=False)
    key: Annotated[SecretStr | None, BeforeValidator(lambda value: SecretStr(read_text(value)))] = None
    client_ca: Annotated[str | None, BeforeValidator(read_text)] = Field(default=None, repr=False)
    cert_file: Annotated[Path | None, BeforeValidator(r.read_path)] = None
    key_file: Annotated[Path | None, BeforeValidator(r.read_path)] = None
    client_ca_file: Annotated[Path | None, BeforeValidator(r.read_path)] = None
    client_auth_type: Annotated[
        Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"],
        BeforeValidator(r.read_client_auth_type),
    ] = "NoClientCert"
    client_allowed_sans: Annotated[tuple[str, ...] | None, BeforeValidator(r.read_texts)] = None
    min_version: Annotated[Literal["TLS12", "TLS13"], BeforeValidator(r.read_version)] = "TLS12"
    max_version: Annotated[Literal["TLS12", "TLS13"], BeforeValidator(r.read_version)] = "TLS13"
    cipher_suites: Annotated[tuple[str, ...], BeforeValidator(r.read_cipher_suites)] = ()
    prefer_server_cipher_suites: Annotated[bool, BeforeValidator(read_switch)] = True
    curve_preferences: Annotated[tuple[str, ...], BeforeValidator(r.read_curves)] = ()

    @model_validator(mode="after")
    def _whole(self) -> "TLSServer":
        faults = [*self._pairs(), *self._client_faults()]
        if self.min_version == "TLS12" and self.cipher_suites and r.CIPHERS.keys().isdisjoint(self.cipher_suites):
            faults.append(("cipher_suites", "has none of TLS 1.2; this requires min_version TLS13"))
        if self.min_version > self.max_version:
            faults.append(("min_version", "must not be above max_version"))
        # An empty section means plain HTTP, and has no faults.
        if faults and self.model_fields_set:
            raise ValueError(*faults)
        return self

    def _pairs(self) -> Iterator[tuple[str, str]]:
        for name in ("cert", "key", "client_ca"):
            inline, file = getattr(self, name), getattr(self, f"{name}_file")
            if inline is not None and file is not None:
                yield name, f"is set, and so is {name}_file; remove one of them"
            if inline is None and file is None and name != "client_ca":
                yield f"{name}_file", f"is required, or {name}"

    def _client_faults(self) -> Iterator[tuple[str, str]]:
        if self.client_auth_type == "NoClientCert":
            for name in ("client_ca", "client_ca_file"):
                if getattr(self, name) is not None:
                    yield (
                        name,
                        "has no effect without client_auth_type; accepted is RequireAndVerifyClientCert",
                    )
        if self.client_allowed_sans is not None and self.client_auth_type != "RequireAndVerifyClientCert":
            yield "client_allowed_sans", "requires client_auth_type RequireAndVerifyClientCert"


class HTTPServer(_Section):
    """`http_server_config`; `http2` has no effect: the server speaks HTTP/1.1 only."""

    http2: Annotated[bool, BeforeValidator(read_switch)] = True
    headers: Annotated[dict[str, str], BeforeValidator(r.read_headers)] = {}


class _RateLimiter(_Section):
    interval: Annotated[float, BeforeValidator(r.read_interval)] = 0.0
    burst: Annotated[int, whole(0, 999_999_999)] = 0

    @model_validator(mode="after")
    def _lets_some_through(self) -> "_RateLimiter":
        if self.interval and not self.burst:
            raise ValueError(("burst", "must be at least 1 if interval is not 0, or every request would be refused"))
        return self


class WebConfig(_Section):
    """Content of the web config file."""

    tls_server_config: TLSServer = TLSServer()
    http_server_config: HTTPServer = HTTPServer()
    basic_auth_users: Annotated[dict[str, SecretStr], BeforeValidator(r.read_users)] = {}
    rate_limit: _RateLimiter = _RateLimiter()

    @field_validator("tls_server_config", "http_server_config", "rate_limit", mode="before")
    @classmethod
    def _filled(cls, value: object) -> object:
        return {} if value == "" else value

    @property
    def tls(self) -> TLSServer | None:
        """Settings of TLS; None for plain HTTP."""
        return self.tls_server_config if self.tls_server_config.model_fields_set else None

    @property
    def limit(self) -> RateLimit | None:
        """Rate limit; None for no limit."""
        return RateLimit(self.rate_limit.interval, self.rate_limit.burst) if self.rate_limit.interval else None

    def protections(self) -> frozenset[str]:
        """Return the parts that keep clients out."""
        # Only what refuses clients: a rate limit or a header may be removed without a restart.
        parts = {
            "tls_server_config": self.tls is not None,
            "tls_server_config.client_auth_type": self.tls_server_config.client_auth_type
            == "RequireAndVerifyClientCert",
            "tls_server_config.client_allowed_sans": self.tls_server_config.client_allowed_sans is not None,
            "basic_auth_users": bool(self.basic_auth_users),
        }
        return frozenset(name for name, present in parts.items() if present)


class WebConfigFile:
    """Web config file.

    Attributes:
        path: its path.
        content: what it says, read again when it changes.
    """

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            SettingsError: it is invalid; each fault names the key, the file and what is accepted.
        """
        self.path = path
        self._protections: frozenset[str] | None = None
        read = partial(read_content, path, fault=str(path))
        self.content = FileContent[bytes, WebConfig](read, self._protected, file=str(path))
        self.current()

    def current(self) -> WebConfig:
        """Return the current content of the file.

        Raises:
            SettingsError: it is invalid, a protection was removed from it, or TLS was added to it.
        """
        return self.content.current()

    def _protected(self, content: bytes) -> WebConfig:
        config = parse(content, self.path)
        protections = config.protections()
        if self._protections is not None:
            lost = sorted(self._protections - protections)
            if lost:
                line = "was removed, and no protection is dropped while serving; restore it, or restart the exporter"
                raise SettingsError(f"{name} in {self.path}: {line}" for name in lost)
            # The listening socket was opened for plain HTTP.
            if "tls_server_config" in protections - self._protections:
                line = "was added, and a server without TLS cannot change to TLS; restart the exporter"
                raise SettingsError([f"tls_server_config in {self.path}: {line}"])
        self._protections = protections
        return config


def read_content(path: Path, *, fault: str) -> bytes:
    """Return the content of a file.

    Args:
        path: its path.
        fault: the beginning of the fault.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        return read_file(path)
    except OSError as error:
        raise SettingsError([f"{fault}: cannot be read ({error.strerror}); accepted is the path of a file"]) from None


def parse(content: bytes, path: Path) -> WebConfig:
    """Parse a web config file.

    Args:
        content: the YAML.
        path: its path: files that it names are relative to its folder, and faults name it.

    Raises:
        SettingsError: with every fault.
    """
    try:
        sections, repeated = parse_yaml(content)
    except ValueError as error:
        raise SettingsError([f"{path}: {error}"]) from None
    faults = [f"{r.printable_name(name)} in {path}: is repeated in line {line}" for name, line in repeated]
    try:
        config = WebConfig.model_validate(sections, context={"folder": path.parent})
    except ValidationError as error:
        faults += [f"{key} in {path}: {line}" for key, line in _faults(error)]
        raise SettingsError(faults) from None
    if faults:
        raise SettingsError(faults)
    return config


_KNOWN: dict[tuple[str, ...], Callable[[], Mapping[str, object]]] = {
    (): lambda: WebConfig.model_fields,
    ("tls_server_config",): lambda: TLSServer.model_fields,
    ("http_server_config",): lambda: HTTPServer.model_fields,
    ("rate_limit",): lambda: _RateLimiter.model_fields,
}


def _faults(error: ValidationError) -> Iterator[tuple[str, str]]:
    for detail in error.errors():
        *above, name = (*map(str, detail["loc"]),) or ("(file)",)
        if detail["type"] == "extra_forbidden":
            yield ".".join((*above, r.printable_name(name))), r.unknown_name(name, _KNOWN[*above,]())
            continue
        for fault in detail["ctx"]["error"].args:
            below, line = fault if isinstance(fault, tuple) else ((), fault)
            yield ".".join((*above, name, *([below] if below else []))), line
