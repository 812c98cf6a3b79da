"""Sweeps: names, values, and paths that lead nowhere."""

from __future__ import annotations

from typing import Any

import pytest

from cdmrun.spec.load import find_errors, load_specs
from cdmrun.spec.matrix import slug_of

from .conftest import TEXT, Errors, Write


def test_every_combination_becomes_an_experiment(write: Write) -> None:
    sweep = "matrix:\n  students.cdm-hmm.family.states: [32, 64]\n  teacher.train.lr: [1e-3, 0.01]\n"
    found = load_specs([write(TEXT + sweep)])
    assert [e.spec["name"] for e in found] == [
        "text-absorbing-32-0-001",
        "text-absorbing-32-0-01",
        "text-absorbing-64-0-001",
        "text-absorbing-64-0-01",
    ]
    assert [e.spec["students"]["cdm-hmm"]["family"]["states"] for e in found] == [32, 32, 64, 64]
    assert found[1].spec["teacher"]["train"]["lr"] == 0.01


def test_a_map_replaces_and_a_path_is_made(write: Write) -> None:
    sweep = (
        "matrix:\n  students.cdm-hmm.family: [{kind: hmm, states: 8}, {kind: mixture}]\n  evaluation.held_out: [9]\n"
    )
    found = load_specs([write(TEXT + sweep)])
    assert [e.spec["name"] for e in found] == ["text-absorbing-hmm-8-9", "text-absorbing-mixture-9"]
    assert found[1].spec["students"]["cdm-hmm"]["family"] == {"kind": "mixture", "components": 16}
    assert found[0].spec["evaluation"]["held_out"] == 9


@pytest.mark.parametrize(
    ("value", "slug"),
    [
        (64, "64"),
        (0.5, "0-5"),
        (2.0, "2"),
        (-3, "m3"),
        (1e-05, "1e-05"),
        ([1, 2], "1-2"),
        (True, "true"),
        ("Ab c", "ab-c"),
    ],
)
def test_slugs(value: Any, slug: str) -> None:
    assert slug_of(value) == slug


def test_values_with_one_slug_get_numbers(write: Write) -> None:
    found = load_specs([write(TEXT + "matrix: {title: [a b, a-b]}\n")])
    assert [e.spec["name"] for e in found] == ["text-absorbing-a-b-v1", "text-absorbing-a-b-v2"]


@pytest.mark.parametrize(
    ("line", "place", "word"),
    [
        ("matrix: {students.cdm-hm.family.states: [1]}", "20:10", "did you mean 'cdm-hmm'?"),
        ("matrix: {baselines.analytc.nfe: [[1]]}", "20:10", "did you mean 'analytic'?"),
        ("matrix: {name: [a]}", "20:10", "not a dotted path"),
        ("matrix: {seeds.x: [1]}", "20:10", "seeds is not a map"),
        ("matrix: {teacher..seed: [1]}", "20:10", "not a dotted path"),
        ("matrix: {teacher.seed: []}", "20:24", "at least one"),
        ("matrix: {teacher.seed: 3}", "20:24", "a list of values"),
        ("matrix: {teacher.seed: [1, 1]}", "20:24", "twice"),
        ("matrix: [1]", "20:1", "a map of dotted paths"),
        ("matrix: {teacher: [{kind: network}], teacher.seed: [1]}", "20:38", "contains this one"),
        ("matrix: {teacher.train.stepz: [1]}", "20:10", "did you mean 'steps'?"),
        ("matrix: {teacher.train.steps: [ten]}", "20:32", "a whole number"),
    ],
)
def test_mistakes(errors: Errors, line: str, place: str, word: str) -> None:
    (error,) = errors(TEXT + line + "\n")
    assert f"{error.line}:{error.column}" == place
    assert word in error.message


def test_too_many(write: Write) -> None:
    values = list(range(200))
    sweep = f"matrix: {{teacher.seed: {values}, evaluation.samples: {[v + 2 for v in values]}}}\n"
    (error,) = find_errors([write(TEXT + sweep)])
    assert "40,000 experiments" in error.message
