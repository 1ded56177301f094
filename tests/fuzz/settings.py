"""Any flags, variables and file are settings that can be used, or faults of one line each without a secret.

An input begins with lines of flags (`--name=value`) and variables (`NAME=value`); the file follows after a blank line.
`DIR` in either is a folder with a key file.
"""

import ipaddress
import math
from urllib.parse import urlsplit

from exporter.config.settings import Settings
from exporter.config.sources import load
from exporter.texts import SettingsError
from tests.fuzz.files import folder, written
from tests.fuzz.mutation import YAML

SECRET = "pat.acct.id.cAnArY7f3"

_KEY = SECRET.encode()
_NAMES = tuple(name.encode() for name in Settings.model_fields)
_LONGEST = 3650 * 86_400

TOKENS = (
    *YAML,
    *_NAMES,
    *(b"\n%s:" % name for name in _NAMES),
    *(b"\n--%s=" % name.replace(b"_", b"-") for name in _NAMES),
    *(b"\nHAR_EXPORTER_%s=" % name.upper() for name in _NAMES),
    *(_KEY, b"DIR/key", b"DIR", b"http://u:%s@proxy:3128" % _KEY, b"\n%s: 1" % _KEY, b"${API_KEY}", b"$KEY", b"\n\n"),
    *b"acct acct/org acct/org/proj acct/+ -a ../x a/b/c/d 999999 5m 1h30m 0s 500ms 4000d 300/m 1/s 0/h a-7".split(),
    *b"https://x http://x http://127.0.0.1:1 http://[::1] https://x:99999 https://x/../ :1 [::]:0".split(),
    *b"quarantined blocked json debug bearer any [acct,acct] {ref:acct}".split(),
    *(b"{ref: acct, base_url: https://x, api_key_file: DIR/key}", b"\n- ref: b\n  api_key_file: DIR/key"),
    *(b"HAR_EXPORTER_SERVICE_HOST=x", b"HAR_EXPORTER_API_URL=x", b"HAR_EXPORTER_X_PORT=tcp://1:1", b"PATH=x"),
)


def check(data):
    """Load the settings, and check what comes of it."""
    written("key", _KEY)
    head, _, document = data.replace(b"DIR", bytes(folder())).partition(b"\n\n")
    flags, environ = _given(head.decode(errors="surrogateescape"))
    flags.setdefault("config", str(written("settings.yaml", document)))
    try:
        settings = load(flags, environ)
    except SettingsError as error:
        _check_faults(error)
    else:
        _check(settings)
        higher = {name: value for name, value in environ.items() if not flags.get(_setting(name), "").strip()}
        assert load(flags, higher) == settings, "a variable overrides a flag"


def _given(head):
    """Return flags and variables."""
    flags, environ = {}, {}
    for name, equals, value in (line.partition("=") for line in head.split("\n")):
        if name.startswith("--"):
            flags[name[2:].replace("-", "_")] = value
        elif equals:
            environ[name] = value
    return flags, environ


def _setting(variable):
    return variable.removeprefix("HAR_EXPORTER_").lower()


def _check_faults(error):
    assert error.faults
    for line in error.faults:
        assert line.isprintable(), ascii(line)
        assert ": " in line, line
        assert len(line) < 500, line
        assert SECRET not in line, line
    assert str(error).split("\n") == list(error.faults)


def _check(settings):
    assert settings.spaces
    assert len({space.ref for space in settings.configured}) == len(settings.configured)
    assert set(settings.served) <= set(settings.configured)
    for entry in settings.spaces:
        space = settings.resolve(entry, entry.scope)
        assert (space.api_key is None) != (space.api_key_file is None), space
        assert settings.allow_insecure_http or _is_private(space.base_url), space
        assert not entry.base_url or (space.api_key_file == entry.api_key_file and space.api_key is None), space
    assert settings.page_size is None or 1 <= settings.page_size <= 10_000
    assert 1 <= settings.concurrency <= 64
    assert 0 <= settings.shard < settings.shards <= 1_000
    assert settings.cache_ttl >= 1
    times = (settings.request_timeout, settings.refresh_timeout, settings.max_stale, settings.scrape_timeout_offset)
    assert all(0 <= seconds <= _LONGEST for seconds in (*times, settings.cache_ttl, *settings.stale_ages.values()))
    assert settings.rate_limit is None or 0 < settings.rate_limit.requests < math.inf
    # Only what is no secret may show it.
    rest = settings.model_copy(update={"api_key": None, "proxy_url": None})
    assert repr(settings).count(SECRET) == repr(rest).count(SECRET)


def _is_private(url):
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    return ipaddress.ip_address(parts.hostname).is_loopback
