"""The web config file: what it may say, how faults are told, and what a change of it does."""

import pytest
import requests
import yaml

from exporter.texts import SettingsError
from exporter.webconfig.file import RateLimit, WebConfigFile, parse
from exporter.webconfig.readers import CIPHERS, CIPHERS_13
from tests.support.commands import run, served
from tests.support.guarded import HASH, HEADERS, PASSWORD, USERS

PAIR = "cert_file: a, key_file: b"


def read(tmp_path, config):
    return parse((config if isinstance(config, str) else yaml.safe_dump(config)).encode(), tmp_path / "web.yml")


def faults(tmp_path, config):
    """Give the faults without the path, which each of them has."""
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, config)
    path = str(tmp_path / "web.yml")
    assert all(line.count(path) == 1 for line in caught.value.faults)
    return [line.replace(f" in {path}", "") for line in caught.value.faults]


def test_an_empty_file_protects_nothing(tmp_path):
    for text in ("", "---\n", "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\nrate_limit:\n", "{}"):
        config = read(tmp_path, text)
        assert (config.tls, config.limit, config.basic_auth_users) == (None, None, {})
        assert config.http_server_config.headers == {}


def test_defaults_are_those_that_the_format_documents(tmp_path):
    section = read(tmp_path, f"tls_server_config: {{{PAIR}}}").tls
    assert (section.min_version, section.max_version) == ("TLS12", "TLS13")
    assert section.client_auth_type == "NoClientCert"
    assert section.prefer_server_cipher_suites is True
    assert read(tmp_path, "").http_server_config.http2 is True


def test_http2_may_be_turned_off(tmp_path):
    assert read(tmp_path, "http_server_config: {http2: false}").http_server_config.http2 is False


def test_paths_are_relative_to_the_file_and_absolute_ones_stay(tmp_path):
    section = read(tmp_path, {"tls_server_config": {"cert_file": "sub/a.crt", "key_file": "/etc/b.key"}}).tls
    assert str(section.cert_file) == str(tmp_path / "sub/a.crt")
    assert str(section.key_file) == "/etc/b.key"


@pytest.mark.parametrize("suites", [[*CIPHERS], [*CIPHERS, *CIPHERS_13]])
def test_every_cipher_suite_of_the_toolkit_is_known(suites, tmp_path):
    config = read(tmp_path, f"tls_server_config: {{{PAIR}, cipher_suites: [{', '.join(suites)}]}}")
    assert config.tls.cipher_suites == tuple(suites)
    assert len(CIPHERS) == 14


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("100ms", 0.1), ("1m30s", 90), ("1.5h", 5400), ("2us", 2e-6), ("3µs", 3e-6), ("5ns", 5e-9)],
)
def test_intervals_are_spelled_as_go_does(text, seconds, tmp_path):
    config = read(tmp_path, {"rate_limit": {"interval": text, "burst": 3}})
    assert config.limit == RateLimit(pytest.approx(seconds), 3)


def test_an_interval_of_0_is_no_limit(tmp_path):
    assert read(tmp_path, {"rate_limit": {"interval": 0, "burst": 0}}).limit is None
    assert read(tmp_path, {"rate_limit": {"interval": "0s"}}).limit is None


UNVERIFIED = "is not supported: Python's TLS requests no cert"
NO_HASH = "must be a bcrypt hash, as `har-exporter web-config hash` prints"
# For each section: what stands in it, and the beginning of the fault.
REFUSED = {
    "tls_server_config": [
        (f"{PAIR}, cert_fil: x", ".cert_fil: is unknown, did you mean cert_file?; accepted are cert, key,"),
        ("cert_file: a", ".key_file: is required, or key"),
        ("key_file: a", ".cert_file: is required, or cert"),
        (f"{PAIR}, cert: x", ".cert: is set, and so is cert_file; remove one"),
        (f"{PAIR}, key: x", ".key: is set, and so is key_file; remove one"),
        (f"{PAIR}, min_version: TLS10", ".min_version: TLS10 is insecure"),
        (f"{PAIR}, min_version: TLS11", ".min_version: TLS11 is insecure"),
        (f"{PAIR}, max_version: TLS11", ".max_version: TLS11 is insecure"),
        (f"{PAIR}, min_version: 1.2", ".min_version: must be one of TLS12"),
        (f"{PAIR}, min_version: TLS13, max_version: TLS12", ".min_version: must not be above max_version"),
        *(
            (f"{PAIR}, client_auth_type: {policy}", f".client_auth_type: {policy} {UNVERIFIED}")
            for policy in ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
        ),
        (f"{PAIR}, client_auth_type: x", ".client_auth_type: must be one of"),
        (
            f"{PAIR}, client_ca_file: x",
            ".client_ca_file: has no effect without client_auth_type; accepted is RequireAndV",
        ),
        (
            f"{PAIR}, client_allowed_sans: [x], client_auth_type: VerifyClientCertIfGiven",
            ".client_allowed_sans: requires client_auth_type Requ",
        ),
        (
            f"{PAIR}, curve_preferences: [X25519, CurveP256]",
            ".curve_preferences: several curves are not supported: Python's TLS",
        ),
        (f"{PAIR}, curve_preferences: [x]", ".curve_preferences: must be a list of one of"),
        (f"{PAIR}, cipher_suites: [x]", ".cipher_suites: must be a list of TLS_"),
        (f"{PAIR}, cipher_suites: x", ".cipher_suites: must be a list"),
        (
            f"{PAIR}, cipher_suites: [TLS_AES_128_GCM_SHA256]",
            ".cipher_suites: cannot select suites of TLS 1.3: Python's TLS enables all",
        ),
        (
            f"{PAIR}, cipher_suites: [{', '.join(sorted(CIPHERS_13))}]",
            ".cipher_suites: has none of TLS 1.2; this requires min_version TLS13",
        ),
    ],
    "http_server_config": [
        ("htp2: true", ".htp2: is unknown, did you mean http2?; accepted"),
        ("http2: maybe", ".http2: must be true or false"),
        ("headers: {Server: x}", ".headers.Server: is unknown; acc"),
        ("headers: {X-Frame-Options: allow}", ".headers.X-Frame-Options: must be deny or sameorigin"),
        ("headers: {X-Content-Type-Options: sniff}", ".headers.X-Content-Type-Options: must be nosniff"),
        (r'headers: {X-XSS-Protection: "a\x07"}', ".headers.X-XSS-Protection: must be text without control characters"),
        ("headers: [x]", ".headers: must be a mapping of names to values"),
    ],
    "basic_auth_users": [
        ("bob: secret", f".bob: {NO_HASH}"),
        ("bob: null", f".bob: {NO_HASH}"),
        (f"bob: {HASH.replace('$04$', '$32$')}", f".bob: {NO_HASH}"),
        # bcrypt refuses this salt: no request must be what finds out.
        (f"bob: {HASH[:28]}P{HASH[29:]}", f".bob: {NO_HASH}"),
        ("'what is this?': x", f".(no name of a key): {NO_HASH}"),
    ],
    "rate_limit": [
        ("bursts: 1", ".bursts: is unknown, did you mean burst?; accepted are interval, burst"),
        ("interval: 1", ".interval: must be a duration with its unit, such as 500ms or 1m30s"),
        ("interval: -1s", ".interval: must be a duration with its unit"),
        ("interval: 1s, burst: -1", ".burst: must be a whole number from 0 to 999999999"),
        ("interval: 1s", ".burst: must be at least 1 if interval is not 0, or every"),
    ],
}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        *((f"{name}: {{{text}}}", name + line) for name, rows in REFUSED.items() for text, line in rows),
        ("tls_server_confg: {}", "tls_server_confg: is unknown, did you mean tls_server_config?; accepted are tls_"),
        ("basic_auth_users: [bob]", "basic_auth_users: must be a mapping of names to values"),
        ("tls_server_config: x", "tls_server_config: must be a mapping of names to values"),
        ("basic_auth_users: {}\nbasic_auth_users: {}", "basic_auth_users: is repeated in line 2"),
    ],
)
def test_each_refusal_names_the_key_and_what_is_accepted(text, line, tmp_path):
    (found,) = faults(tmp_path, text)
    assert found.startswith(line)
    assert HASH not in found


@pytest.mark.parametrize("text", ["- a\n", "a: [\n", "\x00", "a: \xff"])
def test_what_is_no_yaml_mapping_is_a_fault_with_the_path(text, tmp_path):
    with pytest.raises(SettingsError, match=r"web\.yml: must be a YAML file"):
        parse(text.encode("latin-1"), tmp_path / "web.yml")


def test_all_faults_are_told_at_once(tmp_path):
    text = f"{{tls_server_config: {{{PAIR}, min_version: x}}, basic_auth_users: {{a: x, b: x}}, more: 1}}"
    assert len(faults(tmp_path, text)) == 4


def test_a_file_that_is_not_there_is_a_fault(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        WebConfigFile(tmp_path / "none.yml")


def test_serve_refuses_to_start_with_2_and_a_line_for_each_fault(guarded):
    path = guarded.write(guarded.tls(min_version="TLS11", cert_fil="x") | {"basic_auth_users": {"alice": PASSWORD}})
    for command in ("serve", "check"):
        done = run(command, api_key="pat.acct.id.key", spaces="acct", web_config_file=str(path))
        assert (done.returncode, done.stdout) == (2, "")
        lines = done.stderr.splitlines()
        assert len(lines) == 3
        assert all(line.startswith("har-exporter: ") and f" in {path}: " in line for line in lines)
        assert PASSWORD not in done.stderr


def test_serve_refuses_to_start_without_the_files_that_tls_needs(guarded):
    path = guarded.write(guarded.tls(cert_file="none.crt"))
    done = run("demo", web_config_file=str(path))
    assert done.returncode == 2
    assert done.stderr == (
        f"har-exporter: tls_server_config.cert_file in {path}: cannot be read (No such file or directory);"
        " accepted is the path of a file\n"
    )


def test_the_demo_serves_tls_and_asks_for_a_password_on_every_path_and_shows_it_nowhere(guarded):
    path = guarded.write(guarded.tls() | USERS)
    key = (guarded.folder / "server.key").read_text().splitlines()[1]
    with served("demo", "--log-level", "debug", web_config_file=str(path)) as (process, address):
        url = address.replace("http:", "https:")
        pages = ""
        for page in ("/", "/metrics", "/-/healthy", "/-/ready", "/none"):
            assert requests.get(url + page, timeout=10, verify=guarded.folder / "ca.pem").status_code == 401
            answer = requests.get(url + page, timeout=10, verify=guarded.folder / "ca.pem", auth=("alice", PASSWORD))
            assert answer.status_code == (404 if page == "/none" else 200)
            pages += answer.text
        process.terminate()
        pages += process.stderr.read()
    assert not [secret for secret in (PASSWORD, HASH, key) if secret in pages]


ALL_HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
    "X-XSS-Protection": "1; mode=block",
}


def test_headers_are_on_every_answer_once_and_follow_the_file(guarded):
    with guarded.serving({"http_server_config": {"headers": ALL_HEADERS}} | USERS):
        for auth, status in ((None, 401), (("alice", PASSWORD), 200)):
            answer = guarded.get(auth=auth)
            assert answer.status_code == status
            assert {name: answer.headers[name] for name in ALL_HEADERS} == ALL_HEADERS
        guarded.write({"http_server_config": {"headers": {"X-Frame-Options": "sameorigin"}}} | USERS)
        assert guarded.get().headers["X-Frame-Options"] == "sameorigin"
        assert "X-XSS-Protection" not in guarded.get().headers


def test_a_blank_header_is_not_set_and_lines_become_one(guarded):
    folded = (
        'http_server_config:\n  headers:\n    X-Frame-Options: ""\n    Content-Security-Policy: >\n      a\n      b\n'
    )
    with guarded.serving(folded):
        answer = guarded.get()
        assert answer.headers["Content-Security-Policy"] == "a b"
        assert "X-Frame-Options" not in answer.headers
        assert answer.headers["X-Content-Type-Options"] == HEADERS[1][1].decode()


def test_beyond_the_rate_limit_is_429_until_a_token_is_back(guarded):
    with guarded.serving({"rate_limit": {"interval": "10s", "burst": 2}}):
        assert [guarded.status() for _ in range(4)] == [200, 200, 429, 429]
        guarded.clock.tick(10)
        assert [guarded.status() for _ in range(2)] == [200, 429]
        guarded.clock.tick(1000)
        assert [guarded.status() for _ in range(3)] == [200, 200, 429]
        guarded.write({"rate_limit": {"interval": 0}})
        assert {guarded.status() for _ in range(5)} == {200}


def test_requests_without_a_password_count_for_the_rate_limit(guarded):
    with guarded.serving({"rate_limit": {"interval": "10s", "burst": 2}} | USERS):
        assert [guarded.status() for _ in range(3)] == [401, 401, 429]


def test_users_come_and_go_without_a_restart(guarded):
    alice, bob = ("alice", PASSWORD), ("bob", PASSWORD)
    with guarded.serving(USERS):
        assert (guarded.status(auth=alice), guarded.status(auth=bob)) == (200, 401)
        guarded.write({"basic_auth_users": {"bob": HASH}})
        assert (guarded.status(auth=alice), guarded.status(auth=bob)) == (401, 200)


def test_users_that_are_added_to_a_file_without_any_are_asked_for(guarded):
    with guarded.serving(""):
        assert guarded.status() == 200
        guarded.write(USERS)
        assert guarded.status() == 401
        guarded.write("")
        assert guarded.status() == 500


def test_tls_that_is_new_in_a_file_is_never_left_out(guarded, log_lines):
    with guarded.serving(USERS):
        guarded.write(guarded.tls() | USERS)
        assert [guarded.status(auth=("alice", PASSWORD)) for _ in range(2)] == [500, 500]
        guarded.write(USERS)
        assert guarded.status(auth=("alice", PASSWORD)) == 200
    (line,) = [line for line in log_lines() if "invalid, refusing" in line]
    assert "cannot change to TLS; restart the exporter" in line


@pytest.mark.parametrize("content", ["", "{}", "basic_auth_users:\n", "basic_auth_users: {}\n", "rate_limit: {}\n"])
def test_an_emptied_file_never_drops_authentication(content, guarded, log_lines):
    with guarded.serving(USERS):
        guarded.write(content)
        assert [guarded.status(auth=auth) for auth in (None, ("alice", PASSWORD))] == [500, 500]
        guarded.write(USERS)
        assert [guarded.status(auth=auth) for auth in (None, ("alice", PASSWORD))] == [401, 200]
    (line,) = [line for line in log_lines() if "invalid, refusing" in line]
    assert "basic_auth_users in" in line


@pytest.mark.parametrize("content", ["x: [", "unknown: 1\n", "basic_auth_users:\n  alice: plain\n", None])
def test_a_broken_file_refuses_requests_and_is_told_once_for_each_change(content, guarded, log_lines):
    with guarded.serving(USERS):
        guarded.path.unlink() if content is None else guarded.write(content)
        assert [guarded.status(auth=("alice", PASSWORD)) for _ in range(3)] == [500] * 3
        assert sum("invalid, refusing" in line for line in log_lines()) == 1
        guarded.write("other: 1")
        assert guarded.status() == 500
        guarded.write(USERS)
        assert guarded.status(auth=("alice", PASSWORD)) == 200
        assert sum("valid again" in line for line in log_lines()) == 1
    assert sum("invalid, refusing" in line for line in log_lines()) == 2
    assert not [line for line in log_lines() if PASSWORD in line or HASH in line or "plain" in line]
