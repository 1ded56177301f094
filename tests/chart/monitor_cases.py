"""Test cases for the values of the monitors: the changes that each value makes."""

from tests.chart.charts import at

MONITORS = {
    "serviceMonitor": "ServiceMonitor",
    "podMonitor": "PodMonitor",
    "scrapeConfig": "ScrapeConfig",
    "probe": "Probe",
}
RELABELING = [{"sourceLabels": ["x"]}]


def monitor(kind, path, value):
    """Return the expected change of a field of a monitor's endpoint."""
    where = {
        "ServiceMonitor": "endpoints[0].",
        "PodMonitor": "podMetricsEndpoints[0].",
        "ScrapeConfig": "",
        "Probe": "",
    }
    return {f"{kind} r-har-exporter spec.{where[kind]}{path}": value}


# Each case: the value, a new setting for it, all expected changes, and other values that must be set.
CASES = [
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
    (
        "serviceMonitor.targetLabels",
        ["a"],
        {"ServiceMonitor r-har-exporter spec.targetLabels[0]": "a"},
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
        *(
            (
                f"{name}.{rules}",
                RELABELING,
                # Lists in custom resources are replaced as a whole, so the default that the API server adds is there.
                monitor(kind, f"{rule}sourceLabels[0]", "x") | monitor(kind, f"{rule}action", "replace"),
                on,
            )
            for rules, rule in (("relabelings", relabelings), ("metricRelabelings", "metricRelabelings[0]."))
        ),
        (f"{name}.sampleLimit", 9, {f"{kind} r-har-exporter spec.sampleLimit": 9}, on),
        (f"{name}.scrapeClass", "c", {f"{kind} r-har-exporter spec.scrapeClass": "c"}, on),
    ]
    if name != "probe":
        CASES.append((f"{name}.honorLabels", False, monitor(kind, "honorLabels", False), on))
    if name in {"serviceMonitor", "podMonitor"}:
        spec = f"{kind} r-har-exporter spec"
        CASES += [
            (f"{name}.podTargetLabels", ["a"], {f"{spec}.podTargetLabels[0]": "a"}, on),
            (f"{name}.attachMetadata", {"node": True}, {f"{spec}.attachMetadata.node": True}, on),
        ]
