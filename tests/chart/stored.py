"""Defaults that an API server adds to objects of the chart, as stored.yaml records them."""

import re
from pathlib import Path

import yaml

STORED = yaml.safe_load(Path(__file__).with_name("stored.yaml").read_text())


def nodes(value, path):
    """Yield every mapping in an object, with its path; items of a list have one path."""
    if isinstance(value, dict):
        yield path, value
        for name, child in value.items():
            yield from nodes(child, f"{path}.{name}")
    elif isinstance(value, list):
        for child in value:
            yield from nodes(child, f"{path}[]")


def fields(row, one):
    """Return the mappings in an object that a row of the table describes."""
    pattern = re.compile(re.escape(row["at"]).replace(r"\*", ".*").replace(r"\ ", " "))
    return [
        node
        for path, node in nodes(one.get("spec", {}), f"{one['kind']} spec")
        if pattern.fullmatch(path) and row.get("where", {}).items() <= node.items()
    ]
