"""TLS as the web config file says, over real sockets with certificates of the test's own."""

import base64
import datetime as dt
import http.client
import ipaddress
import os
import socket
import ssl
import time
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from exporter.texts import SettingsError
from exporter.webconfig.file import WebConfigFile
from exporter.webconfig.readers import CIPHERS, CURVES
from exporter.webconfig.tls import ReloadingContext, make_context, read_material
from tests.support.guarded import PASSWORD, USERS


def shake(guarded, prepare=lambda _: None):
    """Make one handshake, and return what was agreed on; None if it was refused."""
    context = guarded.client_context()
    prepare(context)
    try:
        with (
            socket.create_connection(guarded.address, timeout=10) as sock,
            context.wrap_socket(sock, server_hostname="localhost") as tls,
        ):
            tls.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert tls.recv(1000).startswith(b"HTTP/1.1 200")
            return tls.version(), tls.cipher()[0]
    except (ssl.SSLError, OSError):
        return None


def versions(least, most):
    def prepare(context):
        context.minimum_version, context.maximum_version = least, most

    return prepare


V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def test_files_beside_the_web_config_file_serve_tls(guarded):
    with guarded.serving(guarded.tls()):
        assert guarded.status() == 200
        assert shake(guarded)[0] == "TLSv1.3"


@pytest.mark.parametrize("in_memory", [True, False])
def test_inline_pem_serves_tls_and_asks_for_certificates(in_memory, guarded, monkeypatch):
    """Also on a system that has no files in memory."""
    if not in_memory:
        monkeypatch.delattr(os, "memfd_create")
    files = {"cert": "server.crt", "key": "server.key", "client_ca": "client_ca.pem"}
    texts = {name: (guarded.folder / file).read_text() for name, file in files.items()}
    with guarded.serving({"tls_server_config": {**texts, "client_auth_type": "RequireAndVerifyClientCert"}}):
        assert guarded.status() is None
        assert guarded.status(cert=guarded.client()) == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_plain_http_is_refused_in_plain_words_where_tls_is_served(method, guarded):
    """Before the end of the connection, which may take until the deadline; what comes after it ends it."""
    with guarded.serving(guarded.tls()), socket.create_connection(guarded.address, timeout=10) as sock:
        sock.sendall(f"{method} /metrics HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert (answer.status, answer.read()) == (400, b"Client sent an HTTP request to an HTTPS server.\n")
        sock.settimeout(4)  # before the deadline of the handshake
        sock.sendall(b"more")
        assert closed(sock)


def test_what_is_neither_tls_nor_http_is_closed_without_an_answer(guarded):
    with guarded.serving(guarded.tls()), socket.create_connection(guarded.address, timeout=10) as sock:
        sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        assert closed(sock)


@pytest.mark.parametrize(
    ("setting", "offered", "good"),
    [
        ({"min_version": "TLS13"}, (V12, V12), False),
        ({"min_version": "TLS13"}, (V13, V13), True),
        ({"max_version": "TLS12"}, (V13, V13), False),
        ({"max_version": "TLS12"}, (V12, V12), True),
        ({}, (V12, V12), True),
    ],
)
def test_versions_are_bounded(setting, offered, good, guarded):
    with guarded.serving(guarded.tls(**setting)):
        assert (shake(guarded, versions(*offered)) is not None) == good


def offering(*ciphers):
    def prepare(context):
        versions(V12, V12)(context)
        context.set_ciphers(":".join(ciphers))

    return prepare


FIRST, SECOND = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"
GO_FIRST, GO_SECOND = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"


def test_only_the_cipher_suites_that_are_given_are_spoken(guarded):
    with guarded.serving(guarded.tls(cipher_suites=[GO_SECOND])):
        assert shake(guarded, offering(FIRST, SECOND))[1] == SECOND
        assert shake(guarded, offering(FIRST)) is None


@pytest.mark.parametrize(("prefer", "agreed"), [("true", SECOND), ("false", FIRST)])
def test_the_server_or_the_client_prefers_a_suite(prefer, agreed, guarded):
    section = guarded.tls(cipher_suites=[GO_SECOND, GO_FIRST], prefer_server_cipher_suites=prefer)
    with guarded.serving(section):
        assert shake(guarded, offering(FIRST, SECOND))[1] == agreed


@pytest.mark.parametrize("curve", ["CurveP256", "CurveP384", "CurveP521", "X25519"])
def test_only_the_curve_that_is_given_is_spoken(curve, guarded):
    names = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
    other = "secp384r1" if curve == "CurveP256" else "prime256v1"
    with guarded.serving(guarded.tls(curve_preferences=[curve])):
        assert shake(guarded, lambda context: context.set_ecdh_curve(names[curve]))
        assert shake(guarded, lambda context: context.set_ecdh_curve(other)) is None


@pytest.mark.parametrize(
    ("policy", "none", "good", "bad"),
    [
        ("NoClientCert", 200, 200, 200),
        ("VerifyClientCertIfGiven", 200, 200, None),
        ("RequireAndVerifyClientCert", None, 200, None),
    ],
)
def test_client_certificates_are_asked_for_and_verified_by_the_policy(policy, none, good, bad, guarded):
    authorities = {} if policy == "NoClientCert" else {"client_ca_file": "client_ca.pem"}
    with guarded.serving(guarded.tls(client_auth_type=policy, **authorities)):
        assert guarded.status() == none
        assert guarded.status(cert=guarded.client()) == good
        assert guarded.status(cert=guarded.client(ca=trustme.CA())) == bad


def test_without_authorities_those_of_the_system_verify_and_strangers_stay_out(guarded):
    with guarded.serving(guarded.tls(client_auth_type="RequireAndVerifyClientCert")):
        assert guarded.status(cert=guarded.client()) is None


@pytest.mark.parametrize("name", ["a.example", "mail@a.example", "192.0.2.7", "2001:db8::1"])
def test_a_client_needs_one_of_the_allowed_names(name, guarded):
    with guarded.serving(guarded.verifying(client_allowed_sans=["x", name])):
        assert guarded.status(cert=guarded.client("other.example", name)) == 200
        assert guarded.status(cert=guarded.client("other.example", "sub.a.example", "192.0.2.8")) is None


def signed(guarded, *extensions):
    """Write a client's certificate that has some extensions, with its key, and return its path."""
    authority = x509.load_pem_x509_certificate(guarded.client_ca.cert_pem.bytes())
    signer = serialization.load_pem_private_key(guarded.client_ca.private_key_pem.bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a.example")])
    builder = x509.CertificateBuilder(authority.subject, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(hours=1))
    builder = builder.not_valid_after(now + dt.timedelta(hours=1))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = guarded.folder / "signed.pem"
    path.write_bytes(secret + builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return str(path)


SPIFFE = "spiffe://a.example/prometheus"


def names(*uris):
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])


@pytest.mark.parametrize(
    ("extensions", "status"),
    [
        ([names("spiffe://a.example/other", SPIFFE)], 200),
        ([names(f"{SPIFFE}/more")], None),
        ([x509.SubjectAlternativeName([x509.DNSName(SPIFFE)])], 200),
        # A common name is no alternative name, and neither is what no name can be made of.
        ([], None),
        ([x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"garbage")], None),
        ([x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\x30\x04\xa3\x02\x30\x00")], None),
    ],
)
def test_a_name_may_be_a_uri_and_a_certificate_without_names_stays_out(extensions, status, guarded, log_lines):
    with guarded.serving(guarded.verifying(client_allowed_sans=["a.example", SPIFFE])):
        assert guarded.status(cert=signed(guarded, *extensions)) == status
    assert not [line for line in log_lines() if "exception=" in line]


def test_an_address_of_many_bits_is_compared_as_it_is_spelled(guarded):
    address = x509.IPAddress(ipaddress.ip_address("0:0::0:1"))
    with guarded.serving(guarded.verifying(client_allowed_sans=["::1"])):
        assert guarded.status(cert=signed(guarded, x509.SubjectAlternativeName([address]))) == 200


def test_an_empty_list_of_allowed_names_lets_nobody_in(guarded):
    with guarded.serving(guarded.verifying(client_allowed_sans=[])):
        assert guarded.status(cert=guarded.client()) is None


def test_an_authority_that_another_one_signed_is_an_anchor_of_its_own(guarded):
    child = guarded.client_ca.create_child_ca()
    child.cert_pem.write_to_path(guarded.folder / "client_ca.pem")
    with guarded.serving(guarded.verifying()):
        assert guarded.status(cert=guarded.client(ca=child)) == 200
        assert guarded.status(cert=guarded.client(ca=guarded.client_ca)) is None


def serial(guarded):
    """Give the serial number of the certificate that a new connection gets, after a look at the files."""
    guarded.look()
    with (
        socket.create_connection(guarded.address, timeout=10) as sock,
        guarded.client_context().wrap_socket(sock, server_hostname="localhost") as tls,
    ):
        return tls.getpeercert()["serialNumber"]


def test_a_new_certificate_is_served_without_a_restart(guarded):
    with guarded.serving(guarded.tls()):
        before = serial(guarded)
        guarded.issue()
        assert serial(guarded) != before


def test_a_certificate_that_is_swapped_by_a_symlink_is_served_without_a_restart(guarded):
    for folder in ("one", "two"):
        (guarded.folder / folder).mkdir()
        guarded.issue()
        for name in ("server.crt", "server.key"):
            (guarded.folder / name).rename(guarded.folder / folder / name)
    (guarded.folder / "data").symlink_to("one")
    section = {"tls_server_config": {"cert_file": "data/server.crt", "key_file": "data/server.key"}}
    with guarded.serving(section):
        before = serial(guarded)
        (guarded.folder / "next").symlink_to("two")
        (guarded.folder / "next").rename(guarded.folder / "data")
        assert serial(guarded) != before


def test_new_authorities_of_clients_count_without_a_restart(guarded):
    with guarded.serving(guarded.verifying()):
        new = trustme.CA()
        assert guarded.status(cert=guarded.client(ca=new)) is None
        new.cert_pem.write_to_path(guarded.folder / "client_ca.pem")
        assert guarded.status(cert=guarded.client(ca=new)) == 200
        assert guarded.status(cert=guarded.client()) is None


@pytest.mark.parametrize("name", ["server.crt", "server.key", "client_ca.pem"])
@pytest.mark.parametrize("content", ["", "garbage", None])
def test_a_broken_file_refuses_handshakes_and_is_told_once(name, content, guarded, log_lines):
    section = guarded.tls(client_auth_type="VerifyClientCertIfGiven", client_ca_file="client_ca.pem")
    with guarded.serving(section):
        good = (guarded.folder / name).read_bytes()
        if content is None:
            (guarded.folder / name).unlink()
        else:
            (guarded.folder / name).write_text(content)
        assert [guarded.status() for _ in range(3)] == [None] * 3
        (guarded.folder / name).write_bytes(good)
        assert guarded.status() == 200
    assert sum("invalid, refusing" in line for line in log_lines()) == 1
    assert sum("valid again" in line for line in log_lines()) == 1


@pytest.mark.parametrize("content", ["", "tls_server_config:\n", "basic_auth_users:\n"])
def test_an_emptied_web_config_file_refuses_handshakes(content, guarded):
    with guarded.serving(guarded.tls() | USERS):
        assert guarded.status(auth=("alice", PASSWORD)) == 200
        guarded.write(content)
        assert guarded.status() is None


@pytest.mark.parametrize("lost", ["client_auth_type", "client_allowed_sans"])
def test_what_asks_clients_for_certificates_never_goes_away_while_serving(lost, guarded):
    section = guarded.verifying(client_allowed_sans=["client.example"])
    with guarded.serving(section):
        del section["tls_server_config"][lost]
        if lost == "client_auth_type":
            del section["tls_server_config"]["client_ca_file"], section["tls_server_config"]["client_allowed_sans"]
        guarded.write(section)
        assert guarded.status(cert=guarded.client()) is None


def faults(guarded, **section):
    """Give the faults of the files that a section names, without the part that all of them have."""
    with pytest.raises(SettingsError) as caught:
        ReloadingContext(WebConfigFile(guarded.write(guarded.tls(**section))))
    assert all(f" in {guarded.path}: " in line for line in caught.value.faults)
    return [line.replace(f" in {guarded.path}", "").removeprefix("tls_server_config.") for line in caught.value.faults]


def test_files_that_are_missing_are_told_each_with_its_key(guarded):
    found = faults(guarded, cert_file="no.crt", key_file="no.key")
    assert found == [
        f"{name}: cannot be read (No such file or directory); accepted is the path of a file"
        for name in ("cert_file", "key_file")
    ]


def test_files_that_hold_something_else_are_told_each_with_its_key(guarded):
    (guarded.folder / "junk").write_text("junk")
    assert faults(
        guarded, client_auth_type="RequireAndVerifyClientCert", cert_file="junk", key_file="junk", client_ca_file="junk"
    ) == [
        "cert_file: holds no certificate; accepted is PEM, the server's own certificate first",
        "key_file: holds no private key; accepted is PEM",
        "client_ca_file: holds no certificate; accepted is PEM, one or more",
    ]


def test_a_key_of_another_certificate_is_told(guarded):
    (guarded.folder / "other.key").write_bytes(trustme.CA().issue_cert("x").private_key_pem.bytes())
    (line,) = faults(guarded, key_file="other.key")
    assert line == (
        "cert_file: is refused by OpenSSL (key values mismatch); accepted is a strong certificate that matches key_file"
    )


def test_a_key_with_a_passphrase_is_told_and_nobody_is_asked_for_it(guarded):
    key = serialization.load_pem_private_key((guarded.folder / "server.key").read_bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"passphrase"),
    )
    (guarded.folder / "server.key").write_bytes(encrypted)
    assert faults(guarded) == ["key_file: is encrypted; accepted is a key without a passphrase"]


def test_a_key_of_a_kind_that_is_not_supported_is_told_and_replaces_the_older_one_by_none(guarded):
    with guarded.serving(guarded.tls()):
        assert guarded.status() == 200
        key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        p256, unknown = bytes.fromhex("2A8648CE3D030107"), bytes.fromhex("2A8648CE3D030108")
        pem = base64.encodebytes(key.replace(p256, unknown)).decode()
        (guarded.folder / "server.key").write_text(f"-----BEGIN PRIVATE KEY-----\n{pem}-----END PRIVATE KEY-----\n")
        assert [guarded.status() for _ in range(3)] == [None] * 3
    assert faults(guarded) == ["key_file: has an unsupported type; accepted is RSA or ECDSA"]


@pytest.mark.parametrize(
    ("table", "key", "name", "line"),
    [
        (CIPHERS, "cipher_suites", GO_FIRST, "the OpenSSL of this host supports none of them"),
        (CURVES, "curve_preferences", "X25519", "the OpenSSL of this host does not support it"),
    ],
)
def test_what_the_openssl_of_the_machine_lacks_is_told(table, key, name, line, guarded, monkeypatch):
    monkeypatch.setitem(table, name, "left-out-by-the-vendor")
    assert faults(guarded, **{key: [name]}) == [f"{key}: {line}"]


def test_keys_and_hashes_show_in_no_repr(guarded):
    key = (guarded.folder / "server.key").read_text()
    file = WebConfigFile(
        guarded.write({"tls_server_config": {"key": key, "cert": (guarded.folder / "server.crt").read_text()}} | USERS)
    )
    material = read_material(file.current().tls_server_config, file.path)
    shown = repr(
        (file.current(), material, file, vars(file), ReloadingContext(file), make_context(material, file.path))
    )
    assert key.splitlines()[1] not in shown
    assert USERS["basic_auth_users"]["alice"] not in shown


def test_handshakes_that_stall_hold_no_scrape_and_are_closed(guarded):
    with guarded.serving(guarded.tls(), request_timeout=1.0):
        waiting = [socket.create_connection(guarded.address, timeout=10) for _ in range(200)]
        for sock in waiting[::2]:
            sock.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert [guarded.status() for _ in range(3)] == [200] * 3
        began = time.monotonic()
        for sock in waiting:
            with sock:
                assert closed(sock)
        assert time.monotonic() - began < 5


def closed(sock):
    try:
        return sock.recv(1000) == b""
    except ConnectionResetError:
        return True


def test_a_client_that_never_closes_its_side_does_not_hold_the_shutdown(guarded):
    with guarded.serving(guarded.tls()):
        sock = socket.create_connection(guarded.address, timeout=10)
        tls = guarded.client_context().wrap_socket(sock, server_hostname="localhost")
        tls.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert tls.recv(1000).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
    assert time.monotonic() - began < 5
    tls.close()


def descriptors():
    return len([*Path("/dev/fd").iterdir()])


def test_no_descriptor_stays_open_after_reloads(guarded):
    with guarded.serving(guarded.tls()):
        assert guarded.status() == 200
        before = descriptors()
        for _ in range(5):
            guarded.issue()
            assert guarded.status() == 200
        deadline = time.monotonic() + 5
        while descriptors() > before and time.monotonic() < deadline:
            time.sleep(0.02)
        assert descriptors() <= before


@pytest.mark.parametrize("name", ["web.yml", "server.crt"])
def test_a_pipe_in_the_place_of_a_file_is_refused_at_once(name, guarded):
    with guarded.serving(guarded.tls() | USERS):
        file = guarded.folder / name
        file.rename(guarded.folder / "good")
        os.mkfifo(file)
        assert guarded.status(auth=("alice", PASSWORD)) in {None, 500}
        (guarded.folder / "good").replace(file)
        assert guarded.status(auth=("alice", PASSWORD)) == 200
