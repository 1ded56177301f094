"""UUIDs and numbers derived from texts: they look random and never change."""

import uuid
from zlib import crc32

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://har-exporter.invalid/demo")


def derived_uuid(*parts: str) -> str:
    """Return the UUID of some texts."""
    return str(uuid.uuid5(_NAMESPACE, "\n".join(parts)))


def derived_number(*parts: str) -> int:
    """Return the number of some texts, from 0 to 2^32 - 1."""
    return crc32("\n".join(parts).encode())
