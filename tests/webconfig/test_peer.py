"""Our endpoints and Debian's node_exporter, which reads the same web config files through Prometheus's own toolkit.

Both get the same files and the same requests, and must agree on whether they start and on the status of each answer.
Rows say where they must not: Debian's toolkit is older than some fields, and some values are refused here by name.
"""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
import yaml

from exporter.texts import SettingsError
from exporter.webconfig.file import WebConfigFile
from exporter.webconfig.tls import ReloadingContext
from tests.support.guarded import HASH, PASSWORD, Guarded
from tests.support.programs import find

PAIR = {"cert_file": "server.crt", "key_file": "server.key"}
VERIFY = {**PAIR, "client_ca_file": "client_ca.pem", "client_auth_type": "RequireAndVerifyClientCert"}
# Without this one Go's HTTP/2 refuses a list of suites.
ECDSA = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
SUITES_13 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
USERS = {"alice": HASH, "bob": HASH.replace("$2b$", "$2y$")}
CREDENTIALS = (None, ("alice", PASSWORD), ("bob", PASSWORD), ("alice", "no"), ("nobody", PASSWORD), ("", ""))
PATHS = ("/", "/metrics")


class Row(NamedTuple):
    """One web config file.

    Attributes:
        about: what it is about.
        config: what it says.
        debian: None where both must agree; otherwise why Debian's verdict on it is another one than ours.
    """

    about: str
    config: object
    debian: str | None = None


def tls(**more: object) -> dict[str, object]:
    return {"tls_server_config": {**PAIR, **more}}


def verifying(**more: object) -> dict[str, object]:
    return {"tls_server_config": {**VERIFY, **more}}


OLDER = "is older than this field and refuses it"
TABLE = (
    Row("empty file", ""),
    Row("empty sections", "tls_server_config:\nbasic_auth_users:\n"),
    Row("no YAML", "a: ["),
    Row("a list", "- a\n"),
    Row("unknown section", {"tls_config": {}}),
    Row("unknown key of TLS", tls(cert_fil="x")),
    Row("unknown key of HTTP", {"http_server_config": {"http3": True}}),
    Row("key given twice", "basic_auth_users: {}\nbasic_auth_users: {}\n"),
    Row("TLS", tls()),
    Row("TLS without a key", {"tls_server_config": {"cert_file": "server.crt"}}),
    Row("TLS without a certificate", {"tls_server_config": {"key_file": "server.key"}}),
    Row("certificate that is missing", tls(cert_file="none")),
    Row("key that is a certificate", tls(key_file="server.crt")),
    Row("key of another certificate", tls(key_file="other.key")),
    Row("TLS 1.3 alone", tls(min_version="TLS13")),
    Row("TLS 1.2 alone", tls(max_version="TLS12")),
    Row("version that is none", tls(min_version="TLS14")),
    Row("cipher suite", tls(cipher_suites=[ECDSA], max_version="TLS12")),
    Row("cipher suite of the client's choice", tls(cipher_suites=[ECDSA], prefer_server_cipher_suites=False)),
    Row("cipher suite that is none", tls(cipher_suites=["x"])),
    Row("all suites of TLS 1.3", tls(cipher_suites=[ECDSA, *SUITES_13])),
    Row("curve", tls(curve_preferences=["CurveP256"])),
    Row("curve that is none", tls(curve_preferences=["P256"])),
    Row("clients without certificates", tls(client_auth_type="NoClientCert")),
    Row("clients verified", verifying()),
    Row("clients verified if given", verifying(client_auth_type="VerifyClientCertIfGiven")),
    Row("clients verified by the system's authorities", tls(client_auth_type="RequireAndVerifyClientCert")),
    Row("authorities without a policy", tls(client_ca_file="client_ca.pem")),
    Row("authorities that are missing", verifying(client_ca_file="none")),
    Row("policy that is none", verifying(client_auth_type="Sometimes")),
    Row("users", {"basic_auth_users": USERS}),
    Row("users over TLS", tls() | {"basic_auth_users": USERS}),
    Row("users and client certificates", verifying() | {"basic_auth_users": USERS}),
    Row("user with a password that is not hashed", {"basic_auth_users": {"alice": "password"}}),
    Row("user without a hash", {"basic_auth_users": {"alice": ""}}),
    Row("HTTP/2 off", tls() | {"http_server_config": {"http2": False}}),
    Row("headers", {"http_server_config": {"headers": {"X-Frame-Options": "deny", "X-XSS-Protection": "1"}}}),
    Row("header that may not be set", {"http_server_config": {"headers": {"Server": "x"}}}),
    Row("header with a value that it has not", {"http_server_config": {"headers": {"X-Frame-Options": "ALLOW"}}}),
    Row("header in small letters", {"http_server_config": {"headers": {"x-frame-options": "deny"}}}),
    Row("inline certificate", {"tls_server_config": {"cert": "INLINE", "key": "INLINE"}}, OLDER),
    Row("names of clients", verifying(client_allowed_sans=["client.example"]), OLDER),
    Row("rate limit", {"rate_limit": {"interval": "1h", "burst": 1000}}, OLDER),
    Row("TLS 1.1", tls(min_version="TLS11"), "serves what is refused here"),
    Row("several curves", tls(curve_preferences=["X25519", "CurveP256"]), "serves what is refused here"),
    Row("unverified certificates", tls(client_auth_type="RequireAnyClientCert"), "serves what is refused here"),
    Row("one suite of TLS 1.3", tls(cipher_suites=["TLS_AES_128_GCM_SHA256"]), "takes it and does not honour it"),
    Row("authorities without one", verifying(client_ca_file="junk"), "starts and lets nobody in"),
    Row("versions that exclude each other", tls(min_version="TLS13", max_version="TLS12"), "starts and lets nobody in"),
    Row("TLS without its files", {"tls_server_config": {"min_version": "TLS13"}}, "falls back to plain HTTP"),
)  # fmt: skip


@pytest.fixture
def guarded(tmp_path):
    guarded = Guarded(tmp_path)
    guarded.client()
    (tmp_path / "other.key").write_bytes(trustme.CA().issue_cert("x").private_key_pem.bytes())
    (tmp_path / "junk").write_text("junk")
    return guarded


def written(guarded, config) -> str:
    """Give the text of a web config file."""
    text = config if isinstance(config, str) else yaml.safe_dump(config)
    if "INLINE" not in text:
        return text
    pem = {name: (guarded.folder / f"server.{end}").read_text() for name, end in (("cert", "crt"), ("key", "key"))}
    return yaml.safe_dump({"tls_server_config": pem})


def starts_here(guarded) -> bool:
    try:
        file = WebConfigFile(guarded.path)
        if file.current().tls:
            ReloadingContext(file)
    except SettingsError:
        return False
    return True


@contextmanager
def node_exporter(guarded) -> Iterator[str | None]:
    """Start node_exporter with a web config file; its address, or None where it refuses to."""
    command = [find("prometheus-node-exporter"), f"--web.config.file={guarded.path}", "--collector.disable-defaults"]
    command += ["--collector.time", "--web.listen-address=127.0.0.1:0"]
    log = guarded.folder / "node_exporter.log"
    with log.open("w") as stderr, subprocess.Popen(command, stderr=stderr, cwd="/") as process:
        try:
            yield _address(process, log)
        finally:
            process.kill()


def _address(process: subprocess.Popen[bytes], log: Path) -> str | None:
    """Read what it says of itself until it says whether it serves TLS, which it says last, or ends."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        said = log.read_text()
        host = re.search(r'msg="Listening on" address=(\S+)', said)
        tls = re.search(r'msg="TLS is (enabled|disabled)', said)
        if host and tls:
            return f"{'https' if tls[1] == 'enabled' else 'http'}://{host[1]}"
        if ended:
            return None
        time.sleep(0.02)
    raise AssertionError(f"it says nothing of TLS for 30 s: {log.read_text()}")


def statuses(guarded, url: str) -> dict[object, int | None]:
    """Make every request, each on a connection of its own."""
    certificates = (None, str(guarded.folder / "client.pem"), str(guarded.folder / "stranger.pem"))
    found = {}
    for path in PATHS:
        for credentials in CREDENTIALS:
            for certificate in certificates if url.startswith("https") else (None,):
                guarded.url = url
                status = guarded.status(path=path, auth=credentials, cert=certificate)
                # What is there depends on the program, not on the web config file.
                found[path, credentials, certificate] = 200 if status == 404 else status
    return found


@pytest.mark.parametrize("row", [row for row in TABLE if row.debian is None], ids=lambda row: row.about)
def test_both_start_or_not_and_give_the_same_answers(row, guarded):
    stranger = trustme.CA().issue_cert("client.example")
    stranger.private_key_and_cert_chain_pem.write_to_path(guarded.folder / "stranger.pem")
    guarded.write(written(guarded, row.config))
    with node_exporter(guarded) as url:
        assert starts_here(guarded) == (url is not None)
        if url is None:
            return
        theirs = statuses(guarded, url)
    with guarded.serving(written(guarded, row.config)):
        assert statuses(guarded, guarded.url) == theirs


@pytest.mark.parametrize("row", [row for row in TABLE if row.debian is not None], ids=lambda row: row.about)
def test_where_they_differ_debian_is_older_or_weaker(row, guarded):
    guarded.write(written(guarded, row.config))
    with node_exporter(guarded) as url:
        assert (url is None) == (row.debian == OLDER)
    assert starts_here(guarded) == (row.debian == OLDER)
