"""TLS of the web config file, with certificates and authorities that may change while serving."""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from exporter.texts import SettingsError
from exporter.webconfig.content import FileContent
from exporter.webconfig.file import TLSServer, WebConfigFile, read_content
from exporter.webconfig.readers import CIPHERS, CURVES

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_VERIFICATION = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


# As Go's server does, but with a length: the client need not wait for the end of the connection.
_NO_TLS = b"""\
HTTP/1.0 400 Bad Request\r
Content-Type: text/plain; charset=utf-8\r
Content-Length: 48\r
Connection: close\r
\r
Client sent an HTTP request to an HTTPS server.
"""


@dataclass(frozen=True, slots=True)
class Material:
    """Input of a TLS context: the section of the web config file, and the content of the files that it names."""

    section: TLSServer
    cert: bytes = field(repr=False)
    key: bytes = field(repr=False)
    client_ca: bytes | None = field(repr=False)


class ReloadingContext(ssl.SSLContext):
    """TLS context that passes each handshake to one made from the current content of the files.

    It has no certificate of its own, so that a handshake fails if the files are invalid.
    """

    content: FileContent[Material, ssl.SSLContext]

    def __new__(cls, _file: WebConfigFile) -> Self:
        """Create a context for a server."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, file: WebConfigFile) -> None:
        """Read the files.

        Args:
            file: a web config file with TLS.

        Raises:
            SettingsError: certificate, key or authorities are invalid.
        """
        self.content = FileContent(
            lambda: read_material(file.current().tls_server_config, file.path),
            lambda material: make_context(material, file.path),
            file=str(file.path),
            part="tls_server_config",
        )
        self.content.current()

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:  # noqa: ANN401 - as in the base class
        """Start a handshake; it fails if the files are invalid now."""
        try:
            context = self.content.current()
        except SettingsError:
            return super().wrap_bio(*args, **kwargs)
        return context.wrap_bio(*args, **kwargs)


class _Context(ssl.SSLContext):
    """TLS context that knows which clients to accept.

    Attributes:
        allowed_sans: subject alternative names, one of which a client's certificate must have; None for any.
    """

    allowed_sans: frozenset[str] | None = None

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **kwargs: Any) -> ssl.SSLObject:  # noqa: ANN401
        """Start a handshake."""
        connection = cast("_Checked", super().wrap_bio(incoming, outgoing, *args, **kwargs))
        connection.outgoing = outgoing
        return connection


class _Checked(ssl.SSLObject):
    """TLS connection that refuses clients without an allowed name, and answers those that speak HTTP without TLS.

    Attributes:
        outgoing: what is sent to the client.
    """

    context: _Context
    outgoing: ssl.MemoryBIO

    def do_handshake(self) -> None:
        """Continue the handshake.

        Raises:
            SSLError: it failed, or must wait for the client.
        """
        try:
            super().do_handshake()
        except ssl.SSLError as error:
            if error.reason != "HTTP_REQUEST":
                raise
            self.outgoing.write(_NO_TLS)
            # What is to be sent is lost if the handshake fails; as it does not, the deadline ends the connection.
            raise ssl.SSLWantReadError from None
        # OpenSSL verifies the chain, but not the names of clients.
        allowed = self.context.allowed_sans
        if allowed is not None and allowed.isdisjoint(_names(self.getpeercert(binary_form=True))):
            raise ssl.SSLCertVerificationError("the client certificate has no allowed name")


def _names(certificate: bytes | None) -> set[str]:
    """Return the subject alternative names that the Go toolkit compares, as Go writes them."""
    try:
        san = x509.load_der_x509_certificate(certificate or b"").extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return set()
    kinds = (x509.DNSName, x509.RFC822Name, x509.IPAddress, x509.UniformResourceIdentifier)
    return {str(name) for kind in kinds for name in san.value.get_values_for_type(kind)}


def read_material(section: TLSServer, path: Path) -> Material:
    """Read the files that a web config file names for TLS.

    Args:
        section: its section `tls_server_config`.
        path: its path, for the faults.

    Raises:
        SettingsError: with a fault for each file that cannot be read.
    """
    key = section.key.get_secret_value() if section.key else None
    found: list[bytes | None] = []
    faults: list[str] = []
    for name, inline, file in (
        ("cert_file", section.cert, section.cert_file),
        ("key_file", key, section.key_file),
        ("client_ca_file", section.client_ca, section.client_ca_file),
    ):
        try:
            content = read_content(file, fault=f"tls_server_config.{name} in {path}") if file else None
        except SettingsError as error:
            faults += error.faults
        else:
            found.append(f"{inline}\n".encode() if inline is not None else content)
    if faults:
        raise SettingsError(faults)
    cert, private, client_ca = found
    return Material(section, cert or b"", private or b"", client_ca)


def make_context(material: Material, path: Path) -> _Context:
    """Return the TLS context that a web config file describes.

    Args:
        material: its section, and the content of the files that it names.
        path: its path, for the faults.

    Raises:
        SettingsError: with a fault for each part that is invalid.
    """
    section = material.section
    context = _Context(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _Checked
    context.minimum_version = _VERSIONS[section.min_version]
    context.maximum_version = _VERSIONS[section.max_version]
    # As in Go's TLS, any given authority is a trust anchor, self-signed or not.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if not section.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if section.client_allowed_sans is not None:
        context.allowed_sans = frozenset(section.client_allowed_sans)
    faults = [*_set_algorithms(context, section), *_load_pair(context, material), *_load_authorities(context, material)]
    if faults:
        raise SettingsError(f"tls_server_config.{name} in {path}: {line}" for name, line in faults)
    context.verify_mode = _VERIFICATION[section.client_auth_type]
    return context


def _set_algorithms(context: ssl.SSLContext, section: TLSServer) -> Iterator[tuple[str, str]]:
    suites = [CIPHERS[suite] for suite in section.cipher_suites if suite in CIPHERS]
    try:
        if suites:
            context.set_ciphers(":".join(suites))
    except ssl.SSLError:
        yield "cipher_suites", "the OpenSSL of this host supports none of them"
    try:
        for curve in section.curve_preferences:
            context.set_ecdh_curve(CURVES[curve])
    except (ValueError, ssl.SSLError):
        yield "curve_preferences", "the OpenSSL of this host does not support it"


def _load_pair(context: ssl.SSLContext, material: Material) -> Iterator[tuple[str, str]]:
    cert = "cert" if material.section.cert is not None else "cert_file"
    key = "key" if material.section.key is not None else "key_file"
    faults = []
    try:
        x509.load_pem_x509_certificates(material.cert)
    except ValueError:
        faults.append((cert, "holds no certificate; accepted is PEM, the server's own certificate first"))
    try:
        load_pem_private_key(material.key, None)
    except UnsupportedAlgorithm:
        faults.append((key, "has an unsupported type; accepted is RSA or ECDSA"))
    except TypeError:
        faults.append((key, "is encrypted; accepted is a key without a passphrase"))
    except ValueError:
        faults.append((key, "holds no private key; accepted is PEM"))
    yield from faults
    if not faults:
        try:
            with _path_of(material.cert) as cert_path, _path_of(material.key) as key_path:
                context.load_cert_chain(cert_path, key_path)
        except ssl.SSLError as error:
            reason = (error.reason or "unknown").replace("_", " ").lower()
            yield cert, f"is refused by OpenSSL ({reason}); accepted is a strong certificate that matches {key}"


def _load_authorities(context: ssl.SSLContext, material: Material) -> Iterator[tuple[str, str]]:
    if material.section.client_auth_type == "NoClientCert":
        return
    if material.client_ca is None:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)  # as Go does
        return
    try:
        with _path_of(material.client_ca) as path:
            context.load_verify_locations(path)
    except ssl.SSLError:
        name = "client_ca" if material.section.client_ca is not None else "client_ca_file"
        yield name, "holds no certificate; accepted is PEM, one or more"


@contextmanager
def _path_of(pem: bytes) -> Iterator[str]:
    """Return a path for a text in memory, as Python's TLS only reads files; on Linux it never reaches a disk."""
    in_memory = hasattr(os, "memfd_create")
    with os.fdopen(os.memfd_create("pem"), "w+b") if in_memory else tempfile.TemporaryFile() as file:
        file.write(pem)
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"
