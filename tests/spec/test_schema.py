"""The schema itself: everything is described, bounded and closed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

from cdmrun.spec.defaults import STUDENT_MODEL
from cdmrun.spec.schema import SCHEMA_PATH, Schema, branch_of, branches, leaf, section, spec_schema, walk


def objects() -> Iterator[Schema]:
    seen: set[int] = set()
    for schema in walk(spec_schema()):
        if schema.get("type") == "object" and id(schema) not in seen:
            seen.add(id(schema))
            yield schema


def test_is_valid_draft_2020_12() -> None:
    raw = json.loads(SCHEMA_PATH.read_text())
    assert raw["$schema"].endswith("2020-12/schema")
    Draft202012Validator.check_schema(raw)
    assert "oneOf" not in SCHEMA_PATH.read_text()


def test_every_key_is_described_and_has_a_default_or_is_required() -> None:
    lacking = []
    for schema in objects():
        choices = branches(schema)
        required = set(schema.get("required", ()))
        if schema is spec_schema():
            required |= set(schema["else"]["required"])
        for name, below in schema.get("properties", {}).items():
            if len(below.get("description", "")) < 3:
                lacking.append(f"{name}: description")
            settled = name in required or "default" in below or "x-default-when" in below or "const" in below
            if not settled and not choices:
                lacking.append(f"{name}: default")
    assert not lacking


def test_every_object_is_closed() -> None:
    for schema in objects():
        assert branches(schema) or "additionalProperties" in schema, schema.get("description")


def test_every_dispatcher_covers_its_values() -> None:
    for schema in objects():
        choices = branches(schema)
        if choices:
            key = choices[0].key
            assert [choice.value for choice in choices] == schema["properties"][key]["enum"]


def test_dispatch_finds_a_known_object() -> None:
    hmm = leaf(section("students", "any"), {"method": "cdm"})
    assert hmm is not None
    assert "family" in hmm["properties"]
    assert id(hmm) in branch_of()
    assert leaf(section("data"), {"kind": "nothing"}) is None
    assert leaf(section("evaluation", "judge"), {}) is not None


def test_defaults_obey_their_own_schema() -> None:
    def check(schema: Any) -> None:
        for below in walk(schema):
            if "default" in below and "properties" not in below:
                assert not list(Draft202012Validator(below).iter_errors(below["default"])), below

    check(spec_schema())


def test_the_dependent_model_default_is_the_schemas() -> None:
    cdm = leaf(section("students", "any"), {"method": "cdm"})
    assert cdm is not None
    sizes = {key: below["default"] for key, below in cdm["properties"]["model"]["properties"].items()}
    assert sizes == STUDENT_MODEL
