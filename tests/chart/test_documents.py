"""Chart examples in the documentation: the values are valid, and the installations render."""

import shlex

import pytest
import yaml

from tests.chart.charts import CHART, HELMS, MINIMUM, merged, render, run
from tests.support.markdown import blocks, commands, documents
from tests.support.places import ROOT

BLOCKS = [block for path in documents() for block in blocks(path)]
VALUES = yaml.safe_load((CHART / "values.yaml").read_text()).keys()
SHOWN = [block for block in BLOCKS if block.kind == "yaml" and yaml.safe_load(block.text).keys() <= VALUES]
INSTALLATIONS = [
    pytest.param(command.line, id=block.place)
    for block in BLOCKS
    if block.kind == "console"
    for command in commands(block)
    if command.line.startswith("helm install ")
]


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: block.place)
def test_values_that_are_shown_are_taken(block):
    assert render(merged(MINIMUM, yaml.safe_load(block.text)), chart=CHART)


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("line", INSTALLATIONS)
def test_an_installation_that_is_shown_renders(line, helm):
    release, chart, *values = shlex.split(line.replace("\\\n", ""))[2:]
    done = run(helm, "template", release, ROOT / chart, *values)
    assert done.returncode == 0, done.stderr
    assert "kind: Deployment" in done.stdout
