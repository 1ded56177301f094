"""Listening socket, which closes without resetting connections."""

import contextlib
import ctypes
import errno
import socket
import struct
from collections.abc import Iterable
from typing import Any

_UNREAD_MILLISECONDS = 30_000
_SO_ATTACH_FILTER = 26  # on Linux; missing in Python's socket module
# The filter of a listening socket gets packets from their TCP header on; its byte 13 holds the flags, and SYN is 2.
# Instructions: https://www.kernel.org/doc/html/latest/networking/filter.html
_SYN_IS_DROPPED = (
    (0x30, 0, 0, 13),  # load byte 13
    (0x45, 0, 1, 2),  # if SYN is set, continue, else skip one
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFF_FFFF),  # accept
)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Args:
        host: a name or an address; empty for every interface, including IPv6 if the host has it.
        port: the port; 0 for any free one.

    Raises:
        OSError: the address cannot be used.
    """
    if host in ("", "::") and socket.has_dualstack_ipv6():
        sock = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    else:
        family, address = _resolve(host, port)
        sock = socket.create_server(address, family=family)
    # Otherwise the rest of a response waits up to 40 ms until the client acknowledges its beginning: asyncio sets this
    # option only on sockets that name their protocol. Accepted sockets inherit this option and the next one.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Otherwise the response to a client that does not read stays in memory forever.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MILLISECONDS)
    return sock


def _resolve(host: str, port: int) -> tuple[int, Any]:
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)  # noqa: S104 - see `listen`
    except UnicodeError:
        raise OSError(errno.EINVAL, "not a host name") from None
    return found[0][0], found[0][4]


def take_no_more(listeners: Iterable[socket.socket]) -> None:
    """Drop the first packet of new connections, so that the listeners can be closed without resetting a connection.

    When a listener is closed, the kernel resets the connections that it has established but nobody has accepted. One
    can always arrive between the last accept and the close, with its request already sent. With a filter that drops
    only SYN packets, no connection can arrive there once the handshakes under way have ended. A client whose packet
    was dropped sends it again after a second, as TCP requires, and is then refused, or served by the next process.

    The filter exists only on Linux; elsewhere, or if a sandbox forbids it, a connection may be reset.
    """
    # The struct sock_filter of each instruction, and the struct sock_fprog that points to them.
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in _SYN_IS_DROPPED)
    program = ctypes.create_string_buffer(code)
    pointer = struct.pack("HP", len(_SYN_IS_DROPPED), ctypes.addressof(program))
    for listener in listeners:
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, pointer)
