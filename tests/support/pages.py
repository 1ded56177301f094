"""Pages of metrics: the process that they show, and their samples."""

from exporter.harness.counters import ApiCounters
from exporter.inventory.refresh import CacheCounts
from exporter.metrics.process_families import ProcessView

NOW = 1_800_000_000.0


def process_view() -> ProcessView:
    return ProcessView("1.2.3", "abc", ApiCounters().read(), {"acct/org": CacheCounts(3, 2)}, True, NOW, 0, 1, 0)


def samples(text: bytes, prefix: str) -> dict[str, float]:
    lines = (line.rpartition(" ") for line in text.decode().splitlines() if line.startswith(prefix))
    return {series: float(value) for series, _, value in lines}
