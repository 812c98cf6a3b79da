"""`cdmrun optimise`: the time grids of one sampler that cost least in nll_bound, one for each number of network calls.

Costs are exact where the data can be enumerated, else estimated on training data; held-out data are never looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from cdmrun.data.dataset import Dataset
from cdmrun.errors import UserError
from cdmrun.files import write_json, write_with
from cdmrun.metrics.time_grids import candidate_times, cheapest, estimated_costs, exact_costs, noise_path
from cdmrun.models import EnumeratedTeacher
from cdmrun.samplers import Step
from cdmrun.stages.build import build_process, build_sampler, load_models
from cdmrun.stages.job import Job
from cdmrun.stages.parts import Part, Parts
from cdmrun.stages.train import data_source

#: Draws inside the logarithm where a kernel's likelihood is itself an estimate.
DRAWS = 4


def run(job: Job) -> None:
    """Write grids.json (the times and their cost at every NFE) and costs.npz (`times` [m + 1], `costs` [m + 1, m + 1]).

    Costs are nats a sequence; what the start costs is left out, it is the same for all grids.
    """
    dataset = Dataset.read(job.input("data"))
    process = build_process(job.input_config("teacher")["forward_process"], dataset.vocabulary)
    device = job.device if dataset.table is None else "cpu"
    models = load_models(process, job.input("model"), device)
    if None not in models:
        raise UserError(f"{job.run.key}: an optimised grid needs one model for all step counts", "use another grid")
    config = {**job.config, "grid": "uniform"}
    nfe = job.config["nfe"]
    calls = build_sampler(config, models, max(nfe)).steps[0].kernel.calls
    counts = [n // calls for n in nfe]
    times = candidate_times(counts, job.config["points"])
    first, last = build_sampler(config, models, 2 * calls).steps
    make = (
        _exact(dataset, first, last, times)
        if dataset.table is not None
        else _estimated(job, dataset, first, last, times)
    )
    costs = np.full((len(times), len(times)), np.inf)
    with Parts(job, {f"from-{start}": float(start) for start in range(1, len(times))}) as parts:
        for start in range(1, len(times)):
            costs[start, :start] = parts.made(f"from-{start}", partial(make, start))[1]["costs"]
    ways = cheapest(torch.from_numpy(costs), counts)
    grids = {str(n): times[ways[count]].tolist() for n, count in zip(nfe, counts, strict=True)}
    totals = {
        str(n): float(costs[ways[count][1:], ways[count][:-1]].sum()) for n, count in zip(nfe, counts, strict=True)
    }
    kept = partial(np.savez_compressed, times=times.numpy(), costs=costs)
    write_with(job.folder / "costs.npz", kept)
    write_json(job.folder / "grids.json", {"grids": grids, "costs": totals, "exact": dataset.table is not None})


def _exact(dataset: Dataset, first: Step, last: Step, times: Tensor) -> Callable[[int], Part]:
    """What makes a row of exact costs."""
    teacher = EnumeratedTeacher(first.kernel.process, torch.from_numpy(dataset.table))

    def row(start: int) -> Part:
        return None, {"costs": exact_costs(first.kernel, last.kernel, teacher, times, start).numpy()}

    return row


def _estimated(job: Job, dataset: Dataset, first: Step, last: Step, times: Tensor) -> Callable[[int], Part]:
    """What makes a row of estimated costs; the walk of the data into noise is the same for all rows."""
    x_0 = data_source(dataset)(job.config["sequences"], job.generator(0))
    path = noise_path(first.kernel.process, x_0, times, job.generator(1))

    def row(start: int) -> Part:
        generator = job.generator(2, start)
        found = estimated_costs(first.kernel, last.kernel, path, times, start, generator, DRAWS)
        return None, {"costs": found.numpy()}

    return row
