"""Which certificate authorities are trusted: of the setting, a variable, the system, or certifi, in this order."""

import ssl
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from exporter.harness.errors import TlsError
from exporter.harness.transport import Transport
from exporter.harness.trust import Authorities, authorities
from tests.support.rawserver import RawServer

BOTH = {"SSL_CERT_FILE": "/ssl.pem", "REQUESTS_CA_BUNDLE": "/requests.pem"}


@pytest.fixture
def system(monkeypatch, tmp_path):
    """Let OpenSSL's defaults be a file and a folder that are not there yet."""
    paths = SimpleNamespace(openssl_cafile=str(tmp_path / "cert.pem"), openssl_capath=str(tmp_path / "certs"))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    return tmp_path


@pytest.mark.parametrize(
    ("ca_file", "variables", "expected"),
    [
        (Path("/mine.pem"), BOTH, ("/mine.pem", "ca_file")),
        (None, BOTH, ("/ssl.pem", "SSL_CERT_FILE")),
        (None, {**BOTH, "SSL_CERT_FILE": ""}, ("/requests.pem", "REQUESTS_CA_BUNDLE")),
        (None, {}, (DEFAULT_CA_BUNDLE_PATH, "certifi")),
    ],
)
@pytest.mark.usefixtures("system")
def test_the_first_that_is_set_counts(ca_file, variables, expected):
    assert authorities(ca_file, variables) == Authorities(*expected)


def test_the_store_of_the_system_is_its_file_or_its_folder_if_they_hold_any(system):
    folder = system / "certs"
    folder.mkdir()
    assert authorities(None, {}).source == "certifi"
    (folder / "a.0").touch()
    assert authorities(None, {}) == Authorities(str(folder), "system")
    (system / "cert.pem").touch()
    assert authorities(None, {}) == Authorities(str(folder), "system")
    (system / "cert.pem").write_text("PEM")
    assert authorities(None, {}) == Authorities(str(system / "cert.pem"), "system")


@pytest.mark.parametrize("variable", BOTH)
def test_a_variable_is_obeyed_and_the_setting_replaces_it(variable, monkeypatch, tmp_path):
    """Over real handshakes: the authority of the variable is trusted alone, and not at all beside ca_file."""
    authority, other = trustme.CA(), trustme.CA()
    for name, ca in ("authority", authority), ("other", other):
        ca.cert_pem.write_to_path(str(tmp_path / name))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    for name in BOTH:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "authority"))

    def answer(server, sock):
        server.read(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")

    with RawServer(answer, context) as server:
        url = f"https://{server.address}"
        assert Transport(url, connections=1).get(url, {}, 5, space="acct", max_body=99).body == b"{}"
        with pytest.raises(TlsError):
            Transport(url, connections=1, ca_file=tmp_path / "other").get(url, {}, 5, space="acct", max_body=99)
