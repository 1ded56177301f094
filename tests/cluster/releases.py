"""Releases of the chart in a cluster, and whether the cluster holds exactly what was rendered."""

import re
from collections.abc import Iterator

import yaml

from tests.chart.charts import CHART
from tests.chart.stored import STORED
from tests.cluster.servers import Cluster

NAMESPACE = "har"
RELEASE = "har-exporter"
NAMESPACES = (NAMESPACE, "monitoring", "prometheus")
"""Namespaces that values files use."""

KINDS = (
    "configmap,secret,service,serviceaccount,deployment,statefulset,networkpolicy,poddisruptionbudget,"
    "servicemonitor,podmonitor,probe,prometheusrule,scrapeconfig,grafanadashboard"
)


def prepare(cluster: Cluster) -> None:
    """Create the namespaces, which enforce the Pod Security Standard "restricted", and a priority class."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    given = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n, "labels": labels}} for n in NAMESPACES]
    high = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1}
    cluster.done("kubectl", "apply", "--filename", "-", given=yaml.safe_dump_all([*given, high]))


class Release:
    """One release, which one Helm installs and upgrades."""

    def __init__(self, cluster: Cluster, helm: str) -> None:
        self._cluster = cluster
        self._helm = helm
        self._where = ("--namespace", NAMESPACE)

    def upgrade(self, values: dict) -> None:
        """Install or upgrade to these values, and assert that the cluster holds what they render."""
        given = yaml.safe_dump(values)
        place = (RELEASE, CHART, *self._where, "--values", "-")
        self._cluster.done(self._helm, "upgrade", "--install", *place, given=given)
        self.assert_stored(values)

    def roll_back(self, revision: int, values: dict) -> None:
        """Return to a revision, and assert that the cluster holds what its values render."""
        self._cluster.done(self._helm, "rollback", RELEASE, revision, *self._where)
        self.assert_stored(values)

    def uninstall(self) -> None:
        """Remove the release, and assert that nothing is left."""
        self._cluster.done(self._helm, "uninstall", RELEASE, "--ignore-not-found", *self._where)
        assert self.stored() == {}

    def rendered(self, values: dict) -> dict:
        """Return the objects that values render, without hooks."""
        text = self._cluster.done(
            *(self._helm, "template", RELEASE, CHART, *self._where, "--no-hooks", "--values", "-"),
            given=yaml.safe_dump(values),
        )
        objects = [one for one in yaml.safe_load_all(text) if one]
        for one in objects:
            one["metadata"].setdefault("namespace", NAMESPACE)
        return {key(one): one for one in objects}

    def stored(self) -> dict:
        """Return the objects of the release in the cluster."""
        label = f"app.kubernetes.io/managed-by=Helm,app.kubernetes.io/instance={RELEASE}"
        return {key(one): one for one in self._cluster.objects(KINDS, "--all-namespaces", "--selector", label)}

    def assert_stored(self, values: dict) -> None:
        """Assert that another application of the objects would change nothing, and that none is too many."""
        rendered = self.rendered(values)
        given = yaml.safe_dump_all(rendered.values())
        for way in ((), ("--server-side", "--force-conflicts")):
            done = self._cluster.run("kubectl", "diff", *way, "--filename", "-", given=given)
            assert done.returncode == 0, done.stdout + done.stderr
        stored = self.stored()
        labelled = {name for name, one in rendered.items() if "labels" in one["metadata"]}
        assert stored.keys() == labelled
        for name in labelled:
            for part in ("spec", "data"):
                before = dict(leaves(rendered[name].get(part, {}), f"{name[0]} {part}"))
                after = dict(leaves(stored[name].get(part, {}), f"{name[0]} {part}"))
                assert before.items() <= after.items()
                assert {_known(path) for path in after.keys() - before.keys()} <= set(STORED["added"])


def _known(path: str) -> str:
    """Return the path of an added field as the table has it."""
    path = re.sub(r"\[[^]]*\]", "[]", path)
    return re.sub("^(Deployment|StatefulSet) spec.template", "workload spec.template", path)


def key(one: dict) -> tuple[str, str, str]:
    """Return what identifies an object."""
    return one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]


def leaves(value: object, path: str) -> Iterator[tuple[str, object]]:
    """Yield the leaves of an object by path; items of a list have their names, as their order may differ."""
    if isinstance(value, dict) and value:
        for name, child in value.items():
            yield from leaves(child, f"{path}.{name}")
    elif isinstance(value, list) and value:
        for index, child in enumerate(value):
            name = child.get("name", index) if isinstance(child, dict) else index
            yield from leaves(child, f"{path}[{name}]")
    else:
        yield path, value
