"""The JSON Schema of specs, and what a walk along it needs: references and dispatch on ``kind`` or ``method``.

The file is the one source of keys, types, bounds, defaults and descriptions of what cdmrun itself offers; members of
plugins bring theirs (`cdmrun.spec.fragments`). An object either lists its properties (``additionalProperties: false``)
or is a dispatcher: an ``allOf`` of ``if`` (a key has a constant) and ``then`` (a reference to the object that lists
them). Nothing else is used, so a walk can be this simple.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cdmrun.spec.fragments import merge_members

Schema = Mapping[str, Any]

SCHEMA_PATH = Path(__file__).with_name("schema.json")


@dataclass(frozen=True)
class Branch:
    """One object that a dispatcher can choose: ``key`` has the value ``value``."""

    key: str
    value: str
    schema: Schema


def whole_schema() -> dict[str, Any]:
    """Return schema.json with the members of installed plugins in it, as editors and `cdmrun schema --text` want it.

    Raises
    ------
    UserError
        If an installed plugin cannot be used.
    """
    raw: dict[str, Any] = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
    merge_members(raw)
    return raw


@cache
def spec_schema() -> Schema:
    """Return the schema of a whole spec with every ``$ref`` replaced by what it refers to (each definition once)."""
    raw = whole_schema()
    definitions: dict[str, Any] = raw.pop("$defs")
    resolved: dict[str, Any] = {}

    def inline(value: Any) -> Any:
        if isinstance(value, list):
            return [inline(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "$ref" not in value:
            return {key: inline(item) for key, item in value.items()}
        name = value["$ref"].removeprefix("#/$defs/")
        if name not in resolved:
            resolved[name] = inline(definitions[name])
        beside = {key: item for key, item in value.items() if key != "$ref"}
        return {**resolved[name], **beside} if beside else resolved[name]

    whole: Schema = inline(raw)
    return whole


def section(*names: str) -> Schema:
    """Return the schema of a section: ``section("evaluation", "judge")``, ``section("students", "any name")``."""
    found = spec_schema()
    for name in names:
        found = child(found, name) or {}
    return found


def branches(schema: Schema) -> list[Branch]:
    """Return the choices of a dispatcher; empty for anything else."""
    found = []
    for rule in schema.get("allOf", ()):
        ((key, test),) = rule["if"]["properties"].items()
        found.append(Branch(key, test["const"], rule["then"]))
    return found


def leaf(schema: Schema, value: Any) -> Schema | None:
    """Return the schema that lists the properties of ``value``; None if its ``kind`` or ``method`` chooses none."""
    choices = branches(schema)
    if not choices:
        return schema
    key = choices[0].key
    chosen = value.get(key, schema["properties"][key].get("default")) if isinstance(value, dict) else None
    return next((choice.schema for choice in choices if choice.value == chosen), None)


def child(schema: Schema, name: str) -> Schema | None:
    """Return the schema of one key of an object schema; None if it has no such key."""
    found = schema.get("properties", {}).get(name)
    if found is None and isinstance(schema.get("additionalProperties"), dict):
        found = schema["additionalProperties"]
    return found


@cache
def branch_of() -> Mapping[int, tuple[Branch, tuple[Branch, ...]]]:
    """Map the ``id`` of each dispatched object schema to its branch and all branches of that dispatcher."""
    found: dict[int, tuple[Branch, tuple[Branch, ...]]] = {}
    for schema in walk(spec_schema()):
        choices = tuple(branches(schema))
        for choice in choices:
            found[id(choice.schema)] = (choice, choices)
    return found


def walk(schema: Any) -> Iterator[Schema]:
    """Yield every schema inside a schema, itself first."""
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from walk(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from walk(value)
