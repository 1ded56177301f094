"""What `/probe` may ask for, and what is kept of the spaces that it asks for.

A space that this process serves on /metrics has one refresh and one snapshot for both. Any other target is kept as long
as it is asked for, in the same states as a space of /metrics, beside at most `MOST_TARGETS` others.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

import structlog

from exporter.clock import Clock
from exporter.config.readers import read_ref
from exporter.config.settings import Settings, Space, SpaceEntry
from exporter.inventory.refresh import Refresher, SpaceStatus
from exporter.metrics.families import SpaceView

_log = structlog.get_logger()

MOST_TARGETS = 100
"""Targets that are kept at once. One takes up to 0.7 MB, with 500 findings, so that all fit into a pod."""

_LEAST_IDLE = 900.0
_TELL_AGAIN = 600.0


class Targets:
    """Which spaces `/probe` may ask for, as the settings say.

    Attributes:
        off: it may ask for none, and there is nothing at its path.
    """

    def __init__(self, settings: Settings) -> None:
        self.off = settings.probe == "off"
        self._settings = settings
        self._configured = {space.ref: space for space in settings.configured}

    def asked(self, query: bytes) -> Space | None:
        """Return the space that a query string asks for.

        Nothing of the answer comes from the query but the reference of the space. Server and key of one that is not
        configured itself, where any may be asked for, are those of the closest configured space above it, or else those
        that all configured spaces of the account have in common; its filters are those for all spaces.

        Returns:
            None unless the query is exactly one `space`, spelled as in the settings, that may be asked for.
        """
        ref = _ref(query)
        return None if ref is None else self.named(ref)

    def named(self, ref: str) -> Space | None:
        """Return the space of a reference; None if it may not be asked for."""
        return None if self.off else self._configured.get(ref) or self._unconfigured(ref)

    def _unconfigured(self, ref: str) -> Space | None:
        if self._settings.probe != "any":
            return None
        account, *_ = ref.split("/")
        relatives = [space for space in self._configured.values() if space.account == account]
        above = [space for space in relatives if ref.startswith(f"{space.ref}/")]
        nearest = [max(above, key=lambda space: len(space.ref))] if above else relatives
        upstreams = {(space.base_url, space.api_key, space.api_key_file) for space in nearest}
        if len(upstreams) != 1:
            return None
        base_url, api_key, api_key_file = upstreams.pop()
        space = self._settings.resolve(SpaceEntry.model_validate(ref))
        return replace(space, base_url=base_url, api_key=api_key, api_key_file=api_key_file)


def _ref(query: bytes) -> str | None:
    # A plus is a plus, as in the /+ that may follow: no space has a blank in it.
    text = query.decode("latin-1").replace("+", "%2B")
    try:
        ((name, value),) = parse_qsl(text, max_num_fields=1)
        return read_ref(value) if name == "space" else None
    except ValueError:
        return None


@dataclass(slots=True)
class Probe:
    """One space as `/probe` shows it.

    Attributes:
        space: the space.
        refresher: what refreshes it.
        show: adds to what is known of the space what the settings say of it.
        used: when it was last asked for, monotonic time.
    """

    space: Space
    refresher: Refresher
    show: Callable[[Space, SpaceStatus], SpaceView]
    used: float

    def scrape(self, budget: float) -> list[Future[None]]:
        """As `Refresher.scrape`, of this space alone."""
        return self.refresher.scrape(budget, self.space.ref)

    def views(self) -> tuple[SpaceView, ...]:
        """Return what is known of the space now."""
        return tuple(self.show(self.space, status) for status in self.refresher.statuses(self.space.ref))


class Probes:
    """The spaces that `/probe` asks for; safe to share between threads.

    Attributes:
        targets: which these may be.
    """

    def __init__(
        self,
        targets: Targets,
        served: Refresher,
        *,
        new_refresher: Callable[[Space], Refresher],
        show: Callable[[Space, SpaceStatus], SpaceView],
        clock: Clock,
        max_stale: float,
    ) -> None:
        """Keep no target yet.

        Args:
            targets: which spaces may be asked for.
            served: the spaces of /metrics.
            new_refresher: makes what refreshes a space that is not one of these, and no other one.
            show: adds to what is known of a space what the settings say of it.
            clock: where the time comes from.
            max_stale: seconds that a snapshot may be served; a target that nobody asks for is kept as long.
        """
        self.targets = targets
        self._served = served
        self._new_refresher = new_refresher
        self._show = show
        self._clock = clock
        self._idle = max(max_stale, _LEAST_IDLE)
        self._lock = threading.Lock()
        self._kept: dict[str, Probe] = {}
        self._told = -_TELL_AGAIN

    def open(self, space: Space) -> Probe | None:
        """Return what is known of a space, which is what was known at the last time where that is still kept.

        Returns:
            None where there is no room for it: each target that is kept has a refresh that runs or waits for its turn.
        """
        now = self._clock.monotonic()
        self.forget_idle()
        if space.ref in self._served:
            return Probe(space, self._served, self._show, now)
        with self._lock:
            probe = self._kept.pop(space.ref, None)
            if probe is None or probe.space != space:
                if len(self._kept) >= MOST_TARGETS and not self._make_room(now):
                    return None
                probe = Probe(space, self._new_refresher(space), self._show, now)
            probe.used = now
            # At the end, so that the first one is the one that was not asked for longest.
            self._kept[space.ref] = probe
            return probe

    def follow(self, targets: Targets, *, max_stale: float, renew: Callable[[Refresher, Space], None]) -> None:
        """Go on by other settings; what is kept of a target that may still be asked for goes on by them too.

        Args:
            targets: as at the start.
            max_stale: as at the start.
            renew: makes a refresher follow, which refreshes a space that may have become another one of the same name.
        """
        with self._lock:
            self.targets = targets
            self._idle = max(max_stale, _LEAST_IDLE)
            for ref, probe in tuple(self._kept.items()):
                space = targets.named(ref)
                if space is None or ref in self._served:
                    del self._kept[ref]
                else:
                    renew(probe.refresher, space)
                    probe.space = space

    def forget_idle(self) -> None:
        """Drop targets that nobody has asked for in a long time."""
        until = self._clock.monotonic() - self._idle
        with self._lock:
            idle = [ref for ref, probe in self._kept.items() if probe.used < until and not probe.refresher.refreshing()]
            for ref in idle:
                del self._kept[ref]

    def _make_room(self, now: float) -> bool:
        unused = next((ref for ref, probe in self._kept.items() if not probe.refresher.refreshing()), None)
        if unused is None:
            return False
        del self._kept[unused]
        if now - self._told >= _TELL_AGAIN:
            self._told = now
            _log.warning("more spaces are probed than are kept, so that probes walk more often", kept=MOST_TARGETS)
        return True
