"""A spec against the schema: every error at once, each with its place."""

from __future__ import annotations

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from cdmrun.spec.errors import SpecError, Step
from cdmrun.spec.messages import located
from cdmrun.spec.nodes import Node
from cdmrun.spec.schema import spec_schema

#: Where an error lies, as far as it matters to what can still be checked: a section, or one student or baseline.
Section = tuple[str, ...]


@cache
def validator() -> Draft202012Validator:
    """Return the compiled validator; one for the life of the process."""
    return Draft202012Validator(spec_schema())


def check_schema(spec: Node) -> tuple[list[SpecError], set[Section]]:
    """Return what is wrong with one expanded spec by the schema, and the sections that are broken by it."""
    found = sorted(validator().iter_errors(spec.plain()), key=lambda error: len(error.absolute_schema_path))
    mistyped: dict[tuple[Any, ...], Any] = {}  # the outermost at each place: what lies below only repeats it
    for error in found:
        if error.validator == "type":
            mistyped.setdefault(tuple(error.absolute_path), error)
    errors: list[SpecError] = []
    broken: set[Section] = set()
    for error in found:
        path = tuple(error.absolute_path)
        if mistyped.get(path, error) is not error:
            continue
        errors += located(error, spec)
        if error.validator == "required":
            broken |= {section_of((*path, str(key))) for key in error.validator_value if key not in error.instance}
        if error.validator == "additionalProperties" and not path:
            continue
        broken.add(section_of(path))
    return errors, broken


def section_of(path: tuple[Any, ...]) -> Section:
    """Return the section a path lies in: ``("students", "a")`` for all of one student, else the top-level key."""
    steps: list[Step] = list(path[:2] if path and path[0] in {"students", "baselines"} else path[:1])
    return tuple(str(step) for step in steps)
