"""Test cases for the values of the workload: the changes that each value makes."""

from tests.chart.charts import at

DEPLOYMENT = "Deployment r-har-exporter spec"
IMAGE = "ghcr.io/har-exporter/har-exporter"
POD = f"{DEPLOYMENT}.template.spec"
CONTAINER = f"{POD}.containers[0]"
TEST = "Pod/test r-har-exporter-test spec"
SERVICE_MONITOR = "ServiceMonitor r-har-exporter spec.endpoints[0]"
CHECKSUM = f"{DEPLOYMENT}.template.metadata.annotations.checksum/config"
WEB = {"webConfig": {"existingSecret": {"name": "web"}}, "serviceMonitor": {"enabled": True}}
PROXY = {"proxy": {"existingSecret": {"name": "proxy"}}}


def both(path, value):
    """Return the same expected change for the workload pod and the test pod."""
    return {f"{POD}{path}": value, f"{TEST}{path}": value}


def images(image):
    """Return the expected image of every container."""
    return both(".containers[0].image", image) | {f"{TEST}.containers[1].image": image}


# Each case: the value, a new setting for it, all expected changes, and other values that must be set.
CASES = [
    ("image.registry", "example.com", images("example.com/har-exporter/har-exporter:0.1.0"), {}),
    ("image.repository", "a/b", images("ghcr.io/a/b:0.1.0"), {}),
    ("image.tag", "2.0", images(f"{IMAGE}:2.0"), {}),
    ("image.digest", f"sha256:{'0' * 64}", images(f"{IMAGE}@sha256:{'0' * 64}"), at("image.tag", "2.0")),
    (
        "image.pullPolicy",
        "Always",
        both(".containers[0].imagePullPolicy", "Always") | {f"{TEST}.containers[1].imagePullPolicy": "Always"},
        {},
    ),
    (
        "global.imageRegistry",
        "mirror",
        images("mirror/har-exporter/har-exporter:0.1.0"),
        at("image.registry", "example.com"),
    ),
    ("global.imagePullSecrets", ["a"], both(".imagePullSecrets[0].name", "a"), {}),
    (
        "imagePullSecrets",
        [{"name": "b"}, "a"],
        both(".imagePullSecrets[1].name", "b"),
        at("global.imagePullSecrets", ["a"]),
    ),
    ("config", {"page_size": 7}, {"settings page_size": 7}, {}),
    (
        "apiKey.existingSecret.name",
        "other",
        both(".volumes[1].projected.sources[0].secret.name", "other"),
        {},
    ),
    ("apiKey.existingSecret.key", "k", both(".volumes[1].projected.sources[0].secret.items[0].key", "k"), {}),
    (
        "proxy.url",
        "http://p:1",
        {
            f"{CONTAINER}.env[1].name": "HTTPS_PROXY",
            f"{CONTAINER}.env[1].value": "http://p:1",
            f"{TEST}.containers[1].env[1].name": "HTTPS_PROXY",
            f"{TEST}.containers[1].env[1].value": "http://p:1",
        },
        {},
    ),
    (
        "proxy.existingSecret.name",
        "q",
        {f"{one}.env[1].valueFrom.secretKeyRef.name": "q" for one in (CONTAINER, f"{TEST}.containers[1]")},
        PROXY,
    ),
    (
        "proxy.existingSecret.key",
        "k",
        {f"{one}.env[1].valueFrom.secretKeyRef.key": "k" for one in (CONTAINER, f"{TEST}.containers[1]")},
        PROXY,
    ),
    (
        "proxy.noProxy",
        ".svc",
        {
            f"{one}.env[1].{name}": value
            for one in (CONTAINER, f"{TEST}.containers[1]")
            for name, value in (("name", "NO_PROXY"), ("value", ".svc"))
        },
        {},
    ),
    (
        "caBundle.existingConfigMap.name",
        "b",
        both(".volumes[2].configMap.name", "b"),
        at("caBundle.existingConfigMap.name", "a"),
    ),
    (
        "caBundle.existingConfigMap.key",
        "b",
        both(".volumes[2].configMap.items[0].key", "b"),
        at("caBundle.existingConfigMap.name", "a"),
    ),
    (
        "caBundle.existingSecret.name",
        "b",
        both(".volumes[2].secret.secretName", "b"),
        at("caBundle.existingSecret.name", "a"),
    ),
    (
        "caBundle.existingSecret.key",
        "b",
        both(".volumes[2].secret.items[0].key", "b"),
        at("caBundle.existingSecret.name", "a"),
    ),
    ("webConfig.existingSecret.name", "b", both(".volumes[2].secret.secretName", "b"), WEB),
    (
        "webConfig.existingSecret.key",
        "b.yaml",
        {"settings web_config_file": "/etc/har-exporter/web/b.yaml", CHECKSUM: ...},
        WEB,
    ),
    (
        "webConfig.scheme",
        "http",
        {
            f"{CONTAINER}.livenessProbe.httpGet.scheme": "HTTP",
            f"{CONTAINER}.readinessProbe.httpGet.scheme": "HTTP",
            f"{SERVICE_MONITOR}.scheme": "http",
            f"{TEST}.containers[0].command[3]": "http://r-har-exporter.har.svc:10981/metrics",
        },
        WEB,
    ),
    (
        "webConfig.probes",
        "tcpSocket",
        {
            f"{CONTAINER}.{probe}.{path}": "http" if path == "tcpSocket.port" else None
            for probe in ("livenessProbe", "readinessProbe")
            for path in ("tcpSocket.port", "httpGet.port", "httpGet.path", "httpGet.scheme")
        },
        WEB,
    ),
    ("webConfig.tlsConfig", {"serverName": "x"}, {f"{SERVICE_MONITOR}.tlsConfig.serverName": "x"}, WEB),
    (
        "webConfig.basicAuth",
        {"username": {"name": "s", "key": "u"}},
        {f"{SERVICE_MONITOR}.basicAuth.username.name": "s", f"{SERVICE_MONITOR}.basicAuth.username.key": "u"},
        WEB,
    ),
    (
        "replicaCount",
        3,
        {
            f"{DEPLOYMENT}.replicas": 3,
            "settings rate_limit": "100/m",
        },
        {},
    ),
    (
        "sharding.shards",
        5,
        {
            "StatefulSet r-har-exporter spec.replicas": 5,
            "StatefulSet r-har-exporter spec.template.spec.containers[0].env[2].value": "5",
            "settings rate_limit": "60/m",
        },
        at("sharding.enabled", True),
    ),
    ("updateStrategy", {"rollingUpdate": {"maxSurge": 0}}, {f"{DEPLOYMENT}.strategy.rollingUpdate.maxSurge": 0}, {}),
    ("workloadAnnotations", {"a": "1"}, {"Deployment r-har-exporter metadata.annotations.a": "1"}, {}),
    ("minReadySeconds", 9, {f"{DEPLOYMENT}.minReadySeconds": 9}, {}),
    ("progressDeadlineSeconds", 9, {f"{DEPLOYMENT}.progressDeadlineSeconds": 9}, {}),
    ("revisionHistoryLimit", 9, {f"{DEPLOYMENT}.revisionHistoryLimit": 9}, {}),
    (
        "resources",
        {"limits": {"memory": "1Gi"}},
        both(".containers[0].resources.limits.memory", "1Gi")
        | {f"{TEST}.containers[1].resources.limits.memory": "1Gi"},
        {},
    ),
    ("podSecurityContext", {"fsGroup": 7}, both(".securityContext.fsGroup", 7), {}),
    (
        "securityContext",
        {"privileged": False},
        both(".containers[0].securityContext.privileged", False)
        | {f"{TEST}.containers[1].securityContext.privileged": False},
        {},
    ),
    ("terminationGracePeriodSeconds", 20, {f"{POD}.terminationGracePeriodSeconds": 20}, {}),
    (
        "containerPort",
        9000,
        {f"{CONTAINER}.ports[0].containerPort": 9000, "settings listen_address": ":9000", CHECKSUM: ...},
        {},
    ),
    ("livenessProbe", {"periodSeconds": 99}, {f"{CONTAINER}.livenessProbe.periodSeconds": 99}, {}),
    ("readinessProbe", {"periodSeconds": 99}, {f"{CONTAINER}.readinessProbe.periodSeconds": 99}, {}),
    ("podLabels", {"a": "b"}, {f"{DEPLOYMENT}.template.metadata.labels.a": "b"}, {}),
    (
        "startupProbe",
        {"failureThreshold": 9},
        {
            f"{CONTAINER}.startupProbe.{path}": value
            for path, value in (
                ("failureThreshold", 9),
                ("httpGet.path", "/-/healthy"),
                ("httpGet.port", "http"),
                ("httpGet.scheme", "HTTP"),
            )
        },
        {},
    ),
    ("lifecycle", {"preStop": {}}, {f"{CONTAINER}.lifecycle.preStop": {}}, {}),
    (
        "podAnnotations",
        {"a": "1"},
        {
            f"{DEPLOYMENT}.template.metadata.annotations.a": "1",
            "Pod/test r-har-exporter-test metadata.annotations.a": "1",
        },
        {},
    ),
    ("nodeSelector", {"a": "1"}, both(".nodeSelector.a", "1"), {}),
    ("affinity", {"podAffinity": {}}, both(".affinity.podAffinity", {}), {}),
    ("tolerations", [{"key": "k"}], both(".tolerations[0].key", "k"), {}),
    (
        "topologySpreadConstraints",
        [{"maxSkew": 1, "labelSelector": {"matchLabels": {"a": "b"}}}],
        {
            f"{POD}.topologySpreadConstraints[0].maxSkew": 1,
            f"{POD}.topologySpreadConstraints[0].labelSelector.matchLabels.a": "b",
            **{
                f"{POD}.topologySpreadConstraints[0].labelSelector.matchLabels.app.kubernetes.io/{name}": value
                for name, value in (("name", "har-exporter"), ("instance", "r"), ("component", "exporter"))
            },
        },
        {},
    ),
    ("priorityClassName", "high", both(".priorityClassName", "high"), {}),
    ("runtimeClassName", "gvisor", both(".runtimeClassName", "gvisor"), {}),
    ("schedulerName", "mine", both(".schedulerName", "mine"), {}),
    ("automountServiceAccountToken", True, both(".automountServiceAccountToken", True), {}),
    (
        "hostNetwork",
        True,
        both(".hostNetwork", True)
        | both(".dnsPolicy", "ClusterFirstWithHostNet")
        | {f"{CONTAINER}.ports[0].hostPort": 10981},
        {},
    ),
    ("hostAliases", [{"ip": "192.0.2.1"}], both(".hostAliases[0].ip", "192.0.2.1"), {}),
    ("dnsPolicy", "Default", both(".dnsPolicy", "Default"), {}),
    ("dnsConfig", {"nameservers": ["192.0.2.1"]}, both(".dnsConfig.nameservers[0]", "192.0.2.1"), {}),
    ("extraArgs", ["--log-level=debug"], {f"{CONTAINER}.args[1]": "--log-level=debug"}, {}),
    (
        "extraEnv",
        [{"name": "A", "value": "1"}],
        {
            f"{one}.env[1].{name}": value
            for one in (CONTAINER, f"{TEST}.containers[1]")
            for name, value in (("name", "A"), ("value", "1"))
        },
        {},
    ),
    (
        "extraEnvFrom",
        [{"prefix": "A"}],
        {f"{one}.envFrom[0].prefix": "A" for one in (CONTAINER, f"{TEST}.containers[1]")},
        {},
    ),
    ("extraVolumes", [{"name": "a"}], both(".volumes[2].name", "a"), {}),
    (
        "extraVolumeMounts",
        [{"name": "a"}],
        {f"{one}.volumeMounts[2].name": "a" for one in (CONTAINER, f"{TEST}.containers[1]")},
        {},
    ),
    ("extraContainers", [{"name": "a"}], {f"{POD}.containers[1].name": "a"}, {}),
    ("extraInitContainers", [{"name": "a"}], {f"{POD}.initContainers[0].name": "a"}, {}),
]
