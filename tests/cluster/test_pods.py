"""On a cluster with nodes: the pod becomes ready, is scraped by a Prometheus of the operator, and takes a new key."""

import json
import os
import time
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from exporter.demo.catalogue import SPACES
from tests.chart.charts import CHART, HELMS
from tests.cluster.operators import define, operator
from tests.cluster.releases import NAMESPACE, prepare
from tests.cluster.servers import EXISTING, Cluster, open_cluster

IMAGE = os.environ.get("TEST_IMAGE", "")
if not (IMAGE and os.environ.get(EXISTING)):
    pytest.skip(f"needs nodes: {EXISTING} and TEST_IMAGE are not set", allow_module_level=True)

KEYS = ("pat.demo.first.made-up-1", "pat.demo.second.made-up-2")
FILE = "/etc/har-exporter/keys/api-key"
REGISTRY = {
    "name": "registry",
    "image": IMAGE,
    "command": ["python", "-c", Path(__file__).with_name("upstream.py").read_text(), FILE, "8080"],
    "volumeMounts": [{"name": "keys", "mountPath": "/etc/har-exporter/keys", "readOnly": True}],
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    },
}
VALUES = {
    "image": {
        "registry": "",
        "repository": IMAGE.rpartition(":")[0],
        "tag": IMAGE.rpartition(":")[2],
        "pullPolicy": "Never",
    },
    "config": {"spaces": list(SPACES), "base_url": "http://127.0.0.1:8080", "cache_ttl": "1s"},
    "apiKey": {"existingSecret": {"name": "har-api-key"}},
    "extraContainers": [REGISTRY],
    "serviceMonitor": {"enabled": True, "interval": "5s", "scrapeTimeout": "4s"},
    "prometheusRule": {"enabled": True},
    # The test pod has no registry beside it.
    "tests": {"enabled": False},
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with open_cluster(tmp_path_factory.mktemp("cluster")) as opened:
        prepare(opened)
        define(opened, "newest")
        opened.done("kubectl", "apply", "--server-side", "--force-conflicts", "--filename", operator("newest"))
        opened.done("kubectl", "apply", "--filename", Path(__file__).with_name("prometheus.yaml"))
        yield opened


def eventually(check, seconds):
    """Wait until a check passes; a kubelet updates the files of a Secret within about a minute."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, check
        time.sleep(2)


def give_key(cluster, key):
    metadata = {"name": "har-api-key", "namespace": NAMESPACE}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"api-key": key}}
    cluster.done("kubectl", "apply", "--filename", "-", given=json.dumps(secret))


def asked(cluster, query):
    """Return whether Prometheus has series for a query."""
    place = "/api/v1/namespaces/monitoring/services/prometheus-operated:9090/proxy/api/v1/query?query="
    done = cluster.run("kubectl", "get", "--raw", place + quote(query))
    return done.returncode == 0 and bool(json.loads(done.stdout)["data"]["result"])


def pods(cluster):
    """Return identity and restarts of the exporter's pods."""
    found = cluster.objects("pod", "--namespace", NAMESPACE, "--selector", "app.kubernetes.io/component=exporter")
    return [
        (pod["metadata"]["uid"], [one["restartCount"] for one in pod["status"]["containerStatuses"]]) for pod in found
    ]


@pytest.mark.parametrize("helm", HELMS)
def test_a_release_is_scraped_and_survives_a_rotation(helm, cluster: Cluster):
    give_key(cluster, KEYS[0])
    place = ("pods", CHART, "--namespace", NAMESPACE, "--values", "-", "--wait", "--timeout", "3m")
    cluster.done(helm, "install", *place, given=yaml.safe_dump(VALUES))
    up = f"count(har_up == 1) == {len(SPACES)}"
    eventually(lambda: asked(cluster, up), 300)
    before = pods(cluster)
    give_key(cluster, KEYS[1])
    read = ("python", "-c", f"print(open('{FILE}').read())")
    container = ("deployment/pods-har-exporter", "--namespace", NAMESPACE, "--container", "har-exporter")
    eventually(lambda: KEYS[1] in cluster.done("kubectl", "exec", *container, "--", *read), 180)
    now = int(time.time())
    eventually(lambda: asked(cluster, f"{up} and min(har_snapshot_timestamp_seconds) > {now}"), 120)
    assert pods(cluster) == before
    cluster.done(helm, "uninstall", "pods", "--namespace", NAMESPACE, "--wait")
