"""A server in trouble is a pause: retries are few, late and spread, and no wait outlives the process."""

import random
import re
import signal
import time
from concurrent.futures import wait
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.sources import load
from exporter.engine.app import App
from exporter.harness.limits import RetryBudget, backoff
from tests.support import whole
from tests.support.clocks import FakeClock
from tests.support.commands import served
from tests.support.faults import GOOD, pages, says
from tests.support.rawserver import RawServer
from tests.support.upstream import Upstream, make_rows, reply

UP = 'har_up{space="acct"}'


@pytest.fixture
def run(front, clock, tmp_path):
    """Runs the exporter over a server of raw bytes."""
    return lambda server, **options: whole.running(front, clock, tmp_path, f"http://{server.address}", **options)


def busy(retry_after):
    """Return the behaviour of a server that asks to be a pause; None for no Retry-After."""
    headers = [] if retry_after is None else [f"Retry-After: {retry_after}"]
    return says(b"", *headers, status="429 Too Many Requests")


def once(behave):
    """Return a behaviour for the first connection; the others get a good answer."""
    return lambda server, sock: (behave if server.connections == 1 else says(GOOD))(server, sock)


def date_in(seconds):
    return format_datetime(datetime.fromtimestamp(FakeClock().time() + seconds, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("7", 7), (" 7 ", 7), (date_in(60), 60), ("0", 0), (date_in(-60), 0), ("60", 60)],
)
def test_a_retry_after_is_obeyed_where_the_walk_has_time_for_it(retry_after, seconds, clock, run):
    with RawServer(once(busy(retry_after))) as server, run(server, cache_ttl="5m") as exporter:
        assert exporter.scrape()[UP] == 1
    assert clock.waits == [seconds]
    assert server.connections == 2


@pytest.mark.parametrize(
    ("retry_after", "hold"),
    [("61", 61), ("1800", 1800), ("999999999", 3600), ("9" * 400, 3600), (date_in(800), 800), (date_in(1e9), 3600)],
)
@pytest.mark.parametrize("status", ["429 No", "503 No", "403 No"])
def test_a_server_that_wants_more_than_a_minute_is_left_alone_that_long(status, retry_after, hold, clock, run):
    """An hour at most; the scrape says so at once."""
    with (
        RawServer(says(b"", f"Retry-After: {retry_after}", status=status)) as server,
        run(server) as exporter,
    ):
        assert sum(exporter.scrape().failures("acct").values()) == 1
        clock.tick(hold - 1)
        exporter.scrape()
        assert (server.connections, clock.waits) == (1, [])
        server.behave = says(GOOD)
        clock.tick(2)
        assert exporter.scrape()[UP] == 1
        assert clock.waits == []


@given(st.integers(0, 2), st.randoms(use_true_random=False))
def test_a_retry_waits_anything_up_to_half_a_second_that_doubles(retry, jitter):
    assert 0 <= backoff(retry, jitter) <= 0.5 * 2**retry


@pytest.mark.parametrize("retry", [0, 1])
def test_waits_fill_their_whole_range(retry):
    """Full jitter: clients that fail together do not come back together."""
    waits = [backoff(retry, random.Random(seed)) / (0.5 * 2**retry) for seed in range(200)]
    tenths = {int(wait * 10) for wait in waits}
    assert tenths == set(range(10))


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 80)), max_size=60))
def test_a_storm_makes_at_most_half_more_than_the_normal_traffic(bursts):
    """However requests and failures come: the reserve aside, which lets a lone request be tried again."""
    budget = RetryBudget()
    sent, retried = 0, 0
    for requests, failures in bursts:
        for _ in range(requests):
            budget.earn()
        granted = sum(budget.spend() for _ in range(failures))
        sent, retried = sent + requests, retried + granted
        assert retried <= 0.45 * sent + 2
        assert granted <= 10
        assert sent < 40 or sent + retried <= 1.5 * sent


def test_the_budget_is_shared_by_the_whole_process(clock, tmp_path):
    """A storm over many keys: half more at most, where each request alone would be tried three times."""
    (tmp_path / "settings.yaml").write_text("spaces:\n" + "".join(_entry(tmp_path, number) for number in range(60)))
    with Upstream(make_rows(1), key="pat.acct.id.key") as upstream:
        upstream.fault = lambda _: reply(503)
        flags = {"config": f"{tmp_path}/settings.yaml", "base_url": upstream.url, "concurrency": "1"}
        app = App(load(flags, {"HAR_EXPORTER_API_KEY": "pat.acct.id.key"}), clock)
        wait(app.refresher.start(), timeout=20)
        assert 60 < len(upstream.requests) <= 1.5 * 60


def _entry(folder, number):
    """Return a space that has a key file, and with it a client, of its own."""
    (folder / f"key-{number}").write_text("pat.acct.id.key")
    return f"  - {{ref: acct/org{number}, api_key_file: {folder}/key-{number}}}\n"


def test_a_server_that_is_left_alone_is_asked_for_no_other_space_either(clock, run):
    behave = says(b"", "Retry-After: 700", status="429 No")
    with (
        RawServer(behave) as server,
        run(server, refresh_timeout="60s", spaces="acct,acct/a,acct/b", concurrency="1") as exporter,
    ):
        exporter.refresh()
        clock.tick(600)
        exporter.refresh()
        assert (server.connections, clock.waits) == (1, [])
        lines = re.findall(r".*refresh failed.*", exporter.log)
    assert len(lines) == 3
    assert all("rate_limit" in line and "base_url" not in line for line in lines)


def test_retries_count_under_the_rate_limit(clock, run):
    with RawServer(says(b"", status="503 No")) as server, run(server, rate_limit="2/m") as exporter:
        exporter.refresh()
    assert server.connections == 3
    assert 59.9 <= sum(clock.waits) < 62


@pytest.mark.parametrize(("spaces", "waited"), [("acct,acct/a", 0), ("acct,acct/a,acct/b", 60)])
def test_the_rate_limit_is_that_of_a_key_whatever_the_space(spaces, waited, clock, run):
    with RawServer(says(GOOD)) as server, run(server, rate_limit="2/m", spaces=spaces) as exporter:
        exporter.refresh()
    assert sum(clock.waits) == pytest.approx(waited)


def test_another_server_with_another_key_has_a_rate_limit_of_its_own(clock, run):
    with RawServer(says(GOOD)) as server, run(server, rate_limit="1/m") as exporter:
        scrape = exporter.scrape()
    assert (scrape[UP], scrape[UP.replace("acct", "other")], clock.waits) == (1, 1, [])


class Door:
    """A behaviour that lets some keys in, and refuses the others."""

    def __init__(self, *keys, status="401 No"):
        self.keys, self.status = set(keys), status
        self._pages = pages(lambda page, size: make_rows(250)[page * size :][:size], itemCount=250)

    def __call__(self, server, sock):
        key = re.search(rb"x-api-key: (.*)\r\n", sock.recv(65536, 2))  # MSG_PEEK: the page reads it again
        if key and key[1].decode() in self.keys:
            self._pages(server, sock)
        else:
            says(b"", status=self.status)(server, sock)


@pytest.mark.parametrize(("status", "reason"), [("401 No", "auth"), ("403 No", "forbidden")])
def test_a_refused_key_is_told_once_for_each_change(status, reason, clock, run):
    door = Door(status=status)
    with RawServer(door) as server, run(server) as exporter:
        for lines in (1, 2):
            for _ in range(3):
                door.keys.clear()
                clock.tick(61)
                exporter.scrape()
            door.keys.add(whole.KEY)
            clock.tick(301)
            assert exporter.scrape()[UP] == 1
            assert exporter.log.count(f"reason={reason}") == lines
            clock.tick(301)


class Mount:
    """A folder with a key that is exchanged as Kubernetes does it: one symlink replaced by another."""

    def __init__(self, folder, key):
        self._folder, self._number = folder, 0
        (folder / "key").symlink_to("..data/key")
        self.swap(key)

    def swap(self, key):
        self._number += 1
        data = self._folder / f"..{self._number}"
        data.mkdir()
        (data / "key").write_text(f"{key}\n")
        (self._folder / "..new").symlink_to(data.name)
        (self._folder / "..new").rename(self._folder / "..data")


@pytest.mark.parametrize("overlap", [True, False], ids=["old and new are valid for a time", "the old one ends at once"])
@pytest.mark.simulation
def test_a_hundred_rotations_under_load_fail_no_refresh_but_those_that_met_the_old_key(overlap, clock, front, tmp_path):
    door, mount = Door("pat.acct.id.0"), Mount(tmp_path, "pat.acct.id.0")
    met = 0
    with (
        RawServer(door) as server,
        whole.running(front, clock, tmp_path, f"http://{server.address}", key=None, rate_limit="off") as exporter,
    ):
        exporter.scrape()
        for number in range(1, 101):
            clock.tick(301)
            requests = len(server.requests)
            refresh = exporter.app.refresher.scrape(1.0)
            while len(server.requests) < requests + number % 3:
                time.sleep(0.001)
            door.keys = {f"pat.acct.id.{number - 1}", f"pat.acct.id.{number}"} if overlap else {f"pat.acct.id.{number}"}
            mount.swap(f"pat.acct.id.{number}")
            door.keys = {f"pat.acct.id.{number}"}
            for each in refresh:
                each.result(whole.PATIENCE)
            met += not exporter.app.refresher.statuses()[0].up
            clock.tick(301)
            assert exporter.scrape()[UP] == 1
        failures = sum(exporter.scrape().failures("acct").values())
    assert failures == met
    assert met <= (0 if overlap else 100)


@pytest.mark.parametrize("retry_after", ["600", "0"])
def test_sigterm_ends_a_wait_for_a_busy_server(retry_after):
    with Upstream(make_rows(1)) as upstream:
        upstream.fault = lambda _: reply(429, headers=[("Retry-After", retry_after)])
        options = {"base_url": upstream.url, "api_key": upstream.key, "spaces": upstream.space, "rate_limit": "1/h"}
        with served(**options) as (process, url):
            upstream.wait_for_requests(1)
            assert whole.requests.get(f"{url}/-/healthy", timeout=whole.PATIENCE).status_code == 200
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 0
            assert time.monotonic() - began < 5
