"""Filters and order of the artifact listing, by the query of a request."""

import re
from collections.abc import Sequence
from typing import Any
from zlib import crc32

from exporter.demo.artifacts import Row
from exporter.demo.listener import Query, first

_NUMBER = re.compile(r"-?[0-9]{1,18}")


def filtered(rows: Sequence[Row], query: Query) -> Sequence[Row]:
    """Return the rows that match the filters of a query."""
    term = first(query, "search_term") or ""
    kept = [
        row
        for row in rows
        if term in str(row.get("name", ""))
        and _wanted(row, "registryIdentifier", query, "reg_identifier")
        and _wanted(row, "packageType", query, "package_type")
        and (first(query, "deployed_artifact") != "true" or _deployed(row))
    ]
    return _latest(kept) if first(query, "latest_version") == "true" else kept


def _wanted(row: Row, field: str, query: Query, parameter: str) -> bool:
    """Return whether a filter includes a row; a comma list is a single value, which matches nothing."""
    return parameter not in query or row.get(field) in query[parameter]


def _deployed(row: Row) -> bool:
    counts = row.get("deploymentMetadata") or {}
    return any(counts.values())


def _latest(rows: Sequence[Row]) -> Sequence[Row]:
    """Return the rows of the last modified version of each artifact."""
    newest = {_artifact(row): row.get("version") for row in sorted(rows, key=_modified)}
    return [row for row in rows if row.get("version") == newest[_artifact(row)]]


def _artifact(row: Row) -> tuple[Any, ...]:
    return row.get("registryIdentifier"), row.get("packageType"), row.get("name")


def ordered(rows: Sequence[Row], query: Query) -> Sequence[Row]:
    """Return rows in order: one column, no tie-break; an unknown column is the order of creation, else ascending."""
    descending = first(query, "sort_order") == "DESC"
    match first(query, "sort_field"):
        case "lastModified":
            return sorted(_mixed(rows, query), key=_modified, reverse=descending)
        case "name":
            return sorted(_mixed(rows, query), key=lambda row: str(row.get("name")), reverse=descending)
        case _:
            return rows[::-1] if descending else rows


def _mixed(rows: Sequence[Row], query: Query) -> Sequence[Row]:
    """Return rows in another order for each page: the API's database orders equal rows as it likes, query by query."""
    page = first(query, "page")
    return sorted(rows, key=lambda row: crc32(f"{page} {identity(row)}".encode(errors="replace")))


def identity(row: Row) -> tuple[Any, ...]:
    """Return the identity of an artifact version."""
    return *_artifact(row), row.get("artifactType"), row.get("version")


def _modified(row: Row) -> int:
    text = str(row.get("lastModified"))
    return int(text) if _NUMBER.fullmatch(text) else 0
