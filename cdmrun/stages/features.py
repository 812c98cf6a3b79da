"""`cdmrun features`: the frozen features in which samples are compared with held-out data."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from cdmrun.data.dataset import Dataset
from cdmrun.metrics.features import Features, make_features
from cdmrun.stages.job import Job


def run(job: Job) -> None:
    """Write features.json (with the hash of the network), held_out.npz and, of images, the network."""
    make_features(Dataset.read(job.input("data")), job.config, job.folder)


def features_of(job: Job) -> Features | None:
    """The features that a job is given, if it is; read once."""
    return _read(job.input("features")) if "features" in job.run.inputs else None


@cache
def _read(folder: Path) -> Features:
    return Features.read(folder)
