"""Any bytes are a web config file that is followed, or faults without a secret, and they never end the need to log in.

Files that an input names are in its folder: a certificate, its key and an authority.
"""

from contextlib import suppress
from functools import cache

import trustme
import yaml
from structlog.testing import capture_logs

from exporter.texts import SettingsError
from exporter.webconfig.file import HTTPServer, TLSServer, WebConfig, WebConfigFile, parse
from exporter.webconfig.tls import make_context, read_material
from tests.fuzz.files import folder, written
from tests.fuzz.mutation import YAML

SECRET = "cAnArY/7f3"
HASH = "$2b$04$abcdefghijklmnopqrstuucAnArY7f3cAnArY7f3cAnArY7f3cAnA"

_USERS = f"basic_auth_users: {{alice: {HASH}}}\n".encode()
_NAMES = tuple(name.encode() for model in (WebConfig, TLSServer, HTTPServer) for name in model.model_fields)

TOKENS = (
    *YAML,
    *_NAMES,
    *(b"\n%s:" % name for name in _NAMES),
    *(b"\n  %s:" % name for name in _NAMES),
    *(HASH.encode(), b"alice", b"\n  bob: %s" % HASH.encode(), SECRET.encode(), b"\n%s: 1" % SECRET.encode()),
    *b"server.crt server.key ca.pem missing / DIR NoClientCert RequireAndVerifyClientCert RequireAnyClientCert".split(),
    *b"VerifyClientCertIfGiven TLS10 TLS12 TLS13 CurveP256 X25519 TLS_AES_128_GCM_SHA256 example.com".split(),
    *b"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 [TLS_RSA_WITH_AES_256_CBC_SHA] [CurveP256] [a,b] interval burst".split(),
    *b"X-Frame-Options deny X-Content-Type-Options nosniff Strict-Transport-Security 1s 500ms 1.5h".split(),
    *(b"{cert_file: server.crt, key_file: server.key}", b"{interval: 1s, burst: 1}", b"{X-Frame-Options: deny}"),
)


def check(data):
    """Read the file, then let it take the place of one with a user."""
    _write_pems()
    path = folder() / "web.yml"
    with capture_logs() as lines:
        _check_parsed(data, path)
        _check_replaced(data, path)
    _check_hidden(str(lines))


@cache
def _write_pems():
    """Write the files that inputs name, once."""
    ca = trustme.CA()
    cert = ca.issue_cert("localhost")
    written("ca.pem", ca.cert_pem.bytes())
    written("server.key", cert.private_key_pem.bytes())
    written("server.crt", b"".join(pem.bytes() for pem in cert.cert_chain_pems))


def _check_parsed(data, path):
    try:
        config = parse(data, path)
        if config.tls:
            make_context(read_material(config.tls, path), path)
    except SettingsError as error:
        _check_faults(error, path)
    else:
        assert config.basic_auth_users.keys() == _users(data), "users differ from those in the file"
        assert all(len(text.get_secret_value()) == len(HASH) for text in config.basic_auth_users.values())
        assert config.limit is None or (config.limit.interval > 0 and config.limit.burst > 0)
        # Only what is no secret may show it.
        tls = config.tls_server_config.model_copy(update={"key": None})
        rest = config.model_copy(update={"basic_auth_users": {}, "tls_server_config": tls})
        assert all(repr(config).count(text) == repr(rest).count(text) for text in (SECRET, HASH))


def _check_faults(error, path):
    assert error.faults
    for line in error.faults:
        assert line.isprintable(), ascii(line)
        assert str(path) in line, line
        assert len(line) < 1_000, line
    _check_hidden(str(error))


def _users(data):
    """Return the names of the users in a file."""
    sections = yaml.load(data, yaml.BaseLoader)  # noqa: S506 - it makes texts, lists and mappings only
    users = sections.get("basic_auth_users") if isinstance(sections, dict) else None
    return set(users if isinstance(users, dict) else ())


def _check_replaced(data, path):
    file = WebConfigFile(written(path.name, _USERS))
    written(path.name, data)
    file.content.look()
    with suppress(SettingsError):
        assert file.current().basic_auth_users, "a login is no longer required"
        assert not file.current().tls, "TLS was added to a server without"


def _check_hidden(text):
    for secret in (SECRET, HASH, "PRIVATE"):
        assert secret not in text, text
