"""`cdmrun evaluate`: every metric of one sample set, at every NFE, in one job."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from cdmrun.data.dataset import Dataset, read_arrays
from cdmrun.errors import UserError
from cdmrun.files import read_map, write_json, write_with
from cdmrun.metrics.exact_scores import ExactLaws, ExactScores
from cdmrun.metrics.held_out import spread
from cdmrun.metrics.infill import InfillSet, SamplerCompleter
from cdmrun.metrics.judges import Judge, load_judge
from cdmrun.metrics.nll_bound import BATCH
from cdmrun.metrics.scoring import KernelSet, SampleSet, Score
from cdmrun.models import ConditionalModel
from cdmrun.models.compiling import compile_for_rows
from cdmrun.processes.base import ForwardProcess
from cdmrun.registry import implementation
from cdmrun.samplers import Sampler
from cdmrun.spec.metric_kinds import metric
from cdmrun.stages.build import Grids, build_process, build_sampler, load_grids, load_models
from cdmrun.stages.features import features_of
from cdmrun.stages.job import Job
from cdmrun.stages.parts import Part, Parts
from cdmrun.stages.rows import Row, sample_rows, score_row, steady

#: Files beside scores.json, and folders of a part's arrays.
_LAWS, _SEQUENCES = "laws", "sequences"


@dataclass(frozen=True)
class _Scoring:
    """What scores at any NFE are computed from; ``exact`` where whole output laws are written out."""

    job: Job
    dataset: Dataset
    sampling: Mapping[str, Any]
    models: Mapping[int | None, ConditionalModel]
    grids: Grids | None
    samples: Mapping[str, np.ndarray]
    judge: Judge | None
    exact: ExactScores | None

    def at(self, nfe: int) -> Part:
        """Scores at one NFE, and the law where it can be written out."""
        job, dataset = self.job, self.dataset
        rows: list[Row] = []
        found_here: list[tuple[str, Score]] = []
        arrays: dict[str, np.ndarray] = {}
        if "nfe" in self.sampling:  # exact simulation has no kernels to read scores from
            sampler = build_sampler(self.sampling, self.models, nfe, self.grids)
            laws = self.exact.of(sampler) if self.exact is not None else None
            if laws is not None:
                arrays[f"{_LAWS}/nfe_{nfe}"] = laws.law.round(14)  # as in `steady`
            found_here = _sampler_scores(job, dataset, sampler, nfe, laws)
            rows = [score_row(name, found) for name, found in found_here] + _infill_rows(job, dataset, sampler)
        for name, found in found_here:
            if found.sequences is not None:
                arrays[f"{_SEQUENCES}/{name}_nfe_{nfe}"] = found.sequences.astype(np.float32)
        steps = [row for name, found in found_here for row in _step_rows(name, found)]
        drawn = SampleSet(self.samples[f"nfe_{nfe}"], dataset, self.judge, job.config["seed"], features_of(job))
        return {"rows": rows + sample_rows(job.config["metrics"], drawn), "steps": steps}, arrays


def run(job: Job) -> None:
    """Write scores.json: scores at every NFE.

    Beside it, where there are such: laws.npz, for data that can be enumerated the sampler's exact law over data
    sequences at every NFE, ``nfe_N`` [V^L]; sequences.npz, what each held-out sequence scored, ``METRIC_nfe_N`` [M].
    """
    scoring = _scoring(job)
    measured = read_map(job.input("samples") / "sampling.json", "nfe")["nfe"]
    if absent := [nfe for nfe in measured if f"nfe_{nfe}" not in scoring.samples]:
        path = job.input("samples") / "samples.npz"
        raise UserError(
            f"{path}: no samples at NFE {', '.join(absent)}", "delete its folder and run the workflow again"
        )
    scores: list[Row] = []
    steps: list[Row] = []
    arrays: dict[str, np.ndarray] = {}
    with Parts(job, {f"nfe-{nfe}": float(nfe) for nfe in measured}) as parts:
        for label, costs in measured.items():
            record, more = parts.made(f"nfe-{label}", partial(scoring.at, int(label)))
            seconds = costs["seconds_per_sample"] if job.config["timing"] else None
            cost = {"nfe_counted": costs["nfe_counted"], "seconds_per_sample": seconds}
            scores += [{"nfe": int(label), **cost, **row} for row in record["rows"]]
            steps += [{"nfe": int(label), **row} for row in record["steps"]]
            arrays |= more
    for folder in (_LAWS, _SEQUENCES):
        own = {name.split("/")[1]: array for name, array in arrays.items() if name.startswith(f"{folder}/")}
        if own:
            write_with(job.folder / f"{folder}.npz", partial(np.savez_compressed, **own))  # type: ignore[arg-type]
    write_json(job.folder / "scores.json", {"scores": scores, "steps": steps})


def _scoring(job: Job) -> _Scoring:
    """Read the job's inputs."""
    dataset = Dataset.read(job.input("data"))
    process = build_process(job.input_config("teacher")["forward_process"], dataset.vocabulary)
    # whole laws are written out in main memory, in float64
    models = load_models(process, job.input("model"), job.device if dataset.table is None else "cpu")
    if job.config["compile"]:
        compile_for_rows(_rows(job, dataset), *models.values())
    return _Scoring(
        job=job,
        dataset=dataset,
        sampling=job.input_config("samples"),
        models=models,
        grids=load_grids(job.input("grids")) if "grids" in job.run.inputs else None,
        samples=read_arrays(job.input("samples") / "samples.npz"),
        judge=load_judge(job.input("judge"), job.device) if "judge" in job.run.inputs else None,
        exact=_exact_scores(job, dataset, process),
    )


def _rows(job: Job, dataset: Dataset) -> int:
    """Rows to compile for: of what is scored at once the fewest, since calls with more are cut."""
    scored = [BATCH, job.config["held_out"], len(dataset.splits.get(job.config["held_out_split"], ())) or BATCH]
    if any(metric(name).reads == "fills" for name in job.config["metrics"]):
        scored.append(job.config["infills"])
    return min(scored)


def _exact_scores(job: Job, dataset: Dataset, process: ForwardProcess) -> ExactScores | None:
    """What writes out whole output laws, where the target can be and something that is asked for reads them."""
    wanted = any(metric(name).needs == "law" or metric(name).reads == "kernels" for name in job.config["metrics"])
    return ExactScores(process, torch.from_numpy(dataset.table)) if dataset.table is not None and wanted else None


def _sampler_scores(
    job: Job, dataset: Dataset, sampler: Sampler, nfe: int, laws: ExactLaws | None
) -> list[tuple[str, Score]]:
    """Scores that read the sampler's kernels or its law, not its samples."""
    held_out, split = None, job.config["held_out_split"]
    if split in dataset.splits:
        sequences = spread(dataset.splits[split], job.config["held_out"]).astype(np.int64)
        if not len(sequences):
            raise UserError(f"{dataset.name} has no {split} split", "take evaluation.held_out_split: test")
        held_out = torch.from_numpy(sequences).to(job.device)
    # the same noise for every method: differences between them then vary less than either
    randomness = partial(job.generator, 7, nfe)
    kernels = KernelSet(sampler, dataset, held_out, job.config["draws"], randomness, laws)
    rows: list[tuple[str, float | Score]] = []
    for name in job.config["metrics"]:
        if metric(name).reads == "kernels":
            rows.append((name, implementation("metric", name)(kernels)))
        elif metric(name).reads == "law" and laws is not None:
            rows.append((name, implementation("metric", name)(laws)))
    return [(name, found if isinstance(found, Score) else Score(found)) for name, found in rows]


def _infill_rows(job: Job, dataset: Dataset, sampler: Sampler) -> list[Row]:
    """Scores that read how the sampler completes held-out sequences, with the network calls that this took."""
    names = [name for name in job.config["metrics"] if metric(name).reads == "fills"]
    if not names:
        return []
    sequences = spread(dataset.splits["test"], job.config["infills"]).astype(np.int64)
    completer = SamplerCompleter(sampler, job.config["draws"])
    found = InfillSet(dataset, torch.from_numpy(sequences).to(job.device), completer, partial(job.generator, 11))
    rows = [score_row(name, implementation("metric", name)(found)) for name in names]
    counted = completer.evaluations / max(completer.sequences, 1)
    return [{**row, "nfe_counted": counted} if completer.sequences else row for row in rows]


def _step_rows(name: str, found: Score) -> list[Row]:
    """What each step of the sampler adds to a bound, rows of scores.json."""
    return [
        {
            **{"metric": name, "step": index, "t": term.t, "s": term.s},
            **{"value": steady(term.bits_per_token), "stderr": None if math.isnan(term.stderr) else term.stderr},
        }
        for index, term in enumerate(found.steps, 1)
    ]
