"""The pages of /metrics: what is known of spaces and process, as text or OpenMetrics."""

import threading
from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple, cast

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from exporter.metrics.families import PROCESS_FAMILIES, SPACE_FAMILIES, FamilyCollector, ProcessView, SpaceView
from exporter.serving.negotiation import weights

_OPENMETRICS = "application/openmetrics-text"
_OPENMETRICS_1_0 = f"{_OPENMETRICS}; version=1.0.0; charset=utf-8"
_TEXT_RANGES = ("text/plain", "text/*", "*/*")
_END = b"# EOF\n"


class Rendering(NamedTuple):
    """What a scrape gets, and the Content-Type to send it with.

    Attributes:
        content_type: the media type with its version.
        parts: what changes with a refresh, the same object until then, and what each scrape changes.
    """

    content_type: str
    parts: tuple[bytes, bytes]


class Exposition:
    """Renders pages; what only refreshes change is rendered once for each state of a space."""

    def __init__(self, spaces: Callable[[], tuple[SpaceView, ...]], process: Callable[[], ProcessView]) -> None:
        """Render nothing yet.

        Args:
            spaces: returns what is known of every space; equal while nothing changed.
            process: returns what is known of the process.
        """
        self._spaces = spaces
        self._process = CollectorRegistry(auto_describe=False)
        self._process.register(FamilyCollector(PROCESS_FAMILIES, lambda: [process()]))
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._process)
        self._lock = threading.Lock()
        self._of_spaces = {of: _SpaceFamilies(of) for of in (CONTENT_TYPE_PLAIN_0_0_4, _OPENMETRICS_1_0)}

    def render(self, accept: str) -> Rendering:
        """Return the page in the format that an Accept header asks for; text where it asks for none of ours."""
        content_type = _content_type(accept)
        return Rendering(content_type, (self._render_spaces(content_type), _generate(self._process, content_type)))

    def render_spaces(self) -> bytes:
        """Return the families of the spaces alone, as text."""
        return self._render_spaces(CONTENT_TYPE_PLAIN_0_0_4)

    @staticmethod
    def render_only(spaces: Sequence[SpaceView], accept: str) -> Rendering:
        """Return a page of these spaces and nothing else, in the format that an Accept header asks for."""
        content_type = _content_type(accept)
        return Rendering(content_type, (_generate(FamilyCollector(SPACE_FAMILIES, lambda: spaces), content_type), b""))

    def _render_spaces(self, content_type: str) -> bytes:
        with self._lock:
            return self._of_spaces[content_type].render(self._spaces())


class _SpaceFamilies:
    """The families of all spaces in one format; where one space changes, the samples of no other are made anew."""

    def __init__(self, content_type: str) -> None:
        self._content_type = content_type
        self._heads = self._families(())
        self._samples: dict[str, tuple[SpaceView, tuple[bytes, ...]]] = {}
        self._views: Sequence[SpaceView] = ()
        self._body = b"".join(self._heads)

    def render(self, views: Sequence[SpaceView]) -> bytes:
        """Return the families, in OpenMetrics without the mark of the end; the same object while nothing changed."""
        if views != self._views:
            self._samples = {view.space: self._samples_of(view) for view in views}
            columns = zip(self._heads, *(samples for _, samples in self._samples.values()), strict=True)
            self._body = b"".join(chain.from_iterable(columns))
            self._views = views
        return self._body

    def _samples_of(self, view: SpaceView) -> tuple[SpaceView, tuple[bytes, ...]]:
        """Return what a space adds to each family, below its head."""
        before = self._samples.get(view.space)
        if before and before[0] == view:
            return before
        families = self._families([view])
        return view, tuple(map(bytes.removeprefix, families, self._heads))

    def _families(self, views: Sequence[SpaceView]) -> tuple[bytes, ...]:
        return tuple(
            _generate(FamilyCollector([family], lambda: views), self._content_type).removesuffix(_END)
            for family in SPACE_FAMILIES
        )


def _content_type(accept: str) -> str:
    accepted = weights(accept)
    wanted = accepted.get(_OPENMETRICS, 0.0)
    text = next((accepted[media_range] for media_range in _TEXT_RANGES if media_range in accepted), 0.0)
    return _OPENMETRICS_1_0 if wanted > 0 and wanted >= text else CONTENT_TYPE_PLAIN_0_0_4


def _generate(collector: Collector, content_type: str) -> bytes:
    # The renderers ask no more of a registry than what every collector has, whatever their types say.
    registry = cast("CollectorRegistry", collector)
    if content_type == _OPENMETRICS_1_0:
        return cast("bytes", openmetrics.generate_latest(registry))  # type: ignore[no-untyped-call]
    return generate_latest(registry)
