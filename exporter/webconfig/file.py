"""The web config file: TLS, users, headers and rate limit, in the format that Prometheus exporters share.

The format is that of https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md. What
Python's TLS cannot honour is a fault, never left out. The file may change while it is used, but what protects the
endpoints never goes away with a change: a file that was emptied, or is half written, is a fault.
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

from exporter.config import readers as v
from exporter.config.settings import SettingsError
from exporter.webconfig import readers as w
from exporter.webconfig.content import Watched


class RateLimit(NamedTuple):
    """A token bucket.

    Attributes:
        interval: seconds until there is one more token.
        burst: tokens that a full bucket holds.
    """

    interval: float
    burst: int


class _Section(BaseModel):
    """A mapping of the file; an empty value counts as not given."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _given(cls, value: object) -> dict[str, object]:
        return {name: one for name, one in w.read_mapping(value if value != "" else {}).items() if one != ""}


class TLSServer(_Section):
    """`tls_server_config`; files are paths that the file's folder was added to."""

    cert: Annotated[str | None, BeforeValidator(v.text)] = Field(default=None, repr=False)
    key: Annotated[SecretStr | None, BeforeValidator(lambda value: SecretStr(v.text(value)))] = None
    client_ca: Annotated[str | None, BeforeValidator(v.text)] = Field(default=None, repr=False)
    cert_file: Annotated[Path | None, BeforeValidator(w.read_path)] = None
    key_file: Annotated[Path | None, BeforeValidator(w.read_path)] = None
    client_ca_file: Annotated[Path | None, BeforeValidator(w.read_path)] = None
    client_auth_type: Annotated[
        Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"],
        BeforeValidator(w.read_client_auth_type),
    ] = "NoClientCert"
    client_allowed_sans: Annotated[tuple[str, ...] | None, BeforeValidator(w.read_texts)] = None
    min_version: Annotated[Literal["TLS12", "TLS13"], BeforeValidator(w.read_version)] = "TLS12"
    max_version: Annotated[Literal["TLS12", "TLS13"], BeforeValidator(w.read_version)] = "TLS13"
    cipher_suites: Annotated[tuple[str, ...], BeforeValidator(w.read_cipher_suites)] = ()
    prefer_server_cipher_suites: Annotated[bool, BeforeValidator(v.read_switch)] = True
    curve_preferences: Annotated[tuple[str, ...], BeforeValidator(w.read_curves)] = ()

    @model_validator(mode="after")
    def _whole(self) -> "TLSServer":
        faults = [*self._pairs(), *self._client_faults()]
        if self.min_version == "TLS12" and self.cipher_suites and w.CIPHERS.keys().isdisjoint(self.cipher_suites):
            faults.append(("cipher_suites", "has none of TLS 1.2; accepted is min_version TLS13 beside it"))
        if self.min_version > self.max_version:
            faults.append(("min_version", "must not be above max_version"))
        if faults and self.model_fields_set:
            raise ValueError(*faults)
        return self

    def _pairs(self) -> Iterator[tuple[str, str]]:
        for name in ("cert", "key", "client_ca"):
            inline, file = getattr(self, name), getattr(self, f"{name}_file")
            if inline is not None and file is not None:
                yield name, f"is given, and {name}_file is too; accepted is one of them"
            if inline is None and file is None and name != "client_ca":
                yield f"{name}_file", f"is required, or {name}"

    def _client_faults(self) -> Iterator[tuple[str, str]]:
        if self.client_auth_type == "NoClientCert":
            for name in ("client_ca", "client_ca_file"):
                if getattr(self, name) is not None:
                    yield (
                        name,
                        "is of no use without client_auth_type; accepted is RequireAndVerifyClientCert beside it",
                    )
        if self.client_allowed_sans is not None and self.client_auth_type != "RequireAndVerifyClientCert":
            yield "client_allowed_sans", "needs a certificate; accepted is client_auth_type RequireAndVerifyClientCert"


class HTTPServer(_Section):
    """`http_server_config`; `http2` changes nothing, as there is HTTP/1.1 alone."""

    http2: Annotated[bool, BeforeValidator(v.read_switch)] = True
    headers: Annotated[dict[str, str], BeforeValidator(w.read_headers)] = {}


class _RateLimiter(_Section):
    interval: Annotated[float, BeforeValidator(w.read_interval)] = 0.0
    burst: Annotated[int, v.whole(0, 999_999_999)] = 0

    @model_validator(mode="after")
    def _lets_some_through(self) -> "_RateLimiter":
        if self.interval and not self.burst:
            raise ValueError(("burst", "must be at least 1 where interval is not 0, or nothing would be answered"))
        return self


class WebConfig(_Section):
    """All that the file says."""

    tls_server_config: TLSServer = TLSServer()
    http_server_config: HTTPServer = HTTPServer()
    basic_auth_users: Annotated[dict[str, SecretStr], BeforeValidator(w.read_users)] = {}
    rate_limit: _RateLimiter = _RateLimiter()

    @field_validator("tls_server_config", "http_server_config", "rate_limit", mode="before")
    @classmethod
    def _filled(cls, value: object) -> object:
        return {} if value == "" else value

    @property
    def tls(self) -> TLSServer | None:
        """What to speak TLS with; None for plain HTTP."""
        return self.tls_server_config if self.tls_server_config.model_fields_set else None

    @property
    def limit(self) -> RateLimit | None:
        """The rate limit; None for no limit."""
        return RateLimit(self.rate_limit.interval, self.rate_limit.burst) if self.rate_limit.interval else None

    def protections(self) -> frozenset[str]:
        """Name the parts that keep somebody out."""
        parts = {
            "tls_server_config": self.tls is not None,
            "tls_server_config.client_auth_type": self.tls_server_config.client_auth_type
            == "RequireAndVerifyClientCert",
            "tls_server_config.client_allowed_sans": self.tls_server_config.client_allowed_sans is not None,
            "basic_auth_users": bool(self.basic_auth_users),
        }
        return frozenset(name for name, present in parts.items() if present)


class WebConfigFile:
    """The file, read again whenever it changes.

    Attributes:
        path: where it is.
    """

    def __init__(self, path: Path) -> None:
        """Read the file for the first time.

        Raises:
            SettingsError: it cannot be used; each fault names the key, the file and what is accepted.
        """
        self.path = path
        self._protections: frozenset[str] | None = None
        self._watched = Watched[bytes, WebConfig](self._kept, file=str(path))
        self.current()

    def current(self) -> WebConfig:
        """Return what the file says now.

        Raises:
            SettingsError: it cannot be used, something that protected the endpoints is gone from it, or TLS is new.
        """
        return self._watched.current(partial(read_content, self.path, fault=str(self.path)))

    def _kept(self, content: bytes) -> WebConfig:
        config = parse(content, self.path)
        protections = config.protections()
        if self._protections is not None:
            lost = sorted(self._protections - protections)
            if lost:
                line = "is gone, and what protects is never dropped while serving; accepted is as it was, or a restart"
                raise SettingsError(f"{name} in {self.path}: {line}" for name in lost)
            if "tls_server_config" in protections - self._protections:
                line = "is new, and what is served without TLS cannot change to it; accepted is a restart"
                raise SettingsError([f"tls_server_config in {self.path}: {line}"])
        self._protections = protections
        return config


def read_content(path: Path, *, fault: str) -> bytes:
    """Read a file.

    Args:
        path: where it is.
        fault: what the fault begins with.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else "no path"
        raise SettingsError([f"{fault}: cannot be read ({problem}); accepted is the path of a file"]) from None


def parse(content: bytes, path: Path) -> WebConfig:
    """Read what a web config file says.

    Args:
        content: the YAML.
        path: where it is from: files that it names are looked for beside it, and faults name it.

    Raises:
        SettingsError: with every fault.
    """
    try:
        sections, repeated = v.parse_yaml(content)
    except ValueError as error:
        raise SettingsError([f"{path}: {error}"]) from None
    faults = [f"{w.shown(name)} in {path}: is given twice, again in line {line}" for name, line in repeated]
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
    for told in error.errors():
        *above, name = (*map(str, told["loc"]),) or ("(file)",)
        if told["type"] == "extra_forbidden":
            yield ".".join((*above, w.shown(name))), w.unknown(name, _KNOWN[*above,]())
            continue
        for said in told["ctx"]["error"].args:
            below, line = said if isinstance(said, tuple) else ((), said)
            yield ".".join((*above, name, *([below] if below else []))), line
