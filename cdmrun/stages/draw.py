"""`cdmrun draw`: a teacher's long sampler continues noised data; all students that match it by rollout share the draws.

Half of the draws start at t = 1, from the start of every sampler; the other half start from data noised to the levels
below, so that students learn what the teacher does where the data are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from cdmrun.data.dataset import Dataset
from cdmrun.files import write_with
from cdmrun.models import ConditionalModel
from cdmrun.samplers import analytic_sampler
from cdmrun.stages.blocks import as_it_fits, block_size, block_sizes
from cdmrun.stages.build import build_process, load_models
from cdmrun.stages.job import Job
from cdmrun.stages.parts import Part, Parts
from cdmrun.stages.train import data_source
from cdmrun.training.sources import Source


def run(job: Job) -> None:
    """Write draws.npz: `levels` [draws], `contexts` (x_t) and `sequences` (the teacher's x_0), both [draws, L].

    Each block of them is kept in work/, so that a stopped job goes on from there.
    """
    dataset = Dataset.read(job.input("data"))
    process = build_process(job.input_config("teacher")["forward_process"], dataset.vocabulary)
    teacher = load_models(process, job.input("teacher"), job.device)[None]
    source = data_source(dataset)
    plan = blocks_of(job.config["draws"], job.config["levels"], block_size(process, dataset.length))
    blocks: list[np.ndarray] = []
    with Parts(job, {f"block-{number}": level * count for number, (level, count) in enumerate(plan)}) as parts:
        for number, (level, count) in enumerate(plan):
            draw = partial(continue_from, teacher, source, level, job.config["substeps"])
            make = partial(_block, draw, count, partial(job.generator, number))
            blocks.append(parts.made(f"block-{number}", make)[1]["drawn"])
    arrays = {
        "levels": np.repeat([level for level, _ in plan], [count for _, count in plan]),
        "contexts": np.concatenate([block[0] for block in blocks]),
        "sequences": np.concatenate([block[1] for block in blocks]),
    }
    write_with(job.folder / "draws.npz", lambda stream: np.savez_compressed(stream, **arrays))  # type: ignore[arg-type]


def _block(
    draw: Callable[[int, torch.Generator], np.ndarray], count: int, randomness: Callable[..., torch.Generator]
) -> Part:
    return None, {"drawn": np.concatenate(as_it_fits(draw, count, randomness), 1)}


def blocks_of(draws: int, levels: int, largest: int) -> list[tuple[float, int]]:
    """Start time and size of each block, times ascending: half of all draws at t = 1, the rest evenly below.

    >>> blocks_of(8, 3, 256)
    [(0.3333333333333333, 2), (0.6666666666666666, 2), (1.0, 4)]
    """
    below = draws // 2 // max(1, levels - 1) if levels > 1 else 0
    counts = [below] * (levels - 1) + [draws - below * (levels - 1)]
    return [((index + 1) / levels, size) for index, count in enumerate(counts) for size in block_sizes(count, largest)]


@torch.inference_mode()
def continue_from(
    teacher: ConditionalModel, source: Source, level: float, substeps: int, count: int, generator: torch.Generator
) -> np.ndarray:
    """Noise data to ``level`` and let the teacher's analytic sampler finish, [2, count, L]: (x_t, x_0).

    ``substeps`` is the number of steps from t = 1; a lower level takes its share of them.
    """
    process = teacher.process
    if level == 1.0:
        x_t = process.sample_prior(count, teacher.length, generator, str(generator.device))
    else:
        x_t = process.noise(source(count, generator), 0.0, level, generator)
    x = x_t
    for step in analytic_sampler(teacher, max(1, round(substeps * level))).steps:
        t, s = (time * level for time in step.times(count, x.device))
        x = step.kernel.sample(x, t, s, generator)
    return torch.stack([x_t, x]).cpu().numpy().astype(np.uint16 if process.states <= 1 << 16 else np.uint32)
