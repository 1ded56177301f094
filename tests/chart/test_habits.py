"""Values as users of other charts write them deploy, or are refused by a sentence that names the right value."""

from pathlib import Path

import pytest
import yaml

from tests.chart.charts import CHART, HELMS, MINIMUM, merged, refusal, render
from tests.chart.validity import check
from tools.chart import described

HABITS = yaml.safe_load((CHART / "habits.yaml").read_text())
FOLDER = Path(__file__).parent / "habits"

# Each file, with the values that are refused; none where it deploys.
FILES = {
    "argo-cd": ["extraObjects", "strategy"],
    "artifactory-exporter": ["existingSecret", "logLevel", "serviceMonitor.telemetryPath"],
    "bitnami": [
        *("containerSecurityContext", "extraDeploy", "extraEnvVars", "extraEnvVarsSecret", "image.pullSecrets"),
        *("initContainers", "livenessProbe.enabled", "metrics", "pdb", "persistence", "podSecurityContext.enabled"),
        *("readinessProbe.enabled", "resourcesPreset", "service.ports", "sidecars"),
    ],
    "blackbox-exporter": ["config.modules", "kind"],
    "elasticsearch-exporter": [
        *("deploymentAnnotations", "prometheusRule.additionalLabels", "prometheusRule.rules"),
        *("secret", "serviceMonitor.selector"),
    ],
    "grafana": ["envFromSecret", "extraObjects", "grafana", "ingress", "labels", "replicas"],
    "kube-state-metrics": ["customLabels", "prometheus", "rbac", "replicas"],
    "mysqld-exporter": [
        *("annotations", "env", "serviceMonitor.additionalLabels", "serviceMonitor.metricRelabelConfigs"),
        "serviceMonitor.timeout",
    ],
    "postgres-exporter": ["config.datasource", "config.logLevel"],
    "prometheus-stack": [],
    "scaffold": [
        *("autoscaling", "httpRoute", "ingress", "livenessProbe.httpGet", "readinessProbe.httpGet"),
        *("serviceAccount.automount", "volumeMounts", "volumes"),
    ],
    "scaffold-kept": [],
    "settings": ["harness", "settings", "spaces"],
    "umbrella": [],
}


def values(name):
    """Return the values in a file, with what every release needs."""
    return merged(MINIMUM, yaml.safe_load((FOLDER / f"{name}.yaml").read_text()))


def test_every_file_is_in_the_table():
    assert {path.stem for path in FOLDER.iterdir()} == FILES.keys()


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("name", [name for name, refused in FILES.items() if not refused])
def test_values_without_habits_deploy(name, helm):
    for one in render(values(name), helm=helm):
        check(one)


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("name", [name for name, refused in FILES.items() if refused])
def test_all_habits_are_refused_together_with_what_to_use_instead(name, helm):
    lines = [line for line in refusal(values(name), helm=helm).splitlines() if "is not a value of this chart" in line]
    assert lines == [f"{path} is not a value of this chart; {HABITS[path]}." for path in FILES[name]]


def test_what_to_use_instead_is_a_value_of_this_chart():
    """An advice says `use` and a value, or why there is none."""
    known = {path for kind, path, _ in described() if kind == "param"}
    groups = {".".join(path.split(".")[:depth]) for path in known for depth in (1, 2, 3)}
    for path, advice in HABITS.items():
        words = advice.partition("use ")[2].replace(",", " ").split()
        named = [word for word in words if word.partition(".")[0] in groups and word != "with"]
        assert advice.endswith("remove it") or named, path
        assert all(word in known | groups or word.startswith("config.") for word in named), path
        assert path not in known
