"""A server behind a web config file, for tests."""

import ssl
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import requests
import trustme
import yaml

from exporter.serving.listener import listen
from exporter.serving.server import Server
from exporter.webconfig.file import WebConfigFile
from exporter.webconfig.guard import Guard
from exporter.webconfig.tls import ReloadingContext
from tests.support import threads
from tests.support.clocks import FakeClock

PASSWORD = "cAnArY-pass-7f3"
HASH = bcrypt.hashpw(PASSWORD.encode(), b"$2b$04$abcdefghijklmnopqrstuu").decode()
USERS = {"basic_auth_users": {"alice": HASH}}
HEADERS = [(b"content-type", b"text/plain"), (b"x-content-type-options", b"nosniff")]


async def app(_scope, _receive, send):
    """Answer everything with OK."""
    await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, (b"content-length", b"3")]})
    await send({"type": "http.response.body", "body": b"OK\n"})


class Guarded:
    """A folder with a web config file, and what is served by it.

    Attributes:
        ca: what clients trust.
        client_ca: what may sign their certificates.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.path = folder / "web.yml"
        self.ca = trustme.CA()
        self.client_ca = trustme.CA()
        self.ca.cert_pem.write_to_path(folder / "ca.pem")
        self.client_ca.cert_pem.write_to_path(folder / "client_ca.pem")
        self.issue()
        self.url = ""
        self.address = ("", 0)
        self.server = None
        self.contents = []
        self.clock = FakeClock()

    def issue(self, ca: trustme.CA | None = None) -> None:
        """Write a new certificate for the server, and its key."""
        cert = (ca or self.ca).issue_cert("localhost", "127.0.0.1")
        (self.folder / "server.key").write_bytes(cert.private_key_pem.bytes())
        (self.folder / "server.crt").write_bytes(b"".join(pem.bytes() for pem in cert.cert_chain_pems))

    def client(self, *names: str, ca: trustme.CA | None = None) -> str:
        """Write a client's certificate with its key, and return its path."""
        path = self.folder / "client.pem"
        (ca or self.client_ca).issue_cert(*(names or ("client.example",))).private_key_and_cert_chain_pem.write_to_path(
            path
        )
        return str(path)

    def write(self, config) -> Path:
        """Write the web config file."""
        self.path.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
        return self.path

    def tls(self, **more):
        """Give the section that serves TLS, with more in it."""
        return {"tls_server_config": {"cert_file": "server.crt", "key_file": "server.key", **more}}

    def verifying(self, **more):
        """Give the section that serves TLS to clients with a certificate only, with more in it."""
        section = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "client_ca.pem", **more}
        return self.tls(**section)

    @contextmanager
    def serving(self, config, application=app, request_timeout=2.0, connections=1024):
        """Serve by a web config file."""
        file = WebConfigFile(self.write(config))
        tls = ReloadingContext(file) if file.current().tls else None
        self.contents = [file.content, *([tls.content] if tls else [])]
        sock = listen("127.0.0.1", 0)
        self.address = sock.getsockname()
        self.url = "{}://127.0.0.1:{}".format("https" if tls else "http", self.address[1])
        guard = Guard(application, file, self.clock)
        self.server = Server(
            guard, sock, on_shutdown=lambda: None, tls=tls, request_timeout=request_timeout, connections=connections
        )
        with threads.running(self.server):
            yield self

    def look(self) -> None:
        """Look at the files, as the exporter does each second."""
        for content in self.contents:
            content.look()

    def get(self, path="/metrics", **options):
        """Ask on a new connection, after a look at the files."""
        self.look()
        return requests.get(self.url + path, timeout=10, verify=str(self.folder / "ca.pem"), **options)

    def status(self, **options):
        """Give the status of an answer; None where the handshake or the connection was refused."""
        try:
            return self.get(**options).status_code
        except requests.ConnectionError:
            return None

    def client_context(self) -> ssl.SSLContext:
        """Give a context that trusts the server."""
        return ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
