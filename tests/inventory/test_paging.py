"""Requests of a walk, by its listing and its first page."""

import pytest

from exporter.inventory.paging import requests_of_walk


@pytest.mark.parametrize(
    ("rows", "first_page", "size", "requests"),
    [
        (0, 0, 100, 1),
        (50, 50, 100, 1),
        (99, 99, 100, 1),
        (100, 100, 100, 3),  # the empty page after it, and page 0 again
        (101, 100, 100, 3),
        (250, 100, 100, 4),
        (150, 50, 100, 4),  # a server that silently sends 50 rows per page
        (20, 100, 100, 3),  # a count below what the first page holds
    ],
)
def test_a_walk_sends_so_many_requests(rows, first_page, size, requests):
    assert requests_of_walk(rows, first_page, size) == requests
