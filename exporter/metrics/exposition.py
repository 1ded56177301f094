"""Pages of /metrics and /probe, rendered as text or OpenMetrics."""

import threading
from collections.abc import Callable, Hashable, Sequence
from itertools import chain
from typing import Generic, NamedTuple, TypeVar, cast

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from exporter.metrics.family import Family, FamilyCollector
from exporter.metrics.process_families import PROCESS_FAMILIES, VERSION, ProcessView
from exporter.metrics.source_families import LISTED_FAMILIES, SOURCE_FAMILIES, SourceView
from exporter.metrics.space_families import SPACE_FAMILIES, SpaceView

TEXT = CONTENT_TYPE_PLAIN_0_0_4
"""Content type of Prometheus's text format."""

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
"""Content type of OpenMetrics."""

FAMILIES = (*SPACE_FAMILIES, *LISTED_FAMILIES, *SOURCE_FAMILIES, *PROCESS_FAMILIES)
"""Every family of /metrics, without those of the library."""

_END = b"# EOF\n"

V = TypeVar("V")


class Rendering(NamedTuple):
    """Rendered page.

    Attributes:
        content_type: the media type with its version.
        parts: the families of the spaces, those of the sources, and those of the process; the first two are the same
            objects until a refresh or read ends.
    """

    content_type: str
    parts: tuple[bytes, ...]


class Exposition:
    """Renders pages; a space or source is rendered when its view changes, not at each scrape.

    Safe to share between threads.
    """

    def __init__(
        self,
        spaces: Callable[[], tuple[SpaceView, ...]],
        process: Callable[[], ProcessView],
        sources: Callable[[], Sequence[SourceView]] = tuple,
    ) -> None:
        """Start without rendered pages.

        Args:
            spaces: returns the view of every space; an unchanged space must give an equal view.
            process: returns the view of the process.
            sources: returns the view of every source of every entry.
        """
        self._spaces = spaces
        self._sources = sources
        # Not the global registry of the library, which would be shared by all instances in one process.
        self._process = CollectorRegistry(auto_describe=False)
        self._process.register(FamilyCollector(PROCESS_FAMILIES, lambda: [process()]))
        self._version = FamilyCollector([VERSION], lambda: [process()])
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._process)
        self._lock = threading.Lock()
        formats = (TEXT, OPENMETRICS)
        self._pages_of_spaces = {of: _Page((*SPACE_FAMILIES, *LISTED_FAMILIES), of, _space) for of in formats}
        self._pages_of_sources = {of: _Page(SOURCE_FAMILIES, of, _source) for of in formats}

    def render(self, content_type: str) -> Rendering:
        """Return the page of /metrics in a format: `TEXT` or `OPENMETRICS`."""
        return Rendering(content_type, (*self._render_views(content_type), _generate(self._process, content_type)))

    def render_spaces(self) -> bytes:
        """Return the families of the spaces and sources only, as text."""
        return b"".join(self._render_views(TEXT))

    def render_version(self) -> bytes:
        """Return the family of the exporter's version only, as text."""
        return _generate(self._version, TEXT)

    @staticmethod
    def render_only(spaces: Callable[[], Sequence[SpaceView]], content_type: str) -> Rendering:
        """Return a page of these spaces only, in a format: `TEXT` or `OPENMETRICS`."""
        return Rendering(content_type, (_generate(FamilyCollector(SPACE_FAMILIES, spaces), content_type), b""))

    def _render_views(self, content_type: str) -> tuple[bytes, bytes]:
        with self._lock:
            return (
                self._pages_of_spaces[content_type].render(self._spaces()),
                self._pages_of_sources[content_type].render(self._sources()),
            )


class _Page(Generic[V]):
    """Families of all spaces or sources in one format; when one changes, the others are not rendered again."""

    def __init__(self, families: Sequence[Family[V]], content_type: str, name: Callable[[V], Hashable]) -> None:
        self._rows = families
        self._content_type = content_type
        self._name = name
        # HELP and TYPE of each family, as there are no views. Without them a rendered family is its samples.
        self._heads = self._families(())
        self._samples: dict[Hashable, tuple[V, tuple[bytes, ...]]] = {}
        self._views: Sequence[V] = ()
        self._body = b"".join(self._heads)

    def render(self, views: Sequence[V]) -> bytes:
        """Return the families without the end marker of OpenMetrics; the same object while nothing changed."""
        if views != self._views:
            self._samples = {self._name(view): self._samples_of(view) for view in views}
            # The formats require all samples of a family in one block, so views are joined family by family.
            columns = zip(self._heads, *(samples for _, samples in self._samples.values()), strict=True)
            self._body = b"".join(chain.from_iterable(columns))
            self._views = views
        return self._body

    def _samples_of(self, view: V) -> tuple[V, tuple[bytes, ...]]:
        """Return the samples of a view, one text per family."""
        before = self._samples.get(self._name(view))
        if before and before[0] == view:
            return before
        families = self._families([view])
        return view, tuple(map(bytes.removeprefix, families, self._heads))

    def _families(self, views: Sequence[V]) -> tuple[bytes, ...]:
        return tuple(
            _generate(FamilyCollector([family], lambda: views), self._content_type).removesuffix(_END)
            for family in self._rows
        )


def _space(view: SpaceView) -> Hashable:
    return view.space


def _source(view: SourceView) -> Hashable:
    return view.source, view.entry


def _generate(collector: Collector, content_type: str) -> bytes:
    # The renderers only call collect(), which every collector has, although their types require a registry.
    registry = cast("CollectorRegistry", collector)
    if content_type == OPENMETRICS:
        return cast("bytes", openmetrics.generate_latest(registry))  # type: ignore[no-untyped-call]
    return generate_latest(registry)
