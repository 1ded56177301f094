"""Listing for all walks: pages as prepared bytes, in which only two numbers differ."""

import json
import random
import re
from functools import cache
from typing import Any, NamedTuple, Self

_NUMBER = b"@@@@@@@"
_NUMBER_DOWNWARDS = b"#######"
_SPACE = re.compile(r"/spaces/(\d+)/(\d+)/(\d+)/")
_PACKAGE_TYPES = ("NPM", "MAVEN", "DOCKER", "PYTHON", "DEBIAN")
_TAGS = 5


class Listing(NamedTuple):
    """Listing, whose properties are encoded in the name of its space.

    Attributes:
        milliseconds: latency of a response.
        artifacts: rows of the whole listing.
        registries: number of registries that the rows are distributed over.
    """

    milliseconds: int
    artifacts: int
    registries: int = 40

    @property
    def space(self) -> str:
        """Name of the space, as in the settings."""
        return "/".join(map(str, self))

    @classmethod
    def at(cls, path: str) -> Self:
        """Return the listing of the space in a path.

        Raises:
            ValueError: the path has none.
        """
        found = _SPACE.search(path)
        if not found:
            raise ValueError(f"no space in {path}")
        return cls(*map(int, found.groups()))

    def pages(self, size: int) -> int:
        """Return the number of pages of a size."""
        return -(-self.artifacts // size)

    def body(self, page: int, size: int) -> bytes:
        """Return one page as the API sends it."""
        rows = min(size, max(0, self.artifacts - page * size))
        template = _template(self.registries, rows)
        numbered = template.replace(_NUMBER, b"%07d" % page).replace(_NUMBER_DOWNWARDS, b"%07d" % (10**7 - 1 - page))
        end = f'],"itemCount":{self.artifacts},"pageCount":{self.pages(size)},"pageIndex":{page},"pageSize":{size}}}'
        return b'{"data":{"artifacts":[' + numbered + end.encode() + b',"status":"SUCCESS"}'


@cache
def _template(registries: int, rows: int) -> bytes:
    return b",".join(json.dumps(_row(row, registries), separators=(",", ":")).encode() for row in range(rows))


def _row(row: int, registries: int) -> dict[str, Any]:
    """Return a row as in real responses: sorted by key, times as text, the newest first, with many unused fields."""
    dice = random.Random(row)
    registry = row % registries
    package_type = _PACKAGE_TYPES[registry % len(_PACKAGE_TYPES)]
    image = package_type == "DOCKER"
    number, downwards = _NUMBER.decode(), _NUMBER_DOWNWARDS.decode()
    # The tags of an image share its name and its uuid.
    item = row // registries // _TAGS * registries + registry if image else row
    name = f"team-{registry:03}/component-{item:04}-{number}"
    registry_name = f"registry-{registry:03}-{package_type.lower()}"
    version = f"{row // 100}.{row % 100}.0"
    quarantined = dice.random() < 0.005  # noqa: PLR2004 - a share
    made_up: dict[str, Any] = {
        "artifactKey": {"architecture": "amd64", "distribution": "stable"} if package_type == "DEBIAN" else None,
        "deploymentMetadata": {"nonProdEnvCount": row % 4, "prodEnvCount": row % 3},
        "digestCount": 1,
        "downloadsCount": dice.randrange(10_000),
        "fileCount": dice.randrange(1, 9),
        "firewallMode": ("ALLOW", "WARN", "BLOCK")[registry % 3],
        "isQuarantined": quarantined,
        "labels": None,
        "lastModified": f"170{downwards}{999 - row % 1000:03}",
        "lastScannedAt": f"171{downwards}{dice.randrange(1000):03}",
        "latestVersion": version,
        "metadata": {"tags": [version, "latest"]} if image else None,
        "name": name,
        "packageType": package_type,
        "pullCommand": f"pull pkg.example.com/account/{registry_name}/{name}:{version} --digest sha256:"
        + dice.randbytes(32).hex()
        + f" --verify --output /var/cache/packages/{name}-{version}.tar.gz",
        "purl": f"pkg:{package_type.lower()}/{name}@{version}",
        "quarantineReason": "Security vulnerability detected" if quarantined else None,
        "registryIdentifier": registry_name,
        "registryPath": f"account/organization/{registry_name}",
        "registryType": "VIRTUAL" if image else "UPSTREAM",
        "registryUUID": f"9f0c1f5e-6a3f-4c56-9d2e-{registry:012}",
        "scanId": f"3c9d0a4e-5b1f-4d27-{row:04}-{number}00000",
        "scanStatus": dice.choices(("ALLOWED", "WARN", "BLOCKED", None), (90, 3, 1, 6))[0],
        "uuid": f"7b1de2a8-93c4-4e0b-{item:04}-{number}00000",
        "version": version,
    }
    return {field: value for field, value in made_up.items() if value is not None or field == "labels"}
