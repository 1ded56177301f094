"""The endpoints over a real socket: scrapes, health, readiness, and clients that misbehave."""

import gzip
import http.client
import socket
import time
from contextlib import ExitStack
from itertools import pairwise

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter import __version__
from exporter.harness.errors import ServerError
from exporter.serving.endpoints import _pieces
from tests.support import whole
from tests.support.apps import app_of
from tests.support.endpoints import served, snapshot
from tests.support.sources import registry_row
from tests.support.upstream import Upstream, make_rows

TIMEOUT = "X-Prometheus-Scrape-Timeout-Seconds"


@pytest.fixture(scope="module")
def refreshed():
    """Has its snapshot; for tests that change nothing."""
    with served() as running:
        running.go.set()
        yield running


@pytest.fixture
def running():
    with served() as running:
        yield running


@pytest.mark.parametrize("timeout", ["0.1", "0.5", "1"])
def test_a_scrape_is_answered_before_its_timeout_though_the_walk_hangs(timeout, running):
    began = time.monotonic()
    text = running.get(headers={TIMEOUT: timeout}).text
    assert 'har_up{space="acct"} 0.0' in text
    assert time.monotonic() - began < 2


def test_a_scrape_leaves_the_time_that_a_page_takes(running, monkeypatch):
    """The longest time is remembered for a while: a page in which little changed is rendered fast."""
    scrape, render, budgets = running.refresher.scrape, running.endpoints._exposition.render, []
    seconds = iter([3.0, 0.0, 0.0])
    monkeypatch.setattr(running.refresher, "scrape", lambda budget: budgets.append(budget) or scrape(budget))
    monkeypatch.setattr(
        running.endpoints._exposition, "render", lambda form: running.clock.tick(next(seconds)) or render(form)
    )
    running.go.set()
    for _ in range(3):
        assert running.get(headers={TIMEOUT: "10"}).ok
    assert budgets == pytest.approx([9.5, 6.5, 9.5 - 2.7])


def test_the_first_scrape_shows_the_spaces_that_are_found_meanwhile(front, clock):
    rows = {"acct": make_rows(1), "acct/org": make_rows(2)}
    with Upstream(rows, registries=[registry_row(path="acct/org/npm")]) as upstream:
        app = app_of(upstream, clock, spaces="acct/**", sources="registries")
        front.endpoints = whole.endpoints_of(app, clock, app.sources)
        page = requests.get(f"{front.url}/metrics", headers={TIMEOUT: "30"}, timeout=30)
    assert 'har_up{space="acct/org"} 1.0' in page.text.splitlines()


HOSTILE_TIMEOUTS = r"""
NaN nan -nan Inf +Inf -Inf infinity -1 -0 0 0.0 1e309 -1e309 1e308 1e-400 text 10s 1,5 1;5 0x10 0b1 1_0 1e e1 . --1 1e+
%31 '1' "1" null True [1] {} $1 1/2 \u0031
"""


def status_of(refreshed, head):
    with socket.create_connection(refreshed.address, timeout=10) as sock:
        sock.sendall(f"{head}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return sock.makefile("rb").read()[:12].decode()


@pytest.mark.parametrize(
    "values",
    [
        *([value] for value in HOSTILE_TIMEOUTS.split()),
        *([value] for value in ["", " ", "1 2", "\t", "\uff11", "\xbd", "9" * 400, "0." + "0" * 400, "9" * 5000]),
        ["1", "2"],
        ["1", "1"],
    ],
)
def test_a_hostile_timeout_is_as_good_as_none(values, refreshed):
    head = "".join(f"\r\n{TIMEOUT}: {value}" for value in values)
    assert status_of(refreshed, f"GET /metrics HTTP/1.1{head}") == "HTTP/1.1 200"


def test_a_timeout_counts_for_five_minutes_at_most(running):
    """A walk that took longer is not waited for, whatever the header says: places to wait are few."""
    running.result = lambda: running.clock.tick(301) or snapshot()
    running.go.set()
    running.get()
    running.clock.tick(3_000)
    running.go.clear()
    assert 'har_up{space="acct"} 1.0' in running.get(headers={TIMEOUT: "86400"}).text
    assert running.refresher.refreshing()


def test_a_scrape_that_leaves_does_not_end_the_refresh(running):
    with socket.create_connection(running.address) as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert running.begun.wait(10)
    running.go.set()
    assert 'har_up{space="acct"} 1.0' in running.get().text
    assert running.walks == 1


def test_scrapes_leave_nothing_behind_on_a_refresh_that_hangs(running):
    for _ in range(5):
        running.get(headers={TIMEOUT: "0.6"})
    assert running.walks == 1
    assert len(running.refresher._spaces["acct"].running._done_callbacks) == 1
    assert not running.endpoints._waiting


def test_each_scrape_beyond_sixty_four_that_wait_lets_the_first_one_go(running):
    with ExitStack() as stack:
        socks = [stack.enter_context(socket.create_connection(running.address, timeout=10)) for _ in range(70)]
        for number, sock in enumerate(socks, 1):
            sock.sendall(f"GET /metrics HTTP/1.1\r\nHost: x\r\n{TIMEOUT}: 60\r\n\r\n".encode())
            # The first ones one after the other, so that they wait in this order; the last ones at once.
            while number <= 64 and len(running.endpoints._waiting) < number:
                time.sleep(0.001)
        assert [sock.recv(15) for sock in socks[:6]] == [b"HTTP/1.1 200 OK"] * 6
        assert len(running.endpoints._waiting) == 64


def test_a_walk_that_fails_is_a_good_scrape_without_data(running):
    running.error = ServerError("down")
    running.go.set()
    answer = running.get()
    assert answer.status_code == 200
    assert 'har_refresh_failures_total{reason="server_error",space="acct"} 1.0' in answer.text
    assert "har_snapshot_timestamp_seconds{" not in answer.text


@pytest.mark.parametrize(
    "accept",
    [None, "*/*", "text/plain;version=abc", "application/openmetrics-text", "text/html", "\xff;;,", ",", "a" * 9000],
)
@pytest.mark.parametrize(
    ("encoding", "compressed"),
    [
        *((accepted, True) for accepted in ("gzip", "GZip", "deflate, gzip;q=0.5", "*", "gzip;q=text")),
        *((refused, False) for refused in ("identity", "", "*;q=0", "gzip;q=0", "gzip; Q=0.000, *", "zstd, \xff")),
        (",;=" * 2000, False),
    ],
)
def test_any_headers_get_a_page_that_parses(accept, encoding, compressed, refreshed):
    headers = {"Accept-Encoding": encoding.encode("latin-1")} | ({"Accept": accept.encode("latin-1")} if accept else {})
    connection = http.client.HTTPConnection(*refreshed.address, timeout=10)
    connection.request("GET", "/metrics", headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200
    assert int(answer.headers["Content-Length"]) == len(body)
    assert (answer.headers["Content-Encoding"] == "gzip") is compressed
    text = (gzip.decompress(body) if answer.headers["Content-Encoding"] == "gzip" else body).decode()
    parse = parse_openmetrics if "openmetrics" in answer.headers["Content-Type"] else parse_text
    assert "har_up" in {family.name for family in parse(text)}


def test_head_has_the_headers_of_get_and_no_body(refreshed):
    answer = requests.head(f"{refreshed.url}/metrics", timeout=10)
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 0


@pytest.mark.parametrize(
    "path",
    [
        "/metric",
        "/metrics/",
        "/METRICS",
        "/metrics;x",
        "/-/",
        "//metrics",
        "/%2e%2e/metrics",
        "/metrics%00",
        "/metrics%3Fx",
    ],
)
def test_an_unknown_path_is_404_and_not_echoed(path, refreshed):
    answer = refreshed.get(path)
    assert answer.status_code == 404
    assert "metric" not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_another_method_is_405_with_the_ones_that_are_known(method, refreshed):
    answer = requests.request(method, f"{refreshed.url}/metrics", timeout=10)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_health_does_not_depend_on_the_upstream(running):
    running.error = ServerError("down")
    assert running.get("/-/healthy").status_code == 200


def test_readiness_comes_with_the_first_refresh_well_or_not(running):
    assert running.get("/-/ready").status_code == 503
    running.error = ServerError("down")
    running.go.set()
    running.get()
    assert running.get("/-/ready").status_code == 200


def test_readiness_comes_after_30_s_all_the_same(running):
    running.clock.tick(29.9)
    assert running.get("/-/ready").status_code == 503
    running.clock.tick(0.2)
    assert running.get("/-/ready").status_code == 200


def test_the_page_for_people_loads_nothing_from_elsewhere(running):
    running.go.set()
    running.get()
    answer = running.get("/")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "acct" in answer.text
    assert __version__ in answer.text


@pytest.mark.parametrize("sent", [b"", b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow"], ids=["nothing", "half"])
def test_a_client_that_never_finishes_its_headers_is_closed(sent, running):
    with socket.create_connection(running.address, timeout=10) as sock:
        sock.sendall(sent)
        began = time.monotonic()
        assert sock.recv(1000) == b""
        assert time.monotonic() - began < 5


def test_a_second_request_that_never_ends_is_closed_too(running):
    with socket.create_connection(running.address, timeout=10) as sock:
        sock.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        answers = sock.makefile("rb")
        assert b"OK\n" in iter(answers.readline, b"")
        sock.sendall(b"GET /-/hea")
        assert answers.read() == b""


def test_a_scrape_that_sends_no_more_gets_what_there_is_at_once(running):
    with socket.create_connection(running.address, timeout=10) as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert running.begun.wait(10)
        sock.shutdown(socket.SHUT_WR)
        assert b'har_up{space="acct"} 0.0' in sock.makefile("rb").read()
    assert running.refresher.refreshing()


@pytest.mark.parametrize(
    "target",
    [
        "http://x/metrics", "HTTP://other:99/metrics?a=b", "https://user:pw@[::1]:80/metrics", "http:///metrics",
        "http://x/%6detrics", "http://x", "http://x?/metrics",
    ],
)  # fmt: skip
def test_a_target_may_be_a_url_as_for_a_proxy(target, refreshed):
    assert status_of(refreshed, f"GET {target} HTTP/1.1") == "HTTP/1.1 200"


@pytest.mark.parametrize("target", ["http://x/nothing", "http:/metrics", "*", "x:80", "metrics", "http%3A//x/metrics"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "CONNECT"])
def test_a_target_that_is_no_path_is_404(method, target, refreshed):
    assert status_of(refreshed, f"{method} {target} HTTP/1.1") == "HTTP/1.1 404"


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(0, 10_000), max_size=40) | st.lists(st.integers(0, 2**20), max_size=4))
def test_a_body_goes_out_in_few_pieces_and_a_client_that_does_not_read_costs_one_of_them(sizes):
    """Of 128 KiB at most; any two that follow each other are more than one could hold, but for the ends of parts."""
    parts = [bytes([number]) * size for number, size in enumerate(sizes)]
    pieces = [bytes(piece) for piece in _pieces(parts)]
    assert b"".join(pieces) == b"".join(parts)
    assert all(0 < len(piece) <= 2**17 for piece in pieces)
    ends = sum(size > 2**17 for size in sizes)
    assert sum(len(one) + len(two) <= 2**17 for one, two in pairwise(pieces)) <= ends
