"""Pages of the listings: the rows that a query asks for, in the envelopes of the API.

The order of violations and the envelope around them are those of version 3 of the API, all others those of version 1.
"""

import re
from collections import Counter
from collections.abc import Sequence
from http import HTTPStatus

from exporter.demo.artifacts import Row
from exporter.demo.listener import Query, first

DEFAULT_PAGE_SIZE = 10
"""Rows of a page if the request has no `size`, as in the open-source server."""

MOST_VIOLATIONS = 100
"""Violations of a page if the request has a larger `size`."""

_NUMBER = re.compile(r"-?[0-9]{1,18}")
_SCOPES = ("none", "descendants")


class RefusedError(Exception):
    """A request that the API refuses.

    Attributes:
        status: the HTTP status of the response.
        envelope: the JSON of the response, which differs between errors.
    """

    def __init__(self, status: int, envelope: Row) -> None:
        super().__init__(status, envelope)
        self.status = status
        self.envelope = envelope


def bad_request(message: str) -> RefusedError:
    """Return the error of a request that makes no sense."""
    return RefusedError(400, {"code": "400", "message": message})


def listing_page(name: str, rows: Sequence[Row], count: int, query: Query) -> Row:
    """Return a page of the artifacts or registries.

    Args:
        name: of the field with the rows.
        rows: all rows.
        count: number of things in these rows.
        query: has the number and the size of the page.

    Raises:
        RefusedError: one of these is no number, or too small.
    """
    page, size = _number(query, "page", 0), _number(query, "size", 1)
    limit = DEFAULT_PAGE_SIZE if size is None else size
    offset = 0 if page is None else page * (size or 0)
    data = {
        # Go, the language of the server, encodes an empty list as null.
        name: rows[offset : offset + limit] if rows else None,
        "itemCount": count,
        "pageCount": -(-count // limit),
        "pageIndex": 1 if page is None else page,  # the default in the API document, although this is the first page
        "pageSize": limit,
    }
    return {"data": data, "status": "SUCCESS"}


def violations_page(rows: Sequence[Row], query: Query) -> Row:
    """Return a page of the violations, in the order that the query asks for; raises as `listing_page`."""
    page, size = _number(query, "page", 0) or 0, _number(query, "size", 1) or DEFAULT_PAGE_SIZE
    limit = min(size, MOST_VIOLATIONS)
    statuses = Counter(row.get("scanStatus") for row in rows)
    return {
        "data": _sorted(rows, query)[page * limit : (page + 1) * limit],
        "itemCount": len(rows),
        "pageCount": -(-len(rows) // limit),
        "pageIndex": page,
        "pageSize": limit,
        "meta": {"totalCount": len(rows), "blockedCount": statuses["BLOCKED"], "warnCount": statuses["WARN"]},
    }


def violations_error(refused: RefusedError) -> Row:
    """Return the envelope that an error has in version 3 of the API."""
    code = HTTPStatus(refused.status).phrase.lower().replace(" ", "_")
    kind = "PERMISSION_ERROR" if refused.status in {401, 403} else "INVALID_REQUEST_ERROR"
    return {"error": {"code": code, "message": refused.envelope.get("message"), "type": kind}}


def in_scope(rows: Sequence[Row], space: str, query: Query) -> Sequence[Row]:
    """Return the rows of a space, by their `path`; if the query asks for that, those of the spaces below it too.

    Raises:
        RefusedError: the scope is unknown.
    """
    scope = first(query, "scope") or "none"
    if scope not in _SCOPES:
        raise bad_request(f"invalid scope: {scope}")
    return below(rows, space) if scope == "descendants" else [row for row in rows if space_of(row) == space]


def below(rows: Sequence[Row], space: str) -> Sequence[Row]:
    """Return the rows of a space and of all spaces below it."""
    return [row for row in rows if f"{space_of(row)}/".startswith(f"{space}/")]


def space_of(row: Row) -> str:
    """Return the space of a row: its `path` without the registry."""
    return str(row["path"]).rpartition("/")[0]


def without(row: Row, field: str) -> Row:
    """Return a row without a field."""
    return {name: value for name, value in row.items() if name != field}


def _sorted(rows: Sequence[Row], query: Query) -> Sequence[Row]:
    """Return rows in order: by the time of the last evaluation, or as they are."""
    match first(query, "sort"):
        case "lastEvaluatedAt:desc":
            return sorted(rows, key=_evaluated, reverse=True)
        case "lastEvaluatedAt:asc":
            return sorted(rows, key=_evaluated)
        case _:
            return rows


def _evaluated(row: Row) -> int:
    return int(row.get("lastEvaluatedAt") or 0)


def _number(query: Query, name: str, least: int) -> int | None:
    text = first(query, name)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text) or int(text) < least:
        raise bad_request(f"Invalid format for parameter {name}")
    return int(text)
