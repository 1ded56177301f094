"""The socket that clients connect to: how it is opened, and how it is closed without breaking a connection."""

import contextlib
import ctypes
import errno
import socket
import struct
from collections.abc import Iterable
from typing import Any

_UNREAD_MILLISECONDS = 30_000
_SO_ATTACH_FILTER = 26  # on Linux; Python does not name it
# Packets as a listener's filter gets them begin with the TCP header, whose byte 13 holds the flags; SYN is 2.
# The constants: https://www.kernel.org/doc/html/latest/networking/filter.html
_SYN_IS_DROPPED = (
    (0x30, 0, 0, 13),  # load byte 13
    (0x45, 0, 1, 2),  # go on where it has SYN, else skip one
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFF_FFFF),  # let through
)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: a name or an address; empty for every interface, by IPv6 too where the host has it.
        port: 0 for any that is free.

    Raises:
        OSError: the address cannot be used.
    """
    if host in ("", "::") and socket.has_dualstack_ipv6():
        sock = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    else:
        family, address = _resolve(host, port)
        sock = socket.create_server(address, family=family)
    # Otherwise the rest of an answer waits for the client to acknowledge its beginning, which may take 40 ms: asyncio
    # sees to that only for sockets that name their protocol. Accepted sockets inherit this, as what follows.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Otherwise a client that does not read its answer keeps it in memory for ever.
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
    """Let no new connection begin, while those go on that did; the listeners can then be closed without harm.

    The kernel resets what it has set up and nobody has accepted when a listener is closed, and between the last accept
    and the close there is always room for one more, which has sent its request by then. A filter that drops SYN alone
    leaves that room empty once the handshakes under way have ended. Who comes meanwhile tries again after a second, by
    TCP's own rules, and is refused then, or served by whoever listens next.

    Only Linux knows it; elsewhere, and where a sandbox forbids it, a connection may be lost in that moment.
    """
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in _SYN_IS_DROPPED)
    program = ctypes.create_string_buffer(code)
    pointer = struct.pack("HP", len(_SYN_IS_DROPPED), ctypes.addressof(program))
    for listener in listeners:
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, pointer)
