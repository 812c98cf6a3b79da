"""Specs made from the schema: each of its objects in one of them, and what breaks or keeps each of its keys.

Nothing here asks jsonschema: what is wrong follows from the schema's words by construction.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from cdmrun.spec.errors import Step
from cdmrun.spec.schema import Schema, branches, spec_schema, walk

from .conftest import RING

Path = tuple[Step, ...]

#: A value of each type, none of them like another's.
TYPICAL: dict[str, Any] = {
    "boolean": True,
    "integer": 7,
    "number": 2.5,
    "string": "neither this nor that",
    "array": [["nested"]],
    "object": {"some": "map"},
}
#: Keywords by which a value can be wrong, each with what a message about it says.
WORDS = {
    "type": "expected",
    "const": "is not one of",
    "enum": "is not one of",
    "minimum": "must be at least",
    "maximum": "must be at most",
    "exclusiveMinimum": "must be more than",
    "exclusiveMaximum": "must be less than",
    "minItems": "",
    "maxItems": "entries",
    "minLength": "",
    "maxLength": "entries or characters",
    "pattern": "must be lower-case",
    "uniqueItems": "is listed twice",
    "required": "missing",
    "additionalProperties": "unknown key",
}
#: Keywords that say how schemas are put together, or explain.
STRUCTURE = {
    "$schema",
    "$id",
    "title",
    "description",
    "examples",
    "properties",
    "propertyNames",
    "items",
    "default",
} | {
    *("if", "then", "else", "allOf"),
    *("x-default-when", "x-added-default", "x-identity", "x-path"),
}


@dataclass(frozen=True)
class Place:
    """One object of the schema, and where a spec has it; an item of a list or one of free names stands for all."""

    path: Path
    schema: Schema
    spec: Any
    optional: str = ""  # the key that chose this object, where it has a default

    def __str__(self) -> str:
        kind = next((below["const"] for below in self.schema["properties"].values() if "const" in below), "")
        return f"{'.'.join(map(str, self.path)) or 'spec'} {kind}".strip()


@dataclass(frozen=True)
class Mutant:
    """A spec with one thing wrong: where, and the schema's word for it."""

    spec: Any
    path: Path
    keyword: str


@cache
def places() -> tuple[Place, ...]:
    """Every object of the schema, in a spec with little else."""
    return tuple(_places(spec_schema(), (), yaml.safe_load(RING)))


def _places(schema: Schema, path: Path, spec: Any, optional: str = "") -> Iterator[Place]:
    for branch in branches(schema):
        default = "default" in schema["properties"][branch.key]
        chosen = put(spec, path, smallest(branch.schema))
        yield from _places(branch.schema, path, chosen, branch.key if default else "")
    if branches(schema):
        return
    if "properties" in schema:
        yield Place(path, schema, spec, optional)
    for name, below in schema.get("properties", {}).items():
        yield from _below(below, (*path, name), spec)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _below(schema["additionalProperties"], (*path, "any"), spec)


def _below(schema: Schema, path: Path, spec: Any) -> Iterator[Place]:
    if schema.get("type") == "object":
        yield from _places(schema, path, put(spec, path, smallest(schema)))
    elif schema.get("items", {}).get("type") == "object":
        yield from _below(schema["items"], (*path, 0), put(spec, path, [smallest(schema["items"])]))


def smallest(schema: Schema) -> Any:
    """A value that has only what it must."""
    if branches(schema):
        return smallest(branches(schema)[0].schema)
    if schema.get("default") is not None or "const" in schema or "enum" in schema:
        return schema.get("default", schema.get("const", schema.get("enum", [None])[0]))
    kind = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
    if kind == "object":
        needed = {name: smallest(schema["properties"][name]) for name in schema.get("required", ())}
        return needed | {name: below["const"] for name, below in schema["properties"].items() if "const" in below}
    if kind == "array":
        return [smallest(schema["items"]) for _ in range(schema.get("minItems", 0))]
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    return {"integer": low, "number": low + 0.25, "string": "a" * schema.get("minLength", 1), "boolean": False}[kind]


def put(spec: Any, path: Path, value: Any) -> Any:
    """A copy of a spec with a value at a path, whose last step may be new; before it, what is absent becomes a map."""
    if not path:
        return copy.deepcopy(value)
    spec = copy.deepcopy(spec)
    inner = spec
    for step in path[:-1]:
        inner = inner[step] if isinstance(step, int) else inner.setdefault(step, {})
    inner[path[-1]] = copy.deepcopy(value)
    return spec


def mutants(place: Place) -> Iterator[Mutant]:
    """Everything that is wrong by construction: with keys' values, with keys that are not, or lack."""
    needed = place.schema.get("else", place.schema).get("required", ())
    for name, schema in place.schema["properties"].items():
        path = (*place.path, name)
        if name in needed and name != place.optional:
            yield Mutant(without(place.spec, path), path, "required")
        if "const" in schema:
            yield Mutant(put(place.spec, path, "~" + schema["const"]), path, "const")
        for keyword, below, value in wrong(schema):
            yield Mutant(put(place.spec, path, value), path + below, keyword)
        slip = (*place.path, f"{name[:-1]}_{name[-1]}")
        yield Mutant(put(place.spec, slip, 1), slip, "additionalProperties")


def without(spec: Any, path: Path) -> Any:
    """A copy of a spec without a key."""
    spec = copy.deepcopy(spec)
    inner = spec
    for step in path[:-1]:
        inner = inner[step]
    inner.pop(path[-1], None)
    return spec


def wrong(schema: Schema) -> Iterator[tuple[str, Path, Any]]:
    """Values that a key cannot have: the schema's word for what is wrong, where below the key, and the value."""
    types = schema.get("type", ())
    types = {types} if isinstance(types, str) else set(types)
    for kind, value in TYPICAL.items():
        if types and kind not in types and not (kind == "integer" and "number" in types):
            yield "type", (), value
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None:
        yield "minimum", (), low - 1
    if high is not None:
        yield "maximum", (), high + 1
    for edge in ("exclusiveMinimum", "exclusiveMaximum"):
        if edge in schema:
            yield edge, (), schema[edge]
    if "enum" in schema:
        yield "enum", (), "~" if schema["type"] == "string" else max(schema["enum"]) + 1
    if "pattern" in schema:
        yield "pattern", (), "No Name!"
    if "minLength" in schema:
        yield "minLength", (), "a" * (schema["minLength"] - 1)
    if "maxLength" in schema:
        yield "maxLength", (), "a" * (schema["maxLength"] + 1)
    if "items" in schema and schema["items"].get("type") != "object":
        yield from _wrong_lists(schema)


def _wrong_lists(schema: Schema) -> Iterator[tuple[str, Path, Any]]:
    item = smallest(schema["items"])
    fewest = schema.get("minItems", 0)
    if fewest:
        yield "minItems", (), [item] * (fewest - 1)
    if "maxItems" in schema:
        yield "maxItems", (), [item] * (schema["maxItems"] + 1)
    if schema.get("uniqueItems"):
        yield "uniqueItems", (1,), [item, item]
    for keyword, below, value in wrong(schema["items"]):
        yield keyword, (0, *below), [value, *[item] * (fewest - 1)]


def right(schema: Schema) -> Iterator[Any]:
    """Values that a key may have, as far as it alone is concerned: each choice, the bounds, its default."""
    yield from schema.get("enum", ())
    yield from [True, False] if schema.get("type") == "boolean" else []
    yield from [schema[word] for word in ("minimum", "maximum", "default") if schema.get(word) is not None]


@cache
def names() -> list[str]:
    """Every key that the schema knows."""
    return sorted({name for place in places() for name in place.schema["properties"]})


@cache
def kinds() -> list[str]:
    """Every kind and method."""
    below = [below for place in places() for below in place.schema["properties"].values()]
    return sorted({schema["const"] for schema in below if "const" in schema})


def keywords() -> set[str]:
    """Every word that the schema uses."""
    maps = {
        id(schema[word]) for schema in walk(spec_schema()) for word in ("properties", "default", "if") if word in schema
    }
    return {word for schema in walk(spec_schema()) if id(schema) not in maps for word in schema}
