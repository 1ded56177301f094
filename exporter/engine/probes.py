"""Probes: which spaces `/probe` may ask for, and the spaces that it asked for.

A space that this process serves on /metrics has one refresh and one snapshot for both. Any other target is kept while
it is probed, in the same states as a space of /metrics. At most `MOST_TARGETS` are kept, of which spaces that are not
configured take at most half. If one makes room for another, its back-off is still followed.
"""

import math
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

import structlog
from cachetools import TLRUCache, TTLCache

from exporter.clock import Clock
from exporter.config.settings import Settings
from exporter.config.spaces import Space, SpaceEntry
from exporter.inventory.refresh import SpaceRefresher, SpaceStatus
from exporter.log import LoggedStates
from exporter.metrics.space_families import SpaceView
from exporter.scopes import parse_scope

_log = structlog.get_logger()

MOST_TARGETS = 100
"""Targets that are kept. One takes up to 0.7 MB, with 500 findings, so that all fit into a pod."""

_LEAST_IDLE = 900.0
_LONGEST_SEGMENT = 128  # characters; identifiers of Harness have 128 at most
_BACKOFFS = 10 * MOST_TARGETS  # of evicted targets; one takes some 10 KB
_LONGEST_BACKOFF = 3600.0
_REPEAT_AFTER = 600.0


class Targets:
    """Spaces that `/probe` may ask for.

    Attributes:
        off: whether probes are off, so that the path does not exist.
    """

    def __init__(self, settings: Settings, configured: Collection[Space]) -> None:
        """Take the settings, and the spaces of all shards, those that were found below entries included."""
        self.off = settings.probe == "off"
        self._settings = settings
        self._configured = {space.ref: space for space in configured}

    def asked(self, query: bytes) -> Space | None:
        """Return the space that a query string asks for.

        Only the name of the space comes from the query. With `probe: any`, the server and key of a space that is not
        configured are those of the closest configured space above it, or else those that all configured spaces of its
        account share; its filters are those for all spaces.

        Returns:
            The space; None unless the query is exactly one `space`, written as in the settings, that may be asked for.
        """
        ref = _ref(query)
        return None if ref is None else self.named(ref)

    def configured(self, ref: str) -> bool:
        """Return whether a space is configured, on this shard or another."""
        return ref in self._configured

    def named(self, ref: str) -> Space | None:
        """Return the space of a name; None if it may not be asked for."""
        return None if self.off else self._configured.get(ref) or self._unconfigured(ref)

    def _unconfigured(self, ref: str) -> Space | None:
        account, *below = ref.split("/")
        if self._settings.probe != "any" or any(len(segment) > _LONGEST_SEGMENT for segment in below):
            return None
        relatives = [space for space in self._configured.values() if space.account == account]
        above = [space for space in relatives if ref.startswith(f"{space.ref}/")]
        nearest = [max(above, key=lambda space: len(space.ref))] if above else relatives
        upstreams = {(space.base_url, space.api_key, space.api_key_file) for space in nearest}
        if len(upstreams) != 1:
            return None
        base_url, api_key, api_key_file = upstreams.pop()
        space = self._settings.resolve(SpaceEntry.model_validate(ref), ref)
        return replace(space, base_url=base_url, api_key=api_key, api_key_file=api_key_file)


def _ref(query: bytes) -> str | None:
    # The plus of a trailing /+ stays a plus: names of spaces hold no blanks.
    text = query.decode("latin-1").replace("+", "%2B")
    try:
        ((name, value),) = parse_qsl(text, max_num_fields=1)
        return parse_scope(value) if name == "space" else None
    except ValueError:
        return None


@dataclass(slots=True)
class Probe:
    """One space of `/probe`.

    Attributes:
        space: the space.
        refresher: refreshes it.
        view: returns what is exported of it.
    """

    space: Space
    refresher: SpaceRefresher
    view: Callable[[Space, SpaceStatus], SpaceView]

    def scrape(self, budget: float) -> list[Future[None]]:
        """Start the refresh if it is due, and return it if the probe should wait for it."""
        return self.refresher.scrape(budget, self.space.ref)

    def views(self) -> tuple[SpaceView, ...]:
        """Return what is exported of the space now."""
        return tuple(self.view(self.space, status) for status in self.refresher.statuses(self.space.ref))


class Probes:
    """Spaces that `/probe` asked for; safe to share between threads.

    Attributes:
        targets: the spaces that it may ask for.
    """

    def __init__(
        self,
        targets: Targets,
        served: SpaceRefresher,
        *,
        new_refresher: Callable[[Space], SpaceRefresher],
        view: Callable[[Space, SpaceStatus], SpaceView],
        clock: Clock,
        max_stale: float,
    ) -> None:
        """Keep no target yet.

        Args:
            targets: the spaces that may be asked for.
            served: the spaces of /metrics.
            new_refresher: makes the refresher of one space that is not among these.
            view: returns what is exported of a space.
            clock: source of time.
            max_stale: seconds that a snapshot may be served; a target that is not probed is kept as long.
        """
        self.targets = targets
        self._served = served
        self._new_refresher = new_refresher
        self._view = view
        self._idle = max(max_stale, _LEAST_IDLE)
        self._lock = threading.Lock()
        # Not bounded by the cache itself, which would evict a target whose refresh runs.
        self._kept: TLRUCache[str, Probe] = TLRUCache(
            math.inf, lambda _ref, _probe, now: now + self._idle, clock.monotonic
        )
        # Without their data; otherwise evicting a target and asking for it again would be a way around its back-off.
        self._evicted: TTLCache[str, Probe] = TTLCache(_BACKOFFS, _LONGEST_BACKOFF, clock.monotonic)
        self._logged = LoggedStates(clock, repeat_after=_REPEAT_AFTER)

    def open(self, space: Space) -> Probe | None:
        """Return the probe of a space, the same as last time if it is still kept.

        Returns:
            The probe; None if there is no room for it: every target in whose place it could be kept has a refresh that
            runs or is queued.
        """
        self.forget_idle()
        if space.ref in self._served:
            return Probe(space, self._served, self._view)
        with self._lock:
            probe = self._kept.pop(space.ref, None)
            if probe is None:
                if not self._has_room(space.ref):
                    return None
                probe = self._evicted.pop(space.ref, None)
            if probe is None or probe.space != space:
                probe = Probe(space, self._new_refresher(space), self._view)
            # Inserted again, so that its time starts again and the first one is the least recently used.
            self._kept[space.ref] = probe
            return probe

    def reload(self, targets: Targets, *, max_stale: float, apply_to: Callable[[SpaceRefresher, Space], None]) -> None:
        """Apply other settings; a target that may still be asked for is kept.

        Args:
            targets: the spaces that may be asked for.
            max_stale: seconds that a snapshot may be served.
            apply_to: applies the settings to the refresher of a space.
        """
        self.forget_idle()
        with self._lock:
            self.targets = targets
            self._idle = max(max_stale, _LEAST_IDLE)
            self._evicted.clear()
            for ref, probe in tuple(self._kept.items()):
                space = targets.named(ref)
                if space is None or ref in self._served:
                    del self._kept[ref]
                    probe.refresher.cancel()
                else:
                    apply_to(probe.refresher, space)
                    probe.space = space

    def forget_idle(self) -> None:
        """Drop targets that were not probed for a long time."""
        with self._lock:
            for ref, probe in self._kept.expire() or ():
                if probe.refresher.refreshing():
                    self._kept[ref] = probe

    def _has_room(self, new: str) -> bool:
        """Return whether another target can be kept, after evicting one if that is necessary."""
        unconfigured = [ref for ref in self._kept if not self.targets.configured(ref)]
        # Anyone can ask for any number of these; they must not hold the places of configured spaces.
        if len(unconfigured) >= MOST_TARGETS // 2 and not self.targets.configured(new):
            return self._evict(unconfigured)
        return len(self._kept) < MOST_TARGETS or self._evict(tuple(self._kept))

    def _evict(self, refs: Sequence[str]) -> bool:
        """Evict the target that was not probed for the longest time, unless all of these are being refreshed."""
        unused = next((ref for ref in refs if not self._kept[ref].refresher.refreshing()), None)
        if unused is None:
            return False
        probe = self._kept.pop(unused)
        if any(status.last_failure for status in probe.refresher.statuses()):
            probe.refresher.drop_data()
            self._evicted[unused] = probe
        if self._logged.is_new("targets", "full"):
            _log.warning("more spaces are probed than can be kept, so they are refreshed more often", kept=len(refs))
        return True
