"""For each value of the chart, what another one changes in the rendered objects."""

from charts import at

DEPLOYMENT = "Deployment r-har-exporter spec"
POD = f"{DEPLOYMENT}.template.spec"
CONTAINER = f"{POD}.containers[0]"
TEST = "Pod/test r-har-exporter-test spec"
SERVICE = "Service r-har-exporter"
CHECKSUM = f"{DEPLOYMENT}.template.metadata.annotations.checksum/config"


def both(path, value):
    """Expect the same in the pods of the workload and of the test."""
    return {f"{POD}{path}": value, f"{TEST}{path}": value}


def images(image):
    """Expect an image in every container."""
    return both(".containers[0].image", image) | {f"{TEST}.containers[1].image": image}


def monitor(kind, path, value):
    """Expect a value in an endpoint of a monitor."""
    where = {
        "ServiceMonitor": "endpoints[0].",
        "PodMonitor": "podMetricsEndpoints[0].",
        "ScrapeConfig": "",
        "Probe": "",
    }
    return {f"{kind} r-har-exporter spec.{where[kind]}{path}": value}


MONITORS = {
    "serviceMonitor": "ServiceMonitor",
    "podMonitor": "PodMonitor",
    "scrapeConfig": "ScrapeConfig",
    "probe": "Probe",
}
RELABELING = [{"action": "labeldrop", "regex": "x"}]
WEB = {"webConfig": {"existingSecret": {"name": "web"}}, "serviceMonitor": {"enabled": True}}
PROXY = {"proxy": {"existingSecret": {"name": "proxy"}}}
SM = "ServiceMonitor r-har-exporter spec.endpoints[0]"
DASHBOARD = "ConfigMap r-har-exporter-dashboard-a"
SHOWN = "GrafanaDashboard r-har-exporter-dashboard-a"
POLICY = "NetworkPolicy r-har-exporter spec"
RULE = "PrometheusRule r-har-exporter"

# For each value: another one, all that it changes, and what must be set for it to matter.
CASES = [
    ("image.registry", "example.com", images("example.com/har-exporter:0.1.0"), {}),
    ("image.repository", "a/b", images("a/b:0.1.0"), {}),
    ("image.tag", "2.0", images("har-exporter:2.0"), {}),
    ("image.digest", f"sha256:{'0' * 64}", images(f"har-exporter@sha256:{'0' * 64}"), at("image.tag", "2.0")),
    (
        "image.pullPolicy",
        "Always",
        both(".containers[0].imagePullPolicy", "Always") | {f"{TEST}.containers[1].imagePullPolicy": "Always"},
        {},
    ),
    ("global.imageRegistry", "mirror", images("mirror/har-exporter:0.1.0"), at("image.registry", "example.com")),
    ("global.imagePullSecrets", ["a"], both(".imagePullSecrets[0].name", "a"), {}),
    ("config", {"page_size": 7}, {"settings page_size": 7, CHECKSUM: ...}, {}),
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
            f"{SM}.scheme": "http",
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
    ("webConfig.tlsConfig", {"serverName": "x"}, {f"{SM}.tlsConfig.serverName": "x"}, WEB),
    (
        "webConfig.basicAuth",
        {"username": {"name": "s", "key": "u"}},
        {f"{SM}.basicAuth.username.name": "s", f"{SM}.basicAuth.username.key": "u"},
        WEB,
    ),
    ("replicaCount", 3, {f"{DEPLOYMENT}.replicas": 3}, {}),
    (
        "sharding.shards",
        5,
        {
            "StatefulSet r-har-exporter spec.replicas": 5,
            "StatefulSet r-har-exporter spec.template.spec.containers[0].env[2].value": "5",
        },
        at("sharding.enabled", True),
    ),
    ("updateStrategy", {"rollingUpdate": {"maxSurge": 0}}, {f"{DEPLOYMENT}.strategy.rollingUpdate.maxSurge": 0}, {}),
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
    ("podAnnotations", {"a": "1"}, {f"{DEPLOYMENT}.template.metadata.annotations.a": "1"}, {}),
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
    (
        "extraManifests",
        ["kind: X\nmetadata: {name: '{{ .Release.Name }}'}", {"kind": "Y", "metadata": {"name": "{{ a }}"}}],
        {"X r kind": "X", "X r metadata.name": "r", "Y {{ a }} kind": "Y", "Y {{ a }} metadata.name": "{{ a }}"},
        {},
    ),
    ("serviceAccount.annotations", {"a": "1"}, {"ServiceAccount r-har-exporter metadata.annotations.a": "1"}, {}),
    ("service.type", "NodePort", {f"{SERVICE} spec.type": "NodePort"}, {}),
    (
        "service.port",
        80,
        {
            f"{SERVICE} spec.ports[0].port": 80,
            f"{TEST}.containers[0].command[3]": "http://r-har-exporter.har.svc:80/metrics",
        },
        {},
    ),
    ("service.labels", {"a": "1"}, {f"{SERVICE} metadata.labels.a": "1"}, {}),
    ("service.annotations", {"a": "1"}, {f"{SERVICE} metadata.annotations.a": "1"}, {}),
    (
        "podDisruptionBudget.minAvailable",
        2,
        {
            "PodDisruptionBudget r-har-exporter spec.minAvailable": 2,
            "PodDisruptionBudget r-har-exporter spec.maxUnavailable": None,
        },
        {"replicaCount": 3, "podDisruptionBudget": {"enabled": True}},
    ),
    (
        "podDisruptionBudget.maxUnavailable",
        "30%",
        {"PodDisruptionBudget r-har-exporter spec.maxUnavailable": "30%"},
        at("podDisruptionBudget.enabled", True),
    ),
    (
        "networkPolicy.ingressFrom",
        [{"podSelector": {}}],
        {
            f"{POLICY}.ingress[0].from[0].podSelector": {},
            **{
                f"{POLICY}.ingress[0].from[1].podSelector.matchLabels.app.kubernetes.io/{name}": value
                for name, value in (("name", "har-exporter"), ("instance", "r"), ("component", "test"))
            },
        },
        at("networkPolicy.enabled", True),
    ),
    (
        "networkPolicy.egressPorts",
        [8443],
        {f"{POLICY}.egress[1].ports[0].port": 8443},
        at("networkPolicy.enabled", True),
    ),
    (
        "networkPolicy.egressTo",
        [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
        {f"{POLICY}.egress[1].to[0].ipBlock.cidr": "192.0.2.0/24"},
        at("networkPolicy.enabled", True),
    ),
    (
        "networkPolicy.extraIngress",
        [{"from": []}],
        {f"{POLICY}.ingress[1].from": []},
        at("networkPolicy.enabled", True),
    ),
    ("networkPolicy.extraEgress", [{"to": []}], {f"{POLICY}.egress[2].to": []}, at("networkPolicy.enabled", True)),
    ("prometheusRule.namespace", "else", {f"{RULE} metadata.namespace": "else"}, at("prometheusRule.enabled", True)),
    ("prometheusRule.labels", {"a": "1"}, {f"{RULE} metadata.labels.a": "1"}, at("prometheusRule.enabled", True)),
    (
        "prometheusRule.annotations",
        {"a": "1"},
        {f"{RULE} metadata.annotations.a": "1"},
        at("prometheusRule.enabled", True),
    ),
    (
        "prometheusRule.alertLabels",
        {"a": "1"},
        {f"{RULE} spec.groups[1].rules[{one}].labels.a": "1" for one in (0, 1)},
        at("prometheusRule.enabled", True),
    ),
    (
        "prometheusRule.alerts",
        {"One": {"for": "9m", "severity": "info", "labels": {"a": "1"}}},
        {
            f"{RULE} spec.groups[1].rules[0].{path}": value
            for path, value in (("for", "9m"), ("labels.severity", "info"), ("labels.a", "1"))
        },
        at("prometheusRule.enabled", True),
    ),
    (
        "prometheusRule.additionalGroups",
        [{"name": "g", "rules": [{"expr": "{{ x }}"}]}],
        {f"{RULE} spec.groups[2].name": "g", f"{RULE} spec.groups[2].rules[0].expr": "{{ x }}"},
        at("prometheusRule.enabled", True),
    ),
    ("dashboards.namespace", "else", {f"{DASHBOARD} metadata.namespace": "else"}, at("dashboards.enabled", True)),
    ("dashboards.labels", {"a": "1"}, {f"{DASHBOARD} metadata.labels.a": "1"}, at("dashboards.enabled", True)),
    (
        "dashboards.annotations",
        {"a": "1"},
        {f"{DASHBOARD} metadata.annotations.a": "1"},
        at("dashboards.enabled", True),
    ),
    (
        "dashboards.folder",
        "F",
        {f"{DASHBOARD} metadata.annotations.grafana_folder": "F"},
        at("dashboards.enabled", True),
    ),
    (
        "dashboards.folderAnnotation",
        "f",
        {f"{DASHBOARD} metadata.annotations.f": "F", f"{DASHBOARD} metadata.annotations.grafana_folder": None},
        at("dashboards", {"enabled": True, "folder": "F"}),
    ),
    (
        "dashboards.grafanaOperator.instanceSelector",
        {"matchLabels": {"a": "1"}},
        {f"{SHOWN} spec.instanceSelector.matchLabels.a": "1"},
        at("dashboards", {"enabled": True, "grafanaOperator": {"enabled": True}}),
    ),
    (
        "dashboards.grafanaOperator.allowCrossNamespaceImport",
        False,
        {f"{SHOWN} spec.allowCrossNamespaceImport": False},
        at("dashboards", {"enabled": True, "grafanaOperator": {"enabled": True}}),
    ),
    (
        "dashboards.grafanaOperator.resyncPeriod",
        "1h",
        {f"{SHOWN} spec.resyncPeriod": "1h"},
        at("dashboards", {"enabled": True, "grafanaOperator": {"enabled": True}}),
    ),
    (
        "probe.spaces",
        ["b"],
        {"Probe r-har-exporter spec.targets.staticConfig.static[0]": "b"},
        at("probe.enabled", True),
    ),
    ("probe.jobName", "j", monitor("Probe", "jobName", "j"), at("probe.enabled", True)),
    ("scrapeConfig.jobName", "j", monitor("ScrapeConfig", "jobName", "j"), at("scrapeConfig.enabled", True)),
    (
        "serviceMonitor.jobLabel",
        "j",
        {"ServiceMonitor r-har-exporter spec.jobLabel": "j"},
        at("serviceMonitor.enabled", True),
    ),
    ("podMonitor.jobLabel", "j", {"PodMonitor r-har-exporter spec.jobLabel": "j"}, at("podMonitor.enabled", True)),
]
for name, kind in MONITORS.items():
    on = at(f"{name}.enabled", True)
    interval = "scrapeInterval" if name == "scrapeConfig" else "interval"
    relabelings = {
        "serviceMonitor": "relabelings[0].",
        "podMonitor": "relabelings[0].",
        "scrapeConfig": "relabelings[0].",
        "probe": "targets.staticConfig.relabelingConfigs[2].",
    }[name]
    CASES += [
        (f"{name}.namespace", "else", {f"{kind} r-har-exporter metadata.namespace": "else"}, on),
        (f"{name}.labels", {"a": "1"}, {f"{kind} r-har-exporter metadata.labels.a": "1"}, on),
        (f"{name}.annotations", {"a": "1"}, {f"{kind} r-har-exporter metadata.annotations.a": "1"}, on),
        (f"{name}.interval", "90s", monitor(kind, interval, "90s"), on),
        (f"{name}.scrapeTimeout", "10s", monitor(kind, "scrapeTimeout", "10s"), on),
        (
            f"{name}.relabelings",
            RELABELING,
            {
                path: value
                for key, text in RELABELING[0].items()
                for path, value in monitor(kind, f"{relabelings}{key}", text).items()
            },
            on,
        ),
        (
            f"{name}.metricRelabelings",
            RELABELING,
            {
                path: value
                for key, text in RELABELING[0].items()
                for path, value in monitor(kind, f"metricRelabelings[0].{key}", text).items()
            },
            on,
        ),
    ]
    if name != "probe":
        CASES.append((f"{name}.honorLabels", True, monitor(kind, "honorLabels", True), on))

# Values that make or rename whole objects; the tests below say what they do.
WHOLE = {
    *(f"{name}.enabled" for name in (*MONITORS, "prometheusRule", "dashboards", "dashboards.grafanaOperator")),
    *("networkPolicy.enabled", "podDisruptionBudget.enabled", "sharding.enabled", "serviceAccount.create"),
    *("nameOverride", "fullnameOverride", "namespaceOverride", "commonLabels", "commonAnnotations"),
    *("apiKey.value", "apiKey.spaces", "serviceAccount.name"),
}

KINDS = {
    **{f"{name}.enabled": [kind] for name, kind in MONITORS.items()},
    "prometheusRule.enabled": ["PrometheusRule"],
    "dashboards.enabled": ["ConfigMap"],
    "networkPolicy.enabled": ["NetworkPolicy"],
    "podDisruptionBudget.enabled": ["PodDisruptionBudget"],
}
