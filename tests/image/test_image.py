"""What is in the image and what is not, and how it behaves under the restrictions of the chart's pod."""

import base64
import csv
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import yaml
from packaging.requirements import Requirement

from exporter import __version__
from exporter.demo.catalogue import SPACES
from tests.image.built import EPOCH, RESTRICTED, REVISION, build
from tests.support.places import ROOT
from tests.support.upstream import Upstream, make_rows

CHART = ROOT / "helm/har-exporter"
HELM = ROOT / ".venv-chart/bin/helm4"
HOME = Path("opt/har-exporter")
FS_GROUP = 65532
PATIENCE = 30.0  # seconds for a process to do what it must
UNWANTED = {
    "apt", "apt-get", "ar", "as", "bash", "busybox", "cc", "curl",
    "dash", "dpkg", "easy_install", "g++", "gcc", "ld", "make", "perl", "pip", "pip3", "sh", "uv", "wget", "wheel",
}  # fmt: skip


def wait_for(condition, patience=PATIENCE):
    """Return the first true value of a condition over a real process; fails the test when none comes."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
    return value


def tree(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


def added(image) -> set[Path]:
    return tree(image.files) - tree(image.base)


def site_packages(image) -> Path:
    (folder,) = (image.files / HOME / "lib").glob("python3.*/site-packages")
    return folder


def test_image_says_what_it_is_and_how_it_runs(image):
    told = image.containers.inspect(image.name)
    config = told["Config"]
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in told["Labels"].items()}
    assert labels["title"] == "har-exporter"
    assert labels["licenses"] == "Apache-2.0"
    assert (labels["version"], labels["revision"]) == (__version__, REVISION)
    assert labels["description"]
    assert config["User"] == "65532:65532"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Entrypoint"] == ["har-exporter"]
    assert list(config["ExposedPorts"]) == ["10981/tcp"]
    assert {entry.partition("=")[0] for entry in config["Env"]} == {
        "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONUNBUFFERED",
    }  # fmt: skip


def test_image_adds_one_folder_to_its_base(image):
    assert {path for path in added(image) if not path.is_relative_to(HOME)} == {HOME.parent} - tree(image.base)
    assert not tree(image.base) - tree(image.files)


def test_image_has_no_shell_no_compiler_and_no_installer(image):
    assert not {path for path in tree(image.files) if path.name in UNWANTED and "bin" in path.parts}
    assert {path.name for path in (image.files / HOME / "bin").iterdir()} <= {
        "har-exporter", "python", "python3", "python3.13",
    }  # fmt: skip
    packages = {path.name for path in site_packages(image).iterdir()}
    assert not packages & {"pip", "setuptools", "wheel", "hatchling", "ensurepip"}


def test_nobody_but_root_may_write_what_the_image_adds(image):
    for path in map(image.files.joinpath, added(image)):
        found = path.lstat()
        assert (found.st_uid, found.st_gid) == (0, 0), path
        if not path.is_symlink():
            assert not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_ISUID | stat.S_ISGID), path
            assert found.st_mode & stat.S_IROTH, path


def test_nothing_in_the_image_is_writable_for_all_but_folders_for_temporary_files(image):
    paths = [path for path in image.files.rglob("*") if not path.is_symlink()]
    writable = [path for path in paths if path.stat().st_mode & stat.S_IWOTH]
    assert {str(path.relative_to(image.files)) for path in writable} <= {"tmp", "var/tmp", "run/lock", "var/lock"}
    assert all(path.is_dir() and path.stat().st_mode & stat.S_ISVTX for path in writable)


def test_image_holds_the_pinned_set_and_the_exporter(image):
    code = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    installed = json.loads(image.run("-c", code, entrypoint="python"))
    text = (ROOT / "requirements/run.txt").read_text().replace("\\\n", " ")
    pinned = [Requirement(line.partition("--hash")[0]) for line in text.splitlines() if not line.startswith("#")]
    here = {
        "platform_system": "Linux",
        "sys_platform": "linux",
        "python_version": "3.13",
        "python_full_version": "3.13.5",
    }
    expected = {
        entry.name: str(entry.specifier).removeprefix("==")
        for entry in pinned
        if not entry.marker or entry.marker.evaluate(here)
    }
    expected["harness-artifact-registry-exporter"] = __version__
    assert {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in installed.items()} == expected


def test_each_file_is_the_one_that_its_wheel_recorded(image):
    folder = site_packages(image)
    recorded = set()
    for record in folder.glob("*.dist-info/RECORD"):
        for name, digest, _ in csv.reader(record.read_text().splitlines()):
            if name.startswith("../"):
                continue
            recorded.add(Path(name))
            if digest:
                algorithm, _, expected = digest.partition("=")
                found = hashlib.new(algorithm, (folder / name).read_bytes()).digest()
                assert base64.urlsafe_b64encode(found).decode().rstrip("=") == expected, name
    assert {path for path in tree(folder) if (folder / path).is_file()} == recorded


def test_image_runs_this_exporter(image):
    source, installed = ROOT / "exporter", site_packages(image) / "exporter"
    files = {path for path in tree(source) if "__pycache__" not in path.parts}
    assert tree(installed) == files
    assert all((installed / path).read_bytes() == (source / path).read_bytes() for path in files if path.suffix)
    assert image.run("--version") == f"har-exporter {__version__}"


def test_python_is_new_enough(image):
    code = "import sys; print(*sys.version_info[:2])"
    assert tuple(map(int, image.run("-c", code, entrypoint="python").split())) >= (3, 11)


def test_all_that_the_exporter_imports_is_compiled(image):
    code = """
import exporter.cli.commands, os, sys
from importlib.util import cache_from_source
paths = [path for module in sys.modules.values() if (path := getattr(module, "__file__", None) or "").endswith(".py")]
assert len(paths) > 300, len(paths)
print(*[path for path in paths if not os.path.exists(cache_from_source(path))])
"""
    assert image.run("-c", code, entrypoint="python") == ""


def test_image_is_small(image, capsys):
    size = sum(path.lstat().st_size for path in map(image.files.joinpath, added(image)) if path.is_file())
    whole = image.containers.inspect(image.name)["Size"]
    with capsys.disabled():
        sys.stdout.write(f"\nimage: {whole / 1e6:.1f} MB, {size / 1e6:.1f} MB over its base\n")
    assert size < 60e6
    (shown,) = re.findall(r"The image adds (\d+) MB", (ROOT / "docs" / "install.md").read_text())
    assert abs(size / 1e6 - int(shown)) < 2


@pytest.mark.long
def test_two_builds_are_equal(image):
    told = image.containers.inspect(image.name)
    assert told["Created"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(EPOCH))
    assert build(image.containers, "localhost/har-exporter-again") == told["Id"]


@contextmanager
def listening(image, container):
    """Yield the address of a container once it is ready."""

    def port():
        found = re.search(r"msg=listening.* port=(\d+)", image.containers.logs(container))
        return found and found[1]

    url = f"http://127.0.0.1:{wait_for(port)}"
    wait_for(lambda: requests.get(f"{url}/-/ready", timeout=10).status_code == 200)
    yield url


def test_demo_runs_without_rights_and_ends_when_asked_to(image):
    podman = image.containers.podman
    container = podman("run", "--detach", *RESTRICTED, image.name, "demo", "--listen-address", "127.0.0.1:0")
    with listening(image, container) as url:
        page = requests.get(f"{url}/metrics", timeout=20).text
        assert all(f'har_up{{space="{space}"}} 1.0' in page for space in SPACES)
    began = time.monotonic()
    podman("stop", "--time", "20", container)
    assert time.monotonic() - began < 10
    assert image.containers.state(container)["ExitCode"] == 0


def swap(folder: Path, **files: str) -> None:
    """Replace the files of a mounted ConfigMap or Secret at once, as the kubelet does: by a link to another folder."""
    version = folder / f"..{len(list(folder.iterdir()))}"
    version.mkdir()
    for name, content in files.items():
        file = version / name
        file.write_text(content)
        file.chmod(0o440)
        os.chown(file, 0, FS_GROUP)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..next").symlink_to(version.name)
    (folder / "..next").replace(folder / "..data")


def rendered() -> tuple[dict, dict]:
    """Return the chart's pod and the exporter's settings in it."""
    if not HELM.exists():
        reason = f"helm4 is not in {HELM.parent}: make test-chart"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    done = subprocess.run(
        [HELM, "template", "r", CHART, "--values", CHART / "ci/default-values.yaml"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    objects = [one for one in yaml.safe_load_all(done.stdout) if one]
    (workload,) = (one for one in objects if one["kind"] == "Deployment")
    (text,) = (one["data"]["config.yaml"] for one in objects if "config.yaml" in one.get("data", {}))
    return workload["spec"]["template"]["spec"], yaml.safe_load(text)


def playable(image, spec: dict, folders: dict[str, Path]) -> dict:
    """Return a pod as Podman can play it: it can neither project volumes nor set a group, and probes by a shell."""
    kept = {name: value for name, value in spec.items() if name != "serviceAccountName"}
    volumes = [
        {"name": volume["name"], "hostPath": {"path": str(folders[volume["name"]]), "type": "Directory"}}
        for volume in spec["volumes"]
    ]
    unplayable = {"livenessProbe", "readinessProbe", "ports", "resources"}
    containers = [
        {name: value for name, value in container.items() if name not in unplayable}
        | {"image": image.name, "imagePullPolicy": "Never"}
        for container in spec["containers"]
    ]
    changed = {"hostNetwork": True, "restartPolicy": "Always", "volumes": volumes, "containers": containers}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "har-exporter"}, "spec": kept | changed}


def test_pod_serves_takes_a_new_key_and_ends_in_its_grace_period(image, tmp_path):
    podman = image.containers.podman
    spec, settings = rendered()
    grace = spec["terminationGracePeriodSeconds"]
    key = Path(settings["api_key_file"]).name
    folders = {volume["name"]: tmp_path / volume["name"] for volume in spec["volumes"]}
    for folder in folders.values():
        folder.mkdir()
    with Upstream(make_rows(150), key="pat.acct.id.first") as upstream:
        settings |= {
            "base_url": upstream.url,
            "spaces": [upstream.space],
            "listen_address": "127.0.0.1:0",
            "cache_ttl": "1s",
        }
        swap(folders["config"], **{"config.yaml": json.dumps(settings)})
        swap(folders["keys"], **{key: "pat.acct.id.first\n"})
        (tmp_path / "pod.yaml").write_text(json.dumps(playable(image, spec, folders)))
        podman("play", "kube", tmp_path / "pod.yaml")
        container = "har-exporter-har-exporter"
        with listening(image, container) as url:
            began = image.containers.state(container)["Pid"]
            page = requests.get(f"{url}/metrics", timeout=20).text
            assert 'har_snapshot_artifacts{source="fetched",space="acct"} 150.0' in page

            upstream.key = "pat.acct.id.second"
            swap(folders["keys"], **{key: "pat.acct.id.second\n"})
            before = time.time()

            def refreshed():
                text = requests.get(f"{url}/metrics", timeout=20).text
                taken = re.search(r'har_snapshot_timestamp_seconds{space="acct"} (\S+)', text)
                return taken and float(taken[1]) > before and text

            assert 'har_up{space="acct"} 1.0' in wait_for(refreshed)
            assert upstream.requests[-1].headers["x-api-key"] == "pat.acct.id.second"
            assert image.containers.state(container)["Pid"] == began
        held = json.loads(podman("inspect", container))[0]
        assert held["HostConfig"]["ReadonlyRootfs"]
        assert held["EffectiveCaps"] in (None, [])
        assert held["Config"]["User"].partition(":")[0] == "65532"
        began = time.monotonic()
        podman("stop", "--time", grace, container)
        assert time.monotonic() - began < grace
        assert image.containers.state(container)["ExitCode"] == 0
