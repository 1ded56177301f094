"""What a setting does to a process that runs, when it is found changed as the settings are read again."""

from collections.abc import Collection
from dataclasses import fields

from exporter.config.settings import Settings, Space

ANEW = frozenset(
    {"base_url", "api_prefix", "registries", "package_types", "latest_version", "deployed_artifact", "search_term"}
)
"""Settings that say what is listed: a space of which one changed starts cold, its data was that of another listing."""

AGAIN = frozenset(
    {"api_key", "api_key_file", "auth_scheme", "ca_file", "client_cert_file", "client_key_file", "proxy_url"}
    | {"findings", "findings_limit", "stale_scan_after"}
)
"""Settings that say how it is read, and what of it is kept: the data stays until it was read anew, which begins now."""

AT_ONCE = frozenset(
    {"spaces", "shard", "shards", "probe", "allow_insecure_http", "web_enable_lifecycle", "scrape_timeout_offset"}
    | {"page_size", "concurrency", "rate_limit", "request_timeout", "refresh_timeout", "cache_ttl", "max_stale"}
    | {"link_template", "log_level", "log_format"}
)
"""Settings that hold from now on: for data that is there, for walks that begin, for spaces that are new."""

RESTART = frozenset({"listen_address", "web_config_file"})
"""Settings that the socket is made with: they keep their values, which is told in the log."""


def values(settings: Settings, space: Space, names: Collection[str]) -> tuple[object, ...]:
    """Return the values that settings have for a space, which may have its own, in the order of their names."""
    own = {field.name for field in fields(space)}
    return tuple(getattr(space if name in own else settings, name) for name in sorted(names))


def kept(settings: Settings, before: Settings) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings as a process that runs by others can heed them, and what it cannot before a restart."""
    changed = tuple(sorted(name for name in RESTART if getattr(settings, name) != getattr(before, name)))
    return settings.model_copy(update={name: getattr(before, name) for name in changed}), changed
