"""`cdmrun evaluate`: every metric of one sample set, at every NFE, in one job."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from cdmrun.data.dataset import Dataset, read_arrays
from cdmrun.files import read_json, write_json, write_with
from cdmrun.metrics.entropy import sample_unigram_entropy
from cdmrun.metrics.exact_scores import ExactScores
from cdmrun.metrics.excess import excess_nll_bound
from cdmrun.metrics.goodness import chi2_p
from cdmrun.metrics.ngram import NgramJudge
from cdmrun.metrics.nll_bound import nll_bound
from cdmrun.metrics.text import self_bleu
from cdmrun.models import MarkovTeacher
from cdmrun.processes.base import ForwardProcess
from cdmrun.samplers import Sampler
from cdmrun.spec.metric_kinds import OF_LAWS
from cdmrun.stages.build import build_process, build_sampler, load_models
from cdmrun.stages.job import Job
from cdmrun.training import Progress

Score = dict[str, Any]


def run(job: Job) -> None:
    """Write scores.json: scores at every NFE, and reference values of real data where a metric has one.

    For data that can be enumerated also laws.npz: the sampler's exact law over data sequences at every NFE, [V^L].
    """
    dataset = Dataset.read(job.input("data"))
    process = build_process(job.input_config("teacher")["forward_process"], dataset.vocabulary)
    sampling = job.input_config("samples")
    # whole laws are written out in main memory, in float64
    models = load_models(process, job.input("model"), job.device if dataset.table is None else "cpu")
    samples = read_arrays(job.input("samples") / "samples.npz")
    measured = read_json(job.input("samples") / "sampling.json")["nfe"]
    judge = NgramJudge.load(job.input("judge") / "judge.npz") if "judge" in job.run.inputs else None
    exact = _exact_scores(job, dataset, process)
    scores: list[Score] = []
    laws: dict[str, np.ndarray] = {}
    for number, (label, costs) in enumerate(measured.items()):
        nfe, rows = int(label), []
        if "nfe" in sampling:  # exact simulation has no kernels to read scores from
            sampler = build_sampler(sampling, models, nfe)
            if exact is not None:
                values, laws[f"nfe_{nfe}"] = exact.of(sampler)
                rows = [_score(m, values[m], _exactness(m)) for m in job.config["metrics"] if m in values]
            else:
                rows = _bound_scores(job, dataset, sampler, nfe)
        rows += _sample_scores(job, dataset, samples[f"nfe_{nfe}"], judge)
        cost = {key: costs[key] for key in ("nfe_counted", "seconds_per_sample")}
        scores += [{"nfe": nfe, **row, **cost} for row in rows]
        job.progress(Progress(number + 1, len(measured)))
    if laws:
        write_with(job.folder / "laws.npz", lambda stream: np.savez_compressed(stream, **laws))  # type: ignore[arg-type]
    count = int(sampling["count"])
    write_json(job.folder / "scores.json", {"scores": scores, "reference": _references(job, dataset, judge, count)})


def _exact_scores(job: Job, dataset: Dataset, process: ForwardProcess) -> ExactScores | None:
    """What reads whole output laws, where the target can be written out and something of it is asked for."""
    wanted = [metric for metric in job.config["metrics"] if metric in OF_LAWS or metric == "nll_bound"]
    return ExactScores(process, torch.from_numpy(dataset.table)) if dataset.table is not None and wanted else None


def _bound_scores(job: Job, dataset: Dataset, sampler: Sampler, nfe: int) -> list[Score]:
    """Scores that read the sampler's kernels at held-out sequences, not its samples."""
    wanted, draws = job.config["metrics"], job.config["draws"]
    held_out = torch.from_numpy(dataset.splits["test"][: job.config["held_out"]].astype(np.int64)).to(job.device)
    # the same noise for every method: differences between them then vary less than either
    if dataset.chain is not None and ("excess_nll_bound" in wanted or "nll_bound" in wanted):
        truth = MarkovTeacher(sampler.process, dataset.chain, dataset.length).to(job.device)
        bound = excess_nll_bound(sampler, truth, held_out, job.generator(7, nfe), draws)
        above = bound.bits_per_token
        values = {"excess_nll_bound": above, "nll_bound": (_true_entropy(dataset) or 0.0) + above}
        return [_score(metric, values[metric], "bound", bound.stderr) for metric in wanted if metric in values]
    if "nll_bound" not in wanted:
        return []
    bound = nll_bound(sampler, held_out, job.generator(7, nfe), draws)
    return [_score("nll_bound", bound.bits_per_token, "exact" if bound.exact else "bound", bound.stderr)]


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
    if "chi2_p" in wanted and dataset.table is not None:
        codes = np.ravel_multi_index(tuple(samples.T.astype(np.int64)), dataset.table.shape)
        values["chi2_p"] = (chi2_p(codes, dataset.table.reshape(-1)), None)
    if "self_bleu" in wanted:
        values["self_bleu"] = (self_bleu([dataset.decode(row) for row in samples[:100]], seed=config["seed"]), None)
    return values


def _references(job: Job, dataset: Dataset, judge: NgramJudge | None, count: int) -> list[Score]:
    """The same metrics of real held-out data, and of data whose positions were made independent."""
    entropy = _true_entropy(dataset)
    known = [
        {"metric": metric, "value": entropy, "unit": UNITS[metric], "what": "entropy of the target"}
        for metric in ("nll", "nll_bound")
        if metric in job.config["metrics"] and entropy is not None
    ]
    if dataset.table is not None:
        return known
    real = dataset.splits["test"][:count]
    random = np.random.default_rng(0)
    shuffled = np.stack([random.permutation(column) for column in dataset.splits["test"].T], axis=1)[:count]
    return known + [
        {"metric": metric, "value": value, "unit": UNITS[metric], "what": what}
        for what, sequences in (("held-out data", real), ("independent positions", shuffled))
        for metric, (value, _) in _sample_metrics(job.config, dataset, sequences, judge).items()
    ]


def _exactness(metric: str) -> str:
    """Bounds are computed exactly here too, and still are bounds."""
    return "bound" if metric in ("nll_bound", "kl_bound") else "exact"


def _true_entropy(dataset: Dataset) -> float | None:
    """Entropy of the data's law in bits a token, where it is known."""
    if dataset.table is not None:
        p_0 = dataset.table.reshape(-1)
        return float(-(p_0[p_0 > 0] * np.log2(p_0[p_0 > 0])).sum()) / dataset.length
    if dataset.chain is not None:
        return dataset.chain.entropy(dataset.length) / (dataset.length * math.log(2.0))
    return None


UNITS = {
    "tv": "probability",
    "tv_marginal": "probability",
    "tv_pairs": "probability",
    "kl": "nats",
    "kl_reverse": "nats",
    "js": "nats",
    "kl_bound": "nats",
    "total_correlation": "nats",
    "chi2_p": "p-value",
    "nll": "bits/token",
    "excess_nll_bound": "bits/token",
    "nll_bound": "bits/token",
    "judge_nll": "bits/token",
    "entropy": "bits/token",
    "self_bleu": "BLEU",
}


def _score(metric: str, value: float, estimate: str, stderr: float | None = None) -> Score:
    return {"metric": metric, "value": value, "stderr": stderr, "unit": UNITS[metric], "estimate": estimate}


def _mean(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))
