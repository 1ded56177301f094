"""Listening socket."""

import errno
import socket
from typing import Any

_UNREAD_MILLISECONDS = 30_000


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
