"""Sources of settings: flags, the environment and a YAML file, and the settings that they make.

`load` returns one frozen `Settings`, or every fault of every source. Empty text, like null in the file, counts as not
given, except for `link_template` and `search_term`, where it means none.
"""

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Secret, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from exporter.config.errors import ENV_PREFIX, printable_name, unknown_name
from exporter.config.readers import NO_KEY_YET, present
from exporter.config.settings import FLAGLESS, UPSTREAM, Settings
from exporter.files import read_file
from exporter.texts import SettingsError, parse_yaml

# Kubernetes injects these for a Service that is named har-exporter or har-exporter-<x>, and docker for a link to it.
_INJECTED = re.compile(
    rf"{ENV_PREFIX}(?:(?:SERVICE|PORT)_.*|PORT=.*|"
    r"\w+_(?:SERVICE_(?:HOST|PORT(?:_\w+)?)|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_\w+)?)=.*|"
    r"\w+_PORT=(?:tcp|udp|sctp)://.*|(?:\w+_)?NAME=/[^/]+/[^/]+)",
    re.DOTALL,
)
# In capitals only: a template of links may hold ${account}.
_REFERENCE = re.compile(r"\$\{[A-Z_][A-Z0-9_]*(?:[:?+=-][^}]*)?\}|^\s*\$[A-Z_][A-Z0-9_]*\s*$")


class NoKeyYetError(SettingsError):
    """Nothing is wrong with the settings but that key files are missing from folders that exist."""


class _Source(PydanticBaseSettingsSource):
    """Source of settings.

    Attributes:
        values: texts, lists and mappings by name of setting.
        faults: what is wrong with the source itself.
        refused: what is wrong with values that the source cannot hold, by name of setting.
        unreadable: the source could not be read, so that settings that are missing may be in it.
    """

    def __init__(
        self,
        given: Mapping[str, object],
        known: Collection[str],
        faults: Sequence[str] = (),
        *,
        refused: Mapping[str, str] | None = None,
        unreadable: bool = False,
    ) -> None:
        super().__init__(Settings)
        self.refused = dict(refused or {})
        named = {name: value for name, value in given.items() if name in known and name != "config"}
        self.values = present({name: value for name, value in named.items() if name not in self.refused})
        unknown = (name for name in given if name not in known)
        self.faults = (
            *faults,
            *(f"{self.written(printable_name(name))}: {unknown_name(name, known, self.written)}" for name in unknown),
        )
        self.unreadable = unreadable

    def written(self, name: str) -> str:
        """Return the name of a setting as this source writes it."""
        return name

    def without(self, names: Collection[str]) -> None:
        """Drop these settings."""
        self.values = {name: value for name, value in self.values.items() if name not in names}
        self.refused = {name: line for name, line in self.refused.items() if name not in names}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - pydantic's
        """Return the value of a setting, its name, and that it needs no JSON decoding."""
        return self.values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return all values, hidden: with PYDANTIC_SETTINGS_DEBUG set, the library logs what its sources hold."""
        fields = {name: field for name, field in Settings.model_fields.items() if name in self.values}
        return {name: Secret(self.get_field_value(field, name)[0]) for name, field in fields.items()}


class _Pinned(_Source):
    """Values that have precedence over every other source."""

    def __init__(self, values: Mapping[str, object]) -> None:
        super().__init__(values, Settings.model_fields)


class _Flags(_Source):
    """Flags of the command line."""

    def __init__(self, flags: Mapping[str, str]) -> None:
        super().__init__(flags, {"config", *Settings.model_fields} - FLAGLESS)

    def written(self, name: str) -> str:
        return "--" + name.replace("_", "-")


class _Environment(_Source):
    """Environment variables that begin with `ENV_PREFIX`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        names = [name for name in environ if name.startswith(ENV_PREFIX) and not _is_injected(name, environ)]
        super().__init__({_setting_name(name): environ[name] for name in names}, {"config", *Settings.model_fields})

    def written(self, name: str) -> str:
        return name if name.startswith(ENV_PREFIX) else ENV_PREFIX + name.upper()


class _File(_Source):
    """YAML file of settings."""

    def __init__(self, origin: str, path: str) -> None:
        """Read the file.

        Args:
            origin: the flag or variable that names the file, for faults.
            path: the path; empty for no file.
        """
        self._path = path
        content: Mapping[str, object] = {}
        faults: list[str] = []
        unreadable = False
        try:
            if path:
                content, repeated = parse_yaml(read_file(Path(path)))
                faults = [
                    f"{self.written(printable_name(name))}: is repeated in line {line}" for name, line in repeated
                ]
        except OSError as error:
            faults, unreadable = [f"{origin}: must be a file that can be read: {error.strerror}"], True
        except ValueError as error:
            faults, unreadable = [f"{origin}: {error}"], True
        super().__init__(
            content, Settings.model_fields, faults, refused=dict(_references(content)), unreadable=unreadable
        )

    def written(self, name: str) -> str:
        return f"{name} in {self._path}"


def load(
    flags: Mapping[str, str],
    environ: Mapping[str, str] = os.environ,
    *,
    pinned: Mapping[str, object] | None = None,
) -> Settings:
    """Return the settings; a flag has precedence over the environment, which has precedence over the file.

    Args:
        flags: texts from the command line by name of setting, and `config`, the path of the file.
        environ: the environment; `HAR_EXPORTER_CONFIG` is the path of the file.
        pinned: values with precedence over all sources; the sources' own `UPSTREAM` settings are then ignored.

    Raises:
        NoKeyYetError: only key files are missing, which may come.
        SettingsError: with every fault of every source.
    """
    sources: list[_Source] = [_Flags(flags), _Environment(environ), _File(*_config(flags, environ))]
    if pinned is not None:
        for source in sources:
            source.without(UPSTREAM)
        sources.insert(0, _Pinned(pinned))
    settings, invalid = _validated(sources)
    faults = [*(fault for source in sources for fault in (*source.faults, *_refused(source))), *invalid]
    if settings is None or faults:
        no_key_yet = all(fault.endswith(NO_KEY_YET) for fault in faults)
        raise NoKeyYetError(faults) if no_key_yet else SettingsError(faults)
    return settings


def file_of(flags: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the path of the file that `load` reads, or None if there is none."""
    _, path = _config(flags, environ)
    return Path(path) if path else None


def _config(flags: Mapping[str, str], environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the flag or variable that names the file, and the path."""
    given = {"--config": flags.get("config", ""), "HAR_EXPORTER_CONFIG": environ.get("HAR_EXPORTER_CONFIG", "")}
    return next(((origin, path.strip()) for origin, path in given.items() if path.strip()), ("", ""))


def _is_injected(name: str, environ: Mapping[str, str]) -> bool:
    """Return whether a variable was set by Kubernetes or docker, not by a user."""
    # Docker copies the whole environment of a container that a link names.
    link, copied, _ = name.partition("_ENV_")
    variables = [f"{name}={environ[name]}", *([f"{link}_NAME={environ.get(f'{link}_NAME', '')}"] if copied else [])]
    return any(_INJECTED.fullmatch(variable) for variable in variables)


def _refused(source: _Source) -> Iterator[str]:
    return (f"{source.written(name)}: {line}" for name, line in source.refused.items())


def _references(content: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Return the settings of a file that refer to an environment variable, with what to do instead."""
    line = "refers to an environment variable, which is not replaced in this file; remove it, and set {} instead"
    for name, value in content.items():
        if name in Settings.model_fields and _refers(value, set()):
            yield name, line.format(ENV_PREFIX + name.upper())


def _refers(value: object, seen: set[int]) -> bool:
    """Return whether a value holds a reference to an environment variable; `seen` are the ids of lists and mappings."""
    if isinstance(value, str):
        return _REFERENCE.search(value) is not None
    # A list that aliases of YAML repeat in each other could take forever.
    if not isinstance(value, Mapping | list) or id(value) in seen:
        return False
    seen.add(id(value))
    return any(_refers(part, seen) for part in (value.values() if isinstance(value, Mapping) else value))


def _setting_name(variable: str) -> str:
    """Return the setting of a variable; a variable that is not all capitals names none and stays as it is."""
    return variable.removeprefix(ENV_PREFIX).lower() if variable == variable.upper() else variable


def _validated(sources: Sequence[_Source]) -> tuple[Settings | None, tuple[str, ...]]:
    """Return the settings, or None and their faults; the error itself holds values and must not be chained."""
    try:
        return Settings(*sources), ()
    except ValidationError as error:
        return None, tuple(_faults(error, sources))


def _faults(error: ValidationError, sources: Sequence[_Source]) -> Iterator[str]:
    """Return the faults of values, each with the setting as the source of the value writes it."""
    # Settings that seem to be missing may stand in a file that could not be read, or are refused already.
    unreadable = any(source.unreadable or source.refused for source in sources)
    written: Callable[[str], str | None] = {
        name: source.written(name) for source in reversed(sources) for name in source.values
    }.get
    for detail in error.errors():
        for fault in detail["ctx"]["error"].args:
            # A check of one setting against another says which of them is wrong.
            name, line = fault if isinstance(fault, tuple) else (str(detail["loc"][0]), fault)
            if written(name) or not unreadable:
                yield f"{written(name) or name}: {line}"
