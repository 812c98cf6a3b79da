"""Run one job: take the product's folder, call the stage, write the manifest."""

from __future__ import annotations

import importlib
import time
from pathlib import Path

import torch

from cdmrun.errors import UserError
from cdmrun.stages.job import exclusive, finish, open_job
from cdmrun.training import InterruptedTraining


def run_stage(stage: str, key: str, out: Path, device: str = "auto", threads: int | None = None) -> None:
    """Make the product ``key`` below ``out``; does nothing if it is there already.

    Parameters
    ----------
    stage
        fetch, judge, train, draw, distill, sample or evaluate; a module of this package.
    device
        ``cpu``, ``cuda``, or ``auto``: a GPU if there is one.
    threads
        CPU threads to compute with; all by default.

    Raises
    ------
    UserError
        If the run is unknown, an input is missing or damaged, or the job was asked to stop.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    job = open_job(stage, key, Path(out), device)
    with exclusive(job.folder):
        if (job.folder / "manifest.json").exists():
            print(f"{key}: already there")
            return
        began = time.monotonic()
        try:
            importlib.import_module(f"cdmrun.stages.{stage}").run(job)
        except InterruptedTraining as stop:
            raise UserError(f"{key}: {stop}", "run the workflow again; it goes on from the checkpoint") from stop
        finish(job, time.monotonic() - began)
