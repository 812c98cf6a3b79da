"""`cdmrun judge`: fit a judge on documents that neither teacher nor test data contain."""

from __future__ import annotations

import numpy as np
import torch

from cdmrun.data.dataset import Dataset
from cdmrun.errors import UserError
from cdmrun.files import write_json
from cdmrun.metrics.judges import CARD, NGRAM, Judge
from cdmrun.metrics.network_judge import NetworkJudge, NextToken
from cdmrun.metrics.ngram import NgramJudge
from cdmrun.stages.build import build_settings
from cdmrun.stages.history import write_history
from cdmrun.stages.job import Job
from cdmrun.training import train
from cdmrun.training.sources import array_source


def run(job: Job) -> None:
    """Write the judge (judge.npz, or judge.safetensors), and judge.json with the judge's own held-out score."""
    dataset = Dataset.read(job.input("data"))
    judge = _network(job, dataset) if job.config["kind"] == "network" else _ngram(job, dataset)
    held_out = judge.bits_per_token(dataset.splits["test"])
    write_json(
        job.folder / CARD,
        {
            **job.config,
            "held_out_bits_per_token": float(np.mean(held_out)),
            "sequences": len(dataset.splits["judge"]),
        },
    )


def _ngram(job: Job, dataset: Dataset) -> Judge:
    judge = NgramJudge.fit(dataset.splits["judge"], dataset.vocabulary, job.config["order"])
    judge.save(job.folder / NGRAM)
    return judge


def _network(job: Job, dataset: Dataset) -> Judge:
    if not len(dataset.splits["judge"]):
        raise UserError("the network judge has nothing to learn from", "use a data set with a judge split")
    torch.manual_seed(job.config["seed"])
    judge = NetworkJudge(dataset.vocabulary, dataset.length, job.config["model"]).to(job.device)
    settings = build_settings(job.config["train"])
    result = train(
        judge,
        NextToken(judge, array_source(dataset.splits["judge"]), job.group.share(settings.batch, settings.accumulate)),
        settings,
        job.stream("training"),
        job.work / "checkpoint.pt",
        job.identity(),
        job.progress,
    )
    write_history(job.folder / "history.csv", result)
    judge.save(job.folder)
    return judge
