"""`har-exporter dump` as its users see it: files, pipes, terminals, interrupts and spaces that fail."""

import re
import signal
import subprocess
import threading

import pytest

from exporter.cli.dump import dump_spaces
from exporter.demo.catalogue import SPACES
from tests.support.clocks import FakeClock
from tests.support.commands import run, settings_for
from tests.support.places import DOCS
from tests.support.rules import ALERTS, RECORDS, metrics_in
from tests.support.settings import settings_of
from tests.support.terminal import on_terminal
from tests.support.upstream import Upstream, make_rows, reply

KEY = "pat.acct.id.secret"


def test_a_space_that_fails_is_told_with_reason_and_hint_and_is_a_visible_gap(tmp_path):
    """What the file had of that space before is gone: no data is better than data without an age."""
    target = tmp_path / "har.prom"
    target.write_text('har_artifacts{space="acct/nowhere"} 1.0')
    with Upstream(make_rows(150), key=KEY) as upstream:
        done = run("dump", "--output", str(target), **settings_for(upstream, spaces="acct,acct/nowhere"))
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert re.fullmatch(r"har-exporter: acct/nowhere: client_error: .*space not found.*; check .* spaces.*", line)
    of_failed = [line for line in target.read_text().splitlines() if 'space="acct/nowhere"' in line]
    assert 'har_up{space="acct/nowhere"} 0.0' in of_failed
    assert not any(line.startswith(("har_artifact", "har_snapshot", "har_registry")) for line in of_failed)
    assert 'har_snapshot_artifacts{source="fetched",space="acct"} 150.0' in target.read_text()
    assert list(tmp_path.iterdir()) == [target]


def test_a_pipe_gets_no_word_beside_the_metrics_when_all_is_well():
    with Upstream(make_rows(3), key=KEY) as upstream:
        done = run("dump", **settings_for(upstream))
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout


def test_the_data_of_the_first_space_outlive_a_walk_of_the_last_that_takes_days():
    clock = FakeClock()
    with Upstream({"acct": make_rows(2), "acct/org": make_rows(2)}) as upstream:
        # Both walks may run at once, and neither times out.
        times = {"cache_ttl": "1s", "max_stale": "0", "refresh_timeout": "20d"}
        given = settings_for(upstream, spaces="acct,acct/org", concurrency="1", **times)
        settings = settings_of(**given)
        dump = dump_spaces(settings, clock, on_page=lambda *_: None, on_end=lambda _: clock.tick(5 * 86_400.0))
    assert dump.whole
    text = dump.exposition.decode()
    for space in ("acct", "acct/org"):
        assert f'har_snapshot_artifacts{{source="fetched",space="{space}"}} 2.0' in text
        assert f'har_refresh_interval_seconds{{space="{space}"}} 1.0' in text


def test_a_terminal_shows_rate_and_time_left_while_it_walks_and_then_what_it_came_to(tmp_path):
    last_page = threading.Event()
    rows = make_rows(399, isQuarantined=True)
    with Upstream(rows) as upstream:
        upstream.fault = lambda request: last_page.wait(60) and None if request.query["page"] == ["3"] else None
        target = tmp_path / "har.prom"
        with on_terminal("dump", "--output", str(target), **settings_for(upstream, concurrency="1")) as screen:
            screen.wait_for(r"acct .* 300/399 [0-9,]+ artifacts/s [0-9-]:[0-9-]{2}:[0-9-]{2}")
            last_page.set()
            assert screen.end() == 0
    *_, summary = screen.text.splitlines()
    assert re.fullmatch(r"har-exporter: 1 space: 399 artifacts, 399 findings, in [0-9.]+s", summary)
    assert "\x1b[?25h" in screen.raw, "the cursor is back"


def test_a_terminal_shows_the_spaces_that_are_left():
    hold = threading.Event()
    with Upstream({"acct": make_rows(1), "acct/org": make_rows(2)}, key=KEY) as upstream:
        upstream.fault = lambda request: hold.wait(60) and None if "/org/" in request.path else None
        variables = settings_for(upstream, spaces="acct,acct/org,acct/nowhere")
        with on_terminal("dump", stdout=subprocess.DEVNULL, **variables) as screen:
            screen.wait_for(r"spaces .* 2/3")
            hold.set()
            assert screen.end() == 1
    assert re.search(r"har-exporter: acct/nowhere: client_error: ", screen.text)
    *_, summary = screen.text.splitlines()
    assert re.fullmatch(r"har-exporter: 3 spaces, 1 failed: 3 artifacts, 0 findings, in [0-9.]+s", summary)


def test_a_terminal_says_of_which_spaces_the_numbers_may_be_off():
    with (
        Upstream(make_rows(3), item_count=5) as upstream,
        on_terminal("dump", stdout=subprocess.DEVNULL, **settings_for(upstream)) as screen,
    ):
        assert screen.end() == 0
    assert (
        "acct: incomplete: the listing changed during the refresh, or the API miscounts it (har_snapshot_complete 0)"
        in " ".join(screen.text.split())
    )


def test_the_log_goes_above_the_bars():
    hold = threading.Event()
    with Upstream({"acct": make_rows(1), "acct/org": make_rows(2)}, key=KEY) as upstream:
        upstream.fault = lambda request: hold.wait(60) and None if "/org/" in request.path else None
        variables = settings_for(upstream, spaces="acct,acct/org", registries="npm-remote,npm-remot")
        with on_terminal("dump", stdout=subprocess.DEVNULL, columns=200, **variables) as screen:
            screen.wait_for(r"ts=\S+ level=warning .* registries=npm-remot\n")
            hold.set()
            assert screen.end() == 0
    assert "\x1b[2Kts=" in screen.raw, "the bar is wiped away first"


@pytest.mark.parametrize("terminal", [True, False])
def test_an_interrupt_leaves_no_file_and_ends_with_130(tmp_path, terminal):
    target = tmp_path / "har.prom"
    hold = threading.Event()
    with Upstream(make_rows(3), hold=hold) as upstream:
        stderr = None if terminal else subprocess.DEVNULL
        with on_terminal("dump", "--output", str(target), stderr=stderr, **settings_for(upstream)) as screen:
            upstream.wait_for_requests(1)
            screen.process.send_signal(signal.SIGINT)
            assert screen.end() == 130
        hold.set()
    assert "Traceback" not in screen.text
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_is_told_before_anything_is_asked(tmp_path):
    with Upstream(make_rows(1)) as upstream:
        done = run("dump", "--output", str(tmp_path), **settings_for(upstream))
        assert upstream.requests == []
    assert done.returncode == 2
    assert done.stderr.startswith("har-exporter: --output: is a folder")


def test_a_dash_is_standard_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("demo", "dump", "--output", "-")
    assert 'har_up{space="demo"} 1.0' in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_metrics_are_enough_for_all_rules_but_those_on_requests():
    """The page on the textfile collector lists these alerts; the others find all of their metrics in the file."""
    families = set(re.findall(r"^# TYPE (\S+)", run("demo", "dump").stdout, re.MULTILINE))
    assert "har_exporter_build_info" in families
    silent = {name for name in ALERTS if not sources_of(ALERTS[name]["expr"]) <= families}
    section = (DOCS / "install.md").read_text().partition("## Textfile collector")[2]
    assert set(re.findall("HarnessAR[A-Za-z]+", section)) == silent


def sources_of(expression: str) -> set[str]:
    """Return the metrics that an expression asks for, also by records, which may read each other."""
    texts, left = {expression}, [expression]
    while left:
        read = {RECORDS[name]["expr"] for name in re.findall(r"\b\w+:har_\w+:\w+", left.pop())}
        left += read - texts
        texts |= read
    return metrics_in(" ".join(texts))


def test_a_fault_of_the_exporter_is_told_with_where_it_happened(monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("exporter.engine.generation.Walker.walk", broken)
    with Upstream(make_rows(1), key=KEY) as upstream:
        done = run("dump", **settings_for(upstream))
    assert done.returncode == 1
    assert done.stderr.startswith("har-exporter: acct: internal: ZeroDivisionError; please report this")
    assert "in broken" in done.stderr


def test_a_fault_in_the_answer_of_the_server_is_told_in_one_line_without_escape_sequences():
    with Upstream(make_rows(1)) as upstream:
        upstream.fault = lambda _: reply(400, {"message": "[red]\x1b[31mno\nhar-exporter: all is well[/red]"})
        with on_terminal("dump", stdout=subprocess.DEVNULL, columns=60, **settings_for(upstream)) as screen:
            assert screen.end() == 1
    assert "[red]?[31mno?har-exporter: all is well[/red]" in screen.text.replace("\n", "")


def test_the_demo_can_be_dumped_without_any_setting(tmp_path):
    target = tmp_path / "demo.prom"
    done = run("demo", "dump", "--output", str(target))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert all(f'har_up{{space="{space}"}} 1.0' in target.read_text() for space in SPACES)
