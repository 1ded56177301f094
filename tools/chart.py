"""Generates parts of the chart from other files; `make chart` writes them, and a test checks that they are current."""

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from exporter.config.owners import Owners
from exporter.config.settings import Settings
from exporter.config.spaces import SpaceEntry

ROOT = Path(__file__).parent.parent
CHART = ROOT / "helm" / "har-exporter"

MANAGED = {"listen_address", "shard", "shards", "web_config_file"}
"""Settings that the chart derives from other values, so `config` does not accept them."""

REFUSED = {"description": "Not a value of this chart; refused with what to use instead"}
"""Schema of the values of other charts, which templates refuse."""

Schema = dict[str, Any]  # a part of a JSON schema

_PARAM = re.compile(r"## @(param|section) (.*)")
_TABLES = re.compile(r"(?<=<!-- begin values -->\n).*(?=<!-- end values -->)", re.DOTALL)


def copies() -> Iterator[tuple[Path, str]]:
    """Yield the path and content of each rule file and dashboard of the chart."""
    for folder, pattern in (("rules", "*.rules.yaml"), ("dashboards", "*.json")):
        for source in sorted((ROOT / "grafana" / folder).glob(pattern)):
            yield CHART / folder / source.name, source.read_text()


def made() -> Iterator[tuple[Path, str]]:
    """Yield the path and content of each generated file."""
    yield from copies()
    yield CHART / "values.schema.json", _schema()
    yield CHART / "README.md", _readme()


def described() -> Iterator[tuple[str, str, str]]:
    """Yield kind (param or section), path and description of each such comment in values.yaml."""
    for kind, text in _PARAM.findall((CHART / "values.yaml").read_text()):
        path, _, description = text.partition(" ") if kind == "param" else ("", "", text)
        yield kind, path, description


def default(path: str) -> object:
    """Return the default of a value."""
    value: Any = _defaults()
    for name in path.split("."):
        value = value[name]
    return value


@functools.cache
def _defaults() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    return values


def _readme() -> str:
    path = CHART / "README.md"
    lines = []
    for kind, name, description in described():
        if kind == "section":
            lines += ["", f"### {description}", "", "| value | meaning | default |", "| --- | --- | --- |"]
        else:
            text = description.replace("|", "\\|")
            lines.append(f"| `{name}` | {text} | `{json.dumps(default(name), ensure_ascii=False)}` |")
    tables = "\n".join(lines) + "\n\n"
    return _TABLES.sub(lambda _: tables, path.read_text())


def _schema() -> str:
    path = CHART / "values.schema.json"
    schema = json.loads(path.read_text())
    schema["definitions"]["settings"] = _settings()
    for kind, name, description in described():
        if kind == "param":
            _property(schema, name)["description"] = description
    for path in yaml.safe_load((CHART / "habits.yaml").read_text()):
        _refuse(schema, path)
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _property(schema: Schema, path: str) -> Schema:
    for name in path.split("."):
        schema = schema["properties"][name]
    return schema


def _refuse(schema: Schema, path: str) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        schema = schema["definitions"]["settings"] if parent == "config" else schema["properties"][parent]
    if "properties" in schema:
        schema["properties"][name] = REFUSED


def _settings() -> Schema:
    """Return the schema of `config`, generated from the settings of the exporter."""
    properties = {name: _setting(field) for name, field in Settings.model_fields.items() if name not in MANAGED}
    entry = {name: _setting(field) for name, field in SpaceEntry.model_fields.items()}
    entry["ref"] |= {"minLength": 1}
    spaces = [_line(), {"type": "object", "additionalProperties": False, "required": ["ref"], "properties": entry}]
    properties["spaces"] = {
        "type": "array",
        "items": {"anyOf": spaces},
        "description": properties["spaces"]["description"],
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _line() -> Schema:
    return {"$ref": "#/definitions/filled"}


def _setting(field: FieldInfo) -> Schema:
    """Return the schema of a setting: the types that the settings file accepts."""
    accepted = _declared(field) or _by_type(field)
    if _takes_off(field):
        # Unquoted, off is false to YAML.
        return {"anyOf": [accepted, {"const": False}], "description": field.description}
    return accepted | {"description": field.description}


def _declared(field: FieldInfo) -> Schema | None:
    """Return the schema that the reader of a setting declares: its range or its choices."""
    for reader in field.metadata:
        declared: Any = getattr(reader, "json_schema_input_type", PydanticUndefined)
        if declared is not PydanticUndefined:
            return _as_written(TypeAdapter(declared).json_schema())
    return None


def _as_written(schema: Schema) -> Schema:
    """Return a schema with the other forms that the settings file accepts: capitals, nothing, and lists in one text."""
    if "anyOf" in schema:
        return {"anyOf": [_as_written(one) for one in schema["anyOf"]]}
    if "items" in schema:
        items = _as_written(schema["items"])
        one = "|".join(filter(None, items.get("enum", ()))) or items["pattern"].strip("^$")
        return {"type": ["array", "string"], "items": items, "pattern": f"^( *({one}) *(, *({one}) *)*|off|)$"}
    if "pattern" in schema:
        return schema
    words = schema.get("enum") or [schema["const"]] if schema["type"] == "string" else []
    if words:
        return {"enum": [*words, *map(str.upper, words), ""]}
    return schema


def _by_type(field: FieldInfo) -> Schema:
    shape = str(field.annotation)
    if field.annotation == Owners:
        return {"type": ["string", "object"], "additionalProperties": {"type": "string"}}
    if "bool" in shape:
        return {"type": "boolean"}
    if "tuple" in shape:
        return {"type": ["array", "string"], "items": {"type": "string"}}
    return {"type": "string", "pattern": r"^[^\x00-\x1f\x7f]*$"}


def _takes_off(field: FieldInfo) -> bool:
    """Return whether a setting may be off, but for those that are true or false."""
    said = re.search(r"\boff\b", field.description or "")
    if not (said and field.metadata) or "bool" in str(field.annotation):
        return False
    setting: Any = Annotated[field.annotation, *field.metadata]
    try:
        TypeAdapter(setting).validate_python("off")
    except ValidationError:
        return False
    return True


if __name__ == "__main__":
    for destination, content in made():
        destination.parent.mkdir(exist_ok=True)
        destination.write_text(content)
