"""Invalid values are rejected, by the schema or by a guard whose message explains what to change."""

import json
import re

import jsonschema
import pytest
import yaml

from exporter.config.sources import load
from tests.chart.charts import CHART, HELMS, MINIMUM, at, merged, refusal, render

SECRET = {"apiKey": {"existingSecret": {"name": "har-api-key"}}}
INLINE = {"apiKey": {"value": "pat.a.b.c"}}

# Rejected values, with a part of the error message.
GUARDS = {
    "no spaces": (SECRET, "config.spaces is empty; list the scopes to monitor"),
    "no key": ({"config": {"spaces": ["a"]}}, "Space a has no API key; create a Secret"),
    "no key for one space": (
        {"config": {"spaces": ["a", "b"]}, "apiKey": {"spaces": {"a": {"name": "one"}}}},
        "Space b has no API key;",
    ),
    "key in the settings": (at("config.api_key", "pat.a.b.c"), "config.api_key would store the key in a ConfigMap"),
    "two keys": (INLINE, "apiKey.value and apiKey.existingSecret.name are both set"),
    "two key files": (at("config.api_key_file", "/mine"), "config.api_key_file and apiKey are both set"),
    "a space twice": (at("config.spaces", ["a", "a/+"]), "config.spaces contains a twice"),
    "a key for nobody": (
        at("apiKey.spaces", {"else": {"name": "one"}}),
        "apiKey.spaces has a key for else, which is not in config.spaces",
    ),
    "two keys for a space": (
        {"config": {"spaces": [{"ref": "a", "api_key_file": "/x"}]}, "apiKey": {"spaces": {"a": {"name": "one"}}}},
        "Space a has both a key in apiKey.spaces and an api_key_file in config.spaces",
    ),
    "a key for another host": (
        at("config.spaces", [{"ref": "a", "base_url": "https://example.com"}]),
        "Space a has its own base_url and needs its own key",
    ),
    "two CA bundles": (
        at("caBundle", {"existingConfigMap": {"name": "a"}, "existingSecret": {"name": "b"}}),
        "caBundle.existingConfigMap.name and caBundle.existingSecret.name are both set",
    ),
    "CA file and bundle": (
        {"config": {"ca_file": "/ca"}, "caBundle": {"existingSecret": {"name": "b"}}},
        "config.ca_file and caBundle are both set",
    ),
    "two proxies": (
        at("proxy", {"url": "http://a", "existingSecret": {"name": "b"}}),
        "proxy.url and proxy.existingSecret.name are both set",
    ),
    "proxy in two places": (
        {"config": {"proxy_url": "http://a"}, "proxy": {"url": "http://b"}},
        "config.proxy_url and proxy are both set",
    ),
    "password of a proxy": (at("proxy.url", "http://me:secret@proxy"), "put a URL with a password into a Secret"),
    "password of a proxy in the settings": (at("config.proxy_url", "http://me:s@proxy"), "put a URL with a password"),
    "label that selects": (
        at("commonLabels", {"app.kubernetes.io/name": "x"}),
        "commonLabels must not contain app.kubernetes.io/name, because the Service selects its pods by this label",
    ),
    "label of pods that selects": (
        at("podLabels", {"app.kubernetes.io/component": "x"}),
        "podLabels must not contain app.kubernetes.io/component",
    ),
    "replicas of shards": (
        {"replicaCount": 2, "sharding": {"enabled": True}},
        "replicaCount has no effect with sharding.enabled",
    ),
    "two budgets": (
        at("podDisruptionBudget", {"enabled": True, "minAvailable": 0, "maxUnavailable": 1}),
        "podDisruptionBudget.minAvailable and podDisruptionBudget.maxUnavailable are both set",
    ),
    "budget that blocks": (
        at("podDisruptionBudget", {"enabled": True, "minAvailable": 1}),
        "podDisruptionBudget.minAvailable 1 with 1 pods would block every node drain",
    ),
    "budget of all that blocks": (
        {"replicaCount": 3, "podDisruptionBudget": {"enabled": True, "minAvailable": "100%"}},
        "podDisruptionBudget.minAvailable 100% with 3 pods would block every node drain",
    ),
    "budget of a percentage that blocks": (
        {"replicaCount": 2, "podDisruptionBudget": {"enabled": True, "minAvailable": "90%"}},
        "podDisruptionBudget.minAvailable 90% with 2 pods would block every node drain",
    ),
    "budget of half a pod": (
        at("podDisruptionBudget", {"enabled": True, "minAvailable": "50%"}),
        "podDisruptionBudget.minAvailable 50% with 1 pods would block every node drain",
    ),
    "budget of nothing": (
        at("podDisruptionBudget", {"enabled": True, "maxUnavailable": 0}),
        "podDisruptionBudget.maxUnavailable 0 with 1 pods would block every node drain",
    ),
    "port of a hidden proxy": (
        {"proxy": {"existingSecret": {"name": "p"}}, "networkPolicy": {"enabled": True}},
        "networkPolicy.enabled needs the port of the proxy, which is in proxy.existingSecret; set networkPolicy.egress",
    ),
    "port of no node": (
        at("service.nodePort", 30000),
        "service.nodePort has no effect with service.type ClusterIP; set service.type to NodePort or LoadBalancer.",
    ),
    "traffic of no node": (
        at("service.externalTrafficPolicy", "Local"),
        "service.externalTrafficPolicy has no effect with service.type ClusterIP",
    ),
    "headless with another port": (
        at("service", {"port": 80, "clusterIP": "None"}),
        "service.clusterIP None gives the addresses of the pods, which do not listen on service.port 80; set it to",
    ),
    "headless and outside": (
        at("service", {"type": "NodePort", "clusterIP": "None"}),
        "service.clusterIP None is not possible with service.type NodePort; set service.type to ClusterIP.",
    ),
    "strategy of a StatefulSet": (
        at("updateStrategy.type", "OnDelete"),
        "updateStrategy.type OnDelete is not one of a Deployment; use RollingUpdate or Recreate.",
    ),
    "strategy of a Deployment": (
        {"updateStrategy": {"type": "Recreate"}, "sharding": {"enabled": True}},
        "updateStrategy.type Recreate is not one of a StatefulSet; use RollingUpdate or OnDelete.",
    ),
    "rollingUpdate with Recreate": (
        at("updateStrategy", {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}),
        "updateStrategy.rollingUpdate has no effect with updateStrategy.type Recreate",
    ),
    "ready after the deadline": (
        at("minReadySeconds", 600),
        "minReadySeconds 600 is not less than the deadline of 600 s of a rollout; increase progressDeadlineSeconds.",
    ),
    "a variable twice": (
        {"extraEnv": [{"name": "HTTPS_PROXY", "value": "b"}], "proxy": {"url": "http://a"}},
        "extraEnv sets HTTPS_PROXY, which the chart sets from proxy; remove it from extraEnv.",
    ),
    "a flag in place of a value": (
        at("extraArgs", ["--listen-address=:1"]),
        "extraArgs contains --listen-address=:1, which the chart sets from containerPort; remove it from extraArgs.",
    ),
    "a variable in place of a value": (
        at("extraEnv", [{"name": "HAR_EXPORTER_LISTEN_ADDRESS", "value": ":1"}]),
        "extraEnv sets HAR_EXPORTER_LISTEN_ADDRESS, which the chart sets from containerPort",
    ),
    "two monitors": (
        {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}},
        "serviceMonitor.enabled and podMonitor.enabled are both true, which would scrape each pod twice",
    ),
    "two ways to scrape": (
        {"scrapeConfig": {"enabled": True}, "podMonitor": {"enabled": True}},
        "scrapeConfig.enabled together with serviceMonitor or podMonitor would scrape each pod twice",
    ),
    "one address for several pods": (
        {"scrapeConfig": {"enabled": True}, "replicaCount": 2},
        "scrapeConfig.enabled with replicaCount above 1 would mix the counters",
    ),
    "probe of shards": (
        {"probe": {"enabled": True}, "sharding": {"enabled": True}},
        "probe.enabled cannot be combined with sharding.enabled",
    ),
    "replicas": (at("replicas", 2), "replicas is not a value of this chart; use replicaCount."),
    "strategy": (at("strategy.type", "Recreate"), "strategy is not a value of this chart; use updateStrategy."),
    "extra objects": (at("extraObjects", []), "extraObjects is not a value of this chart; use extraManifests."),
    "additional labels": (
        at("serviceMonitor.additionalLabels", {"release": "x"}),
        "serviceMonitor.additionalLabels is not a value of this chart; use serviceMonitor.labels.",
    ),
    "ingress": (
        at("ingress.enabled", True),
        "ingress is not a value of this chart; metrics name what is at risk",
    ),
    "probe that is off": (
        {"probe": {"enabled": True}, "config": {"probe": False}},
        "probe.enabled needs /probe, which config.probe off disables",
    ),
    "probe of several pods": (
        {"probe": {"enabled": True}, "replicaCount": 2},
        "probe.enabled with replicaCount above 1 would mix the counters",
    ),
    "dashboards without ConfigMaps": (
        at("dashboards.grafanaOperator.enabled", True),
        "dashboards.grafanaOperator.enabled needs the ConfigMaps of dashboards.enabled",
    ),
    "unknown threshold": (
        at("prometheusRule", {"enabled": True, "thresholds": {"nothing": 1}}),
        "prometheusRule.thresholds contains nothing, which is not a threshold of this chart.",
    ),
    "unknown alert": (
        at("prometheusRule", {"enabled": True, "alerts": {"Three": {"enabled": False}}}),
        "prometheusRule.alerts contains Three, which is not an alert of this chart; the alerts are One, Two.",
    ),
} | {
    f"timeout of {name}": (
        at(name, {"enabled": True, "interval": "1m", "scrapeTimeout": "1m1ms"}),
        f"{name}.scrapeTimeout 1m1ms is longer than {name}.interval 1m",
    )
    for name in ("serviceMonitor", "podMonitor", "scrapeConfig", "probe")
}
ALONE = {"no spaces", "no key", "no key for one space"}


@pytest.mark.parametrize("case", GUARDS)
def test_what_cannot_be_meant_is_refused_with_a_sentence(case):
    values, sentence = GUARDS[case]
    assert sentence in refusal(values if case in ALONE else merged(MINIMUM, values), helm="helm3")


def test_every_guard_is_tested():
    """Refuses all cases with the other Helm too, and compares its messages with the sentences in the templates."""
    cases = {case: values if case in ALONE else merged(MINIMUM, values) for case, (values, _) in GUARDS.items()}
    messages = {case: refusal(values, helm="helm4") for case, values in cases.items()}
    assert all(GUARDS[case][1] in message for case, message in messages.items())
    text = "".join(path.read_text() for path in (CHART / "templates").iterdir() if path.is_file())
    sentences = re.findall(r'{{- fail \(?(?:printf )?"([^"]+)"', text)
    assert len(sentences) == text.count("{{- fail") > 20
    for sentence in sentences:
        pattern = ".+".join(re.escape(part) for part in re.split("%[sd]", sentence))
        assert any(re.search(pattern, one, re.DOTALL) for one in messages.values()), sentence


@pytest.mark.parametrize(
    ("pods", "budget"),
    [(0, {"minAvailable": 1}), (3, {"minAvailable": "50%"}), (2, {"maxUnavailable": "1%"}), (1, {"minAvailable": 0})],
    ids=str,
)
def test_a_budget_that_lets_a_pod_go_is_accepted(pods, budget):
    """A percentage is rounded up, as the disruption controller does, and without pods there is nothing to block."""
    assert render(merged(MINIMUM, {"replicaCount": pods, "podDisruptionBudget": {"enabled": True, **budget}}))


def test_a_timeout_as_long_as_the_interval_is_accepted():
    values = at("serviceMonitor", {"enabled": True, "interval": "1m", "scrapeTimeout": "60s"})
    assert render(merged(MINIMUM, values))


def test_a_key_for_every_space_needs_no_common_one():
    values = {"config": {"spaces": ["a", "b"]}, "apiKey": {"spaces": {"a": {"name": "one"}, "b": {"name": "two"}}}}
    assert render(values)


def _paths(values, path=()):
    """Yield the path of every value in values.yaml, except below maps with free keys."""
    for name, value in values.items():
        yield (*path, name)
        if isinstance(value, dict) and name not in {"global", "config"}:
            yield from _paths(value, (*path, name))


DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = jsonschema.Draft7Validator(json.loads((CHART / "values.schema.json").read_text()))
OPEN = {"updateStrategy", "podSecurityContext", "securityContext", "instanceSelector", "labels", "requests", "limits"}
STRICT = sorted(".".join(path) for path in _paths(DEFAULTS) if not set(path[:-1]) & OPEN)
GROUPS = [
    path for path in STRICT if path.split(".")[-1] not in OPEN and any(one.startswith(f"{path}.") for one in STRICT)
]


def faults(values):
    """Return the faults that the schema finds, as path and message; starting Helm for each value would take minutes."""
    return [(".".join(map(str, fault.path)), fault.message) for fault in SCHEMA.iter_errors(values)]


@pytest.mark.parametrize("helm", HELMS)
def test_helm_refuses_what_the_schema_refuses(helm):
    message = refusal(merged(MINIMUM, at("webConfig.existingSecret", {"mispelt": 1, "name": 3.5})), helm=helm)
    assert "schema" in message
    assert all(name in message for name in ("webConfig", "existingSecret", "mispelt", "name"))


@pytest.mark.parametrize("path", ["", "config", *GROUPS])
def test_a_misspelt_value_is_refused_by_name(path):
    ((where, message),) = faults(at(f"{path}.mispelt".lstrip("."), 1))
    assert where == path
    assert "mispelt" in message


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("podDisruptionBudget.maxUnavailable", "500%"),
        ("livenessProbe.successThreshold", 2),
        ("startupProbe.successThreshold", 2),
        ("updateStrategy.type", "Sometimes"),
        ("service.ipFamilies", ["IPv5"]),
    ],
)
def test_what_the_api_server_would_refuse_is_refused_before(path, wrong):
    assert faults(at(path, wrong))[0][0].startswith(path)


@pytest.mark.parametrize("path", STRICT)
def test_a_value_of_a_wrong_type_is_refused_by_name(path):
    assert {where for where, _ in faults(at(path, 3.5))} == {path}


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("page_size", "many"),
        ("page_size", 0),
        ("page_size", 10_001),
        ("concurrency", 65),
        ("findings_limit", 100_001),
        ("log_level", "loud"),
        ("auth_scheme", "basic"),
        ("sources", "registries,artifacts"),
        ("sources", ["artifacts"]),
        ("findings", "everything"),
        ("rate_limit", "fast"),
        ("rate_limit", "0/m"),
        ("cache_ttl", "soon"),
        ("cache_ttl", 0.5),
        ("request_timeout", "30 s"),
        ("stale_scan_after", ["7 days"]),
        ("stale_scan_after", "7d,never"),
        ("page_sizes", 100),
        ("probe", True),
        ("spaces", [3]),
        ("spaces", [{"ref": "a", "regs": []}]),
        ("cache_ttl", True),
        ("shard", 1),
    ],
)
def test_a_wrong_setting_of_the_exporter_is_refused_by_name(name, wrong):
    assert any(name in f"{where} {message}" for where, message in faults(at(f"config.{name}", wrong)))


@pytest.mark.parametrize("helm", HELMS)
def test_a_wrong_choice_of_a_setting_is_refused_with_those_that_exist(helm):
    message = refusal(merged(MINIMUM, at("config.log_level", "loud")), helm=helm)
    assert all(level in message for level in ("log_level", "debug", "info", "warning", "error"))


@pytest.mark.parametrize(
    "config",
    [
        {"page_size": 10_000, "concurrency": 64, "findings_limit": 0, "cache_ttl": 1, "max_stale": 0},
        {"page_size": "AUTO", "log_level": "INFO", "log_format": "", "auth_scheme": "bearer"},
        {"sources": "violations, registries", "findings": ["warn", "blocked"], "stale_scan_after": "7d,30"},
        {"sources": "off", "findings": "off", "stale_scan_after": "off", "rate_limit": "off", "probe": "off"},
        {"request_timeout": "1h30m", "refresh_timeout": "1.5h", "cache_ttl": "90", "scrape_timeout_offset": "500ms"},
        {"rate_limit": "999999/s", "stale_scan_after": ["12h", "90d"], "registries_limit": 100_000},
    ],
    ids=str,
)
def test_the_schema_takes_what_the_exporter_takes(config, tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(config | {"spaces": ["a"], "api_key": "pat.acct.id.key"}))
    assert load({"config": str(file)}, {})
    assert not faults({"config": config})
