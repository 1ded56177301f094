"""Registries: a page of their listing, and the firewall mode that one of them is configured with."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Raw, field

from exporter.harness import values
from exporter.harness.client import path_of
from exporter.harness.envelope import ListingPage, nesting_checked, successful_data
from exporter.harness.reading import RawListing, Reader, read_listing
from exporter.labels import REGISTRIES, Label, clean


@dataclass(frozen=True, slots=True)
class RegistriesListing:
    """Registries to list: those of one space.

    Attributes:
        space: `account`, `account/org` or `account/org/project`.
        descendants: list those of all spaces below it, too.
    """

    source: ClassVar[str] = REGISTRIES

    space: str
    descendants: bool = False

    def url(self, api_url: str, page: int, size: int) -> str:
        """Return the URL of one page."""
        query = {"scope": "descendants" if self.descendants else "none", "page": page, "size": size}
        return f"{api_url}/spaces/{path_of(self.space)}/+/registries?{urlencode(query)}"


@dataclass(frozen=True, slots=True)
class RegistryConfiguration:
    """Configuration of one registry, which is a single page.

    Attributes:
        space: `account`, `account/org` or `account/org/project`.
        identifier: identifier of the registry.
    """

    source: ClassVar[str] = REGISTRIES

    space: str
    identifier: str

    def url(self, api_url: str, page: int, size: int) -> str:  # noqa: ARG002 - of every source
        """Return the URL of the registry."""
        return f"{api_url}/registry/{path_of(self.space)}/{quote(self.identifier, safe='')}/+"


class RegistryRow(NamedTuple):
    """Row of the listing: one registry, with texts as the API writes them.

    Attributes:
        identifier: `identifier`, never empty.
        uuid: `uuid`.
        registry_type: `type`: VIRTUAL or UPSTREAM.
        package_type: `packageType`.
        space: `path` without its last part: the space that the registry belongs to; None if there is no path.
        packages: `artifactsCount`: packages, not versions; 0 if it is absent, as the API's server leaves out 0.
        public: `isPublic`: anyone may read it without a key; None if that is not known.
        size: `registrySize` in bytes, rounded by the API; None if that is not known.
        deleted: `deletedAt` is set.
    """

    identifier: str
    uuid: str | None
    registry_type: str | None
    package_type: str | None
    space: str | None
    packages: int | None
    public: bool | None
    size: int | None
    deleted: bool


class _RawRow(msgspec.Struct, gc=False):
    identifier: Raw = Raw()
    uuid: Raw = Raw()
    type: Raw = Raw()
    package_type: Raw = field(name="packageType", default=Raw())
    path: Raw = Raw()
    packages: Raw = field(name="artifactsCount", default=Raw())
    public: Raw = field(name="isPublic", default=Raw())
    size: Raw = field(name="registrySize", default=Raw())
    deleted: Raw = field(name="deletedAt", default=Raw())


class _RawData(RawListing, gc=False):
    registries: Raw = Raw()


class _RawConfig(msgspec.Struct, gc=False):
    hosted: Raw = field(name="firewallMode", default=Raw())
    open_source: Raw = field(name="upstreamProxyConfigFirewallMode", default=Raw())


class _RawRegistry(msgspec.Struct, gc=False):
    config: Raw = Raw()


_DATA = msgspec.json.Decoder(_RawData)
_ROW = msgspec.json.Decoder(_RawRow)
_REGISTRY = msgspec.json.Decoder(_RawRegistry)
_CONFIG = msgspec.json.Decoder(_RawConfig)


@nesting_checked()
def decode_registries(body: bytes, now: float, *, rows_asked: int, label: Label = clean) -> ListingPage[RegistryRow]:
    """Return the page of the registries listing that a response of the API holds.

    Args:
        body: the decompressed body of the response.
        now: the wall clock's time in seconds, to recognize times in the future.
        rows_asked: how many rows were requested; a page that has more is refused before they are built.
        label: makes a label value of a text, for the errors.

    Raises:
        BadJsonError: the body is not JSON.
        BadShapeError: it is JSON, but not a successful list of registries.
        PaginationError: it has more rows than were requested.
        TooLargeError: it has invalid characters, and is too large for these to be replaced.
    """
    data = _DATA.decode(successful_data(body, label))
    return read_listing(data, data.registries, "data.registries", _registry, rows_asked=rows_asked, now=now)


@nesting_checked()
def decode_firewall_mode(body: bytes, label: Label = clean) -> str | None:
    """Return the firewall mode in the configuration of one registry; None if it has none.

    The hosted service and the open-source server name the field differently.

    Args:
        body: the decompressed body of the response.
        label: makes a label value of a text, for the errors.

    Raises:
        BadJsonError: the body is not JSON.
        BadShapeError: it is JSON, but not a registry.
        TooLargeError: it has invalid characters, and is too large for these to be replaced.
    """
    config = _REGISTRY.decode(successful_data(body, label)).config
    if values.first_byte(config) != b"{":
        return None
    raw = _CONFIG.decode(config)
    return values.read_text(raw.hosted) or values.read_text(raw.open_source) or None


def _registry(row: Raw, reader: Reader) -> RegistryRow | None:
    raw = _ROW.decode(row)
    identifier = reader.name(raw.identifier)
    if not identifier:
        return None
    return RegistryRow(
        identifier=identifier,
        uuid=values.read_text(raw.uuid) or None,
        registry_type=values.read_text(raw.type) or None,
        package_type=values.read_text(raw.package_type) or None,
        space=_space(raw.path),
        packages=reader.count(raw.packages) if len(raw.packages) else 0,
        public=reader.flag(raw.public),
        size=reader.size(raw.size),
        deleted=reader.time(raw.deleted) is not None,
    )


def _space(path: Raw) -> str | None:
    return (values.read_path(path) or "").strip("/").rpartition("/")[0] or None
