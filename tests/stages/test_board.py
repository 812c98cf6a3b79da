"""TensorBoard logs that the environment asks for."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from workflow_cases import TINY, plan_into

from cdmrun.errors import UserError
from cdmrun.stages.board import open_board
from cdmrun.stages.run import run_stage
from cdmrun.training import Progress

INSTALLED = importlib.util.find_spec("tensorboard") is not None


def test_nobody_asked() -> None:
    for environment in ({}, {"CDMRUN_TENSORBOARD": ""}):
        with open_board("students/x", environment) as board:
            assert board is None


@pytest.mark.skipif(INSTALLED, reason="TensorBoard is installed here")
def test_a_missing_package_is_named_before_anything_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDMRUN_TENSORBOARD", str(tmp_path / "board"))
    (tmp_path / "spec.yaml").write_text(TINY)
    plan = plan_into(tmp_path / "results", tmp_path / "spec.yaml")
    (key,) = (key for key in plan.runs if key.startswith("data/"))
    with pytest.raises(UserError, match=r"TensorBoard is not installed(.|\n)*pip install tensorboard, or unset"):
        run_stage("fetch", key, tmp_path / "results", "cpu", 1)


@pytest.mark.skipif(not INSTALLED, reason="TensorBoard is not installed here")
def test_a_resumed_job_writes_over_what_a_killed_one_had_logged_beyond_its_checkpoint(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    environment = {"CDMRUN_TENSORBOARD": str(tmp_path)}
    for steps in ((10, 20, 30), (20, 30, 40)):
        with open_board("students/x", environment) as board:
            assert board is not None
            for step in steps:
                board.add(Progress(step, 40, loss=1.0 / step, rate=5.0), "model")
    events = EventAccumulator(str(tmp_path / "students/x/model"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"loss", "rate"}
    assert [event.step for event in events.Scalars("loss")] == [10, 20, 30, 40]
