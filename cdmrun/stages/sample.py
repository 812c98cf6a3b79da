"""`cdmrun sample`: draw from a model with one sampler at every NFE, counting calls and measuring time.

Exact simulation has no NFE to choose: what it costs is known afterwards, and names its samples.
Every block of sequences is kept in work/ with its calls and seconds, so that a stopped job goes on from there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from cdmrun.data.dataset import Dataset
from cdmrun.files import write_json, write_with
from cdmrun.models import EvaluationCounter
from cdmrun.models.compiling import FixedRows, compile_for_rows
from cdmrun.samplers import Oracle, Sampler
from cdmrun.stages.blocks import as_it_fits, block_size, block_sizes
from cdmrun.stages.build import build_oracle, build_process, build_sampler, load_grids, load_models
from cdmrun.stages.job import Job
from cdmrun.stages.parts import Part, Parts


def run(job: Job) -> None:
    """Write samples.npz (one array an NFE) and sampling.json (calls and seconds a sample)."""
    dataset = Dataset.read(job.out / job.input_manifest("teacher")["inputs"]["data"])
    process = build_process(job.input_config("teacher")["forward_process"], dataset.vocabulary)
    models = load_models(process, job.input("model"), job.device)
    grids = load_grids(job.input("grids")) if "grids" in job.run.inputs else None
    arrays: dict[str, np.ndarray] = {}
    measured: dict[str, dict[str, float]] = {}
    wanted = job.config.get("nfe", [None])
    sizes = block_sizes(job.config["count"], block_size(process, dataset.length))
    if job.config["compile"]:
        compile_for_rows(sizes[0], *models.values())
    costs = {_name(nfe or 0, n): size * float(nfe or 1) for nfe in wanted for n, size in enumerate(sizes)}
    with Parts(job, costs) as parts:
        for nfe in wanted:
            sampler = build_oracle(job.config, models) if nfe is None else build_sampler(job.config, models, nfe, grids)
            samples, cost = _draw(job, parts, sampler, nfe or 0, sizes)
            label = nfe or round(cost["nfe_counted"])
            arrays[f"nfe_{label}"], measured[str(label)] = samples, cost
    write_with(job.folder / "samples.npz", lambda stream: np.savez_compressed(stream, **arrays))  # type: ignore[arg-type]
    record = {"nfe": measured, "device": job.device, "threads": torch.get_num_threads()}
    write_json(job.folder / "sampling.json", record)


def _name(stream: int, number: int) -> str:
    return f"nfe-{stream}-block-{number}"


def _draw(
    job: Job, parts: Parts, sampler: Sampler | Oracle, stream: int, sizes: list[int]
) -> tuple[np.ndarray, dict[str, float]]:
    """All samples of one NFE and what they cost: the sum over blocks, whichever process drew them."""
    names = [_name(stream, number) for number in range(len(sizes))]
    if not all(parts.has(name) for name in names):
        _set_up(job, sampler, sizes[0], job.generator(stream, 0))
    blocks = [
        parts.made(name, partial(_block, sampler, size, partial(job.generator, stream, 1, number)))
        for number, (name, size) in enumerate(zip(names, sizes, strict=True))
    ]
    samples = np.concatenate([arrays["samples"] for _, arrays in blocks])
    count, counted = len(samples), sum(cost["evaluations"] for cost, _ in blocks) / len(samples)
    return samples, {
        "nfe_counted": int(counted) if counted == int(counted) else counted,
        "seconds_per_sample": sum(cost["seconds"] for cost, _ in blocks) / count,
        "batch": max(cost["batch"] for cost, _ in blocks),
        **({"compiled": all(cost["compiled"] for cost, _ in blocks)} if job.config["compile"] else {}),
    }


def _set_up(job: Job, sampler: Sampler | Oracle, rows: int, generator: torch.Generator) -> None:
    """First calls pay for set-up, and those at full size for compiling, not for NFE."""
    sampler.sample(min(8, rows), generator)
    if job.config["compile"]:
        device = str(generator.device)
        with torch.inference_mode(), contextlib.suppress(torch.OutOfMemoryError):  # a block can be drawn in halves
            x = sampler.process.sample_prior(rows, sampler.length, generator, device)
            t = torch.ones(rows, dtype=torch.float64, device=device)
            for model in sampler.models * (1 if device == "cpu" else 2):  # a CUDA graph is recorded in a second call
                model(x, t).sample(generator, job.config.get("decoding", "auto"))


def _block(sampler: Sampler | Oracle, size: int, randomness: Callable[..., torch.Generator]) -> Part:
    """Sequences at once, or in pieces that fit; attempts that did not fit count neither as calls nor as time."""

    def draw(count: int, generator: torch.Generator) -> tuple[np.ndarray, int, float]:
        with EvaluationCounter(*sampler.models) as counter:
            began = time.perf_counter()
            drawn = sampler.sample(count, generator).cpu().numpy()
            return drawn, counter.rows, time.perf_counter() - began

    drawn, rows, seconds = zip(*as_it_fits(draw, size, randomness), strict=True)
    tokens = np.concatenate(drawn).astype(np.uint8 if sampler.process.states <= 256 else np.int64)
    cost = {"evaluations": sum(rows), "seconds": sum(seconds), "batch": max(len(piece) for piece in drawn)}
    return {**cost, "compiled": FixedRows.working}, {"samples": tokens}  # no longer once the compiler has failed
