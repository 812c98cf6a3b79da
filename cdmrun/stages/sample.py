"""`cdmrun sample`: draw from a model with one sampler at every NFE, counting calls and measuring time.

Exact simulation has no NFE to choose: what it costs is known afterwards, and names its samples.
"""

from __future__ import annotations

import time

import numpy as np
import torch

from cdmrun.data.dataset import Dataset
from cdmrun.files import write_json, write_with
from cdmrun.models import EvaluationCounter
from cdmrun.samplers import Oracle, Sampler
from cdmrun.stages.build import build_oracle, build_process, build_sampler, load_models
from cdmrun.stages.job import Job
from cdmrun.training import Progress

#: Sequences drawn at once.
BATCH = 256


def run(job: Job) -> None:
    """Write samples.npz (one array an NFE) and sampling.json (calls and seconds a sample)."""
    dataset = Dataset.read(job.out / job.input_manifest("teacher")["inputs"]["data"])
    process = build_process(job.input_config("teacher")["forward_process"], dataset.vocabulary)
    models = load_models(process, job.input("model"), job.device)
    arrays: dict[str, np.ndarray] = {}
    measured: dict[str, dict[str, float]] = {}
    wanted = job.config.get("nfe", [None])
    for number, nfe in enumerate(wanted):
        sampler = build_oracle(job.config, models) if nfe is None else build_sampler(job.config, models, nfe)
        stream = nfe or 0
        sampler.sample(min(8, job.config["count"]), job.generator(stream, 0))  # first calls pay for set-up, not for NFE
        samples, cost = _timed(job, sampler, stream)
        label = nfe or round(cost["nfe_counted"])
        arrays[f"nfe_{label}"], measured[str(label)] = samples, cost
        job.progress(Progress(number + 1, len(wanted)))
    write_with(job.folder / "samples.npz", lambda stream: np.savez_compressed(stream, **arrays))  # type: ignore[arg-type]
    record = {"nfe": measured, "device": job.device, "threads": torch.get_num_threads()}
    write_json(job.folder / "sampling.json", record)


def _timed(job: Job, sampler: Sampler | Oracle, stream: int) -> tuple[np.ndarray, dict[str, float]]:
    count = job.config["count"]
    blocks = []
    began = time.perf_counter()
    with EvaluationCounter(*sampler.models) as counter:
        for number, begin in enumerate(range(0, count, BATCH)):
            blocks.append(sampler.sample(min(BATCH, count - begin), job.generator(stream, 1, number)).cpu().numpy())
    seconds = time.perf_counter() - began
    samples = np.concatenate(blocks).astype(np.uint8 if sampler.process.states <= 256 else np.int64)
    counted = counter.per_sample(count)
    return samples, {
        "nfe_counted": int(counted) if counted == int(counted) else counted,
        "seconds_per_sample": seconds / count,
        "batch": min(BATCH, count),
    }
