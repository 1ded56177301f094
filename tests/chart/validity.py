"""Checks objects against strict schemas of Kubernetes and the operators, and against Pod Security "restricted"."""

from typing import Literal

import kubernetes_validate
from cloudcoil.models.prometheus_operator import v1, v1alpha1
from pydantic import BaseModel, ConfigDict

KUBERNETES = ("1.25", "1.30", "1.34", "1.37")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Metadata(_Strict):
    name: str
    namespace: str
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _ConfigMapRef(_Strict):
    name: str
    key: str


class _DashboardSpec(_Strict):
    """The part of grafana-operator's CRD (v1beta1) that the chart uses."""

    instanceSelector: dict[str, object]  # noqa: N815 - the CRD's spelling
    allowCrossNamespaceImport: bool  # noqa: N815
    resyncPeriod: str  # noqa: N815
    configMapRef: _ConfigMapRef  # noqa: N815
    folder: str = ""


class GrafanaDashboard(_Strict):
    apiVersion: Literal["grafana.integreatly.org/v1beta1"]  # noqa: N815
    kind: Literal["GrafanaDashboard"]
    metadata: _Metadata
    spec: _DashboardSpec


CUSTOM = {
    "ServiceMonitor": v1.ServiceMonitor,
    "PodMonitor": v1.PodMonitor,
    "Probe": v1.Probe,
    "PrometheusRule": v1.PrometheusRule,
    "ScrapeConfig": v1alpha1.ScrapeConfig,
    "GrafanaDashboard": GrafanaDashboard,
}


def check(one, versions=KUBERNETES):
    """Assert that a cluster would accept an object."""
    if one["kind"] in CUSTOM:
        model = CUSTOM[one["kind"]].model_validate(one)
        if isinstance(model, GrafanaDashboard):
            return
        unknown = _unknown(model.spec, one["spec"])
        assert not unknown, unknown
        assert len(one["metadata"]["name"]) <= 63
        return
    for version in versions:
        kubernetes_validate.validate(one, version, strict=True)


def _unknown(model, given, path="spec"):
    """Return the paths of fields that a model does not have; the library itself ignores some of them."""
    if isinstance(given, dict) and isinstance(model, BaseModel):
        fields = {info.alias or name: name for name, info in type(model).model_fields.items()}
        lost = [f"{path}.{name}" for name in given if name not in fields]
        pairs = [(getattr(model, fields[name]), child, name) for name, child in given.items() if name in fields]
        return lost + [line for inner, child, name in pairs for line in _unknown(inner, child, f"{path}.{name}")]
    if isinstance(given, list) and isinstance(model, list):
        pairs = enumerate(zip(model, given, strict=True))
        return [line for index, (inner, child) in pairs for line in _unknown(inner, child, f"{path}[{index}]")]
    return []


def pod_specs(objects):
    """Yield the spec of every pod."""
    for one in objects:
        if one["kind"] == "Pod":
            yield one["spec"]
        elif "template" in one.get("spec", {}):
            yield one["spec"]["template"]["spec"]


VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def assert_restricted(spec):
    """Assert that a pod meets every control of Pod Security "restricted" (Kubernetes documentation, v1.34)."""
    assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
    assert all(set(volume) - {"name"} <= VOLUMES for volume in spec.get("volumes", ()))
    shared = spec["securityContext"]
    assert not shared.keys() & {"sysctls", "seLinuxOptions", "windowsOptions", "appArmorProfile"}
    for container in [*spec["containers"], *spec.get("initContainers", ())]:
        own = shared | container["securityContext"]
        assert own["runAsNonRoot"] is True
        assert own["runAsUser"] == 65532
        assert own["seccompProfile"]["type"] == "RuntimeDefault"
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert own["readOnlyRootFilesystem"] is True
        assert not own.get("privileged")
        assert not any("hostPort" in port for port in container.get("ports", ()))
