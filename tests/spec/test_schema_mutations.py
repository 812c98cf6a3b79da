"""Each key of each object that the schema has, broken in each way that the schema's words allow: refused, there."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from cdmrun.spec.errors import Step, dotted
from cdmrun.spec.load import find_errors, load_specs
from cdmrun.spec.schema import branches, spec_schema, walk

from .checking import check
from .conftest import Write
from .from_schema import STRUCTURE, WORDS, Place, keywords, mutants, places, put, right

#: `extends` and `matrix` are done with before the schema is asked, in words of their own.
BEFORE_THE_SCHEMA = ("extends", "matrix")


def test_every_object_of_the_schema_is_reached() -> None:
    objects = {id(schema["properties"]) for schema in walk(spec_schema()) if is_leaf(schema)}
    assert objects == {id(place.schema["properties"]) for place in places()}


def is_leaf(schema: Any) -> bool:
    """Whether this lists the keys of a part of a spec."""
    return (
        isinstance(schema, dict) and schema.get("type") == "object" and "properties" in schema and not branches(schema)
    )


def test_every_word_of_the_schema_has_its_mistake() -> None:
    assert keywords() - STRUCTURE - {"type", "allOf"} <= set(WORDS)
    assert {mutant.keyword for place in places() for mutant in mutants(place)} == set(WORDS)
    assert sum(1 for place in places() for _ in mutants(place)) >= 500


@pytest.mark.parametrize("place", places(), ids=str)
def test_what_is_wrong_is_refused_where_it_is(write: Write, place: Place) -> None:
    for mutant in mutants(place):
        text = yaml.safe_dump(mutant.spec, sort_keys=False)
        found = find_errors([write(text)])
        early = mutant.path[0] in BEFORE_THE_SCHEMA
        path, words = (mutant.path[:1], "") if early else (mutant.path, WORDS[mutant.keyword])
        there = [error for error in found if error.path.startswith(dotted(path)) and words in error.message]
        assert line_of(text, mutant.path) in [error.line for error in there], (mutant, found)


def line_of(text: str, path: tuple[Step, ...]) -> int:
    """The line of an item, or of a key; of the last thing above it where it is absent."""
    node, line = yaml.compose(text), 1
    for step in path:
        if isinstance(step, int):
            node = node.value[step]
            line = node.start_mark.line + 1
            continue
        found = next(((key, value) for key, value in node.value if key.value == step), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


@pytest.mark.parametrize("place", places(), ids=str)
def test_what_the_schema_allows_is_planned_or_refused_in_words(place: Place) -> None:
    """Bounds, choices and defaults: other checks may refuse them, at a place; what they let pass has a plan."""
    for name, schema in place.schema["properties"].items():
        for value in right(schema):
            check(yaml.safe_dump(put(place.spec, (*place.path, name), value)).encode())


@pytest.mark.parametrize("place", places(), ids=str)
def test_a_default_written_out_changes_nothing(write: Write, place: Place) -> None:
    """Where it may be written at all: some keys have a meaning beside some others only."""
    if find_errors([base := write(yaml.safe_dump(place.spec))]):
        return
    (meant,) = load_specs([base])
    for name, schema in place.schema["properties"].items():
        if schema.get("default") is None or name in place.path:
            continue
        spec = write(yaml.safe_dump(put(place.spec, (*place.path, name), schema["default"])))
        if not find_errors([spec]):
            assert load_specs([spec])[0].spec == meant.spec, name
