"""The tiny twins of the specs for GPUs, through the real Snakefile: real data, every stage, in seconds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from fetched import load_or_skip
from workflow_cases import REPOSITORY, planned_jobs, run_workflow

from cdmrun.spec.load import load_specs

TWINS = sorted((REPOSITORY / "specs/tiny").glob("*.yaml"))


def test_every_spec_for_gpus_has_a_twin() -> None:
    """Here, or in specs/ itself, of which it is then the larger one."""
    twins = {path.stem for path in TWINS} | {path.stem for path in (REPOSITORY / "specs").glob("*.yaml")}
    alone = {path.stem.removesuffix("-large") for path in (REPOSITORY / "specs/gpu").glob("*.yaml")} - twins
    assert alone == {"exact"}  # of which specs/ has several


@pytest.mark.parametrize("path", TWINS, ids=lambda path: path.stem)
def test_twins_say_what_they_extend(path: Path) -> None:
    gpu = REPOSITORY / "specs/gpu"
    wanted = gpu / path.name if (gpu / path.name).exists() else gpu / f"{path.stem}-large.yaml"
    (twin,), (large,) = load_specs([path]), load_specs([wanted])
    assert twin.spec["name"] == f"{path.stem}-tiny"
    for section in ("data", "forward_process", "teacher"):
        assert twin.spec[section]["kind"] == large.spec[section]["kind"]
    assert set(twin.spec["students"]) <= set(large.spec["students"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all twins have been run once, together."""
    for path in TWINS:
        (twin,) = load_specs([path])
        load_or_skip(**twin.spec["data"])
    folder = tmp_path_factory.mktemp("tiny")
    done = run_workflow(folder, *TWINS)
    assert done.returncode == 0, done.stderr
    return folder


def test_tables(folder: Path) -> None:
    for path in TWINS:
        (twin,) = load_specs([path])
        scores = pd.read_csv(folder / f"results/tables/{path.stem}-tiny.scores.csv")
        assert set(scores.name) == set(twin.spec["students"]) | set(twin.spec["baselines"]), path.stem
        assert set(scores.metric) == set(twin.spec["evaluation"]["metrics"]), path.stem
        assert set(scores.nfe) == {1, 2}, path.stem
        assert scores.value.notna().all(), path.stem


def test_nothing_is_left_to_do(folder: Path) -> None:
    assert planned_jobs(folder, *TWINS) == {}
