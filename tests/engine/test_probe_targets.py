"""Whatever a probe asks for, only what may be asked is asked, at the server and with the key that it was given for."""

import random
import re
import socket
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.engine.probes import Targets
from tests.support import whole
from tests.support.probing import probed
from tests.support.rawserver import RawServer, sends
from tests.support.settings import settings_from, settings_of
from tests.support.upstream import Upstream, make_rows

CONFIGURED = ("acct", "acct/org/proj")
TARGETS = 500

# What is hostile in a target: schemes, hosts, users, dots, encodings, controls, other alphabets, parameters, spellings.
PIECES = (
    "acct", "acct/org/proj", "acct/org", "org", "other", "ACCT", "Acct", "a", "+", "/+", "+/artifacts", "artifacts",
    "", "", "/", "//", "\\", "/.", "/..", "./", "../", "..", ".", "...", "/;/", "~", "%", "%2e", "%2E%2E", "%2f",
    "%252e%252e", "%252f", "%5c", "%00", "\0", "\t", "\r\n", "%0d%0aHost:%20evil", " ", "%20", "\xa0", "\u2028",
    "\ufeff", "\u202e", "?", "?page=9", "&", "&space=other", "&space=acct", "#", ";", "=", "$", "_", "-", ":", ":80",
    ":@", "@", "user:pw@", "acct@", "@acct", "http://", "https://", "HTTP:", "file:///", "ftp://", "gopher://",
    "//DECOY", "http://DECOY/", "https://DECOY@", "DECOY", "@DECOY", "127.0.0.1", "[::1]", "localhost",
    "169.254.169.254", "evil.example", "\xe9", "\u0430cct", "\uff41\uff43\uff43\uff54", "\u2024", "\u2215", "\u2044",
    "\uff0f", "\uff0e\uff0e", "%c0%ae%c0%ae", "%c0%af", "%ff", "%u002e", "\U0001f4a9", "{}", "{org}",
    "${jndi:ldap://DECOY}", "'", '"', "<b>", "|", "*", "x" * 3_000,
)  # fmt: skip
WAYS = (
    lambda text: quote(text, safe=""),
    lambda text: quote(text, safe="/+%&=:@"),
    lambda text: quote(quote(text, safe=""), safe=""),
    lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    lambda text: re.sub(r"[\0-\x20\x7f]", lambda control: quote(control[0]), text).encode().decode("latin-1"),
)
ALLOWED = {
    "configured": re.compile(r"/har/api/v1/spaces/(?:acct|acct/org/proj)/\+/artifacts"),
    "any": re.compile(r"/har/api/v1/spaces/acct(?:/[A-Za-z0-9_-](?:[A-Za-z0-9_.-]|%24){0,127}){0,2}/\+/artifacts"),
}
REFUSALS = {
    b"Unknown or malformed space. Use /probe?space=SPACE with a configured space.\n",
    b"Invalid HTTP request received.",  # bytes that no target of a request may have
}
SEGMENT = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9_.$-]{0,9}", fullmatch=True)


def targets_of(settings):
    return Targets(settings, settings.configured)


def generated(decoy: str) -> list[str]:
    """Return that many different queries, the same ones each time: pieces put together, spelled in some way."""
    chance = random.Random(1)
    queries = dict.fromkeys(f"space={way('acct')}" for way in WAYS)
    while len(queries) < TARGETS:
        pieces = chance.choices(PIECES, k=chance.choice((1, 1, 1, 2, 3, 4)))
        pieces.insert(chance.choice((0, 0, len(pieces))), chance.choice(("acct", "acct/", "acct/org/proj", "")))
        queries[f"space={chance.choice(WAYS)(''.join(pieces).replace('DECOY', decoy))}"] = None
    return list(queries)


def answer_to(front: whole.Front, query: str) -> tuple[bytes, bytes]:
    """Return status and body of the answer to a query that is sent as it is, which no library would."""
    host, _, port = front.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        head = f"GET /probe?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        sock.sendall(head.encode("latin-1"))
        head, _, body = sock.makefile("rb").read().partition(b"\r\n\r\n")
        return head[9:12], body


@pytest.mark.parametrize("setting", ALLOWED)
def test_of_500_hostile_targets_none_is_asked_that_may_not_be_or_anywhere_else(setting, front):
    with RawServer(sends()) as decoy, Upstream({"acct": make_rows(3), "acct/org/proj": make_rows(4)}) as upstream:
        asked = probed(front, upstream, probe=setting, spaces=",".join(CONFIGURED))
        answers = [answer_to(front, query) for query in generated(decoy.address)]
        assert len(answers) == TARGETS
        assert {status for status, _ in answers} == {b"200", b"400"}
        assert {body for status, body in answers if status == b"400"} == REFUSALS
        assert len(upstream.requests) > 1
        assert [request.path for request in upstream.requests if not ALLOWED[setting].fullmatch(request.path)] == []
        assert {request.headers["host"] for request in upstream.requests} == {upstream.url.removeprefix("http://")}
        assert decoy.connections == 0
    assert len(asked.kept) <= 100


@settings(max_examples=500)
@given(
    st.sampled_from(sorted(ALLOWED)),
    st.one_of(st.binary(), st.text().map(str.encode), st.text().map(lambda t: quote(t).encode())),
)
def test_of_all_queries_only_what_may_be_asked_is_understood(setting, query):
    """Bytes and texts, coded or not, as the value of `space` and as the whole query."""
    targets = targets_of(settings_of(spaces=",".join(CONFIGURED), api_key="pat.acct.id.key", probe=setting))
    for text in (query, b"space=" + query, b"space=acct" + query, b"space=acct%2f" + query):
        space = targets.asked(text)
        assert space is None or ALLOWED[setting].fullmatch(f"/har/api/v1/spaces/{quote(space.ref)}/+/artifacts")
        assert space is None or space.base_url == "https://app.harness.io"


@given(st.lists(SEGMENT, min_size=1, max_size=3), st.booleans())
def test_any_scope_of_a_configured_account_is_understood_however_it_is_coded(segments, coded):
    ref = "/".join(segments)
    query = quote(ref, safe="") if coded else ref
    space = targets_of(settings_of(spaces=segments[0], api_key="pat.acct.id.key", probe="any")).asked(
        f"space={query}".encode()
    )
    assert space is not None
    assert space.ref == ref


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        ("a", "https://one common"),
        ("a/x", "https://one common"),
        ("a/two", "https://two own"),
        ("a/two/p", "https://two own"),
        ("a/two/special", "https://one common"),
        ("a/twosome", "https://one common"),
        # Above b/x/p is no configured space, and those of b agree.
        ("b", "https://one common"),
        ("b/x", "https://one common"),
        ("b/x/p", "https://one common"),
        # Those of c have two keys, those of d two servers: which is right for another scope, nobody knows.
        ("c", None),
        ("c/x", None),
        ("c/one/p", "https://one common"),
        ("c/two/p", "https://one own"),
        ("d/x", None),
        ("d/two/p", "https://two own"),
        ("e", None),
    ],
)
def test_a_target_is_asked_at_the_server_and_with_the_key_of_the_closest_space_above_it(target, asked, tmp_path):
    (tmp_path / "own").write_text("pat.acct.id.own")
    own = f"api_key_file: {tmp_path}/own"
    text = f"""\
api_key: pat.acct.id.common
base_url: https://one
probe: any
spaces:
  - a
  - {{ref: a/two, base_url: "https://two", {own}}}
  - a/two/special
  - b/one
  - b/two/p
  - c/one
  - {{ref: c/two, {own}}}
  - d/one
  - {{ref: d/two, base_url: "https://two", {own}}}
"""
    space = targets_of(settings_from(tmp_path, text)).asked(f"space={target}".encode())
    key = space and ("own" if space.api_key_file else space.api_key and space.api_key.get_secret_value()[-6:])
    assert (space and f"{space.base_url} {key}") == asked


def test_none_may_be_asked_where_it_is_off():
    assert targets_of(settings_of(spaces="acct", api_key="pat.acct.id.key", probe="off")).asked(b"space=acct") is None
