"""Accepting a stale product: until the code changes again, status and tables take it for fresh."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cdmrun.errors import UserError
from cdmrun.manage.accepting import accept_products
from cdmrun.report.collect import collect
from cdmrun.spec import state
from cdmrun.spec.accepted import ACCEPTED
from cdmrun.spec.plan_types import Plan
from cdmrun.spec.state import states

from .conftest import KeyOf, Results

SCORES = {
    "scores": [
        *({"metric": "tv", "nfe": nfe, "nfe_counted": nfe, "value": 0.1, "stderr": None} for nfe in (1, 2)),
    ]
}

#: What `Results.spec` writes.
SPECS = [Path("a.yaml")]


class Code:
    """The code of the stages, as fingerprints tell it."""

    def __init__(self) -> None:
        self.version = {}  # type: dict[str, int]

    def __call__(self, stage: str, *sources: Path) -> str:
        return f"{stage}-{self.version.get(stage, 1)}"


@pytest.fixture
def code(monkeypatch: pytest.MonkeyPatch) -> Code:
    code = Code()
    monkeypatch.setattr(state, "_fingerprints", lambda: code)
    return code


@pytest.fixture
def plan(results: Results, code: Code) -> Plan:
    """Everything is made, by the first version of the code."""
    plan = results.plan(results.spec())
    for key, run in plan.runs.items():
        results.product(plan, key, code={"fingerprint": code(run.stage)})
        if run.kind == "scores":
            results.file(f"{key}/scores.json", json.dumps(SCORES))
    return plan


def by_kind(plan: Plan, out: Path) -> dict[str, str]:
    return {key.split("/")[0]: found.state for key, found in states(plan, out).items()}


def marked(plan: Plan, out: Path, code: Code) -> set[str]:
    return set(collect(plan, out, partial=False, fingerprint=code)["status"])


def test_accepted_until_the_code_changes_again(results: Results, plan: Plan, code: Code, key_of: KeyOf) -> None:
    out, teacher = results.out, key_of(plan, "teachers")
    assert marked(plan, out, code) == {"fresh"}
    code.version["train"] = 2
    assert by_kind(plan, out) == {
        "data": "fresh",
        "anchors": "fresh",
        "teachers": "stale-code",
        "students": "stale-upstream",
        "samples": "stale-upstream",
        "scores": "stale-upstream",
    }
    assert marked(plan, out, code) == {"stale-code"}
    accept_products([teacher], SPECS, out, "only a\n docstring", code)
    found = states(plan, out)
    assert {one.state for one in found.values()} == {"fresh"}
    assert found[teacher].detail == "accepted: only a docstring"
    assert marked(plan, out, code) == {"fresh"}
    code.version["train"] = 3
    assert by_kind(plan, out)["teachers"] == "stale-code"
    assert marked(plan, out, code) == {"stale-code"}
    # what was accepted is the product of version 1: made anew by another, it stands for itself
    code.version["train"] = 2
    assert by_kind(plan, out)["teachers"] == "fresh"
    results.product(plan, teacher, code={"fingerprint": "train-0"})
    assert by_kind(plan, out)["teachers"] == "stale-code"


def test_only_what_is_stale_by_its_own_code(results: Results, plan: Plan, code: Code, key_of: KeyOf) -> None:
    out, student = results.out, plan.runs[key_of(plan, "students")]
    with pytest.raises(UserError, match="nothing to accept"):
        accept_products([student.key], SPECS, out, "why", code)
    code.version["train"] = 2  # the student is stale-upstream now
    with pytest.raises(UserError, match="accept what it was made from"):
        accept_products([student.key], SPECS, out, "why", code)
    code.version["distill"] = 2
    with pytest.raises(UserError, match="--reason is empty"):
        accept_products([student.key], SPECS, out, " \n", code)
    (out / student.key / "manifest.json").unlink()
    with pytest.raises(UserError, match="no complete product"):
        accept_products([student.key], SPECS, out, "why", code)
    assert not (out / student.key / ACCEPTED).exists()


def test_all_that_is_stale_at_once(results: Results, plan: Plan, code: Code, key_of: KeyOf) -> None:
    """By their own code, that is: what was made from them is fresh again with them. All or nothing."""
    out, student = results.out, key_of(plan, "students")
    code.version |= {"train": 2, "distill": 2}
    with pytest.raises(UserError, match="no run is named"):
        accept_products([], SPECS, out, "why", code)
    with pytest.raises(UserError, match="nothing to accept"):
        accept_products([student, key_of(plan, "data")], SPECS, out, "why", code)
    assert not list(out.glob(f"*/*/{ACCEPTED}"))
    accepted = accept_products([student], SPECS, out, "why", code, stale=True)
    assert sorted(accepted) == sorted(out / key for key, run in plan.runs.items() if run.stage in ("train", "distill"))
    assert set(by_kind(plan, out).values()) == {"fresh"}
    assert accept_products([], SPECS, out, "why", code, stale=True) == []


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"reason": "x"}', '{"made_by": 1, "equivalent_to": 2}'])
def test_a_damaged_record_accepts_nothing(results: Results, plan: Plan, code: Code, key_of: KeyOf, damage: str) -> None:
    code.version["train"] = 2
    results.file(f"{key_of(plan, 'teachers')}/{ACCEPTED}", damage)
    assert by_kind(plan, results.out)["teachers"] == "stale-code"
