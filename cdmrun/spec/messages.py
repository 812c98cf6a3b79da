"""What a JSON Schema error says to a person: one sentence, the place, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cdmrun.spec.errors import SpecError, Step, closest, did_you_mean
from cdmrun.spec.nodes import Node
from cdmrun.spec.schema import Schema, branch_of, branches, leaf, spec_schema

_TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "a map (key: value)",
    "boolean": "true or false",
    "null": "nothing",
}
_BOUNDS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
}


def located(error: Any, spec: Node) -> Iterator[SpecError]:
    """Yield what one ``jsonschema.ValidationError`` means, each with its place in the spec."""
    path: list[Step] = list(error.absolute_path)
    kind = str(error.validator)
    if kind == "additionalProperties":
        yield from _unknown_keys(error, path, spec)
    elif kind == "required":
        yield from _missing(error, path, spec)
    elif kind == "uniqueItems":
        yield from _repeated(error, path, spec)
    elif kind == "pattern" and "propertyNames" in error.absolute_schema_path:
        full = [*path, str(error.instance)]
        yield spec.locate_key(full).error(full, f"{_show(error.instance)} is not a name: use letters, digits, _ and -")
    else:
        yield spec.error(path, _sentence(error, kind))


def _sentence(error: Any, kind: str) -> str:
    value, limit = error.instance, error.validator_value
    if kind == "type":
        return _wrong_type(value, error.schema)
    if kind == "enum":
        return f"{_show(value)} is not one of {', '.join(map(str, limit))}{did_you_mean(value, map(str, limit))}"
    if kind in _BOUNDS:
        return f"must be {_BOUNDS[kind]} {_number(limit)}, got {_show(value)}"
    if kind in {"minItems", "minLength", "minProperties"}:
        return "must not be empty" if limit == 1 else f"needs at least {limit} entries, got {len(value)}"
    if kind in {"maxItems", "maxLength", "maxProperties"}:
        return f"has {len(value)} entries or characters; at most {limit} are allowed"
    if kind == "pattern":
        suggestion = _slug(str(value))
        return f"{_show(value)} must be lower-case letters, digits and hyphens" + (
            f", such as {suggestion}" if suggestion else ""
        )
    return error.message


def _wrong_type(value: Any, schema: Schema) -> str:
    wanted = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    names = " or ".join(_TYPES[name] for name in wanted)
    if value is None:
        return f"expected {names}, got nothing ('~' or no value): write a value, or leave the key out"
    hint = ""
    if wanted == ["boolean"] and str(value).lower() in {"yes", "no", "on", "off"}:
        hint = "; in YAML 1.2 yes, no, on and off are text"
    elif wanted == ["array"] and not isinstance(value, dict | list):
        hint = f": write [{value}]"
    elif "integer" in wanted and isinstance(value, str) and _is_number(value):
        hint = ": remove the quotes"
    elif "object" in wanted and isinstance(value, str) and _names_branch(value, schema):
        hint = f": write {{{_names_branch(value, schema)}: {value}}}"
    return f"expected {names}, got {_show(value)}{hint}"


def _names_branch(value: str, schema: Schema) -> str:
    """Return ``kind`` or ``method`` if ``value`` would be one: the shorthand that people try."""
    for key in ("kind", "method"):
        if value in schema.get("properties", {}).get(key, {}).get("enum", ()):
            return key
    return ""


def _unknown_keys(error: Any, path: list[Step], spec: Node) -> Iterator[SpecError]:
    schema = error.schema
    properties = schema.get("properties", {})
    for key in error.instance:
        if key in properties:
            continue
        full = [*path, key]
        where = spec.locate_key(full)
        advice = _advice(key, error.instance, schema)
        inherited = where.file != spec.mark.file
        remedy = f" (inherited; take it away with '{key}: ~')" if inherited and "did you mean" not in advice else ""
        yield where.error(full, f"unknown key '{key}'{advice}{remedy}")


def _advice(key: str, instance: Mapping[str, Any], schema: Schema) -> str:
    """Say where an unknown key would be right: respelt, under another kind, or one level down."""
    properties = schema.get("properties", {})
    other = ""
    if id(schema) in branch_of():
        chosen, choices = branch_of()[id(schema)]
        having = [choice.value for choice in choices if key in choice.schema.get("properties", {})]
        other = f": it belongs to {chosen.key} {' or '.join(having)}, not {chosen.value}" if having else ""
    free = [name for name in properties if name not in instance]
    nested = [f"{name}.{key}" for name, below in properties.items() if key in _keys_below(below, instance.get(name))]
    if other:
        return other
    if nested and not closest(key, free, cutoff=0.8):  # the very word one level down, rather than one a bit like it
        return f" (did you mean '{nested[0]}'?)"
    if closest(key, free):
        return did_you_mean(key, free)
    if closest(key, properties):
        return did_you_mean(key, properties)
    return f"; known here: {', '.join(properties)}" if properties else ""


def _keys_below(schema: Schema, value: Any) -> set[str]:
    """Return the keys that a map may have; of every kind if it has not chosen one."""
    chosen = leaf(schema, value) if isinstance(value, dict) else None
    options = [chosen] if chosen else [schema, *(choice.schema for choice in branches(schema))]
    return {key for option in options for key in option.get("properties", {})}


def _missing(error: Any, path: list[Step], spec: Node) -> Iterator[SpecError]:
    """A required key; nothing where a misspelt one is reported anyway."""
    schema = error.schema if path else spec_schema()  # the root's required keys stand under if/else
    properties = schema.get("properties", {})
    present = error.instance
    unknown = [key for key in present if key not in properties]
    for key in error.validator_value:
        if key in present:
            continue
        if branches(schema):  # which keys are known is not known yet: say that one looks like a slip of this one
            slip = next((word for word in unknown if closest(word, [key])), None)
            if slip is not None:
                full = [*path, slip]
                yield spec.locate_key(full).error(full, f"unknown key '{slip}' (did you mean '{key}'?)")
                continue
        elif unknown and _claimed(key, unknown, properties, present):
            continue
        choices = properties.get(key, {}).get("enum")
        hint = f": one of {', '.join(choices)}" if choices else ""
        yield spec.locate(path).error([*path, key], f"missing{hint}")


def _claimed(key: str, unknown: list[str], properties: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    free = [name for name in properties if name not in present]
    return any(closest(word, free) == key for word in unknown)


def _repeated(error: Any, path: list[Step], spec: Node) -> Iterator[SpecError]:
    seen: list[Any] = []
    for index, item in enumerate(error.instance):
        if item in seen:
            yield spec.error([*path, index], f"{_show(item)} is listed twice: remove one")
        seen.append(item)


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    text = str(value)
    text = text if len(text) <= 60 else f"{text[:57]}…"
    return f"'{text}'" if isinstance(value, str) else text


def _number(limit: float) -> str:
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"


def _slug(text: str) -> str:
    return "-".join(part for part in "".join(c if c.isalnum() and c.isascii() else " " for c in text.lower()).split())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
