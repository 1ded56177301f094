"""Custom resource definitions of the operators, from their Go modules."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cluster.servers import Cluster

_PROMETHEUS = "github.com/prometheus-operator/prometheus-operator"
_GRAFANA = "github.com/grafana/grafana-operator/v5"
_FILES = {
    _PROMETHEUS: "example/prometheus-operator-crd/monitoring.coreos.com_*.yaml",
    _GRAFANA: "config/crd/bases/grafana.integreatly.org_grafanadashboards.yaml",
}

VERSIONS = {
    "oldest": {_PROMETHEUS: "v0.75.0", _GRAFANA: "v5.6.0"},
    "newest": {_PROMETHEUS: "v0.93.0", _GRAFANA: "v5.18.0"},
}
"""Versions of the operators whose definitions are tried: the oldest that the chart's README names, and new ones."""


def define(cluster: Cluster, age: str) -> None:
    """Create or replace the definitions in a cluster; skip the test where no Go can download them."""
    define_versions(cluster, VERSIONS[age])


def define_version(cluster: Cluster, name: str, version: str) -> None:
    """Create or replace the definitions of one operator in a version, and those of the newest other one."""
    module = {"Prometheus operator": _PROMETHEUS, "Grafana operator": _GRAFANA}[name]
    define_versions(cluster, VERSIONS["newest"] | {module: f"v{version}"})


def define_versions(cluster: Cluster, versions: Mapping[str, str]) -> None:
    """Create or replace the definitions of some modules."""
    for module, version in versions.items():
        files = [str(path) for path in sorted(_folder(f"{module}@{version}").glob(_FILES[module]))]
        given = [argument for path in files for argument in ("--filename", path)]
        cluster.done("kubectl", "apply", "--server-side", "--force-conflicts", *given)
        cluster.done("kubectl", "wait", "--for=condition=Established", "--timeout=60s", *given)


def _folder(module: str) -> Path:
    go = shutil.which("go") or pytest.skip("Go is not installed, which downloads the operators' definitions")
    done = subprocess.run([go, "mod", "download", "-json", module], capture_output=True, text=True, check=True)
    return Path(json.loads(done.stdout)["Dir"])


def operator(age: str) -> Path:
    """Return the manifest of the Prometheus operator of one age, with its definitions."""
    return _folder(f"{_PROMETHEUS}@{VERSIONS[age][_PROMETHEUS]}") / "bundle.yaml"
