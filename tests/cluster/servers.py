"""A cluster for tests: one that exists, or an API server with its etcd, which stores objects and runs none of them."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.chart.charts import BINARIES

ASSETS = "KUBEBUILDER_ASSETS"
EXISTING = "TEST_CLUSTER"
"""Kubeconfig of a cluster that the tests may change."""

_PATIENCE = 60  # seconds; it starts in about 8


class Cluster:
    """A cluster, as an administrator sees it with kubectl and Helm."""

    def __init__(self, kubeconfig: Path) -> None:
        self._environ = os.environ | {"KUBECONFIG": str(kubeconfig)}

    def run(self, program: str, *arguments: object, given: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Run one of the binaries with this cluster."""
        command = [BINARIES / program, *map(str, arguments)]
        return subprocess.run(command, input=given, env=self._environ, capture_output=True, text=True, check=False)

    def done(self, program: str, *arguments: object, given: str | None = None) -> str:
        """Run one of the binaries, which must succeed, and return what it prints."""
        done = self.run(program, *arguments, given=given)
        assert done.returncode == 0, f"{program} {arguments[0]}: {done.stderr}"
        return done.stdout

    def objects(self, *arguments: object) -> list[dict]:
        """Return stored objects."""
        return json.loads(self.done("kubectl", "get", "--output", "json", *arguments))["items"]


@contextmanager
def open_cluster(folder: Path) -> Iterator[Cluster]:
    """Take the cluster that the environment names, or start an API server; without its programs the test is skipped."""
    if existing := os.environ.get(EXISTING):
        yield Cluster(Path(existing))
        return
    assets = os.environ.get(ASSETS) or pytest.skip(f"{ASSETS} names no folder with kube-apiserver and etcd")
    programs = {name: shutil.which(name, path=f"{assets}:{os.environ['PATH']}") for name in ("kube-apiserver", "etcd")}
    for name, path in programs.items():
        if path is None:
            pytest.skip(f"{name} is neither in {ASSETS} nor installed")
    with ExitStack() as stack:
        store = f"http://127.0.0.1:{_free_port()}"
        peers = f"http://127.0.0.1:{_free_port()}"
        stack.enter_context(_program(folder, programs["etcd"], *_etcd(folder, store, peers)))
        port = _free_port()
        stack.enter_context(_program(folder, programs["kube-apiserver"], *_server(folder, store, port)))
        cluster = Cluster(_kubeconfig(folder, port))
        _await(cluster, folder)
        yield cluster


def _etcd(folder: Path, store: str, peers: str) -> list[str]:
    clients = [f"--listen-client-urls={store}", f"--advertise-client-urls={store}"]
    members = [f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}"]
    return [f"--data-dir={folder}/etcd", *clients, *members, f"--initial-cluster=default={peers}"]


def _server(folder: Path, store: str, port: int) -> list[str]:
    (folder / "tokens.csv").write_text('token,admin,admin,"system:masters"\n')
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "accounts.pem").write_bytes(key.private_bytes(*pem))
    return [
        f"--etcd-servers={store}",
        f"--cert-dir={folder}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--token-auth-file={folder}/tokens.csv",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder}/accounts.pem",
        f"--service-account-signing-key-file={folder}/accounts.pem",
        # No controller creates the service accounts that this plug-in waits for.
        "--disable-admission-plugins=ServiceAccount",
    ]


def _kubeconfig(folder: Path, port: int) -> Path:
    path = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [
            {"name": "test", "cluster": {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}}
        ],
        "users": [{"name": "test", "user": {"token": "token"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    path.write_text(json.dumps(content))
    return path


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def _program(folder: Path, path: str | None, *arguments: str) -> Iterator[None]:
    with (folder / f"{Path(str(path)).name}.log").open("wb") as log:
        process = subprocess.Popen([str(path), *arguments], stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def _await(cluster: Cluster, folder: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while cluster.run("kubectl", "get", "--raw", "/readyz").returncode:
        assert time.monotonic() < end, (folder / "kube-apiserver.log").read_text()[-2000:]
        time.sleep(0.2)
