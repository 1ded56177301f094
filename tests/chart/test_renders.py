"""Every values file in ci/ renders valid objects with both Helm versions."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from exporter.config.errors import ENV_PREFIX
from exporter.config.settings import Settings
from exporter.config.sources import load
from tests.chart.charts import CHART, CI, HELMS, MINIMUM, NAMESPACE, at, merged, pod, render, run, settings
from tests.chart.validity import assert_restricted, check, pod_specs
from tools.chart import default

CI_NAMES = [path.name for path in CI]
KNOWN_FINDINGS = {
    "CKV_K8S_11",  # a CPU limit would only slow down refreshes
    "CKV_K8S_15",  # release tags do not change, and a digest can be set
    "CKV_K8S_43",  # the digest is not known before the image is built
    "CKV2_K8S_6",  # the network policy is optional, because clusters without a network plug-in ignore it
}


def objects_of(path, helm="helm4"):
    """Render the real chart with a values file from ci/."""
    return render(path.read_text(), chart=CHART, helm=helm)


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("path", CI, ids=CI_NAMES)
def test_helm_lints_it_strictly(path, helm):
    done = run(helm, "lint", "--strict", CHART, values=path.read_text())
    assert done.returncode == 0, done.stdout
    assert "[ERROR]" not in done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout + done.stderr


@pytest.mark.parametrize("path", CI, ids=CI_NAMES)
def test_both_helms_render_the_same(path):
    assert objects_of(path, "helm3") == objects_of(path, "helm4")


@pytest.mark.parametrize("path", CI, ids=CI_NAMES)
def test_clusters_take_it(path):
    objects = objects_of(path)
    for one in objects:
        check(one)
    ids = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in objects]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("path", CI, ids=CI_NAMES)
def test_its_pods_meet_pod_security_restricted(path):
    specs = list(pod_specs(objects_of(path)))
    assert len(specs) == 2
    for spec in specs:
        assert_restricted(spec)
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False


@pytest.mark.parametrize("path", CI, ids=CI_NAMES)
def test_no_key_is_in_the_environment_or_mounted_where_it_cannot_change(path):
    for spec in pod_specs(objects_of(path)):
        for container in spec["containers"]:
            assert not any("subPath" in mount for mount in container.get("volumeMounts", ()))
            assert all("API_KEY" not in variable["name"] for variable in container.get("env", ()))


@pytest.mark.parametrize("path", CI, ids=CI_NAMES)
def test_the_exporter_accepts_its_settings(path, tmp_path):
    """Loads the settings file with the real settings model; the files that it names are created temporarily."""
    objects = objects_of(path)
    spec = pod(objects)["spec"]
    content = settings(objects)
    mounts = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    for volume in spec["volumes"]:
        for file in _files(volume):
            full = tmp_path / mounts[volume["name"]].lstrip("/") / file
            full.parent.mkdir(parents=True, exist_ok=True)
            full.write_text("pat.acct.id.secret")
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(content).replace("/etc/har-exporter", f"{tmp_path}/etc/har-exporter"))
    loaded = load({"config": str(file)}, {})
    assert len(loaded.served) == len(yaml.safe_load(path.read_text())["config"]["spaces"])
    assert loaded.listen_address.port == 10981


def _files(volume):
    """Return the files of a volume that the settings name; the web configuration Secret is mounted as a whole."""
    if volume["name"] == "web":
        return [default("webConfig.existingSecret.key")]
    sources = [entry["secret"] for entry in volume.get("projected", {}).get("sources", ())]
    sources += [volume[kind] for kind in ("secret", "configMap") if kind in volume]
    return [item["path"] for source in sources for item in source.get("items", ())]


def test_every_setting_that_the_chart_sets_exists():
    names = set()
    for path in CI:
        objects = objects_of(path)
        names |= settings(objects).keys()
        variables = {variable["name"] for variable in pod(objects)["spec"]["containers"][0]["env"]}
        names |= {name.removeprefix(ENV_PREFIX).lower() for name in variables if name.startswith(ENV_PREFIX)}
    assert names - {"config"} <= Settings.model_fields.keys()
    assert names >= {"shard", "shards"}


def test_values_reach_the_settings_file_with_their_types():
    config = {"page_size": 10000, "refresh_timeout": 100000000, "findings_limit": 100000, "latest_version": True}
    config |= {"search_term": "007", "link_template": "", "stale_scan_after": ["7d"], "max_stale": "1h30m"}
    found = settings(render(merged(MINIMUM, at("config", config))))
    assert {name: found[name] for name in config} == config


def test_checkov_finds_no_more_than_is_known(tmp_path):
    file = tmp_path / "default.yaml"
    default = CHART / "ci" / "default-values.yaml"
    file.write_text(run("helm4", "template", "r", CHART, "--namespace", NAMESPACE, values=default.read_text()).stdout)
    checkov = os.environ.get("CHECKOV") or pytest.skip("make test-chart names checkov")
    options = ("--framework", "kubernetes", "--skip-download", "--output", "json")
    done = subprocess.run(
        [Path(checkov).absolute(), "--file", file, *options], capture_output=True, text=True, check=False
    )
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 50
    assert {one["check_id"] for one in report["results"]["failed_checks"]} <= KNOWN_FINDINGS
    assert len(report["results"]["failed_checks"]) <= len(KNOWN_FINDINGS)
