"""Deliverables of the chart: the package, the generated files, the schema and the notes."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile

import jsonschema
import pytest
import yaml

from tests.chart.charts import BINARIES, CHART, HELMS, MINIMUM, merged, run, sample
from tests.support.places import ROOT
from tools.chart import copies, default, described, made


def test_made_files_are_what_they_are_made_from():
    for path, content in made():
        assert path.read_text() == content, f"{path.relative_to(ROOT)}: run `make chart`"


def test_the_chart_has_no_rules_or_dashboards_of_its_own():
    held = {path for folder in ("rules", "dashboards") for path in (CHART / folder).glob("*")}
    assert held == {path for path, _ in copies()}


def test_a_dashboard_fits_into_a_config_map():
    assert all(len(content.encode()) < 256 * 1024 for path, content in copies() if path.suffix == ".json")


def test_every_value_is_described_once():
    paths = [path for kind, path, _ in described() if kind == "param"]
    assert len(set(paths)) == len(paths)
    leaves = set(_leaves(yaml.safe_load((CHART / "values.yaml").read_text())))
    assert {leaf for leaf in leaves if not any(f"{leaf}.".startswith(f"{path}.") for path in paths)} == set()
    for path in paths:
        default(path)


def _leaves(values, path=""):
    for name, value in values.items():
        yield from _leaves(value, f"{path}{name}.") if isinstance(value, dict) and value else [f"{path}{name}"]


def test_the_schema_is_one():
    schema = CHART / "values.schema.json"
    done = subprocess.run([BINARIES / "check-jsonschema", "--check-metaschema", schema], check=False)
    assert done.returncode == 0


def test_every_object_of_the_schema_says_what_it_takes():
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["$schema"].endswith("draft-07/schema#")
    assert schema["additionalProperties"] is False

    def objects(node):
        if isinstance(node, dict):
            if "properties" in node and node.get("type") == "object":
                yield node
            for child in node.values():
                yield from objects(child)

    # Only global is open: Helm adds keys to it when this chart is a subchart.
    assert [sorted(one["properties"]) for one in objects(schema) if one.get("additionalProperties") is not False] == [
        ["imagePullSecrets", "imageRegistry"]
    ]


def package(tree, destination, **environ):
    """Return the package that `make package` builds in a source tree."""
    kept = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "SOURCE_DATE_EPOCH"}}
    tools = (f"CHART_VENV={sys.prefix}", f"--old-file={sys.prefix}/.done")
    done = subprocess.run(
        ["make", "package", f"PACKAGES={destination}", *tools],
        cwd=tree,
        env=kept | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (packed,) = destination.glob("*.tgz")
    return packed.read_bytes()


def last_commit():
    """Return the time of the last commit, in seconds."""
    return subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_packages_of_one_commit_are_equal(tmp_path):
    """Builds twice here, and once in a copy without Git history and with different file times."""
    copy = tmp_path / "copy"
    shutil.copytree(CHART, copy / CHART.relative_to(ROOT))
    shutil.copy(ROOT / "Makefile", copy)
    for index, path in enumerate(sorted(copy.rglob("*"))):
        os.utime(path, (index * 86400, index * 86400))
    here = package(ROOT, tmp_path / "here")
    assert package(ROOT, tmp_path / "again") == here
    assert package(copy, tmp_path / "copied", SOURCE_DATE_EPOCH=last_commit()) == here


def test_a_package_says_only_the_time_that_it_is_given(tmp_path):
    packed = package(ROOT, tmp_path, SOURCE_DATE_EPOCH="1700000000")
    compression_time = packed[4:8]  # RFC 1952, MTIME
    assert compression_time == bytes(4)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert {member.mtime for member in archive} == {1700000000}


@pytest.mark.parametrize("helm", HELMS)
def test_the_package_holds_what_an_installation_needs_and_no_more(tmp_path, helm):
    assert run(helm, "package", sample(), "--destination", tmp_path).returncode == 0
    with tarfile.open(next(tmp_path.glob("*.tgz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"rules/a.rules.yaml", "dashboards/a.json", "templates/tests/connection.yaml", "README.md"} <= names
    assert not {name for name in names if name.startswith("ci/")}
    packed = next(tmp_path.glob("*.tgz"))
    assert run(helm, "template", "r", packed, values=json.dumps(MINIMUM)).returncode == 0


def test_the_chart_says_what_it_is():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    source = (ROOT / "exporter" / "__init__.py").read_text()
    assert f'"{chart["appVersion"]}"' in source
    assert chart["name"] == CHART.name
    (image,) = yaml.safe_load(chart["annotations"]["artifacthub.io/images"])
    values = yaml.safe_load((CHART / "values.yaml").read_text())["image"]
    assert image["image"] == f"{values['registry']}/{values['repository']}:{chart['appVersion']}"
    shown = yaml.safe_load(chart["annotations"]["artifacthub.io/screenshots"])
    for url in [chart["icon"], *(one["url"] for one in shown)]:
        assert (ROOT / url.partition("/main/")[2]).exists()
    kinds = {change["kind"] for change in yaml.safe_load(chart["annotations"]["artifacthub.io/changes"])}
    assert kinds <= {"added", "changed", "deprecated", "removed", "fixed", "security"}


def notes(values):
    """Return the notes that Helm prints after an installation; Helm 4 prints them without a cluster."""
    done = run("helm4", "install", "r", CHART, "--namespace", "har", "--dry-run=client", values=json.dumps(values))
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:")[2]


def test_the_notes_tell_the_next_command():
    text = notes(MINIMUM)
    assert "exec deployment/r-har-exporter --container har-exporter -- har-exporter check" in text
    assert "--set serviceMonitor.enabled=true" in text
    assert "--set prometheusRule.enabled=true" in text
    assert "WARNING" not in text


def test_the_notes_tell_only_what_is_left_to_do():
    text = notes(merged(MINIMUM, {"serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}}))
    assert "helm upgrade" not in text


def test_the_notes_follow_shards_and_scheme():
    values = {"sharding": {"enabled": True}, "webConfig": {"existingSecret": {"name": "w"}}}
    text = notes(merged(MINIMUM, values))
    assert "exec statefulset/r-har-exporter" in text
    assert "curl --insecure https://localhost:10981/metrics" in text


def test_the_notes_warn_of_an_inline_key_and_never_show_it():
    text = notes({"config": {"spaces": ["a"]}, "apiKey": {"value": "pat.a.b.secret"}})
    assert "WARNING: apiKey.value" in text
    assert "create secret generic har-api-key --from-file=api-key=" in text
    assert "pat.a.b.secret" not in text


def test_the_notes_warn_of_replicas():
    assert "multiplied by 3" in notes(merged(MINIMUM, {"replicaCount": 3}))


def test_the_readme_names_values_that_exist():
    known = {path for _, path, _ in described()}
    text = (CHART / "README.md").read_text().partition("<!-- begin values -->")[0]
    named = set(re.findall(r"`((?:config|webConfig|sharding|prometheusRule|apiKey)\.[A-Za-z.]+|replicaCount)`", text))
    assert named
    assert all(any(path == name or path.startswith(f"{name}.") for path in known) for name in named)


def test_the_connection_test_asks_for_metrics(tmp_path):
    """Runs the script of `helm test` against an address where no server listens."""
    rendered = run("helm4", "template", "r", CHART, values=json.dumps(MINIMUM)).stdout
    (test,) = (one for one in yaml.safe_load_all(rendered) if one and one["kind"] == "Pod")
    command = test["spec"]["containers"][0]["command"]
    assert command[0] == "python"
    done = subprocess.run(
        [sys.executable, *command[1:-1], "http://127.0.0.1:1/metrics"], capture_output=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 1
