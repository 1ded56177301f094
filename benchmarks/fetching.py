"""Pages fetched as the exporter does, but one after the other on one connection."""

import sys
from functools import partial
from http import HTTPStatus
from urllib.parse import urlsplit

from benchmarks.contest import take_turns
from benchmarks.listing import Listing
from exporter.harness.envelope import largest_body
from exporter.harness.transport import Transport

_PATIENCE = 30.0


def fetch_all(url: str, size: int) -> int:
    """Fetch a listing once, and return the number of pages."""
    address = urlsplit(url)
    transport = Transport(f"{address.scheme}://{address.netloc}", connections=1)
    pages = Listing.at(address.path).pages(size)
    get = partial(transport.get, headers={}, timeout=_PATIENCE, space="", max_body=largest_body(size))
    return sum(get(f"{url}?page={page}&size={size}").status == HTTPStatus.OK for page in range(pages))


if __name__ == "__main__":
    take_turns(lambda: fetch_all(sys.argv[1], int(sys.argv[2])))
