"""The compose stack: what it mounts exists and is read by the program it is for."""

import re
import shutil
import subprocess

import pytest
import yaml
from dashboards.generate import BOARDS

from exporter.config.sources import load
from tests.support.places import GRAFANA, ROOT
from tests.support.programs import find

TEXT = (ROOT / "compose.yaml").read_text()


def stack(**variables: str):
    """Return the stack as Docker Compose reads it with these variables in its environment."""

    def value(found: re.Match[str]) -> str:
        name, operator, word = found.groups()
        given = variables.get(name, "")
        return (word if given else "") if operator == ":+" else given or word

    return yaml.safe_load(re.sub(r"\$\{(\w+)(:[-+])([^}]*)\}", value, TEXT))


COMPOSE = stack()
OWN = stack(HAR_COMMAND="serve", HAR_KEY_FOLDER="/etc/keys")["services"]["exporter"]
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
    """And then every setting may be in .env, where no other variable looks like a setting."""
    exporter = SERVICES["exporter"]
    assert (exporter["command"], OWN["command"]) == (["demo"], ["serve"])
    assert exporter["env_file"] == [{"path": ".env", "required": False}]
    names = {name.removeprefix("HAR_EXPORTER_").lower() for name in exporter["environment"]}
    assert names == {"api_key_file"}
    assert not re.search(r"\$\{HAR_EXPORTER_", TEXT)


def test_the_key_is_mounted_by_its_folder_so_that_a_rotated_one_is_seen():
    """An empty variable counts as none, so that .env may hold the key as well."""
    assert SERVICES["exporter"]["volumes"] == ["no-key:/etc/har-exporter:ro"]
    assert OWN["volumes"] == ["/etc/keys:/etc/har-exporter:ro"]
    assert OWN["environment"] == {"HAR_EXPORTER_API_KEY_FILE": "/etc/har-exporter/key"}
    variables = {name: value or "" for name, value in SERVICES["exporter"]["environment"].items()}
    assert load({}, variables | {"HAR_EXPORTER_SPACES": "acct", "HAR_EXPORTER_API_KEY": "pat.acct.id.key"})
    assert "secrets" not in COMPOSE


def test_settings_that_cannot_be_used_are_not_tried_for_ever():
    assert re.fullmatch(r"on-failure:\d", SERVICES["exporter"]["restart"])


def test_no_secret_is_in_the_file():
    assert "HAR_EXPORTER_API_KEY" not in SERVICES["exporter"]["environment"]
    assert not re.search(r"\b[ps]at\.", TEXT)


@pytest.mark.parametrize(
    ("service", "variable", "port"),
    [
        ("prometheus", "PROMETHEUS_URL", 9090),
        ("alertmanager", "ALERTMANAGER_URL", 9093),
        ("grafana", "GRAFANA_URL", 3000),
    ],
)
def test_links_in_messages_lead_to_where_people_reach_the_program(service, variable, port):
    """Otherwise to the name of a container."""
    for given, url in (({}, f"http://localhost:{port}"), ({variable: "https://x.example"}, "https://x.example")):
        of_service = stack(**given)["services"][service]
        options = [*of_service.get("command", ()), *of_service.get("environment", {}).values()]
        assert {f"--web.external-url={url}", url} & set(options)


def test_alertmanager_remembers_messages_for_longer_than_it_waits_to_repeat_them():
    hours = {"h": 1, "d": 24}
    example = (GRAFANA / "alertmanager.example.yaml").read_text()
    repeats = [int(number) * hours[unit] for number, unit in re.findall(r"repeat_interval: (\d+)([hd])", example)]
    (retention,) = re.findall(r"--data\.retention=(\d+)h", "".join(SERVICES["alertmanager"]["command"]))
    assert int(retention) > max(repeats)


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
