"""Run one job: take the product's folder and a device, call the stage, write the manifest."""

from __future__ import annotations

import contextlib
import importlib
import time
from dataclasses import replace
from pathlib import Path

import torch

from cdmrun.errors import UserError
from cdmrun.stages.board import open_board
from cdmrun.stages.heap import keep_freed_memory
from cdmrun.stages.job import Job, clear_leftovers, exclusive, finish, is_complete, open_job
from cdmrun.stages.lease import leased
from cdmrun.training import Interrupted, joined

#: Stages that several processes can share; what the others do is divided over jobs instead.
TRAININGS = ("train", "distill")


def run_stage(stage: str, key: str, out: Path, device: str = "auto", threads: int | None = None) -> None:
    """Make the product ``key`` below ``out``; does nothing if it is there already.

    Parameters
    ----------
    stage
        fetch, judge, features, anchor, train, draw, label, distill, sample or evaluate; a module of this package.
    device
        ``cpu``, ``cuda``, or ``auto``: a GPU if there is one. A GPU is leased, after waiting for a free one if need be.
    threads
        CPU threads to compute with; all by default.

    Raises
    ------
    UserError
        If the run is unknown, an input is missing or damaged, or the job was asked to stop.
    """
    keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    with joined() as group:
        if group.size > 1 and stage not in TRAININGS:
            raise UserError(f"`cdmrun {stage}` runs in one process", "start it without torchrun")
        job = replace(open_job(stage, key, Path(out)), group=group)
        with exclusive(job.folder) if group.leads else contextlib.nullcontext():
            if not group.leaders_word(group.leads and is_complete(job.out, key)):
                with leased(device) as held, open_board(key) as board:
                    _make(replace(job, device=held, board=board))
            elif group.leads:
                print(f"{key}: already there")


def _make(job: Job) -> None:
    if job.device != "cpu":
        torch.cuda.set_device(job.device)
    if job.group.leads:
        clear_leftovers(job.folder)
    began = time.monotonic()
    _ = job.input_contents  # as they are now: the stage reads them next
    try:
        importlib.import_module(f"cdmrun.stages.{job.run.stage}").run(job)
    except Interrupted as stop:
        raise UserError(f"{job.run.key}: {stop}", "run the workflow again; it goes on from the checkpoint") from stop
    if job.group.leads:
        seconds = time.monotonic() - began
        finish(job, seconds)
        print(f"{job.run.key}: complete after {seconds:.1f} s")
