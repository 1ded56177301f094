"""Renders the chart with real Helm and compares the results."""

import atexit
import functools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from tools.chart import CHART

BINARIES = Path(sys.prefix) / "bin"
if not (BINARIES / "helm4").exists():
    pytest.skip("the chart's tests have an environment of their own: make test-chart", allow_module_level=True)

HELMS = ("helm3", "helm4")
CI = tuple(sorted((CHART / "ci").glob("*-values.yaml")))
MINIMUM = {"config": {"spaces": ["my_account"]}, "apiKey": {"existingSecret": {"name": "har-api-key"}}}
NAMESPACE = "har"
LOADER = yaml.CSafeLoader
"""Ten times as fast as the one of safe_load; rules and dashboards are long."""

RULES = """\
groups:
  - name: records
    rules:
      - {record: "space:har_up:max", expr: "max by (space) (har_up)"}
      - {record: "har_threshold:age", expr: vector(1)}
  - name: alerts
    interval: 1m
    rules:
      - alert: One
        expr: har_up == 0
        for: 5m
        labels: {severity: warning}
        annotations:
          summary: '{{ printf `har_up{space=%q}` $labels.space | query }}'
          runbook_url: https://github.com/har-exporter/har-exporter/blob/main/grafana/runbooks/One.md
          dashboard_url: '/d/one'
      - alert: Two
        expr: up == 0
        labels: {severity: critical}
"""


def run(helm, *arguments, values=None):
    """Run Helm and pass the values on standard input."""
    command = [BINARIES / helm, *arguments, *(["--values", "-"] if values is not None else [])]
    return subprocess.run(command, input=values, capture_output=True, text=True, check=False)


@functools.cache
def sample() -> Path:
    """Copy the chart with a small rule file and a small dashboard, whose content the tests know."""
    parent = Path(tempfile.mkdtemp(prefix="chart-"))
    atexit.register(shutil.rmtree, parent)
    folder = parent / CHART.name
    shutil.copytree(CHART, folder, ignore=shutil.ignore_patterns("*.rules.yaml"))
    shutil.rmtree(folder / "dashboards", ignore_errors=True)
    for name, content in {"rules/a.rules.yaml": RULES, "dashboards/a.json": '{"title": "{{ stays }}"}\n'}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    return folder


@functools.lru_cache(maxsize=512)
def _template(chart, values, release, helm):
    return run(helm, "template", release, chart, "--namespace", NAMESPACE, values=values)


def _attempt(values, release, chart, helm):
    text = values if isinstance(values, str) else json.dumps(values, ensure_ascii=False)
    return _template(chart or sample(), text, release, helm)


def render(values, *, release="r", chart=None, helm="helm4"):
    """Return the objects of a release."""
    done = _attempt(values, release, chart, helm)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.load_all(done.stdout, LOADER) if document]


def refusal(values, *, helm="helm4"):
    """Return Helm's error message for invalid values."""
    done = _attempt(values, "r", None, helm)
    assert done.returncode, "the values were accepted"
    return done.stderr


def merged(*layers):
    """Merge values as Helm does; a list replaces the previous list."""
    result = {}
    for layer in layers:
        for name, value in layer.items():
            both = isinstance(value, dict) and isinstance(result.get(name), dict)
            result[name] = merged(result[name], value) if both else value
    return result


def at(path, value):
    """Return nested values from a path such as `a.b` and a value."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


def only(objects, kind, suffix=""):
    """Return the only object of a kind whose name ends with the suffix."""
    (found,) = (one for one in objects if one["kind"] == kind and one["metadata"]["name"].endswith(suffix))
    return found


def pod(objects):
    """Return the pod template of the workload."""
    (workload,) = (one for one in objects if one["kind"] in {"Deployment", "StatefulSet"})
    return workload["spec"]["template"]


def settings(objects):
    """Return the exporter's settings file."""
    (text,) = (one["data"]["config.yaml"] for one in objects if "config.yaml" in one.get("data", {}))
    return yaml.safe_load(text)


def flat(value, path=""):
    """Return every leaf of nested objects by its path."""
    if isinstance(value, dict) and value:
        pairs = [(f"{path}.{name}".lstrip("."), child) for name, child in value.items()]
    elif isinstance(value, list) and value:
        pairs = [(f"{path}[{index}]", child) for index, child in enumerate(value)]
    else:
        return {path: value}
    return {leaf: found for name, child in pairs for leaf, found in flat(child, name).items()}


def leaves(objects):
    """Return every leaf of every object by its path; the settings file counts as an object."""
    found = {}
    for one in objects:
        if "config.yaml" in one.get("data", {}):
            found |= {f"settings {path}": value for path, value in flat(settings([one])).items()}
            one = {**one, "data": {}}  # noqa: PLW2901
        name = f"{one['kind']}{'/test' if one['kind'] == 'Pod' else ''} {one['metadata']['name']}"
        found |= {f"{name} {path}": value for path, value in flat(one).items()}
    return found


def changes(before, after):
    """Return the differences: the new value by path, or None if it was removed."""
    old, new = leaves(before), leaves(after)
    return {path: new.get(path) for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
