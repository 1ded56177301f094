"""The upstream of the tests: every option that imitates a quirk or a fault."""

import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import trustme

from exporter.demo.server import KEY, PREFIX
from tests.support.asking import NEWEST_FIRST, asked, names
from tests.support.upstream import (
    ABSENT,
    PATIENCE,
    SPACE,
    Upstream,
    capped,
    cut,
    make_row,
    make_rows,
    one_based,
    redirect,
    reply,
    truncated,
)


@pytest.fixture
def ask(session):
    """Ask an upstream for a page of its first space."""

    def page(upstream, page=0, size=10, **query):
        return asked(session, upstream, upstream.space, page=page, size=size, **query)

    return page


def test_upstream_serves_any_listing_of_any_space(ask, session):
    """Rows, functions of rows, several spaces; a listing may change while it is served."""
    rows = make_rows(3)
    with Upstream({"acct": rows, "acct/org": lambda: rows[:1]}) as upstream:
        assert ask(upstream).json()["data"]["artifacts"] == rows
        rows.append(make_row(3))
        assert ask(upstream).json()["data"]["itemCount"] == 4
        assert asked(session, upstream, "acct/org").json()["data"]["itemCount"] == 1
        assert asked(session, upstream, "acct/other").status_code == 400


def test_upstream_caps_silently(ask):
    """The cap moves the offset too, and is told or not."""
    with Upstream(make_rows(25), serve_size=capped(4)) as upstream:
        data = ask(upstream, page=1, size=10).json()["data"]
        assert names(data) == [f"artifact-{number:06}" for number in range(4, 8)]
        assert data["pageSize"] == 4
        upstream.page_size = ABSENT
        assert "pageSize" not in ask(upstream).json()["data"]


def test_upstream_counts_pages_from_one_or_as_it_likes(ask):
    """Pages 0 and 1 are the same, page 2 follows; any other mapping works as well."""
    with Upstream(make_rows(25), serve_page=one_based) as upstream:
        first, again, second = (ask(upstream, page=page).json()["data"] for page in range(3))
        assert first["artifacts"] == again["artifacts"] != second["artifacts"]
        assert [first["pageIndex"], again["pageIndex"], second["pageIndex"]] == [0, 1, 2]
        upstream.serve_page = lambda page: page % 2
        assert ask(upstream, page=4).json()["data"]["artifacts"] == first["artifacts"]


def test_upstream_refuses_a_size(ask):
    """Sizes above the largest one are refused with the status of choice."""
    with Upstream(make_rows(3), refuse_above=100, refuse_status=413) as upstream:
        assert ask(upstream, size=101).status_code == 413
        assert ask(upstream, size=100).status_code == 200


@pytest.mark.parametrize(("says", "said"), [(0, 0), (-1, -1), (2**80, 2**80), ("many", "many"), (lambda n: n + 1, 4)])
def test_upstream_miscounts(ask, says, said):
    """`itemCount` says anything, or nothing."""
    with Upstream(make_rows(3), item_count=says) as upstream:
        assert ask(upstream).json()["data"]["itemCount"] == said
        upstream.item_count = ABSENT
        assert "itemCount" not in ask(upstream).json()["data"]


def test_upstream_wants_a_bearer_at_another_prefix(session):
    """As the open-source server it ignores `x-api-key`."""
    with Upstream(make_rows(3), bearer=True) as upstream:
        bearer = {"Authorization": f"Bearer {KEY}"}
        assert asked(session, upstream, SPACE, prefix="/api/v1", headers=bearer).status_code == 200
        assert asked(session, upstream, SPACE, prefix="/api/v1").status_code == 403
        assert asked(session, upstream, SPACE, headers=bearer).status_code == 404


def test_upstream_fails_as_it_is_told(ask):
    """Queued faults come first and once, then those that the function decides on, then the regular answer."""
    with Upstream(make_rows(3)) as upstream, Upstream() as other:
        upstream.fault = lambda request: reply(500, "oh") if request.query["page"] == ["7"] else None
        upstream.faults.extend([reply(429, {"message": "slow"}, [("Retry-After", "1")]), None, redirect(other.url)])
        limited = ask(upstream)
        assert (limited.status_code, limited.headers["Retry-After"], limited.json()) == (429, "1", {"message": "slow"})
        assert ask(upstream).status_code == 200
        assert ask(upstream).headers["Location"] == other.url
        assert ask(upstream, page=7).text == "oh"
        upstream.faults.extend([cut(), truncated(b'{"status":')])
        with pytest.raises(requests.ConnectionError):
            ask(upstream)
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            ask(upstream)
        assert ask(upstream).status_code == 200
        assert other.requests == []


def test_upstream_calls_between_pages(ask):
    """The hook may change the listing that the same request then sees."""
    with Upstream(make_rows(3)) as upstream:
        upstream.before = lambda _: upstream.spaces[SPACE].pop()
        assert [ask(upstream).json()["data"]["itemCount"] for _ in range(2)] == [2, 1]


def test_upstream_serves_rows_as_given(ask):
    """Rows that are no objects come through untouched."""
    rows = [1, None, "x", {"name": "\ud800"}]
    with Upstream(rows, arranged=False) as upstream:
        assert ask(upstream, **NEWEST_FIRST).json()["data"]["artifacts"] == rows


def test_upstream_holds_answers_and_logs_requests(ask):
    """Requests are logged when they come, and answered when the test says so."""
    with Upstream(make_rows(3), hold=threading.Event()) as upstream, ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(ask, upstream, page=page) for page in range(3)]
        seen = upstream.wait_for_requests(3)
        assert not any(answer.done() for answer in answers)
        upstream.hold.set()
        assert [answer.result().status_code for answer in answers] == [200] * 3
        assert upstream.most_in_flight == 3
    assert sorted(request.query["page"] for request in seen) == [["0"], ["1"], ["2"]]
    assert {request.path for request in seen} == {f"{PREFIX}/spaces/{SPACE}/+/artifacts"}
    assert {request.headers["x-api-key"] for request in seen} == {KEY}


def test_upstream_speaks_tls(tmp_path, session):
    """With a context of its own it serves HTTPS, and a stalled handshake holds up nobody."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with Upstream(make_rows(3), ssl_context=context) as upstream:
        url = f"{upstream.url}{PREFIX}/spaces/{SPACE}/+/artifacts"
        with socket.create_connection(("127.0.0.1", int(upstream.url.rpartition(":")[2])), timeout=PATIENCE):
            answer = session.get(url, headers={"x-api-key": KEY}, verify=str(tmp_path / "ca.pem"), timeout=PATIENCE)
        assert answer.json()["data"]["itemCount"] == 3
        with pytest.raises(requests.exceptions.SSLError):
            session.get(url, timeout=PATIENCE)
