"""`cdmrun label`: a teacher's laws of single tokens in noised data; all students of the same steps share them."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from cdmrun.data.dataset import Dataset
from cdmrun.distill import StepSchedule, TeacherLabels, label_arrays
from cdmrun.files import write_with
from cdmrun.stages.build import build_process, load_models
from cdmrun.stages.job import Job
from cdmrun.stages.parts import Part, Parts
from cdmrun.stages.train import data_source
from cdmrun.training.sources import noised_pairs

#: Sequences labelled at once, and those kept in work/ together, so that a stopped job goes on from there.
BATCH, BLOCK = 64, 1024


def run(job: Job) -> None:
    """Write labels.npz, the arrays of `cdmrun.distill.label_arrays` for ``labelled`` sequences."""
    config = job.config
    dataset = Dataset.read(job.input("data"))
    process = build_process(job.input_config("teacher")["forward_process"], dataset.vocabulary)
    teacher = load_models(process, job.input("teacher"), job.device)[None]
    pairs = noised_pairs(data_source(dataset), process)
    steps = StepSchedule(config["nfe"], config["grid"])
    labels = TeacherLabels(teacher, pairs, steps, config["match"], config["positions"])
    sizes = [min(BLOCK, config["labelled"] - begin) for begin in range(0, config["labelled"], BLOCK)]
    blocks = []
    with Parts(job, {f"block-{number}": size for number, size in enumerate(sizes)}) as parts:
        for number, size in enumerate(sizes):
            made = parts.made(f"block-{number}", partial(_block, labels, size, job.generator(number)))
            blocks.append(made[1])
    arrays = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    write_with(job.folder / "labels.npz", lambda stream: np.savez_compressed(stream, **arrays))  # type: ignore[arg-type]


def _block(labels: TeacherLabels, size: int, generator: torch.Generator) -> Part:
    batches = [label_arrays(labels(min(BATCH, size - begin), generator)) for begin in range(0, size, BATCH)]
    return None, {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
