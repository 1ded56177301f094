"""One page over HTTP: what is sent, what an answer means, when it is tried again."""

import contextlib
import gzip
import json
import random
import re

import pytest
import requests_mock

from exporter.clock import Stopped
from exporter.harness.client import Client, Listing
from exporter.harness.counters import ApiCounters
from exporter.harness.errors import BadShapeError, RateLimitedError, RefreshError, RequestTimeout, ServerError
from exporter.harness.keys import FixedKey, KeyFile
from exporter.harness.limits import Limits
from exporter.harness.page import decode_page
from exporter.harness.transport import Transport
from tests.support.clocks import FakeClock
from tests.support.upstream import Upstream, cut, make_rows, reply, truncated

KEY, OLD = "pat.acct.id.canary", "pat.acct.id.former"


class Asking:
    """A client of an upstream, and what it is made of."""

    def __init__(self, upstream, *, key=None, rate=None, bearer=False):
        self.clock, self.counters = FakeClock(), ApiCounters()
        self.limits = Limits(self.clock, self.counters, rate=rate, concurrency=4)
        self.client = Client(
            Transport(upstream.url, connections=4),
            upstream.url + ("/api/v1" if bearer else "/har/api/v1"),
            key or FixedKey(KEY),
            self.limits,
            bearer=bearer,
            request_timeout=5.0,
            counters=self.counters,
            clock=self.clock,
            jitter=random.Random(7),
        )

    def page(self, listing=None, within=3600.0):
        deadline = self.clock.monotonic() + within
        self.client.wait_for_turn(deadline)
        return self.client.page(listing or Listing("acct"), 0, 100, deadline)


@pytest.fixture
def upstream():
    with Upstream(make_rows(3), key=KEY) as upstream:
        yield upstream


class Answers:
    """Single answers, served by requests-mock in place of a server: for tables of statuses, headers and bodies."""

    url = "https://har.example"

    def __init__(self, mocker):
        self._mocker = mocker

    def asking(self, *answers, **options):
        """Return a client whose requests get these answers in turn, the last one again and again."""
        names = ("status_code", "content", "headers")
        in_turn = [dict(zip(names, answer, strict=False)) for answer in answers]
        self._mocker.get(requests_mock.ANY, in_turn)
        return Asking(self, **options)

    @property
    def requests(self):
        return self._mocker.request_history


@pytest.fixture
def answers(requests_mock):
    return Answers(requests_mock)


PAGE = (
    200,
    json.dumps({"status": "SUCCESS", "data": {"artifacts": make_rows(3)}}).encode(),
    {"Content-Type": "application/json"},
)


def test_the_path_keeps_its_plus_and_page_and_size_are_always_sent():
    listing = Listing("a.c/o_r-g/p$x")
    with Upstream({"a.c/o_r-g/p$x": make_rows(1)}, key=KEY) as upstream:
        Asking(upstream).page(listing)
        (request,) = upstream.requests
    assert request.path == "/har/api/v1/spaces/a.c/o_r-g/p%24x/+/artifacts"
    assert (request.query["page"], request.query["size"]) == (["0"], ["100"])


@pytest.mark.parametrize("bearer", [False, True])
def test_the_key_goes_in_the_header_of_the_scheme_and_in_no_other(bearer):
    with Upstream(make_rows(1), key=KEY, bearer=bearer) as upstream:
        Asking(upstream, bearer=bearer).page()
        headers = upstream.requests[0].headers
    expected = {"authorization": f"Bearer {KEY}"} if bearer else {"x-api-key": KEY}
    assert {name: value for name, value in headers.items() if "canary" in value} == expected
    assert headers["accept"] == "application/json"
    assert re.fullmatch(r"har-exporter/\d+\.\d+\.\d+\S*", headers["user-agent"])


REASONS = {
    301: "redirect", 302: "redirect", 304: "redirect", 307: "redirect", 400: "client_error", 401: "auth",
    403: "forbidden", 404: "not_found", 405: "client_error", 407: "proxy", 410: "client_error", 413: "client_error",
    422: "client_error", 204: "bad_shape", 206: "bad_shape", 501: "server_error", 505: "server_error",
}  # fmt: skip


@pytest.mark.parametrize("status", REASONS)
def test_a_status_that_no_retry_helps_is_reported_by_its_reason_at_once(status, answers):
    asking = answers.asking((status, b'{"message": "be\\nware"}' if status not in {204, 304} else b""))
    with pytest.raises(RefreshError) as caught:
        asking.page()
    assert (caught.value.reason, caught.value.status) == (REASONS[status], status)
    assert str(status) in str(caught.value)
    assert len(answers.requests) == 1
    assert asking.clock.waits == []
    assert asking.counters.read().requests[str(status)] == 1


def test_what_the_api_says_of_an_error_is_told_as_one_short_line_without_the_key(upstream):
    upstream.fault = lambda _: reply(404, {"code": "404", "message": f"no\nspace for {KEY.upper()}" + "!" * 999})
    with pytest.raises(RefreshError, match=r"^the server returned 404: no.space for \(key\)!{99,250}~\w+$"):
        Asking(upstream).page()


TEMPORARY = {
    **dict.fromkeys((408, 425), "client_error"),
    **dict.fromkeys((500, 502, 503, 504, 520, 521, 522, 523, 524, 529), "server_error"),
}


@pytest.mark.parametrize("status", TEMPORARY)
def test_a_temporary_error_is_tried_three_times_with_full_jitter(status, answers):
    asking = answers.asking((status, b""))
    with pytest.raises(RefreshError) as caught:
        asking.page()
    assert caught.value.reason == TEMPORARY[status]
    assert len(answers.requests) == 3
    first, second = asking.clock.waits
    assert 0 <= first <= 0.5
    assert 0 <= second <= 1.0
    assert asking.counters.read().retries[TEMPORARY[status]] == 2


@pytest.mark.parametrize("fault", [reply(503), cut(), truncated(b'{"status"')], ids=["503", "cut", "short"])
def test_one_passing_fault_costs_a_retry_and_no_page(fault, upstream):
    upstream.faults.append(fault)
    assert decode_page(Asking(upstream).page(), 1.8e9, rows_asked=100).rows == 3
    assert len(upstream.requests) == 2


def test_a_connection_that_is_refused_is_tried_again_and_then_told():
    with Upstream([]) as upstream:
        asking = Asking(upstream)
    with pytest.raises(RefreshError) as caught:
        asking.page()
    assert caught.value.reason == "connect"
    assert asking.counters.read().requests["error"] == 3


def test_a_storm_makes_at_most_half_more_than_the_normal_traffic(upstream):
    upstream.fault = lambda _: reply(503)
    asking = Asking(upstream)
    for _ in range(100):
        with pytest.raises(ServerError):
            asking.page()
    assert len(upstream.requests) <= 150


def limited(retry_after):
    return (429, b"", {"Retry-After": retry_after})


@pytest.mark.parametrize(("retry_after", "waits"), [("7", 7.0), ("0", 0.0), ("Fri, 15 Jan 2027 08:01:00 GMT", 60.0)])
def test_retry_after_is_obeyed(retry_after, waits, answers):
    asking = answers.asking(limited(retry_after), PAGE)
    asking.clock.tick(1_800_000_000.0 - asking.clock.time())
    asking.page()
    assert sum(asking.clock.waits) == waits


@pytest.mark.parametrize("retry_after", ["soon", "-5", "1.5", ""])
def test_a_retry_after_that_is_garbage_counts_as_absent(retry_after, answers):
    asking = answers.asking(limited(retry_after), PAGE)
    asking.page()
    assert sum(asking.clock.waits) <= 0.5


@pytest.mark.parametrize(("retry_after", "held"), [("61", 61.0), ("1800", 1_800.0), ("9" * 400, 3_600.0)])
@pytest.mark.parametrize(("status", "reason"), [(429, "rate_limited"), (503, "server_error"), (404, "not_found")])
def test_a_retry_after_of_more_than_a_minute_fails_at_once_and_holds_the_key(
    status, reason, retry_after, held, answers
):
    """Whatever the walk has time for: waiting in it, or for the end of the hold, would be seen by nobody."""
    asking = answers.asking((status, b"", {"Retry-After": retry_after}))
    with pytest.raises(RefreshError) as caught:
        asking.page()
    assert (caught.value.reason, caught.value.retry_after) == (reason, held)
    with pytest.raises(RateLimitedError) as caught:
        asking.page()
    assert caught.value.retry_after == held
    asking.clock.tick(held)
    with pytest.raises(RefreshError, match=f"returned {status}"):
        asking.page()
    assert asking.clock.waits == []
    assert len(answers.requests) == 2


def test_a_retry_after_beyond_the_deadline_fails_at_once(answers):
    asking = answers.asking(limited("50"))
    with pytest.raises(RateLimitedError):
        asking.page(within=40.0)
    with pytest.raises(RequestTimeout):
        asking.page(within=40.0)
    assert asking.clock.waits == []


HTML = {"Content-Type": "text/html"}


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ((403, b"<html>", HTML), "a proxy or firewall"),
        ((403, b'{"message": "Unauthorized"}'), "check auth_scheme"),
        ((403, b'{"message": "forbidden"}'), "artifact_artregistry_view"),
        ((401, b"<html>", HTML), "check api_key"),
    ],
)
def test_the_hint_fits_what_the_server_says(answer, hint, answers):
    with pytest.raises(RefreshError) as caught:
        answers.asking(answer).page()
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("key", "looks"),
    [
        ('"pat.acct.id.secret"', "it is in quotes"),
        ("${HARNESS_API_KEY}", "it is the name of a variable"),
        ("{{harnessApiKey}}", "it is the name of a variable"),
        ("<your-api-key>", "it is a placeholder"),
        ("pat.acct.changeme-please", "it is a placeholder"),
        ("x-api-key:pat.acct.id.secret", "the name of a header"),
        ("pat.acct.secret1", "parts of it are missing"),
        ("cGF0LmFjY3QuaWQuc2VjcmV0MTIz", "it is still in base64"),
        ("0123456789abcdef", "it has another form"),
        ("pat.other.id.secret", "one of another account"),
        ("sat.acct.id.secret", ""),
    ],
)
def test_a_key_that_is_refused_is_described_and_not_shown(key, looks, answers):
    with pytest.raises(RefreshError) as caught:
        answers.asking((401, b""), key=FixedKey(key)).page()
    assert looks in caught.value.hint
    assert ("looks like pat" in caught.value.hint) == (looks not in {"", "one of another account"})
    assert key not in caught.value.hint


@pytest.mark.parametrize(("status", "reason"), [(401, "auth"), (403, "forbidden")])
def test_a_refused_key_is_read_again_once(status, reason, upstream, tmp_path):
    file = tmp_path / "key"
    file.write_text(OLD)
    asking = Asking(upstream, key=KeyFile(file))
    upstream.faults.append(reply(status))
    upstream.before = lambda _: None
    renew = asking.client._key.renew
    asking.client._key.renew = lambda *refused: file.write_text(KEY) > 0 and renew(*refused)
    assert decode_page(asking.page(), 1.8e9, rows_asked=100).rows == 3
    assert asking.counters.read().retries[reason] == 1


def test_the_limit_and_the_hold_are_those_of_the_key_that_is_sent(upstream, tmp_path):
    """Whatever the key was when the server was opened."""
    file = tmp_path / "key"
    file.write_text(OLD)
    asking = Asking(upstream, key=KeyFile(file))
    file.write_text(KEY)
    upstream.faults.append(reply(429, headers=[("Retry-After", "60")]))
    with pytest.raises(RateLimitedError):
        asking.page(within=30.0)
    asking.limits.throttle(upstream.url, OLD).acquire(asking.clock.monotonic())
    with pytest.raises(RequestTimeout):
        asking.limits.throttle(upstream.url, KEY).acquire(asking.clock.monotonic() + 30.0)


def test_a_key_that_did_not_change_is_not_tried_again(upstream, tmp_path):
    file = tmp_path / "key"
    file.write_text(OLD)
    with pytest.raises(RefreshError) as caught:
        Asking(upstream, key=KeyFile(file)).page()
    assert caught.value.reason == "auth"
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("content_type", ["text/html", "text/html; charset=utf-8", "application/xhtml+xml"])
def test_a_web_page_is_no_page_and_the_hint_says_so(content_type, answers):
    with pytest.raises(BadShapeError) as caught:
        answers.asking((200, b"<html>", {"Content-Type": content_type})).page()
    assert "sign-in" in caught.value.hint


def test_content_that_is_not_json_is_no_page(answers):
    with pytest.raises(BadShapeError, match="text/plain"):
        answers.asking((200, b"{}", {"Content-Type": "text/plain"})).page()


@pytest.mark.parametrize("content_type", ["application/json;charset=UTF-8", "application/problem+json", "text/json"])
def test_json_by_any_of_its_names_is_read(content_type, answers):
    assert answers.asking((200, b"{}", {"Content-Type": content_type})).page() == b"{}"


def encoded(body, encoding="gzip"):
    return (200, body, {"Content-Type": "application/json", "Content-Encoding": encoding})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (gzip.compress(b"{}")[:-4], "bad_json"),
        (b"not gzip", "bad_json"),
        (gzip.compress(b"{}") + b"more", "bad_json"),
        (gzip.compress(bytes(17 * 2**20)), "too_large"),
        (gzip.compress(random.Random(1).randbytes(17 * 2**20), 1), "too_large"),
    ],
    ids=["truncated", "none", "trailing", "bomb", "large"],
)
def test_a_body_that_cannot_be_decompressed_is_reported_by_its_reason(body, reason, answers):
    with pytest.raises(RefreshError) as caught:
        answers.asking(encoded(body)).page()
    assert caught.value.reason == reason


def test_an_encoding_that_was_not_requested_is_no_page(answers):
    with pytest.raises(BadShapeError, match="Content-Encoding"):
        answers.asking(encoded(b"x", "br")).page()


def test_a_wait_ends_when_the_process_shuts_down(upstream):
    upstream.fault = lambda _: reply(503)
    asking = Asking(upstream)
    asking.clock.stopped = True
    with pytest.raises(Stopped):
        asking.page()


def test_no_request_is_sent_after_the_deadline(upstream):
    with pytest.raises(RequestTimeout) as caught:
        Asking(upstream).page(within=0.0)
    assert caught.value.hint == "raise refresh_timeout or page_size"
    assert upstream.requests == []


def test_a_request_that_finds_no_room_until_the_deadline_is_not_sent(upstream):
    asking = Asking(upstream)
    with asking.client._slot(asking.clock.monotonic()), contextlib.ExitStack() as full:
        for _ in range(3):
            full.enter_context(asking.client._slot(asking.clock.monotonic()))
        with pytest.raises(RequestTimeout, match="in flight") as caught:
            asking.page(within=0.05)
    assert caught.value.hint == "raise concurrency or refresh_timeout"
    assert upstream.requests == []
    assert decode_page(asking.page(), 1.8e9, rows_asked=100).rows == 3
