"""Rows of a first page, and what they show: how images are listed, and filters that had no effect."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from exporter.config.spaces import Space
from exporter.harness.page import Artifact
from exporter.inventory.sums import is_image
from exporter.inventory.tally import Tally
from exporter.labels import clean

_DIGEST = re.compile("[a-z0-9]+:[0-9a-f]{32,}")
_BY_DIGEST = "; the API ignores it for images that are listed by digest"


class SampleTally(Tally):
    """Tally that keeps its rows.

    Attributes:
        rows: the rows so far.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - those of Tally
        super().__init__(*arguments, **options)
        self.rows: list[Artifact] = []

    def add(self, rows: Iterable[Artifact]) -> int:
        """Add rows, and return how many of them are new."""
        added = list(rows)
        self.rows += added
        return super().add(added)


def images_by(rows: Iterable[Artifact]) -> str:
    """Return how images are listed, which is a flag of the account: `tag` or `digest`; empty without images."""
    images = [row for row in rows if is_image(row.package_type or "")]
    if any(map(_is_digest, images)):
        return "digest"
    return "tag" if images else ""


def ineffective_filters(rows: Sequence[Artifact], space: Space) -> Iterator[str]:
    """Return each filter of a space that left rows which it should have removed, with an example."""
    if space.latest_version and (versions := _two_versions(rows)):
        first, second = versions
        both = f"versions {clean(first.version or '')} and {clean(second.version or '')} of {clean(first.name)}"
        yield f"latest_version has no effect: {clean(first.registry)} lists {both}{_reason(first)}"
    if space.deployed_artifact and (row := next(filter(_is_undeployed, rows), None)):
        listed = f"{clean(row.name)} {clean(row.version or '')}, which is deployed nowhere"
        yield f"deployed_artifact has no effect: {clean(row.registry)} lists {listed}{_reason(row)}"


def _two_versions(rows: Iterable[Artifact]) -> tuple[Artifact, Artifact] | None:
    """Return two rows that differ in their version only, if there are any."""
    first: dict[tuple[object, ...], Artifact] = {}
    for row in rows:
        key = (row.registry, row.registry_uuid, row.package_type, row.artifact_type, row.artifact_key, row.name)
        if first.setdefault(key, row).version != row.version:
            return first[key], row
    return None


def _is_undeployed(row: Artifact) -> bool:
    # Absent counts are not zero: the account may lack the module that counts them.
    counts = (row.deployments.prod, row.deployments.nonprod) if row.deployments else ()
    return any(count == 0 for count in counts) and not any(counts)


def _is_digest(row: Artifact) -> bool:
    return _DIGEST.fullmatch(row.version or "") is not None


def _reason(row: Artifact) -> str:
    return _BY_DIGEST if images_by([row]) == "digest" else "; every listed version is counted"
