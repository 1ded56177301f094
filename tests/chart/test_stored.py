"""Objects of the chart are what an API server stores, where a difference would never go away."""

import re
from pathlib import Path

import pytest
import yaml

from tests.chart.charts import CHART, CI, at, merged, render

STORED = yaml.safe_load(Path(__file__).with_name("stored.yaml").read_text())


def nodes(value, path):
    """Yield every mapping in an object, with its path; items of a list have one path."""
    if isinstance(value, dict):
        yield path, value
        for name, child in value.items():
            yield from nodes(child, f"{path}.{name}")
    elif isinstance(value, list):
        for child in value:
            yield from nodes(child, f"{path}[]")


def fields(row, objects):
    """Return the mappings that a row of the table describes."""
    pattern = re.compile(re.escape(row["at"]).replace(r"\*", ".*").replace(r"\ ", " "))
    return [
        node
        for one in objects
        for path, node in nodes(one["spec"], f"{one['kind']} spec")
        if pattern.fullmatch(path) and row.get("where", {}).items() <= node.items()
    ]


def everything():
    """Render every values file, and relabelings without an action in each monitor."""
    rules = {"relabelings": [{"targetLabel": "x"}], "metricRelabelings": [{"targetLabel": "x"}]}
    for path in CI:
        values = yaml.safe_load(path.read_text())
        given = [at(name, rules) for name in ("serviceMonitor", "podMonitor", "scrapeConfig", "probe")]
        yield from render(merged(values, *given), chart=CHART)


@pytest.fixture(scope="module")
def objects():
    """All objects of all values files that have a spec."""
    return [one for one in everything() if "spec" in one]


@pytest.mark.parametrize("row", STORED["written"], ids=lambda row: row["at"])
def test_a_default_that_would_differ_for_ever_is_written_out(row, objects):
    found = fields(row, objects)
    assert found
    for node in found:
        assert row["add"].keys() <= node.keys(), node
