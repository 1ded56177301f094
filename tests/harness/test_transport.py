"""One exchange ends in time and is told by its reason, whatever the other side does on the wire."""

import contextlib
import functools
import gzip
import io
import re
import socket
import ssl
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import trustme
import urllib3.exceptions
from requests import exceptions as requests_exceptions
from urllib3.connection import HTTPConnection

from exporter.harness import deadlines
from exporter.harness.deadlines import Exchange, Watchdog, _unread
from exporter.harness.errors import RefreshError, RequestTimeout, TooLargeError
from exporter.harness.transport import Transport, _translated
from tests.support import mixups
from tests.support.rawserver import HEAD, RawServer, drips, hangs, sends, stalls
from tests.support.threads import wait_until

LIMIT = 0.4
ASKED = {"space": "acct", "max_body": 2**20}


def get(server, scheme="http", timeout=LIMIT, **options):
    url = f"{scheme}://{server.address}"
    return Transport(url, connections=1, **options).get(f"{url}/x", {}, timeout, **ASKED)


def reason_of(behave, **options) -> str:
    with RawServer(behave, options.pop("context", None)) as server, pytest.raises(RefreshError) as caught:
        get(server, **options)
    return caught.value.reason


class Headers(dict[str, str]):
    """Headers that one can tell the end of."""


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("behave", [None, sends(), hangs], ids=["refused", "hung up", "silent"])
def test_nothing_that_was_sent_outlives_its_failure(behave):
    """Until the garbage collector comes by, that is: the key is among it."""
    with RawServer(behave or hangs) as server:
        url = f"http://{server.address}"
        transport = Transport(url, connections=1)
        if behave is None:
            server.stop()
        headers = Headers({"x-api-key": "key"})
        sent = weakref.ref(headers)
        with contextlib.suppress(RefreshError):
            transport.get(url, headers, LIMIT, **ASKED)
        del headers
    assert sent() is None


@pytest.mark.parametrize(
    "behave",
    [
        hangs,
        drips(b"HTTP/1.1 200 OK\r\nX-Drip: ", b"a"),
        drips(HEAD + b"Content-Length: 100000\r\n\r\n", b" "),
        drips(b"", b"H"),
        drips(HEAD + b"Connection: close\r\nContent-Length: 100000\r\n\r\n", b" "),
        drips(HEAD + b"Connection: close\r\n\r\n", b" "),
        drips(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n", b" "),
        drips(b"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n", b" "),
        drips(HEAD + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n", gzip.compress(b"")[:1]),
    ],
    ids=[
        "silence",
        "header drip",
        "body drip",
        "status drip",
        "body drip, closing",
        "body drip without a length",
        "body drip of HTTP 1.0",
        "error drip, closing",
        "gzip drip",
    ],
)
def test_no_answer_and_any_drip_end_in_time(behave):
    began = time.monotonic()
    assert reason_of(behave) == "timeout"
    assert time.monotonic() - began < LIMIT + 1


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (HEAD + b"Content-Length: 10\r\n\r\n{}",),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}",),
        (b"no http at all\r\n\r\n",),
        (b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\nContent-Length: 2\r\n\r\n{}",),
        (HEAD + b"X: y\r\nX: " + b"x" * 65_534 + b"Content-Length: 2\r\n\r\n{}",),
    ],
    ids=["nothing", "short", "bad chunk", "short chunk", "no http", "a long status", "a long header"],
)
def test_an_answer_that_breaks_off_is_a_broken_connection(parts):
    assert reason_of(sends(*parts)) == "connect"


def test_a_flood_of_provisional_answers_ends_in_time():
    def floods(server, sock):
        server.read(sock)
        while not server.over.is_set():
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 99)

    assert reason_of(floods) == "timeout"


def test_a_request_without_any_time_is_not_sent():
    with RawServer(ANSWERS) as server, pytest.raises(RefreshError) as caught:
        get(server, timeout=1e-9)
    assert caught.value.reason == "timeout"
    assert server.requests == []


@contextlib.contextmanager
def swallower(port=0):
    """An address of this machine that neither takes a connection nor refuses it: its queue is full."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.2", port))
        listener.listen(0)
        for _ in range(3):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()


def test_an_address_that_swallows_packets_is_given_up_in_time():
    began = time.monotonic()
    with swallower() as address:
        url = "http://{}:{}".format(*address)
        with pytest.raises(RefreshError) as caught:
            Transport(url, connections=1).get(url, {}, LIMIT, **ASKED)
    assert caught.value.reason == "timeout"
    assert time.monotonic() - began < LIMIT + 1


def test_the_next_address_of_a_host_is_tried_when_one_does_not_answer(monkeypatch):
    """In a share of the time, so that the next one has time to answer."""
    with RawServer(sends(EMPTY)) as server:
        port = int(server.address.rpartition(":")[2])
        with swallower(port) as address:
            both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in (address, ("127.0.0.1", port))]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
            url = f"http://har.example:{port}"
            assert Transport(url, connections=1).get(url, {}, 1.5, **ASKED).body == b"{}"


def test_a_handshake_has_all_the_time_that_is_left(authority, ca_file):
    """More than the share that an address has to connect."""

    def shakes_hands_late(server, sock):
        server.over.wait(0.6)
        with context_of(authority, "127.0.0.1").wrap_socket(sock, server_side=True) as tls:
            sends(EMPTY)(server, tls)

    with RawServer(shakes_hands_late) as server:
        assert get(server, "https", 1.5, ca_file=ca_file).body == b"{}"


def test_a_body_without_a_length_ends_with_the_connection():
    with RawServer(sends(HEAD + b"\r\n{}")) as server:
        assert get(server).body == b"{}"


def test_a_name_look_up_that_does_not_end_is_given_up_in_time(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(10) and [])
    transport = Transport("http://har.example", connections=1)
    began = time.monotonic()
    with pytest.raises(RefreshError) as caught:
        transport.get("http://har.example/x", {}, LIMIT, **ASKED)
    over.set()
    assert caught.value.reason == "timeout"
    assert time.monotonic() - began < LIMIT + 1


def test_a_name_that_does_not_exist_is_told(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(RefreshError) as caught:
        Transport("http://har.example", connections=1).get("http://har.example/x", {}, LIMIT, **ASKED)
    assert caught.value.reason == "dns"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def context_of(authority, *names):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture
def ca_file(authority, tmp_path):
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


ANSWERS = sends(HEAD + b"Content-Length: 2\r\n\r\n{}")


def test_a_private_authority_is_refused_unless_its_file_is_given(authority, ca_file):
    context = context_of(authority, "127.0.0.1")
    assert reason_of(ANSWERS, context=context, scheme="https", timeout=5) == "tls"
    with RawServer(ANSWERS, context) as server:
        assert get(server, "https", 5, ca_file=ca_file).body == b"{}"


def test_a_certificate_for_another_host_is_refused(authority, ca_file):
    context = context_of(authority, "elsewhere.example")
    assert reason_of(ANSWERS, context=context, scheme="https", timeout=5, ca_file=ca_file) == "tls"


def test_a_handshake_that_stalls_is_a_fault_of_tls():
    assert reason_of(stalls, scheme="https") == "tls"


def test_plain_http_where_tls_is_expected_is_a_fault_of_tls():
    assert reason_of(lambda _, sock: sock.sendall(HEAD + b"\r\n"), scheme="https", timeout=5) == "tls"


def test_a_handshake_that_is_hung_up_on_is_a_broken_connection():
    assert reason_of(lambda _, sock: sock.recv(9999), scheme="https", timeout=5) == "connect"


def test_https_goes_through_a_tunnel_of_the_proxy_which_sees_no_header(authority, ca_file):
    context = context_of(authority, "har.example")

    def tunnels(proxy, sock):
        proxy.read(sock)
        sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with context.wrap_socket(sock, server_side=True) as inner:
            ANSWERS(proxy, inner)

    with RawServer(tunnels) as proxy:
        proxy_url = f"http://{proxy.address}"
        transport = Transport("https://har.example", connections=1, ca_file=ca_file, proxy_url=proxy_url)
        assert transport.get("https://har.example/x", {"x-api-key": "canary"}, 5, **ASKED).body == b"{}"
    outside, inside = proxy.requests
    assert outside.startswith(b"CONNECT har.example:443 ")
    assert b"canary" not in outside
    assert b"canary" in inside


def test_a_client_certificate_is_shown(authority, ca_file, tmp_path):
    context = context_of(authority, "127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    cert = tmp_path / "client.pem"
    authority.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(str(cert))
    with RawServer(ANSWERS, context) as server:
        assert get(server, "https", 5, ca_file=ca_file, client_cert=(cert, None)).status == 200
        with pytest.raises(RefreshError):
            get(server, "https", 5, ca_file=ca_file)


def test_the_proxy_of_the_settings_is_used_even_for_loopback():
    with RawServer(ANSWERS) as proxy:
        transport = Transport("http://127.0.0.1:1", connections=1, proxy_url=f"http://u:p@{proxy.address}")
        assert transport.get("http://127.0.0.1:1/x", {}, 5, **ASKED).body == b"{}"
        assert proxy.requests[0].startswith(b"GET http://127.0.0.1:1/x HTTP/1.1")


def test_the_proxy_of_the_environment_is_used_but_never_for_loopback(monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with RawServer(ANSWERS) as proxy, RawServer(ANSWERS) as server:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://{proxy.address}")
        assert Transport("http://har.example", connections=1).get("http://har.example/x", {}, 5, **ASKED).body == b"{}"
        assert get(server).body == b"{}"
        assert proxy.connections == 1
        for exception in ("har.example", ".example", "other.test, *.example"):
            monkeypatch.setenv("NO_PROXY", exception)
            monkeypatch.setenv("no_proxy", exception)
            assert Transport("http://har.example", connections=1)._proxies.get("http") is None


def test_the_name_of_a_host_may_end_in_a_dot(authority, ca_file, monkeypatch):
    """Its certificate has none."""
    context = context_of(authority, "har.example")
    with RawServer(ANSWERS, context) as server:
        port = int(server.address.partition(":")[2])
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        url = f"https://har.example.:{port}"
        assert Transport(url, connections=1, ca_file=ca_file).get(url, {}, 5, **ASKED).body == b"{}"


def test_a_proxy_that_refuses_is_told_without_its_password():
    """Not even as the proxy itself repeats it in its reason phrase."""
    refuses = sends(b"HTTP/1.1 407 No entry for user:canary\r\nContent-Length: 0\r\n\r\n")
    with RawServer(refuses) as proxy:
        transport = Transport("https://har.example", connections=1, proxy_url=f"http://user:canary@{proxy.address}")
        with pytest.raises(RefreshError) as caught:
            transport.get("https://har.example/x", {}, 5, **ASKED)
    assert caught.value.reason == "proxy"
    assert str(caught.value).endswith("Tunnel connection failed: 407")


def test_connections_are_kept():
    def answers_twice(server, sock):
        for _ in range(2):
            server.read(sock)
            sock.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")

    with RawServer(answers_twice) as server:
        url = f"http://{server.address}"
        transport = Transport(url, connections=1)
        assert [transport.get(url, {}, 5, **ASKED).status for _ in range(2)] == [200, 200]
        assert server.connections == 1


@pytest.mark.parametrize(("limit", "connections"), [("_MOST_IDLE", 2), ("_OLDEST", 2), (None, 1)])
def test_a_connection_is_not_used_again_after_some_time(limit, connections, monkeypatch):
    """Whether it was idle for so long, or only opened so long ago."""
    if limit:
        monkeypatch.setattr(deadlines, limit, 0.0)
    with RawServer(serves(EMPTY, EMPTY)) as server:
        url = f"http://{server.address}"
        transport = Transport(url, connections=1)
        for _ in range(2):
            transport.get(url, {}, 5, **ASKED)
        assert server.connections == connections


def test_a_request_over_a_connection_that_died_is_sent_once_more_over_a_new_one():
    """Within the time of the request, although other idle connections may be dead too."""
    together = threading.Barrier(2)

    def dies(server, sock):
        server.read(sock)
        together.wait(10)  # so that two connections are open
        sock.sendall(EMPTY)
        hangs(server, sock)

    with RawServer(dies) as server:
        url = f"http://{server.address}"
        transport = Transport(url, connections=2)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda _: transport.get(url, {}, 5, **ASKED), range(2)))
        server.behave = sends(EMPTY)
        assert transport.get(url, {}, 1.5, **ASKED).body == b"{}"
        assert (len(server.requests), server.connections) == (4, 3)


def test_a_connection_that_was_used_before_and_is_slow_is_not_dead():
    """Its first byte comes in time, and the rest after that."""

    def slow(server, sock):
        serves(EMPTY)(server, sock)
        server.read(sock)
        sock.sendall(EMPTY[:1])
        server.over.wait(0.6)
        sock.sendall(EMPTY[1:])

    with RawServer(slow) as server:
        url = f"http://{server.address}"
        transport = Transport(url, connections=1)
        assert [transport.get(url, {}, 1.5, **ASKED).body for _ in range(2)] == [b"{}", b"{}"]
        assert len(server.requests) == 2


def test_a_body_that_came_while_its_connection_was_given_up_is_asked_for_again(monkeypatch):
    """One without a length looks complete wherever it was cut off."""
    exchanges = []

    class Recorded(Exchange):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            exchanges.append(self)

    def given_up(server, sock):
        server.read(sock)
        exchanges[-1].found_dead = len(exchanges) == 1
        sock.sendall(HEAD + b"\r\n{}" if exchanges[-1].found_dead else EMPTY)

    monkeypatch.setattr(deadlines, "Exchange", Recorded)
    with RawServer(given_up) as server:
        assert get(server).body == b"{}"
        assert len(server.requests) == 2


def test_a_new_connection_that_gives_no_byte_is_waited_for_once():
    with RawServer(hangs) as server, pytest.raises(RequestTimeout):
        get(server, timeout=0.3)
    assert len(server.requests) == 1


def serves(*responses):
    """Return the behaviour that answers the requests of a connection one by one."""

    def behave(server, sock):
        for response in responses:
            if not server.read(sock):
                return
            sock.sendall(response)

    return behave


EMPTY = HEAD + b"Content-Length: 2\r\n\r\n{}"
OTHER = HEAD + b'Content-Length: 10\r\n\r\n{"a": "b"}'


@pytest.mark.parametrize("status", [100, 102, 103, 199])
def test_interim_responses_before_the_real_one_are_skipped(status):
    interim = b"HTTP/1.1 %d Wait\r\nLink: </x>\r\n\r\n" % status
    with RawServer(serves(interim * 3 + EMPTY, interim + EMPTY)) as server:
        url = f"http://{server.address}"
        transport = Transport(url, connections=1)
        assert [transport.get(url, {}, 5, **ASKED).body for _ in range(2)] == [b"{}", b"{}"]
        assert server.connections == 1


CHUNKED = b"2\r\n{}\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "first",
    [
        EMPTY + EMPTY,
        EMPTY + OTHER[:20],
        EMPTY + b"\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED + EMPTY,
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n" + CHUNKED,
        HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
        HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"Content-Length: +2\r\n\r\n{}",
        HEAD + b"Content-Length: 0_2\r\n\r\n{}",
        b"HTTP/1.1 101 Other\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n" + EMPTY,
        b"HTTP/1.1 204 None\r\n\r\n",
        b"HTTP/1.1 204 None\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 205 None\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 206 Part\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 304 Same\r\n\r\n" + EMPTY,
        b"HTTP/1.1 404 None\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=lambda first: re.sub(rb"[^\w+]+", b"-", first.removeprefix(HEAD)[:40]).decode(),
)
def test_a_connection_ends_with_anything_but_a_clean_200(first):
    """What is left of one response must never be taken for the response to another request."""
    with RawServer(serves(first, OTHER)) as server:
        url = f"http://{server.address}"
        transport = Transport(url, connections=1)
        transport.get(url, {}, 5, **ASKED)
        server.behave = serves(EMPTY)
        assert transport.get(url, {}, 5, **ASKED).body == b"{}"
        assert server.connections == 2


@pytest.mark.parametrize(
    "first",
    [
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\nX-Trailer: 5\r\nContent-Length: 9\r\n\r\n",
        HEAD + b"Content-Length: 2, 2\r\n\r\n{}",
        HEAD + b"X-Padding: " + b"x" * 60_000 + b"\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=["chunks", "chunks and a trailer", "a length that is repeated", "a long header"],
)
def test_a_connection_is_kept_after_a_clean_200(first):
    with RawServer(serves(first, OTHER)) as server:
        url = f"http://{server.address}"
        transport = Transport(url, connections=1)
        bodies = [transport.get(url, {}, 5, **ASKED).body for _ in range(2)]
        assert (bodies, server.connections) == ([b"{}", b'{"a": "b"}'], 1)


def test_a_connection_on_which_an_answer_came_late_is_not_used_again():
    """A second answer that arrives while the connection is idle."""
    late, sent = threading.Event(), threading.Event()

    def behave(server, sock):
        serves(EMPTY)(server, sock)
        late.wait(10)
        sock.sendall(OTHER)
        sent.set()
        server.over.wait(10)

    with RawServer(behave) as server:
        url = f"http://{server.address}"
        transport = Transport(url, connections=1)
        transport.get(url, {}, 5, **ASKED)
        server.behave = serves(EMPTY)
        late.set()
        assert sent.wait(10)
        assert transport.get(url, {}, 5, **ASKED).body == b"{}"
        assert server.connections == 2


def test_a_connection_is_used_for_one_space_only():
    """However late a second answer comes, it is of the same space; 32 spaces keep their connections meanwhile."""

    def behave(server, sock):
        while head := server.read(sock):
            path = head.split()[1]
            sock.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(path) + path)

    with RawServer(behave) as server:
        transport = Transport(f"http://{server.address}", connections=1)
        asked = [*range(32), *range(32), 32, 1, 0]
        for space in map(str, asked):
            answer = transport.get(f"http://{server.address}/{space}", {}, 5, space=space, max_body=99)
            assert answer.body.decode() == f"/{space}"
        assert server.connections == 32 + 2  # the one of space 0 had been idle for longest


@pytest.mark.parametrize("fault", mixups.FAULTS)
def test_no_answer_is_taken_for_that_of_another_space(fault):
    """Eight spaces in turns, while the server sends what nobody asked for."""
    wanted = {space: mixups.full_answer(space).partition(b"\r\n\r\n")[2] for space in mixups.SPACES}
    with RawServer(mixups.answers(fault)) as server:
        transport = Transport(f"http://{server.address}", connections=1)
        good = 0
        for space in mixups.SPACES * 12:
            url = f"http://{server.address}/spaces/{space}/+/artifacts?page=0&size=100"
            answer = transport.get(url, {}, 5, space=space, max_body=2**20)
            if answer.status == 200:
                assert answer.body == wanted[space]
                good += 1
        assert good > 48


def test_what_tls_has_received_beyond_an_answer_closes_its_connection(authority, ca_file):
    """It came in one record with the end of the answer, so that nothing is left to wait for at the socket."""
    head = HEAD + b"Content-Length: 8000\r\nX: "
    doubled = head + b"x" * (io.DEFAULT_BUFFER_SIZE - len(head) - 8_004) + b"\r\n\r\n" + b" " * 8_000
    with RawServer(serves(doubled + EMPTY, OTHER), context_of(authority, "127.0.0.1")) as server:
        url = f"https://{server.address}"
        transport = Transport(url, connections=1, ca_file=ca_file)
        transport.get(url, {}, 5, **ASKED)
        server.behave = serves(EMPTY)
        assert transport.get(url, {}, 5, **ASKED).body == b"{}"
        assert server.connections == 2


def test_what_tls_within_the_tls_of_a_proxy_has_received_is_noticed():
    """In either of the two, decrypted or not."""

    def layer(decrypted, received, below=None):
        pending = SimpleNamespace(pending=lambda: decrypted)
        return SimpleNamespace(sslobj=pending, incoming=SimpleNamespace(pending=received), socket=below)

    with socket.socket() as plain:
        layers = [layer(0, 0, plain), layer(1, 0, plain), layer(0, 1, plain), layer(0, 0, layer(0, 1, plain))]
        assert [_unread(sock) for sock in layers] == [0, 1, 1, 1]


# Headers as servers and proxies write them


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 2\r\n" + b"X-Many: y\r\n" * 5_000,
        b"X-Many: y\r\n" * 5_000 + b"Content-Length: 2\r\n",
        b"CONTENT-LENGTH:2\r\n",
        b"content-length :\t2 \t\r\n",
        b"no header\r\nContent-Length: 2\r\n",
        b"X-Folded: a\r\n Content-Length: 1\r\n\tb\r\nContent-Length: 2\r\n",
        b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n",
        b"Content-Length: \r\nContent-Length: 2\r\n",
    ],
    ids=lambda headers: re.sub(rb"[^\w]+", b"-", headers[:40]).decode(),
)
def test_headers_are_read_however_many_there_are_and_however_they_are_written(headers):
    with RawServer(serves(HEAD + headers + b"\r\n{}", OTHER)) as server:
        url = f"http://{server.address}"
        transport = Transport(url, connections=1)
        assert [transport.get(url, {}, 5, **ASKED).body for _ in range(2)] == [b"{}", b'{"a": "b"}']


@pytest.mark.parametrize("coding", [b"chunked", b" CHUNKED ", b"\tChunked\t", b"identity, chunked", b", chunked,"])
def test_chunks_are_recognized_however_their_header_is_written(coding):
    with RawServer(sends(HEAD + b"TRANSFER-encoding:" + coding + b"\r\n\r\n" + CHUNKED)) as server:
        assert get(server).body == b"{}"


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        (b"gzip", gzip.compress),
        (b" GZIP ", gzip.compress),
        (b"x-gzip", gzip.compress),
        (b"X-GZip", gzip.compress),
        (b"identity, gzip", gzip.compress),
        (b"gzip,", gzip.compress),
        (b"gzip", lambda text: gzip.compress(text[:1]) + gzip.compress(b"") + gzip.compress(text[1:])),
        (b"gzip", lambda text: b"".join(gzip.compress(bytes([byte])) for byte in text)),
        (b"identity", bytes),
        (b"", bytes),
    ],
)
def test_a_body_is_decompressed_however_its_header_and_its_members_are_written(coding, pack):
    text = b'{"a": "%s"}' % (b"b" * 5_000)
    with RawServer(sends(HEAD + b"content-ENCODING:" + coding + b"\r\n\r\n" + pack(text))) as server:
        assert get(server).body == text


@pytest.mark.parametrize("coding", [b"br", b"deflate", b"gzip, gzip", b"x-br", b"gzip, br"])
def test_an_encoding_that_was_not_requested_is_refused(coding):
    packed = gzip.compress(b"{}")
    assert reason_of(sends(HEAD + b"Content-Encoding: " + coding + b"\r\n\r\n" + packed)) == "bad_shape"


@pytest.mark.parametrize(
    "rest",
    [b"x", b"\0", gzip.compress(b"{}")[:-1], gzip.compress(b"{}")[:-8] + bytes(8)],
    ids=["text", "padding", "truncated", "wrong checksum"],
)
def test_gzip_that_goes_on_with_something_else_is_damaged(rest):
    damaged = gzip.compress(b"{}") + rest
    assert reason_of(sends(HEAD + b"Content-Encoding: gzip\r\n\r\n" + damaged)) == "bad_json"


@pytest.mark.parametrize(
    ("headers", "pack"),
    [(b"Content-Length: %d\r\n", bytes), (b"", bytes), (b"Content-Encoding: gzip\r\n", gzip.compress)],
    ids=["with its length", "without", "compressed"],
)
def test_a_body_is_read_up_to_its_limit(headers, pack):
    """Both as it is sent and decompressed."""
    limit = 100_000
    for size in (limit, limit + 1):
        headers_of_body = headers % size if b"%" in headers else headers
        with RawServer(sends(HEAD + headers_of_body + b"\r\n" + pack(b" " * size))) as server:
            url = f"http://{server.address}"
            ask = functools.partial(Transport(url, connections=1).get, url, {}, 5, space="acct", max_body=limit)
            if size == limit:
                assert len(ask().body) == limit
            else:
                with pytest.raises(TooLargeError, match="larger than 100000 bytes"):
                    ask()


@pytest.mark.parametrize("size", [b"-1", b"-5"])
def test_a_chunk_of_a_negative_size_is_not_read_without_a_limit(size):
    """http.client would read to the end of the connection, whatever the limit of the body."""
    endless = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\n"

    def floods(server, sock):
        server.read(sock)
        sock.sendall(endless)
        while not server.over.is_set():
            sock.sendall(b"x" * 2**20)

    assert reason_of(floods, timeout=20) == "connect"


def test_cookies_are_refused():
    with RawServer(serves(HEAD + b"Set-Cookie: a=b; Path=/\r\nContent-Length: 2\r\n\r\n{}", EMPTY)) as server:
        url = f"http://{server.address}"
        transport = Transport(url, connections=1)
        for _ in range(2):
            transport.get(url, {}, 5, **ASKED)
        assert b"cookie" not in server.requests[1].lower()


@pytest.fixture
def pair():
    """A connection over one end of a pair of sockets, and the other end."""
    ours, theirs = socket.socketpair()
    connection = HTTPConnection("har.example")
    connection.sock = ours
    with ours, theirs:
        theirs.setblocking(False)
        yield connection, theirs


def is_open(other_end) -> bool:
    try:
        return other_end.recv(1) != b""
    except BlockingIOError:
        return True


def test_an_exchange_that_is_over_does_not_end_the_next_one_on_its_connection(pair):
    """A body that was read returns its connection to the pool before its exchange ends."""
    connection, other_end = pair
    exchanges = [Exchange(time.monotonic(), "acct") for _ in range(2)]
    for exchange in exchanges:
        exchange.use(connection)
    exchanges[0].use(None)  # as the connection does when its next request begins
    exchanges[0].end_if_due()
    assert is_open(other_end)
    exchanges[1].end_if_due()
    assert not is_open(other_end)


def test_a_deadline_that_passes_while_there_is_no_connection_ends_the_next_one(pair):
    connection, other_end = pair
    exchange = Exchange(time.monotonic(), "acct")
    exchange.end_if_due()
    assert is_open(other_end)
    exchange.use(connection)
    assert not is_open(other_end)


def test_tls_within_the_tls_of_a_proxy_is_shut_down_below(pair):
    """urllib3 wraps the socket there in an object of its own."""
    connection, other_end = pair
    connection.sock = SimpleNamespace(socket=connection.sock)
    exchange = Exchange(time.monotonic(), "acct")
    exchange.use(connection)
    exchange.end_if_due()
    assert not is_open(other_end)


def test_exchanges_that_are_over_are_not_kept_until_their_deadlines():
    watchdog = Watchdog()
    for _ in range(5_000):
        watchdog.exchange(3600.0, "acct")
    assert len(watchdog._waiting.heap) <= 1_000


def test_a_connection_that_is_given_up_leaves_no_thread(ca_file):
    """A proxy that answers a request for a tunnel byte by byte, for ever."""
    with RawServer(drips(b"HTTP/1.1 200 OK\r\nX: ", b"x")) as proxy:
        url = "https://har.example"
        transport = Transport(url, connections=1, ca_file=ca_file, proxy_url=f"http://{proxy.address}")
        with pytest.raises(RefreshError) as caught:
            transport.get(f"{url}/x", {}, LIMIT, **ASKED)
    assert caught.value.reason == "proxy"
    wait_until(lambda: "connect" not in [thread.name for thread in threading.enumerate()])


def test_netrc_is_not_read(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login u password canary\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with RawServer(ANSWERS) as server:
        get(server)
        assert b"authorization" not in server.requests[0].lower()


LIBRARY_ERRORS = [
    kind
    for module in (urllib3.exceptions, requests_exceptions)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, Warning)
]


@pytest.mark.parametrize("kind", LIBRARY_ERRORS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_error_of_the_libraries_has_a_meaning(kind):
    error = kind.__new__(kind)
    error.args = ("x",)
    error.reason = None
    if isinstance(error, urllib3.exceptions.HTTPError | requests_exceptions.RequestException | OSError):
        assert isinstance(_translated(error), RefreshError)
