"""The pages of /metrics: what is known of spaces and process, as text or OpenMetrics."""

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from exporter.metrics import PROCESS_FAMILIES, SPACE_FAMILIES, FamilyCollector, ProcessView, SpaceView
from exporter.negotiation import weights

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
    """Renders pages; the part that only a refresh changes is rendered once for each of its states."""

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
        self._rendered: dict[str, tuple[tuple[SpaceView, ...], bytes]] = {}

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
            spaces = self._spaces()
            before, body = self._rendered.get(content_type, (None, b""))
            if before != spaces:
                # OpenMetrics ends in a mark, and there is one end to both parts.
                body = _generate(FamilyCollector(SPACE_FAMILIES, lambda: spaces), content_type).removesuffix(_END)
                self._rendered[content_type] = (spaces, body)
            return body


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
