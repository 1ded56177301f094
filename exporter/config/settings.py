"""Every setting: its type, bounds, default, help, and what a reload does when it changed.

Every source holds text; the YAML file also holds lists and mappings. `sources.load` makes the settings.
"""

from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, Secret, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from exporter.config import readers as r
from exporter.config.owners import Owners, owner_of, read_owners
from exporter.config.spaces import (
    NOTHING_FOUND,
    Found,
    Space,
    SpaceEntry,
    asked_for_sources,
    read_entries,
    refuse_clear_text,
    spaces_of,
)
from exporter.labels import FINDINGS, SOURCES
from exporter.scopes import shard_of
from exporter.texts import optional, whole

FLAGLESS = frozenset({"api_key"})
"""Settings without a flag: every user of the machine can read a command line."""

UPSTREAM = frozenset(
    {"base_url", "api_prefix", "api_key", "api_key_file", "auth_scheme", "spaces", "allow_insecure_http"}
    | {"ca_file", "client_cert_file", "client_key_file", "proxy_url"}
)
"""Settings of the server that is asked, which `har-exporter demo` replaces."""


class OnReload(StrEnum):
    """Effect on a running process when a reload finds a setting changed."""

    RESET = "the space starts cold: its old data came from a different listing"
    REFRESH = "the space is refreshed immediately; until then its data stays"
    APPLY = "takes effect immediately, for existing data and for the next refresh"
    RESTART = "requires a restart; the log names the setting"


def _setting(default: str, on_reload: OnReload, description: str) -> Any:  # noqa: ANN401 - the annotation gives the type
    """Declare a setting; its default is text, as in any other source, so that help prints it as users write it."""
    return Field(default=default, description=description, json_schema_extra={"on_reload": on_reload})


class Settings(BaseSettings):
    """Every setting, valid and frozen. `load` makes it.

    The order of the fields matters where one is checked against another: the check sits at the later one.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True, case_sensitive=True
    )

    allow_insecure_http: r.Switch = _setting(
        "false",
        OnReload.APPLY,
        "Allow http:// to other machines, which shows the API key to the network: true or false.",
    )
    base_url: r.BaseUrl = _setting(
        "https://app.harness.io",
        OnReload.RESET,
        "Address of Harness: scheme, host and optional path; http:// only to loopback.",
    )
    api_prefix: Annotated[str, BeforeValidator(r.read_api_prefix)] = _setting(
        "/har/api/v1", OnReload.RESET, "Path of the API; /gateway/har/api/v1 or /api/v1 on some servers."
    )
    api_key: Annotated[SecretStr | None, optional(r.read_secret_key)] = _setting(
        "", OnReload.REFRESH, "API key, unless it is in api_key_file; from the environment or the file, never a flag."
    )
    api_key_file: r.KeyPath = _setting(
        "", OnReload.REFRESH, "File that holds the API key, read again when it changes; instead of api_key."
    )
    auth_scheme: Annotated[Literal["x-api-key", "bearer"], r.choice("x-api-key", "bearer")] = _setting(
        "x-api-key", OnReload.REFRESH, "How the API key is sent: x-api-key or bearer."
    )
    sources: Annotated[tuple[str, ...], r.some_of(SOURCES)] = _setting(
        "registries,violations",
        OnReload.APPLY,
        "What is read in addition to artifacts: registries, violations, separated by commas; or off.",
    )
    spaces: tuple[SpaceEntry, ...] = _setting(
        "",
        OnReload.APPLY,
        "Spaces to list, required: account, account/org or account/org/project, separated by commas, with /** at the"
        " end for all spaces below, too; in the file a list of these or of mappings with"
        f" {', '.join(SpaceEntry.model_fields)}.",
    )
    registries: r.Names = _setting("", OnReload.RESET, "Read only these registries, separated by commas.")
    package_types: r.Names = _setting("", OnReload.RESET, "Read only these package types, separated by commas.")
    latest_version: r.OptionalSwitch = _setting(
        "", OnReload.RESET, "Read only the latest version of each artifact: true or false."
    )
    deployed_artifact: r.OptionalSwitch = _setting("", OnReload.RESET, "Read only deployed artifacts: true or false.")
    search_term: r.Term = _setting("", OnReload.RESET, "Read only artifacts that match this text.")
    owner: Annotated[Owners, BeforeValidator(read_owners)] = _setting(
        "",
        OnReload.APPLY,
        "Who answers for a space, a label of har_space_info: a text; in the file also a mapping of spaces to texts, in"
        " which * stands for any characters, and of which the longest that matches counts.",
    )
    page_size: r.PageSize = _setting(
        "auto",
        OnReload.APPLY,
        "Artifacts per page, 1 to 10000, or auto: 100, and 1000 for large listings if the server gives them. After any "
        "fault of pages above 100, a space is read with 100 for a day.",
    )
    concurrency: Annotated[int, whole(1, 64)] = _setting(
        "4", OnReload.APPLY, "Pages in flight, and refreshes at a time for each key and host, 1 to 64."
    )
    rate_limit: r.RateLimit = _setting(
        "300/m", OnReload.APPLY, "Requests per key and host: a number per s, m or h; off for no limit."
    )
    request_timeout: Annotated[float, r.duration("1ms")] = _setting(
        "30s", OnReload.APPLY, "Timeout of one request, as a duration."
    )
    refresh_timeout: Annotated[float, r.duration("1ms")] = _setting(
        "1h", OnReload.APPLY, "Timeout of one refresh of a space, from its first request, as a duration."
    )
    cache_ttl: Annotated[float, r.duration("1s")] = _setting(
        "45s",
        OnReload.APPLY,
        "How long a snapshot counts as fresh, from the start of its refresh, as a duration of at least 1s.",
    )
    registries_ttl: Annotated[float, r.duration("1s")] = _setting(
        "15m", OnReload.APPLY, "How long the list of registries counts as fresh, as a duration of at least 1s."
    )
    violations_ttl: Annotated[float, r.duration("1s")] = _setting(
        "1m", OnReload.APPLY, "How long the list of violations counts as fresh, as a duration of at least 1s."
    )
    max_stale: Annotated[float, r.duration("0s")] = _setting(
        "1h",
        OnReload.APPLY,
        "How long a snapshot is served while refreshes fail, as a duration; 0 drops it at the first failure.",
    )
    scrape_timeout_offset: Annotated[float, r.duration("0s")] = _setting(
        "0.5s", OnReload.APPLY, "Safety margin subtracted from the scrape timeout, as a duration."
    )
    findings: Annotated[tuple[str, ...], r.some_of(FINDINGS)] = _setting(
        "quarantined,blocked",
        OnReload.REFRESH,
        "Artifacts exported by name: quarantined, blocked, warn, separated by commas; or off.",
    )
    findings_limit: Annotated[int, whole(0, 100_000)] = _setting(
        "500", OnReload.REFRESH, "Artifacts exported by name per space, 0 to 100000."
    )
    registries_limit: Annotated[int, whole(0, 100_000)] = _setting(
        "500",
        OnReload.REFRESH,
        "Registries and package types with series of their own per space, the largest ones, 0 to 100000; the others are"
        " added up as (other).",
    )
    stale_scan_after: r.Thresholds = _setting(
        "7d,30d,90d", OnReload.REFRESH, "Ages from which a scan counts as stale: durations separated by commas; or off."
    )
    ca_file: r.FilePath = _setting(
        "", OnReload.REFRESH, "File of PEM certificate authorities to trust instead of the usual ones."
    )
    client_key_file: r.FilePath = _setting(
        "", OnReload.REFRESH, "File of the PEM key to client_cert_file, if that file does not hold it."
    )
    client_cert_file: r.FilePath = _setting(
        "", OnReload.REFRESH, "File of the PEM certificate to present to the server."
    )
    proxy_url: Annotated[SecretStr | None, optional(r.read_proxy_url)] = _setting(
        "",
        OnReload.REFRESH,
        "Proxy to the server: http:// or https:// with optional user and password; HTTPS_PROXY is honoured too.",
    )
    link_template: Annotated[str, BeforeValidator(r.read_link_template)] = _setting(
        "{base}/ng/account/{account}/module/har/orgs/{org}/projects/{project}/registries/{registry}",
        OnReload.APPLY,
        "Template of the url labels, with {base}, {account}, {org}, {project} and {registry}; empty for none.",
    )
    listen_address: Annotated[r.ListenAddress, BeforeValidator(r.read_listen_address)] = _setting(
        ":10981", OnReload.RESTART, "Address to listen on, host:port; every interface without a host."
    )
    web_config_file: r.FilePath = _setting(
        "",
        OnReload.RESTART,
        "Path of the file with TLS, users, headers and rate limit of the endpoints, in the format that Prometheus"
        " exporters share; read again when it changes.",
    )
    probe: Annotated[Literal["configured", "any", "off"], r.choice("configured", "any", "off")] = _setting(
        "configured",
        OnReload.APPLY,
        "Spaces that /probe may ask for: configured (those of all shards), any (every scope of their accounts) or off.",
    )
    shard: Annotated[int, BeforeValidator(r.read_shard)] = _setting(
        "0",
        OnReload.APPLY,
        "Number of this shard, from 0; or a name that ends in it, such as that of a StatefulSet's pod.",
    )
    shards: Annotated[int, whole(1, r.MOST_SHARDS)] = _setting(
        "1",
        OnReload.APPLY,
        f"Processes that share the spaces among them, 1 to {r.MOST_SHARDS}: the same number for each of them.",
    )
    web_enable_lifecycle: r.Switch = _setting("false", OnReload.APPLY, "Enable POST /-/reload: true or false.")
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], r.choice("debug", "info", "warning", "error")
    ] = _setting("info", OnReload.APPLY, "Minimum log level: debug, info, warning or error.")
    log_format: Annotated[Literal["logfmt", "json"], r.choice("logfmt", "json")] = _setting(
        "logfmt", OnReload.APPLY, "Log format: logfmt or json."
    )

    def __init__(self, *sources: PydanticBaseSettingsSource) -> None:
        """Validate what the sources hold; the first one has precedence."""
        by_rank: dict[str, Any] = {str(rank): source for rank, source in enumerate(sources)}
        super().__init__(**by_rank)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the sources know it
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the environment is an argument of `load`
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use the sources that `__init__` was given."""
        return tuple(init_settings().values())

    @property
    def configured(self) -> tuple[Space, ...]:
        """The spaces of all shards, in the configured order."""
        return self.configured_and(NOTHING_FOUND)

    @property
    def served(self) -> tuple[Space, ...]:
        """Those of this shard."""
        return tuple(filter(self.serves, self.configured))

    def configured_and(self, found: Found) -> tuple[Space, ...]:
        """Return the spaces of all shards, in the configured order, and after them those that were found below them."""
        return spaces_of(self.spaces, self.resolve, found)

    @property
    def named(self) -> frozenset[str]:
        """The names of the spaces that have an entry of their own."""
        return frozenset(entry.scope for entry in self.spaces if not entry.descendants)

    def serves(self, space: Space) -> bool:
        """Return whether this shard serves a space."""
        return shard_of(space.ref, self.shards) == self.shard

    @property
    def asked_for_sources(self) -> tuple[Space, ...]:
        """The entries that this process asks for registries and violations; none if `sources` is off."""
        entries = self.spaces if self.sources else ()
        return asked_for_sources([self.resolve(entry, entry.scope) for entry in entries], self.serves)

    @property
    def stale_ages(self) -> dict[str, float]:
        """The ages from which a scan counts as stale, in seconds, by label."""
        return {age.label: age.seconds for age in self.stale_scan_after}

    def resolve(self, entry: SpaceEntry, ref: str) -> Space:
        """Return a space with the settings of an entry; what the entry leaves out comes from the settings for all."""
        own: dict[str, Any] = {name: getattr(entry, name) for name in entry.model_fields_set}
        own |= {"ref": ref, "descendants": entry.descendants}
        # A key never goes to a host it was not given for, so the entry's own file replaces both.
        if "api_key_file" in own:
            own["api_key"] = None
        shared = {one.name: getattr(self, one.name) for one in fields(Space) if one.name not in own}
        return Space(**(shared | {"owner": owner_of(ref, self.owner)} | own))

    def values_of(self, space: Space, on_reload: OnReload) -> dict[str, object]:
        """Return the settings with one effect on reload, as they apply to a space."""
        own = {field.name for field in fields(space)}
        return {name: getattr(space if name in own else self, name) for name in names_of(on_reload)}

    def running(self, before: "Settings") -> tuple["Settings", tuple[str, ...]]:
        """Return these settings as a running process can use them.

        Args:
            before: the settings that are in force.

        Returns:
            The settings, and the names of those that keep their values because they require a restart.
        """
        changed = tuple(name for name in names_of(OnReload.RESTART) if getattr(self, name) != getattr(before, name))
        # The socket and the TLS context were made with the old values.
        return self.model_copy(update={name: getattr(before, name) for name in changed}), changed

    @field_validator("base_url")
    @classmethod
    def _encrypted(cls, url: str, info: ValidationInfo) -> str:
        return refuse_clear_text(url, info.data)

    @field_validator("client_cert_file")
    @classmethod
    def _certified(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is None and info.data.get("client_key_file", "invalid") is not None:
            raise ValueError(("client_key_file", "has no effect without client_cert_file"))
        return path

    @field_validator("shards")
    @classmethod
    def _sharded(cls, shards: int, info: ValidationInfo) -> int:
        if info.data.get("shard", 0) >= shards:
            raise ValueError(("shard", "must be less than shards: the first shard is 0"))
        return shards

    @field_validator("spaces", mode="before")
    @classmethod
    def _entries(cls, value: object, info: ValidationInfo) -> tuple[SpaceEntry, ...]:
        return read_entries(value, info.data)

    # pydantic runs the validator that is defined last first.
    @field_validator("*", mode="before")
    @classmethod
    def _unhide(cls, value: object) -> object:
        return value.get_secret_value() if isinstance(value, Secret) else value


def default_text(name: str) -> str:
    """Return the default of a setting as a user would write it; empty for none."""
    return str(Settings.model_fields[name].default)


def names_of(on_reload: OnReload) -> tuple[str, ...]:
    """Return the settings with one effect on reload, sorted."""
    return tuple(sorted(name for name in Settings.model_fields if effect_of(name) is on_reload))


def effect_of(name: str) -> OnReload:
    """Return what a reload does when a setting changed."""
    extra = Settings.model_fields[name].json_schema_extra
    return OnReload(str(extra["on_reload"])) if isinstance(extra, Mapping) else OnReload.RESTART
