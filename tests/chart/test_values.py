"""Each value changes only the fields that it describes."""

import base64

import pytest

from exporter.config.settings import default_text
from exporter.config.sources import load
from tests.chart.charts import HELMS, MINIMUM, at, changes, flat, leaves, merged, only, pod, refusal, render, settings
from tests.chart.value_cases import CASES, KINDS, WHOLE
from tools.chart import default, described

OWN_KEY = {"existingSecret": {"name": ""}, "spaces": {"my_account": {"name": "own"}}}


@pytest.mark.parametrize(("path", "value", "expected", "given"), CASES, ids=[case[0] for case in CASES])
def test_a_value_changes_exactly_what_it_says(path, value, expected, given):
    found = changes(render(merged(MINIMUM, given)), render(merged(MINIMUM, given, at(path, value))))
    assert {name: ... if expected.get(name) is ... else changed for name, changed in found.items()} == expected


def test_every_value_has_a_test():
    assert {case[0] for case in CASES} | WHOLE == {path for kind, path, _ in described() if kind == "param"}


@pytest.mark.parametrize("path", KINDS)
def test_a_switch_is_off_and_adds_one_object_and_changes_no_other(path):
    assert default(path) is False
    before, after = render(MINIMUM), render(merged(MINIMUM, at(path, True)))
    assert [one["kind"] for one in after if one not in before] == KINDS[path]
    assert all(one in after for one in before)


def test_dashboards_of_the_grafana_operator_name_the_config_map():
    values = at("dashboards", {"enabled": True, "grafanaOperator": {"enabled": True}})
    objects = render(merged(MINIMUM, values))
    named = only(objects, "GrafanaDashboard")["spec"]["configMapRef"]
    data = only(objects, "ConfigMap", "-dashboard-a")
    assert named == {"name": data["metadata"]["name"], "key": "har-a.json"}
    assert data["data"]["har-a.json"].strip() == '{"title": "{{ stays }}"}'


def test_an_alert_that_is_switched_off_is_gone_and_the_others_stay():
    values = at("prometheusRule", {"enabled": True, "alerts": {"One": {"enabled": False}}})
    groups = only(render(merged(MINIMUM, values)), "PrometheusRule")["spec"]["groups"]
    assert [rule.get("alert") or rule["record"] for group in groups for rule in group["rules"]] == [
        "space:har_up:max",
        "har_threshold:age",
        "Two",
    ]
    values["prometheusRule"]["alerts"]["Two"] = {"enabled": False}
    groups = only(render(merged(MINIMUM, values)), "PrometheusRule")["spec"]["groups"]
    assert [group["name"] for group in groups] == ["records"]


def test_templates_in_rules_stay():
    rule = only(render(merged(MINIMUM, at("prometheusRule.enabled", True))), "PrometheusRule")
    assert rule["spec"]["groups"][1]["rules"][0]["annotations"]["summary"] == (
        "{{ printf `har_up{space=%q}` $labels.space | query }}"
    )


def test_shards_are_pods_of_a_stateful_set_that_know_their_number_by_their_name():
    before, after = render(MINIMUM), render(merged(MINIMUM, at("sharding.enabled", True)))
    kinds = {one["kind"] for one in before} - {one["kind"] for one in after}
    assert kinds == {"Deployment"}
    stateful = only(after, "StatefulSet")
    headless = only(after, "Service", "-shards")
    assert stateful["spec"]["serviceName"] == headless["metadata"]["name"]
    assert headless["spec"]["clusterIP"] == "None"
    env = {one["name"]: one for one in pod(after)["spec"]["containers"][0]["env"]}
    assert env["HAR_EXPORTER_SHARD"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    given = {"HAR_EXPORTER_SHARDS": env["HAR_EXPORTER_SHARDS"]["value"]}
    given |= {"HAR_EXPORTER_SPACES": "a,b,c,d,e", "HAR_EXPORTER_API_KEY": "pat.acct.id.key"}
    pods = [f"{stateful['metadata']['name']}-{number}" for number in range(stateful["spec"]["replicas"])]
    loaded = [load({}, given | {"HAR_EXPORTER_SHARD": name}) for name in pods]
    assert [(one.shard, one.shards) for one in loaded] == [(0, 2), (1, 2)]
    assert sorted(space.ref for one in loaded for space in one.served) == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        ({}, None),
        ({"replicaCount": 2}, "150/m"),
        ({"replicaCount": 7}, "42/m"),
        ({"replicaCount": 2, "config": {"rate_limit": "90/m"}}, "90/m"),
        ({"sharding": {"enabled": True}}, "150/m"),
        ({"sharding": {"enabled": True, "shards": 400}}, "1/m"),
        ({"sharding": {"enabled": True}, "config": {"rate_limit": "off"}}, "off"),
        ({"sharding": {"enabled": True}, "apiKey": OWN_KEY}, None),
        ({"replicaCount": 2, "apiKey": OWN_KEY}, "150/m"),
    ],
    ids=str,
)
def test_pods_that_share_a_key_share_its_default_limit(values, limit):
    """A space with a key of its own is on one shard, but on every replica."""
    assert settings(render(merged(MINIMUM, values))).get("rate_limit") == limit
    assert default_text("rate_limit") == "300/m"


def test_a_service_monitor_finds_each_pod_of_a_stateful_set_once():
    values = {"sharding": {"enabled": True}, "serviceMonitor": {"enabled": True}}
    objects = render(merged(MINIMUM, values))
    wanted = only(objects, "ServiceMonitor")["spec"]["selector"]["matchLabels"].items()
    found = [
        one["metadata"]["name"]
        for one in objects
        if one["kind"] == "Service" and wanted <= one["metadata"]["labels"].items()
    ]
    assert found == ["r-har-exporter"]


def test_a_scrape_config_names_each_shard():
    values = {"sharding": {"enabled": True, "shards": 2}, "scrapeConfig": {"enabled": True}}
    (static,) = only(render(merged(MINIMUM, values)), "ScrapeConfig")["spec"]["staticConfigs"]
    assert static["targets"] == [f"r-har-exporter-{n}.r-har-exporter-shards.har.svc:10981" for n in (0, 1)]


def test_selectors_find_the_pods_of_the_workload_alone():
    objects = render(merged(MINIMUM, {**at("podMonitor.enabled", True), **at("networkPolicy.enabled", True)}))
    labels = pod(objects)["metadata"]["labels"].items()
    other = only(objects, "Pod")["metadata"]["labels"].items()
    selectors = [
        only(objects, "Service")["spec"]["selector"],
        only(objects, "Deployment")["spec"]["selector"]["matchLabels"],
        only(objects, "PodMonitor")["spec"]["selector"]["matchLabels"],
        only(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= labels
        assert not selector.items() <= other


def test_a_key_of_its_own_reaches_its_space():
    values = {"config": {"spaces": ["a", {"ref": "b/c", "registries": ["r"]}, "d/+"]}}
    values["apiKey"] = {
        "existingSecret": {"name": "s"},
        "spaces": {"b/c": {"name": "t", "key": "k"}, "d": {"name": "u"}},
    }
    objects = render(values)
    folder = "/etc/har-exporter/keys"
    assert settings(objects)["api_key_file"] == f"{folder}/api-key"
    assert settings(objects)["spaces"] == [
        "a",
        {"ref": "b/c", "registries": ["r"], "api_key_file": f"{folder}/spaces/b~c"},
        {"ref": "d/+", "api_key_file": f"{folder}/spaces/d"},
    ]
    (keys,) = (one["projected"] for one in pod(objects)["spec"]["volumes"] if one["name"] == "keys")
    assert keys["defaultMode"] == 0o440
    assert [(one["secret"]["name"], *one["secret"]["items"][0].values()) for one in keys["sources"]] == [
        ("s", "api-key", "api-key"),
        ("t", "k", "spaces/b~c"),
        ("u", "api-key", "spaces/d"),
    ]


def test_an_inline_key_is_in_a_secret_and_nowhere_else():
    objects = render({"config": {"spaces": ["a"]}, "apiKey": {"value": "pat.a.b.c"}})
    secret = only(objects, "Secret")
    assert base64.b64decode(secret["data"]["api-key"]).decode() == "pat.a.b.c"
    (keys,) = (one["projected"] for one in pod(objects)["spec"]["volumes"] if one["name"] == "keys")
    assert keys["sources"][0]["secret"]["name"] == secret["metadata"]["name"]
    assert "pat.a.b.c" not in str([one for one in objects if one is not secret])


def test_only_a_setting_that_is_not_read_again_restarts_pods():
    inline = {"config": {"spaces": ["a"]}, "apiKey": {"value": "one"}}
    for path, value in (("apiKey.value", "two"), ("config.page_size", 9), ("config.spaces", ["a/**"])):
        assert pod(render(inline)) == pod(render(merged(inline, at(path, value))))
    assert pod(render(inline)) != pod(render(merged(inline, at("containerPort", 9000))))


def test_names_follow_the_overrides():
    names = {one["metadata"]["name"] for one in render(merged(MINIMUM, at("fullnameOverride", "mine")))}
    assert all(name.startswith("mine") for name in names)
    named = render(merged(MINIMUM, at("nameOverride", "short")))
    assert only(named, "Deployment")["metadata"]["name"] == "r-short"
    assert only(named, "Service")["spec"]["selector"]["app.kubernetes.io/name"] == "short"
    assert {one["metadata"]["namespace"] for one in render(MINIMUM)} == {"har"}
    assert {one["metadata"]["namespace"] for one in render(merged(MINIMUM, at("namespaceOverride", "x")))} == {"x"}


@pytest.mark.parametrize(("value", "field"), [("commonLabels", "labels"), ("commonAnnotations", "annotations")])
def test_common_labels_and_annotations_are_on_every_object_and_in_no_selector(value, field):
    objects = render(merged(MINIMUM, at(value, {"team": "x"})))
    assert all(one["metadata"][field]["team"] == "x" for one in [*objects, pod(objects)])
    found = changes(render(MINIMUM), objects)
    assert all(path.endswith(f"metadata.{field}.team") for path in found)


def test_the_service_account_is_made_or_named():
    kept = render(merged(MINIMUM, at("serviceAccount", {"create": False, "name": "mine"})))
    assert not [one for one in kept if one["kind"] == "ServiceAccount"]
    assert pod(kept)["spec"]["serviceAccountName"] == "mine"
    assert pod(render(merged(MINIMUM, at("serviceAccount.create", False))))["spec"]["serviceAccountName"] == "default"
    made = render(merged(MINIMUM, at("serviceAccount.name", "mine")))
    assert only(made, "ServiceAccount")["metadata"]["name"] == pod(made)["spec"]["serviceAccountName"] == "mine"


def test_nothing_gives_rights_in_the_cluster():
    kinds = {one["kind"] for one in render(MINIMUM)}
    assert kinds == {"ConfigMap", "Deployment", "Pod", "Service", "ServiceAccount"}


def test_leaves_of_nested_objects_have_paths():
    assert flat({"a": [{"b": 1}], "c": {}}) == {"a[0].b": 1, "c": {}}
    assert leaves([{"kind": "K", "metadata": {"name": "n"}}]) == {"K n kind": "K", "K n metadata.name": "n"}


@pytest.mark.parametrize("name", ["probe", "findings", "rate_limit", "stale_scan_after", "sources"])
@pytest.mark.parametrize("helm", HELMS)
def test_off_may_be_written_without_quotes(name, helm):
    """It is false to YAML."""
    objects = render(merged(MINIMUM, at(f"config.{name}", False)), helm=helm)
    assert settings(objects)[name] == "off"
    assert name in refusal(merged(MINIMUM, at(f"config.{name}", True)), helm=helm)


@pytest.mark.parametrize("helm", HELMS)
def test_a_whole_account_needs_one_entry_and_one_secret(helm):
    values = {"config": {"spaces": ["-k5/**"]}, "apiKey": {"existingSecret": {"name": "har-api-key"}}}
    assert settings(render(values, helm=helm))["spaces"] == ["-k5/**"]


def test_an_entry_for_all_spaces_below_has_the_key_of_its_space_and_is_not_the_space_itself():
    values = {"config": {"spaces": ["a/**", "a", "b"]}, "apiKey": {"spaces": {"a": {"name": "k"}}}}
    entries = settings(render(merged(MINIMUM, values)))["spaces"]
    key = "/etc/har-exporter/keys/spaces/a"
    assert entries == [{"api_key_file": key, "ref": "a/**"}, {"api_key_file": key, "ref": "a"}, "b"]
    values = merged(MINIMUM, values, {"config": {"spaces": ["a/**", "a/**"]}})
    assert "a/** twice" in refusal(values)


def test_shards_divide_the_limit_of_a_key_whose_spaces_are_found():
    own = {"existingSecret": {"name": ""}, "spaces": {"a": {"name": "own"}}}
    values = {"sharding": {"enabled": True}, "config": {"spaces": ["a/**"]}, "apiKey": own}
    assert settings(render(merged(MINIMUM, values)))["rate_limit"] == "150/m"


def test_a_probe_asks_for_spaces_not_for_entries():
    values = {"config": {"spaces": ["a/**", "b"]}, "probe": {"enabled": True}}
    found = only(render(merged(MINIMUM, values)), "Probe")["spec"]["targets"]["staticConfig"]["static"]
    assert found == ["a", "b"]


@pytest.mark.parametrize(
    "given", [{"enabled": True}, {"enabled": False}, {"global": {"storageClass": "fast"}}], ids=str
)
def test_an_umbrella_chart_may_give_its_condition_and_its_globals(given):
    assert render(merged(MINIMUM, given)) == render(MINIMUM)


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        (
            {"repository": "registry.example.com:5000/a/har-exporter", "tag": "1"},
            "registry.example.com:5000/a/har-exporter:1",
        ),
        ({"repository": "a/b", "tag": f"1.2@sha256:{64 * '0'}"}, f"ghcr.io/a/b:1.2@sha256:{64 * '0'}"),
        ({"registry": "", "repository": "a/b", "tag": "1"}, "a/b:1"),
        ({"repository": "localhost/a", "tag": "1"}, "localhost/a:1"),
        (
            {"registry": "localhost:5000", "repository": "a", "digest": f"sha256:{64 * '0'}"},
            f"localhost:5000/a@sha256:{64 * '0'}",
        ),
    ],
    ids=["a registry with a port", "a tag with a digest", "no registry", "this machine", "a digest"],
)
def test_an_image_is_taken_as_people_paste_it(image, reference):
    values = merged(MINIMUM, {"image": image})
    assert pod(render(values))["spec"]["containers"][0]["image"] == reference


def test_a_mirror_replaces_the_registry_of_an_image_as_people_paste_it():
    values = {"image": {"repository": "example.com:5000/a/b", "tag": "1"}, "global": {"imageRegistry": "mirror"}}
    assert pod(render(merged(MINIMUM, values)))["spec"]["containers"][0]["image"] == "mirror/a/b:1"


@pytest.mark.parametrize("path", ["serviceMonitor", "podMonitor", "scrapeConfig", "probe"])
def test_an_empty_interval_leaves_interval_and_timeout_to_prometheus(path):
    """The timeout of the chart could be longer than the interval of Prometheus, which would refuse the monitor."""
    spec = render(merged(MINIMUM, at(path, {"enabled": True, "interval": ""})))
    assert not [name for name in leaves(spec) if name.endswith(("nterval", "scrapeTimeout"))]


def test_the_test_pod_can_be_switched_off():
    before, after = render(MINIMUM), render(merged(MINIMUM, at("tests.enabled", False)))
    assert [one["kind"] for one in before if one not in after] == ["Pod"]


def test_a_test_that_passed_leaves_its_log():
    """Helm reads the logs at the end, and fails if the pod is gone."""
    annotations = only(render(MINIMUM), "Pod")["metadata"]["annotations"]
    assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation"


@pytest.mark.parametrize(
    ("values", "ports"),
    [
        ({}, [443]),
        ({"config": {"base_url": "https://harness.test:8443/x"}}, [8443]),
        ({"config": {"base_url": "http://[2001:db8::1]", "allow_insecure_http": True}}, [80]),
        ({"config": {"spaces": ["a", {"ref": "b", "base_url": "https://b.test:9443"}]}}, [443, 9443]),
        ({"proxy": {"url": "http://proxy.test:3128"}}, [443, 3128]),
        ({"config": {"proxy_url": "http://proxy.test"}}, [443, 80]),
        ({"proxy": {"existingSecret": {"name": "p"}}, "networkPolicy": {"egressPorts": [8080]}}, [8080]),
    ],
    ids=str,
)
def test_the_network_policy_follows_the_ports_in_urls(values, ports):
    own = {"apiKey": {"spaces": {"b": {"name": "k"}}}} if "b.test" in str(values) else {}
    policy = only(render(merged(MINIMUM, at("networkPolicy.enabled", True), own, values)), "NetworkPolicy")
    dns, harness = policy["spec"]["egress"]
    assert {(one["port"], one["protocol"]) for one in dns["ports"]} == {
        (port, protocol) for port in (53, 5353) for protocol in ("UDP", "TCP")
    }
    assert harness["ports"] == [{"port": port, "protocol": "TCP"} for port in ports]
