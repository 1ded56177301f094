"""Warnings of `har-exporter check`: what does not work as intended, each with the setting to change."""

from collections.abc import Iterable, Iterator

from exporter.check.checked import CheckedSpace, SharedKey, first_page_rows
from exporter.check.sample import ineffective_filters
from exporter.config.settings import Settings
from exporter.config.spaces import Space
from exporter.harness.client import SAFE_PAGE_SIZE
from exporter.inventory.snapshot import Snapshot
from exporter.labels import clean
from exporter.texts import format_duration

_SCRAPE_SECONDS = 10.0  # Prometheus's default scrape timeout
_FILTERS = ("registries", "package_types", "latest_version", "deployed_artifact", "search_term")


def of_space(one: CheckedSpace, key: SharedKey, settings: Settings) -> Iterator[str]:
    """Return what is wrong with the answers of a space."""
    yield from _account_warnings(one)
    yield from _registry_warnings(one)
    if snapshot := one.status.snapshot:
        yield from _page_warnings(one, snapshot, settings)
        yield from _time_warnings(one.requests, key, settings)


def of_key(key: SharedKey, settings: Settings) -> Iterator[str]:
    """Return the settings that are too small for the refreshes of all spaces of a key."""
    takes = key.refresh_seconds
    spaces = "the space" if key.spaces == 1 else f"all {key.spaces} spaces"
    refresh = f"{key.base_url}: refreshing {spaces} takes at least {format_duration(takes)}"
    needed = settings.cache_ttl + takes
    if needed > settings.max_stale and takes > _SCRAPE_SECONDS:
        yield (
            f"{refresh}, and data is dropped after max_stale ({format_duration(settings.max_stale)}), before the"
            f" next refresh ends: raise max_stale above {format_duration(needed)}"
        )


def of_names(spaces: Iterable[Space]) -> Iterator[str]:
    """Return the spaces that are one to the API, whose names differ in case only."""
    alike: dict[tuple[str, str], list[str]] = {}
    for space in spaces:
        alike.setdefault((space.base_url, space.ref.lower()), []).append(space.ref)
    for refs in alike.values():
        if len(refs) > 1:
            names = f"{', '.join(refs[:-1])} and {refs[-1]}"
            yield f"spaces: {names} differ in case only, which Harness ignores: remove all but one, or they count twice"


def _account_warnings(one: CheckedSpace) -> Iterator[str]:
    # A key from a different account may still have access, so this is only a warning.
    if one.key_account not in {"", one.space.account}:
        yield (
            f"the key belongs to another account, {clean(one.key_account)}: change the space's entry in spaces, or give"
            " it an api_key_file of its own"
        )


def _registry_warnings(one: CheckedSpace) -> Iterator[str]:
    if one.unlisted:
        names = ", ".join(map(clean, one.unlisted))
        yield f"registries: nothing is listed for {names}: misspelled, empty, or in another space"
    if one.unknown:
        yield f"registries: could not ask for {', '.join(map(clean, one.unknown))}: try again"


def _empty_warnings(one: CheckedSpace) -> Iterator[str]:
    filters = [name for name in _FILTERS if getattr(one.space, name) not in {(), None}]
    # A space below the one of an entry that ends in /** need not have the registries that the entry names.
    if "registries" in filters and not one.own_entry:
        return
    if one.registries:
        them = ", ".join(filters) or "them"
        yield f"nothing is listed, although there are {one.registries:,} registries: check {them}"
    # The root of such an entry need not have a registry of its own.
    elif not one.space.descendants and not (one.unlisted and filters == ["registries"]):
        wider = "" if one.space.project else "; for those of organizations and projects below, write /** at the end"
        yield f"nothing is listed: check {', '.join(filters) or 'spaces'}{wider}"


def _page_warnings(one: CheckedSpace, snapshot: Snapshot, settings: Settings) -> Iterator[str]:
    nothing = [] if first_page_rows(snapshot) else [*_empty_warnings(one)]
    yield from nothing
    if one.requests is None and not nothing:
        yield "the API does not report how many artifacts there are: only a refresh shows what it costs"
    yield from ineffective_filters(one.rows, one.space)
    if snapshot.page_size < (settings.page_size or SAFE_PAGE_SIZE):
        yield f"the server returns at most {snapshot.page_size} rows per page: lower page_size to that"


def _time_warnings(requests: int | None, key: SharedKey, settings: Settings) -> Iterator[str]:
    if requests is None:
        return
    alone, shared, limit = key.seconds(requests), key.shared_seconds(requests), settings.refresh_timeout
    change = f"longer than refresh_timeout ({format_duration(limit)}): raise refresh_timeout, or {key.lever(requests)}"
    if alone > limit:
        yield f"a refresh takes at least {format_duration(alone)}, {change}"
    elif shared > limit:
        yield f"a refresh may take {format_duration(shared)} while other spaces refresh too, {change}"
