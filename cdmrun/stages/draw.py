"""`cdmrun draw`: sequences from the teacher's own long sampler, shared by all students that match it by rollout."""

from __future__ import annotations

import time

import numpy as np

from cdmrun.data.dataset import Dataset
from cdmrun.files import write_with
from cdmrun.samplers import analytic_sampler
from cdmrun.stages.build import build_process, load_models
from cdmrun.stages.job import Job
from cdmrun.training import Progress

#: Sequences drawn at once; each such block is kept in work/, so that a stopped job goes on from there.
BLOCK = 256


def run(job: Job) -> None:
    """Write draws.npz with `sequences` [draws, L]."""
    dataset = Dataset.read(job.out / job.input_manifest("teacher")["inputs"]["data"])
    process = build_process(job.input_config("teacher")["forward_process"], dataset.vocabulary)
    teacher = load_models(process, job.input("teacher"), job.device)[None]
    sampler = analytic_sampler(teacher, job.config["substeps"], job.config["grid"])
    total = job.config["draws"]
    blocks = []
    began = time.monotonic()
    for number, begin in enumerate(range(0, total, BLOCK)):
        count = min(BLOCK, total - begin)
        path = job.work / f"block-{number}.npy"
        if not path.exists():
            drawn = sampler.sample(count, job.generator(number)).cpu().numpy().astype(np.uint16)
            write_with(path, lambda stream, drawn=drawn: np.save(stream, drawn))  # type: ignore[misc]
        blocks.append(np.load(path, allow_pickle=False))
        done = begin + count
        rate = done / (time.monotonic() - began)
        job.progress(Progress(done, total, None, rate, (total - done) / rate))
    sequences = np.concatenate(blocks)
    write_with(job.folder / "draws.npz", lambda stream: np.savez_compressed(stream, sequences=sequences))
