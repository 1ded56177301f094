"""Running sums of the rows of one registry and package type."""

import sys
from bisect import bisect_right
from collections.abc import Sequence
from typing import Self

from exporter.harness.page import Artifact
from exporter.inventory.snapshot import RegistryKey

_IMAGES = frozenset({"DOCKER", "HELM"})  # HELM_HTTP holds no images

NEVER = sys.maxsize
"""Time of the oldest scan if there is none, milliseconds since the epoch."""


def is_image(package_type: str) -> bool:
    """Return whether rows of a package type are images, and their `uuid` that of the image.

    From the API's public server, August 2026.
    """
    return package_type.upper() in _IMAGES


class RegistrySums:
    """Running sums of the live rows of one registry and package type; a sum stays None if no row has the value.

    A listing may have one for each row, so they are kept small.

    Attributes:
        key: the registry and package type.
        scanned: whether scanning applies, so that a missing scan status means unscanned.
        files: files.
        digests: digests.
        downloads: downloads, of an image the largest number once.
        prod: environments for production.
        nonprod: other environments.
        modified: the newest modification, milliseconds since the epoch; 0 if there is none.
        registry_type: the type of the registry in the newest row.
        registry_uuid: its UUID in the newest row.
        newest_scan: milliseconds since the epoch; 0 if there is none.
        oldest_scan: milliseconds since the epoch; `NEVER` if there is none.
        scans: number of scans by age, the oldest first; the last number counts those that are not stale.
    """

    __slots__ = (
        "_age", "_images", "_since", "_stale_before", "_until", "digests", "downloads", "files", "key", "modified",
        "newest_scan", "nonprod", "oldest_scan", "prod", "registry_type", "registry_uuid", "scanned", "scans",
    )  # fmt: skip

    def __init__(self, key: RegistryKey, stale_before: Sequence[int], images: dict[int, int]) -> None:
        """Start without rows.

        Args:
            key: the registry and package type.
            stale_before: milliseconds since the epoch, ascending; older scans are stale.
            images: downloads by image; one dictionary for the space, as one for each registry takes more memory.
        """
        self.key = key
        self.scanned = False
        self.files: int | None = None
        self.digests: int | None = None
        self.downloads: int | None = None
        self.prod: int | None = None
        self.nonprod: int | None = None
        self.modified = 0
        self.registry_type = self.registry_uuid = ""
        self.newest_scan = 0
        self.oldest_scan = NEVER
        self.scans = [0] * (len(stale_before) + 1)
        self._stale_before = stale_before
        self._since, self._until, self._age = NEVER, 0, 0
        self._images = images if is_image(key.package_type) else None

    @classmethod
    def together(cls, key: RegistryKey, registries: Sequence[Self]) -> Self:
        """Return the sums of several registries, without their types and UUIDs."""
        together = cls(key, (), {})
        together.scanned = any(one.scanned for one in registries)
        for name in ("files", "digests", "downloads", "prod", "nonprod"):
            numbers = [number for one in registries if (number := getattr(one, name)) is not None]
            setattr(together, name, sum(numbers) if numbers else None)
        together.modified = max(one.modified for one in registries)
        together.newest_scan = max(one.newest_scan for one in registries)
        together.oldest_scan = min(one.oldest_scan for one in registries)
        together.scans = [sum(numbers) for numbers in zip(*(one.scans for one in registries), strict=True)]
        return together

    # Half of the time of a row: function calls would take longer than the additions.
    def add(self, row: Artifact, prod: int | None, nonprod: int | None) -> None:  # noqa: C901, PLR0912
        """Add one new live row, and the numbers of its environments."""
        if (files := row.files) is not None:
            self.files = (self.files or 0) + files
        if (digests := row.digests) is not None:
            self.digests = (self.digests or 0) + digests
        if prod is not None:
            self.prod = (self.prod or 0) + prod
        if nonprod is not None:
            self.nonprod = (self.nonprod or 0) + nonprod
        if (scanned := row.scanned) is not None:
            if scanned > self.newest_scan:  # noqa: PLR1730
                self.newest_scan = scanned
            if scanned < self.oldest_scan:  # noqa: PLR1730
                self.oldest_scan = scanned
            if not self._since <= scanned < self._until:
                self._move_to_age_of(scanned)
            self.scans[self._age] += 1
        if (row.modified or 0) >= self.modified:
            self._describe(row)
        if (downloads := row.downloads) is not None:
            # All rows of an image repeat its downloads, so only the largest number counts, once.
            if (images := self._images) is not None and downloads and (uuid := row.uuid):
                image = hash((uuid, self))
                if downloads > (known := images.get(image, 0)):
                    images[image] = downloads
                    downloads -= known
                else:
                    downloads = 0
            self.downloads = (self.downloads or 0) + downloads

    def _move_to_age_of(self, scanned: int) -> None:
        # Kept, because the scans of most rows of a registry have the same age.
        self._age = bisect_right(self._stale_before, scanned)
        limits = (0, *self._stale_before, NEVER)
        self._since, self._until = limits[self._age], limits[self._age + 1]

    def _describe(self, row: Artifact) -> None:
        """Take type and UUID from a row that is at least as new as all before."""
        # Of rows with the same time the largest ones count, so that the order of the rows has no effect.
        before = (self.modified, self.registry_type, self.registry_uuid)
        described = max(before, (row.modified or 0, sys.intern(row.registry_type or ""), row.registry_uuid or ""))
        self.modified, self.registry_type, self.registry_uuid = described
