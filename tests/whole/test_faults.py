"""Whatever a server does, a scrape shows what is known: the right numbers, or the old ones and why there are no newer.

Every case of `faults.py` runs against the whole exporter, over real sockets: first a good walk, then the fault.
"""

import contextlib
import re
import time
from pathlib import Path

import pytest

from exporter.cli import commands
from exporter.cli.main import main
from exporter.harness.errors import REASONS
from tests.support import whole
from tests.support.clocks import FakeClock, SkippingClock
from tests.support.faults import FAILURES, GOOD, ODDITIES, PAGING, REJECTS, good_tls, lists, pages, says
from tests.support.places import DOCS, TESTS
from tests.support.rawserver import RawServer, hangs, sends
from tests.support.upstream import make_rows

TABLE = DOCS / "faults.md"

UP = 'har_up{space="acct"}'
FAILED = 'har_source_failures_total{{reason="{reason}",source="{source}",space="acct"}}'
OF_ARTIFACTS = (*PAGING, *REJECTS)
OTHER_UP = 'har_up{space="other"}'
BEGAN = 'har_snapshot_timestamp_seconds{space="acct"}'


@pytest.fixture
def elsewhere():
    """A server that must never be contacted."""
    with RawServer(sends()) as server:
        yield server
    assert server.connections == 0


class Spoiled:
    """The exporter after a good walk, whose server then does what a case says."""

    def __init__(self, case, server, exporter, clock, authority):
        self.server, self.exporter = server, exporter
        self.before = exporter.scrape()
        server.behave = case.behave
        server.context = case.tls(authority) if case.tls else None
        self.connections = server.connections
        clock.tick(301)
        self.began = time.monotonic()
        self.after = exporter.scrape()
        self.seconds = time.monotonic() - self.began
        self.connections = server.connections - self.connections


@pytest.fixture
def run_over(front, clock, tmp_path, authority, elsewhere):
    """Run the exporter over a server of raw bytes, with what a case needs."""

    @contextlib.contextmanager
    def run_over(case, behave, context, **settings):
        settings |= case.settings
        if case.tls:
            authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
            settings["ca_file"] = str(tmp_path / "ca.pem")
        with RawServer(behave, context) as server:
            server.elsewhere = elsewhere.address
            scheme = "https" if case.tls else "http"
            with whole.running(front, clock, tmp_path, f"{scheme}://{server.address}", **settings) as exporter:
                yield server, exporter

    return run_over


@pytest.fixture
def spoiled(request, run_over, clock, authority):
    case = request.param
    with run_over(case, says(GOOD), good_tls(authority) if case.tls else None) as (server, exporter):
        yield case, Spoiled(case, server, exporter, clock, authority)


@pytest.mark.parametrize("spoiled", FAILURES, ids=str, indirect=True)
def test_a_fault_fails_the_refresh_and_the_old_snapshot_stays(spoiled):
    case, spoiled = spoiled
    before, after = spoiled.before, spoiled.after
    assert (before[UP], after[UP]) == (1, 0)
    assert after.failures("acct") == {case.reason: 1}
    for kept in ("har_artifact", "har_snapshot", "har_registry"):
        assert after.of("acct", kept) == before.of("acct", kept) != {}
    assert (after[OTHER_UP], after.failures("other")) == (1, {})
    assert after[BEGAN.replace("acct", "other")] > before[BEGAN.replace("acct", "other")]
    (line,) = re.findall(r".*refresh failed.*", spoiled.exporter.log)
    assert f"reason={case.reason}" in line
    assert [text for text in case.log if text not in line] == []
    assert len(line) < 1000
    assert spoiled.connections == case.requests
    assert spoiled.seconds < 5


@pytest.mark.parametrize("case", [case for case in FAILURES if case.name != "data of a wrong type"], ids=str)
def test_the_other_sources_fail_for_the_same_reason_and_for_themselves(case, run_over, authority):
    """What only a list of artifacts can have is another shape to them."""
    context = case.tls(authority) if case.tls else None
    with run_over(case, case.behave, context, sources="registries,violations") as (_, exporter):
        exporter.app.sources.refresh()
        exporter.app.sources.finish()
        page = exporter.scrape()
    # The pause that a server asks for holds the whole key.
    others = {"bad_shape"} if case in OF_ARTIFACTS else {"rate_limited"} if "Retry-After" in case.row else set()
    for source in ("registries", "violations"):
        found = {reason: page[FAILED.format(reason=reason, source=source)] for reason in REASONS}
        assert {reason for reason, number in found.items() if number} <= {case.reason} | others
        assert sum(found.values()) == 1
        assert page[f'har_source_up{{source="{source}",space="acct"}}'] == 0
        assert page[f'har_source_up{{source="{source}",space="other"}}'] == 1


@pytest.mark.parametrize("spoiled", ODDITIES, ids=str, indirect=True)
def test_what_is_odd_is_cleaned_or_rejected_and_the_rest_is_counted(spoiled):
    case, spoiled = spoiled
    assert (spoiled.after[UP], spoiled.after.failures("acct")) == (1, {})
    assert {series: spoiled.after[series] for series in case.series} == case.series


def run(front, clock, folder, server, **settings):
    """Run the exporter over a server of raw bytes."""
    return whole.running(front, clock, folder, f"http://{server.address}", **settings)


def test_a_scrape_is_answered_in_time_with_the_old_numbers_while_the_server_hangs(front, clock, tmp_path):
    with RawServer(says(GOOD)) as server, run(front, clock, tmp_path, server, request_timeout="5s") as exporter:
        before = exporter.scrape()
        server.behave = hangs
        clock.tick(301)
        began = time.monotonic()
        after = exporter.scrape(timeout=1)
        assert time.monotonic() - began < 1
        assert after.of("acct", "har_artifact") == before.of("acct", "har_artifact") != {}
        server.over.set()


def test_a_walk_ends_within_its_timeout_though_every_page_comes(front, tmp_path):
    def slowly(server, sock):
        time.sleep(0.1)
        pages(lambda page, size: make_rows(10_000)[page * size :][:size])(server, sock)

    with RawServer(slowly) as server, run(front, SkippingClock(), tmp_path, server, refresh_timeout="1s") as exporter:
        began = time.monotonic()
        assert exporter.scrape().failures("acct") == {"timeout": 1}
        assert time.monotonic() - began < 3


def test_a_refused_connection_is_tried_three_times(front, clock, tmp_path):
    with RawServer(says(GOOD)) as server, run(front, clock, tmp_path, server) as exporter:
        exporter.scrape()
        server.stop()
        clock.tick(301)
        after = exporter.scrape()
    assert (after[UP], after.failures("acct")) == (0, {"connect": 1})
    assert after['har_exporter_api_retries_total{reason="connect"}'] == 2


@pytest.mark.parametrize("jump", [86_400, -86_400])
def test_a_wall_clock_that_jumps_moves_no_age_and_no_deadline(jump, front, clock, tmp_path):
    with RawServer(lists()) as server, run(front, clock, tmp_path, server, cache_ttl="5m") as exporter:
        exporter.scrape()
        sent = server.connections
        clock.jump(jump)
        clock.tick(299)
        exporter.scrape()
        assert server.connections == sent
        server.behave = says(b"", status="429 No")
        clock.tick(2)
        assert exporter.scrape().failures("acct") == {"rate_limited": 1}
        sent = server.connections
        clock.jump(-jump)
        exporter.scrape()
        assert server.connections == sent
        page = exporter.get("/")
        assert ">5 min<" in page
        assert "0 s ago" in page
        clock.tick(3300)
        server.behave = says(b"", status="400 No")
        assert exporter.scrape().of("acct", "har_snapshot") == {}


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_text(" \n")], ids=["missing", "empty"])
def test_a_key_file_that_cannot_be_used_later_leaves_the_last_good_key(spoil, front, clock, tmp_path):
    loaded = "har_exporter_config_last_reload_successful"
    with RawServer(lists()) as server, run(front, clock, tmp_path, server) as exporter:
        assert exporter.scrape()[loaded] == 1
        spoil(tmp_path / "key")
        for _ in range(2):
            clock.tick(301)
            after = exporter.scrape()
            assert (after[UP], after[loaded]) == (1, 0)
        assert all(f"x-api-key: {whole.KEY}".encode() in request for request in server.requests)
        assert exporter.log.count("key file cannot be used") == 1
        (tmp_path / "key").write_text("pat.acct.id.another\n")
        clock.tick(301)
        assert exporter.scrape()[loaded] == 1
        assert b"x-api-key: pat.acct.id.another\r\n" in server.requests[-1]


@pytest.mark.parametrize(
    ("file", "more", "waits", "fault"),
    [
        ("key", [], 20, "listen_address"),
        ("other", [], 30, "--api-key-file"),
        ("none/key", [], 0, "--api-key-file"),
        ("key", ["--page-size", "0"], 0, "--page-size"),
    ],
    ids=["comes", "never comes", "no folder", "another fault"],
)
def test_a_key_file_that_is_missing_at_the_start_is_waited_for(file, more, waits, fault, tmp_path, monkeypatch, capsys):
    """For 30 seconds, if its folder exists and nothing else is wrong; the address in use ends the start after that."""

    class Clock(FakeClock):
        def wait(self, seconds):
            super().wait(seconds)
            if len(self.waits) == 20:
                (tmp_path / "key").write_text(whole.KEY)

    clock = Clock()
    monkeypatch.setattr(commands, "SystemClock", lambda: clock)
    with RawServer(sends()) as taken:
        flags = ["--spaces", "acct", "--api-key-file", str(tmp_path / file), "--listen-address", taken.address, *more]
        assert main(flags) == 2
    assert sum(clock.waits) == waits
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"har-exporter: {fault}: ")


@pytest.mark.parametrize("path", ["", "/harness/"])
@pytest.mark.parametrize("prefix", ["/har/api/v1", "/gateway/har/api/v1"])
def test_the_path_of_the_server_and_the_prefix_stand_before_the_space(path, prefix, front, clock, tmp_path):
    with RawServer(lists()) as server:
        url = f"http://{server.address}{path}"
        with whole.running(front, clock, tmp_path, url, api_prefix=prefix) as exporter:
            exporter.scrape()
    wanted = f"GET {path.rstrip('/')}{prefix}/spaces/acct/+/artifacts?"
    assert server.requests[0].decode().startswith(wanted)


WITHOUT_A_CASE = {
    ("A name look-up that never ends", "timeout"):
        ("harness/test_transport.py", "a_name_look_up_that_does_not_end_is_given_up_in_time"),
    ("A name without an address", "dns"): ("harness/test_transport.py", "a_name_that_does_not_exist_is_told"),
    ("A wall clock that jumps", ""):
        ("whole/test_faults.py", "a_wall_clock_that_jumps_moves_no_age_and_no_deadline"),
    ("A key file that cannot be used", ""):
        ("whole/test_faults.py", "a_key_file_that_cannot_be_used_later_leaves_the_last_good_key"),
    ("A key file on a file system that is slow or hangs", ""):
        ("harness/test_keys.py", "a_file_system_that_hangs_holds_up_one_request_for_a_moment_and_no_further_one"),
    ("A text that holds the API key", ""):
        ("whole/test_secrets.py", "artifacts_that_are_named_like_the_key_are_counted_and_shown_without_it"),
    ("A key file that another shard's space needs", "auth"):
        ("engine/test_probes.py", "a_key_file_of_another_shard_is_read_with_the_first_probe"),
    ("A probe of a space that is not allowed", ""):
        ("engine/test_probes.py", "anything_but_one_space_is_refused_with_a_constant_text"),
    ("A second response, or a late one", ""): ("harness/test_transport.py", "a_connection_is_used_for_one_space_only"),
    ("More probed spaces than are kept", ""):
        ("engine/test_probes.py", "a_target_with_a_walk_makes_no_room_and_one_too_many_is_told_so"),
}  # fmt: skip
"""Rows of the docs that no server brings about, and what tests them."""


def test_the_table_of_the_docs_has_the_rows_and_reasons_that_are_tested_and_no_other():
    rows = re.findall(r"^\| (.+?) \| .+? \| ?(.*?) ?\|$", TABLE.read_text(), re.MULTILINE)
    documented = {row: set(re.findall(r"`(\w+)`", reasons)) for row, reasons in rows if row != "input or fault"}
    tested = {row: {reason} - {""} for row, reason in WITHOUT_A_CASE}
    for file, name in WITHOUT_A_CASE.values():
        assert f"\ndef test_{name}(" in (TESTS / file).read_text()
    for case in (*FAILURES, *ODDITIES):
        tested.setdefault(case.row, set()).update({case.reason} - {""})
    assert documented == tested
