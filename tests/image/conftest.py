"""The image that all tests of this folder look at, built once."""

import os
import shutil

import pytest

from tests.image.bases import make_build_base, make_run_base
from tests.image.built import Image, build
from tests.image.containers import Containers
from tests.support.programs import find


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    for name in "buildah", "podman", "runc", "catatonit", "mmdebstrap", "dpkg-deb":
        find(name)
    if os.geteuid():
        reason = "mmdebstrap and a storage of its own need root"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    folder = tmp_path_factory.mktemp("image")
    try:
        make_build_base(folder / "build-base", folder / "packages")
        make_run_base(folder / "run-base", folder / "packages")
        with Containers(folder / "storage") as containers:
            containers.load(folder / "build-base", "localhost/build-base")
            containers.load(folder / "run-base", "localhost/run-base")
            build(containers, "localhost/har-exporter")
            files, base = map(containers.files, ("localhost/har-exporter", "localhost/run-base"))
            yield Image("localhost/har-exporter", files, base, containers)
    finally:
        shutil.rmtree(folder)
