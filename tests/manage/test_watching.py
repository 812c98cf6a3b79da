"""Watching: what is shown of runs at work, and when it ends."""

from __future__ import annotations

import fcntl
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from cdmrun.manage.watching import progress_table, settled, watch
from cdmrun.spec.plan_types import Plan
from cdmrun.spec.state import states

from .conftest import KeyOf, Results

PROGRESS = {"step": 5, "steps": 10, "loss": 1.25, "rate": 12.5, "seconds_left": 150}


@pytest.fixture
def plan(results: Results) -> Plan:
    return results.plan(results.spec())


def shown(plan: Plan, out: Path) -> str:
    console = Console(file=io.StringIO(), width=140)
    console.print(progress_table(plan, states(plan, out)))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_a_run_at_work_with_all_its_numbers(results: Results, plan: Plan, key_of: KeyOf) -> None:
    student = key_of(plan, "students")
    assert shown(plan, results.out).split("\n")[0] == "6 missing"
    results.file(f"{student}/work/progress.json", json.dumps(PROGRESS))
    line = next(line for line in shown(plan, results.out).splitlines() if student in line)
    assert line.split() == [student, "5/10", "1.25", "12.5", "2", "min"]


def test_a_lock_tells_that_a_job_is_at_work(results: Results, plan: Plan, key_of: KeyOf) -> None:
    student = key_of(plan, "students")
    results.file(f"logs/{student}.log", f"{student}: 5/10  loss 1.2\n")
    lock = results.file(f"{student}/.lock", "")
    assert states(plan, results.out)[student].state == "interrupted"
    with open(lock) as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert states(plan, results.out)[student].state == "running"
    assert states(plan, results.out)[student].state == "interrupted"


def test_the_end(results: Results, plan: Plan, key_of: KeyOf) -> None:
    out = results.out
    for kind in ("data", "anchors", "teachers"):
        results.product(plan, key_of(plan, kind))
    assert not settled(plan, states(plan, out))
    # a failed student takes along what needs it
    results.file(f"logs/{key_of(plan, 'students')}.log", "no such thing\n  remedy: make it\n")
    assert settled(plan, states(plan, out))
    assert "failed: students/" in shown(plan, out)
    console = Console(file=io.StringIO(), width=140)
    assert watch(plan, out, 0.1, console) is False


@pytest.mark.parametrize("terminal", [False, True])
def test_it_goes_on_until_all_is_done(results: Results, plan: Plan, terminal: bool) -> None:
    """Each look finds one more run done; a terminal's picture is drawn anew, a file gets one after the other."""
    waiting, slept = list(plan.runs), list[float]()

    def work(seconds: float) -> None:
        slept.append(seconds)
        results.product(plan, waiting.pop(0))

    console = Console(file=io.StringIO(), width=140, force_terminal=terminal)
    assert watch(plan, results.out, 0.5, console, sleep=work) is True
    assert slept == [0.5] * len(plan.runs)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for done in range(1, len(plan.runs)):
        assert f"{done} fresh, {len(plan.runs) - done} missing" in text
    assert ("\x1b[" in text) is terminal
