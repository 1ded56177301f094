"""Requests to the demo registry or an upstream, and what their pages hold."""

from exporter.demo.server import PREFIX
from tests.support.upstream import PATIENCE

NEWEST_FIRST = {"sort_field": "lastModified", "sort_order": "DESC"}


def asked(session, registry, space, *, prefix=PREFIX, headers=None, **query):
    """Ask a registry for a page of a space, with its own key unless there are headers."""
    headers = {"x-api-key": registry.key} if headers is None else headers
    url = f"{registry.url}{prefix}/spaces/{space}/+/artifacts"
    return session.get(url, params=query, headers=headers, timeout=PATIENCE, allow_redirects=False)


def names(data):
    """Return the names on a page, in order."""
    return [row["name"] for row in data["artifacts"] or []]


def milliseconds(row, field="lastModified"):
    """Return a row's time as a number, however it is spelled."""
    return int(row[field])


def ask_page(session, registry):
    """Return a function that asks a registry for a page of any source, and returns the body."""

    def ask(source, page, size):
        url = source.url(registry.url + PREFIX, page, size)
        answer = session.get(url, headers={"x-api-key": registry.key}, timeout=PATIENCE)
        answer.raise_for_status()
        return answer.content

    return ask
