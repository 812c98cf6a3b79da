"""`cdmrun judge`: fit a judge on documents that neither teacher nor test data contain."""

from __future__ import annotations

import numpy as np

from cdmrun.data.dataset import Dataset
from cdmrun.files import write_json
from cdmrun.metrics.ngram import NgramJudge
from cdmrun.stages.job import Job


def run(job: Job) -> None:
    """Write judge.npz, and judge.json with the judge's own held-out score."""
    dataset = Dataset.read(job.input("data"))
    judge = NgramJudge.fit(dataset.splits["judge"], dataset.vocabulary, job.config["order"])
    judge.save(job.folder / "judge.npz")
    held_out = judge.bits_per_token(dataset.splits["test"])
    write_json(
        job.folder / "judge.json",
        {
            "kind": job.config["kind"],
            "order": job.config["order"],
            "held_out_bits_per_token": float(np.mean(held_out)),
            "sequences": len(dataset.splits["judge"]),
        },
    )
