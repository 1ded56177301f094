"""Settings: where they come from, what they accept, and how faults are told."""

import inspect
import json
import logging
import re
import runpy
import string
import traceback
from functools import partial
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from exporter.config import readers as v
from exporter.config.settings import FLAGLESS, UPSTREAM, Settings, default_text
from exporter.config.sources import _Pinned, load
from exporter.config.spaces import Space, SpaceEntry
from exporter.texts import SettingsError

CANARY = "cAnArY7f3kEy"
MINIMUM = {"HAR_EXPORTER_SPACES": "acct", "HAR_EXPORTER_API_KEY": "pat.acct.id.secret"}
NAMES = tuple(Settings.model_fields)


def env(**settings):
    """Spell settings as variables."""
    return {f"HAR_EXPORTER_{name.upper()}": value for name, value in settings.items()}


def faults(flags=(), environ=(), pinned=None):
    """Load settings that cannot be used, and give the faults."""
    with pytest.raises(SettingsError) as caught:
        load(dict(flags), dict(environ), pinned=pinned)
    assert str(caught.value) == "\n".join(caught.value.faults)
    assert all(line.isprintable() for line in caught.value.faults)
    return caught.value.faults


def fault_of(name, value):
    """Give the one fault of a configuration that is right but for this setting, without the setting's name."""
    (line,) = faults(environ={**MINIMUM, **env(**{name: value})})
    spelled = f"HAR_EXPORTER_{name.upper()}: "
    assert line.startswith(spelled)
    return line.removeprefix(spelled)


def accepted(name, value):
    """Give what becomes of a variable."""
    return getattr(load({}, {**MINIMUM, **env(**{name: value})}), name)


@pytest.fixture
def settings_file(tmp_path):
    """Write a file of settings; the flag that names it."""

    def write(content):
        path = tmp_path / "settings.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return {"config": str(path)}

    return write


@pytest.fixture
def files(tmp_path):
    """Three files that may serve as keys and certificates."""
    paths = [tmp_path / name for name in ("one", "two", "three")]
    for path in paths:
        path.write_text(f" pat.acct.id.{path.name}\n")
    return paths


def refs(entries):
    """Give the spaces of entries."""
    return [entry.ref for entry in entries]


# For each setting: texts for the flag, the environment and the file, with what they become.
SAMPLES = {
    "allow_insecure_http": [("true", True), ("no", False), (True, True)],
    "base_url": [(f"https://{host}.example/", f"https://{host}.example") for host in "abc"],
    "api_prefix": [(f"/{name}/v1", f"/{name}/v1") for name in "abc"],
    "api_key": [(f"pat.acct.id.{name}", SecretStr(f"pat.acct.id.{name}")) for name in "abc"],
    "auth_scheme": [("bearer", "bearer"), ("x-api-key", "x-api-key"), ("Bearer", "bearer")],
    "sources": [
        ("violations", ("violations",)),
        ("off", ()),
        (["violations", "registries"], ("registries", "violations")),
    ],
    "registries_ttl": [("1h", 3600.0), ("5m", 300.0), (60, 60.0)],
    "violations_ttl": [("1h", 3600.0), ("5m", 300.0), (60, 60.0)],
    "spaces": [("a,b/c", ["a", "b/c"]), ("-k5/_e/-f/+", ["-k5/_e/-f"]), (["_g", {"ref": "-h"}], ["_g", "-h"])],
    "registries": [("a, b", ("a", "b")), ("c", ("c",)), (["d", "e", "d"], ("d", "e"))],
    "package_types": [("DOCKER,NPM", ("DOCKER", "NPM")), ("GO", ("GO",)), (["RPM"], ("RPM",))],
    "latest_version": [("true", True), ("false", False), (True, True)],
    "deployed_artifact": [("yes", True), ("off", False), (True, True)],
    "search_term": [("a", "a"), ("b c", "b c"), (123, "123")],
    "owner": [
        ("team a", (("*", "team a"),)),
        (7, (("*", "7"),)),
        ({"*": "a", "B/*": "b"}, (("b/*", "b"), ("*", "a"))),
    ],
    "page_size": [("AUTO", None), ("10000", 10_000), (50, 50)],
    "concurrency": [("1", 1), ("64", 64), (2, 2)],
    "rate_limit": [("10/s", v.Rate(10, 1.0)), ("5/h", v.Rate(5, 3600.0)), ("off", None)],
    "request_timeout": [("1ms", 0.001), ("2", 2.0), (2.5, 2.5)],
    "refresh_timeout": [("2h", 7200.0), ("1h30m", 5400.0), (10, 10.0)],
    "cache_ttl": [("1s", 1.0), ("10m", 600.0), ("1d", 86400.0)],
    "max_stale": [("0", 0.0), ("7d", 604800.0), (60, 60.0)],
    "scrape_timeout_offset": [("0", 0.0), ("250ms", 0.25), (1, 1.0)],
    "findings": [("warn", ("warn",)), ("warn,quarantined", ("quarantined", "warn")), (["BLOCKED"], ("blocked",))],
    "findings_limit": [("0", 0), ("7", 7), (100_000, 100_000)],
    "registries_limit": [("0", 0), ("7", 7), (100_000, 100_000)],
    "stale_scan_after": [
        ("1d", (v.Threshold("1d", 86400.0),)),
        ("2h, 60", (v.Threshold("60", 60.0), v.Threshold("2h", 7200.0))),
        (["1h30m"], (v.Threshold("1h30m", 5400.0),)),
    ],
    "proxy_url": [(f"http://u:p@{host}:3128", SecretStr(f"http://u:p@{host}:3128")) for host in "abc"],
    "link_template": [(f"https://{name}/{{org}}", f"https://{name}/{{org}}") for name in "abc"],
    "listen_address": [
        ("localhost:80", v.ListenAddress("localhost", 80)),
        ("[::1]:9", v.ListenAddress("::1", 9)),
        ("127.0.0.1:0", v.ListenAddress("127.0.0.1", 0)),
    ],
    "web_config_file": [(path, Path(path)) for path in (__file__, yaml.__file__, json.__file__)],
    "probe": [("any", "any"), ("OFF", "off"), ("configured", "configured")],
    "shard": [("1", 1), ("har-exporter-0", 0), (2, 2)],
    "shards": [("2", 2), ("1000", 1000), (3, 3)],
    "web_enable_lifecycle": [("true", True), ("no", False), (True, True)],
    "log_level": [("debug", "debug"), ("warning", "warning"), ("error", "error")],
    "log_format": [("json", "json"), ("logfmt", "logfmt"), ("JSON", "json")],
}
FILES = {"api_key_file", "ca_file", "client_cert_file", "client_key_file"}


@pytest.mark.parametrize("name", NAMES)
def test_a_flag_beats_the_environment_which_beats_the_file(name, settings_file, files):
    """Every setting is taken from the best source that gives it; a setting without samples fails here."""
    samples = [(str(path), path) for path in files] if name in FILES else SAMPLES[name]
    (flag, from_flag), (variable, from_environment), (in_file, from_file) = samples
    rest = {"api_key": "pat.acct.id.k"} if name not in {"api_key", "api_key_file"} else {}
    rest |= {"spaces": "acct"} if name != "spaces" else {}
    rest |= {"client_cert_file": str(files[0])} if name == "client_key_file" else {}
    rest |= {"shards": "3"} if name == "shard" else {}
    config = settings_file({**rest, name: in_file})

    def value(flags, environ):
        given = getattr(load(flags, environ), name)
        return refs(given) if name == "spaces" else given

    assert value(config, {}) == from_file
    assert value(config, env(**{name: variable})) == from_environment
    if name not in FLAGLESS:
        assert value({**config, name: flag}, env(**{name: variable})) == from_flag


@pytest.mark.parametrize("name", [name for name in NAMES if name != "spaces"])
def test_the_default_text_is_what_a_user_would_write_for_the_default(name):
    """Giving a default's text (where it is not empty) changes nothing."""
    plain = load({}, {"HAR_EXPORTER_API_KEY": "pat.acct.id.k", **MINIMUM})
    spelled = default_text(name)
    if spelled:
        assert accepted(name, spelled) == getattr(plain, name)
    elif name != "api_key":
        assert getattr(plain, name) in (None, ())


def test_defaults_are_those_of_the_interface():
    expected = {
        "base_url": "https://app.harness.io", "api_prefix": "/har/api/v1", "auth_scheme": "x-api-key",
        "page_size": "auto", "concurrency": "4", "rate_limit": "300/m", "request_timeout": "30s",
        "refresh_timeout": "1h", "cache_ttl": "45s", "max_stale": "1h", "scrape_timeout_offset": "0.5s",
        "sources": "registries,violations", "registries_ttl": "15m", "violations_ttl": "1m",
        "findings": "quarantined,blocked", "findings_limit": "500", "registries_limit": "500",
        "stale_scan_after": "7d,30d,90d",
        "listen_address": ":10981", "allow_insecure_http": "false", "log_level": "info", "log_format": "logfmt",
        "shard": "0", "shards": "1", "probe": "configured", "web_enable_lifecycle": "false",
        "link_template":
            "{base}/ng/account/{account}/module/har/orgs/{org}/projects/{project}/registries/{registry}",
    }  # fmt: skip
    assert {name: default_text(name) for name in NAMES if default_text(name)} == expected


def test_settings_are_frozen():
    """Nothing changes settings once they were loaded."""
    settings = load({}, MINIMUM)
    with pytest.raises(ValidationError):
        settings.page_size = 1


def test_a_shard_that_does_not_exist_is_a_fault_of_the_shard():
    """The fault names what to change, whichever of the two was given; one of `shards` itself is told once."""
    assert faults(environ={**MINIMUM, **env(shard="pod-2", shards="2")}) == (
        "HAR_EXPORTER_SHARD: must be less than shards: the first shard is 0",
    )
    assert len(faults(environ={**MINIMUM, **env(shard="pod-2", shards="none")})) == 1


def test_the_process_environment_is_the_default(monkeypatch):
    """Without an environment of its own `load` reads the process's."""
    for name, value in MINIMUM.items():
        monkeypatch.setenv(name, value)
    assert refs(load({}).spaces) == ["acct"]


def test_another_environment_replaces_the_process_environment(monkeypatch):
    """Nothing of os.environ, nor of a .env file, is read beside the environment that is given."""
    monkeypatch.setenv("HAR_EXPORTER_PAGE_SIZE", "7")
    monkeypatch.setenv("PAGE_SIZE", "8")
    monkeypatch.setenv("page_size", "9")
    assert load({}, MINIMUM).page_size is None


def test_the_environment_names_the_file_unless_a_flag_does(settings_file, tmp_path):
    """HAR_EXPORTER_CONFIG is the path of the file; --config beats it; an empty flag does not."""
    path = settings_file({"page_size": 7})["config"]
    other = tmp_path / "other.yaml"
    other.write_text("page_size: 8\n")
    environ = {**MINIMUM, "HAR_EXPORTER_CONFIG": path}
    assert load({}, environ).page_size == 7
    assert load({"config": ""}, environ).page_size == 7
    assert load({"config": str(other)}, environ).page_size == 8


@pytest.mark.parametrize("blank", ["", "  "])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"spaces", "api_key"}])
def test_an_empty_text_counts_as_not_given(name, blank, settings_file):
    """An empty variable lets the file, or the default, decide; only for a template and a term empty means none."""
    if name in {"link_template", "search_term"}:
        flags = settings_file({name: "https://x"})
        assert not getattr(load(flags, {**MINIMUM, **env(**{name: blank})}), name)
    else:
        assert accepted(name, blank) == getattr(load({}, MINIMUM), name)
        assert load({name: blank}, MINIMUM) == load({}, MINIMUM)


def test_null_in_the_file_counts_as_not_given(settings_file):
    """A key without a value, null and ~ are the empty text; a quoted one is a word."""
    flags = settings_file("page_size:\nconcurrency: null\nrate_limit: ~\nlink_template:\nsearch_term: 'null'\n")
    settings = load(flags, MINIMUM)
    assert (settings.page_size, settings.concurrency, settings.rate_limit) == (None, 4, v.Rate(300, 60.0))
    assert (settings.link_template, settings.search_term) == ("", "null")


def test_words_and_numbers_of_the_file_stay_as_they_are_written(settings_file):
    """YAML makes no booleans, octal or sexagesimal numbers and dates of them."""
    flags = settings_file(
        "rate_limit: off\nfindings: off\nspaces: [0123, on, 2024-01-01]\napi_key: 0x1234567890\n"
        "listen_address: localhost:10\n"
    )
    settings = load(flags, {})
    assert (settings.rate_limit, settings.findings) == (None, ())
    assert refs(settings.spaces) == ["0123", "on", "2024-01-01"]
    assert settings.api_key == SecretStr("0x1234567890")


def test_empty_lists_of_the_file_are_none(settings_file):
    """An empty list empties a setting that has a default."""
    settings = load(settings_file("findings: []\nstale_scan_after: []\nregistries: []\n"), MINIMUM)
    assert (settings.findings, settings.stale_scan_after, settings.registries) == ((), (), ())


@pytest.mark.parametrize("content", ["", "# nothing\n", "null\n", "{}\n"])
def test_an_empty_file_is_no_fault(content, settings_file):
    assert load(settings_file(content), MINIMUM).page_size is None


# --- values ---------------------------------------------------------------------------------------------------------

FREE = {"spaces", "registries", "package_types", "search_term", "link_template", "owner"}
SCALARS = sorted(set(NAMES) - FREE)


@pytest.mark.parametrize("name", SCALARS)
@pytest.mark.parametrize("value", ["\N{SNOWMAN} none of these", "/no/such\N{SNOWMAN}", "\x1b", "\u00e9"])
def test_what_no_setting_accepts_is_a_fault_of_that_setting(name, value):
    """Each setting refuses nonsense, by one line that says what it accepts."""
    environ = {**MINIMUM, **env(**{name: value})}
    if name == "api_key_file":
        del environ["HAR_EXPORTER_API_KEY"]
    if name == "client_key_file":
        environ |= env(client_cert_file=__file__)
    (line,) = faults(environ=environ)
    assert line.startswith(f"HAR_EXPORTER_{name.upper()}: must {'be a file that can be read' if name in FILES else ''}")


UNQUOTED = partial(re.compile(r"^(entry [0-9]+), '[^']*'").sub, r"\1")
SCOPE = "entry 2: must be account, account/org or account/org/project"
NAME = "must be a list of names without spaces or control characters"
SHARD = "must be a number from 0, or a name that ends in a dash and such a number: har-exporter-0"
# For each form, by the beginning of its fault, values that are not of it.
REFUSED = [
    ("page_size", "must be auto, or a whole number from 1 to 10000", ["0", "off", "10001", "1.5"]),
    ("concurrency", "must be a whole number from 1 to 64", ["0", "65", "\N{ARABIC-INDIC DIGIT ONE}"]),
    ("findings_limit", "must be a whole number from 0 to 100000", ["100001"]),
    ("registries_limit", "must be a whole number from 0 to 100000", ["100001"]),
    ("shards", "must be a whole number from 1 to 1000", ["0", "1001"]),
    ("cache_ttl", "must be from 1s to 3650d", ["999ms"]),
    ("request_timeout", "must be from 1ms to 3650d", ["0"]),
    ("refresh_timeout", "must be from 1ms to 3650d", ["0s"]),
    ("max_stale", "must be from 0s to 3650d", ["3651d"]),
    ("scrape_timeout_offset", "must be a duration: 30s, 5m, 1h30m, 500ms, 7d, or a number of seconds", ["1m1h"]),
    ("cache_ttl", "must be a duration", ["5 m", "9" * 400, "inf"]),
    ("stale_scan_after", "must be from 1ms", ["7d,0"]),
    ("stale_scan_after", "must not hold the same duration twice", ["7d,168h"]),
    ("rate_limit", "must be a number from 1 to 999999 per s, m or h, such as 300/m, or off", ["0/m", "300", "300/d"]),
    ("findings", "must be a list of quarantined, blocked, warn, or off", ["quarantined,unscanned", "off,warn"]),
    ("registries", NAME, ["a b"]),
    ("package_types", NAME, ["a\x07"]),
    ("search_term", "must be text without control characters", ["a\x07"]),
    ("owner", "must be text without control characters", ["a\x07"]),
    ("shard", SHARD, ["-1", "har-exporter", "har-exporter-", "pod1", "a-\N{ARABIC-INDIC DIGIT ONE}"]),
    ("shard", "must be less than shards", ["1", "har-exporter-1"]),
    ("probe", "must be one of configured, any, off", ["all"]),
    ("log_level", "must be one of debug, info, warning, error", ["trace"]),
    ("auth_scheme", "must be one of x-api-key, bearer", ["basic"]),
    ("latest_version", "must be true or false", ["2"]),
    ("api_key", "must hold a key of at least 12 printable", ["two words in it", "pat.acct.k\u00e9y", "elevenchars"]),
    ("base_url", "must be https:// or http:// with a host", [
        "app.harness.io", "ftp://h", "https://", "https:///path", "https://h?x=1", "https://h/?", "https://h#f",
        "https://user@h", "https://u:p@h", "https://h:0", "https://h:65536", "https://h:x", "https://h:", "https://h h",
        "https://h/a b", "https://h/a//b", "https://h/../b", "https://h/./", "https://[::1", "https://[zz]",
        "https://[127.0.0.1]", "https://h\\@x", "http\u017f://h", "https://h\u212aey", "https://h/\u00e9",
        "https://h\n.x", "https://-h",
    ]),
    ("api_prefix", "must be a path that starts with / and does not end in one", [
        "har/api", "/", "/har/", "//har", "/har/../x", "/har?x", "/h r",
    ]),
    ("proxy_url", "must be http://", [
        "proxy:3128", "socks5://p:1", "http://p:1/path", "http://u:p@", "http://u:p\\@p", "http://a@b@c",
    ]),
    ("listen_address", "must be host:port", [
        "10981", ":65536", ":x", "::1:9", "[::1]", "[x]:1", "h h:1", "h:", ":-1", "[1.2.3.4]:1",
    ]),
    ("link_template", "must hold no braces but {base}, {account}, {org}, {project}, {registry}", [
        "{base}/{accounts}", "{base}/{", "{base}/}", "{base}{0}", "{base}{}", "{base}/{org!r}", "{base}/{org:9}",
        "{base}{org.x}", "{base}/{{org}}", "{base}/{o{org}rg}",
    ]),
    ("link_template", "must start with {base}, https:// or http://", [
        "/path", "javascript:x", "{org}/{base}", "https://a b", "https://a\x00",
    ]),
    ("spaces", "is required", [", ,"]),
    ("spaces", "entry 2: is the same space as entry 1", ["a/b,a/b", "a/b,a/b/+"]),
    ("spaces", "entry 3: is the same space as entry 1", [" a/b/+ ,c,a/b"]),
    ("spaces", SCOPE, [
        f"ok,{ref}"
        for ref in ("/a", "a/", "a//b", "a/b/c/d", ".", "..", "a/..", "a/./b", "a b", "a/+/", "a/+/+", "+", "a?",
                    "a%2f", "\u00e4", "a\nb")
    ]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "said", "value"), [(name, said, value) for name, said, values in REFUSED for value in values]
)
def test_a_fault_says_what_is_accepted(name, said, value):
    assert UNQUOTED(fault_of(name, value)).startswith(said)


@pytest.mark.parametrize(
    ("name", "value", "normal"),
    [
        ("base_url", "https://h", "https://h"),
        ("base_url", " HTTPS://App3.Harness.IO:8443/Gate/way// ", "https://app3.harness.io:8443/Gate/way"),
        ("base_url", "https://[2001:DB8::1]:443", "https://[2001:db8::1]:443"),
        ("base_url", "http://localhost:1/x", "http://localhost:1/x"),
        ("base_url", "http://127.8.9.1", "http://127.8.9.1"),
        ("base_url", "http://[::1]:80", "http://[::1]:80"),
        ("api_prefix", "/har\n", "/har"),
        ("api_key", " pat.acct.id.k\n", SecretStr("pat.acct.id.k")),
        ("stale_scan_after", "off", ()),
    ],
)
def test_a_value_is_normalised(name, value, normal):
    """White space around it does not count; of an address scheme and host are lower case and no slash trails."""
    assert accepted(name, value) == normal


@pytest.mark.parametrize(
    "url", ["http://h", "http://128.0.0.1", "http://localhost.example", "http://127.1", "HTTP://H"]
)
def test_a_key_is_not_sent_in_clear_text_unless_allowed(url):
    """http:// to another machine needs allow_insecure_http, for Harness and for a space of its own."""
    assert "allow_insecure_http" in fault_of("base_url", url)
    assert load({"base_url": url, "allow_insecure_http": "true"}, MINIMUM).base_url == url.lower()
    # An unreadable permission is its own fault, not the address's.
    (line,) = faults({"base_url": url, "allow_insecure_http": "maybe"}, MINIMUM)
    assert line.startswith("--allow-insecure-http: ")


@given(st.lists(st.sampled_from(["{base}", "{org}", "{", "}", "{account}", "/x", "{{", "0", "!r"]), max_size=5))
def test_an_accepted_link_template_can_be_filled(parts):
    """str.format never fails on a template that was accepted."""
    try:
        template = v.read_link_template("{base}" + "".join(parts))
    except ValueError:
        return
    assert "{" not in template.format(base="b", account="a", org="o", project="p", registry="r")


@given(st.tuples(*[st.integers(0, limit) for limit in (300, 23, 59, 59, 999)]))
def test_durations_round_trip(counts):
    """A duration spelled unit by unit is read as its exact number of seconds."""
    spelled = "".join(f"{count}{unit}" for count, unit in zip(counts, ("d", "h", "m", "s", "ms"), strict=True) if count)
    days, hours, minutes, seconds, thousandths = counts
    whole = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    assert v.read_duration(spelled or "0") == (whole * 1000 + thousandths) / 1000


@given(st.decimals(0, 10**9, places=3))
def test_a_number_is_a_duration_in_seconds(number):
    """A plain number counts seconds."""
    assert v.read_duration(f"{number:f}") == float(number)


@given(st.text(alphabet=string.digits + "dhms. -+e", max_size=8))
def test_a_duration_is_finite_or_refused(text):
    """Whatever is read is a finite number that is not negative."""
    try:
        seconds = v.read_duration(text)
    except ValueError:
        return
    assert 0 <= seconds < 1e18


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"two words in it", b"pat.acct\n.id.secret", b"\xff\xfe", b"elevenchars"]
)
def test_a_key_file_holds_one_key(content, tmp_path):
    """A file whose content could not be sent in a header is a fault, which does not show the content."""
    path = tmp_path / "key"
    path.write_bytes(content)
    (line,) = faults(environ=env(spaces="acct", api_key_file=str(path)))
    assert "printable ASCII" in line


# --- one setting against another ------------------------------------------------------------------------------------


def test_a_key_and_a_space_are_required():
    key, spaces = faults()
    assert key.startswith("api_key: is required (HAR_EXPORTER_API_KEY), or api_key_file")
    assert spaces.startswith("spaces: is required: account")


def test_two_keys_are_a_fault(files, settings_file):
    """api_key and api_key_file exclude each other, wherever they come from, and even if one is faulty."""
    flags = settings_file({"api_key_file": str(files[0])})
    (line,) = faults(flags, MINIMUM)
    assert line.startswith("HAR_EXPORTER_API_KEY: is set, and so is api_key_file")
    told = faults({"api_key_file": "/none"}, env(spaces="acct", api_key="a b"))
    assert [line.split(":")[0] for line in told] == ["HAR_EXPORTER_API_KEY", "--api-key-file", "HAR_EXPORTER_API_KEY"]


def test_spaces_with_keys_of_their_own_need_no_other(files, settings_file):
    """A top-level key is required only while a space has none."""
    own = [{"ref": "a", "api_key_file": str(files[0])}, {"ref": "b", "api_key_file": str(files[1])}]
    targets = load(settings_file({"spaces": own}), {}).served
    assert [(target.api_key, target.api_key_file) for target in targets] == [(None, files[0]), (None, files[1])]
    (line,) = faults(settings_file({"spaces": [*own, "c"]}))
    assert line.startswith("api_key: is required")
    (line,) = faults(settings_file({"spaces": [own[0], {"ref": "b", "api_key_file": ""}]}))
    assert line.startswith("api_key: is required")
    # A faulty entry does not make the key that it brings a missing one.
    (line,) = faults(settings_file({"spaces": [{**own[0], "ref": "/a"}]}))
    assert "entry 1, '/a': must be account" in line


def test_a_client_key_needs_its_certificate():
    assert "without client_cert_file" in fault_of("client_key_file", __file__)
    assert len(faults(environ={**MINIMUM, **env(client_key_file="/none")})) == 2


# --- spaces ---------------------------------------------------------------------------------------------------------


def test_every_fault_of_every_entry_is_told(settings_file):
    """Faults of entries do not hide each other; unknown keys get the nearest name."""
    entries = [
        "ok", "ok/+", "..", ["nested", "list"], {"registries": "a"},
        {"ref": "b", "registris": "x", "latest_version": "?"},
        {"ref": "c", "base_url": "ftp://x"}, {"ref": "d", "base_url": "http://d", "api_key_file": "/none"},
        {"ref": "e", "base_url": "https://e"}, {"ref": "f", "api_key": "k"}, {"ref": "g", "a b": "k"}, {"ref": ["x"]},
    ]  # fmt: skip
    flags = settings_file({"spaces": entries})
    lines = faults(flags, env(api_key="pat.acct.id.k"))
    told = [UNQUOTED(line.split(f"{flags['config']}: ")[1]) for line in lines]
    expected = [
        "entry 2: is the same", "entry 3: must be account", "entry 4: must be account", "entry 5: must be account",
        "entry 6: latest_version: must be true", "entry 6: registris: is unknown; did you mean registries?",
        "entry 7: base_url: must be", "entry 7: api_key_file: is required with base_url",
        "entry 8: base_url: must be https://: http://", "entry 8: api_key_file: must be a file",
        "entry 9: api_key_file: is required", "entry 10: api_key: is unknown; did you mean api_key_file?",
        "entry 11: (no name of a setting): is unknown", "entry 12: must be a single value",
    ]  # fmt: skip
    assert len(told) == len(expected)
    assert all(line.startswith(start) for line, start in zip(told, expected, strict=True))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("spaces", "ok,a b", "entry 2, 'a b': must be account"),
        ("spaces", "a//b", "entry 1, 'a//b': must be account"),
        ("spaces", "acct/org,x,acct/org/+", "entry 3, 'acct/org': is the same space as entry 1"),
        ("spaces", "pat.acct.id.secret+", "entry 1, 'pat.…': must be account"),
        ("spaces", "-pat.acct.id.secret+", "entry 1, '-pat…': must be account"),
        ("spaces", "k53_fiWTQ3i0xFxfg-51vw/o rg", "entry 1, 'k53_…/o rg': must be account"),
        ("spaces", "?/" * 50, f"entry 1, '{'?/' * 40}…': must be account"),
        ("registries", "npm,my npm", f"{NAME}, not 'my npm'"),
        ("package_types", "GO,\udcff \udc80", f"{NAME}, not '\ufffd \ufffd'"),
        ("package_types", "GO,R\tPM", f"{NAME}, not 'R\ufffdPM'"),
        ("findings", "quarantined,bloked", "must be a list of quarantined, blocked, warn, or off, not 'bloked'"),
        (
            "stale_scan_after",
            "7d,1x",
            "must be a duration: 30s, 5m, 1h30m, 500ms, 7d, or a number of seconds, not '1x'",
        ),
    ],
)
def test_a_fault_in_a_list_quotes_the_entry_and_cuts_what_may_be_a_key(name, value, said):
    """Nobody counts the entries of a long list; a key that was put there by mistake is not shown."""
    assert fault_of(name, value).startswith(said)


def test_spaces_inherit_what_they_do_not_say(settings_file, files):
    """A space takes filters, server and key from the settings unless it has its own; empty is a choice too."""
    flags = settings_file(f"""
        {{api_key: pat.acct.id.k, allow_insecure_http: yes,
          registries: r, package_types: NPM, latest_version: true, search_term: s,
          spaces: [
            acct,
            {{ref: a/b, latest_version: false, search_term: "", registries: [], package_types: null}},
            {{ref: other/org/proj, base_url: "http://other.example/", api_key_file: {files[0]},
              registries: "x,y", package_types: [GO], deployed_artifact: true, search_term: t}}]}}
    """)
    base, key = "https://app.harness.io", SecretStr("pat.acct.id.k")
    assert load(flags, {}).served == (
        Space(
            "acct", False, base, key, None, ("r",), ("NPM",),
            latest_version=True, deployed_artifact=None, search_term="s", owner="",
        ),
        Space(
            "a/b", False, base, key, None, (), ("NPM",),
            latest_version=False, deployed_artifact=None, search_term=None, owner="",
        ),
        Space(
            "other/org/proj", False, "http://other.example", None, files[0], ("x", "y"), ("GO",),
            latest_version=True, deployed_artifact=True, search_term="t", owner="",
        ),
    )  # fmt: skip


def test_targets_share_the_key_file(files):
    """Where the key is in a file, so it is for the spaces."""
    (target,) = load({"spaces": "a", "api_key_file": str(files[0])}, {}).served
    assert (target.api_key, target.api_key_file) == (None, files[0])


@pytest.mark.parametrize(("ref", "parts"), [("a", ("a", "", "")), ("a/b", ("a", "b", "")), ("a/b/c", ("a", "b", "c"))])
def test_a_space_knows_its_segments(ref, parts):
    """Account, organization and project are empty where the space has none."""
    (target,) = load({"spaces": ref}, MINIMUM).served
    assert (target.account, target.project) == (parts[0], parts[2])


# --- faults of the sources ------------------------------------------------------------------------------------------


def test_unknown_names_are_faults_with_the_nearest_name(settings_file):
    """Each source spells the unknown name and its nearest known one in its own way."""
    flags = {
        **settings_file("pagesize: 1\nCache-TTL: 1\nzzzzzz: 1\nconfig: x\nHAR_EXPORTER_SPACES: a\n"),
        "log_levle": "info",
    }
    flags["api_key"] = "k"
    path = flags["config"]
    environ = {**MINIMUM, "HAR_EXPORTER_SPACE": "a", "HAR_EXPORTER_page_size": "1", "HAR_EXPORTER_CONFIGS": ""}
    assert faults(flags, environ) == (
        "--log-levle: is unknown; did you mean --log-level?",
        "--api-key: is unknown; did you mean --api-key-file?",
        "HAR_EXPORTER_SPACE: is unknown; did you mean HAR_EXPORTER_SPACES?",
        "HAR_EXPORTER_page_size: is unknown; did you mean HAR_EXPORTER_PAGE_SIZE?",
        "HAR_EXPORTER_CONFIGS: is unknown; did you mean HAR_EXPORTER_CONFIG?",
        f"pagesize in {path}: is unknown; did you mean page_size in {path}?",
        f"Cache-TTL in {path}: is unknown; did you mean cache_ttl in {path}?",
        f"zzzzzz in {path}: is unknown; --help lists every setting",
        f"config in {path}: is unknown; --help lists every setting",
        f"HAR_EXPORTER_SPACES in {path}: is unknown; did you mean spaces in {path}?",
    )


def test_what_kubernetes_and_docker_inject_is_ignored():
    """Variables of a Service named har-exporter or har-exporter-<x>, or of a link to such a container."""
    ignored = {"ENV_PATH": "/bin", "X_Y_ENV_PAGE_SIZE": "1"}
    for name in ("", "X_Y_"):
        ignored |= {
            f"{name}SERVICE_HOST": "10.0.0.1", f"{name}SERVICE_PORT": "80", f"{name}SERVICE_PORT_METRICS": "10981",
            f"{name}PORT": "tcp://10.0.0.1:80", f"{name}PORT_80_TCP": "tcp://10.0.0.1:80",
            f"{name}PORT_80_UDP_ADDR": "10.0.0.1", f"{name}NAME": "/exporter/x-y",
        }  # fmt: skip
    assert load({}, {**MINIMUM, **env(**ignored)}) == load({}, MINIMUM)


def test_a_variable_that_looks_like_an_injected_one_is_a_fault():
    names = {
        "PORTS": "1",
        "SERVICE": "x",
        "LISTEN_PORT": "80",
        "USER_NAME": "x",
        "X_SERVICE_HOSTS": "x",
        "X_ENV_Y": "1",
    }
    assert len(faults(environ={**MINIMUM, **env(**names)})) == len(names)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key", "${HARNESS_API_KEY}"), ("api_key", "$HARNESS_API_KEY"), ("page_size", "${SIZE:-100}"),
        ("base_url", "https://${HOST}/x"), ("spaces", "a,${ACCOUNT}"), ("spaces", ["a", {"ref": "b", "owner": "${A}"}]),
    ],
)  # fmt: skip
def test_a_reference_to_a_variable_in_the_file_is_a_fault_that_names_the_variable_to_set(name, value, settings_file):
    flags = settings_file({"spaces": ["acct"], "api_key": "pat.acct.id.secret", name: value})
    line = (
        f"refers to an environment variable, which is not replaced in this file; remove it, and set {{}}{name.upper()}"
    )
    assert faults(flags) == (f"{name} in {flags['config']}: {line.format('HAR_EXPORTER_')} instead",)


def test_only_what_refers_to_a_variable_is_taken_for_that(settings_file):
    """A dollar and the placeholder of a template are none; lists that repeat each other are searched once."""
    template = "https://x/${account}"
    flags = settings_file({"spaces": ["a$B", "a/B$"], "search_term": "US$", "link_template": template})
    assert load(flags, MINIMUM).link_template == template
    lists = ", ".join(f"&a{number} [*a{number - 1}, *a{number - 1}]" for number in range(1, 100))
    assert load(settings_file(f"spaces: [&a0 [x], {lists}]\n"), MINIMUM)
    flags = settings_file({"api_key": "${KEY}", "spaces": ["${ACCOUNT}"]})
    assert load(flags, {}, pinned=PINNED).page_size == 7


def test_keys_given_twice_are_faults_with_their_line(settings_file):
    """YAML would keep one of them in silence, at the top as within a space."""
    flags = settings_file("page_size: 1\nspaces:\n- ref: a\n  ref: b\npage_size: 2\n")
    path = flags["config"]
    assert faults(flags, {"HAR_EXPORTER_API_KEY": "pat.acct.id.k"}) == (
        f"page_size in {path}: is repeated in line 5",
        f"ref in {path}: is repeated in line 4",
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [1\nb: 2\n", "must be a YAML file; there is a syntax error in line 2"),
        (b"api_key:secret\nspaces: [a]\n", "must be a YAML file; there is a syntax error in line 2"),
        (b"? [a]\n: b\n", "must be a YAML file; there is a syntax error in line 1"),
        (b'a: 1\n"\\ud800": 2\n', "must be a YAML file; there is a syntax error in line 2"),
        (b"a: 1\n---\nb: 2\n", "must be a YAML file; there is a syntax error in line 2"),
        (b"- a\n", "must be a YAML file that maps names of settings to values"),
        (b"text\n", "must be a YAML file that maps names of settings to values"),
        (b"[]\n", "must be a YAML file that maps names of settings to values"),
        (b"a: \x00\n", "must be a YAML file in UTF-8"),
        (b"a: \xff\n", "must be a YAML file in UTF-8"),
        (b"[\n" * 5000, "must be a YAML file in UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_fault(content, said, tmp_path):
    """It names what gave the path, and complains of nothing that may well be in the file."""
    path = tmp_path / "settings.yaml"
    path.write_bytes(content)
    assert faults({"config": str(path)}) == (f"--config: {said}",)
    told = faults(environ={"HAR_EXPORTER_CONFIG": str(path), "HAR_EXPORTER_PAGE_SIZE": "x"})
    assert told[0] == f"HAR_EXPORTER_CONFIG: {said}"
    assert len(told) == 2
    assert told[1].startswith("HAR_EXPORTER_PAGE_SIZE: ")


@pytest.mark.parametrize("path", ["/none", "/", "x" * 5000, "a\0b"])
def test_a_file_that_cannot_be_read_is_one_fault(path):
    """A missing file is a fault even if all settings are there."""
    (line,) = faults({"config": path}, MINIMUM)
    assert line.startswith("--config: must be a ")


def test_yaml_tags_make_no_objects(settings_file):
    """Tags mean nothing: every scalar is text."""
    flags = settings_file("page_size: !!int abc\ncache_ttl: !!timestamp x\nsearch_term: !!python/name:os.system x\n")
    told = faults(flags, MINIMUM)
    assert [line.split()[0] for line in told] == ["page_size", "cache_ttl"]


def test_all_faults_come_at_once(settings_file):
    """Faults of every source and kind are told together, each in the spelling of its source."""
    flags = {
        **settings_file("page_size: 0\npage_size: 0\nnope: 1\nspaces: [.., a, a]\ncache_ttl: [1]\n"),
        "concurrency": "x",
    }
    environ = env(max_stale="soon", nope="1", api_key="a b", api_key_file="/none", client_key_file=__file__)
    told = faults(flags, environ)
    path = flags["config"]
    assert sorted(line.split(": ")[0] for line in told) == sorted(
        [
            "HAR_EXPORTER_NOPE", f"nope in {path}", f"page_size in {path}", f"page_size in {path}", "--concurrency",
            f"spaces in {path}", f"spaces in {path}", f"cache_ttl in {path}", "HAR_EXPORTER_MAX_STALE",
            "HAR_EXPORTER_API_KEY", "HAR_EXPORTER_API_KEY", "HAR_EXPORTER_API_KEY_FILE", "HAR_EXPORTER_CLIENT_KEY_FILE",
        ]
    )  # fmt: skip


def test_a_fault_is_one_printable_line(tmp_path):
    """Even if the path of the file is not."""
    path = tmp_path / "new\nline\x1b[31m.yaml"
    path.write_text("page_size: x\n")
    (line,) = faults({"config": str(path)}, MINIMUM)
    assert "new\ufffdline\ufffd[31m.yaml" in line


def test_only_the_value_of_the_source_that_counts_can_be_faulty(settings_file):
    in_file, environ = settings_file("page_size: x\n"), {**MINIMUM, **env(page_size="x")}
    for name, told in {
        "--page-size": faults({**in_file, "page_size": "x"}, environ),
        "HAR_EXPORTER_PAGE_SIZE": faults(in_file, environ),
        f"page_size in {in_file['config']}": faults(in_file, MINIMUM),
    }.items():
        assert [line.split(": ")[0] for line in told] == [name]
    assert load({**in_file, "page_size": "5"}, MINIMUM).page_size == 5


# --- the demo -------------------------------------------------------------------------------------------------------

PINNED = {
    "base_url": "http://127.0.0.1:1234",
    "api_key": SecretStr("pat.demo.id.k"),
    "spaces": ["demo", "demo/org"],
    "page_size": 7,
}


def test_pinned_values_beat_every_source(settings_file):
    """The demo's values win over flags, environment and file."""
    settings = load({"page_size": "1", **settings_file("page_size: 2\n")}, env(page_size="3"), pinned=PINNED)
    assert (settings.page_size, settings.base_url) == (7, "http://127.0.0.1:1234")
    assert refs(settings.spaces) == ["demo", "demo/org"]


@pytest.mark.parametrize("name", sorted(UPSTREAM))
def test_settings_of_the_upstream_are_ignored_when_values_are_pinned(name, settings_file):
    """A broken or foreign upstream setting, from any source, does not touch the demo."""
    plain = load({}, {}, pinned=PINNED)
    assert load(settings_file({name: "\N{SNOWMAN}"}), env(**{name: "\N{SNOWMAN}"}), pinned=PINNED) == plain
    if name not in FLAGLESS:
        assert load({name: "\N{SNOWMAN}"}, {}, pinned=PINNED) == plain


@pytest.mark.parametrize("name", sorted(set(NAMES) - UPSTREAM - {"page_size"}))
def test_all_other_settings_count_when_values_are_pinned(name):
    """The demo honours, and refuses, them as ever."""
    value, expected = SAMPLES[name][0]
    assert getattr(load({"shards": "3", name: value}, {}, pinned=PINNED), name) == expected
    assert faults({name: "a\x07b"}, pinned=PINNED)


def test_faults_of_pinned_values_go_by_the_bare_name():
    """They came from no source that a user could spell."""
    assert faults(pinned={**PINNED, "page_size": 0, "cache_ttl": [1], "nope": 1})[0].startswith("nope: is unknown")
    (line,) = faults(pinned={**PINNED, "page_size": 0})
    assert line.startswith("page_size: must be")


def test_names_of_the_upstream_are_settings():
    """The list of what the demo ignores cannot go stale; nor can that of settings without a flag."""
    assert set(NAMES) >= UPSTREAM | FLAGLESS


# --- secrets --------------------------------------------------------------------------------------------------------

FORMS = [
    "?", "? x", " ?\n", "\x1b?", "https://u:?@h", "http://?", "[?]:1", "https://[?]/", "a/../?", "{?", "{base}{?}",
    "7d,?", "x,?,?/..", "?:99999", "pat.?.x\u00e9", "?" * 999, "https://h:1?", "?\udcff", "5?", "/?/",
    "/etc/passwd/?", "off,?",
]  # fmt: skip
BROKEN = st.sampled_from([form.replace("?", CANARY) for form in FORMS])
NESTED = st.one_of(
    BROKEN,
    st.lists(BROKEN, max_size=2),
    st.dictionaries(st.sampled_from(["ref", "base_url", "api_key_file", "search_term", f"{CANARY}.key"]), BROKEN),
    st.lists(st.fixed_dictionaries({"ref": BROKEN, "base_url": BROKEN, f"k {CANARY}": BROKEN}), min_size=1, max_size=2),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Give a folder with a file that holds the canary, and is no key."""
    path = tmp_path_factory.mktemp("settings")
    (path / "key").write_text(f"{CANARY} {CANARY}")
    return path


@given(
    flags=st.dictionaries(st.sampled_from(NAMES), BROKEN, max_size=6),
    environ=st.dictionaries(st.sampled_from(NAMES), BROKEN, max_size=6),
    content=st.dictionaries(st.sampled_from([*NAMES, f"pat.{CANARY}.x"]), NESTED, max_size=6),
    ruin=st.sampled_from(
        ["", "", "]", f"\n!!{CANARY} &{CANARY} *{CANARY}", f"\napi_key:{CANARY}\nx: 1", f"\n'{CANARY}"]
    ),
    keyed=st.booleans(),
)
def test_no_fault_ever_holds_a_value(folder, flags, environ, content, ruin, *, keyed):
    """Whatever is broken, and wherever a key was put by mistake, neither faults nor tracebacks show it."""
    path = folder / "settings.yaml"
    path.write_bytes((json.dumps(content) + ruin).encode("utf-8"))
    flags = {**flags, "config": str(path), "nope": CANARY}
    flags |= {"api_key_file": str(folder / "key")} if keyed else {}
    with pytest.raises(SettingsError) as caught:
        load(flags, env(**environ))
    error = caught.value
    told = ["".join(traceback.format_exception(error)), str(error), repr(error), repr(error.faults)]
    assert not any(CANARY in text for text in told)
    assert all(line.isprintable() for line in error.faults)
    assert error.__context__ is None


@given(st.sampled_from(["api_key", "proxy_url"]), st.text(string.ascii_letters, max_size=5))
def test_secrets_never_show_in_valid_settings(name, suffix):
    """repr, str and JSON of settings and targets hide the key and the proxy's password."""
    secret = f"pat.{CANARY}{suffix}" if name == "api_key" else f"http://u:{CANARY}{suffix}@proxy:1"
    settings = load({}, {**MINIMUM, **env(**{name: secret})})
    assert getattr(settings, name).get_secret_value() == secret
    told = [
        repr(settings),
        str(settings),
        settings.model_dump_json(),
        repr(settings.served),
        repr(settings.model_dump()),
    ]
    assert not any(CANARY in text for text in told)


def test_the_library_does_not_show_values_in_its_own_faults():
    """Should the model's error ever get out, it hides what it was given, at the top and in an entry."""
    with pytest.raises(ValidationError) as caught:
        Settings(_Pinned({"api_key": f"{CANARY} x"}))
    assert CANARY not in str(caught.value)
    with pytest.raises(ValidationError) as caught:
        SpaceEntry.model_validate({"ref": f"{CANARY} x"})
    assert CANARY not in str(caught.value)


def test_the_library_does_not_log_secrets(monkeypatch, caplog, settings_file):
    """PYDANTIC_SETTINGS_DEBUG makes the library log what its sources hold: not here."""
    monkeypatch.setenv("PYDANTIC_SETTINGS_DEBUG", "1")
    with caplog.at_level(logging.DEBUG):
        load(settings_file({"api_key": f"pat.{CANARY}", "spaces": [{"ref": "a", "search_term": CANARY}]}), {})
    assert "_File" in caplog.text
    assert CANARY not in caplog.text


def test_importing_settings_reads_nothing(monkeypatch):
    """An environment that is all wrong does not disturb the import."""
    monkeypatch.setenv("HAR_EXPORTER_PAGE_SIZE", "x")
    monkeypatch.setenv("PAGE_SIZE", "x")
    runpy.run_path(inspect.getfile(Settings))


def test_an_entry_with_two_asterisks_stands_for_all_spaces_below():
    settings = load({"spaces": "-k5/**,acct/org/**"}, MINIMUM)
    assert [(space.ref, space.descendants, space.entry) for space in settings.configured] == [
        ("-k5", True, "-k5/**"),
        ("acct/org", True, "acct/org/**"),
    ]


@pytest.mark.parametrize("ref", ["/**", "a/**/b", "a/*", "a/***", "a/b/c/d/**", "**", "a**"])
def test_asterisks_stand_at_the_end_only(ref):
    assert "/** at the end" in faults(environ={**MINIMUM, **env(spaces=ref)})[0]


def test_spaces_cannot_be_found_without_the_registries():
    assert faults(environ={**MINIMUM, **env(spaces="b,a/**", sources="violations")}) == (
        "HAR_EXPORTER_SPACES: entry 2, 'a/**': requires registries in sources, which lists the spaces below it",
    )


FOUND = {"acct/**": {"acct", "acct/org", "acct/org/p", "acct/Other", "acct/x"}}


def test_found_spaces_come_after_the_configured_ones_with_the_settings_of_the_nearest_entry(settings_file):
    settings = load(
        settings_file("""
            {api_key: pat.acct.id.k, owner: {"acct/x": web, "acct/*": all}, spaces: [
              {ref: "acct/**", search_term: s}, {ref: acct/other, search_term: t},
              {ref: "acct/org/**", search_term: o}]}
        """),
        {},
    )
    spaces = settings.configured_and(FOUND)
    assert [(space.ref, space.search_term, space.descendants, space.owner) for space in spaces] == [
        ("acct", "s", True, ""),
        ("acct/other", "t", False, "all"),
        ("acct/org", "o", True, "all"),
        ("acct/org/p", "o", False, "all"),
        ("acct/x", "s", False, "web"),
    ]
    assert [space.entry for space in settings.asked_for_sources] == ["acct/**"]


def test_an_entry_without_asterisks_overrides_the_root_of_another(settings_file):
    text = '{api_key: pat.acct.id.k, spaces: ["acct/**", {ref: acct, search_term: t}]}'
    (space,) = load(settings_file(text), {}).configured
    assert (space.search_term, space.entry) == ("t", "acct/**")


@pytest.mark.parametrize(("sources", "asked"), [("off", []), ("violations", ["acct"]), ("registries", ["acct"])])
def test_entries_are_asked_for_sources_that_are_on(sources, asked):
    settings = load({"spaces": "acct", "sources": sources}, {"HAR_EXPORTER_API_KEY": "pat.acct.id.k"})
    assert [space.entry for space in settings.asked_for_sources] == asked


def test_an_entry_with_another_key_is_asked_itself(settings_file, files):
    text = f'{{api_key: pat.acct.id.k, spaces: ["acct/**", {{ref: "acct/org/**", api_key_file: {files[0]}}}]}}'
    settings = load(settings_file(text), {})
    assert [space.entry for space in settings.asked_for_sources] == ["acct/**", "acct/org/**"]
    found = {"acct/**": {"acct/org/p", "acct/a"}, "acct/org/**": {"acct/org/p"}}
    own = {space.ref: space.api_key_file for space in settings.configured_and(found)}
    assert own == {"acct": None, "acct/org": files[0], "acct/org/p": files[0], "acct/a": None}
