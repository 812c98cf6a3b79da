"""Members that bring their own part of the schema (plugins, and members of one file), merged into schema.json.

A member declares the keys that are its own; those that all of its kind share (a process's schedule, a sampler's nfe)
are added here, so that a new member has them without naming them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cdmrun.registry import Member, MetricMember, SamplerMember, registry


@dataclass(frozen=True)
class Dispatch:
    """Where a kind's members stand in schema.json.

    Attributes
    ----------
    definition, key
        The object that dispatches, and by which of its keys.
    model
        A member's object, from which the keys are taken that all of the kind share.
    """

    definition: str
    key: str
    model: str


DISPATCH = {
    "data": Dispatch("data", "kind", "data_kjv"),
    "process": Dispatch("forward_process", "kind", "process_uniform"),
    "family": Dispatch("family", "kind", "family_factorized"),
    "objective": Dispatch("student", "method", "student_cdm"),
}


def merge_members(raw: dict[str, Any]) -> None:
    """Add to the parsed schema.json, in place, every member that it does not list itself.

    Raises
    ------
    UserError
        If the options of a plugin's member are no schema.
    """
    for member in _own_fragments():
        _check_options(raw["$defs"], member)
        if isinstance(member, SamplerMember):
            _add_sampler(raw, member)
        elif isinstance(member, MetricMember):
            raw["$defs"]["metric"]["enum"].append(member.name)
            raw["$defs"]["metric"]["description"] += f" {member.name}: {member.description}"
        else:
            _add_choice(raw["$defs"], member)


def _own_fragments() -> Iterator[Member]:
    for members in registry().members.values():
        yield from (member for member in members.values() if member.options is not None)


def _check_options(definitions: dict[str, Any], member: Member) -> None:
    from jsonschema import Draft202012Validator, SchemaError  # only where there are plugins

    plugin = registry().plugins.get((member.kind, member.name))
    for key, schema in (member.options or {}).items():
        problem = ""
        referred = str(schema.get("$ref", "")).removeprefix("#/$defs/")
        if referred and referred not in definitions:
            problem = f"{schema['$ref']!r} is not in the schema of cdmrun"
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            problem = error.message
        if problem:
            message = f"{member.noun} {member.name}: option {key}: {problem}"
            raise plugin.broken(message) if plugin is not None else ValueError(message)


def _add_choice(definitions: dict[str, Any], member: Member) -> None:
    """One more value of a dispatcher's key, and the object that it chooses."""
    place = DISPATCH[member.kind]
    named = {place.key: {"const": member.name, "description": member.description}}
    known = definitions[place.model]["properties"]
    common = {key: known[key] for key in member.shared if key in known and key != place.key}
    name = f"{member.kind}_{member.name}"
    definitions[name] = _object(definitions, member, named | common)
    dispatch = definitions[place.definition]
    dispatch["properties"][place.key]["enum"].append(member.name)
    test = {"properties": {place.key: {"const": member.name}}, "required": [place.key]}
    dispatch["allOf"].append({"if": test, "then": {"$ref": f"#/$defs/{name}"}})


def _add_sampler(raw: dict[str, Any], member: SamplerMember) -> None:
    """One more baseline; all but exact simulation have step counts."""
    common = {} if member.oracle else {"nfe": raw["$defs"]["analytic"]["properties"]["nfe"]}
    name = f"{member.kind}_{member.name}"
    raw["$defs"][name] = _object(raw["$defs"], member, common)
    found = {"$ref": f"#/$defs/{name}", "x-default-when": "not run unless given"}
    raw["properties"]["baselines"]["properties"][member.name] = found


def _object(definitions: dict[str, Any], member: Member, common: dict[str, Any]) -> dict[str, Any]:
    """The closed object of a member's keys; those without a default are required."""
    properties = common | {key: dict(schema) for key, schema in (member.options or {}).items()}
    return {
        "type": "object",
        "description": member.description,
        "additionalProperties": False,
        "required": [key for key, schema in properties.items() if not _settled(definitions, schema)],
        "properties": properties,
    }


def _settled(definitions: dict[str, Any], schema: dict[str, Any]) -> bool:
    """Whether a key may be left out: it has a default, if only by reference."""
    referred = definitions.get(str(schema.get("$ref", "")).removeprefix("#/$defs/"), {})
    return any("default" in one or "x-default-when" in one for one in (schema, referred))
