"""Answers of the spaces that `har-exporter check` asked, and of the spaces that share a key."""

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.check import forecast
from exporter.config.settings import Settings
from exporter.config.spaces import Space
from exporter.harness.page import Artifact
from exporter.inventory.refresh import SpaceStatus
from exporter.inventory.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class CheckedSpace:
    """Answers of one space.

    Attributes:
        space: the space.
        status: the space after a refresh with its first page only.
        key: the same number for spaces with the same server and key, which share `rate_limit`.
        key_account: the account that the key names; empty if it names none.
        requests: requests of one refresh; None if only a refresh can show it.
        series: time series of the first page.
        rows: its rows.
        registries: number of its registries, if it has no artifacts; None if that is not known.
        own_entry: whether it has an entry of its own, not one for all spaces below another.
        unlisted: configured registries that list nothing.
        unknown: configured registries that could not be asked for.
    """

    space: Space
    status: SpaceStatus
    key: int
    key_account: str
    requests: int | None
    series: int
    rows: Sequence[Artifact] = ()
    registries: int | None = None
    own_entry: bool = True
    unlisted: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Seconds that the page took, including retries and waits for `rate_limit`."""
        return self.status.refresh_seconds or 0.0


class SharedKey:
    """Spaces that share one key's requests to one host.

    Attributes:
        base_url: the host.
        spaces: number of its spaces that have a page.
        latency: seconds of the fastest page; 0 without any.
        requests: requests of one refresh of each space, as far as known.
    """

    def __init__(self, number: int, checked: Sequence[CheckedSpace], settings: Settings) -> None:
        """Find the spaces of a key by its number, that of `CheckedSpace.key`."""
        mine = [one for one in checked if one.key == number]
        pages = [one.seconds for one in mine if one.status.snapshot]
        self.latency = min(pages, default=0.0)
        self.requests = sum(one.requests or 0 for one in mine)
        self.spaces = len(pages)
        self.base_url = mine[0].space.base_url
        self._settings = settings

    @property
    def refresh_seconds(self) -> float:
        """Least seconds to refresh all of its spaces."""
        return self.seconds(self.requests)

    def seconds(self, requests: int) -> float:
        """Return the least seconds of so many requests."""
        settings = self._settings
        return forecast.least_seconds(requests, settings.rate_limit, self.latency, settings.concurrency)

    def shared_seconds(self, requests: int) -> float:
        """Return the seconds of one refresh while as many others run as may run at a time."""
        # At most `concurrency` refreshes of a key run at a time.
        walks = min(self.spaces, self._settings.concurrency)
        return self.seconds(min(requests * walks, self.requests))

    def lever(self, requests: int) -> str:
        """Return the setting that makes so many requests faster."""
        if self.seconds(requests) > forecast.seconds_by_rate(requests, self._settings.rate_limit):
            return "concurrency"
        return "rate_limit (Harness allows 400 requests a minute per key)"


def first_page_rows(snapshot: Snapshot) -> int:
    """Return the rows of the first page, repeated and rejected ones included."""
    return snapshot.inventory.artifacts + snapshot.duplicates + snapshot.rejected.rows
