"""Many scrapes at once, and scrapes that shutdown meets, by the real process over a real upstream."""

import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import requests

from tests.support.commands import served, settings_for
from tests.support.threads import wait_until
from tests.support.upstream import Upstream, make_rows

LIMIT = 64
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Prometheus-Scrape-Timeout-Seconds: 60\r\n\r\n"


def address(url: str) -> tuple[str, int]:
    return "127.0.0.1", int(url.rpartition(":")[2])


def begin(url: str) -> socket.socket:
    """Begin a scrape."""
    sock = socket.create_connection(address(url), timeout=20)
    sock.sendall(SCRAPE)
    return sock


def answer(sock: socket.socket) -> tuple[int, str]:
    """Return the status and the body of an answer that must be whole."""
    with sock, sock.makefile("rb") as stream:
        head, _, body = stream.read().partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    assert length
    assert int(length[1]) == len(body)
    return int(head.split()[1]), body.decode()


def test_200_scrapes_at_once_of_a_cold_space_of_which_50_leave_make_one_walk():
    hold = threading.Event()
    with Upstream(make_rows(730), hold=hold) as upstream, served(**settings_for(upstream)) as (_, url):
        with ThreadPoolExecutor(50) as starters:
            scrapes = list(starters.map(begin, [url] * 200))
        for leaving in scrapes[:50]:
            leaving.close()
        upstream.wait_for_requests(1)
        hold.set()
        answers = [answer(scrape) for scrape in scrapes[50:]]
        assert len(upstream.requests) <= 8 + 2
    assert {status for status, _ in answers} == {200}
    pages = [body for _, body in answers if "har_snapshot_timestamp_seconds{" in body]
    assert len(pages) >= LIMIT - 50
    (_,) = {re.search("har_snapshot_timestamp_seconds{.*", page)[0] for page in pages}
    assert all('har_snapshot_artifacts{source="fetched",space="acct"} 730.0' in page for page in pages)


def test_a_soft_limit_of_descriptors_keeps_no_scrape_from_its_answer():
    """The exporter raises it as far as the hard one allows."""
    with Upstream(make_rows(1)) as upstream, ExitStack() as stack:
        _, url = stack.enter_context(served(before="ulimit -Sn 64", **settings_for(upstream)))
        idle = [stack.enter_context(socket.create_connection(address(url), timeout=20)) for _ in range(300)]
        assert 'har_up{space="acct"} 1.0' in requests.get(f"{url}/metrics", timeout=20).text
        idle[-1].sendall(SCRAPE)
        assert answer(idle.pop())[0] == 200


def test_shutdown_answers_a_scrape_whole_and_is_not_ready_meanwhile():
    hold = threading.Event()
    with Upstream(make_rows(1), hold=hold) as upstream, served(**settings_for(upstream)) as (process, url):
        scrape = begin(url)
        upstream.wait_for_requests(1)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: requests.get(f"{url}/-/ready", timeout=20).text == "Shutting down.\n")
        status, body = answer(scrape)
        assert (status, 'har_up{space="acct"} 0.0' in body) == (200, True)
        assert process.wait(10) == 0
        assert time.monotonic() - began < 5
        hold.set()
