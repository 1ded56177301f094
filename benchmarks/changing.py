"""Upstream server whose rows change while they are read, and that answers 429 beyond 400 requests in a minute.

Its spaces are named `account/artifacts/number`; the list of registries shows one of them. It writes its URL, and then
answers each line that it reads: `change SPACE PAGE ROW` puts a row into quarantine or releases it, `violation NAME`
adds one of the firewall, and `refused` returns the number of responses with 429 since the last time.
"""

import json
import re
import socket
import sys
import threading
import time
from collections import defaultdict, deque
from contextlib import suppress

from benchmarks.listing import Listing

LIMIT = 400
"""Requests per minute."""

_TARGET = re.compile(r"/spaces/([^/]+/(\d+)/\d+)/\+/artifacts\?page=(\d+)&size=(\d+)&")
_ROWS_OF_REGISTRY = 50
_MOST_REGISTRIES = 5
_LISTED = re.compile(r"/spaces/account/\+/(artifacts|registries)\?")
_VIOLATIONS = "/har/api/v3/scans?"
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_TOO_MANY = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"


def page_of(artifacts: int, page: int, size: int) -> bytes:
    """Return one page of a space without findings."""
    registries = min(_MOST_REGISTRIES, -(-artifacts // _ROWS_OF_REGISTRY))
    body = Listing(0, artifacts, registries).body(page, size)
    return body.replace(b'"isQuarantined":true', b'"isQuarantined":false').replace(b'"BLOCKED"', b'"ALLOWED"')


class Limiter:
    """Limit of requests in any minute; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent: deque[float] = deque(maxlen=LIMIT)
        self._refused = 0

    def allows(self, now: float) -> bool:
        """Return whether a request at this time is within the limit, and count it."""
        with self._lock:
            if len(self._sent) == LIMIT and self._sent[0] > now - 60:
                self._refused += 1
                return False
            self._sent.append(now)
            return True

    def refused(self) -> int:
        """Return how many requests were beyond the limit since the last call."""
        with self._lock:
            refused, self._refused = self._refused, 0
            return refused


class Changing:
    """Listings whose rows are put into quarantine and released.

    Attributes:
        limiter: the limit of requests.
    """

    def __init__(self, largest_page: int, space: str) -> None:
        """Start without a row in quarantine, and without violations.

        Args:
            largest_page: rows per page at most; larger pages are cut silently.
            space: the space that the list of registries shows.
        """
        self.limiter = Limiter()
        self._largest_page = largest_page
        _, self._org, self._project = space.split("/")
        self._registry = {
            "identifier": "npm",
            "uuid": "1",
            "type": "VIRTUAL",
            "packageType": "NPM",
            "path": f"{space}/npm",
        }
        self._violations: list[dict[str, str]] = []
        self._quarantined: defaultdict[tuple[str, int], frozenset[int]] = defaultdict(frozenset)

    def change(self, space: str, page: int, row: int) -> None:
        """Put a row into quarantine, or release it."""
        self._quarantined[space, page] ^= {row}

    def violate(self, name: str) -> None:
        """Add a violation."""
        row = {"id": name, "packageName": name, "version": "1.0.0", "packageType": "NPM", "scanStatus": "BLOCKED"}
        where = {"registryId": "1", "RegistryOrgId": self._org, "RegistryProjectId": self._project}
        self._violations = [{**row, **where}, *self._violations]

    def response(self, target: str) -> bytes:
        """Return the response to a request."""
        if not self.limiter.allows(time.monotonic()):
            return _TOO_MANY
        body = self._body(target)
        if body is None:
            return _NOT_FOUND
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def _body(self, target: str) -> bytes | None:
        if found := _TARGET.search(target):
            return self._page(found[1], *map(int, found.groups()[1:]))
        if target.startswith(_VIOLATIONS):
            return json.dumps({"data": self._violations, **_counts(len(self._violations))}).encode()
        if found := _LISTED.search(target):
            rows = [self._registry] if found[1] == "registries" else []
            return json.dumps({"data": {found[1]: rows, **_counts(len(rows))}, "status": "SUCCESS"}).encode()
        return None

    def _page(self, space: str, artifacts: int, page: int, size: int) -> bytes:
        body = page_of(artifacts, page, min(size, self._largest_page))
        quarantined = self._quarantined[space, page]
        if not quarantined:
            return body
        answer = json.loads(body)
        for row in quarantined:
            answer["data"]["artifacts"][row]["isQuarantined"] = True
        return json.dumps(answer).encode()


def _counts(rows: int) -> dict[str, int]:
    return {"itemCount": rows, "pageCount": 1, "pageIndex": 0, "pageSize": 100}


def main() -> None:
    """Serve, and follow the lines of the standard input until it ends."""
    largest_page, milliseconds, space = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    changing = Changing(largest_page, space)
    server = socket.create_server(("127.0.0.1", 0), backlog=128)
    threading.Thread(target=_accept, args=[server, changing, milliseconds / 1000], daemon=True).start()
    print("http://{}:{}".format(*server.getsockname()), flush=True)
    for line in sys.stdin:
        command, *words = line.split()
        if command == "change":
            changing.change(words[0], *map(int, words[1:]))
        if command == "violation":
            changing.violate(*words)
        print(changing.limiter.refused() if command == "refused" else "changed", flush=True)


def _accept(server: socket.socket, changing: Changing, latency: float) -> None:
    while True:
        client, _ = server.accept()
        threading.Thread(target=_serve, args=[client, changing, latency], daemon=True).start()


def _serve(client: socket.socket, changing: Changing, latency: float) -> None:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with suppress(ConnectionError), client, client.makefile("rb") as requests:
        while request := requests.readline():
            while requests.readline() not in (b"\r\n", b""):
                pass
            # A page shows the rows as they are when the request arrives.
            response = changing.response(request.split()[1].decode())
            time.sleep(latency)
            client.sendall(response)


if __name__ == "__main__":
    main()
