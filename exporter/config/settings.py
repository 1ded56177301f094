"""Every setting: its type, bounds, default and help, and the sources it may come from.

`load` reads flags, the environment and a YAML file, which all hold texts (the file lists and mappings too), and gives
one frozen `Settings`, or every fault at once. A text that is empty, like a null in the file, counts as not given,
except for `link_template` and `search_term`, where it means none.
"""

import difflib
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Secret,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from exporter.config import readers as v
from exporter.scopes import shard_of

ENV_PREFIX = "HAR_EXPORTER_"
"""An environment variable is this and the name of its setting in capitals."""

FLAGLESS = frozenset({"api_key"})
"""Settings without a flag: a command line can be read by every user of the machine."""

UPSTREAM = frozenset(
    {"base_url", "api_prefix", "api_key", "api_key_file", "auth_scheme", "spaces", "allow_insecure_http"}
    | {"ca_file", "client_cert_file", "client_key_file", "proxy_url"}
)
"""Settings of the server that is asked, which `har-exporter demo` replaces."""

_EMPTY_IS_NONE = frozenset({"link_template", "search_term"})
_KUBERNETES = re.compile(rf"{ENV_PREFIX}(?:SERVICE_.*|PORT|PORT_.*)", re.DOTALL)


class SettingsError(Exception):
    """The settings cannot be used.

    Attributes:
        faults: one printable line for each; names the setting as its source spells it, never a value.
    """

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple("".join(char if char.isprintable() else "\ufffd" for char in line) for line in faults)
        super().__init__("\n".join(self.faults))


@dataclass(frozen=True, slots=True)
class Space:
    """One space to list, with everything that applies to it.

    Attributes:
        ref: `account`, `account/org` or `account/org/project`.
        base_url: scheme, host and optional path, without a trailing slash.
        api_key: the key, or None where it is in `api_key_file`.
        api_key_file: the file that holds the key, or None.
        registries: only these; empty for all.
        package_types: only these; empty for all.
        latest_version: as the API's filter of that name; None to leave it out.
        deployed_artifact: as the API's filter of that name; None to leave it out.
        search_term: as the API's filter of that name; None to leave it out.
    """

    ref: str
    base_url: str
    api_key: SecretStr | None
    api_key_file: Path | None
    registries: tuple[str, ...]
    package_types: tuple[str, ...]
    latest_version: bool | None
    deployed_artifact: bool | None
    search_term: str | None

    @property
    def account(self) -> str:
        """The account's identifier."""
        return v.parts_of(self.ref)[0]

    @property
    def org(self) -> str:
        """The organization's identifier; empty for an account."""
        return v.parts_of(self.ref)[1]

    @property
    def project(self) -> str:
        """The project's identifier; empty for an account or an organization."""
        return v.parts_of(self.ref)[2]


def _setting(default: str, description: str) -> Any:  # noqa: ANN401 - the annotation beside each call says the type
    """Declare a setting; its default is text like any other source's, so that help can print it as users write it."""
    return Field(default=default, description=description)


class SpaceEntry(BaseModel):
    """One entry of `spaces` as it was written; what it leaves out comes from the settings of the same name."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)

    ref: Annotated[str, BeforeValidator(v.read_ref)] = _setting("", "account, account/org or account/org/project")
    base_url: Annotated[str | None, v.optional(v.read_base_url)] = _setting("", "the server of this space")
    api_key_file: v.KeyFile = _setting("", "file that holds the key for this space")
    registries: v.Names = _setting("", "only these registries")
    package_types: v.Names = _setting("", "only these package types")
    latest_version: v.OptionalSwitch = _setting("", "only latest versions")
    deployed_artifact: v.OptionalSwitch = _setting("", "only deployed artifacts")
    search_term: v.Term = _setting("", "only artifacts that match")

    @model_validator(mode="before")
    @classmethod
    def _mapping(cls, entry: object) -> dict[str, object]:
        if not isinstance(entry, str | Mapping):
            raise ValueError("must be account, account/org, account/org/project, or a mapping with ref")  # noqa: TRY004
        return _given({"ref": entry} if isinstance(entry, str) else entry)

    @field_validator("base_url")
    @classmethod
    def _encrypted(cls, url: str | None, info: ValidationInfo) -> str | None:
        return url and _refuse_clear_text(url, info.context or {})

    @field_validator("api_key_file")
    @classmethod
    def _own_key(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is None and info.data.get("base_url", "one that is faulty") is not None:
            raise ValueError("is required beside base_url: a key is never sent to a host it was not given for")
        return path


_ENTRIES = TypeAdapter(tuple[SpaceEntry, ...])


class Settings(BaseSettings):
    """Every setting, valid and frozen. `load` makes it.

    The order of the fields matters where one is checked against another: the check sits at the later one.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True, case_sensitive=True
    )

    allow_insecure_http: v.Switch = _setting(
        "false", "Allow http:// to other machines, which shows the API key to the network: true or false."
    )
    base_url: v.BaseUrl = _setting(
        "https://app.harness.io", "Address of Harness: scheme, host and optional path; http:// only to loopback."
    )
    api_prefix: Annotated[str, BeforeValidator(v.read_api_prefix)] = _setting(
        "/har/api/v1", "Path of the API; /gateway/har/api/v1 or /api/v1 on some servers."
    )
    api_key: Annotated[SecretStr | None, v.optional(v.read_key)] = _setting(
        "", "API key, unless it is in api_key_file; from the environment or the file, never a flag."
    )
    api_key_file: v.KeyFile = _setting(
        "", "Path of a file that holds the API key, read again when it changes; instead of api_key."
    )
    auth_scheme: Annotated[Literal["x-api-key", "bearer"], v.choice("x-api-key", "bearer")] = _setting(
        "x-api-key", "How the API key is sent: x-api-key or bearer."
    )
    spaces: tuple[SpaceEntry, ...] = _setting(
        "",
        "Spaces to list, required: account, account/org or account/org/project, separated by commas; in the file a list"
        f" of these or of mappings with {', '.join(SpaceEntry.model_fields)}.",
    )
    registries: v.Names = _setting("", "Only these registries, separated by commas.")
    package_types: v.Names = _setting("", "Only these package types, separated by commas.")
    latest_version: v.OptionalSwitch = _setting("", "Only the latest version of each artifact: true or false.")
    deployed_artifact: v.OptionalSwitch = _setting("", "Only artifacts that are deployed: true or false.")
    search_term: v.Term = _setting("", "Only artifacts that match this text.")
    page_size: Annotated[int, v.whole(1, 10_000)] = _setting(
        "100", "Artifacts per page, 1 to 10000; 100 is used when the server refuses more."
    )
    concurrency: Annotated[int, v.whole(1, 64)] = _setting(
        "4", "Pages in flight, and walks at once for each key and host, 1 to 64."
    )
    rate_limit: Annotated[v.Rate | None, BeforeValidator(v.read_rate)] = _setting(
        "300/m", "Requests per key and host, a number per s, m or h; off for no limit."
    )
    request_timeout: Annotated[float, v.duration("1ms")] = _setting(
        "30s", "Longest time for one request, as a duration."
    )
    refresh_timeout: Annotated[float, v.duration("1ms")] = _setting(
        "1h", "Longest time for one walk through a space, from its first request, as a duration."
    )
    cache_ttl: Annotated[float, v.duration("1s")] = _setting(
        "5m", "How long a snapshot counts as fresh, from the end of its walk, as a duration of at least 1s."
    )
    max_stale: Annotated[float, v.duration("0s")] = _setting(
        "1h",
        "How long a snapshot is served at all while refreshes fail, as a duration; 0 drops it at the first failure.",
    )
    scrape_timeout_offset: Annotated[float, v.duration("0s")] = _setting(
        "0.5s", "Taken off the scrape timeout that Prometheus announces, as a duration."
    )
    findings: Annotated[tuple[v.Finding, ...], BeforeValidator(v.read_findings)] = _setting(
        "quarantined,blocked", "Artifacts exported one by one: quarantined, blocked, warn, separated by commas; or off."
    )
    findings_limit: Annotated[int, v.whole(0, 100_000)] = _setting(
        "500", "Artifacts exported one by one for each space, 0 to 100000."
    )
    stale_scan_after: Annotated[tuple[v.Threshold, ...], BeforeValidator(v.read_thresholds)] = _setting(
        "7d,30d,90d", "Ages from which a scan counts as stale: durations separated by commas; or off."
    )
    ca_file: v.File = _setting("", "Path of the PEM certificates to trust instead of the usual ones.")
    client_key_file: v.File = _setting("", "Path of the PEM key to client_cert_file, where that does not hold it.")
    client_cert_file: v.File = _setting("", "Path of the PEM certificate to present to the server.")
    proxy_url: Annotated[SecretStr | None, v.optional(v.read_proxy_url)] = _setting(
        "", "Proxy to the server: http:// or https:// with optional user and password; HTTPS_PROXY is honoured too."
    )
    link_template: Annotated[str, BeforeValidator(v.read_link_template)] = _setting(
        "{base}/ng/account/{account}/module/har/orgs/{org}/projects/{project}/registries/{registry}",
        "Template of the url labels, with {base}, {account}, {org}, {project} and {registry}; empty for none.",
    )
    listen_address: Annotated[v.ListenAddress, BeforeValidator(v.read_listen_address)] = _setting(
        ":10981", "Address to listen on, host:port; every interface without a host."
    )
    web_config_file: v.File = _setting(
        "",
        "Path of the file with TLS, users, headers and rate limit of the endpoints, in the format that Prometheus"
        " exporters share; read again when it changes.",
    )
    probe: Annotated[Literal["configured", "any", "off"], v.choice("configured", "any", "off")] = _setting(
        "configured",
        "Spaces that /probe may ask for: configured, those of all shards; any, every scope of their accounts; or off.",
    )
    shard: Annotated[int, BeforeValidator(v.read_shard)] = _setting(
        "0", "Which of the shards this is, from 0 on: a number, or a name that ends in one, as a StatefulSet's pod has."
    )
    shards: Annotated[int, v.whole(1, v.MOST_SHARDS)] = _setting(
        "1", f"Processes that share the spaces among them, 1 to {v.MOST_SHARDS}: the same number for each of them."
    )
    web_enable_lifecycle: v.Switch = _setting(
        "false", "Let a POST to /-/reload have the settings read again, as SIGHUP does: true or false."
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], v.choice("debug", "info", "warning", "error")
    ] = _setting("info", "Least severe lines to log: debug, info, warning or error.")
    log_format: Annotated[Literal["logfmt", "json"], v.choice("logfmt", "json")] = _setting(
        "logfmt", "Format of the log: logfmt or json."
    )

    def __init__(self, *sources: Mapping[str, object]) -> None:
        by_rank: dict[str, Any] = {str(rank): source for rank, source in enumerate(sources)}
        super().__init__(**by_rank)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the environment is an argument of `load`
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use the sources that `__init__` was given, the first one first."""
        sources: Iterable[Mapping[str, object]] = init_settings().values()
        # With PYDANTIC_SETTINGS_DEBUG in the environment the library logs what its sources hold.
        hidden = ({name: Secret(value) for name, value in source.items()} for source in sources)
        return tuple(InitSettingsSource(settings_cls, values) for values in hidden)

    @property
    def configured(self) -> tuple[Space, ...]:
        """The spaces of all shards, in the order given, each with what it leaves out taken from the settings."""
        return tuple(map(self.resolve, self.spaces))

    @property
    def stale_ages(self) -> dict[str, float]:
        """The ages from which a scan counts as stale, in seconds, by what they are called."""
        return {age.label: age.seconds for age in self.stale_scan_after}

    @property
    def served(self) -> tuple[Space, ...]:
        """The spaces of this shard."""
        return tuple(space for space in self.configured if shard_of(space.ref, self.shards) == self.shard)

    def resolve(self, entry: SpaceEntry) -> Space:
        """Return the space of an entry, with what it leaves out taken from the settings."""
        own: dict[str, Any] = {name: getattr(entry, name) for name in entry.model_fields_set}
        if "api_key_file" in own:
            own["api_key"] = None
        shared = {one.name: getattr(self, one.name) for one in fields(Space) if one.name not in {"ref", *own}}
        return Space(**shared, **own)

    @field_validator("base_url")
    @classmethod
    def _encrypted(cls, url: str, info: ValidationInfo) -> str:
        return _refuse_clear_text(url, info.data)

    @field_validator("client_cert_file")
    @classmethod
    def _certified(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is None and info.data.get("client_key_file", "one that is faulty") is not None:
            raise ValueError(("client_key_file", "is of no use without client_cert_file"))
        return path

    @field_validator("shards")
    @classmethod
    def _sharded(cls, shards: int, info: ValidationInfo) -> int:
        if info.data.get("shard", 0) >= shards:
            raise ValueError(("shard", "must be less than shards: the first one is 0"))
        return shards

    @field_validator("spaces", mode="before")
    @classmethod
    def _entries(cls, value: object, info: ValidationInfo) -> tuple[SpaceEntry, ...]:
        given = v.items(value)
        entries: tuple[SpaceEntry, ...] = ()
        faults = [*_key_faults(given, info.data), *_space_faults(given)]
        try:
            entries = _ENTRIES.validate_python(given, context=info.data)
        except ValidationError as error:
            faults += _entry_faults(error)
        if faults:
            raise ValueError(*faults)
        return entries

    # The last one defined is the first one run.
    @field_validator("*", mode="before")
    @classmethod
    def _unhide(cls, value: object) -> object:
        return value.get_secret_value() if isinstance(value, Secret) else value


def default_text(name: str) -> str:
    """Say the default of a setting as a user would write it; empty for none."""
    return str(Settings.model_fields[name].default)


def load(
    flags: Mapping[str, str],
    environ: Mapping[str, str] = os.environ,
    *,
    pinned: Mapping[str, object] | None = None,
) -> Settings:
    """Read the settings from all their sources; a flag beats the environment, which beats the file.

    Args:
        flags: texts from the command line by name of setting, and `config`, the path of the file.
        environ: the environment; `HAR_EXPORTER_CONFIG` is the path of the file.
        pinned: values that beat all sources; while they are given, `UPSTREAM` settings count from nowhere else.

    Raises:
        SettingsError: with every fault of every source.
    """
    given = (_from_flags(flags), _from_environment(environ), _from_file(flags, environ))
    sources: Sequence[_Source] = given
    if pinned is not None:
        sources = _source(pinned, Settings.model_fields, str), *(source.without(UPSTREAM) for source in given)
    settings, wrong = _validate(sources)
    if settings is None or any(source.faults for source in sources):
        raise SettingsError([*(fault for source in sources for fault in source.faults), *wrong])
    return settings


def file_of(flags: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the path of the file that `load` reads, or None where there is none."""
    _, path = _file(flags, environ)
    return Path(path) if path else None


@dataclass(frozen=True, slots=True)
class _Source:
    """Where settings came from.

    Attributes:
        values: by name of setting.
        spell: how the source spells that name.
        faults: what is wrong with the source itself.
        lost: it could not be read, so that what is missing may well be in it.
    """

    values: dict[str, object] = field(repr=False)
    spell: Callable[[str], str]
    faults: tuple[str, ...] = ()
    lost: bool = False

    def without(self, names: Collection[str]) -> "_Source":
        """Leave these settings out."""
        return replace(self, values={name: value for name, value in self.values.items() if name not in names})


def _validate(sources: Sequence[_Source]) -> tuple[Settings | None, list[str]]:
    try:
        return Settings(*(source.values for source in sources)), []
    except ValidationError as error:
        faults = [(name, line) for told in error.errors() for name, line in _named(told["loc"][0], told["ctx"])]
    lost = any(source.lost for source in sources)
    spelled = {name: source.spell(name) for source in reversed(sources) for name in source.values}
    return None, [f"{spelled.get(name, name)}: {line}" for name, line in faults if name in spelled or not lost]


def _named(name: int | str, context: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Tell the faults of one field; a check against another field may say whose fault it is."""
    for said in context["error"].args:
        yield said if isinstance(said, tuple) else (str(name), said)


def _from_flags(flags: Mapping[str, str]) -> _Source:
    known = {"config", *Settings.model_fields} - FLAGLESS
    return _source(flags, known, lambda name: "--" + name.replace("_", "-"))


def _from_environment(environ: Mapping[str, str]) -> _Source:
    names = [name for name in environ if name.startswith(ENV_PREFIX) and not _KUBERNETES.fullmatch(name)]
    given = {_setting_name(name): environ[name] for name in names}
    return _source(given, {"config", *Settings.model_fields}, _variable)


def _setting_name(variable: str) -> str:
    """Name the setting of a variable; one that is not all capitals stays as it is, which names none."""
    return variable.removeprefix(ENV_PREFIX).lower() if variable == variable.upper() else variable


def _variable(name: str) -> str:
    return name if name.startswith(ENV_PREFIX) else ENV_PREFIX + name.upper()


def _file(flags: Mapping[str, str], environ: Mapping[str, str]) -> tuple[str, str]:
    """Say where the path of the file comes from, and the path."""
    given = {"--config": flags.get("config", ""), "HAR_EXPORTER_CONFIG": environ.get("HAR_EXPORTER_CONFIG", "")}
    return next(((origin, path.strip()) for origin, path in given.items() if path.strip()), ("", ""))


def _from_file(flags: Mapping[str, str], environ: Mapping[str, str]) -> _Source:
    origin, path = _file(flags, environ)
    if not origin:
        return _Source({}, str)
    try:
        content, repeated = v.read_yaml(Path(path))
    except ValueError as error:
        return _Source({}, str, (f"{origin}: {error}",), lost=True)
    source = _source(content, Settings.model_fields, lambda name: f"{name} in {path}")
    twice = (f"{_shown(name)} in {path}: is given twice, again in line {line}" for name, line in repeated)
    return replace(source, faults=(*source.faults, *twice))


def _source(given: Mapping[str, object], known: Collection[str], spell: Callable[[str], str]) -> _Source:
    values = _given({name: value for name, value in given.items() if name in known and name != "config"})
    faults = (f"{spell(_shown(name))}: {_unknown(name, known, spell)}" for name in given if name not in known)
    return _Source(values, spell, tuple(faults))


def _given(values: Mapping[str, object]) -> dict[str, object]:
    """Leave out what is empty, unless empty means something."""
    blank = {name for name, value in values.items() if value is None or (isinstance(value, str) and not value.strip())}
    filled = {name: value for name, value in values.items() if name not in blank}
    return filled | dict.fromkeys(blank & _EMPTY_IS_NONE, "")


def _unknown(name: str, known: Collection[str], spell: Callable[[str], str]) -> str:
    plain = name.lower().replace("-", "_").removeprefix(ENV_PREFIX.lower())
    near = difflib.get_close_matches(plain, known, n=1)
    return f"is unknown; did you mean {spell(near[0])}?" if near else "is unknown; --help lists every setting"


def _shown(name: str) -> str:
    """Show a name that somebody made up only if it is like a name: it may be a value that is out of place."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", name) else "(no name of a setting)"


def _refuse_clear_text(url: str, others: Mapping[str, object]) -> str:
    if not v.is_private(url) and not others.get("allow_insecure_http", True):
        raise ValueError(
            "must be https://, as http:// shows the key to the network; or set allow_insecure_http to true"
        )
    return url


def _key_faults(entries: Collection[object], others: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Check that there is exactly one key; one that is faulty counts as given."""
    keys = [name for name in ("api_key", "api_key_file") if others.get(name, "one that is faulty") is not None]
    if len(keys) > 1:
        yield "api_key", "is given, and api_key_file is too; leave one of them out"
    own = [isinstance(entry, Mapping) and "api_key_file" in _given(entry) for entry in entries]
    if not keys and not (own and all(own)):
        yield "api_key", "is required (HAR_EXPORTER_API_KEY), or api_key_file, or an api_key_file for every space"


def _space_faults(entries: Collection[object]) -> Iterator[tuple[str, str]]:
    if not entries:
        yield "spaces", "is required: account, account/org or account/org/project, separated by commas"
    first: dict[str, int] = {}
    for number, entry in enumerate(entries, 1):
        ref = entry.get("ref") if isinstance(entry, Mapping) else entry
        if isinstance(ref, str) and first.setdefault(ref.strip().removesuffix("/+"), number) != number:
            yield "spaces", f"entry {number}: is the same space as entry {first[ref.strip().removesuffix('/+')]}"


def _entry_faults(error: ValidationError) -> Iterator[tuple[str, str]]:
    for told in error.errors():
        position, *below = (*told["loc"],)
        name = str(below[0]) if below else "ref"
        origin = f"entry {int(position) + 1}: " + ("" if name == "ref" else f"{_shown(name)}: ")
        unknown = told["type"] == "extra_forbidden"
        lines = [_unknown(name, SpaceEntry.model_fields, str)] if unknown else told["ctx"]["error"].args
        yield from (("spaces", origin + line) for line in lines)
