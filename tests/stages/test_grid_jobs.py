"""Optimised time grids as products: planned, made, resumed, used; and a teacher of ratios along the way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from workflow_cases import plan_into

from cdmrun.errors import UserError
from cdmrun.spec.plan_types import Plan
from cdmrun.stages import optimise
from cdmrun.stages.run import run_stage

SPEC = """\
name: gridded
data: {kind: markov, source: random, states: 3, order: 1, length: 6, draws: 64}
forward_process: {kind: absorbing}
teacher:
  kind: network
  prediction: ratio
  model: {layers: 1, width: 8, heads: 1}
  train: {steps: 3, batch: 4}
students:
  plain:
    method: cdm
    family: {kind: hmm, states: 2}
    target: {kind: data}
    nfe: [1, 2, 3]
    train: {steps: 2, batch: 4}
  best:
    method: cdm
    family: {kind: hmm, states: 2}
    target: {kind: data}
    nfe: [1, 2, 3]
    grid: optimised
    train: {steps: 2, batch: 4}
baselines:
  analytic: {nfe: [1, 2, 3], grid: optimised}
  theta_rk2: {nfe: [2, 4], grid: optimised}
time_grids: {points: 3, sequences: 16}
evaluation: {samples: 4, held_out: 8}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    """All products of the spec."""
    folder = tmp_path_factory.mktemp("gridded")
    (folder / "spec.yaml").write_text(SPEC)
    out = folder / "results"
    plan = plan_into(out, folder / "spec.yaml")
    for key, run in plan.runs.items():
        run_stage(run.stage, key, out, "cpu", 1)
    return out, plan


def test_a_grid_belongs_to_a_sampler_of_a_model(made: tuple[Path, Plan]) -> None:
    _, plan = made
    grids = {key: run for key, run in plan.runs.items() if run.kind == "grids"}
    students = [key for key in plan.runs if key.startswith("students/")]
    assert len(grids) == 3
    assert len(students) == 1, "the student with an optimised grid is the one trained on the uniform grid"
    (teacher,) = (key for key in plan.runs if key.startswith("teachers/"))
    assert {run.inputs["model"] for run in grids.values()} == {teacher, *students}
    for kind in ("samples", "scores"):
        using = [run.inputs["grids"] for run in plan.runs.values() if run.kind == kind and "grids" in run.inputs]
        assert sorted(using) == sorted(grids)


def test_grids_are_times_and_everything_is_scored_on_them(made: tuple[Path, Plan]) -> None:
    out, plan = made
    for key, run in plan.runs.items():
        if run.kind == "grids":
            record = json.loads((out / key / "grids.json").read_text())
            calls = 2 if run.config["sampler"] == "theta_rk2" else 1
            assert not record["exact"]
            for nfe, times in record["grids"].items():
                assert len(times) == int(nfe) // calls + 1
                assert times == sorted(times)
                assert (times[0], times[-1]) == (0.0, 1.0)
    for entry in plan.experiments[0].entries:
        rows = json.loads((out / entry.scores / "scores.json").read_text())
        assert {row["nfe"] for row in rows["scores"]} == set(entry.nfe)
        if "grids" not in plan.runs[entry.scores].inputs:
            continue
        grid = json.loads((out / plan.runs[entry.scores].inputs["grids"] / "grids.json").read_text())["grids"]
        for nfe in entry.nfe:  # the steps that were scored are those of the grid
            steps = [(row["t"], row["s"]) for row in rows["steps"] if row["nfe"] == nfe]
            times = grid[str(nfe)]
            assert set(steps) <= set(zip(times[1:], times[:-1], strict=True))


def test_a_stopped_job_goes_on_to_the_same_bytes(made: tuple[Path, Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    out, plan = made
    key = next(key for key in plan.runs if key.startswith("grids/cdm"))
    before = [(out / key / name).read_bytes() for name in ("grids.json", "costs.npz")]
    for name in ("manifest.json", ".manifest.json", "grids.json", "costs.npz"):
        (out / key / name).unlink()
    whole, calls = optimise.estimated_costs, []

    def stops(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise UserError("stopped here")
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(optimise, "estimated_costs", stops)
    with pytest.raises(UserError, match="stopped here"):
        run_stage("optimise", key, out, "cpu", 1)
    monkeypatch.setattr(optimise, "estimated_costs", lambda *a: calls.append(1) or whole(*a))
    run_stage("optimise", key, out, "cpu", 1)
    assert [(out / key / name).read_bytes() for name in ("grids.json", "costs.npz")] == before
    rows = len(np.load(out / key / "costs.npz")["times"]) - 1
    assert len(calls) == rows + 1, "finished rows are not made again"
