"""Discovery of spaces: the registries that were read last, and the spaces that they name."""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping

import structlog

from exporter.config.spaces import Found
from exporter.engine.listed import by_space
from exporter.inventory.registries import Registries, Registry
from exporter.inventory.snapshot import RegistryKey
from exporter.log import LoggedStates

_log = structlog.get_logger()


class Discovery:
    """Registries of each entry as they were read last, however long ago; safe to share between threads."""

    def __init__(self, on_found: Callable[[], None]) -> None:
        """Know nothing yet.

        Args:
            on_found: called when other spaces were found below an entry than before.
        """
        self._on_found = on_found
        self._lock = threading.Lock()
        self._registries: Mapping[str, Registries] = {}
        self._found: Mapping[str, frozenset[str]] = {}
        self._listed: Mapping[str, Mapping[RegistryKey, Registry]] = {}
        self._forgotten = Counter[str]()
        self._too_deep = LoggedStates()

    @property
    def found(self) -> Found:
        """The spaces below each entry that ends in `/**`, its root included."""
        return self._found

    def registries(self, entry: str) -> Registries | None:
        """Return the registries of an entry; None if they were never read."""
        return self._registries.get(entry)

    def upstream(self, space: str) -> Collection[RegistryKey]:
        """Return the registries of a space that are known to be UPSTREAM."""
        return {key for key, registry in self._listed.get(space.lower(), {}).items() if registry.upstream}

    def lacks(self, entry: str, registries: Registries) -> bool:
        """Return whether a read of an entry shows that a space that an earlier one named may be gone."""
        before = self._found.get(entry, frozenset())
        return registries.whole and bool(before - _spelled(registries.found, before))

    def times_forgotten(self, entry: str) -> int:
        """Return how many times an entry was forgotten, by which a read knows whether it is still wanted."""
        return self._forgotten[entry]

    def take(
        self, entry: str, registries: Registries, named: frozenset[str] = frozenset(), *, times_forgotten: int = 0
    ) -> bool:
        """Take note of what a read of an entry found, and return whether it was still wanted.

        Args:
            entry: the entry.
            registries: its registries.
            named: spaces that the read before named, a moment ago.
            times_forgotten: how many times the entry had been forgotten before the read.
        """
        with self._lock:
            if self._forgotten[entry] != times_forgotten:
                return False
            before = self._found.get(entry, frozenset())
            # A space is gone only if every page that could name it was read.
            found = _spelled(registries.found, before) | (
                before & _spelled(named, before) if registries.whole else before
            )
            # First, as what reads violations by the registries needs their spaces.
            if registries.descendants:
                self._found = {**self._found, entry: found}
            self._set({**self._registries, entry: registries})
        if self._too_deep.is_new(entry, "too deep", registries.too_deep > 0) and registries.too_deep:
            _log.warning("registries deeper than a project are left out", space=entry, registries=registries.too_deep)
        if registries.descendants and found != before:
            self._on_found()
        return True

    def forget(self, entries: Collection[str]) -> None:
        """Forget some entries, and what reads of them find that run now."""
        with self._lock:
            self._forgotten.update(entries)
            self._set({entry: known for entry, known in self._registries.items() if entry not in entries})
            self._found = {entry: found for entry, found in self._found.items() if entry not in entries}

    def _set(self, registries: Mapping[str, Registries]) -> None:
        self._registries = registries
        # Worked out once, as each walk looks its space up.
        self._listed = by_space({entry: known.spaces for entry, known in registries.items()})


def _spelled(spaces: Collection[str], before: Collection[str]) -> frozenset[str]:
    """Return spaces in the spelling that they were first found in, as the case of scopes makes no difference."""
    known = {space.lower(): space for space in before}
    return frozenset(known.get(space.lower(), space) for space in spaces)
