"""All values of the chart: those with a test case, and those that create or rename whole objects."""

from tests.chart import monitor_cases, object_cases, workload_cases
from tests.chart.monitor_cases import MONITORS

CASES = workload_cases.CASES + object_cases.CASES + monitor_cases.CASES

# Values that create or rename whole objects; test_values.py tests them separately.
WHOLE = {
    *(f"{name}.enabled" for name in (*MONITORS, "prometheusRule", "dashboards", "dashboards.grafanaOperator")),
    *("networkPolicy.enabled", "podDisruptionBudget.enabled", "sharding.enabled", "serviceAccount.create"),
    *("nameOverride", "fullnameOverride", "namespaceOverride", "commonLabels", "commonAnnotations"),
    *("apiKey.value", "apiKey.spaces", "serviceAccount.name", "tests.enabled"),
}

KINDS = {
    **{f"{name}.enabled": [kind] for name, kind in MONITORS.items()},
    "prometheusRule.enabled": ["PrometheusRule"],
    "dashboards.enabled": ["ConfigMap"],
    "networkPolicy.enabled": ["NetworkPolicy"],
    "podDisruptionBudget.enabled": ["PodDisruptionBudget"],
}
