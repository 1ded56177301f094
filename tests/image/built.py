"""Builds the image, and runs it as restricted as the chart does."""

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from exporter import __version__
from tests.image.containers import Containers
from tests.support.places import ROOT

EPOCH = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
REVISION = "0123456789abcdef"


class Image(NamedTuple):
    """The built image, where its files and those of its base are, and what runs it."""

    name: str
    files: Path
    base: Path
    containers: Containers

    def run(self, *arguments: object, entrypoint: str | None = None) -> str:
        """Run the image to its end as restricted as the chart does, and return what it printed."""
        changed = ["--entrypoint", entrypoint] if entrypoint else []
        return self.containers.run(*RESTRICTED, *changed, self.name, *arguments)


RESTRICTED = (
    "--network=host",
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
)


def build(containers: Containers, name: str) -> str:
    """Build the Dockerfile as it is over the stand-in bases, and return the image's ID."""
    arguments = {
        "BUILD_BASE": "localhost/build-base",
        "BASE": "localhost/run-base",
        "VERSION": __version__,
        "REVISION": REVISION,
    }
    mirror = ["--secret", "id=pip.conf,src=/etc/pip.conf"] if Path("/etc/pip.conf").exists() else []
    given = [f"--build-arg={key}={value}" for key, value in arguments.items()]
    containers.buildah(
        "bud", "--pull-never", "--layers=false", "--timestamp", EPOCH, *mirror, *given, "--tag", name, ROOT
    )
    return containers.inspect(name)["Id"]
