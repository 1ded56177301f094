"""TLS as the web config file says, with certificates and authorities that may change while it is served."""

import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from exporter.config.settings import SettingsError
from exporter.webconfig.content import Watched
from exporter.webconfig.file import TLSServer, WebConfigFile, read_content
from exporter.webconfig.readers import CIPHERS, CURVES

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_VERIFICATION = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


@dataclass(frozen=True, slots=True)
class Material:
    """All that a context is made of: what the web config file says, and what the files hold that it names."""

    section: TLSServer
    cert: bytes = field(repr=False)
    key: bytes = field(repr=False)
    client_ca: bytes | None = field(repr=False)


class ReloadingContext(ssl.SSLContext):
    """Hands each handshake to a context made of what the files hold now.

    It has no certificate of its own, so that a handshake that stays with it fails.
    """

    _file: WebConfigFile
    _watched: Watched[Material, ssl.SSLContext]

    def __new__(cls, _file: WebConfigFile) -> Self:
        """Create it as a server's."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, file: WebConfigFile) -> None:
        """Read the files for the first time.

        Args:
            file: a web config file that says how to speak TLS.

        Raises:
            SettingsError: certificate, key or authorities cannot be used.
        """
        self._file = file
        self._watched = Watched(self._make, file=str(file.path), part="tls_server_config")
        self._newest()

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:  # noqa: ANN401 - whatever the base class takes
        """Begin a handshake; it will fail where the files cannot be used now."""
        try:
            context = self._newest()
        except SettingsError:
            return super().wrap_bio(*args, **kwargs)
        return context.wrap_bio(*args, **kwargs)

    def _make(self, material: Material) -> ssl.SSLContext:
        context = make_context(material, self._file.path)
        context.newest = self._newest
        return context

    def _newest(self) -> ssl.SSLContext:
        section = self._file.current().tls_server_config
        return self._watched.current(partial(read_material, section, self._file.path))


class _Context(ssl.SSLContext):
    """A context that knows whom to let in, and what replaces it.

    Attributes:
        allowed_sans: the names of which a client's certificate has to bear one; None for any.
        newest: gives the context that is in use now.
    """

    allowed_sans: frozenset[str] | None = None
    newest: Callable[[], ssl.SSLContext]


class _Checked(ssl.SSLObject):
    """Keeps out clients whose certificate bears none of the allowed names, or was accepted by what has changed since.

    A connection may be kept alive for as long as its client likes, so an authority that is taken away has to count for
    those that are open, too. Where nobody has to show a certificate they stay.
    """

    context: _Context

    def do_handshake(self) -> None:
        """Go on with the handshake.

        Raises:
            SSLError: it failed, or has to wait.
        """
        super().do_handshake()
        allowed = self.context.allowed_sans
        if allowed is not None and allowed.isdisjoint(_names(self.getpeercert(binary_form=True))):
            raise ssl.SSLCertVerificationError("the client's certificate bears no name that is allowed")

    def read(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the base class takes and gives
        """Read what the client sent, its next request maybe.

        Raises:
            SSLError: nothing can be read, or what the client was let in by is not in use any more.
        """
        if self.context.verify_mode is not ssl.CERT_NONE and not self._is_newest():
            raise ssl.SSLError("what the client was let in by has changed")
        return super().read(*args, **kwargs)

    def _is_newest(self) -> bool:
        try:
            return self.context.newest() is self.context
        except SettingsError:
            return False


def _names(certificate: bytes | None) -> set[str]:
    """Return the subject alternative names of a certificate that Go's toolkit compares, spelled as Go does."""
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
        section: what it says.
        path: where it is, for the faults.

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
    """Make the context that serves TLS as the web config file says.

    Args:
        material: what it says, and what the files hold that it names.
        path: where it is, for the faults.

    Raises:
        SettingsError: with a fault for each part that cannot be used.
    """
    section = material.section
    context = _Context(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _Checked
    context.minimum_version = _VERSIONS[section.min_version]
    context.maximum_version = _VERSIONS[section.max_version]
    # Go's TLS, which the format is made for, takes any given certificate as an anchor, self-signed or not.
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
        yield "cipher_suites", "this machine's OpenSSL has none of them; accepted are others"
    try:
        for curve in section.curve_preferences:
            context.set_ecdh_curve(CURVES[curve])
    except (ValueError, ssl.SSLError):
        yield "curve_preferences", "this machine's OpenSSL does not have it; accepted is another"


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
        faults.append((key, "is of a kind that is not supported; accepted is RSA or ECDSA"))
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
            yield cert, f"is refused by OpenSSL ({reason}); accepted is a strong certificate that {key} belongs to"


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
    """Give a text in memory a path: Python's TLS reads files alone. On Linux it never touches a disk."""
    in_memory = hasattr(os, "memfd_create")
    with os.fdopen(os.memfd_create("pem"), "w+b") if in_memory else tempfile.TemporaryFile() as file:
        file.write(pem)
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"
