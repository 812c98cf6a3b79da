"""States told from files."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from cdmrun.spec import state
from cdmrun.spec.plan import build_plan
from cdmrun.spec.plan_types import Plan
from cdmrun.spec.state import estimates, states

from .conftest import RING, Write


@pytest.fixture
def plan(write: Write, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr(state, "_fingerprints", lambda: lambda stage: f"{stage} v1")
    return build_plan([write(RING)])


def manifest(plan: Plan, kind: str, **more: Any) -> None:
    run = next(run for run in plan.runs.values() if run.kind == kind)
    put(f"{run.key}/manifest.json", {"wall_seconds": 12.5, "code": {"fingerprint": f"{run.stage} v1"}, **more})


def put(name: str, content: object) -> Path:
    path = Path("out", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def by_kind(plan: Plan) -> dict[str, str]:
    return {key.split("/")[0]: found.state for key, found in states(plan, Path("out")).items()}


def test_nothing_done(plan: Plan) -> None:
    assert set(by_kind(plan).values()) == {"missing"}


def test_fresh_stale_and_what_stands_on_it(plan: Plan) -> None:
    for kind in ("data", "teachers", "students"):
        manifest(plan, kind)
    assert by_kind(plan)["students"] == "fresh"
    manifest(plan, "teachers", code={"fingerprint": "train v0"})
    assert by_kind(plan) == {
        "data": "fresh",
        "anchors": "missing",
        "teachers": "stale-code",
        "students": "stale-upstream",
        "samples": "missing",
        "scores": "missing",
    }


def test_running_interrupted_failed(plan: Plan) -> None:
    run = next(run for run in plan.runs.values() if run.kind == "students")
    progress = put(f"{run.key}/work/progress.json", {"step": 5, "steps": 10, "loss": 1.25, "seconds_left": 60})
    found = states(plan, Path("out"))[run.key]
    assert (found.state, found.detail, found.seconds_left) == ("running", "step 5 of 10, loss 1.25", 60)
    old = time.time() - 1000
    os.utime(progress, (old, old))
    assert states(plan, Path("out"))[run.key].state == "interrupted"
    put(f"logs/{run.key}.log", "one\nteacher: no such thing\n")
    found = states(plan, Path("out"))[run.key]
    assert (found.state, found.detail) == ("failed", "teacher: no such thing")


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"code": 3, "wall_seconds": "x"}'])
def test_damaged_manifests_never_raise(plan: Plan, damage: str) -> None:
    for key in plan.runs:
        put(f"{key}/manifest.json", damage)
    assert set(by_kind(plan).values()) <= {"missing", "fresh"}
    assert estimates(plan, Path("out")) == {}


def test_estimates_come_from_the_same_slug_or_kind(plan: Plan) -> None:
    put("students/cdm-joint-potts_ring-00000000/manifest.json", {"wall_seconds": 10})
    put("students/cdm-joint-potts_ring-11111111/manifest.json", {"wall_seconds": 20})
    put("students/other-22222222/manifest.json", {"wall_seconds": 999})
    put("teachers/other-22222222/manifest.json", {"wall_seconds": 7})
    found = {key.split("/")[0]: seconds for key, seconds in estimates(plan, Path("out")).items()}
    assert found == {"students": 15.0, "teachers": 7.0}


@pytest.mark.parametrize(
    ("log", "expected", "detail"),
    [
        ("{key}: 5/10  loss 1.2500  3.0/s  2 s left\n", "interrupted", "step 5 of 10, loss 1.25"),
        (
            "{key}: 5/10\n{key}: stopped at step 6 of 10\n  remedy: run it again\n",
            "interrupted",
            "step 5 of 10, loss 1.25",
        ),
        ("{key}: 5/10\nthe loss is not finite\n  remedy: lower train.lr\n", "failed", "the loss is not finite"),
        ("Traceback (most recent call last):\n  x\nKeyError: 'a'\n", "failed", "KeyError: 'a'"),
        ("out of disk\n", "failed", "out of disk"),
        ("", "interrupted", "step 5 of 10, loss 1.25"),
        ("\x00\xff\n" * 50_000 + "{key}: 5/10\n", "interrupted", "step 5 of 10, loss 1.25"),
    ],
)
def test_how_a_log_ends_tells_failed_from_interrupted(plan: Plan, log: str, expected: str, detail: str) -> None:
    run = next(run for run in plan.runs.values() if run.kind == "students")
    progress = put(f"{run.key}/work/progress.json", {"step": 5, "steps": 10, "loss": 1.25})
    old = time.time() - 1000
    os.utime(progress, (old, old))
    put(f"logs/{run.key}.log", log.replace("{key}", run.key))
    found = states(plan, Path("out"))[run.key]
    assert (found.state, found.detail) == (expected, detail)


def test_a_failure_shows_at_once_and_a_start_before_its_first_word(plan: Plan) -> None:
    run = next(run for run in plan.runs.values() if run.kind == "students")
    log = put(f"logs/{run.key}.log", "")
    assert states(plan, Path("out"))[run.key].state == "running"
    old = time.time() - 1000
    os.utime(log, (old, old))
    assert states(plan, Path("out"))[run.key].state == "interrupted"
    put(f"{run.key}/work/progress.json", {"step": 5, "steps": 10})  # a moment ago
    put(f"logs/{run.key}.log", "no such file\n  remedy: make it\n")
    assert states(plan, Path("out"))[run.key].state == "failed"
