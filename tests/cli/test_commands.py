"""The commands as a user runs them: real processes, real servers, exit codes."""

import importlib
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest
import requests
import trustme

from exporter import __version__
from exporter.cli import main
from exporter.config.settings import FLAGLESS, Settings
from exporter.demo.catalogue import SPACES
from tests.support.commands import ENVIRONMENT, run, run_process, served, settings_for
from tests.support.terminal import on_terminal
from tests.support.upstream import Upstream, make_rows


def test_demo_serves_every_demo_space_whatever_the_upstream_and_honours_other_settings():
    broken = {"base_url": "ftp://nowhere", "api_key_file": "/nonexistent", "spaces": "///"}
    with served("demo", "--cache-ttl", "77s", **broken) as (_, url):
        page = requests.get(f"{url}/metrics", timeout=10)
    assert page.status_code == 200
    for space in SPACES:
        assert f'har_up{{space="{space}"}} 1.0' in page.text
        assert f'har_snapshot_complete{{space="{space}"}} 1.0' in page.text
        assert f'har_refresh_interval_seconds{{space="{space}"}} 77.0' in page.text


def test_links_of_the_demo_lead_to_a_page_of_the_demo():
    """To one that a browser outside of a container reaches too, which the demo registry is not."""
    with served("demo", cache_ttl="1s") as (process, url):
        process.send_signal(signal.SIGHUP)
        assert any('msg="settings reloaded"' in line for line in process.stderr)
        links = set(re.findall(r'[{,]url="([^"]+)"', requests.get(f"{url}/metrics", timeout=20).text))
        page = requests.get(url, timeout=20)
    assert links
    assert {link.partition("#")[0] for link in links} == {f"{url}/"}
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("settings", "link"),
    [
        ({}, "http://localhost:10981/#/account/demo/"),
        ({"listen_address": "[::1]:99"}, "http://[::1]:99/#/account/demo/"),
        ({"link_template": "https://ui.example/{registry}"}, "https://ui.example/"),
    ],
)
def test_links_of_a_dump_of_the_demo_lead_to_where_it_is_served(settings, link):
    done = run("demo", "dump", **settings)
    assert set(re.findall(r'url="([^"]+)"', done.stdout))
    assert all(url.startswith(link) for url in re.findall(r'[{,]url="([^"]+)"', done.stdout))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_ends_with_0_when_it_is_asked_to_even_while_a_walk_hangs(number):
    hold = threading.Event()
    with Upstream(make_rows(3), hold=hold) as upstream, served(**settings_for(upstream)) as (process, _):
        upstream.wait_for_requests(1)
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
        assert time.monotonic() - began < 5
        hold.set()


def test_serve_heeds_a_signal_from_the_moment_that_it_says_it_listens():
    with Upstream(make_rows(3)) as upstream, served(**settings_for(upstream)) as (process, _):
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_serve_heeds_sigterm_while_it_waits_for_a_key_file(tmp_path):
    environment = ENVIRONMENT | {"HAR_EXPORTER_SPACES": "acct", "HAR_EXPORTER_API_KEY_FILE": f"{tmp_path}/key"}
    command = [sys.executable, "-m", "exporter"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert "waiting 30 seconds" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert (process.wait(timeout=10), process.stderr.read()) == (-signal.SIGTERM, "")


def test_importing_the_module_of_the_command_runs_nothing(capsys):
    importlib.import_module("exporter.__main__")
    assert capsys.readouterr() == ("", "")


def test_check_prints_a_line_for_each_space_that_answers():
    with Upstream({"acct": make_rows(7), "acct/org": make_rows(120)}, key="pat.acct.id.secret") as upstream:
        done = run_process("check", **settings_for(upstream, spaces="acct,acct/org"))
    assert (done.returncode, done.stderr) == (0, "")
    head, first, second = done.stdout.splitlines()
    assert re.sub(" +", " ", head) == "SPACE VERDICT ARTIFACTS SERIES REQUESTS REFRESH LATENCY IMAGES HINT"
    assert first.split()[:3] == ["acct", "ok", "7"]
    assert second.split()[:3] == ["acct/org", "ok", "120"]


def verdict_of(**variables: str) -> str:
    """Return the one line that check has for the one space that fails."""
    done = run("check", **variables)
    assert done.returncode == 1
    _, line = done.stdout.splitlines()
    return line


def test_check_says_what_to_change_for_a_wrong_host():
    line = verdict_of(base_url="https://har.invalid", api_key="pat.acct.id.key", spaces="acct", request_timeout="5s")
    assert re.match(r"acct +(dns|timeout) .*base_url", line)


def test_check_says_what_to_change_for_a_private_ca_and_ca_file_mends_it(tmp_path):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    with Upstream(make_rows(2), ssl_context=context) as upstream:
        line = verdict_of(**settings_for(upstream))
        assert re.match(r"acct +tls .*ca_file", line)
        assert run("check", **settings_for(upstream, ca_file=str(ca_file))).returncode == 0


def test_check_prints_json_for_a_machine():
    with Upstream({"acct": make_rows(7)}) as upstream:
        done = run("check", "--output", "json", **settings_for(upstream, spaces="acct,acct/nowhere"))
    good, bad = json.loads(done.stdout)["spaces"]
    assert done.returncode == 1
    assert (good["space"], good["ok"], good["artifacts"], good["reason"]) == ("acct", True, 7, "")
    assert (bad["space"], bad["ok"], bad["artifacts"], bad["reason"]) == ("acct/nowhere", False, None, "client_error")


def test_dump_prints_the_metrics_of_spaces_and_of_the_process_its_version_alone():
    with Upstream(make_rows(101)) as upstream:
        done = run_process("dump", **settings_for(upstream))
    assert done.returncode == 0
    assert 'har_snapshot_artifacts{source="fetched",space="acct"} 101.0' in done.stdout
    assert "process_" not in done.stdout
    assert set(re.findall(r"^har_exporter_\w+", done.stdout, re.MULTILINE)) == {"har_exporter_build_info"}


def test_unusable_settings_end_with_2_and_a_line_for_each_fault_without_a_secret():
    done = run_process("--page-size", "no", "--cache-ttl", "soon", api_key="can ary", max_stael="1h")
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert all(line.startswith("har-exporter: ") for line in lines)
    assert any("--page-size" in line for line in lines)
    assert any("--cache-ttl" in line for line in lines)
    assert any("HAR_EXPORTER_MAX_STALE" in line for line in lines)
    assert any("spaces" in line for line in lines)
    assert "can ary" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (["serv"], "serve"),
        (["demo", "chek"], "check"),
        (["web-config", "hsh"], "hash"),
        (["-config", "x"], "--config"),
        (["serve", "-config=x"], "--config"),
        (["check", "--page_size", "5"], "--page-size"),
        (["check", "--PAGE-SIZE", "5"], "--page-size"),
        (["check", "-o", "json"], "--output"),
        (["check", "-ojson"], "--output"),
        (["check", "-output=json"], "--output"),
        (["dump", "-o", "file"], "--output"),
        (["chek", "-v"], "check"),
        (["-v"], "--version"),
        (["serve", "-h"], "--help"),
        (["help", "chek"], "check"),
        (["check", "--output", "jsn"], "json"),
        (["completion", "bsh"], "bash"),
        (["demo", "check", "--outptu", "json"], "--output"),
        (["--api-key", "canary"], "--api-key-file"),
        (["--api-key=canary"], "--api-key-file"),
    ],
)
def test_an_unknown_word_or_flag_is_refused_with_the_nearest_one(arguments, nearest):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.endswith(f"did you mean {nearest}?\n")
    assert done.stderr.count("\n") == 1
    assert "canary" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config", "x", "chek"], "unexpected word 'chek'; did you mean check? A command comes before its flags"),
        (["check", "xyz"], "unexpected word 'xyz'; --help lists what is accepted"),
        (["help", "check", "xyz"], "unexpected word 'xyz'; --help lists what is accepted"),
        (["check", "pat.acct.id.secret"], "unexpected word 'pat.…'; --help lists what is accepted"),
        (["demo", "xyz"], "unknown command 'xyz'; --help lists all"),
        (["", "check"], "unknown command ''; --help lists all"),
        (["check", "-5"], "unknown flag '-5'; --help lists all"),
        (["completion"], "Missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish"),
    ],
)
def test_a_command_line_that_cannot_be_used_is_one_line_that_quotes_the_word(arguments, said):
    assert run(*arguments) == (2, "", f"har-exporter: {said}\n")


@pytest.mark.parametrize("flag", ["--api-key-file", "--config", "--ca-file", "--web-config-file"])
def test_a_folder_in_place_of_a_file_is_called_a_folder(flag, tmp_path):
    done = run("check", flag, str(tmp_path), spaces="acct")
    assert done.returncode == 2
    assert f"har-exporter: {flag}: must be a file that can be read: it is a folder\n" in done.stderr


@pytest.mark.parametrize("words", [["help", "check"], ["check", "--help"], ["demo", "check", "--help"]])
def test_the_help_of_a_command_shows_that_command_and_where_the_settings_are(words):
    shown = run(*words).stdout
    assert re.match(r"Usage: har-exporter (demo )?check \[OPTIONS\]\n", shown)
    assert re.findall(r"^  (--[a-z-]+)", shown, re.MULTILINE) == ["--output", "--config", "--help"]
    assert "`har-exporter serve --help` lists them with their defaults" in " ".join(shown.split())


@pytest.mark.parametrize(
    "words", ["", "serve", "check", "dump", "demo", "demo check", "web-config", "completion", "help"]
)
def test_no_help_breaks_or_cuts_a_word_at_80_columns(words, monkeypatch, capsys):
    """Only the path of a long default goes on in the next line, after a slash."""
    monkeypatch.setenv("COLUMNS", "80")
    main.program.main([*words.split(), "--help"], standalone_mode=False)
    shown = capsys.readouterr().out
    main.program.main([*words.split(), "--help"], standalone_mode=False, terminal_width=10_000)
    assert re.sub(r"/\n +\{", "/{", shown).split() == capsys.readouterr().out.split()
    assert max(map(len, shown.splitlines())) <= 80
    assert "..." not in shown.partition("\n")[2]


def test_no_message_breaks_a_word_at_80_columns():
    """In a pipe it is one line."""
    with on_terminal("check", "--spaces", "acct/org x", columns=80, page_size="no") as screen:
        assert screen.end() == 2
    in_pipe = run("check", "--spaces", "acct/org x", page_size="no").stderr
    assert screen.text.split() == in_pipe.split()
    assert max(map(len, screen.text.splitlines())) <= 80 < max(map(len, in_pipe.splitlines()))


@pytest.mark.parametrize(
    ("shell", "line"), [("bash", "complete "), ("zsh", "#compdef har-exporter"), ("fish", "complete ")]
)
def test_a_completion_script_is_printed_for_each_shell(shell, line):
    assert line in run("completion", shell).stdout


def test_a_command_line_may_be_interrupted_while_it_is_parsed(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(main.program, "parse_args", interrupted)
    assert main.main(["check"]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("c", {"check", "completion"}),
        ("check --page", {"--page-size"}),
        ("--spaces acct --page", {"--page-size"}),
        ("demo d", {"dump"}),
        ("unknown --page", set()),
    ],
)
def test_the_completion_script_asks_the_program_for_words(words, expected):
    environment = {
        "_HAR_EXPORTER_COMPLETE": "bash_complete",
        "COMP_WORDS": f"har-exporter {words}",
        "COMP_CWORD": str(len(words.split())),
    }
    command = [sys.executable, "-c", "from exporter.cli.main import main; main()"]
    done = subprocess.run(command, env=ENVIRONMENT | environment, capture_output=True, text=True, check=False)
    assert set(done.stdout.split()) == {f"plain,{word}" for word in expected}
    assert not done.stderr


def test_flags_before_a_command_of_the_demo_are_refused():
    done = run("demo", "--cache-ttl", "5m", "check")
    assert (done.returncode, done.stderr) == (2, "har-exporter: flags come last: har-exporter demo check --flag\n")


def test_a_group_without_a_command_is_an_error():
    assert run("web-config").stderr == "har-exporter: Missing command.\n"


def test_an_address_that_is_taken_is_a_fault():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("demo", "--listen-address", f"127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == 2
    assert "listen_address" in done.stderr


@pytest.mark.parametrize(
    ("flags", "latest", "deployed"),
    [
        ("--latest-version --no-deployed-artifact", "true", "false"),
        ("--latest-version true --deployed-artifact no", "true", "false"),
        ("--deployed-artifact=1 --no-latest-version", "false", "true"),
        ("--no-latest-version --latest-version --deployed-artifact=off", "true", "false"),
    ],
)
def test_a_switch_is_true_unless_it_has_a_value(flags, latest, deployed):
    with Upstream(make_rows(1)) as upstream:
        assert run("check", *flags.split(), **settings_for(upstream)).returncode == 0
        query = upstream.requests[0].query
        assert (query["latest_version"], query["deployed_artifact"]) == ([latest], [deployed])


def test_a_switch_takes_no_other_value():
    assert "--latest-version: must be true or false" in run("check", "--latest-version", "maybe").stderr


@pytest.mark.parametrize("flag", [["--spaces=-k5/_e"], ["--spaces", "-k5/_e"]], ids=" ".join)
def test_a_space_may_begin_as_a_flag_does(flag):
    with Upstream({"-k5/_e": make_rows(2)}) as upstream:
        done = run("dump", *flag, base_url=upstream.url, api_key=upstream.key)
    assert 'har_snapshot_complete{space="-k5/_e"} 1.0' in done.stdout


def test_help_lists_every_setting_with_its_default():
    done = run("serve", "--help")
    assert done.returncode == 0
    for name in Settings.model_fields.keys() - FLAGLESS:
        assert f"--{name.replace('_', '-')}" in done.stdout
    assert "--api-key " not in done.stdout
    assert "(default: 300/m)" in done.stdout


def test_a_key_of_another_account_than_the_space_is_told():
    with Upstream(make_rows(1), key="pat.other.id.canary") as upstream:
        done = run("dump", **settings_for(upstream))
    assert "key_account=other" in done.stderr
    assert "canary" not in done.stderr


def test_registries_that_are_configured_but_not_listed_are_told():
    with Upstream(make_rows(1)) as upstream:
        done = run("dump", **settings_for(upstream, registries="npm-remote,npm-remot"))
    assert "registries=npm-remot " in f"{done.stderr} ".replace("\n", " ")


@pytest.mark.parametrize("argument", ["version", "--version"])
def test_the_version_is_that_of_the_package(argument, capsys):
    assert main.main([argument]) == 0
    assert capsys.readouterr().out == f"har-exporter {__version__}\n"
