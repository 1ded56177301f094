"""Both Helms install, upgrade, roll back and remove every values file on a real API server; nothing differs after."""

import copy
import json
import re

import pytest
import yaml

from tests.chart.charts import CHART, CI, HELMS, MINIMUM, at, merged, render
from tests.chart.stored import STORED, fields
from tests.chart.validity import pod_specs
from tests.cluster.operators import VERSIONS, define, define_version
from tests.cluster.releases import NAMESPACE, Release, prepare
from tests.cluster.servers import open_cluster

FILES = {path.name: yaml.safe_load(path.read_text()) for path in CI}

# Steps from one choice to another, which leave parts of the first behind if these were not written out.
SWITCHES = {
    "strategy": [{}, at("updateStrategy.type", "Recreate"), {}],
    "kind and shards": [
        {},
        at("sharding.enabled", True),
        at("sharding", {"enabled": True, "shards": 3}),
        {"sharding": {"enabled": True}, "updateStrategy": {"type": "OnDelete"}},
        at("sharding.enabled", True),
        {},
    ],
    "CA certificates": [
        at("caBundle.existingConfigMap.name", "a"),
        at("caBundle.existingSecret.name", "a"),
        at("caBundle.existingConfigMap.name", "a"),
    ],
    "service": [
        at("service", {"type": "NodePort", "nodePort": 30981, "externalTrafficPolicy": "Local"}),
        at("service.type", "LoadBalancer"),
        {},
    ],
    "network of the node": [{}, at("hostNetwork", True), {}],
    "probes": [
        at("webConfig", {"existingSecret": {"name": "w"}}),
        at("webConfig", {"existingSecret": {"name": "w"}, "probes": "tcpSocket"}),
        at("startupProbe.failureThreshold", 9),
        {},
    ],
    "budget": [
        {"replicaCount": 2, "podDisruptionBudget": {"enabled": True, "minAvailable": 1}},
        {"replicaCount": 2, "podDisruptionBudget": {"enabled": True, "maxUnavailable": "50%"}},
        {},
    ],
    "proxy": [at("proxy.url", "http://p:1"), at("proxy.existingSecret.name", "p"), {}],
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with open_cluster(tmp_path_factory.mktemp("cluster")) as opened:
        prepare(opened)
        yield opened


@pytest.fixture(scope="module", params=VERSIONS)
def operators(request, cluster):
    """The cluster with the definitions of operators of one age."""
    define(cluster, request.param)
    return cluster


@pytest.fixture(params=HELMS)
def release(request, cluster):
    """A release of one Helm that leaves nothing behind."""
    made = Release(cluster, request.param)
    yield made
    made.uninstall()


@pytest.mark.usefixtures("operators")
def test_every_values_file_replaces_the_one_before_it(release):
    first, *others = FILES.values()
    release.upgrade(first)
    for values in others:
        release.upgrade(values)
    release.roll_back(1, first)


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_switch_leaves_nothing_of_the_other_choice(switch, release, cluster):
    define(cluster, "newest")
    for values in SWITCHES[switch]:
        release.upgrade(merged(MINIMUM, values))


README = (CHART / "README.md").read_text()
OLDEST = re.findall(r"^\| (`.*`) \| (\w+ operator) ([\d.]+) \|$", README, re.MULTILINE)
NEEDED = {
    **{f"{name}.enabled": {} for name in ("serviceMonitor", "podMonitor", "probe", "prometheusRule", "scrapeConfig")},
    "serviceMonitor.scrapeClass": at("serviceMonitor.enabled", True),
    "dashboards.grafanaOperator.enabled": at("dashboards.enabled", True),
}


@pytest.mark.parametrize(("names", "operator", "version"), OLDEST)
def test_the_oldest_operator_that_the_readme_names_takes_its_objects(names, operator, version, release, cluster):
    define_version(cluster, operator, version)
    for name in re.findall("`(.*?)`", names):
        path, value = (f"{name}.enabled", True) if f"{name}.enabled" in NEEDED else (name, "a")
        release.upgrade(merged(MINIMUM, NEEDED[path], at(path, value)))


def dry(cluster, one):
    """Return an object as the API server would store it, and what it says about it."""
    place = ("--dry-run=server", "--namespace", one["metadata"]["namespace"], "--output", "json", "--filename", "-")
    return cluster.run("kubectl", "create", *place, given=json.dumps(one))


@pytest.mark.parametrize("name", FILES)
def test_namespaces_that_enforce_restricted_take_its_pods(name, cluster):
    for index, spec in enumerate(pod_specs(render(FILES[name], chart=CHART))):
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"p{index}", "namespace": NAMESPACE},
            "spec": spec,
        }
        # The service account of the release is not there.
        pod["spec"]["serviceAccountName"] = "default"
        assert dry(cluster, pod).returncode == 0, dry(cluster, pod).stderr
        spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
        assert "violates PodSecurity" in dry(cluster, pod).stderr


@pytest.mark.parametrize("row", STORED["written"], ids=lambda row: row["at"])
def test_defaults_that_the_chart_writes_out_are_those_of_the_api_server(row, operators):
    rules = {"relabelings": [{"targetLabel": "x"}], "metricRelabelings": [{"targetLabel": "x"}]}
    given = [at(name, rules) for name in ("serviceMonitor", "podMonitor", "scrapeConfig", "probe")]
    objects = [one for values in FILES.values() for one in render(merged(values, *given), chart=CHART)]
    found = [one for one in objects if fields(row, one)]
    assert found
    for one in found[:3]:
        without = copy.deepcopy(one)
        without["metadata"]["name"] = "without"
        kept = [{name: node.pop(name) for name in row["add"]} for node in fields(row, without)]
        assert kept
        stored = json.loads(dry(operators, without).stdout)
        again = fields(row, stored)
        assert len(again) == len(kept)
        assert all(row["add"].items() <= node.items() for node in again)
