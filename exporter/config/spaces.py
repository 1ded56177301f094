"""Spaces: an entry of the setting `spaces`, and the space that it makes together with the settings for all."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from exporter.config import readers as r
from exporter.config.errors import printable_name, unknown_name
from exporter.labels import REGISTRIES
from exporter.scopes import DESCENDANTS, is_below, parts_of
from exporter.texts import optional, quoted

_INVALID = "invalid"  # stands for a value that was refused: not None, so it counts as given


Found = Mapping[str, Collection[str]]
"""Names of the spaces that were found below each entry, which is named as it was written."""

NOTHING_FOUND: Found = MappingProxyType({})
"""No spaces that were found."""


@dataclass(frozen=True, slots=True)
class Space:
    """One space to list, with every setting that applies to it.

    Attributes:
        ref: `account`, `account/org` or `account/org/project`.
        descendants: the entry stands for all spaces below it, too.
        base_url: scheme, host and optional path, without a trailing slash.
        api_key: the key, or None if it is in `api_key_file`.
        api_key_file: the file that holds the key, or None.
        registries: list only these registries; empty for all.
        package_types: list only these package types; empty for all.
        latest_version: the API's filter of that name; None to leave it out.
        deployed_artifact: the API's filter of that name; None to leave it out.
        search_term: the API's filter of that name; None to leave it out.
        owner: who answers for it; empty if nobody does.
    """

    ref: str
    descendants: bool
    base_url: str
    api_key: SecretStr | None
    api_key_file: Path | None
    registries: tuple[str, ...]
    package_types: tuple[str, ...]
    latest_version: bool | None
    deployed_artifact: bool | None
    search_term: str | None
    owner: str

    @property
    def entry(self) -> str:
        """The entry as it was written, without the settings of its own."""
        return self.ref + DESCENDANTS if self.descendants else self.ref

    @property
    def upstream(self) -> tuple[object, ...]:
        """Server and key: equal for spaces that share both."""
        return self.base_url, self.api_key_file or self.api_key

    @property
    def account(self) -> str:
        """The account's identifier."""
        return parts_of(self.ref)[0]

    @property
    def project(self) -> str:
        """The project's identifier; empty for an account or an organization."""
        return parts_of(self.ref)[2]


def covers(root: Space, entry: Space) -> bool:
    """Return whether an entry ends in `/**`, and lists everything that another entry of the same key lists."""
    return root.descendants and root.upstream == entry.upstream and is_below(entry.ref, root.ref)


def asked_for_sources(entries: Collection[Space], serves: Callable[[Space], bool]) -> tuple[Space, ...]:
    """Return the entries that are asked for registries and violations.

    Those that end in `/**` list everything below them, so that an entry below one of the same key is not asked itself.

    Args:
        entries: all entries.
        serves: returns whether this shard serves a space.
    """
    roots = [entry for entry in entries if entry.descendants]

    def is_first(root: Space, entry: Space) -> bool:
        # Of two roots that differ in case only, the first one covers the second.
        same = entry.descendants and root.ref.lower() == entry.ref.lower()
        return not same or roots.index(root) < roots.index(entry)

    def covered(entry: Space) -> bool:
        return any(covers(root, entry) and is_first(root, entry) for root in roots if root is not entry)

    return tuple(entry for entry in entries if not covered(entry) and (entry.descendants or serves(entry)))


def spaces_of(
    entries: Sequence["SpaceEntry"],
    resolve: Callable[["SpaceEntry", str], Space],
    found: Found,
) -> tuple[Space, ...]:
    """Return the spaces of all entries in their order, then those that were found below them; each space once.

    A space with an entry of its own has the settings of this entry; a found one has those of the nearest entry above it
    that ends in `/**` and has the same server and key.

    Args:
        entries: all entries.
        resolve: returns a space of this name with the settings of an entry.
        found: the spaces that were found.
    """
    spaces: dict[str, Space] = {}
    for entry in entries:
        space = resolve(entry, entry.scope)
        other = spaces.setdefault(space.ref, space)
        if other is not space:
            own = space if other.descendants else other
            spaces[space.ref] = replace(own, descendants=True)
    roots = [(entry, resolve(entry, entry.scope)) for entry in entries if entry.descendants]
    roots.sort(key=lambda root: len(root[1].ref), reverse=True)
    # Harness does not distinguish scopes by case.
    known = {ref.lower() for ref in spaces}
    for entry, root in roots:
        for ref in sorted(found.get(entry.ref, ())):
            if ref.lower() not in known:
                known.add(ref.lower())
                nearest = next(
                    above for above, space in roots if is_below(ref, space.ref) and space.upstream == root.upstream
                )
                spaces[ref] = replace(resolve(nearest, ref), descendants=False)
    return tuple(spaces.values())


def _key(description: str) -> Any:  # noqa: ANN401 - the annotation beside each call gives the type
    return Field(default="", description=description)


class SpaceEntry(BaseModel):
    """One entry of `spaces` as it was written; what it leaves out comes from the settings of the same name."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)

    ref: Annotated[str, BeforeValidator(r.read_entry)] = _key(
        "account, account/org or account/org/project; with /** at the end all spaces below it, too"
    )
    base_url: Annotated[str | None, optional(r.read_base_url)] = _key("server of this space")
    api_key_file: r.KeyPath = _key("file that holds the key for this space")
    registries: r.Names = _key("only these registries")
    package_types: r.Names = _key("only these package types")
    latest_version: r.OptionalSwitch = _key("only latest versions")
    deployed_artifact: r.OptionalSwitch = _key("only deployed artifacts")
    search_term: r.Term = _key("only artifacts that match")
    owner: Annotated[str, BeforeValidator(r.read_term)] = _key("who answers for this space")

    @property
    def scope(self) -> str:
        """The space, without `/**`."""
        return self.ref.removesuffix(DESCENDANTS)

    @property
    def descendants(self) -> bool:
        """Whether the entry stands for all spaces below it, too."""
        return self.ref.endswith(DESCENDANTS)

    @model_validator(mode="before")
    @classmethod
    def _mapping(cls, entry: object) -> dict[str, object]:
        if not isinstance(entry, str | Mapping):
            raise ValueError("must be account, account/org, account/org/project, or a mapping with ref")  # noqa: TRY004
        return r.present({"ref": entry} if isinstance(entry, str) else entry)

    @field_validator("base_url")
    @classmethod
    def _encrypted(cls, url: str | None, info: ValidationInfo) -> str | None:
        return url and refuse_clear_text(url, info.context or {})

    @field_validator("api_key_file")
    @classmethod
    def _own_key(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is None and info.data.get("base_url", _INVALID) is not None:
            raise ValueError("is required with base_url: a key is never sent to a host it was not given for")
        return path


_ENTRIES = TypeAdapter(tuple[SpaceEntry, ...])


def read_entries(value: object, settings: Mapping[str, object]) -> tuple[SpaceEntry, ...]:
    """Return the entries of `spaces`.

    Args:
        value: a list, or texts separated by commas.
        settings: the settings that were read before; one that was refused is absent.

    Raises:
        ValueError: its arguments are pairs of a setting and what is wrong with it, one for each fault.
    """
    given = r.items(value)
    entries: tuple[SpaceEntry, ...] = ()
    # Checked first: one invalid entry must not hide that the key is missing.
    faults = [*_key_faults(given, settings), *_space_faults(given, settings)]
    try:
        entries = _ENTRIES.validate_python(given, context=settings)
    except ValidationError as error:
        faults += _entry_faults(error, given)
    if faults:
        raise ValueError(*faults)
    return entries


def refuse_clear_text(url: str, settings: Mapping[str, object]) -> str:
    """Return a base URL unless it would show the key to the network.

    Args:
        url: the base URL.
        settings: the settings that were read before.

    Raises:
        ValueError: it would, and `allow_insecure_http` is false.
    """
    if not r.is_private(url) and not settings.get("allow_insecure_http", _INVALID):
        raise ValueError("must be https://: http:// shows the key to the network; or set allow_insecure_http to true")
    return url


def _key_faults(entries: Collection[object], settings: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Check that there is exactly one key for all spaces, or one for each."""
    keys = [name for name in ("api_key", "api_key_file") if settings.get(name, _INVALID) is not None]
    if len(keys) > 1:
        yield "api_key", "is set, and so is api_key_file; remove one of them"
    # Before validation, so that an entry with an invalid file counts as having one.
    own = [isinstance(entry, Mapping) and "api_key_file" in r.present(entry) for entry in entries]
    if not keys and not (own and all(own)):
        yield "api_key", "is required (HAR_EXPORTER_API_KEY), or api_key_file, or an api_key_file for every space"


def _space_faults(entries: Collection[object], settings: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    if not entries:
        yield "spaces", "is required: account, account/org or account/org/project, separated by commas"
    sources = settings.get("sources")
    lists_registries = not isinstance(sources, tuple) or REGISTRIES in sources
    # Two entries for one space would export every series twice.
    first: dict[str, int] = {}
    for number, entry in enumerate(entries, 1):
        ref = _ref_of(entry).strip().removesuffix("/+")
        if ref and first.setdefault(ref, number) != number:
            yield "spaces", f"{_named(number, ref)}: is the same space as entry {first[ref]}"
        if ref.endswith(DESCENDANTS) and not lists_registries:
            yield "spaces", f"{_named(number, ref)}: requires registries in sources, which lists the spaces below it"


def _ref_of(entry: object) -> str:
    """Return the space that an entry names; empty if it names none."""
    ref = entry.get("ref") if isinstance(entry, Mapping) else entry
    return ref if isinstance(ref, str) else ""


def _named(number: int, ref: str) -> str:
    return f"entry {number}, {quoted(ref)}" if ref else f"entry {number}"


def _entry_faults(error: ValidationError, entries: Sequence[object]) -> Iterator[tuple[str, str]]:
    for detail in error.errors():
        position, *below = (*detail["loc"],)
        name = str(below[0]) if below else "ref"
        entry = _named(int(position) + 1, _ref_of(entries[int(position)]))
        origin = f"{entry}: " + ("" if name == "ref" else f"{printable_name(name)}: ")
        unknown = detail["type"] == "extra_forbidden"
        lines = [unknown_name(name, SpaceEntry.model_fields)] if unknown else detail["ctx"]["error"].args
        yield from (("spaces", origin + line) for line in lines)
