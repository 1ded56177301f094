"""Stand-ins for the two images that the Dockerfile starts from, made from Debian's packages: no registry is needed."""

import shutil
import subprocess
from pathlib import Path

from tests.support.programs import find

SUITE = "trixie"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")  # this machine's, whose proxy may have one of its own

# What gcr.io/distroless/python3-debian13 holds, but for Kerberos and NIS: no shell, no package manager.
RUN_PACKAGES = [
    "base-files",
    "libbz2-1.0",
    "libc6",
    "libcrypt1",
    "libdb5.3t64",
    "libexpat1",
    "libffi8",
    "libgcc-s1",
    "liblzma5",
    "libncursesw6",
    "libpython3.13-minimal",
    "libpython3.13-stdlib",
    "libreadline8t64",
    "libsqlite3-0",
    "libssl3t64",
    "libstdc++6",
    "libtinfo6",
    "libuuid1",
    "libzstd1",
    "media-types",
    "netbase",
    "python3.13-minimal",
    "tzdata",
    "zlib1g",
]


def make_build_base(tree: Path, packages: Path) -> None:
    """Install a minimal Debian with Python, and keep the packages that it came from."""
    kept = "--skip=essential/unlink,cleanup/apt"
    command = [find("mmdebstrap"), "--variant=minbase", "--include=python3", kept, SUITE, tree]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    archives = tree / "var/cache/apt/archives"
    shutil.move(archives, packages)
    (archives / "partial").mkdir(parents=True)
    if CERTIFICATES.exists():
        added = tree / "usr/local/share/ca-certificates"
        added.mkdir(parents=True, exist_ok=True)
        shutil.copy(CERTIFICATES, added / "machine.crt")


def make_run_base(tree: Path, packages: Path) -> None:
    """Unpack a few packages and run none of their scripts, as distroless images are made."""
    for name in "bin", "lib", "lib64", "sbin":
        (tree / "usr" / name).mkdir(parents=True)
        (tree / name).symlink_to(f"usr/{name}")
    for name in RUN_PACKAGES:
        (package,) = packages.glob(f"{name}_*.deb")
        content = subprocess.run([find("dpkg-deb"), "--fsys-tarfile", package], capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "--keep-directory-symlink", "-C", tree], input=content, check=True)
    (tree / "usr/bin/python3").symlink_to("python3.13")
    (tree / "tmp").chmod(0o1777)
