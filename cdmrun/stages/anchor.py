"""`cdmrun anchor`: what the scores of samplers are read against, the floor and the ceiling of every metric."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from cdmrun.data.dataset import Dataset, Tokens
from cdmrun.files import write_json
from cdmrun.metrics.anchors import independent_laws, independent_nll, independent_sequences
from cdmrun.metrics.held_out import spread
from cdmrun.metrics.infill import Completer, IndependentCompleter, InfillSet, Truth
from cdmrun.metrics.judges import Judge, load_judge
from cdmrun.metrics.scoring import SampleSet, true_entropy
from cdmrun.registry import implementation
from cdmrun.spec.metric_kinds import metric
from cdmrun.stages.features import features_of
from cdmrun.stages.job import Job
from cdmrun.stages.parts import Part, Parts
from cdmrun.stages.rows import Row, sample_rows, score_row

#: Of each name of real data, the split that is scored.
_REAL = {"held-out data": "test", "training data": "train"}


def run(job: Job) -> None:
    """Write anchors.json: for each metric the scores of its floor and its ceiling, where it has them."""
    dataset = Dataset.read(job.input("data"))
    judge = load_judge(job.input("judge"), job.device) if "judge" in job.run.inputs else None
    members = [metric(name) for name in job.config["metrics"]]
    wanted = dict.fromkeys([*(member.floor or "" for member in members), *(member.ceiling or "" for member in members)])
    wanted.pop("", None)
    rows: list[Row] = []
    with Parts(job, dict.fromkeys(wanted, 1.0)) as parts:
        for what in wanted:
            found, _ = parts.made(what, partial(_part, job, dataset, judge, what))
            rows += [{**row, "what": what} for row in found]
    write_json(job.folder / "anchors.json", {"anchors": rows})


def _part(job: Job, dataset: Dataset, judge: Judge | None, what: str) -> Part:
    """The scores of one thing to read against, of the metrics that want it."""
    names = [name for name in job.config["metrics"] if what in (metric(name).floor, metric(name).ceiling)]
    if what in _REAL:
        found = _of_sequences(job, dataset, judge, names, dataset.splits.get(_REAL[what]))
        return found + _of_fills(job, dataset, names, Truth), {}
    if what == "independent positions":
        held_out = dataset.splits.get("test")
        shuffled = None if held_out is None else independent_sequences(held_out)
        found = _of_sequences(job, dataset, judge, names, shuffled)
        found += _of_independent_laws(dataset, names)
        return found + _of_fills(job, dataset, names, partial(IndependentCompleter.of, dataset)), {}
    entropy = true_entropy(dataset)
    return [score_row(name, entropy) for name in names if entropy is not None], {}


def _of_sequences(
    job: Job, dataset: Dataset, judge: Judge | None, names: list[str], sequences: Tokens | None
) -> list[Row]:
    """Scores of as many sequences as samplers draw; none of data that are a law alone."""
    if sequences is None or not len(sequences):
        return []
    return sample_rows(
        names, SampleSet(spread(sequences, job.config.get("count")), dataset, judge, 0, features_of(job))
    )


def _of_independent_laws(dataset: Dataset, names: list[str]) -> list[Row]:
    """What independent positions lose where that can be computed without drawing."""
    rows = []
    for name in names:
        if metric(name).reads == "law" and dataset.table is not None:
            rows.append(score_row(name, implementation("metric", name)(independent_laws(dataset.table))))
        elif name == "nll_bound":
            rows.append(score_row(name, independent_nll(dataset)))
        elif name == "excess_nll_bound":
            rows.append(score_row(name, independent_nll(dataset) - (true_entropy(dataset) or 0.0)))
    return rows


def _of_fills(job: Job, dataset: Dataset, names: list[str], completer: Callable[[], Completer]) -> list[Row]:
    """Held-out sequences as something completes them."""
    names = [name for name in names if metric(name).reads == "fills"]
    if not names:
        return []
    truth = torch.from_numpy(spread(dataset.splits["test"], job.config["infills"]).astype(np.int64))
    found = InfillSet(dataset, truth, completer(), lambda: torch.Generator().manual_seed(0))
    return [score_row(name, implementation("metric", name)(found)) for name in names]
