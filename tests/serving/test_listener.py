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
