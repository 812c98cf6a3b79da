"""`cdmrun fetch`: get a data set, encode it, keep it."""

from __future__ import annotations

from cdmrun.data import load
from cdmrun.stages.job import Job


def run(job: Job) -> None:
    """Write dataset.npz and meta.json."""
    load(job.config).save(job.folder)
