"""One exchange ends in time and is told by its reason, whatever the other side does on the wire."""

import contextlib
import gzip
import socket
import ssl
import threading
import time
import weakref
from types import SimpleNamespace

import pytest
import trustme
import urllib3.exceptions
from requests import exceptions as requests_exceptions
from urllib3.connection import HTTPConnection

from exporter.harness.deadlines import Exchange, Watchdog
from exporter.harness.errors import RefreshError
from exporter.harness.transport import Transport, _translated
from tests.support.rawserver import HEAD, RawServer, drips, hangs, sends, stalls
from tests.support.threads import wait_until

LIMIT = 0.4


def get(server, scheme="http", timeout=LIMIT, **options):
    url = f"{scheme}://{server.address}"
    return Transport(url, connections=1, **options).get(f"{url}/x", {}, timeout)


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
            transport.get(url, headers, LIMIT)
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
    ],
    ids=["nothing", "short", "bad chunk", "short chunk", "no http"],
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


@pytest.fixture
def swallower():
    """An address of this machine that neither takes a connection nor refuses it: its queue is full."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.2", 0))
        listener.listen(0)
        for _ in range(3):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()


def test_an_address_that_swallows_packets_is_given_up_in_time(swallower):
    url = "http://{}:{}".format(*swallower)
    began = time.monotonic()
    with pytest.raises(RefreshError) as caught:
        Transport(url, connections=1).get(url, {}, LIMIT)
    assert caught.value.reason == "timeout"
    assert time.monotonic() - began < LIMIT + 1


def test_the_next_address_of_a_host_is_tried_when_one_does_not_answer(swallower, monkeypatch):
    host, port = swallower
    with socket.create_server(("127.0.0.1", port)) as listener:
        look_up = socket.getaddrinfo
        both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in (host, "127.0.0.1")]
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda name, *more, **named: both if name == "har.example" else look_up(name, *more, **named),
        )
        with pytest.raises(RefreshError):
            Transport(f"http://har.example:{port}", connections=1).get(f"http://har.example:{port}/", {}, LIMIT)
        listener.setblocking(False)
        listener.accept()[0].close()


def test_a_body_without_a_length_ends_with_the_connection():
    with RawServer(sends(HEAD + b"\r\n{}")) as server:
        assert get(server).body == b"{}"


def test_a_name_look_up_that_does_not_end_is_given_up_in_time(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(10) and [])
    transport = Transport("http://har.example", connections=1)
    began = time.monotonic()
    with pytest.raises(RefreshError) as caught:
        transport.get("http://har.example/x", {}, LIMIT)
    over.set()
    assert caught.value.reason == "timeout"
    assert time.monotonic() - began < LIMIT + 1


def test_a_name_that_does_not_exist_is_told(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(RefreshError) as caught:
        Transport("http://har.example", connections=1).get("http://har.example/x", {}, LIMIT)
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
        assert transport.get("https://har.example/x", {"x-api-key": "canary"}, 5).body == b"{}"
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
        assert transport.get("http://127.0.0.1:1/x", {}, 5).body == b"{}"
        assert proxy.requests[0].startswith(b"GET http://127.0.0.1:1/x HTTP/1.1")


def test_the_proxy_of_the_environment_is_used_but_never_for_loopback(monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with RawServer(ANSWERS) as proxy, RawServer(ANSWERS) as server:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://{proxy.address}")
        assert Transport("http://har.example", connections=1).get("http://har.example/x", {}, 5).body == b"{}"
        assert get(server).body == b"{}"
        assert proxy.connections == 1
        monkeypatch.setenv("NO_PROXY", "har.example")
        monkeypatch.setenv("no_proxy", "har.example")
        assert Transport("http://har.example", connections=1)._proxies.get("http") is None


def test_a_proxy_that_refuses_is_told_without_its_password():
    refuses = sends(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    with RawServer(refuses) as proxy:
        transport = Transport("https://har.example", connections=1, proxy_url=f"http://user:canary@{proxy.address}")
        with pytest.raises(RefreshError) as caught:
            transport.get("https://har.example/x", {}, 5)
    assert caught.value.reason == "proxy"
    assert "canary" not in str(caught.value)


def test_connections_are_kept():
    def answers_twice(server, sock):
        for _ in range(2):
            server.read(sock)
            sock.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")

    with RawServer(answers_twice) as server:
        url = f"http://{server.address}"
        transport = Transport(url, connections=1)
        assert [transport.get(url, {}, 5).status for _ in range(2)] == [200, 200]
        assert server.connections == 1


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
        assert [transport.get(url, {}, 5).body for _ in range(2)] == [b"{}", b"{}"]
        assert server.connections == 1


@pytest.mark.parametrize(
    "first",
    [
        EMPTY + EMPTY,
        EMPTY + OTHER[:20],
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + EMPTY,
        b"HTTP/1.1 204 None\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 304 Same\r\n\r\n" + EMPTY,
        b"HTTP/1.1 404 None\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=["doubled", "surplus", "surplus after chunks", "204 with a body", "304 with a body", "an error"],
)
def test_a_connection_ends_with_anything_but_a_clean_200(first):
    """What is left of one response must never be taken for the response to another request."""
    with RawServer(serves(first, OTHER)) as server:
        url = f"http://{server.address}"
        transport = Transport(url, connections=1)
        transport.get(url, {}, 5)
        server.behave = serves(EMPTY)
        assert transport.get(url, {}, 5).body == b"{}"
        assert server.connections == 2


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
            transport.get(url, {}, 5)
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
    exchanges = [Exchange(time.monotonic() + 60) for _ in range(2)]
    for exchange in exchanges:
        exchange.use(connection)
    exchanges[0].use(None)  # as the connection does when its next request begins
    exchanges[0].expire()
    assert is_open(other_end)
    exchanges[1].expire()
    assert not is_open(other_end)


def test_a_deadline_that_passes_while_there_is_no_connection_ends_the_next_one(pair):
    connection, other_end = pair
    exchange = Exchange(time.monotonic())
    exchange.expire()
    assert is_open(other_end)
    exchange.use(connection)
    assert not is_open(other_end)


def test_tls_within_the_tls_of_a_proxy_is_shut_down_below(pair):
    """urllib3 wraps the socket there in an object of its own."""
    connection, other_end = pair
    connection.sock = SimpleNamespace(socket=connection.sock)
    exchange = Exchange(time.monotonic())
    exchange.use(connection)
    exchange.expire()
    assert not is_open(other_end)


def test_exchanges_that_are_over_are_not_kept_until_their_deadlines():
    watchdog = Watchdog()
    for _ in range(5_000):
        watchdog.exchange(3600.0)
    assert len(watchdog._waiting.heap) <= 1_000


def test_a_connection_that_is_given_up_leaves_no_thread(ca_file):
    """A proxy that answers a request for a tunnel byte by byte, for ever."""
    with RawServer(drips(b"HTTP/1.1 200 OK\r\nX: ", b"x")) as proxy:
        url = "https://har.example"
        transport = Transport(url, connections=1, ca_file=ca_file, proxy_url=f"http://{proxy.address}")
        with pytest.raises(RefreshError) as caught:
            transport.get(f"{url}/x", {}, LIMIT)
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
