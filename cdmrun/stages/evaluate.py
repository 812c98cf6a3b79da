"""`cdmrun evaluate`: every metric of one sample set, at every NFE, in one job."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from cdmrun.data.dataset import Dataset, read_arrays
from cdmrun.files import read_json, write_json
from cdmrun.metrics.entropy import sample_unigram_entropy
from cdmrun.metrics.exact import (
    cross_entropy,
    data_law,
    exact_nll_bound,
    kl_divergence,
    output_law,
    total_variation,
)
from cdmrun.metrics.ngram import NgramJudge
from cdmrun.metrics.nll_bound import nll_bound
from cdmrun.metrics.text import self_bleu
from cdmrun.models import EnumeratedTeacher
from cdmrun.processes.base import ForwardProcess
from cdmrun.samplers import Sampler
from cdmrun.stages.build import build_process, build_sampler, load_models
from cdmrun.stages.job import Job
from cdmrun.training import Progress

Score = dict[str, Any]

EXACT = ("tv", "kl", "nll")


def run(job: Job) -> None:
    """Write scores.json: scores at every NFE, and reference values of real data where a metric has one."""
    dataset = Dataset.read(job.input("data"))
    process = build_process(job.input_config("teacher")["forward_process"], dataset.vocabulary)
    sampling = job.input_config("samples")
    # whole laws are written out in main memory, in float64
    models = load_models(process, job.input("model"), job.device if dataset.table is None else "cpu")
    samples = read_arrays(job.input("samples") / "samples.npz")
    measured = read_json(job.input("samples") / "sampling.json")["nfe"]
    judge = NgramJudge.load(job.input("judge") / "judge.npz") if "judge" in job.run.inputs else None
    scores: list[Score] = []
    for number, nfe in enumerate(sampling["nfe"]):
        sampler = build_sampler(sampling, models, nfe)
        rows = _model_scores(job, dataset, process, sampler, nfe) + _sample_scores(
            job, dataset, samples[f"nfe_{nfe}"], judge
        )
        cost = {key: measured[str(nfe)][key] for key in ("nfe_counted", "seconds_per_sample")}
        scores += [{"nfe": nfe, **row, **cost} for row in rows]
        job.progress(Progress(number + 1, len(sampling["nfe"])))
    count = int(sampling["count"])
    write_json(job.folder / "scores.json", {"scores": scores, "reference": _references(job, dataset, judge, count)})


def _model_scores(job: Job, dataset: Dataset, process: ForwardProcess, sampler: Sampler, nfe: int) -> list[Score]:
    """Scores that read the sampler's kernels, not its samples."""
    wanted = job.config["metrics"]
    if dataset.table is not None:
        return _exact_scores(wanted, dataset, process, sampler)
    if "nll_bound" not in wanted:
        return []
    held_out = torch.from_numpy(dataset.splits["test"][: job.config["held_out"]].astype(np.int64)).to(job.device)
    # the same noise for every method: differences between them then vary less than either
    bound = nll_bound(sampler, held_out, job.generator(7, nfe), job.config["draws"])
    return [_score("nll_bound", bound.bits_per_token, "exact" if bound.exact else "bound", bound.stderr)]


def _exact_scores(wanted: list[str], dataset: Dataset, process: ForwardProcess, sampler: Sampler) -> list[Score]:
    table = torch.from_numpy(dataset.table)
    p_0 = table.reshape(-1).double()
    scores = []
    if any(metric in EXACT for metric in wanted):
        law, _ = data_law(output_law(sampler), process.states, process.vocabulary, dataset.length)
        nats_to_bits = 1.0 / (dataset.length * math.log(2.0))
        values = {
            "tv": total_variation(p_0, law),
            "kl": kl_divergence(p_0, law),
            "nll": cross_entropy(p_0, law) * nats_to_bits,
        }
        scores += [_score(metric, values[metric], "exact") for metric in wanted if metric in EXACT]
    if "nll_bound" in wanted:
        nats = exact_nll_bound(sampler, EnumeratedTeacher(process, table))
        scores.append(_score("nll_bound", nats / (dataset.length * math.log(2.0)), "bound"))
    return scores


def _sample_scores(job: Job, dataset: Dataset, samples: np.ndarray, judge: NgramJudge | None) -> list[Score]:
    """Scores that read the samples; none where masks are left over."""
    if samples.max() >= dataset.vocabulary:
        return []
    return [
        _score(metric, value, "estimate", stderr)
        for metric, (value, stderr) in _sample_metrics(job.config, dataset, samples, judge).items()
    ]


def _sample_metrics(
    config: Mapping[str, Any], dataset: Dataset, samples: np.ndarray, judge: NgramJudge | None
) -> dict[str, tuple[float, float | None]]:
    values: dict[str, tuple[float, float | None]] = {}
    wanted = config["metrics"]
    if "judge_nll" in wanted and judge is not None:
        values["judge_nll"] = _mean(judge.bits_per_token(samples))
    if "entropy" in wanted:
        values["entropy"] = _mean(sample_unigram_entropy(samples))
    if "self_bleu" in wanted:
        values["self_bleu"] = (self_bleu([dataset.decode(row) for row in samples[:100]], seed=config["seed"]), None)
    return values


def _references(job: Job, dataset: Dataset, judge: NgramJudge | None, count: int) -> list[Score]:
    """The same metrics of real held-out data, and of data whose positions were made independent."""
    if dataset.table is not None:
        p_0 = dataset.table.reshape(-1)
        entropy = float(-(p_0[p_0 > 0] * np.log2(p_0[p_0 > 0])).sum()) / dataset.length
        return [
            {"metric": metric, "value": entropy, "unit": UNITS[metric], "what": "entropy of the target"}
            for metric in ("nll", "nll_bound")
            if metric in job.config["metrics"]
        ]
    real = dataset.splits["test"][:count]
    random = np.random.default_rng(0)
    shuffled = np.stack([random.permutation(column) for column in dataset.splits["test"].T], axis=1)[:count]
    return [
        {"metric": metric, "value": value, "unit": UNITS[metric], "what": what}
        for what, sequences in (("held-out data", real), ("independent positions", shuffled))
        for metric, (value, _) in _sample_metrics(job.config, dataset, sequences, judge).items()
    ]


UNITS = {
    "tv": "probability",
    "kl": "nats",
    "nll": "bits/token",
    "nll_bound": "bits/token",
    "judge_nll": "bits/token",
    "entropy": "bits/token",
    "self_bleu": "BLEU",
}


def _score(metric: str, value: float, estimate: str, stderr: float | None = None) -> Score:
    return {"metric": metric, "value": value, "stderr": stderr, "unit": UNITS[metric], "estimate": estimate}


def _mean(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))
