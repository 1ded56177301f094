"""Test cases for the values of the other objects: the changes that each value makes."""

from tests.chart.charts import at

TEST = "Pod/test r-har-exporter-test spec"
SERVICE = "Service r-har-exporter"
DASHBOARD = "ConfigMap r-har-exporter-dashboard-a"
SHOWN = "GrafanaDashboard r-har-exporter-dashboard-a"
POLICY = "NetworkPolicy r-har-exporter spec"
RULE = "PrometheusRule r-har-exporter"

# Each case: the value, a new setting for it, all expected changes, and other values that must be set.
CASES = [
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
    ("service.nodePort", 30000, {f"{SERVICE} spec.ports[0].nodePort": 30000}, at("service.type", "NodePort")),
    ("service.clusterIP", "None", {f"{SERVICE} spec.clusterIP": "None"}, {}),
    ("service.ipFamilyPolicy", "PreferDualStack", {f"{SERVICE} spec.ipFamilyPolicy": "PreferDualStack"}, {}),
    ("service.ipFamilies", ["IPv6"], {f"{SERVICE} spec.ipFamilies[0]": "IPv6"}, {}),
    (
        "service.externalTrafficPolicy",
        "Local",
        {f"{SERVICE} spec.externalTrafficPolicy": "Local"},
        at("service.type", "LoadBalancer"),
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
        {
            "One": {
                "for": "9m",
                "keep_firing_for": "3m",
                "severity": "info",
                "labels": {"a": "1"},
                "annotations": {"b": "2"},
            }
        },
        {
            f"{RULE} spec.groups[1].rules[0].{path}": value
            for path, value in (
                ("for", "9m"),
                ("keep_firing_for", "3m"),
                ("labels.severity", "info"),
                ("labels.a", "1"),
                ("annotations.b", "2"),
            )
        },
        at("prometheusRule.enabled", True),
    ),
    (
        "prometheusRule.thresholds",
        {"age": 0.5},
        {f"{RULE} spec.groups[0].rules[1].expr": "vector(0.5)"},
        at("prometheusRule.enabled", True),
    ),
    (
        "prometheusRule.runbookBase",
        "https://wiki.test/",
        {f"{RULE} spec.groups[1].rules[0].annotations.runbook_url": "https://wiki.test/One.md"},
        at("prometheusRule.enabled", True),
    ),
    (
        "prometheusRule.dashboardBase",
        "https://grafana.test",
        {f"{RULE} spec.groups[1].rules[0].annotations.dashboard_url": "https://grafana.test/d/one"},
        at("prometheusRule.enabled", True),
    ),
    (
        "prometheusRule.keepLabels",
        ["cluster", "tenant"],
        {
            f"{RULE} spec.groups[0].rules[0].expr": "max by (cluster, tenant, space) (har_up)",
            f"{RULE} spec.groups[1].rules[0].annotations.summary": (
                "{{ printf `har_up{cluster=%q,tenant=%q,space=%q}` "
                "$labels.cluster $labels.tenant $labels.space | query }}"
            ),
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
    (
        "dashboards.labels",
        {"a": "1"},
        {f"{one} metadata.labels.a": "1" for one in (DASHBOARD, SHOWN)},
        at("dashboards", {"enabled": True, "grafanaOperator": {"enabled": True}}),
    ),
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
        {
            f"{SHOWN} spec.instanceSelector.matchLabels.a": "1",
            f"{SHOWN} spec.instanceSelector.matchLabels.dashboards": None,
        },
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
]
