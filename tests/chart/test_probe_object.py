"""The exporter accepts the requests that Prometheus sends for the chart's Probe."""

import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml

from exporter.config.sources import load
from exporter.engine.probes import Targets
from exporter.serving import endpoints as web
from tests.chart.charts import MINIMUM, at, merged, render, settings

SPACES = ["a", {"ref": "a/b/c$d", "registries": ["r"]}, "b/+"]


def asked(values, folder):
    """Return the space that the exporter resolves for each request of the Probe, with the settings of the release."""
    objects = render(values)
    (probe,) = [one["spec"] for one in objects if one["kind"] == "Probe"]
    content = {name: value for name, value in settings(objects).items() if "file" not in name} | {
        "api_key": "pat.acct.id.key"
    }
    (folder / "settings.yaml").write_text(yaml.safe_dump(content))
    loaded = load({"config": str(folder / "settings.yaml")}, {})
    targets = Targets(loaded, loaded.configured)
    static = probe["targets"]["staticConfig"]
    queries = [_query(target, static["relabelingConfigs"]) for target in static["static"]]
    return probe["prober"]["path"], [targets.asked(query.encode()) for query in queries]


def _query(target, relabelings):
    """Return the query after relabeling as in Prometheus, where the parameters are labels."""
    labels = {"__param_target": target}
    for rule in relabelings:
        if rule.get("action") == "labeldrop":
            labels = {name: value for name, value in labels.items() if not re.fullmatch(rule["regex"], name)}
        else:
            labels[rule["targetLabel"]] = ";".join(labels.get(name, "") for name in rule["sourceLabels"])
    return urlencode({name.removeprefix("__param_"): value for name, value in labels.items() if "__param_" in name})


def test_each_space_is_asked_for_as_the_exporter_understands_it(tmp_path):
    path, spaces = asked(merged(MINIMUM, at("probe.enabled", True), at("config.spaces", SPACES)), tmp_path)
    assert [space.ref for space in spaces] == ["a", "a/b/c$d", "b"]
    assert f'"{path}": Route' in Path(web.__file__).read_text()


@pytest.mark.parametrize(("setting", "understood"), [("configured", [False, True]), ("any", [True, True])])
def test_other_spaces_can_be_asked_for_where_the_setting_says_so(setting, understood, tmp_path):
    values = merged(MINIMUM, at("probe", {"enabled": True, "spaces": ["my_account/o/p", "my_account"]}))
    _, spaces = asked(merged(values, at("config.probe", setting)), tmp_path)
    assert [space is not None for space in spaces] == understood
