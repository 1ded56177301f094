"""Buildah and Podman with a storage of their own, that leave nothing behind."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.programs import find

LIMITS = ["nofile=1024:1024", "nproc=1024:1024"]  # below any that a machine has; more may not be allowed

PATIENCE = 60.0  # seconds for a container to end


def kinds_of_storage() -> Iterator[tuple[str, str]]:
    """Yield names and configurations, the fastest first: vfs works anywhere, but copies an image for each layer."""
    yield "overlay", 'driver = "overlay"'
    if fuse := shutil.which("fuse-overlayfs"):
        yield "fuse", f'driver = "overlay"\n[storage.options.overlay]\nmount_program = "{fuse}"'
    yield "vfs", 'driver = "vfs"'


class Containers:
    """A folder that holds all images and containers; use it in `with`.

    The configuration is what lets it work as root in a container: no systemd, no limits above the own ones, and a
    storage that lies on any file system.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self._programs = {name: find(name) for name in ("buildah", "podman", "runc")}
        (folder / "containers.conf").write_text(f"""\
[containers]
log_driver = "k8s-file"
default_ulimits = {json.dumps(LIMITS)}
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
num_locks = 64
tmp_dir = "{folder}/tmp"
static_dir = "{folder}/static"
volume_path = "{folder}/volumes"
""")
        self._environment = os.environ | {
            "BUILDAH_ISOLATION": "chroot",
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "TMPDIR": str(folder),
        }
        self.storage = self._choose_storage()

    def _choose_storage(self) -> str:
        """Configure the first kind of storage that works here, and return its name."""
        for name, configuration in kinds_of_storage():
            (self._folder / "storage.conf").write_text(f"""\
[storage]
graphroot = "{self._folder}/{name}"
runroot = "{self._folder}/run"
{configuration}
""")
            if self._start("buildah", "info").returncode == 0:
                return name
        pytest.fail(f"no kind of storage works in {self._folder}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.podman("pod", "rm", "--all", "--force", "--time", "0")
        self.podman("rm", "--all", "--force", "--time", "0")
        self.buildah("rm", "--all")
        for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
            if (mount := line.split()[4]).startswith(f"{self._folder}/"):
                subprocess.run(["umount", "--lazy", mount], check=True)

    def podman(self, *arguments: object) -> str:
        """Run Podman, and return what it printed."""
        return self._run("podman", *arguments)

    def buildah(self, *arguments: object) -> str:
        """Run Buildah, and return what it printed."""
        return self._run("buildah", *arguments)

    def run(self, *arguments: object) -> str:
        """Run a container to its end, and return what it printed.

        Podman itself would wait 20 s for its monitor to vanish where process 1 does not reap: its state is asked for.
        """
        container = self.podman("run", "--detach", *arguments)
        deadline = time.monotonic() + PATIENCE
        while (state := self.state(container))["Status"] not in {"exited", "stopped"}:
            assert time.monotonic() < deadline, state
            time.sleep(0.1)
        told = self.logs(container)
        assert state["ExitCode"] == 0, told
        self.podman("rm", container)
        return told

    def state(self, container: str) -> dict:
        """Return whether a container runs, its process and its exit code."""
        return json.loads(self.podman("inspect", container))[0]["State"]

    def logs(self, container: str) -> str:
        """Return what a container has printed so far, on standard output and then on standard error."""
        done = self._start("podman", "logs", container)
        assert done.returncode == 0, done.stderr
        return (done.stdout + done.stderr).strip()

    def load(self, tree: Path, name: str) -> None:
        """Make a file tree an image of one layer."""
        recipe = self._folder / f"Dockerfile.{tree.name}"
        recipe.write_text("FROM scratch\nCOPY . /\nENV PATH=/usr/local/bin:/usr/bin:/bin\n")
        self.buildah("bud", "--quiet", "--file", recipe, "--tag", name, tree)

    def inspect(self, image: str) -> dict:
        """Return what an image says of itself."""
        return json.loads(self.podman("image", "inspect", image))[0]

    def files(self, image: str) -> Path:
        """Return the folder where the files of an image are."""
        return Path(self.buildah("mount", self.buildah("from", "--pull-never", image)))

    def _run(self, program: str, *arguments: object) -> str:
        done = self._start(program, *arguments)
        assert done.returncode == 0, f"{done.args}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout.strip()

    def _start(self, program: str, *arguments: object) -> subprocess.CompletedProcess:
        command = [self._programs[program], *map(str, arguments)]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
