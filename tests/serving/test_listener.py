"""A listener that takes no more connections, and breaks none that began."""

import socket
import threading
import time

import pytest

from exporter.serving.listener import listen, take_no_more


@pytest.fixture(params=["127.0.0.1", "::1"])
def addresses(request):
    """A listener on all interfaces, and where to reach it."""
    with listen("", 0) as listener:
        listener.settimeout(10)
        yield listener, (request.param, listener.getsockname()[1])


def test_who_comes_too_late_waits_and_is_refused_once_the_listener_is_closed(addresses):
    listener, address = addresses
    take_no_more([listener])
    late = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    late.settimeout(0.2)
    with late, pytest.raises(TimeoutError):
        late.connect(address)
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=10)


def test_who_was_there_before_is_heard_and_answered(addresses):
    listener, address = addresses
    with socket.create_connection(address, timeout=10) as waiting, socket.create_connection(address) as accepted:
        sockets = [listener.accept()[0]]
        take_no_more([listener])
        sockets.append(listener.accept()[0])
        listener.close()
        for client, sock in zip((waiting, accepted), sockets, strict=True):
            with sock:
                client.sendall(b"request")
                assert sock.recv(10) == b"request"
                sock.sendall(b"answer")
                assert client.recv(10) == b"answer"
                client.shutdown(socket.SHUT_WR)
                assert sock.recv(1) == b""


def test_however_many_come_while_it_closes_none_is_broken():
    """Without `take_no_more` several connections break at each close."""
    over, broken = threading.Event(), []
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()

    def ask():
        while not over.is_set():
            with socket.socket() as client:
                client.settimeout(0.02)
                if client.connect_ex(address):
                    continue
                client.settimeout(10)
                try:
                    client.sendall(b"request")
                    if client.recv(10) != b"answer":
                        broken.append("no answer")
                except OSError as error:
                    broken.append(error)

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    for _ in range(20):
        with listen(*address) as listener:
            listener.settimeout(0.005)
            _answer_for(0.02, listener)
            take_no_more([listener])
            _answer_for(0.02, listener)
    over.set()
    for client in clients:
        client.join()
    assert broken == []


def _answer_for(seconds, listener):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            sock, _ = listener.accept()
        except TimeoutError:
            continue
        with sock:
            sock.settimeout(10)
            sock.recv(10)
            sock.sendall(b"answer")


def test_no_answer_waits_for_the_client_to_acknowledge_its_beginning():
    with listen("127.0.0.1", 0) as sock, socket.create_connection(sock.getsockname()):
        accepted, _ = sock.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
