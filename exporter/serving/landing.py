"""Landing page at `/`: the state of each space, without scripts or external files.

On a narrow screen each row of the table is a card. The template sets the ARIA roles of the table explicitly, because
browsers drop them if CSS changes the layout of a table.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from exporter.inventory.refresh import SpaceStatus
from exporter.serving.landing_rows import counts_of, rows_of

_FOLDER = Path(__file__).parent
_STYLE = Markup((_FOLDER / "landing.css").read_text(encoding="utf-8"))  # noqa: S704 - a file of this package

_DOCS = "https://github.com/har-exporter/har-exporter/blob/main/docs"

_UNITS = (("d", 86_400, 2), ("h", 3_600, 1), ("min", 60, 1))
"""Units of times: name, seconds, and the smallest number that is shown in this unit."""


def _content_security_policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


CONTENT_SECURITY_POLICY = _content_security_policy()
"""Content-Security-Policy that allows only the style of the page."""


def page(statuses: Sequence[SpaceStatus], *, version: str, now: float) -> bytes:
    """Return the page as UTF-8; spaces whose last refresh failed come first, in one row for each cause.

    Args:
        statuses: the status of every space.
        version: the exporter's version.
        now: monotonic time, for ages.
    """
    text = _template().render(
        style=_STYLE,
        version=version,
        docs=_DOCS,
        spaces=len(statuses),
        rows=rows_of(statuses),
        counts=counts_of(statuses),
        now=now,
    )
    # Texts of the API may contain lone surrogates, which UTF-8 cannot encode.
    return text.encode(errors="replace")


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,  # texts of the API may contain HTML
        undefined=StrictUndefined,  # a misspelled name is an error instead of an empty text
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"span": _span, "parts": _parts}
    return environment.get_template("landing.html.j2")


def _parts(name: str) -> list[str]:
    """Return the parts of a name between which a line may break."""
    return re.split("(?<=[/:])", name)


def _span(seconds: float) -> str:
    """Return a duration in its largest unit."""
    for name, length, at_least in _UNITS:
        if seconds >= at_least * length:
            return f"{int(seconds) // length} {name}"
    return f"{int(seconds)} s"
