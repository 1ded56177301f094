"""Objects of the chart are what an API server stores, where a difference would never go away."""

import pytest
import yaml

from tests.chart.charts import CHART, CI, at, merged, render
from tests.chart.stored import STORED, fields


def everything():
    """Render every values file, and relabelings without an action in each monitor."""
    rules = {"relabelings": [{"targetLabel": "x"}], "metricRelabelings": [{"targetLabel": "x"}]}
    for path in CI:
        values = yaml.safe_load(path.read_text())
        given = [at(name, rules) for name in ("serviceMonitor", "podMonitor", "scrapeConfig", "probe")]
        yield from render(merged(values, *given), chart=CHART)


@pytest.fixture(scope="module")
def objects():
    """All objects of all values files."""
    return list(everything())


@pytest.mark.parametrize("row", STORED["written"], ids=lambda row: row["at"])
def test_a_default_that_would_differ_for_ever_is_written_out(row, objects):
    found = [node for one in objects for node in fields(row, one)]
    assert found
    for node in found:
        assert row["add"].keys() <= node.keys(), node
