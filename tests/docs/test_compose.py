"""The compose stack: what it mounts exists and is read by the program it is for."""

import re
import shutil
import subprocess

import pytest
import yaml
from dashboards.generate import BOARDS

from exporter.config.settings import Settings
from tests.support.places import GRAFANA, ROOT
from tests.support.programs import find

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
MOUNTS = [
    (name, *mount.split(":"))
    for name, service in SERVICES.items()
    for mount in service.get("volumes", ())
    if "./" in mount
]
ADDRESSES = {"exporter:10981", "prometheus:9090", "alertmanager:9093"}


@pytest.mark.parametrize(("service", "source", "target", "mode"), MOUNTS)
def test_what_is_mounted_exists_and_cannot_be_written(service, source, target, mode):
    assert (ROOT / source).exists(), service
    assert target.startswith("/")
    assert mode == "ro"


def test_volumes_are_declared():
    named = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", ())}
    assert {name for name in named if "/" not in name} == set(COMPOSE["volumes"])


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_images_are_pinned_and_ports_are_for_this_machine_only(service):
    if service.get("build"):
        assert service["build"] == "."
    else:
        assert re.fullmatch(r"[a-z.]+(/[a-z]+)+:v?\d+\.\d+\.\d+", service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_the_exporter_is_the_demo_unless_told_otherwise():
    (command,) = SERVICES["exporter"]["command"]
    assert command == "${HAR_EXPORTER_COMMAND:-demo}"
    names = {name.removeprefix("HAR_EXPORTER_").lower() for name in SERVICES["exporter"]["environment"]}
    assert names <= Settings.model_fields.keys()


def test_no_secret_is_in_the_file():
    """A key comes from a file whose name the environment gives."""
    assert "HAR_EXPORTER_API_KEY" not in SERVICES["exporter"]["environment"]
    assert COMPOSE["secrets"] == {"har_api_key": {"file": "${HAR_EXPORTER_KEY:-/dev/null}"}}
    assert not re.search(r"\b[ps]at\.", (ROOT / "compose.yaml").read_text())


def test_services_are_called_by_their_names():
    text = (GRAFANA / "prometheus.yaml").read_text() + (
        GRAFANA / "provisioning/datasources/prometheus.yaml"
    ).read_text()
    assert set(re.findall(r"\b[a-z]+:\d{4,5}\b", text)) == ADDRESSES
    for address in ADDRESSES:
        name, port = address.split(":")
        assert any(mapping.endswith(f":{port}") for mapping in SERVICES[name]["ports"])


def test_prometheus_accepts_its_configuration_and_the_rules(tmp_path):
    """Laid out as in the container, so that the rules are found from the configuration."""
    promtool = find("promtool")
    for _, source, target, _ in (mount for mount in MOUNTS if mount[0] == "prometheus"):
        place = tmp_path / target.removeprefix("/etc/prometheus/")
        place.parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / source, place)
    done = subprocess.run(
        [promtool, "check", "config", str(tmp_path / "prometheus.yaml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 rule files found" in done.stdout
    assert re.search(r"SUCCESS: [1-9]\d* rules found", done.stdout)


def test_grafana_is_provisioned_with_the_dashboards_and_where_to_ask():
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    config = yaml.safe_load((GRAFANA / "prometheus.yaml").read_text())
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/har-exporter.yaml").read_text())["providers"]
    mounted = {target for service, _, target, _ in MOUNTS if service == "grafana" and target.endswith(".json")}
    assert mounted == {f"{provider['options']['path']}/{name}.json" for name in BOARDS}
    assert SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] in mounted
