"""The tiny experiment, run once for all tests of this folder (in each process that runs some of them)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from workflow_cases import TINY, planned_jobs, run_workflow


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the tiny experiment has been run once."""
    folder = tmp_path_factory.mktemp("workflow")
    (folder / "tiny.yaml").write_text(TINY)
    done = run_workflow(folder, folder / "tiny.yaml", options=["--verbose"])
    assert done.returncode == 0, done.stderr
    shown = done.stdout + done.stderr
    assert "19 of 19 steps (100%) done" in shown
    assert shown.count("Ready jobs: ") <= 1 + 19, "Snakemake looks for jobs to start at first, and when one has ended"
    return folder


@pytest.fixture
def spec(folder: Path) -> Iterator[Path]:
    """The tiny spec's path; edits to it are taken back afterwards, after which there is nothing to do."""
    path = folder / "tiny.yaml"
    yield path
    path.write_text(TINY)
    assert planned_jobs(folder, path) == {}
