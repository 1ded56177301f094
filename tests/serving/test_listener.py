"""A listening socket, as clients meet it."""

import socket

import pytest

from exporter.serving.listener import listen


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_listener_on_every_interface_takes_both_kinds_of_addresses(host):
    with listen("", 0) as listener:
        socket.create_connection((host, listener.getsockname()[1]), timeout=10).close()


def test_no_answer_waits_for_the_client_to_acknowledge_its_beginning():
    with listen("127.0.0.1", 0) as sock, socket.create_connection(sock.getsockname()):
        accepted, _ = sock.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("host", ["no host\x00", "label" * 20])
def test_a_host_that_is_none_is_an_error_of_the_system(host):
    with pytest.raises(OSError, match=r"^\[Errno "):
        listen(host, 0)


def test_a_system_that_cannot_give_up_on_silent_clients_is_listened_on_too(monkeypatch):
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT", raising=False)
    listen("127.0.0.1", 0).close()
