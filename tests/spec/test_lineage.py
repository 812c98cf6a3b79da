"""Which complete products are to be made again, because of what they were made from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cdmrun.spec.lineage import contents, due_again, input_contents
from cdmrun.spec.plan import build_plan
from cdmrun.spec.plan_types import Plan

from .conftest import RING, Write

OUT = Path("out")


def make(plan: Plan, kind: str, holds: str = "a") -> None:
    """Complete all runs of a kind from what is there now."""
    for key, run in plan.runs.items():
        if run.kind == kind:
            path = OUT / key / "manifest.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            manifest = {"key": key, "outputs": {"file": holds}, "input_contents": input_contents(run, OUT)}
            path.write_text(json.dumps({**manifest, "wall_seconds": len(list(OUT.rglob("*")))}))


def kinds(plan: Plan) -> list[str]:
    """Inputs come first."""
    return list(dict.fromkeys(run.kind for run in plan.runs.values()))


def again(plan: Plan) -> list[str]:
    return [key.split("/")[0] for key in due_again(plan, OUT)]


@pytest.fixture
def plan(write: Write) -> Plan:
    """Every run of the ring complete."""
    plan = build_plan([write(RING)])
    for kind in kinds(plan):
        make(plan, kind)
    return plan


def test_nothing_is_due_when_all_fits(plan: Plan) -> None:
    assert again(plan) == []


def test_what_was_made_from_something_gone(plan: Plan) -> None:
    key = next(key for key in plan.runs if key.startswith("students/"))
    (OUT / key / "manifest.json").unlink()
    assert set(again(plan)) == {"samples", "scores"}
    assert next(iter(due_again(plan, OUT).values())) == f"{key} is not there"


def test_made_again_the_same_it_leaves_the_rest_as_it_is(plan: Plan) -> None:
    make(plan, "students")
    assert again(plan) == []


def test_made_again_otherwise_it_does_not(plan: Plan) -> None:
    make(plan, "teachers", "b")
    expected = {"students", "samples", "scores"}
    assert set(again(plan)) == expected
    # and after each of them has been made again in turn, as by a workflow that is stopped in between
    for kind in ("students", "samples", "scores"):
        make(plan, kind, "b")
        expected.discard(kind)
        assert set(again(plan)) == expected


def test_what_a_product_holds_is_not_how_it_came_about(plan: Plan) -> None:
    manifest = {"outputs": {"a": "1", "b": "2"}, "wall_seconds": 3}
    assert contents(manifest) == contents({"outputs": {"b": "2", "a": "1"}, "wall_seconds": 4})
    assert contents(manifest) != contents({"outputs": {"a": "1", "b": "3"}})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"input_contents": [1]}', '{"outputs": 3, "input_contents": null}'])
def test_manifests_that_say_nothing_of_it(plan: Plan, text: str) -> None:
    """Of earlier versions, or damaged: no exception, and no product is made again for that alone."""
    for key in plan.runs:
        if key.startswith("scores/"):
            (OUT / key / "manifest.json").write_text(text)
    assert again(plan) == []
